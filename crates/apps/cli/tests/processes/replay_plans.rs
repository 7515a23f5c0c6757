//! A plan of many dead letters, whose worker is killed in the middle.

use crate::{
    desk::event,
    installation::{DELIVERY_HEADER, EVENT_HEADER, Ground, Installation, UNFORGIVING},
    process::Process,
};
use ringback_domain::{
    AttemptOutcome, DestinationId, Disposal,
    replay_plan::{EntryMark, PlanState, ReplayPlan},
};
use ringback_testkit::receiver::{Answer, Receiver};
use std::collections::HashMap;

const EVENTS: usize = 100;
/// Replays that arrive at the repaired destination before the worker is killed.
const BEFORE_THE_KILL: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn on_rabbitmq_and_redis_a_plan_outlives_its_worker_and_sends_nothing_twice() {
    a_plan_outlives_its_worker_and_sends_nothing_twice(Ground::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_embedded_default_a_plan_outlives_its_worker_and_sends_nothing_twice() {
    a_plan_outlives_its_worker_and_sends_nothing_twice(Ground::Embedded).await;
}

/// Two destinations were down; one is repaired, the other is not.
async fn a_plan_outlives_its_worker_and_sends_nothing_twice(ground: Ground) {
    let receiver = Receiver::start().await;
    for path in ["/repaired", "/down"] {
        receiver.script(path, [Answer::status(503)]);
    }
    // Every attempt is made at once, also at the destination that is down.
    let installation = Installation::with(ground, "deliver.breaker_failures = 0");
    let worker = installation.serve().await;
    let desk = installation.desk().await;
    let repaired = desk.webhook(UNFORGIVING, receiver.url("/repaired")).await;
    let down = desk.webhook(UNFORGIVING, receiver.url("/down")).await;
    for number in 0..EVENTS {
        let event = event(UNFORGIVING, &format!("evt_{number}"), 16);
        desk.publisher().publish(&event).await.unwrap();
    }
    desk.wait_for_deliveries(UNFORGIVING, "dead_lettered", 2 * EVENTS)
        .await;
    receiver.script("/repaired", [Answer::status(200)]);

    let plan = [
        "replays",
        "plan",
        "--project",
        UNFORGIVING,
        "--reason",
        "one is repaired",
        "--rate",
        "100",
        "--concurrency",
        "8",
        "--stop-above",
        "100",
        "--start",
        "--yes",
    ];
    let (status, said) = Process::start(installation.command(&plan)).end().await;
    assert!(status.success(), "{said}");
    receiver
        .wait_for("/repaired", EVENTS + BEFORE_THE_KILL)
        .await;
    desk.close().await;
    worker.kill().await;

    let successor = installation.serve().await;
    let desk = installation.desk().await;
    let plan = desk.wait_for_plan("finished").await;
    desk.wait_for_empty_queues().await;
    let deliveries = desk.deliveries(UNFORGIVING).await;
    let dead = desk.dead_letters(UNFORGIVING).await;
    let id = plan.id().to_string();
    let show = ["replays", "show", &id, "--watch"];
    let (status, said) = Process::start(installation.command(&show)).end().await;
    desk.close().await;
    successor.stop().await;

    let count = u32::try_from(EVENTS).unwrap();
    assert_eq!(counts(&plan, &repaired), [count, 0]);
    assert_eq!(counts(&plan, &down), [0, count]);
    assert_eq!(plan.status.state, PlanState::Finished);
    assert_eq!(status.code(), Some(1), "some failed again: {said}");
    assert!(
        said.contains("100 of the plan's entries are dead letters again"),
        "{said}"
    );
    let open = dead
        .iter()
        .filter(|letter| letter.disposal == Disposal::Open);
    assert_eq!(open.count(), EVENTS, "what failed again does not rejoin");

    // The killed process may have had requests under way: their outcome is unknown, and only they may come twice.
    let mut requests: HashMap<(String, String), usize> = HashMap::new();
    for path in ["/repaired", "/down"] {
        for request in receiver.received(path) {
            let header = |name| request.header(name).unwrap().to_owned();
            let of = (header(DELIVERY_HEADER), header(EVENT_HEADER));
            *requests.entry(of).or_default() += 1;
        }
    }
    assert_eq!(requests.len(), 2 * EVENTS);
    for delivery in deliveries {
        let of = (delivery.id.to_string(), delivery.event.id.to_string());
        let unknown = |outcome: &AttemptOutcome| *outcome == AttemptOutcome::Unknown;
        let outcomes = delivery.attempts.iter().map(|attempt| &attempt.outcome);
        let unknown = outcomes.filter(|outcome| unknown(outcome)).count();
        let sent = requests[&of];
        assert!(
            sent == 2 || sent == 2 + unknown,
            "{sent} requests: {delivery:?}"
        );
    }
}

/// Delivered, and failed again.
fn counts(plan: &ReplayPlan, destination: &DestinationId) -> [u32; 2] {
    let mut all = plan.progress.by_destination.iter();
    let (_, counts) = all.find(|(id, _)| id == destination).unwrap();
    [EntryMark::Delivered, EntryMark::FailedAgain].map(|mark| counts.get(mark))
}
