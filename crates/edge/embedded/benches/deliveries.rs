//! What a thousand deliveries cost the queue and the store, every step on disk before the next: publish the event, take it, mark it,
//! publish the delivery, acknowledge, take, claim, settle, acknowledge.
//!
//! `cargo bench -p ringback-embedded` prints wall time by divan, and the processor's time, all threads together, once at the end.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

#[path = "../tests/common/mod.rs"]
mod common;

use ringback_delivery::port::{
    ClaimAnswer, ClaimNonce, ClaimRequest, ClaimStore, Clock, Consumer, EventMark, EventStore,
    Lane, Queue, SettleAnswer, SettledAs, Settlement,
};
use ringback_domain::{Delivery, Event, WorkerId};
use ringback_embedded::Embedded;
use ringback_testkit::samples;
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Runtime, sync::mpsc, task::JoinSet};

const DELIVERIES: usize = 1_000;

fn main() {
    divan::main();
    for concurrency in CONCURRENCIES {
        report_processor_time(concurrency);
    }
}

const CONCURRENCIES: [usize; 4] = [1, 16, 64, 256];

#[divan::bench(args = CONCURRENCIES, sample_count = 10)]
fn a_thousand_deliveries_on_disk(bencher: divan::Bencher<'_, '_>, concurrency: usize) {
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let embedded = Arc::new(common::open(dir.path()));
    bencher.bench_local(|| runtime.block_on(deliver_all(&embedded, concurrency)));
}

#[divan::bench(args = CONCURRENCIES, sample_count = 10)]
fn a_thousand_deliveries_in_memory(bencher: divan::Bencher<'_, '_>, concurrency: usize) {
    let runtime = Runtime::new().unwrap();
    let embedded = Arc::new(common::in_memory());
    bencher.bench_local(|| runtime.block_on(deliver_all(&embedded, concurrency)));
}

/// So many producers, dispatchers and deliverers at work at once.
async fn deliver_all(embedded: &Arc<Embedded>, concurrency: usize) {
    let window = u16::try_from(concurrency).unwrap();
    let queue = Arc::new(embedded.queue());
    let mut tasks = JoinSet::new();
    for producer in 0..concurrency {
        let queue = queue.clone();
        let mine = DELIVERIES / concurrency + usize::from(producer < DELIVERIES % concurrency);
        tasks.spawn(async move {
            for _ in 0..mine {
                queue.publish_event(&samples::event(), None).await.unwrap();
            }
        });
    }
    let events = queue.consume_events(window).await.unwrap();
    let deliveries = queue.consume_deliveries(Lane::Main, window).await.unwrap();
    let dispatching = tokio::spawn(pump(events, embedded.clone(), queue.clone(), dispatch));
    let delivering = tokio::spawn(pump(deliveries, embedded.clone(), queue.clone(), attempt));
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    dispatching.await.unwrap();
    delivering.await.unwrap();
    queue.close().await;
}

/// Takes a thousand and works on as many at once as the consumer's window lets out.
async fn pump<T, F>(
    mut consumer: Box<dyn Consumer<T>>,
    embedded: Arc<Embedded>,
    queue: Arc<ringback_embedded::EmbeddedQueue>,
    work: impl Fn(T, Arc<Embedded>, Arc<ringback_embedded::EmbeddedQueue>) -> F,
) where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (done, mut all_done) = mpsc::channel::<()>(1);
    for _ in 0..DELIVERIES {
        let taken = consumer.next().await.unwrap();
        let work = work(taken.content.unwrap(), embedded.clone(), queue.clone());
        let done = done.clone();
        tokio::spawn(async move {
            work.await;
            taken.receipt.acknowledge();
            drop(done);
        });
    }
    drop(done);
    assert!(all_done.recv().await.is_none());
}

async fn dispatch(
    event: Event,
    embedded: Arc<Embedded>,
    queue: Arc<ringback_embedded::EmbeddedQueue>,
) {
    let store = embedded.store();
    assert_eq!(
        store.event_mark(&event.project, &event.id).await.unwrap(),
        None
    );
    let delivery = samples::delivery_of(&event, samples::webhook_destination());
    queue
        .publish_delivery(&delivery, Lane::Main, None)
        .await
        .unwrap();
    let mark = EventMark {
        dispatched_at: common::SystemClock.now(),
        deliveries: 1,
    };
    store
        .mark_event(&event.project, &event.id, mark, mark.dispatched_at)
        .await
        .unwrap();
}

async fn attempt(
    delivery: Delivery,
    embedded: Arc<Embedded>,
    _: Arc<ringback_embedded::EmbeddedQueue>,
) {
    let store = embedded.store();
    let worker: WorkerId = "wrk_1".parse().unwrap();
    let request = ClaimRequest {
        delivery: &delivery,
        worker: &worker,
        nonce: ClaimNonce(1),
        lease: Duration::from_mins(1),
    };
    let ClaimAnswer::Granted { claim, .. } = store.claim(request).await.unwrap() else {
        panic!("nobody else is here");
    };
    let settlement = Settlement {
        claim: &claim,
        delivery: &delivery,
        attempts: &[samples::attempt_of(&delivery)],
        settled_as: &SettledAs::Delivered,
        at: common::SystemClock.now(),
    };
    assert_eq!(
        store.settle(settlement).await.unwrap(),
        SettleAnswer::Settled
    );
}

/// Divan measures the clock on the wall; what a neighbour on the machine feels is the processor's time.
fn report_processor_time(concurrency: usize) {
    const ROUNDS: u32 = 5;
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let embedded = Arc::new(common::open(dir.path()));
    let before = processor_time();
    for _ in 0..ROUNDS {
        runtime.block_on(deliver_all(&embedded, concurrency));
    }
    let each = processor_time().saturating_sub(before) / ROUNDS;
    println!("{concurrency:>4} at once: {each:.3?} of processor time for 1,000 deliveries");
}

/// From `/proc`, in hundredths of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
