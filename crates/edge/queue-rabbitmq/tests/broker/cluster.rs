//! A cluster that loses a node.

use crate::{home::Home, outages::blocking, take};
use futures_util::{StreamExt, stream};
use ringback_delivery::port::{Lane, Queue};
use ringback_domain::Wait;
use ringback_queue_rabbitmq::WatchPace;
use ringback_testkit::{
    samples,
    servers::{RabbitCluster, RabbitOptions},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep, timeout};

const RETRIES: u64 = 2_000;
/// Long after the last retry is due.
const PATIENCE: Duration = Duration::from_mins(3);
const PACE: WatchPace = WatchPace {
    look_every: Duration::from_secs(1),
    grace: Duration::from_secs(30),
    sample_every: Duration::from_secs(1),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "three nodes and minutes: cargo xtask test -p ringback-queue-rabbitmq -- --ignored --nocapture loses_a_node"]
async fn every_retry_comes_after_a_cluster_loses_a_node_and_what_stands_until_its_return_is_named()
{
    let mut cluster =
        blocking(|| RabbitCluster::start(3, &RabbitOptions::default()).unwrap()).await;
    let mut home = Home::at(cluster.nodes()[0].url());
    // Made through one node, so that this node leads every queue.
    home.connect().await.close().await;
    let led = cluster.leader_of(&home.name("deliveries")).unwrap();
    assert_eq!(led, Some(0));
    home.url = format!("{},{}", cluster.nodes()[1].url(), cluster.nodes()[2].url());
    let queue = home.connect().await;
    queue.watch_delays(PACE);

    let publish = async |number| {
        let delivery = samples::delivery();
        // 15 to 30 seconds, on one rung or two.
        let wait = Wait::exactly(Duration::from_millis(15_000 + number % 16 * 1_000));
        while let Err(error) = queue
            .publish_delivery(&delivery, Lane::Main, Some(wait))
            .await
        {
            assert!(error.is_passing(), "{error}");
        }
        delivery.id.to_string()
    };
    let mut missing: BTreeSet<String> = stream::iter(0..RETRIES)
        .map(publish)
        .buffer_unordered(256)
        .collect()
        .await;
    cluster.node_mut(0).kill9();
    let killed_at = Instant::now();

    let mut deliveries = queue.consume_deliveries(Lane::Main, 200).await.unwrap();
    let (mut came, mut standing) = (0_u64, Vec::new());
    while !missing.is_empty() {
        assert!(
            killed_at.elapsed() < PATIENCE * 2,
            "{} retries never came",
            missing.len()
        );
        tokio::select! {
            taken = take(&mut deliveries) => {
                came += 1;
                missing.remove(taken.content.unwrap().id.as_str());
                taken.receipt.acknowledge();
            }
            () = sleep(PACE.look_every) => {
                let seen = queue.punctuality().expect("it is watched");
                if standing.is_empty() && !seen.standing.is_empty() {
                    standing = seen.standing;
                    eprintln!(
                        "{:?} after the kill {} retries stand, in {}, {:?} late; the node returns",
                        killed_at.elapsed(), missing.len(), standing.join(" "), seen.lateness
                    );
                    cluster = blocking(move || {
                        cluster.node_mut(0).restart().unwrap();
                        cluster
                    })
                    .await;
                }
            }
        }
    }
    let duplicates = came - RETRIES;
    eprintln!(
        "all {RETRIES} came within {:?} of the kill, {duplicates} twice; stood still: {}",
        killed_at.elapsed(),
        standing.join(" ")
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
    timeout(PATIENCE, clear).await.expect("the alarm ends");
}
