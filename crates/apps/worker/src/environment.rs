//! The real time and the real randomness.

use async_trait::async_trait;
use ringback_delivery::port::{Clock, Entropy};
use ringback_domain::Timestamp;
use std::{sync::LazyLock, time::Duration};
use tokio::time::Instant;

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system for the time"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        static BEGAN_AT: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN_AT.elapsed()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// The system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the system has random numbers");
    }
}
