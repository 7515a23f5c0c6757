//! The moments at which tests let a worker vanish. A release build has none of this: not the calls, not the names.

use std::sync::OnceLock;

/// A moment between two steps: the rows of the crash table in docs/protocol.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPoint {
    /// Deliver, step 1: the claim was granted, nothing is sent.
    Claimed,
    /// Deliver, step 2: the request was sent, its answer is recorded nowhere.
    RequestSent,
    /// Deliver, step 3a: settled as delivered, not acknowledged.
    SettledDelivered,
    /// Deliver, step 3b: the retry is confirmed, the claim not settled.
    RetryPublished,
    /// Deliver, step 4b: settled as retrying, not acknowledged.
    SettledRetrying,
    /// Deliver, step 3c: dead letter stored and claim settled, not acknowledged.
    SettledDeadLettered,
    /// Dispatch: the moment of an event without one is kept, nothing is made of the event.
    EventDated,
    /// Dispatch: a delivery is confirmed, its sisters perhaps not. Reached once for each delivery.
    DeliveryPublished,
    /// Dispatch: all deliveries are confirmed, the event is not marked.
    DeliveriesPublished,
    /// Dispatch: the event is marked, not acknowledged.
    EventMarked,
    /// Dispatch: a direct attempt takes long and a message of its own is confirmed, the event is not marked.
    AttemptGuarded,
    /// Replay: published, not marked as replayed.
    ReplayPublished,
    /// Replay plan: entries are confirmed, none is marked.
    PlanPublished,
    /// Replay plan: entries are marked as replayed, the plan does not know.
    PlanMarked,
}

impl FaultPoint {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 14] = [
        Self::Claimed,
        Self::RequestSent,
        Self::SettledDelivered,
        Self::RetryPublished,
        Self::SettledRetrying,
        Self::SettledDeadLettered,
        Self::EventDated,
        Self::DeliveryPublished,
        Self::DeliveriesPublished,
        Self::EventMarked,
        Self::AttemptGuarded,
        Self::ReplayPublished,
        Self::PlanPublished,
        Self::PlanMarked,
    ];

    /// The name it goes by outside: in the table, and in the variable that chooses one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::RequestSent => "request-sent",
            Self::SettledDelivered => "settled-delivered",
            Self::RetryPublished => "retry-published",
            Self::SettledRetrying => "settled-retrying",
            Self::SettledDeadLettered => "settled-dead-lettered",
            Self::EventDated => "event-dated",
            Self::DeliveryPublished => "delivery-published",
            Self::DeliveriesPublished => "deliveries-published",
            Self::EventMarked => "event-marked",
            Self::AttemptGuarded => "attempt-guarded",
            Self::ReplayPublished => "replay-published",
            Self::PlanPublished => "plan-published",
            Self::PlanMarked => "plan-marked",
        }
    }
}

static HOOK: OnceLock<fn(FaultPoint)> = OnceLock::new();

/// Has `hook` called at every fault point from now on. The first hook of a process stays.
pub fn on_fault_point(hook: fn(FaultPoint)) {
    let _ = HOOK.set(hook);
}

pub(crate) fn reached(point: FaultPoint) {
    if let Some(hook) = HOOK.get() {
        hook(point);
    }
}
