//! Sees everything and checks the invariants as it happens.
//!
//! It stands at the ports, on the far side of the faults: it knows what the queue and the store really did and what
//! really reached a destination, whatever the worker was told.

use crate::{
    invariants::{Invariant, Violation},
    plan::CHANGES_APPLY_WITHIN,
};
use bytes::Bytes;
use futures_util::FutureExt;
use ringback_delivery::port::{
    Claim, ClaimAnswer, DeadLetterStore, DeliveryStore, EventStore, Observer, Occurrence,
};
use ringback_domain::{
    AttemptNumber, DeadLetterId, Delivery, DeliveryId, DeliveryState, Destination, Event, EventId,
    Generation, ProjectName, Webhook, WebhookId,
};
use ringback_testkit::simulation::{SimulatedStore, TokioClock};
use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use url::Url;

/// One handling of one message, or nobody in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HandlerId(u32);

thread_local! {
    /// Whose future is being polled. A run stays on its thread.
    static CURRENT: Cell<HandlerId> = const { Cell::new(HandlerId(0)) };
}

impl HandlerId {
    /// Whose future is being polled.
    pub(crate) fn current() -> Self {
        CURRENT.get()
    }

    /// Polls on behalf of this handler.
    pub(crate) fn acting<T>(self, poll: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(self);
        let polled = poll();
        CURRENT.set(before);
        polled
    }
}

/// Generation and number of an attempt.
type Position = (Generation, AttemptNumber);

/// The moments of a run.
type Moment = Duration;

pub(crate) struct Witness {
    clock: TokioClock,
    store: Arc<SimulatedStore>,
    project: ProjectName,
    keeps_trace: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    handlers: Vec<Handler>,
    events: BTreeMap<EventId, EventSeen>,
    deliveries: BTreeMap<DeliveryId, DeliverySeen>,
    webhooks: BTreeMap<WebhookId, WebhookSeen>,
    requests: u64,
    duplicates: u64,
    trace: Vec<String>,
    violation: Option<Violation>,
}

struct Handler {
    worker: String,
    is_alive: bool,
    /// Something failed or took long while it was at work.
    is_troubled: bool,
}

#[derive(Default)]
struct EventSeen {
    /// The producer was told that it is safe.
    accepted: bool,
    published_at: Option<Moment>,
    marked_at: Option<Moment>,
    callback: Option<DeliveryId>,
    document: Bytes,
    copies: u32,
}

struct DeliverySeen {
    label: String,
    webhook: Option<WebhookId>,
    event: EventId,
    body: Bytes,
    /// How many messages of it there are in the queue.
    copies: u32,
    newest: Generation,
    lease: Option<Lease>,
    /// Requests under way, and until when.
    under_way: Vec<(HandlerId, Moment)>,
    last_sent: Option<Position>,
    sent_by: BTreeMap<Position, Vec<HandlerId>>,
    /// Not to be made before.
    due_at: BTreeMap<Position, Moment>,
    accepted_by: Option<HandlerId>,
}

struct Lease {
    handler: HandlerId,
    claim: Claim,
    until: Moment,
    is_settled: bool,
}

/// What a webhook was, since when: its URL while it was enabled.
#[derive(Default)]
struct WebhookSeen {
    history: Vec<(Moment, Option<Url>)>,
}

/// What became of a request, as the destination knows it.
pub(crate) struct Reaction {
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// Whether it counts as delivered.
    pub(crate) is_acceptance: bool,
    /// How long to wait at least before the next attempt, from its end.
    pub(crate) rest: Duration,
}

impl Witness {
    pub(crate) fn new(
        clock: TokioClock,
        store: Arc<SimulatedStore>,
        project: ProjectName,
        keeps_trace: bool,
    ) -> Self {
        let nobody = Handler {
            worker: "people".into(),
            is_alive: true,
            is_troubled: true,
        };
        let state = State {
            handlers: vec![nobody],
            ..State::default()
        };
        Self {
            clock,
            store,
            project,
            keeps_trace,
            state: Mutex::new(state),
        }
    }

