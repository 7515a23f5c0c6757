//! What happened to a job.

use crate::{Callback, EventId, EventType, JobId, ProjectName};
use bytes::Bytes;
use jiff::Timestamp;

/// Something that happened to a job; immutable.
///
/// The members here are what we route, log and list by. The whole document, as the producer wrote it, is kept as text:
/// bodies are made from it, and no number, order or escape in it changes on the way.
#[derive(Debug, Clone)]
pub struct Event {
    /// Unique within the project for the idempotency window.
    pub id: EventId,
    /// The tenant.
    pub project: ProjectName,
    /// Such as `task.completed`.
    pub event_type: EventType,
    /// When it happened, by the producer's clock.
    pub occurred_at: Timestamp,
    /// The job it happened to.
    pub job: Job,
    /// A destination the job itself named.
    pub callback: Option<Callback>,
    /// The event as JSON text, without `callback`: a secret never travels in it. At most [`crate::limits::BODY_BYTES_MAX`].
    pub document: Bytes,
}

/// The job of an event, as far as we look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The platform's id.
    pub id: JobId,
    /// Such as `video`.
    pub kind: Option<String>,
    /// Such as `completed`.
    pub status: Option<String>,
}
