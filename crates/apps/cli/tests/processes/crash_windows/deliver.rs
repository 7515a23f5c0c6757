//! Deliver: from the claim to the acknowledgement.

use super::scene::{Begins, Scene, history};
use crate::installation::{ATTEMPT_HEADER, Ground, HASTY, LEASE, RETRYING, UNFORGIVING};
use ringback_delivery::port::QueueName;
use ringback_domain::{DeadLetterReason, DeliveryRecord};
use ringback_testkit::receiver::Answer;
use std::time::Duration;

macro_rules! however_it_begins {
    ($($row:ident)*) => {
        mod with_a_message_of_its_own {
            super::super::on_each_ground! { super::super::Begins::Queued; $($row)* }
        }

        mod directly {
            super::super::on_each_ground! { super::super::Begins::Directly; $($row)* }
        }
    };
}

however_it_begins! {
    a_claim_without_a_request_costs_one_lease
    a_request_without_a_record_is_sent_again_with_its_outcome_known_as_unknown
    a_delivery_settled_as_delivered_is_not_sent_again
    a_retry_published_and_not_settled_costs_one_duplicate
    a_retry_published_before_the_lease_ends_costs_one_duplicate_at_most
    an_attempt_settled_as_retrying_is_not_made_again
    a_dead_letter_stored_and_not_acknowledged_stays_the_only_one
}

fn accepts() -> Answer {
    Answer::status(200)
}

fn refuses() -> Answer {
    Answer::status(503)
}

/// The dead process left its claim: the same attempt began anew, and no sooner than the lease allows.
fn claimed_again_after_the_lease(delivery: &DeliveryRecord) {
    let [first, second, ..] = &delivery.attempts[..] else {
        panic!("too few attempts: {delivery:?}")
    };
    assert_ne!(first.worker, second.worker);
    let waited = Duration::try_from(second.started_at.duration_since(first.started_at)).unwrap();
    assert!(waited >= LEASE, "claimed again after {waited:?}");
}

/// The log may or may not show an attempt so short; it tells of no outcome.
async fn nothing_is_settled(scene: &Scene) {
    let shown = scene
        .look(async |desk| desk.deliveries(scene.project).await)
        .await;
    for delivery in shown {
        assert_eq!(delivery.state.class(), "attempting");
        assert!(delivery.attempts.is_empty());
    }
}

/// Row 1.
async fn a_claim_without_a_request_costs_one_lease(ground: Ground, begins: Begins) {
    let scene = Scene::with_delivery(ground, begins, RETRYING, [accepts()]).await;
    scene.vanishes_at_an_attempt("claimed").await;
    assert_eq!(scene.request_count(), 0);
    nothing_is_settled(&scene).await;

    scene.goes_on("delivered").await;
    assert_eq!(scene.request_count(), 1, "no duplicate");
    let delivery = scene.delivery().await;
    assert_eq!(history(&delivery), ["1 outcome unknown", "1 200"]);
    claimed_again_after_the_lease(&delivery);
}

/// Row 2.
async fn a_request_without_a_record_is_sent_again_with_its_outcome_known_as_unknown(
    ground: Ground,
    begins: Begins,
) {
    let scene = Scene::with_delivery(ground, begins, RETRYING, [accepts()]).await;
    scene.vanishes_at_an_attempt("request-sent").await;
    assert_eq!(scene.request_count(), 1);
    nothing_is_settled(&scene).await;

    scene.goes_on("delivered").await;
    assert_eq!(scene.request_count(), 2, "one duplicate");
    let delivery = scene.delivery().await;
    assert_eq!(history(&delivery), ["1 outcome unknown", "1 200"]);
    claimed_again_after_the_lease(&delivery);
}

/// Row 3a.
async fn a_delivery_settled_as_delivered_is_not_sent_again(ground: Ground, begins: Begins) {
    let scene = Scene::with_delivery(ground, begins, RETRYING, [accepts()]).await;
    scene.vanishes_at_an_attempt("settled-delivered").await;
    comes_again(&scene, 0).await;
    let settled = scene.delivery().await;
    assert_eq!(settled.state.class(), "delivered");
    assert_eq!(history(&settled), ["1 200"]);

    scene.goes_on("delivered").await;
    assert_eq!(scene.request_count(), 1, "no duplicate");
    assert_eq!(scene.delivery().await, settled);
}