    /// The first invariant that did not hold.
    pub(crate) fn violation(&self) -> Option<Violation> {
        self.state().violation.clone()
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.state().trace)
    }

    /// How many requests were made, and how many of them a destination had answered, or may have, before.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let state = self.state();
        (state.requests, state.duplicates)
    }

    /// Writes a line, if anybody reads it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if self.keeps_trace {
            let line = line();
            self.state().note(self.now(), &line);
        }
    }

    pub(crate) fn violated(&self, invariant: Invariant, what: String) {
        self.state().violated(self.now(), invariant, what);
    }

    fn now(&self) -> Moment {
        self.clock.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

/// Workers.
impl Witness {
    pub(crate) fn handler_of(&self, worker: &str) -> HandlerId {
        let mut state = self.state();
        state.handlers.push(Handler {
            worker: worker.to_owned(),
            is_alive: true,
            is_troubled: false,
        });
        HandlerId(u32::try_from(state.handlers.len() - 1).expect("a run is short"))
    }

    pub(crate) fn crashed(&self, worker: &str) {
        self.note(|| format!("{worker} CRASHES"));
        for handler in self.state().handlers_of(worker) {
            handler.is_alive = false;
        }
    }

    /// Something failed or took long for whoever is at work.
    pub(crate) fn troubled(&self) {
        let HandlerId(number) = HandlerId::current();
        self.state().handlers[number as usize].is_troubled = true;
    }

    pub(crate) fn stalled(&self, worker: &str, lasts: Duration) {
        self.note(|| format!("{worker} stands still for {lasts:?}"));
        for handler in self.state().handlers_of(worker) {
            handler.is_troubled = true;
        }
    }
}

/// The queue, as it really is.
impl Witness {
    pub(crate) fn event_queued(&self, event: &Event, copies: u32) {
        let now = self.now();
        let mut state = self.state();
        let seen = state.events.entry(event.id.clone()).or_default();
        seen.copies += copies;
        seen.published_at.get_or_insert(now);
        seen.document = event.document.clone();
        seen.callback = event.callback.as_ref().map(|callback| {
            let destination = Destination::Callback {
                url: callback.url.clone(),
                secret: None,
            };
            DeliveryId::derive(&event.project, &event.id, &destination.id())
        });
    }

    pub(crate) fn event_accepted(&self, id: &EventId) {
        self.note(|| format!("producer: {id} is accepted"));
        self.state().events.entry(id.clone()).or_default().accepted = true;
    }

    /// A message of an event is gone for good.
    pub(crate) fn event_acknowledged(&self, id: &EventId) {
        let mut state = self.state();
        let seen = state.events.entry(id.clone()).or_default();
        seen.copies = seen.copies.saturating_sub(1);
        if seen.copies > 0 {
            return;
        }
        let is_marked = self.store.event_mark(&self.project, id);
        let is_marked = matches!(is_marked.now_or_never(), Some(Ok(Some(_))));
        if !is_marked && !self.is_dead_event(id, seen) {
            let what =
                format!("{id} was acknowledged, and is neither dispatched nor a dead letter");
            state.violated(self.now(), Invariant::NothingLost, what);
        }
    }

    pub(crate) fn event_marked(&self, id: &EventId) {
        let now = self.now();
        let mut state = self.state();
        let seen = state.events.entry(id.clone()).or_default();
        seen.marked_at.get_or_insert(now);
    }

    pub(crate) fn delivery_queued(&self, delivery: &Delivery, copies: u32) {
        let mut state = self.state();
        let id = delivery.id.clone();
        let seen = state
            .deliveries
            .entry(id)
            .or_insert_with(|| DeliverySeen::of(delivery));
        seen.copies += copies;
        seen.newest = seen.newest.max(delivery.generation);
        if seen.body != delivery.body || seen.event != delivery.event.id {
            let what = format!("{} was published with another body", seen.label);
            state.violated(self.now(), Invariant::SameBytes, what);
        }
    }

    /// A message of a delivery is gone for good.
    pub(crate) fn delivery_acknowledged(&self, id: &DeliveryId) {
        let mut state = self.state();
        let Some(seen) = state.deliveries.get_mut(id) else {
            return;
        };
        seen.copies = seen.copies.saturating_sub(1);
        if seen.copies == 0
            && let Some(what) = self.lost(id, seen)
        {
            state.violated(self.now(), Invariant::NothingLost, what);
        }
    }

    /// Messages the queue forgot.
    pub(crate) fn delivery_forgotten(&self, id: &DeliveryId) {
        self.delivery_acknowledged(id);
    }
}

/// The store, as it really is.
impl Witness {
    pub(crate) fn claim_answered(
        &self,
        delivery: &Delivery,
        answer: &ClaimAnswer,
        lease: Duration,
    ) {
        let now = self.now();
        let handler = HandlerId::current();
        let mut state = self.state();
        let label = state.label(&delivery.id);
        let worker = state.worker(handler);
        if self.keeps_trace {
            let told = match answer {
                ClaimAnswer::Granted { claim, expired } => {
                    let again = if expired.is_some() {
                        ", the one before ran out"
                    } else {
                        ""
                    };
                    format!("granted, token {}{again}", claim.token.0)
                }
                ClaimAnswer::Held { remaining } => format!("held for {remaining:?}"),
                ClaimAnswer::Settled => "settled".into(),
            };
            let position = told_position((delivery.generation, delivery.attempt));
            state.note(now, &format!("{worker} claims {label} {position}: {told}"));
        }
        let ClaimAnswer::Granted { claim, .. } = answer else {
            return;
        };
        let State {
            deliveries,
            handlers,
            ..
        } = &mut *state;
        let Some(seen) = deliveries.get_mut(&delivery.id) else {
            return;
        };
        let mut broken = None;
        if let Some(before) = &seen.lease
            && before.claim.token != claim.token
            && !before.is_settled
            && before.until > now
        {
            let holder = &handlers[before.handler.0 as usize].worker;
            broken = Some(format!(
                "{worker} is granted {label} while {holder} holds it"
            ));
        }
        seen.under_way.retain(|(_, until)| *until > now);
        let still_sending = seen
            .under_way
            .iter()
            .find(|(sender, _)| handlers[sender.0 as usize].is_alive);
        if let Some((sender, _)) = still_sending {
            let holder = &handlers[sender.0 as usize].worker;
            broken.get_or_insert(format!(
                "{worker} is granted {label} while a request of {holder} is under way"
            ));
        }
        seen.lease = Some(Lease {
            handler,
            claim: claim.clone(),
            until: now + lease,
            is_settled: false,
        });
        if let Some(what) = broken {
            state.violated(now, Invariant::OneHolder, what);
        }
    }

    pub(crate) fn settled(&self, claim: &Claim, as_what: &str, is_stale: bool) {
        let now = self.now();
        let mut state = self.state();
        if self.keeps_trace {
            let (worker, label) = (
                state.worker(HandlerId::current()),
                state.label(&claim.delivery),
            );
            let stale = if is_stale {
                ": too late, the token is stale"
            } else {
                ""
            };
            let position = told_position((claim.generation, claim.attempt));
            state.note(
                now,
                &format!("{worker} settles {label} {position} as {as_what}{stale}"),
            );
        }
        if let Some(seen) = state.deliveries.get_mut(&claim.delivery)
            && let Some(lease) = &mut seen.lease
            && lease.claim.token == claim.token
        {
            lease.is_settled = true;
        }
    }

    pub(crate) fn webhook_changed(&self, webhook: &Webhook) {
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

    fn is_dead(&self, id: &DeadLetterId) -> bool {
        matches!(self.store.dead_letter(id).now_or_never(), Some(Ok(Some(_))))
    }

    /// Whether the event is kept: as one that no body can be made of, or as what the broker gave up on.
    fn is_dead_event(&self, id: &EventId, seen: &EventSeen) -> bool {
        self.is_dead(&DeadLetterId::of_event(&self.project, id))
            || self.is_dead(&DeadLetterId::of_raw(&seen.document))
    }

    /// What is wrong with a delivery that is in no queue: nothing, if it is delivered or a dead letter.
    fn lost(&self, id: &DeliveryId, seen: &DeliverySeen) -> Option<String> {
        let label = &seen.label;
        let record = self.store.delivery(id).now_or_never();
        let state = match &record {
            Some(Ok(Some(record))) => Some(&record.state),
            _ => None,
        };
        if let Some(DeliveryState::Delivered { .. }) = state {
            let claimed = format!("{label} is recorded as delivered and never was");
            return seen.accepted_by.is_none().then_some(claimed);
        }
        let dead_letter = DeadLetterId::derive(id, seen.newest);
        (!self.is_dead(&dead_letter)).then(|| {
            let told = state.map_or("unknown", DeliveryState::class);
            format!("{label} is in no queue, and neither delivered nor a dead letter ({told})")
        })
    }
}

/// Destinations.
impl Witness {
    /// What this delivery is called in the trace.
    pub(crate) fn label(&self, id: &DeliveryId) -> String {
        self.state().label(id)
    }

    /// A request arrives. What it will be answered is decided already.
    pub(crate) fn request_arrived(
        &self,
        id: &DeliveryId,
        event: &str,
        attempt: AttemptNumber,
        url: &Url,
        body: &Bytes,
        reaction: &Reaction,
    ) {
        let now = self.now();
        let handler = HandlerId::current();
        let mut state = self.state();
        state.requests += 1;
        let State {
            deliveries,
            handlers,
            webhooks,
            ..
        } = &mut *state;
        let worker = handlers[handler.0 as usize].worker.clone();
        let is_explained = |other: &HandlerId| {
            let other = &handlers[other.0 as usize];
            !other.is_alive || other.is_troubled
        };
        let mut broken = Vec::new();
        let mut is_duplicate = false;
        let Some(seen) = deliveries.get_mut(id) else {
            let what = format!("{worker} sends {id}, which was never published");
            state.violated(now, Invariant::SameBytes, what);
            return;
        };
        let label = seen.label.clone();

        // Whose claim it is made under.
        let position = match &seen.lease {
            Some(lease) if lease.handler == handler && !lease.is_settled => {
                if lease.until <= now {
                    let what = format!("{worker} sends {label} after its lease was over");
                    broken.push((Invariant::OneHolder, what));
                }
                Some((lease.claim.generation, lease.claim.attempt))
            }
            Some(lease) if !lease.is_settled && lease.until > now => {
                let holder = &handlers[lease.handler.0 as usize].worker;
                let what = format!("{worker} sends {label} while {holder} holds it");
                broken.push((Invariant::OneHolder, what));
                None
            }
            _ => {
                let what = format!("{worker} sends {label} without a claim");
                broken.push((Invariant::OneHolder, what));
                None
            }
        };
        let position = position.unwrap_or((seen.newest, attempt));
        let told = told_position(position);

        // Whether it comes in its turn, and not before its time.
        if position.1 != attempt || seen.last_sent.is_some_and(|last| position < last) {
            let last = seen.last_sent.map_or_else(String::new, told_position);
            let what = format!("{worker} sends {label} {told} as {attempt}, after {last}");
            broken.push((Invariant::InOrder, what));
        }
        if attempt > AttemptNumber::FIRST {
            match seen.due_at.get(&position) {
                None => {
                    let what = format!("{worker} sends {label} {told} without the one before");
                    broken.push((Invariant::InOrder, what));
                }
                Some(due_at) if now < *due_at => {
                    let early = *due_at - now;
                    let what = format!("{worker} sends {label} {told} {early:?} early");
                    broken.push((Invariant::NeverEarly, what));
                }
                Some(_) => {}
            }
        }

        // Whether it was there before.
        let senders = seen.sent_by.entry(position).or_default();
        if let Some(accepted_by) = &seen.accepted_by {
            is_duplicate = true;
            if !is_explained(accepted_by) {
                let what = format!("{worker} sends {label} {told}, accepted before");
                broken.push((Invariant::NoNeedlessDuplicate, what));
            }
        }
        if !senders.is_empty() {
            is_duplicate = true;
            if !senders.iter().all(is_explained) {
                let what = format!("{worker} sends {label} {told} again without need");
                broken.push((Invariant::NoNeedlessDuplicate, what));
            }
        }
        if seen.body != body || seen.event.as_str() != event {
            let what = format!("{worker} sends {label} {told} with another body or id");
            broken.push((Invariant::SameBytes, what));
        }
        if let Some(webhook) = &seen.webhook
            && !handlers[handler.0 as usize].is_troubled
            && !webhooks
                .get(webhook)
                .is_some_and(|webhook| webhook.was_at(url, now))
        {
            let what = format!("{worker} sends {label} {told} to {url}, not there for a second");
            broken.push((Invariant::ChangesApply, what));
        }

        senders.push(handler);
        seen.last_sent = seen.last_sent.max(Some(position));
        let ends_at = now + reaction.lasts;
        seen.under_way.push((handler, ends_at));
        if reaction.is_acceptance {
            seen.accepted_by = Some(handler);
        } else {
            let next = (position.0, position.1.next());
            let due_at = ends_at + reaction.rest;
            let earliest = seen.due_at.entry(next).or_insert(due_at);
            *earliest = (*earliest).min(due_at);
        }
        if is_duplicate {
            state.duplicates += 1;
        }
        for (invariant, what) in broken {
            state.violated(now, invariant, what);
        }
    }
}

/// The end.
impl Witness {
    /// Everything has come to rest: is it where it should be?
    pub(crate) fn check_rest(&self) {
        let mut state = self.state();
        let mut broken = Vec::new();
        for (id, seen) in &state.deliveries {
            if let Some(what) = self.lost(id, seen) {
                broken.push(what);
            }
        }
        for (id, event) in state.events.iter().filter(|(_, event)| event.accepted) {
            let Some(marked_at) = event.marked_at else {
                if !self.is_dead_event(id, event) {
                    broken.push(format!("{id} is neither dispatched nor a dead letter"));
                }
                continue;
            };
            let published_at = event.published_at.unwrap_or_default();
            let since = published_at.saturating_sub(CHANGES_APPLY_WITHIN);
            let webhooks = state
                .webhooks
                .iter()
                .filter(|(_, webhook)| webhook.was_enabled(since, marked_at))
                .map(|(webhook, _)| {
                    let destination = Destination::Webhook {
                        id: webhook.clone(),
                        url: Url::parse("https://any.example/").expect("a URL"),
                    };
                    DeliveryId::derive(&self.project, id, &destination.id())
                });
            for wanted in webhooks.chain(event.callback.clone()) {
                if !state.deliveries.contains_key(&wanted) {
                    broken.push(format!("{id} never went to one of its destinations"));
                }
            }
        }
        for what in broken {
            state.violated(self.now(), Invariant::NothingLost, what);
        }
    }
}

impl State {
    fn note(&mut self, now: Moment, line: &str) {
        let mut told = String::new();
        let _ = write!(told, "{:>10.3}s  {line}", now.as_secs_f64());
        self.trace.push(told);
    }

    fn violated(&mut self, now: Moment, invariant: Invariant, what: String) {
        if self.violation.is_none() {
            self.note(now, &format!("VIOLATED {invariant}: {what}"));
            self.violation = Some(Violation { invariant, what });
        }
    }

    fn handlers_of<'a>(&'a mut self, worker: &'a str) -> impl Iterator<Item = &'a mut Handler> {
        self.handlers
            .iter_mut()
            .filter(move |handler| handler.worker == worker)
    }

    fn worker(&self, HandlerId(number): HandlerId) -> String {
        self.handlers[number as usize].worker.clone()
    }

    fn label(&self, id: &DeliveryId) -> String {
        self.deliveries
            .get(id)
            .map_or_else(|| id.to_string(), |seen| seen.label.clone())
    }
}

impl DeliverySeen {
    fn of(delivery: &Delivery) -> Self {
        let (destination, webhook) = match &delivery.destination {
            Destination::Webhook { id, .. } => (id.as_str(), Some(id.clone())),
            Destination::Callback { .. } => ("callback", None),
        };
        Self {
            label: format!("{}→{destination}", delivery.event.id),
            webhook,
            event: delivery.event.id.clone(),
            body: delivery.body.clone(),
            copies: 0,
            newest: delivery.generation,
            lease: None,
            under_way: Vec::new(),
            last_sent: None,
            sent_by: BTreeMap::new(),
            due_at: BTreeMap::new(),
            accepted_by: None,
        }
    }
}

impl WebhookSeen {
    /// Whether it was enabled at this URL at some moment of the last second.
    fn was_at(&self, url: &Url, now: Moment) -> bool {
        let since = now.saturating_sub(CHANGES_APPLY_WITHIN);
        self.during(since, now).any(|at| at == Some(url))
    }

    /// Whether it was enabled all the time.
    fn was_enabled(&self, since: Moment, until: Moment) -> bool {
        let begun = self.history.first().is_some_and(|(at, _)| *at <= since);
        begun && self.during(since, until).all(|at| at.is_some())
    }

    fn during(&self, since: Moment, until: Moment) -> impl Iterator<Item = Option<&Url>> {
        let ends = self.history.iter().skip(1).map(|(at, _)| *at);
        let ends = ends.chain([Moment::MAX]);
        let spans = self.history.iter().zip(ends);
        spans
            .filter(move |((begin, _), end)| *begin <= until && *end > since)
            .map(|((_, url), _)| url.as_ref())
    }
}

fn told_position((generation, attempt): Position) -> String {
    if generation == Generation::FIRST {
        format!("attempt {attempt}")
    } else {
        format!("attempt {attempt} of replay {}", generation.get())
    }
}

/// What the use cases tell about themselves goes into the trace.
impl Observer for Witness {
    fn saw(&self, occurrence: &Occurrence<'_>) {
        let id = match occurrence {
            Occurrence::Delivered { delivery, .. } => &delivery.id,
            _ => return self.tell(occurrence),
        };
        let mut state = self.state();
        if let Some(seen) = state.deliveries.get(id)
            && seen.accepted_by.is_none()
        {
            let what = format!("{} is told to be delivered and never was", seen.label);
            state.violated(self.now(), Invariant::NothingLost, what);
        }
    }
}

impl Witness {
    fn tell(&self, occurrence: &Occurrence<'_>) {
        self.note(|| {
            let worker = self.state().worker(HandlerId::current());
            let told = match occurrence {
                Occurrence::EventDispatched { event, deliveries } => {
                    format!("has dispatched {} to {deliveries}", event.id)
                }
                Occurrence::EventSuppressed { event } => format!("drops {}, known", event.id),
                Occurrence::AttemptMade { delivery, attempt } => format!(
                    "has made attempt {} at {}: {}",
                    attempt.number,
                    self.label(&delivery.id),
                    attempt.outcome
                ),
                Occurrence::RetryPlanned { delivery, wait } => format!(
                    "has planned attempt {} at {} in {:?}",
                    delivery.attempt,
                    self.label(&delivery.id),
                    wait.at_least
                ),
                Occurrence::DeadLettered { dead_letter } => {
                    format!("has stored a dead letter: {}", dead_letter.reason)
                }
                Occurrence::DuplicateSuppressed { delivery } => format!(
                    "drops attempt {} at {}",
                    delivery.attempt,
                    self.label(&delivery.id)
                ),
                Occurrence::ClaimHeld { delivery, .. } => format!(
                    "puts off attempt {} at {}",
                    delivery.attempt,
                    self.label(&delivery.id)
                ),
                Occurrence::Replayed { delivery } => format!(
                    "replays {} as {}",
                    self.label(&delivery.id),
                    delivery.generation.get()
                ),
                Occurrence::StepRepeated { step, failure } => {
                    format!("repeats `{step}`: {failure}")
                }
                _ => String::new(),
            };
            format!("{worker} {told}")
        });
    }
}
