//! Waits and lanes.

use super::{QueueHome, SOON, assert_same_delivery, nothing_comes, soon, take, take_ids};
use crate::samples;
use ringback_delivery::port::Lane;
use ringback_domain::Wait;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

pub async fn a_delayed_delivery_is_never_early_and_arrives(home: &dyn QueueHome) {
    let queue = home.open().await;
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    let waits = [1, 250, 700, 1_100].map(Duration::from_millis);
    let mut due = BTreeMap::new();
    for wait in waits {
        let delivery = samples::retry_of(&samples::delivery());
        due.insert(delivery.id.clone(), Instant::now() + wait);
        soon(queue.publish_delivery(&delivery, Lane::Main, Some(Wait::exactly(wait))))
            .await
            .expect("published");
    }
    while !due.is_empty() {
        let taken = take(&mut consumer).await;
        let due = due
            .remove(&taken.content.expect("a delivery").id)
            .expect("each comes once");
        assert!(Instant::now() >= due, "{:?} early", due - Instant::now());
        taken.receipt.acknowledge();
    }
}

pub async fn a_delayed_delivery_is_there_after_opening_again(home: &dyn QueueHome) {
    let queue = home.open().await;
    let delivery = samples::retry_of(&samples::delivery());
    let wait = Duration::from_millis(600);
    let due = Instant::now() + wait;
    soon(queue.publish_delivery(&delivery, Lane::Slow, Some(Wait::exactly(wait))))
        .await
        .expect("published");
    soon(queue.close()).await;
    drop(queue);

    let queue = home.open().await;
    let mut consumer = soon(queue.consume_deliveries(Lane::Slow, 10))
        .await
        .expect("consumes");
    let taken = take(&mut consumer).await;
    assert!(Instant::now() >= due);
    assert_same_delivery(&taken.content.expect("a delivery"), &delivery);
}

pub async fn a_short_wait_is_not_stuck_behind_a_long_one(home: &dyn QueueHome) {
    let queue = home.open().await;
    let mut consumer = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    let (long, short) = (samples::delivery(), samples::delivery());
    for (delivery, wait) in [(&long, SOON * 10), (&short, Duration::from_millis(300))] {
        soon(queue.publish_delivery(delivery, Lane::Main, Some(Wait::exactly(wait))))
            .await
            .expect("published");
    }
    assert_eq!(
        take(&mut consumer).await.content.expect("a delivery").id,
        short.id
    );
}

pub async fn lanes_are_separate(home: &dyn QueueHome) {
    let queue = home.open().await;
    let soon_due = Some(Wait::exactly(Duration::from_millis(20)));
    let mut expected = BTreeMap::new();
    for lane in [Lane::Main, Lane::Slow] {
        for wait in [None, soon_due] {
            let delivery = samples::delivery();
            soon(queue.publish_delivery(&delivery, lane, wait))
                .await
                .expect("published");
            expected
                .entry(lane == Lane::Slow)
                .or_insert_with(BTreeSet::new)
                .insert(delivery.id.to_string());
        }
    }
    soon(queue.publish_event(&samples::event(), None))
        .await
        .expect("published");
    for lane in [Lane::Slow, Lane::Main] {
        let mut consumer = soon(queue.consume_deliveries(lane, 10))
            .await
            .expect("consumes");
        assert_eq!(
            take_ids(&mut consumer, 2).await,
            expected[&(lane == Lane::Slow)]
        );
        nothing_comes(&mut consumer).await;
    }
}
