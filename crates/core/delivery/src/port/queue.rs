//! The queue: events on their way to dispatch, deliveries on their way to an attempt.

use async_trait::async_trait;
use bytes::Bytes;
use ringback_domain::{Delivery, Event, TraceContext, Wait};
use std::time::Duration;

/// The queue, whole. Publishing is at least once and confirmed; taking is at least once.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Publishes an event's document. Returns once it is safe: confirmed by the broker, or on disk.
    async fn publish_event(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError>;

    /// Publishes bytes to the events queue as they are: the replay of an event that could not be read.
    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError>;

    /// Publishes a delivery, to be taken at once or after a wait, never before it is over. Returns once it is safe.
    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError>;

    /// Takes events, at most `window` unacknowledged.
    async fn consume_events(&self, window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError>;

    /// Takes deliveries of one lane, at most `window` unacknowledged.
    async fn consume_deliveries(
        &self,
        lane: Lane,
        window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError>;

    /// Takes what the broker gave up on, at most `window` unacknowledged.
    async fn consume_parked(
        &self,
        window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError>;

    /// How many messages wait where. Waiting retries are counted under [`QueueName::Delayed`].
    async fn depths(&self) -> Result<Vec<Depth>, QueueError>;

    /// How punctually retries published by this process come out; `None` where that is not watched.
    fn punctuality(&self) -> Option<Punctuality> {
        None
    }

    /// How long ago the broker last answered this process or sent it a message; `None` where there is no broker.
    fn silence(&self) -> Option<Duration> {
        None
    }

    /// Whether the queue answers.
    async fn ping(&self) -> Result<(), QueueError>;

    /// Ends connections in order. Unacknowledged messages return to the queue.
    async fn close(&self);
}

/// A stream of messages. Reconnects by itself; a message taken before a reconnect comes again.
///
/// Dropping it returns what was not acknowledged to the queue.
#[async_trait]
pub trait Consumer<T>: Send {
    /// The next message; `None` once [`Consumer::stop`] was called, or the queue was closed, and nothing is buffered.
    ///
    /// Cancel safe: a message not returned is not lost.
    async fn next(&mut self) -> Option<Taken<T>>;

    /// Takes no more. What was handed out keeps its receipt until the consumer is dropped; what was only buffered goes back.
    async fn stop(&mut self);
}

/// A message in our hands.
pub struct Taken<T> {
    /// What it says, or the bytes and what is wrong with them.
    pub content: Result<T, Unreadable>,
    /// The producer's trace, when the message carries one. (A delivery has it inside.)
    pub trace: Option<TraceContext>,
    /// Whether it was handed out before.
    pub redelivered: bool,
    /// The duty to acknowledge.
    pub receipt: Box<dyn Receipt>,
}

/// A message that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// As it came, save for what looked like a secret.
    pub bytes: Bytes,
    /// What is wrong, naming the member and the limit; free of the message's content.
    pub why: String,
}

/// What the broker gave up on, after its delivery limit.
#[derive(Debug, Clone)]
pub struct ParkedMessage {
    /// Where it came from.
    pub from: QueueName,
    /// What it says.
    pub content: ParkedContent,
}

/// What a parked message says, as far as it can still be read.
#[derive(Debug, Clone)]
pub enum ParkedContent {
    /// A delivery.
    Delivery(Box<Delivery>),
    /// An event. A callback's secret in it may be in plain text.
    Event(Box<Event>),
    /// Neither: the bytes as they came, save for what looked like a secret.
    Raw(Bytes),
}

/// The duty to acknowledge one message, exactly once. Dropped unused, the message stays with its consumer until that ends.
pub trait Receipt: Send + Sync {
    /// The message is done: its successor is safe. Does not wait; should the acknowledgement get lost, the message comes again.
    fn acknowledge(self: Box<Self>);

    /// The message goes back to the queue at once and counts towards the broker's delivery limit: for our own failures only.
    fn give_back(self: Box<Self>);
}

/// Which queue of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Where every delivery begins.
    Main,
    /// For destinations over their share, and for fresh deliveries that go around a full main lane; with a window of its own.
    Slow,
}

/// The queues, by what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueName {
    /// Events waiting for dispatch.
    Events,
    /// Deliveries waiting for an attempt.
    Deliveries(Lane),
    /// Deliveries whose time has not come.
    Delayed,
    /// What the broker gave up on.
    Parked,
}

impl QueueName {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Deliveries(Lane::Main) => "deliveries",
            Self::Deliveries(Lane::Slow) => "deliveries_slow",
            Self::Delayed => "delayed",
            Self::Parked => "parked",
        }
    }
}

/// How much waits in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Where.
    pub queue: QueueName,
    /// Messages ready to be taken, or waiting for their time.
    pub waiting: u64,
    /// Consumers registered, where the queue can tell.
    pub consumers: Option<u32>,
    /// Messages handed out to consumers of this process and not settled yet, those it only buffers included.
    pub unacknowledged: u64,
    /// Of those that wait for their time, how many are due within [`Depth::SOON`]; an estimate where due times are not kept.
    pub due_soon: u64,
}

impl Depth {
    /// What counts as soon: about as long as it takes to have another worker.
    pub const SOON: Duration = Duration::from_mins(1);
}

/// How punctually retries come out of the queue, as far as one process has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Punctuality {
    /// How late the latest is: one that came lately, or one still awaited.
    pub lateness: Duration,
    /// Where retries stand still past their time although workers would take them, by the queue's own names.
    pub standing: Vec<String>,
}

/// What can go wrong with a queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// Not reachable now; worth another try.
    #[error("could not reach the {queue} at `{address}`")]
    Unreachable {
        /// `broker` or `embedded queue`.
        queue: &'static str,
        /// Host and port, or the directory; never credentials.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The message may or may not be in the queue; publish again with the same id.
    #[error("no publisher confirm for `{id}` within {waited:?}")]
    Unconfirmed {
        /// The message's id.
        id: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The queue is full or refuses this message.
    #[error("the queue refused message `{id}`: {why}")]
    Refused {
        /// The message's id.
        id: String,
        /// What it said.
        why: String,
    },
    /// Nothing waits that long here. Another try changes nothing.
    #[error("no queue lets message `{id}` wait: {why}")]
    TooLong {
        /// The message's id.
        id: String,
        /// How long it should, and how long anything may.
        why: String,
    },
    /// No queue is bound where the message should go.
    #[error("no queue takes message `{id}` (hint: run `ringback topology apply`)")]
    Unroutable {
        /// The message's id.
        id: String,
    },
    /// Queues or exchanges are not what they should be.
    #[error("the broker's topology is not as expected: {0} (hint: run `ringback topology check`)")]
    Topology(String),
    /// Closed by us.
    #[error("the queue is closed")]
    Closed,
}

impl QueueError {
    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Unconfirmed { .. } | Self::Refused { .. }
        )
    }
}
