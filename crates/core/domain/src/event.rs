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
    /// When it happened, by the producer's clock. `None` when it does not say; [`Event::dated`] then says it.
    pub occurred_at: Option<Timestamp>,
    /// When it was published, by the clock of whoever did; told beside the document, and only measured by. `None` when nobody
    /// said.
    pub accepted_at: Option<Timestamp>,
    /// The job it happened to.
    pub job: Job,
    /// A destination the job itself named.
    pub callback: Option<Callback>,
    /// The event as JSON text, without `callback`: a secret never travels in it. At most [`crate::limits::BODY_BYTES_MAX`].
    pub document: Bytes,
}

impl Event {
    /// The event with this moment, to the millisecond, unless it says itself when it happened.
    ///
    /// The moment becomes a member of the document, so that whoever reads the event later, and however often, makes the same
    /// bodies of it.
    #[must_use]
    pub fn dated(mut self, moment: Timestamp) -> Self {
        if self.occurred_at.is_some() {
            return self;
        }
        let Some(end) = self.document.iter().rposition(|byte| *byte == b'}') else {
            return self;
        };
        let moment = Timestamp::from_millisecond(moment.as_millisecond()).unwrap_or(moment);
        let mut document = self.document[..end].to_vec();
        document.extend_from_slice(format!(",\"occurred_at\":\"{moment:.3}\"}}").as_bytes());
        self.document = document.into();
        self.occurred_at = Some(moment);
        self
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn undated() -> Event {
        Event {
            id: "evt_1".parse().unwrap(),
            project: "acme".parse().unwrap(),
            event_type: "task.completed".parse().unwrap(),
            occurred_at: None,
            accepted_at: None,
            job: Job {
                id: "task_1".parse().unwrap(),
                kind: None,
                status: None,
            },
            callback: None,
            document: r#"{"id":"evt_1","data":{"n":1.50}} "#.into(),
        }
    }

    #[test]
    fn a_moment_is_written_into_the_document_once() {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let event = undated().dated(moment("2026-06-01T10:01:30.250999Z"));
        assert_eq!(
            event.document,
            r#"{"id":"evt_1","data":{"n":1.50},"occurred_at":"2026-06-01T10:01:30.250Z"}"#
        );
        assert_eq!(
            event.occurred_at,
            Some(moment("2026-06-01T10:01:30.250Z")),
            "what is kept beside the document is what it says"
        );
        let again = event.clone().dated(moment("2030-01-01T00:00:00Z"));
        assert_eq!(again.document, event.document);
        assert_eq!(again.occurred_at, event.occurred_at);
    }
}
