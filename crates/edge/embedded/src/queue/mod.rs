//! The queue.

mod consumer;
mod lanes;
mod message;

pub(crate) use lanes::Lanes;

use crate::engine::{Engine, Failure};
use async_trait::async_trait;
use bytes::Bytes;
use consumer::EmbeddedConsumer;
use lanes::LaneName;
use ringback_delivery::port::{Consumer, Depth, Lane, ParkedMessage, Queue, QueueError};
use ringback_domain::{Delivery, Event, TraceContext, Wait};
use ringback_wire as wire;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The queue in a directory, or in memory.
///
/// A message that was given back too often is parked. What a crash of the whole process interrupted comes again uncounted: an
/// attempt is counted by its claim in the store, and finding the claim expired is what tells the next that it may have been sent.
pub struct EmbeddedQueue {
    engine: Arc<Engine>,
    lanes: Arc<Lanes>,
    closed: CancellationToken,
}

impl EmbeddedQueue {
    pub(crate) fn new(engine: Arc<Engine>, lanes: Arc<Lanes>) -> Self {
        Self {
            engine,
            lanes,
            closed: CancellationToken::new(),
        }
    }

    fn check_open(&self) -> Result<(), QueueError> {
        if self.closed.is_cancelled() {
            return Err(QueueError::Closed);
        }
        Ok(())
    }

    async fn publish(
        &self,
        lane: LaneName,
        wait: Option<Wait>,
        message: Bytes,
    ) -> Result<(), QueueError> {
        self.check_open()?;
        let key = (lane.code(), self.lanes.due(wait), self.engine.number());
        let lanes = self.lanes.clone();
        let arrived = message.clone();
        self.engine
            .write_message(key, message, move || lanes.arrived(key, arrived))
            .await
            .map_err(|failure| queue_error(&self.engine, failure))
    }

    fn consume<T>(
        &self,
        lane: LaneName,
        window: u16,
        read: consumer::Read<T>,
    ) -> Result<Box<dyn Consumer<T>>, QueueError>
    where
        T: Send + 'static,
    {
        self.check_open()?;
        Ok(Box::new(EmbeddedConsumer::new(
            self.engine.clone(),
            self.lanes.clone(),
            self.closed.clone(),
            lane,
            window,
            read,
        )))
    }
}

fn queue_error(engine: &Engine, failure: Failure) -> QueueError {
    match failure {
        Failure::Closed => QueueError::Closed,
        Failure::Database(source) => QueueError::Unreachable {
            queue: "embedded queue",
            address: engine.place().to_string(),
            source: Box::new(source),
        },
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn publish_event(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        let refused = |why| QueueError::Refused {
            id: event.id.to_string(),
            why,
        };
        if self.lanes.is_full() {
            return Err(refused("too many events are waiting".to_owned()));
        }
        let document = wire::event::encode(event).map_err(|fault| refused(fault.to_string()))?;
        self.publish(
            LaneName::Events,
            None,
            message::envelope(&document, event.accepted_at, trace),
        )
        .await
    }

    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError> {
        let message = message::envelope(&bytes, None, None);
        self.publish(LaneName::Events, None, message).await
    }

    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError> {
        let message = wire::delivery::encode(delivery);
        self.publish(lane.into(), wait, message).await
    }

    async fn consume_events(&self, window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError> {
        self.consume(LaneName::Events, window, message::read_event)
    }

    async fn consume_deliveries(
        &self,
        lane: Lane,
        window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError> {
        self.consume(lane.into(), window, message::read_delivery)
    }

    async fn consume_parked(
        &self,
        window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError> {
        self.consume(LaneName::Parked, window, message::read_parked)
    }

    async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        self.check_open()?;
        Ok(self.lanes.depths())
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.check_open()?;
        self.engine
            .read(|_| Ok(()))
            .map_err(|failure| queue_error(&self.engine, failure))
    }

    async fn close(&self) {
        self.closed.cancel();
        self.lanes.return_from_closed();
        if let Err(failure) = self.engine.flush().await {
            tracing::warn!(error = ?failure, "acknowledged messages may come again");
        }
    }
}
