//! The store, as it really is: who holds what, what is final, and where webhooks are.

use super::{DeliverySeen, HandlerId, Lease, Moment, Position, State, Witness};
use crate::{invariants::Invariant, plan::CHANGES_APPLY_WITHIN};
use futures_util::FutureExt;
use ringback_delivery::port::{Claim, ClaimAnswer, DeadLetterStore, DeliveryStore, EventStore};
use ringback_domain::{
    DeadLetterContent, DeadLetterId, Delivery, DeliveryId, DeliveryState, Disposal, EventId,
    Webhook, WebhookId,
};
use std::time::Duration;
use url::Url;

/// Where a webhook was since when, while it was enabled.
#[derive(Default)]
pub(super) struct WebhookSeen {
    history: Vec<(Moment, Option<Url>)>,
}

impl Witness {
    pub(crate) fn claim_answered(
        &self,
        delivery: &Delivery,
        answer: &ClaimAnswer,
        lease: Duration,
    ) {
        self.note(|| {
            let (worker, label) = (self.worker(), self.label(&delivery.id));
            let told = told_answer(answer);
            format!("{worker} claims {label} {}: {told}", Position::of(delivery))
        });
        let ClaimAnswer::Granted { claim, .. } = answer else {
            return;
        };
        let (now, handler) = (self.now(), HandlerId::current());
        let mut state = self.state();
        // A direct attempt is the first that is heard of its delivery.
        let seen = state.deliveries.remove(&delivery.id);
        let mut seen = seen.unwrap_or_else(|| DeliverySeen::of(delivery));
        if seen.body != delivery.body {
            let what = format!("{} is claimed with another body", seen.label);
            self.fails(&mut state, Invariant::SameBytes, what);
        }
        let before = seen.lease.as_ref().filter(|before| {
            before.claim.token != claim.token && !before.is_settled && before.until > now
        });
        seen.under_way.retain(|(_, until)| *until > now);
        let mut sending = seen.under_way.iter().map(|(sender, _)| *sender);
        let sending = sending.find(|sender| *sender != handler && state.is_alive(*sender));
        let other = match (before, sending) {
            (Some(before), _) => Some((before.handler, "holds it")),
            (None, Some(sender)) => Some((sender, "has a request under way")),
            (None, None) => None,
        };
        if let Some((other, does)) = other {
            let (worker, other) = (state.worker(handler), state.worker(other));
            let what = format!("{worker} is granted {} while {other} {does}", seen.label);
            self.fails(&mut state, Invariant::OneHolder, what);
        }
        seen.lease = Some(Lease {
            handler,
            claim: claim.clone(),
            until: now + lease,
            is_settled: false,
        });
        state.deliveries.insert(delivery.id.clone(), seen);
    }

    pub(crate) fn claim_settled(&self, claim: &Claim, settled_as: &str, is_stale: bool) {
        self.note(|| {
            let (worker, label) = (self.worker(), self.label(&claim.delivery));
            let position = Position(claim.generation, claim.attempt);
            let stale = if is_stale { ": too late" } else { "" };
            format!("{worker} settles {label} {position} as {settled_as}{stale}")
        });
        let mut state = self.state();
        if let Some(seen) = state.deliveries.get_mut(&claim.delivery)
            && let Some(lease) = &mut seen.lease
            && lease.claim.token == claim.token
        {
            lease.is_settled = true;
        }
    }

    pub(crate) fn event_marked(&self, id: &EventId) {
        let now = self.now();
        let mut state = self.state();
        let seen = state.events.entry(id.clone()).or_default();
        seen.marked_at.get_or_insert(now);
    }

    pub(crate) fn webhook_written(&self, webhook: &Webhook) {
        let url = webhook.is_enabled().then(|| webhook.url.clone());
        self.note(|| match &url {
            Some(url) => format!("{} is at {url}", webhook.id),
            None => format!("{} is disabled", webhook.id),
        });
        self.webhook_is(&webhook.id, url);
    }

    pub(crate) fn webhook_removed(&self, id: &WebhookId) {
        self.note(|| format!("{id} is removed"));
        self.webhook_is(id, None);
    }

    fn webhook_is(&self, id: &WebhookId, url: Option<Url>) {
        let now = self.now();
        let mut state = self.state();
        let seen = state.webhooks.entry(id.clone()).or_default();
        seen.history.push((now, url));
    }

