//! Who makes a probe, and what a worker knows that made one.

use super::{BREAKER_RULES, answers, attempt_at, attempts_at_one, limited_world, open_breaker};
use crate::world::World;
use ringback_delivery::{Handled, port::PaceStore};
use ringback_domain::{BreakerState, Delivery, Destination, DestinationId};
use ringback_testkit::samples;
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

/// A message that came twice, of what is delivered; one that nobody can send.
#[tokio::test(start_paused = true)]
async fn what_comes_to_no_request_uses_up_no_probe() {
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
    let destination = Destination::Callback {
        url: "https://jobs.example/done".parse().unwrap(),
        secret: None,
    };
    let unknown = Delivery {
        profile: "unknown".parse().unwrap(),
        ..samples::delivery_of(&world.event(), destination)
    };
    assert_eq!(deliver.handle(&unknown).await, Handled::Acknowledge);
    assert_eq!(world.dead_letters().await.len(), 1);
    assert_eq!(sent(), 1, "nothing but the first");
    attempts_at_one(&world, &deliver, "probe", 1).await;
    assert_eq!(sent(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_cannot_be_read_uses_up_no_probe() {
    let (world, destination) = limited_world(World::new(Some("hooked"), []), 1_000).await;
    open_breaker(&world, &destination).await;
    tokio::time::sleep(BREAKER_RULES.probe_first).await;
    let before = world.store.breakers().await.unwrap();
    world.store.damage(&destination);
    let destination = Destination::Webhook {
        id: destination.to_string().parse().unwrap(),
        url: "https://jobs.example/hook".parse().unwrap(),
    };
    let delivery = Delivery {
        profile: "hooked".parse().unwrap(),
        ..samples::delivery_of(&world.event(), destination)
    };
    assert_eq!(
        world.deliver().handle(&delivery).await,
        Handled::Acknowledge
    );
    assert!(world.peek().await.deferral.is_some());
    assert_eq!(world.store.breakers().await.unwrap(), before);
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

/// Of a callback, which has a breaker of its URL and one of its host.
#[tokio::test(start_paused = true)]
async fn a_probe_that_waits_for_the_one_of_its_host_is_given_back() {
    let world = World::new(Some("hooked"), []);
    let [one, other] = [world.deliver(), world.deliver()];
    let destination = Destination::Callback {
        url: "https://jobs.example/done".parse().unwrap(),
        secret: None,
    };
    let (place, host) = (destination.id(), destination.host_id(&world.project));
    open_breaker(&world, &place).await;
    open_breaker(&world, &host.unwrap()).await;
    tokio::time::sleep(BREAKER_RULES.probe_first).await;
    attempt_at(&world, &other, "https://other.example/".to_owned()).await;
    attempt_at(&world, &one, "https://jobs.example/else".to_owned()).await;
    let sent = || world.sender.with_requests(<[_]>::len);
    assert_eq!(sent(), 2, "the other host, and the probe of this one");
    attempts_at_one(&world, &other, "held", 1).await;
    assert_eq!(sent(), 2);
    let breakers = world.store.breakers().await.unwrap();
    let of_place = breakers.iter().find(|breaker| breaker.destination == place);
    let state = of_place.expect("it is open").state;
    assert!(
        matches!(state, BreakerState::Open { probes: 0, .. }),
        "{state:?}"
    );
}
