//! The queue's contract, in memory and in a directory, and what only an embedded queue can be asked.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use async_trait::async_trait;
use ringback_delivery::port::Queue;
use ringback_embedded::{Embedded, Settings};
use ringback_testkit::contract::queue::QueueHome;
use std::sync::Arc;
use tempfile::TempDir;

struct InMemory(Embedded);

#[async_trait]
impl QueueHome for InMemory {
    async fn open(&self) -> Arc<dyn Queue> {
        Arc::new(self.0.queue())
    }

    fn delivery_limit(&self) -> u32 {
        Settings::default().delivery_limit
    }
}

/// Every opening is a new process's, as far as the directory can tell.
struct OnDisk(TempDir);

#[async_trait]
impl QueueHome for OnDisk {
    async fn open(&self) -> Arc<dyn Queue> {
        Arc::new(common::open(self.0.path()).queue())
    }

    fn delivery_limit(&self) -> u32 {
        Settings::default().delivery_limit
    }
}

mod in_memory {
    use super::{InMemory, common};
    use std::future::{Ready, ready};

    ringback_testkit::queue_contract!(open);

    fn open() -> Ready<InMemory> {
        ready(InMemory(common::in_memory()))
    }
}

mod on_disk {
    use super::OnDisk;
    use std::future::{Ready, ready};

    ringback_testkit::queue_contract!(open);

    fn open() -> Ready<OnDisk> {
        ready(OnDisk(tempfile::tempdir().unwrap()))
    }
}
