//! What every queue keeps, kept by RabbitMQ.

mod common;

use async_trait::async_trait;
use common::Home;
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

async fn home() -> Home {
    Home::shared()
}

queue_contract!(home);
