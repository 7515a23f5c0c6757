//! Dispatch: from an event to its deliveries. The dispatching process makes no attempts, so that what it published can be counted.

use super::scene::{Begins, DELIVERIES, EVENT, Scene, history};
use crate::installation::{Ground, RETRYING};
use ringback_delivery::port::QueueName;
use ringback_testkit::receiver::Answer;

super::on_each_ground! {
    an_event_given_a_moment_and_not_acknowledged_reaches_every_destination_once
    a_fan_out_cut_off_in_the_middle_reaches_every_destination_once
    deliveries_published_without_a_mark_reach_every_destination_once
    an_event_marked_and_not_acknowledged_is_dropped_when_it_comes_again
    a_direct_attempt_that_takes_long_and_is_cut_off_is_made_again
}

const DESTINATIONS: usize = 8;
/// Deliveries confirmed when a fan-out is cut off.
const CONFIRMED: usize = 2;
/// Bytes of data that take their time to be written, so that a fan-out has a middle.
const LARGE: usize = 200_000;

async fn an_event_given_a_moment_and_not_acknowledged_reaches_every_destination_once(
    ground: Ground,
) {
    let scene = Scene::with_undated_event(ground, RETRYING, DESTINATIONS).await;
    scene.vanishes("dispatch", "event-dated").await;
    assert_eq!(event_comes_again(&scene).await, 0);
    assert!(!is_marked(&scene).await);

    every_destination_gets_it_once(&scene).await;
}

async fn a_fan_out_cut_off_in_the_middle_reaches_every_destination_once(ground: Ground) {
    let scene = Scene::with_event(ground, RETRYING, DESTINATIONS, LARGE).await;
    let dispatch = ["serve", "--roles", "dispatch"];
    scene
        .runs_until(&dispatch, "delivery-published", CONFIRMED)
        .await;
    // Those after it were on their way, and may have arrived.
    let published = event_comes_again(&scene).await;
    assert!(
        (CONFIRMED..=DESTINATIONS).contains(&published),
        "{published}"
    );
    assert!(!is_marked(&scene).await);

    every_destination_gets_it_once(&scene).await;
}

async fn deliveries_published_without_a_mark_reach_every_destination_once(ground: Ground) {
    let scene = Scene::with_event(ground, RETRYING, DESTINATIONS, 16).await;
    scene.vanishes("dispatch", "deliveries-published").await;
    assert_eq!(event_comes_again(&scene).await, DESTINATIONS);
    assert!(!is_marked(&scene).await);

    every_destination_gets_it_once(&scene).await;
}

async fn an_event_marked_and_not_acknowledged_is_dropped_when_it_comes_again(ground: Ground) {
    let scene = Scene::with_event(ground, RETRYING, DESTINATIONS, 16).await;
    scene.vanishes("dispatch", "event-marked").await;
    assert_eq!(event_comes_again(&scene).await, DESTINATIONS);
    assert!(is_marked(&scene).await);

    let dispatcher = scene.installation.serve_as("dispatch").await;
    let desk = scene.installation.desk().await;
    desk.wait_for_waiting(QueueName::Events, 0).await;
    desk.close().await;
    dispatcher.stop().await;
    let published = scene
        .look(async |desk| desk.waiting(DELIVERIES).await)
        .await;
    assert_eq!(published, DESTINATIONS as u64, "nothing is published again");

    every_destination_gets_it_once(&scene).await;
}

async fn a_direct_attempt_that_takes_long_and_is_cut_off_is_made_again(ground: Ground) {
    let answers = [Answer::hang(), Answer::status(200)];
    let scene = Scene::with_delivery(ground, Begins::Directly, RETRYING, answers).await;
    scene.vanishes_at_an_attempt("attempt-guarded").await;
    assert_eq!(scene.request_count(), 1);
    let waiting = async |desk: &crate::desk::Desk| {
        desk.wait_for_waiting(QueueName::Events, 1).await;
        desk.waiting(QueueName::Delayed).await
    };
    assert_eq!(scene.look(waiting).await, 1, "a message of its own");

    scene.goes_on("delivered").await;
    assert_eq!(scene.request_count(), 2, "one duplicate");
    let delivery = scene.delivery().await;
    assert_eq!(history(&delivery), ["1 outcome unknown", "1 200"]);
    assert!(is_marked(&scene).await);
}

/// The event is back in its queue; how many deliveries were published.
async fn event_comes_again(scene: &Scene) -> usize {
    let look = async |desk: &crate::desk::Desk| {
        desk.wait_for_waiting(QueueName::Events, 1).await;
        desk.waiting(DELIVERIES).await
    };
    usize::try_from(scene.look(look).await).unwrap()
}

async fn is_marked(scene: &Scene) -> bool {
    let mark = scene
        .look(async |desk| desk.event_mark(RETRYING, EVENT).await)
        .await;
    mark.is_some()
}

async fn every_destination_gets_it_once(scene: &Scene) {
    scene.goes_on("delivered").await;
    let counts: Vec<_> = scene.requests().iter().map(Vec::len).collect();
    assert_eq!(counts, [1; DESTINATIONS], "no duplicate");
    let deliveries = scene
        .look(async |desk| desk.deliveries(RETRYING).await)
        .await;
    for delivery in deliveries {
        assert_eq!(delivery.attempts.len(), 1);
    }
    assert!(is_marked(scene).await);
}
