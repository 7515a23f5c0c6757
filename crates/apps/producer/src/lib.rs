//! Publish job events to Ringback from a Rust application.
//!
//! ```no_run
//! use ringback_producer::{Job, NewEvent, Producer};
//! use serde_json::json;
//!
//! # async fn publish() -> Result<(), Box<dyn std::error::Error>> {
//! let producer = Producer::connect("amqps://app:password@broker/ringback").await?;
//!
//! let job = Job::new("task_abc123").kind("video").status("completed");
//! let event = NewEvent::new("acme", "task.completed", job)
//!     .data(json!({ "video_url": "https://cdn.example.com/v.mp4" }));
//! let id = producer.publish(event).await?;
//! println!("published {id}");
//! # Ok(())
//! # }
//! ```
//!
//! [`Producer::publish`] returns once the broker has confirmed that the event is kept. Publishes in flight at the same time
//! share a channel and its confirms, so publish from as many tasks as you like: a [`Producer`] is cheap to clone.
//!
//! When the connection is lost, the producer makes a new one and publishes what was not confirmed again, under the same
//! id, until the confirm timeout is over. An event may therefore arrive twice at Ringback, which drops the second: the id is
//! the idempotency key. When a publish fails with [`PublishError::Unconfirmed`], publish again with the same id.
//!
//! A broker on another machine is reached by `amqps://` and as a user of your own; anything else is refused, unless the builder
//! was told otherwise ([`ProducerBuilder::allow_plaintext`]).
//!
//! A callback's secret never reaches the broker in plain text: give the producer the key ring that the workers have
//! ([`ProducerBuilder::seal_with`]).
//!
//! The AMQP library logs messages that the broker returns, whole, under the target `lapin::returned_messages`. Switch that
//! target off in your log filter.
#![warn(missing_docs)]

mod builder;
mod error;
mod event;

pub use builder::ProducerBuilder;
pub use error::{ConnectError, PublishError};
pub use event::{Callback, Job, NewEvent};
pub use ringback_domain::{EventId, Timestamp, TraceContext};
pub use ringback_queue_rabbitmq::Exposure;
pub use ringback_signing::{KeyRing, KeyRingError};

use bytes::Bytes;
use ringback_delivery::port::Queue;
use ringback_domain::{CallbackSecret, Event, SealedSecret, limits};
use ringback_json::{Limits, fixed_point};
use ringback_queue_rabbitmq::RabbitQueue;
use ringback_signing::{NONCE_BYTES, SealedFor, Secret};
use std::sync::Arc;

/// A connection to the broker that events are published on. Clones share it.
#[derive(Clone)]
pub struct Producer(Arc<Inner>);

struct Inner {
    queue: RabbitQueue,
    keys: Option<KeyRing>,
    is_ecmascript_safe: bool,
}

impl Producer {
    /// Connects with the defaults. Several nodes of one broker are separated by commas.
    ///
    /// # Errors
    ///
    /// When the URL cannot be read, no node answers, or a node on another machine would be reached in plain text or as `guest`.
    /// Losing the broker later is no error of this kind: it is waited for.
    pub async fn connect(urls: &str) -> Result<Self, ConnectError> {
        ProducerBuilder::new(urls).connect().await
    }

    /// Everything that can be chosen.
    pub fn builder(urls: &str) -> ProducerBuilder {
        ProducerBuilder::new(urls)
    }

    /// Publishes an event; returns its id once the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// [`PublishError::is_passing`] tells those that are worth another try from those that are not.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returns, the event may or may not have been published.
    pub async fn publish(&self, event: NewEvent) -> Result<EventId, PublishError> {
        let (event, trace) = event.into_parts()?;
        self.publish_checked(event, trace.as_ref()).await
    }

    /// Publishes an event that is JSON text already, as it is: numbers, escapes and order stay as written. One without
    /// `occurred_at` happened just now, and is given that member.
    ///
    /// ```no_run
    /// # async fn publish(producer: ringback_producer::Producer) -> Result<(), ringback_producer::PublishError> {
    /// let event = br#"{"id": "evt_1", "project": "acme", "type": "task.completed",
    ///     "occurred_at": "2026-06-01T10:01:30Z", "job": {"id": "task_abc123"}, "data": {"price": 1.50}}"#;
    /// producer.publish_json(event.as_slice()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Producer::publish`].
    pub async fn publish_json(&self, text: impl Into<Bytes>) -> Result<EventId, PublishError> {
        let event = event::parse(&text.into())?.dated(event::now());
        self.publish_checked(event, None).await
    }

    /// Whether the broker answers; for a readiness check.
    ///
    /// # Errors
    ///
    /// [`PublishError::Unreachable`], [`PublishError::Closed`].
    pub async fn ping(&self) -> Result<(), PublishError> {
        self.0.queue.ping().await.map_err(PublishError::of_queue)
    }

    /// Ends the connection in order. Publishes still in flight end with an error; wait for them first.
    pub async fn close(&self) {
        self.0.queue.close().await;
    }