    pub(super) fn is_marked(&self, id: &EventId) -> bool {
        let mark = self.store.event_mark(&self.project, id).now_or_never();
        matches!(mark, Some(Ok(Some(_))))
    }

    /// Whether the event is kept, and nobody dealt with it yet: as one that no body can be made of, or as what the broker gave up
    /// on.
    pub(super) fn is_dead_event(&self, id: &EventId, document: &[u8]) -> bool {
        self.store.has_dead_letter(|dead| match &dead.content {
            DeadLetterContent::Event { event, .. } => {
                event.id == *id && dead.disposal == Disposal::Open
            }
            DeadLetterContent::Raw { bytes, .. } => *bytes == document,
            DeadLetterContent::Delivery(_) => false,
        })
    }

    fn is_dead(&self, id: &DeadLetterId) -> bool {
        matches!(self.store.dead_letter(id).now_or_never(), Some(Ok(Some(_))))
    }

    /// What is wrong with a delivery of which there is no message: nothing, if it is delivered or a dead letter.
    pub(super) fn lost(
        &self,
        state: &State,
        id: &DeliveryId,
        seen: &DeliverySeen,
    ) -> Option<String> {
        let label = &seen.label;
        let record = self.store.delivery(id).now_or_never();
        let known = match &record {
            Some(Ok(Some(record))) => Some(&record.state),
            _ => None,
        };
        if let Some(DeliveryState::Delivered { .. }) = known {
            let never = seen.accepted_by.is_none();
            return never.then(|| format!("{label} is recorded as delivered and never was"));
        }
        let is_dead = self.is_dead(&DeadLetterId::derive(id, seen.newest));
        let told = known.map_or("unknown", DeliveryState::class);
        let is_safe = is_dead || !seen.was_queued && self.event_stands_for(state, seen);
        (!is_safe).then(|| {
            format!("{label} ({told}) is in no queue, and neither delivered nor a dead letter")
        })
    }

    /// Whether the event answers for a delivery that never had a message of its own: it is queued or a dead letter, or it was
    /// dispatched again and the webhook was not there the whole time.
    fn event_stands_for(&self, state: &State, seen: &DeliverySeen) -> bool {
        let Some(event) = state.events.get(&seen.event) else {
            return false;
        };
        let webhook = seen.webhook.as_ref().and_then(|id| state.webhooks.get(id));
        let was_there = |webhook: &WebhookSeen| {
            let (since, until) = (event.published_at, event.marked_at);
            since
                .zip(until)
                .is_some_and(|(since, until)| webhook.was_enabled(since, until))
        };
        event.copies > 0
            || self.is_dead_event(&seen.event, &event.document)
            || webhook.is_some_and(|webhook| !was_there(webhook))
    }
}

fn told_answer(answer: &ClaimAnswer) -> String {
    match answer {
        ClaimAnswer::Granted { claim, expired } => {
            let token = claim.token.0;
            let again = if expired.is_some() {
                ", the one before ran out"
            } else {
                ""
            };
            format!("granted by token {token}{again}")
        }
        ClaimAnswer::Held { remaining } => format!("held for {remaining:?}"),
        ClaimAnswer::Settled => "settled".into(),
    }
}

impl WebhookSeen {
    /// Whether it was enabled at this URL at some moment of the last second.
    pub(super) fn was_at(&self, url: &Url, now: Moment) -> bool {
        let since = now.saturating_sub(CHANGES_APPLY_WITHIN);
        self.during(since, now).any(|at| at == Some(url))
    }

    /// Whether it was enabled all the time.
    pub(super) fn was_enabled(&self, since: Moment, until: Moment) -> bool {
        let was_there = self.history.first().is_some_and(|(at, _)| *at <= since);
        was_there && self.during(since, until).all(|at| at.is_some())
    }

    fn during(&self, since: Moment, until: Moment) -> impl Iterator<Item = Option<&Url>> {
        let ends = self.history.iter().skip(1).map(|(at, _)| *at);
        let spans = self.history.iter().zip(ends.chain([Moment::MAX]));
        spans
            .filter(move |((begin, _), end)| *begin <= until && *end >= since)
            .map(|((_, url), _)| url.as_ref())
    }
}
