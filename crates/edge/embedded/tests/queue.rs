//! The queue's contract, in memory and in a directory, and what only an embedded queue can be asked.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{Depth, Lane, ParkedContent, Queue, QueueError, QueueName};
use ringback_domain::{Callback, CallbackSecret, Delivery, limits};
use ringback_embedded::{DataDir, Embedded, EmbeddedQueue, Settings};
use ringback_testkit::{contract::queue::QueueHome, samples};
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

fn open_with(dir: &TempDir, settings: &Settings) -> EmbeddedQueue {
    let dir = DataDir::lock(dir.path()).unwrap();
    Embedded::open(&dir, settings, Arc::new(common::SystemClock))
        .unwrap()
        .queue()
}

#[tokio::test]
async fn being_given_back_is_counted_over_restarts_and_parked_messages_outlive_them() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        delivery_limit: 4,
        ..Settings::default()
    };
    let delivery = samples::delivery();
    let queue = open_with(&dir, &settings);
    queue
        .publish_delivery(&delivery, Lane::Main, None)
        .await
        .unwrap();
    drop(queue);
    for _ in 0..4 {
        let queue = open_with(&dir, &settings);
        let mut consumer = queue.consume_deliveries(Lane::Main, 1).await.unwrap();
        consumer.next().await.unwrap().receipt.give_back();
        queue.close().await;
    }
    for _ in 0..2 {
        let queue = open_with(&dir, &settings);
        let waiting = |depths: Vec<Depth>, name| {
            let of_name = depths.iter().find(|depth| depth.queue == name);
            of_name.unwrap().waiting
        };
        let depths = queue.depths().await.unwrap();
        assert_eq!(waiting(depths.clone(), QueueName::Parked), 1);
        assert_eq!(waiting(depths, QueueName::Deliveries(Lane::Main)), 0);
        let mut parked = queue.consume_parked(1).await.unwrap();
        let message = parked.next().await.unwrap().content.unwrap();
        assert_eq!(message.from, QueueName::Deliveries(Lane::Main));
        assert!(
            matches!(message.content, ParkedContent::Delivery(found) if found.id == delivery.id)
        );
    }
}

#[tokio::test]
async fn a_full_queue_refuses_events_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        events_max: 2,
        ..Settings::default()
    };
    let queue = open_with(&dir, &settings);
    for _ in 0..2 {
        queue.publish_event(&samples::event(), None).await.unwrap();
    }
    let refused = queue
        .publish_event(&samples::event(), None)
        .await
        .unwrap_err();
    assert!(matches!(refused, QueueError::Refused { .. }), "{refused:?}");
    assert!(refused.is_passing());
    queue
        .publish_delivery(&samples::delivery(), Lane::Main, None)
        .await
        .unwrap();
    let mut events = queue.consume_events(1).await.unwrap();
    events.next().await.unwrap().receipt.acknowledge();
    queue.publish_event(&samples::event(), None).await.unwrap();
}

#[tokio::test]
async fn a_plain_secret_is_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open_with(&dir, &Settings::default());
    let mut event = samples::event();
    event.callback = Some(Callback {
        url: "https://jobs.example.com/done".parse().unwrap(),
        secret: Some(CallbackSecret::Plain("whsec_in_the_open".to_owned().into())),
    });
    let refused = queue.publish_event(&event, None).await.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("in_the_open"));
    drop(queue);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"in_the_open"));
    }
}

/// More bytes than are kept in memory: those taken last are read from the file.
#[tokio::test]
async fn a_backlog_larger_than_memory_is_taken_in_order_and_whole() {
    const MESSAGES: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let queue = open_with(&dir, &Settings::default());
    let body: Bytes = vec![b'x'; limits::BODY_BYTES_MAX].into();
    let deliveries: Vec<_> = (0..MESSAGES)
        .map(|_| Delivery {
            body: body.clone(),
            ..samples::delivery()
        })
        .collect();
    for delivery in &deliveries {
        queue
            .publish_delivery(delivery, Lane::Main, None)
            .await
            .unwrap();
    }
    let mut consumer = queue.consume_deliveries(Lane::Main, 10).await.unwrap();
    for delivery in &deliveries {
        let taken = consumer.next().await.unwrap();
        let found = taken.content.unwrap();
        assert_eq!(found.id, delivery.id);
        assert!(found.body == body);
        taken.receipt.acknowledge();
    }
}
