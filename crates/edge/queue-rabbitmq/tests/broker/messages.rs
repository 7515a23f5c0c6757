//! Messages that go nowhere, come back, wait, or are not what they should be.

use crate::{home::Home, soon, take};
use futures_util::future::join_all;
use lapin::{
    BasicProperties, Channel,
    options::{
        BasicGetOptions, BasicPublishOptions, ExchangeDeleteOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use ringback_delivery::port::{Consumer, Lane, ParkedContent, Queue, QueueError, QueueName, Taken};
use ringback_domain::{Wait, limits};
use ringback_queue_rabbitmq::RabbitConfig;
use ringback_testkit::samples;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn under_load_exactly_the_messages_without_a_queue_are_reported() {
    let home = Home::shared();
    let queue = home.connect().await;
    let (_connection, channel) = home.channel().await;
    channel
        .queue_delete(
            home.name("deliveries.slow").into(),
            QueueDeleteOptions::default(),
        )
        .await
        .unwrap();

    // Publishers that go on as soon as they are answered keep returns and confirms of both lanes mixed.
    let publishers = (0..32).map(|publisher| {
        let queue = &queue;
        async move {
            for number in publisher..publisher + 200 {
                let delivery = samples::delivery();
                let is_lost = number % 3 == 0;
                let lane = if is_lost { Lane::Slow } else { Lane::Main };
                match queue.publish_delivery(&delivery, lane, None).await {
                    Ok(()) => assert!(!is_lost, "{number} went nowhere and was not reported"),
                    Err(QueueError::Unroutable { id }) => {
                        assert!(is_lost, "{number} was kept and is reported");
                        assert!(id.starts_with(delivery.id.as_str()));
                    }
                    Err(other) => panic!("{number}: {other}"),
                }
            }
        }
    });
    soon(join_all(publishers)).await;
}

#[tokio::test]
async fn a_message_to_a_missing_exchange_is_unroutable_and_harms_no_other() {
    let home = Home::shared();
    let queue = home.connect().await;
    let (_connection, channel) = home.channel().await;
    channel
        .exchange_delete(home.name("events").into(), ExchangeDeleteOptions::default())
        .await
        .unwrap();

    let (event, delivery) = (samples::event(), samples::delivery());
    let (lost, kept) = soon(async {
        tokio::join!(
            queue.publish_event(&event, None),
            queue.publish_delivery(&delivery, Lane::Main, None)
        )
    })
    .await;
    assert!(
        matches!(lost, Err(QueueError::Unroutable { .. })),
        "{lost:?}"
    );
    kept.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_and_the_refusal_is_worth_another_try() {
    let home = Home::shared();
    let (_connection, channel) = home.channel().await;
    let queue = home
        .connect_with(RabbitConfig {
            declare: false,
            ..home.config.clone()
        })
        .await;
    queue.apply_topology().await.unwrap();
    // A queue of another make in the place of ours: it holds a single message.
    let name = home.name("events");
    channel
        .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert(
        "x-overflow".into(),
        AMQPValue::LongString("reject-publish".into()),
    );
    channel
        .queue_declare(
            name.as_str().into(),
            QueueDeclareOptions::durable(),
            arguments,
        )
        .await
        .unwrap();
    channel
        .queue_bind(
            name.as_str().into(),
            name.as_str().into(),
            "#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();

    queue.publish_event(&samples::event(), None).await.unwrap();
    let refused = queue
        .publish_event(&samples::event(), None)
        .await
        .unwrap_err();
    assert!(matches!(refused, QueueError::Refused { .. }), "{refused:?}");
    assert!(refused.is_passing());
}

#[tokio::test]
async fn a_wait_of_two_rungs_is_kept_in_both_lanes_and_never_cut_short() {
    let home = Home::shared();
    let queue = home.connect().await;
    // Nine units: eleven in base 8.
    let wait = Duration::from_millis(2_250);
    for lane in [Lane::Main, Lane::Slow] {
        let delivery = samples::delivery();
        let before = Instant::now();
        queue
            .publish_delivery(&delivery, lane, Some(Wait::exactly(wait)))
            .await
            .unwrap();
        let mut deliveries = queue.consume_deliveries(lane, 1).await.unwrap();
        let taken = take(&mut deliveries).await;
        assert!(before.elapsed() >= wait, "{:?}", before.elapsed());
        assert_eq!(taken.content.unwrap().id, delivery.id);
        taken.receipt.acknowledge();
    }
}

#[tokio::test]
async fn a_wait_beyond_the_ladder_is_refused_rather_than_cut_short() {
    let home = Home::shared();
    let queue = home.connect().await;
    let week = Wait::exactly(Duration::from_hours(7 * 24));
    let refused = queue
        .publish_delivery(&samples::delivery(), Lane::Main, Some(week))
        .await
        .unwrap_err();
    assert!(matches!(refused, QueueError::TooLong { .. }), "{refused:?}");
    assert!(
        !refused.is_passing(),
        "it is given back, and not repeated for ever"
    );
    queue
        .publish_delivery(
            &samples::delivery(),
            Lane::Main,
            Some(Wait::exactly(limits::DELAY_MAX)),
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_retried_delivery_that_is_given_back_too_often_is_parked_under_its_own_queue() {
    let home = Home::shared();
    let queue = home.connect().await;
    let delivery = samples::retry_of(&samples::delivery());
    let wait = Wait::exactly(Duration::from_millis(250));
    queue
        .publish_delivery(&delivery, Lane::Slow, Some(wait))
        .await
        .unwrap();

    let mut slow = queue.consume_deliveries(Lane::Slow, 5).await.unwrap();
    let mut parked = queue.consume_parked(5).await.unwrap();
    let found = loop {
        tokio::select! {
            taken = take(&mut slow) => taken.receipt.give_back(),
            taken = take(&mut parked) => break taken,
        }
    };
    let parked = found.content.unwrap();
    assert_eq!(parked.from, QueueName::Deliveries(Lane::Slow));
    assert!(matches!(parked.content, ParkedContent::Delivery(found) if found.id == delivery.id));
}

#[tokio::test]
async fn no_content_stops_a_consumer() {
    let home = Home::shared();
    let queue = home.connect().await;
    let (_connection, channel) = home.channel().await;
    let mut events = queue.consume_events(3).await.unwrap();
    let mut deliveries = queue.consume_deliveries(Lane::Main, 3).await.unwrap();
    let mut parked = queue.consume_parked(3).await.unwrap();
    for (properties, body) in hostile() {
        for rest in ["events", "deliveries", "parked"] {
            send(&channel, &home.name(rest), properties.clone(), &body).await;
        }
        assert_unreadable(take(&mut events).await, &body);
        assert_unreadable(take(&mut deliveries).await, &body);
        let taken = take(&mut parked).await;
        let found = taken.content.unwrap().content;
        assert!(matches!(found, ParkedContent::Raw(bytes) if bytes == body));
        taken.receipt.acknowledge();
    }
    let event = samples::event();
    queue.publish_event(&event, None).await.unwrap();
    assert_eq!(take(&mut events).await.content.unwrap().id, event.id);
    let delivery = samples::delivery();
    queue
        .publish_delivery(&delivery, Lane::Main, None)
        .await
        .unwrap();
    assert_eq!(take(&mut deliveries).await.content.unwrap().id, delivery.id);
}

#[tokio::test]
async fn a_strangers_headers_are_neither_believed_nor_passed_on() {
    let home = Home::shared();
    let queue = home.connect().await;
    let (_connection, channel) = home.channel().await;
    let mut headers = FieldTable::default();
    headers.insert(
        "traceparent".into(),
        AMQPValue::FieldTable(FieldTable::default()),
    );
    headers.insert("x-first-death-queue".into(), long("somewhere.else"));
    headers.insert("x-death".into(), AMQPValue::LongInt(-1));
    let event = samples::event();
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_priority(255)
        .with_content_type("text/html".into());
    send(&channel, &home.name("events"), properties, &event.document).await;
    let mut events: Box<dyn Consumer<_>> = queue.consume_events(1).await.unwrap();
    let taken = take(&mut events).await;
    assert_eq!(taken.trace, None);
    let found = taken.content.unwrap();
    assert_eq!(found.id, event.id);
    taken.receipt.acknowledge();

    queue.publish_event(&found, None).await.unwrap();
    drop(events);
    let again = soon(async {
        loop {
            let got = channel
                .basic_get(home.name("events").into(), BasicGetOptions::default())
                .await
                .unwrap();
            if let Some(message) = got {
                break message;
            }
        }
    })
    .await;
    let headers = again.properties.headers().clone().unwrap_or_default();
    // The broker's own count is there if it was handed out in between.
    let others = headers
        .inner()
        .keys()
        .filter(|key| key.as_str() != "x-delivery-count");
    assert_eq!(others.count(), 0, "{headers:?}");
    assert_eq!(*again.properties.priority(), None);
}

/// `CC` and `BCC` make the broker route copies. What a stranger had copied into our queues is there once each, and comes to no
/// more by being parked.
#[tokio::test]
async fn a_strangers_copies_are_messages_like_others_and_do_not_multiply() {
    let home = Home::shared();
    let queue = home.connect().await;
    let (_connection, channel) = home.channel().await;
    let copies = |rest: &str| AMQPValue::FieldArray(vec![long(&home.name(rest))].into());
    let mut headers = FieldTable::default();
    headers.insert("CC".into(), copies("deliveries.slow"));
    headers.insert("BCC".into(), copies("events"));
    let event = samples::event();
    let properties = BasicProperties::default().with_headers(headers);
    send(
        &channel,
        &home.name("deliveries"),
        properties,
        &event.document,
    )
    .await;

    let mut events = queue.consume_events(5).await.unwrap();
    let taken = take(&mut events).await;
    assert_eq!(taken.content.unwrap().id, event.id);
    taken.receipt.acknowledge();
    let mut slow = queue.consume_deliveries(Lane::Slow, 5).await.unwrap();
    assert_unreadable(take(&mut slow).await, &event.document);

    let mut main = queue.consume_deliveries(Lane::Main, 5).await.unwrap();
    let mut parked = queue.consume_parked(5).await.unwrap();
    let found = loop {
        tokio::select! {
            taken = take(&mut main) => taken.receipt.give_back(),
            taken = take(&mut parked) => break taken,
        }
    };
    assert_eq!(
        found.content.unwrap().from,
        QueueName::Deliveries(Lane::Main)
    );
    found.receipt.acknowledge();

    // Had anything been copied once more, it would be there before this one, which comes last.
    let last = samples::delivery();
    for lane in [Lane::Main, Lane::Slow] {
        queue.publish_delivery(&last, lane, None).await.unwrap();
    }
    for consumer in [&mut main, &mut slow] {
        let taken = take(consumer).await;
        assert_eq!(taken.content.unwrap().id, last.id);
        taken.receipt.acknowledge();
    }
    drop((events, parked));
    for rest in ["events", "parked"] {
        let got = channel
            .basic_get(home.name(rest).into(), BasicGetOptions::default())
            .await
            .unwrap();
        assert!(got.is_none(), "{rest}: {got:?}");
    }
}

fn hostile() -> Vec<(BasicProperties, Vec<u8>)> {
    let plain = BasicProperties::default;
    let mut headers = FieldTable::default();
    headers.insert(
        "x-death".into(),
        AMQPValue::FieldArray(vec![AMQPValue::Void; 50].into()),
    );
    headers.insert("x-last-death-queue".into(), long(&"q".repeat(5_000)));
    headers.insert(
        "traceparent".into(),
        AMQPValue::ByteArray(vec![0xff; 9].into()),
    );
    let mut bomb = b"[".repeat(200_000);
    bomb.extend(b"]".repeat(200_000));
    vec![
        (plain(), Vec::new()),
        (plain(), vec![b'\n']),
        (plain(), vec![0xff; 1_000]),
        (plain(), bomb),
        (plain(), b"{".repeat(3_000_000)),
        (plain(), b"{\"v\":99999999999999999999}\n".to_vec()),
        (plain().with_headers(headers), b"null\n{}".to_vec()),
        (
            plain().with_content_encoding("gzip".into()),
            vec![0x1f, 0x8b, 8, 0],
        ),
    ]
}

fn assert_unreadable<T>(taken: Taken<T>, body: &[u8]) {
    let Err(unreadable) = taken.content else {
        panic!("nobody can read this")
    };
    assert_eq!(unreadable.bytes, body);
    assert!(!unreadable.why.is_empty());
    taken.receipt.acknowledge();
}

async fn send(channel: &Channel, queue: &str, properties: BasicProperties, body: &[u8]) {
    channel
        .basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            body,
            properties,
        )
        .await
        .unwrap();
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
