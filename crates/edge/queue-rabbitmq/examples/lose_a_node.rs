//! Kills the node that leads every queue of a private cluster of three while retries wait, and tells what became of them:
//! `cargo run -p ringback-queue-rabbitmq --example lose_a_node`.
//!
//! Takes some minutes. Where retries stand still, the watch names their rungs, and the node is started again. With
//! `RINGBACK_TEST_RABBITMQ_SBIN` it is another release's cluster.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an experiment, for people who look on"
)]

use futures_util::{StreamExt, stream};
use ringback_delivery::port::{Lane, Queue};
use ringback_domain::Wait;
use ringback_queue_rabbitmq::{RabbitConfig, RabbitQueue, Scope, WatchPace};
use ringback_testkit::{
    samples,
    servers::{RabbitCluster, RabbitOptions},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep, timeout};

const RETRIES: u64 = 2_000;
/// Long after the last retry is due.
const PATIENCE: Duration = Duration::from_mins(5);
const PACE: WatchPace = WatchPace {
    look_every: Duration::from_secs(1),
    grace: Duration::from_secs(30),
    sample_every: Duration::from_secs(1),
};

#[tokio::main]
async fn main() {
    let mut cluster = RabbitCluster::start(3, &RabbitOptions::default()).unwrap();
    let connect = async |url: String| {
        RabbitQueue::connect(url.parse().unwrap(), RabbitConfig::default(), Scope::Whole)
            .await
            .unwrap()
    };
    // Made through one node, so that this node leads every queue.
    connect(cluster.nodes()[0].url()).await.close().await;
    let led = cluster.leader_of("ringback.deliveries").unwrap();
    println!("node {led:?} leads the deliveries and every rung; it will be killed");
    let others = [cluster.nodes()[1].url(), cluster.nodes()[2].url()];
    let queue = connect(others.join(",")).await;
    queue.watch_delays(PACE);

    let mut missing = publish(&queue).await;
    println!("{RETRIES} retries are confirmed");
    cluster.node_mut(0).kill9();
    let killed_at = Instant::now();
    let mut deliveries = queue.consume_deliveries(Lane::Main, 200).await.unwrap();
    let (mut came, mut standing) = (0_u64, Vec::new());
    while !missing.is_empty() {
        if killed_at.elapsed() > PATIENCE {
            println!("{} retries never came", missing.len());
            return;
        }
        if let Ok(Some(taken)) = timeout(PACE.look_every, deliveries.next()).await {
            came += 1;
            missing.remove(taken.content.unwrap().id.as_str());
            taken.receipt.acknowledge();
            continue;
        }
        let seen = queue.punctuality().expect("it is watched");
        if standing.is_empty() && !seen.standing.is_empty() {
            println!(
                "{:.0?} after the kill {} retries stand, {:.0?} late, in {}; the node is started again",
                killed_at.elapsed(),
                missing.len(),
                seen.lateness,
                seen.standing.join(" ")
            );
            standing = seen.standing;
            cluster.node_mut(0).restart().unwrap();
        }
    }
    println!(
        "all came within {:.0?} of the kill, {} of them twice; {} rungs stood still",
        killed_at.elapsed(),
        came - RETRIES,
        standing.len()
    );
    let clear = async {
        while !queue
            .punctuality()
            .expect("it is watched")
            .standing
            .is_empty()
        {
            sleep(PACE.look_every).await;
        }
    };
    match timeout(PATIENCE, clear).await {
        Ok(()) => println!("the alarm is over"),
        Err(_) => println!("the alarm never ended"),
    }
    queue.close().await;
}

/// Retries of 15 to 30 seconds, on one rung or two; their ids.
async fn publish(queue: &RabbitQueue) -> BTreeSet<String> {
    let publish = async |number| {
        let delivery = samples::delivery();
        let wait = Wait::exactly(Duration::from_millis(15_000 + number % 16 * 1_000));
        while let Err(error) = queue
            .publish_delivery(&delivery, Lane::Main, Some(wait))
            .await
        {
            assert!(error.is_passing(), "{error}");
        }
        delivery.id.to_string()
    };
    stream::iter(0..RETRIES)
        .map(publish)
        .buffer_unordered(256)
        .collect()
        .await
}
