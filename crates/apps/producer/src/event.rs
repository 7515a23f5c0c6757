//! Events, as an application makes them.

use crate::{PublishError, Timestamp, TraceContext};
use bytes::Bytes;
use ringback_domain::{CallbackSecret, Event, SealedSecret};
use ringback_wire::event;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// An event to publish.
///
/// Nothing is checked before it is published; then every member is, and [`PublishError::NotAccepted`] names the one at fault.
#[derive(Debug, Clone)]
pub struct NewEvent {
    text: EventText,
    callback_secret: Option<SecretString>,
    trace: Option<TraceContext>,
    fault: Option<(&'static str, String)>,
}

/// The members in the order they are written.
#[derive(Debug, Clone, Serialize)]
struct EventText {
    id: String,
    project: String,
    r#type: String,
    occurred_at: Timestamp,
    job: JobText,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackText>,
}

#[derive(Debug, Clone, Serialize)]
struct CallbackText {
    url: String,
}

impl NewEvent {
    /// Something that happened to a job just now, under an id of its own.
    pub fn new(project: impl Into<String>, event_type: impl Into<String>, job: Job) -> Self {
        Self {
            text: EventText {
                id: format!("evt_{}", Uuid::now_v7().simple()),
                project: project.into(),
                r#type: event_type.into(),
                occurred_at: now(),
                job: job.text,
                data: None,
                callback: None,
            },
            callback_secret: None,
            trace: None,
            fault: job.fault,
        }
    }

    /// An id of your own: the idempotency key. The same id within the window is the same event.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.text.id = id.into();
        self
    }

    /// When it happened, if not just now.
    #[must_use]
    pub fn occurred_at(mut self, moment: Timestamp) -> Self {
        self.text.occurred_at = moment;
        self
    }

    /// Whatever the platform's profile puts into the body. A [`RawValue`] passes as it is written.
    #[must_use]
    pub fn data(mut self, data: impl Serialize) -> Self {
        self.text.data = write("data", &data, &mut self.fault);
        self
    }

    /// A destination of this job's own.
    #[must_use]
    pub fn callback(mut self, callback: Callback) -> Self {
        self.text.callback = Some(CallbackText { url: callback.url });
        self.callback_secret = callback.secret;
        self
    }

    /// The trace that attempts to deliver this event should belong to.
    #[must_use]
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// The id, which publishing again needs.
    pub fn event_id(&self) -> &str {
        &self.text.id
    }

    /// The event, checked. The callback's secret joins it after its text was made, and so is never part of one.
    pub(crate) fn into_parts(self) -> Result<(Event, Option<TraceContext>), PublishError> {
        if let Some((member, problem)) = self.fault {
            let member = member.to_owned();
            return Err(PublishError::NotAccepted { member, problem });
        }
        let text = serde_json::to_vec(&self.text).expect("text keys and checked values");
        let mut event = parse(&text.into())?;
        if let (Some(callback), Some(secret)) = (&mut event.callback, self.callback_secret) {
            callback.secret = Some(match SealedSecret::try_new(secret.expose_secret()) {
                Some(sealed) => CallbackSecret::Sealed(sealed),
                None => CallbackSecret::Plain(secret),
            });
        }
        Ok((event, self.trace))
    }
}

/// The job an event is about.
#[derive(Debug, Clone)]
pub struct Job {
    text: JobText,
    fault: Option<(&'static str, String)>,
}

#[derive(Debug, Clone, Serialize)]
struct JobText {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
}

impl Job {
    /// The job of this id.
    pub fn new(id: impl Into<String>) -> Self {
        let text = JobText {
            id: id.into(),
            kind: None,
            status: None,
            output: None,
            error: None,
            created_at: None,
            completed_at: None,
            metadata: None,
        };
        Self { text, fault: None }
    }

    /// Such as `video`.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.text.kind = Some(kind.into());
        self
    }

