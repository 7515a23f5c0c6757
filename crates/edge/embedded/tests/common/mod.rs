//! Clocks, and places for a queue and a store to live in.

#![expect(dead_code, reason = "each test file uses a part of it")]

use async_trait::async_trait;
use ringback_delivery::port::Clock;
use ringback_domain::Timestamp;
use ringback_embedded::{DataDir, Embedded, Settings};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

pub(crate) struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// Stands still until it is set forward.
pub(crate) struct StandingClock(Mutex<Timestamp>);

impl StandingClock {
    pub(crate) fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }

    pub(crate) fn forward(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add(by).unwrap();
    }
}

#[async_trait]
impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, _: Duration) {
        std::future::pending::<()>().await;
    }
}

pub(crate) fn open(dir: &Path) -> Embedded {
    let dir = DataDir::lock(dir).unwrap();
    Embedded::open(&dir, &Settings::default(), Arc::new(SystemClock)).unwrap()
}

pub(crate) fn in_memory() -> Embedded {
    Embedded::in_memory(&Settings::default(), Arc::new(SystemClock))
}
