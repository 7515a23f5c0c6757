//! The producer against a broker.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use ringback_delivery::port::{Consumer, Queue};
use ringback_domain::{CallbackSecret, Event};
use ringback_producer::{Callback, Job, KeyRing, NewEvent, Producer, PublishError, TraceContext};
use ringback_queue_rabbitmq::{RabbitConfig, RabbitQueue, Scope};
use ringback_testkit::{samples::unique, servers};
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// A worker's view of the same installation.
async fn worker(prefix: &str) -> RabbitQueue {
    let config = RabbitConfig {
        prefix: prefix.parse().unwrap(),
        ..RabbitConfig::default()
    };
    let urls = servers::shared_amqp_url().parse().unwrap();
    RabbitQueue::connect(urls, config, Scope::Events)
        .await
        .unwrap()
}

async fn take(consumer: &mut Box<dyn Consumer<Event>>) -> (Event, Option<TraceContext>) {
    let taken = timeout(SOON, consumer.next()).await.unwrap().unwrap();
    taken.receipt.acknowledge();
    (taken.content.unwrap(), taken.trace)
}

#[tokio::test]
async fn an_event_arrives_as_published_with_its_secret_sealed() {
    let prefix = unique("test.");
    let keys = KeyRing::try_new(&[KeyRing::new_key("k1", &[7; 32])]).unwrap();
    let producer = Producer::builder(&servers::shared_amqp_url())
        .prefix(&prefix)
        .seal_with(keys)
        .connect()
        .await
        .unwrap();
    let trace = TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        tracestate: None,
    };
    let event = NewEvent::new("acme", "task.completed", Job::new("task_1"))
        .callback(Callback::new("https://jobs.example.com/done").secret("hunter2"))
        .trace(trace.clone());
    let id = producer.publish(event).await.unwrap();

    let worker = worker(&prefix).await;
    let mut events = worker.consume_events(1).await.unwrap();
    let (event, found_trace) = take(&mut events).await;
    assert_eq!(event.id, id);
    assert_eq!(found_trace, Some(trace));
    assert!(matches!(
        event.callback.unwrap().secret,
        Some(CallbackSecret::Sealed(_))
    ));

    let text = r#"{"id":"evt_raw","project":"acme","type":"t","occurred_at":"2026-06-01T10:00:00Z","job":{"id":"j"},"data":{"b":1.50,"a":"\u00e9"}}"#;
    producer.publish_json(text).await.unwrap();
    assert_eq!(take(&mut events).await.0.document, text);
    producer.close().await;
    worker.close().await;
}

#[tokio::test]
async fn an_event_that_no_queue_takes_is_an_error_and_not_lost_silently() {
    let producer = Producer::builder(&servers::shared_amqp_url())
        .prefix(unique("test."))
        .never_declare()
        .connect()
        .await
        .unwrap();
    let event = NewEvent::new("acme", "task.completed", Job::new("task_1")).id("evt_lost");
    let refused = producer.publish(event).await.unwrap_err();
    assert!(
        matches!(&refused, PublishError::Unroutable { event_id } if event_id == "evt_lost"),
        "{refused:?}"
    );
    assert!(!refused.is_passing());
}

#[tokio::test]
async fn after_closing_nothing_is_published() {
    let producer = Producer::builder(&servers::shared_amqp_url())
        .prefix(unique("test."))
        .connect()
        .await
        .unwrap();
    producer.ping().await.unwrap();
    producer.close().await;
    let event = NewEvent::new("acme", "task.completed", Job::new("task_1"));
    assert!(matches!(
        producer.publish(event).await,
        Err(PublishError::Closed)
    ));
}
