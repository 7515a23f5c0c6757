//! Acknowledging, giving back, and what happens to what was neither.

use super::{
    QueueHome, assert_same_delivery, assert_same_event, every_byte, id_of, nothing_comes,
    publish_some, soon, take, take_ids,
};
use crate::samples;
use ringback_delivery::port::{Consumer, Lane, ParkedContent, QueueName, Taken};
use std::collections::BTreeSet;

pub async fn what_was_not_acknowledged_comes_back_when_its_consumer_ends(home: &dyn QueueHome) {
    let queue = home.open().await;
    let published = publish_some(&*queue, 3).await;
    let mut first = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    let mut held = Vec::new();
    for _ in 0..3 {
        let taken = take(&mut first).await;
        assert!(!taken.redelivered, "nobody had it before");
        held.push(taken);
    }
    let done = held.swap_remove(1);
    let done_id = id_of(&done);
    done.receipt.acknowledge();
    drop(first);

    let mut second = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    let mut back = BTreeSet::new();
    for _ in 0..2 {
        let taken = take(&mut second).await;
        assert!(taken.redelivered, "somebody had it before");
        back.insert(id_of(&taken));
        taken.receipt.acknowledge();
    }
    let mut expected = published;
    expected.remove(&done_id);
    assert_eq!(back, expected);
    // A receipt that outlived its consumer is void: its message belongs to somebody else now.
    for taken in held {
        taken.receipt.acknowledge();
    }
    nothing_comes(&mut second).await;
}

pub async fn what_was_not_acknowledged_is_there_after_opening_again(home: &dyn QueueHome) {
    let queue = home.open().await;
    let published = publish_some(&*queue, 5).await;
    let event = samples::event();
    soon(queue.publish_event(&event, None))
        .await
        .expect("published");
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 2))
        .await
        .expect("consumes");
    let held = take(&mut consumer).await;
    soon(queue.close()).await;
    drop((held, consumer, queue));

    let queue = home.open().await;
    let mut deliveries = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    assert_eq!(take_ids(&mut deliveries, 5).await, published);
    let mut events = soon(queue.consume_events(10)).await.expect("consumes");
    assert_same_event(&take(&mut events).await.content.expect("an event"), &event);
}

pub async fn what_was_acknowledged_never_comes_again(home: &dyn QueueHome) {
    let queue = home.open().await;
    publish_some(&*queue, 20).await;
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 30))
        .await
        .expect("consumes");
    take_ids(&mut consumer, 20).await;
    nothing_comes(&mut consumer).await;
    drop(consumer);
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 30))
        .await
        .expect("consumes");
    nothing_comes(&mut consumer).await;
    soon(queue.close()).await;
    drop((consumer, queue));

    let queue = home.open().await;
    let published = publish_some(&*queue, 1).await;
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 30))
        .await
        .expect("consumes");
    assert_eq!(take_ids(&mut consumer, 1).await, published);
    nothing_comes(&mut consumer).await;
}

pub async fn a_message_whose_receipt_is_dropped_stays_with_its_consumer(home: &dyn QueueHome) {
    let queue = home.open().await;
    let published = publish_some(&*queue, 1).await;
    let mut first = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    drop(take(&mut first).await);
    nothing_comes(&mut first).await;
    drop(first);
    let mut second = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    assert_eq!(take_ids(&mut second, 1).await, published);
}

pub async fn what_is_given_back_comes_again(home: &dyn QueueHome) {
    let queue = home.open().await;
    let published = publish_some(&*queue, 2).await;
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 1))
        .await
        .expect("consumes");
    take(&mut consumer).await.receipt.give_back();
    let mut seen = BTreeSet::new();
    let mut redelivered = 0;
    for _ in 0..2 {
        let taken = take(&mut consumer).await;
        redelivered += u32::from(taken.redelivered);
        seen.insert(id_of(&taken));
        taken.receipt.acknowledge();
    }
    assert_eq!(seen, published);
    assert_eq!(redelivered, 1, "only one was handed out before");
    nothing_comes(&mut consumer).await;
}

pub async fn a_delivery_given_back_too_often_is_parked_whole(home: &dyn QueueHome) {
    let queue = home.open().await;
    let poison = samples::retry_of(&samples::delivery());
    soon(queue.publish_delivery(&poison, Lane::Slow, None))
        .await
        .expect("published");
    let mut consumer = soon(queue.consume_deliveries(Lane::Slow, 10))
        .await
        .expect("consumes");
    let mut parked = soon(queue.consume_parked(10)).await.expect("consumes");

    let taken = give_back_until_parked(&mut consumer, &mut parked, home.delivery_limit()).await;
    let message = taken.content.expect("a parked message");
    assert_eq!(message.from, QueueName::Deliveries(Lane::Slow));
    let ParkedContent::Delivery(found) = message.content else {
        panic!("it can be read: {:?}", message.content)
    };
    assert_same_delivery(&found, &poison);
    // Nothing is left to park what is parked: given back, it comes again.
    taken.receipt.give_back();
    let again = take(&mut parked).await;
    assert!(again.redelivered);
    again.receipt.acknowledge();
    nothing_comes(&mut parked).await;
    nothing_comes(&mut consumer).await;
}

pub async fn an_unreadable_event_is_parked_with_its_bytes(home: &dyn QueueHome) {
    let queue = home.open().await;
    let bytes = every_byte(1_000);
    soon(queue.publish_raw_event(bytes.clone()))
        .await
        .expect("published");
    let mut consumer = soon(queue.consume_events(10)).await.expect("consumes");
    let mut parked = soon(queue.consume_parked(10)).await.expect("consumes");
    let taken = give_back_until_parked(&mut consumer, &mut parked, home.delivery_limit()).await;
    let message = taken.content.expect("a parked message");
    assert_eq!(message.from, QueueName::Events);
    let ParkedContent::Raw(found) = message.content else {
        panic!("nobody can read this: {:?}", message.content)
    };
    assert_eq!(found, bytes);
    taken.receipt.acknowledge();
}

pub async fn an_event_given_back_too_often_is_parked_whole(home: &dyn QueueHome) {
    let queue = home.open().await;
    let poison = samples::event();
    soon(queue.publish_event(&poison, None))
        .await
        .expect("published");
    let mut consumer = soon(queue.consume_events(10)).await.expect("consumes");
    let mut parked = soon(queue.consume_parked(10)).await.expect("consumes");
    let taken = give_back_until_parked(&mut consumer, &mut parked, home.delivery_limit()).await;
    let message = taken.content.expect("a parked message");
    assert_eq!(message.from, QueueName::Events);
    let ParkedContent::Event(found) = message.content else {
        panic!("it can be read: {:?}", message.content)
    };
    assert_same_event(&found, &poison);
    taken.receipt.acknowledge();
}

async fn give_back_until_parked<T, P>(
    consumer: &mut Box<dyn Consumer<T>>,
    parked: &mut Box<dyn Consumer<P>>,
    limit: u32,
) -> Taken<P> {
    let mut given_back = 0;
    loop {
        tokio::select! {
            taken = take(consumer) => {
                assert_eq!(taken.redelivered, given_back > 0);
                taken.receipt.give_back();
                given_back += 1;
                assert!(given_back <= limit + 1, "given back {given_back} times, the limit is {limit}");
            }
            taken = take(parked) => {
                assert!(given_back >= limit, "parked after {given_back}, the limit is {limit}");
                return taken;
            }
        }
    }
}
