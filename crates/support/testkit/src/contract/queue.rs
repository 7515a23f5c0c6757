//! What every queue keeps, whatever it is made of.
//!
//! [`queue_contract!`](crate::queue_contract) makes a test of each case; an edge says where its queue lives. "Nothing comes" can
//! only be watched for a while: `QUIET` is that while, and no case passes because of it alone.

mod consumers;
mod contents;
mod lanes;
mod receipts;

pub use consumers::*;
pub use contents::*;
pub use lanes::*;
pub use receipts::*;

use crate::samples;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future;
use ringback_delivery::port::{Consumer, Lane, Queue, Taken};
use ringback_domain::{CallbackSecret, Delivery, Destination, Event};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::timeout;

/// A place where a queue lives, empty at first.
#[async_trait]
pub trait QueueHome: Send + Sync {
    /// Opens the queue. Opened again, it is the same queue: what was there before is there still.
    async fn open(&self) -> Arc<dyn Queue>;

    /// How often a message can be given back before it is parked.
    fn delivery_limit(&self) -> u32;
}

/// How long something that should come may take, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// How long something that must not come is watched for.
const QUIET: Duration = Duration::from_millis(300);

/// Makes a test of every case. `$open` is an async function that returns a new [`QueueHome`].
#[macro_export]
macro_rules! queue_contract {
    ($open:path) => {
        $crate::queue_contract!(@tests $open:
            an_event_comes_out_as_it_went_in
            a_delivery_comes_out_as_it_went_in
            bytes_that_are_no_event_are_handed_on_as_they_are
            a_raw_event_that_can_be_read_is_an_event
            what_was_not_acknowledged_comes_back_when_its_consumer_ends
            what_was_not_acknowledged_is_there_after_opening_again
            what_was_acknowledged_never_comes_again
            a_message_whose_receipt_is_dropped_stays_with_its_consumer
            no_more_than_the_window_is_out
            a_cancelled_take_loses_nothing
            a_delayed_delivery_is_never_early_and_arrives
            a_delayed_delivery_is_there_after_opening_again
            a_short_wait_is_not_stuck_behind_a_long_one
            lanes_are_separate
            what_is_given_back_comes_again
            a_delivery_given_back_too_often_is_parked_whole
            an_event_given_back_too_often_is_parked_whole
            an_unreadable_event_is_parked_with_its_bytes
            a_stopped_consumer_hands_out_no_more_and_returns_what_it_held
            consumers_share_without_double_delivery
            depths_count_what_waits
            a_thousand_publishes_at_once_are_all_confirmed
            a_closed_queue_ends_its_consumers_and_takes_nothing
        );
    };
    (@tests $open:path: $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let home = $open().await;
                $crate::contract::queue::$case(&home).await;
            }
        )*
    };
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.expect("it does not hang")
}

async fn take<T>(consumer: &mut Box<dyn Consumer<T>>) -> Taken<T> {
    soon(consumer.next()).await.expect("a message, not the end")
}

async fn nothing_comes<T>(consumer: &mut Box<dyn Consumer<T>>) {
    if let Ok(taken) = timeout(QUIET, consumer.next()).await {
        panic!(
            "{} came",
            if taken.is_some() {
                "a message"
            } else {
                "the end"
            }
        );
    }
}

async fn publish_some(queue: &dyn Queue, count: usize) -> BTreeSet<String> {
    let deliveries: Vec<_> = (0..count).map(|_| samples::delivery()).collect();
    let publishes = deliveries
        .iter()
        .map(|delivery| queue.publish_delivery(delivery, Lane::Main, None));
    for published in soon(future::join_all(publishes)).await {
        published.expect("published");
    }
    deliveries
        .iter()
        .map(|delivery| delivery.id.to_string())
        .collect()
}

/// Takes and acknowledges; each must come once.
async fn take_ids(consumer: &mut Box<dyn Consumer<Delivery>>, count: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        let taken = take(consumer).await;
        assert!(ids.insert(id_of(&taken)), "each comes once");
        taken.receipt.acknowledge();
    }
    ids
}

fn id_of(taken: &Taken<Delivery>) -> String {
    taken.content.as_ref().expect("a delivery").id.to_string()
}

fn every_byte(count: usize) -> Bytes {
    (0..=u8::MAX).cycle().take(count).collect()
}

fn assert_same_event(found: &Event, expected: &Event) {
    assert_eq!(found.id, expected.id);
    assert_eq!(found.project, expected.project);
    assert_eq!(found.event_type, expected.event_type);
    assert_eq!(found.occurred_at, expected.occurred_at);
    assert_eq!(found.accepted_at, expected.accepted_at);
    assert_eq!(found.job, expected.job);
    assert_eq!(found.document, expected.document);
    assert_eq!(callback_of(found), callback_of(expected));
}

fn callback_of(event: &Event) -> Option<(&str, Option<&str>)> {
    let callback = event.callback.as_ref()?;
    let secret = callback.secret.as_ref().map(|secret| match secret {
        CallbackSecret::Sealed(sealed) => sealed.as_str(),
        CallbackSecret::Plain(_) => panic!("no queue carries plain secrets"),
    });
    Some((callback.url.as_str(), secret))
}

fn assert_same_delivery(found: &Delivery, expected: &Delivery) {
    assert_eq!(found.id, expected.id);
    assert_eq!(found.event, expected.event);
    assert_eq!(found.accepted_at, expected.accepted_at);
    assert_eq!(found.destination, expected.destination);
    assert_eq!(
        secret_of(&found.destination),
        secret_of(&expected.destination)
    );
    assert_eq!(found.profile, expected.profile);
    assert_eq!(found.generation, expected.generation);
    assert_eq!(found.attempt, expected.attempt);
    assert_eq!(found.due_at, expected.due_at);
    assert_eq!(found.history, expected.history);
    assert_eq!(found.trace, expected.trace);
    assert!(found.body == expected.body, "the body's bytes differ");
}

fn secret_of(destination: &Destination) -> Option<&str> {
    match destination {
        Destination::Webhook { .. } => None,
        Destination::Callback { secret, .. } => {
            secret.as_ref().map(ringback_domain::SealedSecret::as_str)
        }
    }
}
