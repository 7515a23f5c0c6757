//! The destinations: what reaches them, under which claim, in which order, how often.

use super::{DeliverySeen, HandlerId, Moment, Position, State, Witness};
use crate::invariants::Invariant;
use bytes::Bytes;
use ringback_domain::{AttemptNumber, DeliveryId};
use std::time::Duration;
use url::Url;

/// A request, as a destination gets it.
pub(crate) struct Arrived<'a> {
    pub(crate) delivery: &'a DeliveryId,
    pub(crate) event: &'a str,
    pub(crate) attempt: AttemptNumber,
    pub(crate) url: &'a Url,
    pub(crate) body: &'a Bytes,
}

/// What becomes of it. That is known from the beginning.
pub(crate) struct Reaction {
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// Whether it counts as delivered.
    pub(crate) is_acceptance: bool,
    /// How long to wait at least before the next attempt, from its end.
    pub(crate) rest: Duration,
}

/// What does not hold, and what of it was seen.
type Fault = (Invariant, &'static str);

impl Witness {
    pub(crate) fn request_arrived(&self, arrived: &Arrived<'_>, reaction: &Reaction) {
        let (now, handler) = (self.now(), HandlerId::current());
        let mut state = self.state();
        let Some(mut seen) = state.deliveries.remove(arrived.delivery) else {
            let what = format!("{} was never published", arrived.delivery);
            return self.fails(&mut state, Invariant::SameBytes, what);
        };
        let (position, not_held) = seen.claimed(&state, handler, arrived.attempt, now);
        let faults = [
            not_held,
            seen.out_of_turn(position, arrived.attempt),
            seen.early(position, now),
            seen.needless(&state, position),
            seen.changed(arrived),
            seen.elsewhere(&state, handler, arrived.url, now),
        ];
        for (invariant, how) in faults.into_iter().flatten() {
            let (worker, label) = (state.worker(handler), &seen.label);
            let what = format!("{worker} sends {label} {position} {how}");
            self.fails(&mut state, invariant, what);
        }
        state.requests += 1;
        let was_sent = seen.sent_by.contains_key(&position) || seen.accepted_by.is_some();
        state.duplicates += u64::from(was_sent);
        seen.note_request(position, handler, now + reaction.lasts, reaction);
        state.deliveries.insert(arrived.delivery.clone(), seen);
    }
}

impl DeliverySeen {
    /// Which attempt this is by its claim, and what is wrong with the claim.
    fn claimed(
        &self,
        state: &State,
        handler: HandlerId,
        attempt: AttemptNumber,
        now: Moment,
    ) -> (Position, Option<Fault>) {
        let unclaimed = Position(self.newest, attempt);
        let Some(lease) = self.lease.as_ref().filter(|lease| !lease.is_settled) else {
            return (unclaimed, Some((Invariant::OneHolder, "without a claim")));
        };
        let is_live = lease.until > now;
        if lease.handler == handler {
            let position = Position(lease.claim.generation, lease.claim.attempt);
            let over = (Invariant::OneHolder, "after its lease was over");
            return (position, (!is_live).then_some(over));
        }
        let how = if is_live && state.is_alive(lease.handler) {
            "while another handler holds it"
        } else {
            "without a claim"
        };
        (unclaimed, Some((Invariant::OneHolder, how)))
    }

    fn out_of_turn(&self, position: Position, attempt: AttemptNumber) -> Option<Fault> {
        let how = if position.1 != attempt {
            "under another number"
        } else if self.last_sent.is_some_and(|last| position < last) {
            "after a later one"
        } else if attempt > AttemptNumber::FIRST && !self.due_at.contains_key(&position) {
            "without the one before"
        } else {
            return None;
        };
        Some((Invariant::InOrder, how))
    }

    fn early(&self, position: Position, now: Moment) -> Option<Fault> {
        let is_early = self.due_at.get(&position).is_some_and(|due| now < *due);
        is_early.then_some((Invariant::NeverEarly, "before it is due"))
    }

    fn needless(&self, state: &State, position: Position) -> Option<Fault> {
        let unexplained = |sender: &&HandlerId| !state.explains_a_duplicate(**sender);
        let how = if self.accepted_by.iter().find(unexplained).is_some() {
            "although it was accepted"
        } else if self
            .sent_by
            .get(&position)?
            .iter()
            .find(unexplained)
            .is_some()
        {
            "again"
        } else {
            return None;
        };
        Some((Invariant::NoNeedlessDuplicate, how))
    }

    fn changed(&self, arrived: &Arrived<'_>) -> Option<Fault> {
        let is_changed = self.body != arrived.body || self.event.as_str() != arrived.event;
        is_changed.then_some((Invariant::SameBytes, "with another body or id"))
    }

    /// A worker that waited long for the store may have the webhook of before the wait.
    fn elsewhere(
        &self,
        state: &State,
        handler: HandlerId,
        url: &Url,
        now: Moment,
    ) -> Option<Fault> {
        let webhook = state.webhooks.get(self.webhook.as_ref()?)?;
        let is_elsewhere = !state.is_troubled(handler) && !webhook.was_at(url, now);
        is_elsewhere.then_some((Invariant::ChangesApply, "to where the webhook was before"))
    }

    fn note_request(
        &mut self,
        position: Position,
        handler: HandlerId,
        ends_at: Moment,
        reaction: &Reaction,
    ) {
        self.sent_by.entry(position).or_default().push(handler);
        self.last_sent = self.last_sent.max(Some(position));
        self.under_way.push((handler, ends_at));
        if reaction.is_acceptance {
            self.accepted_by = Some(handler);
            return;
        }
        let next = Position(position.0, position.1.next());
        let due_at = ends_at + reaction.rest;
        let earliest = self.due_at.entry(next).or_insert(due_at);
        *earliest = due_at.min(*earliest);
    }
}
