//! Who makes a probe, and what a worker knows that made one.

use super::{BREAKER_RULES, answers, attempt_at, attempts_at_one, open_breaker};
use crate::world::World;
use ringback_domain::DestinationId;
use std::time::Duration;

/// By the worker whose probe was accepted, a moment after it was.
#[tokio::test(start_paused = true)]
async fn attempts_of_before_its_own_probe_open_nothing() {
    let failures = BREAKER_RULES.failures.get();
    let (_, refuses) = answers(503);
    let hangs = (Duration::from_millis(7_100), refuses);
    let mut scripts = vec![hangs; failures as usize];
    scripts.extend(vec![answers(503); failures as usize]);
    let world = World::new(Some("hooked"), scripts);
    let deliver = world.deliver();
    let down = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        attempts_at_one(&world, &deliver, "down", failures).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        attempts_at_one(&world, &deliver, "probe", 1).await;
    };
    tokio::join!(attempts_at_one(&world, &deliver, "hangs", failures), down);
    let story = world.recorder.story();
    assert_eq!(story.matches("breaker opened").count(), 1, "{story}");
}

/// A message that came twice, of what is delivered.
#[tokio::test(start_paused = true)]
async fn a_duplicate_uses_up_no_probe() {
    let world = World::new(Some("hooked"), []);
    let deliver = world.deliver();
    attempts_at_one(&world, &deliver, "once", 1).await;
    open_breaker(
        &world,
        &DestinationId::callback("https://jobs.example/done"),
    )
    .await;
    tokio::time::sleep(BREAKER_RULES.probe_first).await;
    let sent = || world.sender.with_requests(<[_]>::len);
    attempts_at_one(&world, &deliver, "once", 1).await;
    assert_eq!(sent(), 1, "it is a duplicate");
    attempts_at_one(&world, &deliver, "probe", 1).await;
    assert_eq!(sent(), 2);
}

/// What it read not long ago says that the probe is still to be made.
#[tokio::test(start_paused = true)]
async fn who_is_not_the_probe_looks_again_at_how_things_are() {
    let world = World::new(Some("hooked"), []);
    let [one, other] = [world.deliver(), world.deliver()];
    open_breaker(
        &world,
        &DestinationId::callback("https://jobs.example/done"),
    )
    .await;
    tokio::time::sleep(BREAKER_RULES.probe_first).await;
    attempt_at(&world, &other, "https://other.example/".to_owned()).await;
    attempts_at_one(&world, &one, "probe", 1).await;
    let sent = || world.sender.with_requests(<[_]>::len);
    assert_eq!(sent(), 2);
    attempts_at_one(&world, &other, "late", 1).await;
    assert_eq!(sent(), 2, "the first worker was the probe");
    attempts_at_one(&world, &other, "later", 1).await;
    assert_eq!(sent(), 3, "the recovery has begun");
}
