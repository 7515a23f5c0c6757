//! What can go wrong.

use ringback_delivery::port::QueueError;
use ringback_queue_rabbitmq::{
    BrokerUrlError, ConnectError as QueueConnectError, Exposure, PrefixError,
};
use std::{error::Error, time::Duration};

/// Why there is no producer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is not the URL of a broker. Never quotes it: there are credentials in it.
    #[error("the broker's URL cannot be used")]
    Url(#[from] BrokerUrlError),
    /// A node on another machine would be reached in plain text, or as `guest`, and the builder was not told that it may be.
    #[error("{} (hint: {})", .0, way_out(.0))]
    Exposed(Exposure),
    /// The prefix is not accepted.
    #[error("the prefix cannot be used")]
    Prefix(#[from] PrefixError),
    /// No node of the broker answers, or it is not set up as expected.
    #[error("could not connect")]
    Broker(#[from] QueueConnectError),
}

/// Why an event was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The event is not one.
    #[error("the event is not accepted: {}{problem}", member_words(.member))]
    NotAccepted {
        /// The path of the member at fault, such as `data.items[0].id`; empty for the whole.
        member: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The callback's secret is in plain text and there is nothing to seal it with.
    #[error(
        "the callback's secret is in plain text and there is no key to seal it with (hint: see `ProducerBuilder::seal_with`)"
    )]
    NoKey,
    /// The operating system gave no random bytes to seal with.
    #[error("could not seal the callback's secret")]
    NoEntropy {
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The broker refused it: a queue is full, or the broker takes no messages at the moment.
    #[error("the broker refused event `{event_id}`: {why}")]
    Refused {
        /// The event.
        event_id: String,
        /// What it said.
        why: String,
    },
    /// The broker has no queue for it.
    #[error(
        "the broker has no queue for event `{event_id}` (hint: run `ringback topology apply` with the same prefix)"
    )]
    Unroutable {
        /// The event.
        event_id: String,
    },
    /// The broker may or may not have it; publish again with the same id.
    #[error("no publisher confirm for event `{event_id}` within {waited:?}")]
    Unconfirmed {
        /// The event.
        event_id: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The broker was not to be reached, and does not have it.
    #[error("could not reach the broker at `{address}`")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The producer was closed.
    #[error("the producer is closed")]
    Closed,
    /// Anything else that the broker does not allow.
    #[error("the broker is not set up as expected")]
    Broker(#[source] QueueError),
}

impl PublishError {
    /// Whether publishing the same event again may succeed.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Unconfirmed { .. } | Self::Unreachable { .. }
        )
    }

    pub(crate) fn of_queue(error: QueueError) -> Self {
        match error {
            QueueError::Refused { id, why } => Self::Refused { event_id: id, why },
            QueueError::Unroutable { id } => Self::Unroutable { event_id: id },
            QueueError::Unconfirmed { id, waited } => Self::Unconfirmed {
                event_id: id,
                waited,
            },
            QueueError::Unreachable {
                address, source, ..
            } => Self::Unreachable { address, source },
            QueueError::Closed => Self::Closed,
            other => Self::Broker(other),
        }
    }
}

fn way_out(exposure: &Exposure) -> &'static str {
    match exposure {
        Exposure::Guest { .. } => "make a user of your own; or see `ProducerBuilder::allow_guest`",
        Exposure::PlainText { .. } => {
            "use amqps://; or see `ProducerBuilder::allow_plaintext` where the network between is yours alone"
        }
    }
}

fn member_words(member: &str) -> String {
    match member {
        "" => String::new(),
        member => format!("member `{member}` "),
    }
}
