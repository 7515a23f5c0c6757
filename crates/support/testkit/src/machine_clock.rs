//! The machine's own clock, for tests and measurements of edges that are given one.

use async_trait::async_trait;
use ringback_delivery::port::Clock;
use ringback_domain::Timestamp;
use std::time::Duration;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct MachineClock;

#[async_trait]
impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        Timestamp::now()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}
