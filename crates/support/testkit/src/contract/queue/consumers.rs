//! Windows, sharing, counting, stopping and closing.

use super::{QueueHome, SOON, id_of, nothing_comes, publish_some, soon, take, take_ids};
use crate::samples;
use futures_util::future;
use ringback_delivery::port::{Lane, Queue, QueueError, QueueName};
use ringback_domain::Wait;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, timeout};

pub async fn no_more_than_the_window_is_out(home: &dyn QueueHome) {
    let queue = home.open().await;
    let published = publish_some(&*queue, 12).await;
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 5))
        .await
        .expect("consumes");
    let mut seen = BTreeSet::new();
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(take(&mut consumer).await);
    }
    nothing_comes(&mut consumer).await;
    while let Some(taken) = held.pop() {
        seen.insert(id_of(&taken));
        taken.receipt.acknowledge();
        if seen.len() + held.len() < published.len() {
            held.push(take(&mut consumer).await);
            assert!(held.len() <= 5);
            if seen.len() == 1 {
                nothing_comes(&mut consumer).await;
            }
        }
    }
    assert_eq!(seen, published);
}

pub async fn a_cancelled_take_loses_nothing(home: &dyn QueueHome) {
    let queue = home.open().await;
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 100))
        .await
        .expect("consumes");
    let publishing = tokio::spawn({
        let queue = queue.clone();
        async move { publish_some(&*queue, 50).await }
    });
    let mut seen = BTreeSet::new();
    let deadline = Instant::now() + SOON;
    while seen.len() < 50 {
        assert!(Instant::now() < deadline, "{} of 50 came", seen.len());
        if let Ok(taken) = timeout(Duration::from_micros(50), consumer.next()).await {
            let taken = taken.expect("the queue is open");
            assert!(seen.insert(id_of(&taken)), "each comes once");
            taken.receipt.acknowledge();
        }
    }
    assert_eq!(seen, publishing.await.expect("published"));
}

pub async fn a_stopped_consumer_hands_out_no_more_and_returns_what_it_held(home: &dyn QueueHome) {
    let queue = home.open().await;
    let published = publish_some(&*queue, 10).await;
    let mut stopping = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    let done = take(&mut stopping).await;
    let unfinished = take(&mut stopping).await;
    soon(stopping.stop()).await;
    assert!(soon(stopping.next()).await.is_none());

    let mut other = soon(queue.consume_deliveries(Lane::Main, 20))
        .await
        .expect("consumes");
    let mut seen = take_ids(&mut other, 8).await;
    nothing_comes(&mut other).await;
    assert!(seen.insert(id_of(&done)));
    done.receipt.acknowledge();
    drop(stopping);
    let back = take(&mut other).await;
    assert!(back.redelivered);
    assert_eq!(id_of(&back), id_of(&unfinished));
    assert!(seen.insert(id_of(&back)));
    assert_eq!(seen, published);
    back.receipt.acknowledge();
    nothing_comes(&mut other).await;
}

pub async fn consumers_share_without_double_delivery(home: &dyn QueueHome) {
    const MESSAGES: usize = 200;
    let queue = home.open().await;
    let (found, mut arrivals) = tokio::sync::mpsc::channel(MESSAGES);
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let mut consumer = soon(queue.consume_deliveries(Lane::Main, 7))
            .await
            .expect("consumes");
        let found = found.clone();
        consumers.push(tokio::spawn(async move {
            while let Some(taken) = consumer.next().await {
                let _ = found.send(id_of(&taken)).await;
                taken.receipt.acknowledge();
            }
        }));
    }
    let published = publish_some(&*queue, MESSAGES).await;
    let mut seen = BTreeSet::new();
    for _ in 0..MESSAGES {
        let id = soon(arrivals.recv()).await.expect("consumers are there");
        assert!(seen.insert(id), "each comes once");
    }
    assert_eq!(seen, published);
    soon(queue.close()).await;
    for consumer in consumers {
        soon(consumer).await.expect("it ends with the queue");
    }
    assert!(arrivals.try_recv().is_err());
}

pub async fn depths_count_what_waits(home: &dyn QueueHome) {
    let queue = home.open().await;
    publish_some(&*queue, 3).await;
    soon(queue.publish_delivery(&samples::delivery(), Lane::Slow, None))
        .await
        .expect("published");
    for _ in 0..2 {
        soon(queue.publish_event(&samples::event(), None))
            .await
            .expect("published");
    }
    let long = Some(Wait::exactly(SOON * 10));
    soon(queue.publish_delivery(&samples::delivery(), Lane::Main, long))
        .await
        .expect("published");
    wait_for_depths(&*queue, [2, 3, 1, 1, 0]).await;

    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    take_ids(&mut consumer, 3).await;
    wait_for_depths(&*queue, [2, 0, 1, 1, 0]).await;
}

/// Waits until events, main lane, slow lane, delayed and parked hold so many. Brokers count a moment late.
async fn wait_for_depths(queue: &dyn Queue, expected: [u64; 5]) {
    let names = [
        QueueName::Events,
        QueueName::Deliveries(Lane::Main),
        QueueName::Deliveries(Lane::Slow),
        QueueName::Delayed,
        QueueName::Parked,
    ];
    let deadline = Instant::now() + SOON;
    loop {
        let depths = soon(queue.depths()).await.expect("it answers");
        let found: [u64; 5] = names.map(|name| {
            depths
                .iter()
                .filter(|depth| depth.queue == name)
                .map(|depth| depth.waiting)
                .sum()
        });
        if found == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{names:?} hold {found:?}, not {expected:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn a_thousand_publishes_at_once_are_all_confirmed(home: &dyn QueueHome) {
    let queue = home.open().await;
    let deliveries: Vec<_> = (0..1_000).map(|_| samples::delivery()).collect();
    let publishes = deliveries
        .iter()
        .map(|delivery| queue.publish_delivery(delivery, Lane::Main, None));
    for published in soon(future::join_all(publishes)).await {
        published.expect("published");
    }
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 300))
        .await
        .expect("consumes");
    let expected: BTreeSet<_> = deliveries
        .iter()
        .map(|delivery| delivery.id.to_string())
        .collect();
    assert_eq!(take_ids(&mut consumer, 1_000).await, expected);
}

pub async fn a_closed_queue_ends_its_consumers_and_takes_nothing(home: &dyn QueueHome) {
    let queue = home.open().await;
    soon(queue.ping()).await.expect("it answers");
    let mut idle = soon(queue.consume_events(10)).await.expect("consumes");
    let waiting = tokio::spawn(async move { idle.next().await.is_none() });
    soon(queue.close()).await;
    assert!(
        soon(waiting).await.expect("no panic"),
        "a consumer ends with its queue"
    );
    let refused = soon(queue.publish_event(&samples::event(), None)).await;
    assert!(matches!(refused, Err(QueueError::Closed)), "{refused:?}");
    let refused = soon(queue.publish_delivery(&samples::delivery(), Lane::Main, None)).await;
    assert!(matches!(refused, Err(QueueError::Closed)), "{refused:?}");
    assert!(matches!(soon(queue.ping()).await, Err(QueueError::Closed)));
    soon(queue.close()).await;
}
