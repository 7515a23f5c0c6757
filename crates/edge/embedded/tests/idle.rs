//! Alone in its process, so that nobody else's waking up is counted.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use ringback_delivery::port::{Lane, Queue};
use ringback_domain::Wait;
use ringback_testkit::samples;
use std::time::Duration;

/// How often a thread of this process has gone to sleep of its own accord so far.
fn sleeps() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads
        .map(|thread| {
            let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.unwrap().trim().parse::<u64>().unwrap()
        })
        .sum()
}

#[tokio::test]
async fn with_nothing_to_do_nothing_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = common::open(dir.path());
    let queue = embedded.queue();
    let mut events = queue.consume_events(10).await.unwrap();
    let mut deliveries = queue.consume_deliveries(Lane::Main, 10).await.unwrap();
    let long = Some(Wait::exactly(Duration::from_hours(1)));
    queue
        .publish_delivery(&samples::delivery(), Lane::Main, long)
        .await
        .unwrap();
    tokio::spawn(async move { events.next().await.is_some() });
    tokio::spawn(async move { deliveries.next().await.is_some() });
    // The sweep at opening, and the tasks on their way to sleep.
    tokio::time::sleep(Duration::from_millis(500)).await;

    let before = sleeps();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let woken = sleeps() - before;
    assert!(woken <= 6, "woke up {woken} times in 3 s");
}
