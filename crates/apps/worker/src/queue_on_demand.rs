//! A broker that is connected to when somebody has something for it: most commands only read the store, and are needed most
//! when the broker is away.

use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{
    Consumer, Depth, Lane, ParkedMessage, Punctuality, Queue, QueueError,
};
use ringback_domain::{Delivery, Event, TraceContext, Wait};
use ringback_queue_rabbitmq::{BrokerUrls, ConnectError, RabbitConfig, RabbitQueue, Scope};
use std::time::Duration;
use tokio::sync::OnceCell;

pub(crate) struct QueueOnDemand {
    urls: BrokerUrls,
    config: RabbitConfig,
    connected: OnceCell<RabbitQueue>,
}

impl QueueOnDemand {
    pub(crate) fn new(urls: BrokerUrls, config: RabbitConfig) -> Self {
        Self {
            urls,
            config,
            connected: OnceCell::new(),
        }
    }

    async fn queue(&self) -> Result<&RabbitQueue, QueueError> {
        let connect = || async {
            let (urls, config) = (self.urls.clone(), self.config.clone());
            RabbitQueue::connect(urls, config, Scope::Whole).await
        };
        let connected = self.connected.get_or_try_init(connect).await;
        connected.map_err(|error| match error {
            ConnectError::Queue(error) => error,
            unusable => QueueError::Unreachable {
                queue: "broker",
                address: self.urls.addresses(),
                source: unusable.into(),
            },
        })
    }
}

#[async_trait]
impl Queue for QueueOnDemand {
    async fn publish_event(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        self.queue().await?.publish_event(event, trace).await
    }

    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError> {
        self.queue().await?.publish_raw_event(bytes).await
    }

    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError> {
        let queue = self.queue().await?;
        queue.publish_delivery(delivery, lane, wait).await
    }

    async fn consume_events(&self, window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError> {
        self.queue().await?.consume_events(window).await
    }

    async fn consume_deliveries(
        &self,
        lane: Lane,
        window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError> {
        self.queue().await?.consume_deliveries(lane, window).await
    }

    async fn consume_parked(
        &self,
        window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError> {
        self.queue().await?.consume_parked(window).await
    }

    async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        self.queue().await?.depths().await
    }

    fn punctuality(&self) -> Option<Punctuality> {
        self.connected.get()?.punctuality()
    }

    fn silence(&self) -> Option<Duration> {
        self.connected.get()?.silence()
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.queue().await?.ping().await
    }

    async fn close(&self) {
        if let Some(queue) = self.connected.get() {
            queue.close().await;
        }
    }
}
