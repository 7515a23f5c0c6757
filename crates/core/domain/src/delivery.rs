//! One event on its way to one destination.

use crate::{
    Attempt, DeadLetterId, DeliveryId, Destination, Event, EventId, EventType, Job, ProfileName,
    ProjectName,
};
use bytes::Bytes;
use jiff::Timestamp;
use std::{fmt, num::NonZeroU16};

/// The ordinal of an attempt within its generation; the first is 1, the later ones are retries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptNumber(NonZeroU16);

impl AttemptNumber {
    /// The first attempt.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// `None` for zero.
    pub fn try_new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }

    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for AttemptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for AttemptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The round of attempts: 0 for the first, one more for each replay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Generation(u32);

impl Generation {
    /// The round that began with the event.
    pub const FIRST: Self = Self(0);

    /// The generation of this number.
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The round it is as people count: theirs begin with 1, as attempts do.
    pub fn round(self) -> u32 {
        self.next().0
    }

    /// The generation of the next replay.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The generation before this one; of the first, itself.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// One event on its way to one destination: everything an attempt needs, so that a retry never waits for a look-up.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Derived from the event and the destination.
    pub id: DeliveryId,
    /// The event, as far as headers, logs and lists need it.
    pub event: EventSummary,
    /// When the event was accepted, where that is known; never after it was dispatched.
    pub accepted_at: Option<Timestamp>,
    /// Where it goes.
    pub destination: Destination,
    /// The profile the body was rendered by, and whose headers, signature and schedule apply.
    pub profile: ProfileName,
    /// The round of attempts.
    pub generation: Generation,
    /// The attempt to be made next.
    pub attempt: AttemptNumber,
    /// Not to be attempted before this moment.
    pub due_at: Option<Timestamp>,
    /// Set while this attempt is put off for the destination's sake.
    pub deferral: Option<Deferral>,
    /// The attempts of this generation so far, oldest first, and those of earlier generations before them.
    pub history: Vec<Attempt>,
    /// Where a replay goes instead, when not to its destination as that is now.
    pub detour: Option<Detour>,
    /// The trace the producer began.
    pub trace: Option<TraceContext>,
    /// The body, rendered once: the same bytes in every attempt and every replay.
    pub body: Bytes,
}

/// An attempt put off without being counted: the destination's breaker is open, or it is over its rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deferral {
    /// Since when an open breaker has put this attempt off; the time that other things made it wait is left out, by moving this on.
    pub since: Timestamp,
    /// The turn reserved for it, if one was.
    pub turn_at: Option<Timestamp>,
    /// When it is back at the latest. What comes later found no worker, which is nobody's trouble there.
    pub back_by: Option<Timestamp>,
    /// Whether it came too late for an earlier turn.
    pub missed: bool,
}

/// A replay that goes elsewhere than to its destination as that is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detour {
    /// To the URL that was the webhook's when the event was dispatched, signed with the webhook's secret of now.
    OriginalUrl,
    /// To another webhook, on behalf of this delivery, which it never counts for.
    InsteadOf(DeliveryId),
}

/// What is kept of an event beside the rendered body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSummary {
    /// The producer's id.
    pub id: EventId,
    /// The tenant.
    pub project: ProjectName,
    /// Such as `task.completed`.
    pub event_type: EventType,
    /// When it happened, by the producer's clock; when it was dispatched, if nobody said.
    pub occurred_at: Timestamp,
    /// When it was dispatched, by the dispatching worker's clock.
    pub dispatched_at: Timestamp,
    /// The job it happened to.
    pub job: Job,
}

impl EventSummary {
    /// The summary of an event dispatched now.
    pub fn of(event: &Event, dispatched_at: Timestamp) -> Self {
        Self {
            id: event.id.clone(),
            project: event.project.clone(),
            event_type: event.event_type.clone(),
            occurred_at: event.occurred_at.unwrap_or(dispatched_at),
            dispatched_at,
            job: event.job.clone(),
        }
    }
}

/// The W3C trace context of the producer's span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`, as it came.
    pub traceparent: String,
    /// `tracestate`, as it came.
    pub tracestate: Option<String>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryState {
    /// A worker holds the claim to an attempt.
    Attempting,
    /// A retry is planned.
    Waiting {
        /// When it is due.
        until: Timestamp,
    },
    /// The destination accepted it.
    Delivered {
        /// When.
        at: Timestamp,
    },
    /// Given up.
    DeadLettered {
        /// The dead letter.
        id: DeadLetterId,
    },
}

impl DeliveryState {
    /// Whether nothing more happens by itself.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Delivered { .. } | Self::DeadLettered { .. })
    }

    /// A stable word for lists and filters.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Attempting => "attempting",
            Self::Waiting { .. } => "waiting",
            Self::Delivered { .. } => "delivered",
            Self::DeadLettered { .. } => "dead_lettered",
        }
    }
}

/// A delivery as the store knows it: its state and every attempt, without the body.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryRecord {
    /// Derived from the event and the destination.
    pub id: DeliveryId,
    /// The event.
    pub event: EventSummary,
    /// Where it goes.
    pub destination: Destination,
    /// The profile that applies.
    pub profile: ProfileName,
    /// The round of attempts.
    pub generation: Generation,
    /// Where it stands.
    pub state: DeliveryState,
    /// Every attempt that is still kept, oldest first.
    pub attempts: Vec<Attempt>,
    /// When a worker first took it.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
