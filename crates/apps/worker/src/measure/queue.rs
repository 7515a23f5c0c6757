//! The queue, measured: what is published, taken and settled, how long each takes, and how punctually.

use super::{place, trace_of};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{
    Clock, Consumer, Depth, Lane, ParkedMessage, Punctuality, Queue, QueueError, QueueName,
    Receipt, Taken,
};
use ringback_domain::{AttemptNumber, Delivery, Event, Generation, Timestamp, TraceContext, Wait};
use ringback_telemetry::{
    Attribute, Counter, Histogram, KeyValue, Meters, Metric, Origin, Span, Step, Tracer,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// A queue whose messages are counted and timed.
pub(super) struct MeteredQueue {
    pub(super) inner: Arc<dyn Queue>,
    pub(super) meters: Arc<QueueMeters>,
    pub(super) tracer: Tracer,
    pub(super) clock: Arc<dyn Clock>,
}

/// The instruments of all queues.
pub(super) struct QueueMeters {
    published: [Published; 4],
    pub(super) taken: [Arc<TakenMeters>; 4],
}

/// What publishing to one queue is measured with.
struct Published {
    confirmed: (Counter, Histogram),
    failed: Vec<(&'static str, Counter, Histogram)>,
}

/// What taking from one queue is measured with.
pub(super) struct TakenMeters {
    pub(super) queue: QueueName,
    consumed: Counter,
    acknowledged: Histogram,
    given_back: Histogram,
    lateness: Option<Histogram>,
    /// Whether this process has a consumer for it.
    takes: AtomicBool,
    /// Messages in the hands of the roles.
    in_hand: AtomicU64,
    /// Messages acknowledged.
    done: AtomicU64,
    /// When the delivery last taken was due, in milliseconds; see [`NEVER`].
    last_due_ms: AtomicI64,
}

/// No delivery was ever taken.
const NEVER: i64 = i64::MIN;

const PUBLISHED_TO: [QueueName; 4] = [
    QueueName::Events,
    QueueName::Deliveries(Lane::Main),
    QueueName::Deliveries(Lane::Slow),
    QueueName::Delayed,
];
const TAKEN_FROM: [QueueName; 4] = [
    QueueName::Events,
    QueueName::Deliveries(Lane::Main),
    QueueName::Deliveries(Lane::Slow),
    QueueName::Parked,
];
const FAILURES: [&str; 6] = [
    "unreachable",
    "unconfirmed",
    "refused",
    "unroutable",
    "topology",
    "closed",
];

fn failure_word(error: &QueueError) -> &'static str {
    match error {
        QueueError::Unreachable { .. } => "unreachable",
        QueueError::Unconfirmed { .. } => "unconfirmed",
        QueueError::Unroutable { .. } => "unroutable",
        QueueError::Topology(_) => "topology",
        QueueError::Closed => "closed",
        _ => "refused",
    }
}

impl QueueMeters {
    pub(super) fn new(meters: &Meters, system: &'static str) -> Self {
        let labels = |operation, queue: QueueName| {
            vec![
                (Attribute::System, system),
                (Attribute::Operation, operation),
                (Attribute::Queue, queue.as_str()),
            ]
        };
        let published = PUBLISHED_TO.map(|queue| {
            let bound = |failure: Option<&'static str>| {
                let mut labels = labels("publish", queue);
                labels.extend(failure.map(|word| (Attribute::PublishError, word)));
                (
                    meters.counter(Metric::MessagesSent, &labels),
                    meters.histogram(Metric::MessagingOperationDuration, &labels),
                )
            };
            let failed = FAILURES.map(|word| {
                let (counter, histogram) = bound(Some(word));
                (word, counter, histogram)
            });
            Published {
                confirmed: bound(None),
                failed: failed.into(),
            }
        });
        let taken = TAKEN_FROM.map(|queue| {
            let processed = labels("process", queue);
            let given_back = [
                processed.as_slice(),
                &[(Attribute::ProcessError, "given_back")],
            ]
            .concat();
            Arc::new(TakenMeters {
                queue,
                consumed: meters.counter(Metric::MessagesConsumed, &labels("consume", queue)),
                acknowledged: meters.histogram(Metric::MessageProcessDuration, &processed),
                given_back: meters.histogram(Metric::MessageProcessDuration, &given_back),
                lateness: matches!(queue, QueueName::Deliveries(_))
                    .then(|| meters.histogram(Metric::DeliveryLateness, &[])),
                takes: AtomicBool::new(false),
                in_hand: AtomicU64::new(0),
                done: AtomicU64::new(0),
                last_due_ms: AtomicI64::new(NEVER),
            })
        });
        Self { published, taken }
    }

    /// For a consumer.
    fn taken(&self, queue: QueueName) -> Arc<TakenMeters> {
        let found = self.taken.iter().find(|meters| meters.queue == queue);
        let meters = found.expect("messages are taken from it").clone();
        meters.takes.store(true, Ordering::Relaxed);
        meters
    }

    async fn publish(
        &self,
        queue: QueueName,
        publishing: impl Future<Output = Result<(), QueueError>>,
    ) -> Result<(), QueueError> {
        let place = PUBLISHED_TO.iter().position(|name| *name == queue);
        let meters = &self.published[place.expect("messages are published to it")];
        let begun = Instant::now();
        let published = publishing.await;
        let (counter, histogram) = match &published {
            Ok(()) => (&meters.confirmed.0, &meters.confirmed.1),
            Err(error) => {
                let word = failure_word(error);
                let (_, counter, histogram) = meters
                    .failed
                    .iter()
                    .find(|(of, ..)| *of == word)
                    .expect("every word has its meters");
                (counter, histogram)
            }
        };
        counter.count();
        histogram.record(begun.elapsed());
        published
    }
}

