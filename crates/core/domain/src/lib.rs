//! Events, webhooks, deliveries, attempts, dead letters, and the rules among them.
//!
//! Nothing here does I/O, reads a clock or draws a random number: moments and draws come in as arguments, so that each rule
//! reads like the manual and tests as a table. Nothing here is serialised either: `ringback-wire` has its own structs.
#![warn(missing_docs)]

mod api_key;
mod attempt;
mod breaker;
mod budget;
mod dead_letter;
mod dead_letter_group;
mod delivery;
mod destination;
mod event;
mod id;
pub mod limits;
pub mod replay_plan;
mod retry;
mod status;
mod traffic;
mod webhook;

pub use api_key::{ApiKey, KeyOwner, KeyScope, SecretDigest, UnknownScope};
pub use attempt::{
    Answer, Attempt, AttemptOutcome, Excerpt, Fault, NotSentReason, Phases, Trigger,
    UnreachableCause, harmless_text,
};
pub use breaker::{Admission, Breaker, BreakerRules, BreakerState};
pub use budget::{BudgetState, DeadLetterBudget, DeadLetterUsage};
pub use dead_letter::{
    Cause, DeadLetter, DeadLetterContent, DeadLetterReason, Disposal, Replayed, UnknownReason,
};
pub use dead_letter_group::{Acknowledgement, DeadLetterGroup, GroupHead};
pub use delivery::{
    AttemptNumber, Deferral, Delivery, DeliveryRecord, DeliveryState, Detour, EventSummary,
    Generation, TraceContext,
};
pub use destination::{Callback, CallbackSecret, Destination, SealedSecret};
pub use event::{Event, Job};
pub use id::{
    ApiKeyId, DeadLetterId, DeliveryId, DestinationId, EventId, EventType, IdError, JobId, PlanId,
    ProfileName, ProjectName, WebhookId, WorkerId,
};
pub use retry::{
    DeliveryRules, NextStep, OnUnknownOutcome, RetryPolicy, RetryPolicyError, Wait, next_step,
    parse_retry_after,
};
pub use status::{StatusSet, StatusSetError};
pub use traffic::{Traffic, TrafficOf, TrafficPoint, TrafficStep};
pub use webhook::{EventFilter, Webhook, WebhookSecret, WebhookState};

pub use jiff::Timestamp;