    async fn publish_checked(
        &self,
        mut event: Event,
        trace: Option<&TraceContext>,
    ) -> Result<EventId, PublishError> {
        if self.0.is_ecmascript_safe {
            check_ecmascript(&event)?;
        }
        seal(&mut event, self.0.keys.as_ref())?;
        event.accepted_at = Some(event::now());
        let published = self.0.queue.publish_event(&event, trace).await;
        published.map_err(PublishError::of_queue)?;
        Ok(event.id)
    }
}

/// Refuses what a receiver's `JSON.parse` would read as something else, while its author still looks on.
fn check_ecmascript(event: &Event) -> Result<(), PublishError> {
    let limits = Limits {
        bytes_max: limits::EVENT_BYTES_MAX,
        depth_max: limits::JSON_DEPTH_MAX,
    };
    match fixed_point(&event.document, limits) {
        Ok(_) => Ok(()),
        Err(fault) => Err(PublishError::NotAccepted {
            member: fault.path,
            problem: fault.kind.to_string(),
        }),
    }
}

fn seal(event: &mut Event, keys: Option<&KeyRing>) -> Result<(), PublishError> {
    let Some(callback) = &mut event.callback else {
        return Ok(());
    };
    let Some(CallbackSecret::Plain(text)) = &callback.secret else {
        return Ok(());
    };
    let keys = keys.ok_or(PublishError::NoKey)?;
    let secret = Secret::try_new(text.clone()).map_err(|problem| PublishError::NotAccepted {
        member: "callback.secret".to_owned(),
        problem: problem.to_string(),
    })?;
    let sealed = seal_now(
        keys,
        &secret,
        &SealedFor::callback(&event.project, &callback.url),
    )?;
    callback.secret = Some(CallbackSecret::Sealed(sealed));
    Ok(())
}

fn seal_now(
    keys: &KeyRing,
    secret: &Secret,
    place: &SealedFor<'_>,
) -> Result<SealedSecret, PublishError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|source| PublishError::NoEntropy {
        source: source.into(),
    })?;
    Ok(keys.seal(secret, place, nonce))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    fn ring() -> KeyRing {
        KeyRing::try_new(&[KeyRing::new_key("k1", &[7; 32])]).unwrap()
    }

    fn event_with(secret: &str) -> Event {
        let callback = Callback::new("https://jobs.example.com/done").secret(secret);
        let event = NewEvent::new("acme", "task.completed", Job::new("task_1")).callback(callback);
        event.into_parts().unwrap().0
    }

    #[test]
    fn a_callbacks_secret_is_sealed_for_its_project_and_url() {
        let mut event = event_with("hunter2");
        seal(&mut event, Some(&ring())).unwrap();
        let callback = event.callback.unwrap();
        let Some(CallbackSecret::Sealed(sealed)) = callback.secret else {
            panic!("it is sealed")
        };
        let place = SealedFor::callback(&event.project, &callback.url);
        assert_eq!(ring().open(&sealed, &place).unwrap().expose(), "hunter2");
        let elsewhere = "https://other.example.com/".parse().unwrap();
        assert!(
            ring()
                .open(&sealed, &SealedFor::callback(&event.project, &elsewhere))
                .is_err()
        );
    }

    #[test]
    fn without_a_key_a_plain_secret_is_refused_and_a_sealed_one_passes() {
        assert!(matches!(
            seal(&mut event_with("hunter2"), None),
            Err(PublishError::NoKey)
        ));
        let mut sealed = event_with("sealed:v1:k1:AAAA");
        seal(&mut sealed, None).unwrap();
        assert!(matches!(
            sealed.callback.unwrap().secret,
            Some(CallbackSecret::Sealed(_))
        ));
    }

    #[test]
    fn what_ecmascript_would_read_otherwise_is_named() {
        let safe = |data: &str| {
            let data: Box<serde_json::value::RawValue> =
                serde_json::from_str(data).expect("the test writes JSON");
            let event = NewEvent::new("acme", "task.completed", Job::new("task_1")).data(data);
            check_ecmascript(&event.into_parts().unwrap().0)
        };
        safe(r#"{"price": 1.50, "count": 9007199254740991}"#).unwrap();
        let Err(PublishError::NotAccepted { member, problem }) =
            safe(r#"{"items": [{"id": 9007199254740993}]}"#)
        else {
            panic!("it is not safe")
        };
        assert_eq!(member, "data.items[0].id");
        assert!(!problem.is_empty());
    }

    #[test]
    fn no_secret_is_shown() {
        let callback =
            Callback::new("https://jobs.example.com/done").secret(SecretString::from("hunter2"));
        let event = NewEvent::new("acme", "task.completed", Job::new("task_1")).callback(callback);
        assert!(!format!("{event:?}").contains("hunter2"));
        let event = event.into_parts().unwrap().0;
        assert!(!format!("{event:?}").contains("hunter2"));
        assert!(!event.document.windows(7).any(|window| window == b"hunter2"));
    }
}