impl TakenMeters {
    fn took_due(&self, due_at: Timestamp, now: Timestamp) {
        self.last_due_ms
            .store(due_at.as_millisecond(), Ordering::Relaxed);
        if let Some(lateness) = &self.lateness {
            let late = Duration::try_from(now.duration_since(due_at)).unwrap_or_default();
            lateness.record(late);
        }
    }

    /// Messages in the hands of the roles.
    pub(super) fn in_hand(&self) -> u64 {
        self.in_hand.load(Ordering::Relaxed)
    }

    /// Messages acknowledged so far.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Whether this process has a consumer for it.
    pub(super) fn takes(&self) -> bool {
        self.takes.load(Ordering::Relaxed)
    }

    /// When the delivery last taken was due; `None` before the first.
    pub(super) fn last_due_ms(&self) -> Option<i64> {
        Some(self.last_due_ms.load(Ordering::Relaxed)).filter(|due| *due != NEVER)
    }
}

/// When a delivery was due. A replay's moment is not known: it was due when somebody asked for it.
fn due_at(delivery: &Delivery) -> Option<Timestamp> {
    let is_first =
        delivery.generation == Generation::FIRST && delivery.attempt == AttemptNumber::FIRST;
    delivery
        .due_at
        .or_else(|| is_first.then_some(delivery.event.dispatched_at))
}

/// What begins the span of a message, and tells what the message is.
type Beginning<T> = (Tracer, fn(&T) -> Vec<KeyValue>);

/// A consumer whose messages are counted and timed.
struct MeteredConsumer<T> {
    inner: Box<dyn Consumer<T>>,
    meters: Arc<TakenMeters>,
    clock: Arc<dyn Clock>,
    due_at: fn(&T) -> Option<Timestamp>,
    /// Where the span of handling a message begins, for messages that have one.
    begin: Option<Beginning<T>>,
}

/// A message in the hands of a role, until it is settled or left to its consumer.
struct InHand {
    meters: Arc<TakenMeters>,
    since: Instant,
    span: Option<Span>,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.meters.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

struct MeteredReceipt {
    inner: Box<dyn Receipt>,
    in_hand: InHand,
}

impl Receipt for MeteredReceipt {
    fn acknowledge(self: Box<Self>) {
        let Self { inner, in_hand } = *self;
        inner.acknowledge();
        in_hand.meters.done.fetch_add(1, Ordering::Relaxed);
        in_hand.meters.acknowledged.record(in_hand.since.elapsed());
    }