/// Row 3b. The retry waits longer than the lease, so that the attempt's own message comes first.
async fn a_retry_published_and_not_settled_costs_one_duplicate(ground: Ground, begins: Begins) {
    let scene =
        Scene::with_delivery(ground, begins, RETRYING, [refuses(), refuses(), accepts()]).await;
    scene.vanishes_at_an_attempt("retry-published").await;
    comes_again(&scene, 1).await;
    nothing_is_settled(&scene).await;

    scene.goes_on("delivered").await;
    assert_eq!(
        attempts_seen(&scene),
        ["1", "1", "2"],
        "one duplicate, and one retry"
    );
    let delivery = scene.delivery().await;
    assert_eq!(history(&delivery), ["1 outcome unknown", "1 503", "2 200"]);
    claimed_again_after_the_lease(&delivery);
}

/// Row 3b again. Both messages wait for the end of the lease, and either may be the first to be taken then.
async fn a_retry_published_before_the_lease_ends_costs_one_duplicate_at_most(
    ground: Ground,
    begins: Begins,
) {
    let scene = Scene::with_delivery(ground, begins, HASTY, [refuses(), accepts()]).await;
    scene.vanishes_at_an_attempt("retry-published").await;

    scene.goes_on("delivered").await;
    let seen = attempts_seen(&scene);
    assert!(seen == ["1", "1"] || seen == ["1", "2"], "{seen:?}");
    let delivery = scene.delivery().await;
    let accepted = delivery
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome.status() == Some(200));
    assert_eq!(accepted.count(), 1);
}

/// Row 4b.
async fn an_attempt_settled_as_retrying_is_not_made_again(ground: Ground, begins: Begins) {
    let scene = Scene::with_delivery(ground, begins, RETRYING, [refuses(), accepts()]).await;
    scene.vanishes_at_an_attempt("settled-retrying").await;
    comes_again(&scene, 1).await;
    let settled = scene.delivery().await;
    assert_eq!(settled.state.class(), "waiting");
    assert_eq!(history(&settled), ["1 503"]);

    scene.goes_on("delivered").await;
    assert_eq!(scene.request_count(), 2, "an attempt, and its retry");
    assert_eq!(history(&scene.delivery().await), ["1 503", "2 200"]);
}

/// Row 3c.
async fn a_dead_letter_stored_and_not_acknowledged_stays_the_only_one(
    ground: Ground,
    begins: Begins,
) {
    let scene = Scene::with_delivery(ground, begins, UNFORGIVING, [refuses()]).await;
    scene.vanishes_at_an_attempt("settled-dead-lettered").await;
    comes_again(&scene, 0).await;
    let settled = scene.delivery().await;
    assert_eq!(settled.state.class(), "dead_lettered");

    scene.goes_on("dead_lettered").await;
    assert_eq!(scene.request_count(), 1, "no duplicate");
    assert_eq!(scene.delivery().await, settled);
    assert_eq!(history(&settled), ["1 503"]);
    let dead = scene
        .look(async |desk| desk.dead_letters(UNFORGIVING).await)
        .await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].reason, DeadLetterReason::AttemptsExhausted);
}

/// The attempts that the destination saw, by the number each request bore.
fn attempts_seen(scene: &Scene) -> Vec<String> {
    let requests = &scene.requests()[0];
    let numbers = requests
        .iter()
        .map(|request| request.header(ATTEMPT_HEADER).unwrap().to_owned());
    numbers.collect()
}

/// The message of the attempt is back in its queue, beside so many retries that wait for their time.
async fn comes_again(scene: &Scene, retries: u64) {
    let look = async |desk: &crate::desk::Desk| {
        desk.wait_for_waiting(scene.first_message(), 1).await;
        desk.waiting(QueueName::Delayed).await
    };
    assert_eq!(scene.look(look).await, retries);
}
