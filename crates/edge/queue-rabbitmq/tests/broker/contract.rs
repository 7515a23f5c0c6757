//! What every queue keeps, kept by RabbitMQ.

use crate::home::Home;
use async_trait::async_trait;
use ringback_delivery::port::Queue;
use ringback_testkit::{contract::queue::QueueHome, queue_contract};
use std::sync::Arc;

#[async_trait]
impl QueueHome for Home {
    async fn open(&self) -> Arc<dyn Queue> {
        Arc::new(self.connect().await)
    }

    fn delivery_limit(&self) -> u32 {
        self.config.delivery_limit.get().into()
    }
}

fn home() -> std::future::Ready<Home> {
    std::future::ready(Home::shared())
}

queue_contract!(home);