    fn give_back(self: Box<Self>) {
        let Self { inner, mut in_hand } = *self;
        inner.give_back();
        in_hand.meters.given_back.record(in_hand.since.elapsed());
        if let Some(span) = &mut in_hand.span {
            span.fail("given_back");
        }
    }
}

impl<T> MeteredConsumer<T> {
    /// The span of handling the message; what comes of it is a part of that.
    fn begin(&self, taken: &mut Taken<T>) -> Option<Span> {
        let (tracer, attributes) = self.begin.as_ref()?;
        let origin = taken
            .trace
            .as_ref()
            .map_or(Origin::New, |trace| Origin::PartOf(place(trace)));
        let span = tracer.begin(Step::Dispatch, origin, || {
            taken
                .content
                .as_ref()
                .map_or_else(|_| Vec::new(), attributes)
        });
        taken.trace = trace_of(&span).or_else(|| taken.trace.take());
        Some(span)
    }
}

#[async_trait]
impl<T: Send + 'static> Consumer<T> for MeteredConsumer<T> {
    async fn next(&mut self) -> Option<Taken<T>> {
        let mut taken = self.inner.next().await?;
        self.meters.consumed.count();
        self.meters.in_hand.fetch_add(1, Ordering::Relaxed);
        let due_at = taken.content.as_ref().ok().and_then(self.due_at);
        if let Some(due_at) = due_at {
            self.meters.took_due(due_at, self.clock.now());
        }
        let span = self.begin(&mut taken);
        taken.receipt = Box::new(MeteredReceipt {
            inner: taken.receipt,
            in_hand: InHand {
                meters: self.meters.clone(),
                since: Instant::now(),
                span,
            },
        });
        Some(taken)
    }

    async fn stop(&mut self) {
        self.inner.stop().await;
    }
}

fn of_event(event: &Event) -> Vec<KeyValue> {
    vec![
        KeyValue::new("ringback.event.id", event.id.to_string()),
        KeyValue::new("ringback.project", event.project.to_string()),
    ]
}

#[async_trait]
impl Queue for MeteredQueue {
    async fn publish_event(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        let origin = trace.map_or(Origin::New, |trace| Origin::PartOf(place(trace)));
        let mut span = self.tracer.begin(Step::Publish, origin, || of_event(event));
        let own = trace_of(&span);
        let publishing = self.inner.publish_event(event, own.as_ref().or(trace));
        let published = self.meters.publish(QueueName::Events, publishing).await;
        if let Err(error) = &published {
            span.fail(failure_word(error));
        }
        published
    }

    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError> {
        let publishing = self.inner.publish_raw_event(bytes);
        self.meters.publish(QueueName::Events, publishing).await
    }

    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError> {
        let queue = match wait {
            Some(_) => QueueName::Delayed,
            None => QueueName::Deliveries(lane),
        };
        let publishing = self.inner.publish_delivery(delivery, lane, wait);
        self.meters.publish(queue, publishing).await
    }

    async fn consume_events(&self, window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError> {
        Ok(Box::new(MeteredConsumer {
            inner: self.inner.consume_events(window).await?,
            meters: self.meters.taken(QueueName::Events),
            clock: self.clock.clone(),
            due_at: |_| None,
            begin: Some((self.tracer.clone(), of_event)),
        }))
    }

    async fn consume_deliveries(
        &self,
        lane: Lane,
        window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError> {
        Ok(Box::new(MeteredConsumer {
            inner: self.inner.consume_deliveries(lane, window).await?,
            meters: self.meters.taken(QueueName::Deliveries(lane)),
            clock: self.clock.clone(),
            due_at,
            begin: None,
        }))
    }

    async fn consume_parked(
        &self,
        window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError> {
        Ok(Box::new(MeteredConsumer {
            inner: self.inner.consume_parked(window).await?,
            meters: self.meters.taken(QueueName::Parked),
            clock: self.clock.clone(),
            due_at: |_| None,
            begin: None,
        }))
    }

    async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        self.inner.depths().await
    }

    fn punctuality(&self) -> Option<Punctuality> {
        self.inner.punctuality()
    }

    fn silence(&self) -> Option<Duration> {
        self.inner.silence()
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
