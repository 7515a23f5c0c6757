//! Sees everything and checks the invariants as it happens.
//!
//! It stands at the ports, on the far side of the faults: it knows what the queue and the store really did and what
//! really reached a destination, whatever the worker was told.

mod destinations;
mod handlers;
mod observer;
mod queue;
mod rest;
mod store;

pub(crate) use destinations::{Arrived, Reaction};
pub(crate) use handlers::HandlerId;

use crate::{
    chronicle::Chronicle,
    invariants::{Invariant, Violation},
};
use bytes::Bytes;
use handlers::Handler;
use ringback_delivery::port::Claim;
use ringback_domain::{
    AttemptNumber, Delivery, DeliveryId, Destination, EventId, Generation, ProjectName, WebhookId,
};
use ringback_testkit::simulation::{SimulatedStore, TokioClock};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use store::WebhookSeen;

/// The one who sees everything.
pub(crate) struct Witness {
    clock: TokioClock,
    chronicle: Arc<Chronicle>,
    store: Arc<SimulatedStore>,
    project: ProjectName,
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
    violation: Option<Violation>,
}

/// A moment of a run: how long after its beginning.
type Moment = Duration;

/// Which attempt of which round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position(Generation, AttemptNumber);

#[derive(Default)]
struct EventSeen {
    /// The producer was told that it is safe.
    is_accepted: bool,
    published_at: Option<Moment>,
    marked_at: Option<Moment>,
    callback: Option<DeliveryId>,
    document: Bytes,
    /// Messages of it in the queue.
    copies: u32,
}

struct DeliverySeen {
    label: String,
    webhook: Option<WebhookId>,
    event: EventId,
    body: Bytes,
    /// Messages of it in the queue.
    copies: u32,
    /// There was one: until then its event's message stands for it.
    was_queued: bool,
    newest: Generation,
    lease: Option<Lease>,
    /// Requests under way, and until when.
    under_way: Vec<(HandlerId, Moment)>,
    last_sent: Option<Position>,
    sent_by: BTreeMap<Position, Vec<HandlerId>>,
    /// Attempts not to be made before.
    due_at: BTreeMap<Position, Moment>,
    accepted_by: Option<HandlerId>,
}

struct Lease {
    handler: HandlerId,
    claim: Claim,
    until: Moment,
    is_settled: bool,
}

impl Witness {
    pub(crate) fn new(
        clock: TokioClock,
        chronicle: Arc<Chronicle>,
        store: Arc<SimulatedStore>,
        project: ProjectName,
    ) -> Self {
        let state = State {
            handlers: vec![Handler::nobody()],
            ..State::default()
        };
        Self {
            clock,
            chronicle,
            store,
            project,
            state: Mutex::new(state),
        }
    }

    /// The first invariant that did not hold.
    pub(crate) fn violation(&self) -> Option<Violation> {
        self.state().violation.clone()
    }

    /// How many requests were made, and how many of them a destination had answered, or may have, before.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let state = self.state();
        (state.requests, state.duplicates)
    }

    /// Writes a line, if anybody reads it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        self.chronicle.note(line);
    }

    /// What a delivery is called in the trace.
    pub(crate) fn label(&self, id: &DeliveryId) -> String {
        self.state().label(id)
    }

    pub(crate) fn violated(&self, invariant: Invariant, what: String) {
        self.fails(&mut self.state(), invariant, what);
    }

    fn fails(&self, state: &mut State, invariant: Invariant, what: String) {
        if state.violation.is_none() {
            self.note(|| format!("VIOLATED {invariant}: {what}"));
            state.violation = Some(Violation { invariant, what });
        }
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

impl State {
    fn label(&self, id: &DeliveryId) -> String {
        let seen = self.deliveries.get(id);
        seen.map_or_else(|| id.to_string(), |seen| seen.label.clone())
    }
}

impl DeliverySeen {
    fn of(delivery: &Delivery) -> Self {
        let webhook = match &delivery.destination {
            Destination::Webhook { id, .. } => Some(id.clone()),
            Destination::Callback { .. } => None,
        };
        let place = webhook.as_ref().map_or("callback", WebhookId::as_str);
        Self {
            label: format!("{}→{place}", delivery.event.id),
            webhook,
            event: delivery.event.id.clone(),
            body: delivery.body.clone(),
            copies: 0,
            was_queued: false,
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

impl Position {
    fn of(delivery: &Delivery) -> Self {
        Self(delivery.generation, delivery.attempt)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {}", self.1)?;
        if self.0 > Generation::FIRST {
            write!(f, " of replay {}", self.0.get())?;
        }
        Ok(())
    }
}
