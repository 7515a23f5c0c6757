//! SIGTERM under load: no event lost, none sent twice, no attempt counted that was not made.

use crate::{
    desk::event,
    installation::{EVENT_HEADER, Ground, Installation, RETRYING},
};
use ringback_delivery::port::{Clock, Lane, QueueName};
use ringback_domain::{Attempt, Timestamp};
use ringback_testkit::receiver::{Answer, Receiver};
use ringback_worker::{SystemClock, publish::Publisher};
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

const WORKERS: usize = 3;
const STOPS: usize = 20;
/// Requests that arrive between one worker's restart and the next one's stop.
const REQUESTS_BETWEEN: usize = 20;
const PUBLISH_EVERY: Duration = Duration::from_millis(15);
/// How long the receiver thinks: every worker has attempts under way whenever one is told to stop.
const ANSWER_AFTER: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_workers_stopped_twenty_times_under_load_loses_and_repeats_nothing() {
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Answer::status(200).after(ANSWER_AFTER)]);
    let installation = Installation::new(Ground::Servers);
    let desk = installation.desk().await;
    desk.webhook(RETRYING, receiver.url("/hook")).await;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(installation.serve().await);
    }
    let enough = CancellationToken::new();
    let traffic = tokio::spawn(publish_until(enough.clone(), desk.publisher()));

    let mut stopped_at = Vec::new();
    for _ in 0..STOPS {
        let arrived = receiver.received("/hook").len();
        receiver.wait_for("/hook", arrived + REQUESTS_BETWEEN).await;
        stopped_at.push(SystemClock.now());
        workers.remove(0).stop().await;
        workers.push(installation.serve().await);
    }
    enough.cancel();
    let count = traffic.await.unwrap();

    let deliveries = desk.wait_for_deliveries(RETRYING, "delivered", count).await;
    desk.wait_for_empty_queues().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(desk.all_waiting().await, 0, "everything was acknowledged");
    desk.close().await;

    let mut times: HashMap<String, usize> = HashMap::new();
    for request in receiver.received("/hook") {
        let id = request.header(EVENT_HEADER).unwrap().to_owned();
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), count, "every event arrived");
    times.retain(|_, times| *times > 1);
    assert!(times.is_empty(), "sent more than once: {times:?}");
    let mut under_way = 0;
    for delivery in &deliveries {
        let [attempt] = &delivery.attempts[..] else {
            panic!("not one attempt: {delivery:?}")
        };
        assert_eq!(attempt.number.get(), 1);
        assert_eq!(attempt.outcome.status(), Some(200));
        under_way += stopped_at.iter().filter(|at| is_at(attempt, **at)).count();
    }
    assert!(
        under_way >= STOPS * WORKERS,
        "no load worth the name: {under_way} attempts were under way at {STOPS} stops"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_turn_goes_back_uncounted_on_the_embedded_default() {
    give_back_what_waits(Ground::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_turn_goes_back_uncounted_on_rabbitmq_and_redis() {
    give_back_what_waits(Ground::Servers).await;
}

/// One attempt at a time in each lane: two are under way, and as many as may wait in the slow lane, one, wait in the worker's hands.
async fn give_back_what_waits(ground: Ground) {
    const EVENTS: usize = 3;
    const UNDER_WAY: usize = 2;
    let receiver = Receiver::start().await;
    let released = watch::Sender::new(false);
    let held = Answer::status(200).held_until(&released);
    receiver.script("/hook", [held.clone(), held, Answer::status(200)]);
    let installation = Installation::with(ground, "deliver.per_destination_concurrency = 1");
    let desk = installation.desk().await;
    desk.webhook(RETRYING, receiver.url("/hook")).await;
    let publisher = desk.publisher();
    for number in 0..EVENTS {
        let event = event(RETRYING, &format!("evt_{number}"), 200);
        publisher.publish(&event).await.unwrap();
    }
    drop(publisher);
    desk.close().await;
    // Each has a message of its own, so that what is in a worker's hands can be told from what waits.
    let dispatcher = installation.serve_as("dispatch").await;
    let desk = installation.desk().await;
    desk.wait_for_waiting(QueueName::Deliveries(Lane::Main), EVENTS as u64)
        .await;
    desk.close().await;
    dispatcher.stop().await;

    let mut worker = installation.serve().await;
    receiver.wait_for("/hook", UNDER_WAY).await;
    let desk = installation.desk().await;
    desk.wait_for_empty_queues().await;
    desk.close().await;
    worker.ask_to_stop();
    worker.says("stopping").await;
    released.send_replace(true);
    worker.stopped().await;
    assert_eq!(
        receiver.received("/hook").len(),
        UNDER_WAY,
        "what was open ended, nothing else began"
    );
    let desk = installation.desk().await;
    let returned = EVENTS - UNDER_WAY;
    assert_eq!(desk.all_waiting().await, returned as u64);
    assert_eq!(desk.deliveries(RETRYING).await.len(), UNDER_WAY);
    desk.close().await;

    let worker = installation.serve().await;
    let desk = installation.desk().await;
    let deliveries = desk
        .wait_for_deliveries(RETRYING, "delivered", EVENTS)
        .await;
    desk.close().await;
    worker.stop().await;
    assert_eq!(receiver.received("/hook").len(), EVENTS, "no duplicate");
    for delivery in deliveries {
        assert_eq!(delivery.attempts.len(), 1);
        assert_eq!(delivery.attempts[0].number.get(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_attempt_that_outlasts_its_event_is_ended_on_the_embedded_default() {
    end_what_outlasts_its_event(Ground::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_attempt_that_outlasts_its_event_is_ended_on_rabbitmq_and_redis() {
    end_what_outlasts_its_event(Ground::Servers).await;
}

async fn end_what_outlasts_its_event(ground: Ground) {
    let receiver = Receiver::start().await;
    let released = watch::Sender::new(false);
    receiver.script("/hook", [Answer::status(200).held_until(&released)]);
    let installation = Installation::new(ground);
    let desk = installation.desk().await;
    desk.webhook(RETRYING, receiver.url("/hook")).await;
    desk.close().await;
    let mut worker = installation.serve().await;
    let desk = installation.desk().await;
    let event = event(RETRYING, "evt_1", 200);
    desk.publisher().publish(&event).await.unwrap();
    receiver.wait_for("/hook", 1).await;
    desk.wait_for_waiting(QueueName::Delayed, 1).await;
    desk.close().await;

    worker.ask_to_stop();
    worker.says("stopping").await;
    released.send_replace(true);
    worker.stopped().await;
    let desk = installation.desk().await;
    let deliveries = desk.wait_for_deliveries(RETRYING, "delivered", 1).await;
    assert_eq!(deliveries[0].attempts.len(), 1);
    assert_eq!(desk.all_waiting().await, 1, "the message that stood for it");
    desk.close().await;

    let worker = installation.serve().await;
    let desk = installation.desk().await;
    desk.wait_for_empty_queues().await;
    desk.close().await;
    worker.stop().await;
    assert_eq!(receiver.received("/hook").len(), 1, "no duplicate");
}

/// Publishes at a steady pace; how many events it were.
async fn publish_until(enough: CancellationToken, publisher: Publisher) -> usize {
    let mut pace = interval(PUBLISH_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count = 0;
    while enough.run_until_cancelled(pace.tick()).await.is_some() {
        let event = event(RETRYING, &format!("evt_{count}"), 200);
        publisher.publish(&event).await.unwrap();
        count += 1;
    }
    count
}

/// Whether an attempt was under way at that moment.
fn is_at(attempt: &Attempt, moment: Timestamp) -> bool {
    let ended_at = attempt.started_at + attempt.phases.total;
    attempt.started_at < moment && moment < ended_at
}