    /// Such as `completed`.
    #[must_use]
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.text.status = Some(status.into());
        self
    }

    /// What it made.
    #[must_use]
    pub fn output(mut self, output: impl Serialize) -> Self {
        self.text.output = write("job.output", &output, &mut self.fault);
        self
    }

    /// Why it made nothing.
    #[must_use]
    pub fn error(mut self, error: impl Serialize) -> Self {
        self.text.error = write("job.error", &error, &mut self.fault);
        self
    }

    /// When it was asked for.
    #[must_use]
    pub fn created_at(mut self, moment: Timestamp) -> Self {
        self.text.created_at = Some(moment);
        self
    }

    /// When it ended.
    #[must_use]
    pub fn completed_at(mut self, moment: Timestamp) -> Self {
        self.text.completed_at = Some(moment);
        self
    }

    /// What its owner attached to it.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Serialize) -> Self {
        self.text.metadata = write("job.metadata", &metadata, &mut self.fault);
        self
    }
}

/// A destination that a job names itself.
#[derive(Debug, Clone)]
pub struct Callback {
    url: String,
    secret: Option<SecretString>,
}

impl Callback {
    /// To this URL, unsigned unless a secret is given.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret: None,
        }
    }

    /// What attempts are signed with. Sealed before it leaves the process; one that is sealed already passes as it is.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = Some(secret.into());
        self
    }
}

pub(crate) fn parse(text: &Bytes) -> Result<Event, PublishError> {
    event::parse(text).map_err(|fault| PublishError::NotAccepted {
        member: fault.member,
        problem: fault.problem,
    })
}

/// Serialises a value; a failure is kept until the event is published.
fn write(
    member: &'static str,
    value: &impl Serialize,
    fault: &mut Option<(&'static str, String)>,
) -> Option<Box<RawValue>> {
    to_raw_value(value)
        .map_err(|problem| *fault = Some((member, format!("cannot be written as JSON: {problem}"))))
        .ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the application's own clock says when its events happen"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::HashMap;

    fn problem(event: NewEvent) -> String {
        event.into_parts().unwrap_err().to_string()
    }

    #[test]
    fn an_event_is_written_member_by_member() {
        let moment: Timestamp = "2026-06-01T10:01:30.250Z".parse().unwrap();
        let job = Job::new("task_1")
            .kind("video")
            .status("completed")
            .output(json!({"b": 1, "a": 2}))
            .created_at(moment);
        let event = NewEvent::new("acme", "task.completed", job)
            .id("evt_1")
            .occurred_at(moment)
            .data(json!([1.5]))
            .callback(Callback::new("https://jobs.example.com/done").secret("s"));
        let event = event.into_parts().unwrap().0;
        assert_eq!(
            event.document,
            r#"{"id":"evt_1","project":"acme","type":"task.completed","occurred_at":"2026-06-01T10:01:30.25Z","job":{"id":"task_1","kind":"video","status":"completed","output":{"b":1,"a":2},"created_at":"2026-06-01T10:01:30.25Z"},"data":[1.5]}"#
        );
        assert!(event.callback.is_some());
    }

    #[test]
    fn ids_are_made_in_order_and_never_twice() {
        let id = || {
            NewEvent::new("acme", "t", Job::new("j"))
                .event_id()
                .to_owned()
        };
        let (first, second) = (id(), id());
        assert!(first.starts_with("evt_") && first < second);
    }

    #[test]
    fn what_is_not_accepted_is_named() {
        let event = || NewEvent::new("acme", "task.completed", Job::new("task_1"));
        assert!(problem(event().id("")).contains("`id`"));
        assert!(problem(NewEvent::new("Acme", "t", Job::new("j"))).contains("`project`"));
        assert!(problem(event().callback(Callback::new("nowhere"))).contains("`callback.url`"));
        let not_json = HashMap::from([([1, 2], 3)]);
        assert!(problem(event().data(&not_json)).contains("`data`"));
        let job = Job::new("task_1").metadata(&not_json);
        assert!(problem(NewEvent::new("acme", "t", job)).contains("`job.metadata`"));
        assert!(problem(event().data("x".repeat(300_000))).contains("300"));
    }
}
