//! What every queue keeps, whatever it is made of.
//!
//! [`queue_contract!`](crate::queue_contract) makes a test of each case; an edge says where its queue lives. "Nothing comes" can
//! only be watched for a while: [`QUIET`] is that while, and no case passes because of it alone.

use crate::samples;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future;
use ringback_delivery::port::{Consumer, Lane, Queue, QueueError, QueueName, Taken};
use ringback_domain::{
    Callback, CallbackSecret, Delivery, Destination, Event, TraceContext, Wait, limits,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout};

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
            what_is_given_back_too_often_is_parked_with_its_bytes
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

pub async fn an_event_comes_out_as_it_went_in(home: &dyn QueueHome) {
    let queue = home.open().await;
    let mut event = samples::event();
    event.callback = Some(Callback {
        url: "https://jobs.example.com/done?token=a%20b"
            .parse()
            .expect("a URL"),
        secret: Some(CallbackSecret::Sealed(samples::sealed_secret())),
    });
    let trace = TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        tracestate: Some("vendor=1,other=2".into()),
    };
    soon(queue.publish_event(&event, Some(&trace)))
        .await
        .expect("published");
    soon(queue.publish_event(&samples::event(), None))
        .await
        .expect("published");

    let mut events = soon(queue.consume_events(10)).await.expect("consumes");
    for _ in 0..2 {
        let taken = take(&mut events).await;
        let found = taken.content.expect("an event");
        assert!(!taken.redelivered);
        if found.id == event.id {
            assert_same_event(&found, &event);
            assert_eq!(taken.trace.as_ref(), Some(&trace));
        } else {
            assert_eq!(taken.trace, None, "a trace belongs to its event");
        }
        taken.receipt.acknowledge();
    }
}

pub async fn a_delivery_comes_out_as_it_went_in(home: &dyn QueueHome) {
    let queue = home.open().await;
    let first = samples::delivery();
    let callback = samples::delivery_of(&samples::event(), samples::callback_destination());
    let mut large = samples::replay_of(&samples::retry_of(&samples::retry_of(&callback)));
    large.body = every_byte(limits::BODY_BYTES_MAX);
    large.trace = None;
    let mut empty = samples::retry_of(&samples::delivery());
    empty.body = Bytes::new();
    let published: BTreeMap<_, _> = [first, large, empty]
        .into_iter()
        .map(|delivery| (delivery.id.clone(), delivery))
        .collect();
    for delivery in published.values() {
        soon(queue.publish_delivery(delivery, Lane::Main, None))
            .await
            .expect("published");
    }

    let mut deliveries = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    let mut left = published.clone();
    while !left.is_empty() {
        let taken = take(&mut deliveries).await;
        let found = taken.content.expect("a delivery");
        let expected = left.remove(&found.id).expect("each comes once");
        assert_same_delivery(&found, &expected);
        taken.receipt.acknowledge();
    }
}

pub async fn bytes_that_are_no_event_are_handed_on_as_they_are(home: &dyn QueueHome) {
    let queue = home.open().await;
    let mut events = soon(queue.consume_events(10)).await.expect("consumes");
    for bytes in [
        every_byte(300),
        Bytes::from_static(b"{\"id\": 1}"),
        Bytes::from_static(b"["),
    ] {
        soon(queue.publish_raw_event(bytes.clone()))
            .await
            .expect("published");
        let taken = take(&mut events).await;
        let unreadable = taken.content.expect_err("it is no event");
        assert_eq!(unreadable.bytes, bytes);
        assert!(!unreadable.why.is_empty());
        taken.receipt.acknowledge();
    }
}

pub async fn a_raw_event_that_can_be_read_is_an_event(home: &dyn QueueHome) {
    let queue = home.open().await;
    let event = samples::event();
    soon(queue.publish_raw_event(event.document.clone()))
        .await
        .expect("published");
    let mut events = soon(queue.consume_events(1)).await.expect("consumes");
    assert_same_event(&take(&mut events).await.content.expect("an event"), &event);
}

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

pub async fn what_is_given_back_too_often_is_parked_with_its_bytes(home: &dyn QueueHome) {
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
    assert_same_delivery(&message.delivery.expect("it can be read"), &poison);
    assert!(message.bytes.ends_with(&poison.body));
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
    assert!(message.delivery.is_none());
    assert_eq!(message.bytes, bytes);
    taken.receipt.acknowledge();
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

fn every_byte(count: usize) -> Bytes {
    (0..=u8::MAX).cycle().take(count).collect()
}

fn assert_same_event(found: &Event, expected: &Event) {
    assert_eq!(found.id, expected.id);
    assert_eq!(found.project, expected.project);
    assert_eq!(found.event_type, expected.event_type);
    assert_eq!(found.occurred_at, expected.occurred_at);
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
