//! What happens to an event, told by what is seen to happen. The clock is stopped: hours pass in no time.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod direct;
mod discards;
mod kept;
mod leases;
mod pacing;
mod plans;
mod promises;
mod replays;
mod room;
mod world;

use insta::assert_snapshot;
use ringback_delivery::{
    Handled,
    port::{
        Claim, ClaimAnswer, ClaimRequest, ClaimStore, Clock, DeadLetterStore, DeliveryFilter,
        DeliveryStore, GroupFilter, GroupStore, Lane, Queue, SettledAs, Settlement, WebhookStore,
    },
    shares_of_traffic,
};
use ringback_domain::{
    Answer, AttemptNumber, Callback, Delivery, DeliveryState, Destination, Detour, Event,
    EventFilter, Timestamp, UnreachableCause, WebhookId, WebhookState,
};
use ringback_testkit::{
    samples,
    simulation::{accepts, answers, unreachable},
};
use std::time::Duration;
use world::{LEASE_MARGIN, World};

#[tokio::test(start_paused = true)]
async fn a_failing_webhook_gets_every_attempt_then_a_dead_letter() {
    let world = World::new(Some("modelhunter"), [503, 500, 429, 502].map(answers));
    world.webhook(|_| {}).await;
    world.publish(&modelhunter_event(&world)).await;
    world.run().await;
    assert_snapshot!(world.recorder.story());
    let bodies = world.sender.with_requests(|requests| {
        requests
            .iter()
            .map(|request| request.body.clone())
            .collect::<Vec<_>>()
    });
    assert!(
        bodies.iter().all(|body| *body == bodies[0]),
        "the same bytes in every attempt"
    );
    let timestamps = headers(&world, "X-Webhook-Timestamp");
    assert!(
        timestamps.windows(2).all(|pair| pair[0] < pair[1]),
        "a fresh timestamp in every attempt: {timestamps:?}"
    );
    let signatures = headers(&world, "X-Webhook-Signature");
    assert!(
        signatures.windows(2).all(|pair| pair[0] != pair[1]),
        "a fresh signature in every attempt"
    );
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_recovers_is_delivered_once() {
    let world = World::new(Some("standard"), [answers(503), answers(503), accepts()]);
    world.webhook(|_| {}).await;
    let event = world.event();
    world.publish(&event).await;
    world.publish(&event).await;
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 3);
    assert!(world.recorder.story().contains("event known already"));
    let page = world
        .store
        .deliveries(&DeliveryFilter::default(), None, 10)
        .await
        .unwrap();
    let [record] = page.entries.as_slice() else {
        panic!("one delivery")
    };
    assert!(matches!(record.state, DeliveryState::Delivered { .. }));
    assert_eq!(record.attempts.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_kept_known_until_its_last_delivery_ended() {
    let in_an_hour = ringback_domain::Answer {
        retry_after: Some("3600".to_owned()),
        ..ringback_domain::Answer::bare(503)
    };
    let answers_later = (Duration::ZERO, Ok(in_an_hour));
    let world = World::new(Some("standard"), [accepts(), answers_later, accepts()]);
    world.webhook(|_| {}).await;
    let (at_once, later) = (world.event(), world.event());
    world.publish(&at_once).await;
    world.run().await;
    let known_until = |event: &Event| world.store.known_until(&event.project, &event.id);
    let marked_until = known_until(&at_once).unwrap();
    assert!(marked_until < world.clock.now() + Duration::from_mins(11));
    world.publish(&later).await;
    world.run().await;
    let page = world
        .store
        .deliveries(&DeliveryFilter::default(), None, 1)
        .await
        .unwrap();
    let DeliveryState::Delivered { at } = page.entries[0].state else {
        panic!("delivered by a retry")
    };
    assert_eq!(known_until(&later), Some(at));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_replayed_with_the_same_body_and_a_new_round_of_attempts() {
    let world = World::new(Some("hooked"), [201, 202, 204, 302].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world.publish(&hooked_event(&world)).await;
    world.run().await;
    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 1);
    assert_eq!(world.replay(false).await.unwrap().get(), 1);
    world.run().await;
    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 0);
    let refused = world.replay(false).await.unwrap_err().to_string();
    assert!(refused.contains("already replayed"), "{refused}");
    let refused = world.replay(true).await.unwrap_err().to_string();
    assert!(
        refused.contains("what was delivered is not sent again"),
        "{refused}"
    );
    world.sender.with_requests(|requests| {
        assert_eq!(requests.len(), 5);
        assert_eq!(requests[4].body, requests[0].body);
    });
    assert_snapshot!(world.recorder.story());
}

#[tokio::test(start_paused = true)]
async fn a_group_is_a_share_of_what_its_destination_was_sent() {
    let world = World::new(Some("hooked"), [500; 4].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    let event = hooked_event(&world);
    world.publish(&event).await;
    world.run().await;
    let shares = async || {
        let all = GroupFilter::default();
        let list = world.store.dead_letter_groups(&all, 10).await.unwrap();
        shares_of_traffic(&*world.store, &list.groups, world.clock.now())
            .await
            .unwrap()
    };
    assert_eq!(shares().await, [Some(1.0)]);

    let text = std::str::from_utf8(&event.document).unwrap();
    let another = text.replace("evt_1", "evt_2");
    let another = ringback_wire::event::parse(&another.into()).unwrap();
    world.publish(&another).await;
    world.run().await;
    assert_eq!(shares().await, [Some(0.5)]);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_refused_all_is_all_of_its_traffic_also_after_a_replay() {
    let world = World::new(Some("hooked"), [500; 8].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world.publish(&hooked_event(&world)).await;
    world.run().await;
    world.replay(false).await.unwrap();
    world.run().await;
    let all = GroupFilter::default();
    let list = world.store.dead_letter_groups(&all, 10).await.unwrap();
    let shares = shares_of_traffic(&*world.store, &list.groups, world.clock.now());
    assert_eq!(shares.await.unwrap(), [Some(1.0)]);
}

#[tokio::test(start_paused = true)]
async fn each_destination_has_its_own_fate() {
    let world = World::new(Some("standard"), [answers(404), accepts(), accepts()]);
    world.webhook(|_| {}).await;
    world.webhook(|_| {}).await;
    let unwanted = ["task.failed".parse().unwrap()].into();
    world
        .webhook(|webhook| webhook.events = EventFilter::Only(unwanted))
        .await;
    let mut event = world.event();
    event.callback = Some(Callback {
        url: "https://callback.example/".parse().unwrap(),
        secret: None,
    });
    world.publish(&event).await;
    world.run().await;
    assert!(world.recorder.story().contains("event dispatched to 3"));
    assert_eq!(
        world.sender.with_requests(<[_]>::len),
        4,
        "one of three is tried again"
    );
}

#[tokio::test(start_paused = true)]
async fn gone_disables_the_webhook_and_says_why() {
    let world = World::new(Some("standard"), [answers(410)]);
    let id = world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    world.run().await;
    let webhook = world.store.webhook(&id).await.unwrap().unwrap();
    assert!(
        matches!(webhook.state, WebhookState::Disabled { ref reason, .. } if reason.contains("410"))
    );
    assert!(
        world
            .recorder
            .story()
            .ends_with("dead letter: refused for good"),
        "{}",
        world.recorder.story()
    );
}

#[tokio::test(start_paused = true)]
async fn gone_from_the_url_a_webhook_had_disables_nothing() {
    let (_, gone) = answers(410);
    let world = World::new(Some("standard"), [(Duration::from_secs(4), gone)]);
    let id = world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_secs(2)).await;
    move_webhook(&world, &id).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(world.dead_letters().await.len(), 1);
    let webhook = world.store.webhook(&id).await.unwrap().unwrap();
    assert!(webhook.is_enabled(), "{:?}", webhook.state);
}

#[tokio::test(start_paused = true)]
async fn gone_from_the_original_url_of_a_replay_disables_nothing() {
    for has_moved in [true, false] {
        let world = World::new(Some("standard"), [answers(410)]);
        let id = world.webhook(|_| {}).await;
        let webhook = world.store.webhook(&id).await.unwrap().unwrap();
        let destination = Destination::Webhook {
            id: id.clone(),
            url: webhook.url,
        };
        if has_moved {
            move_webhook(&world, &id).await;
        }
        let delivery = samples::delivery_of(&world.event(), destination);
        let replay = Delivery {
            detour: Some(Detour::OriginalUrl),
            ..samples::replay_of(&delivery)
        };
        let handled = world.deliver().handle(&replay).await;
        assert_eq!(handled, Handled::Acknowledge);
        let story = world.recorder.story();
        assert!(story.ends_with("dead letter: refused for good"), "{story}");
        let webhook = world.store.webhook(&id).await.unwrap().unwrap();
        assert!(webhook.is_enabled(), "{:?}", webhook.state);
    }
}

async fn move_webhook(world: &World, id: &WebhookId) {
    let mut webhook = world.store.webhook(id).await.unwrap().unwrap();
    webhook.url = "https://moved.example/hook".parse().unwrap();
    webhook.revision += 1;
    world.store_webhook(&webhook).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_webhook_applies_to_retries_that_wait() {
    let world = World::new(Some("standard"), [answers(503), accepts()]);
    let id = world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_secs(2)).await;
    move_webhook(&world, &id).await;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    world.run().await;
    world
        .sender
        .with_requests(|requests| assert_eq!(requests[1].url.host_str(), Some("moved.example")));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_disabled_while_a_retry_waits_gets_nothing_more() {
    let world = World::new(Some("standard"), [answers(503)]);
    let id = world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut webhook = world.store.webhook(&id).await.unwrap().unwrap();
    webhook.state = WebhookState::Disabled {
        at: samples::moment(1),
        reason: "by operator".into(),
    };
    webhook.revision += 1;
    world.store_webhook(&webhook).await;
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 1);
    assert!(
        world
            .recorder
            .story()
            .ends_with("dead letter: destination gone"),
        "{}",
        world.recorder.story()
    );
}

#[tokio::test(start_paused = true)]
async fn the_longer_of_schedule_and_retry_after_is_waited_for() {
    let busy = Answer {
        retry_after: Some("600".into()),
        ..Answer::bare(503)
    };
    let world = World::new(Some("standard"), [(Duration::ZERO, Ok(busy)), accepts()]);
    world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    world.run().await;
    assert!(
        world.clock.elapsed() >= Duration::from_mins(10),
        "{}",
        world.recorder.story()
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_vanishes_after_sending_leaves_an_unknown_outcome_and_a_second_request() {
    let world = World::new(
        Some("standard"),
        [
            unreachable(Duration::from_secs(5), UnreachableCause::TimeLimit),
            accepts(),
        ],
    );
    world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    let dispatch = world.spawn_dispatch().await;
    let doomed = world.spawn_deliver().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 1, "it is sending");
    doomed.abort();
    dispatch.abort();
    let _ = doomed.await;
    world.run().await;
    assert_snapshot!(world.recorder.story());
    let page = world
        .store
        .deliveries(&DeliveryFilter::default(), None, 10)
        .await
        .unwrap();
    let classes: Vec<_> = page.entries[0]
        .attempts
        .iter()
        .map(|attempt| attempt.outcome.class())
        .collect();
    assert_eq!(classes, ["outcome_unknown", "accepted"]);
}

#[tokio::test(start_paused = true)]
async fn a_settlement_after_the_lease_changes_nothing() {
    let world = World::new(
        Some("standard"),
        [unreachable(
            Duration::from_mins(5),
            UnreachableCause::TimeLimit,
        )],
    );
    world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    let dispatch = world.spawn_dispatch().await;
    let slow = world.spawn_deliver().await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    // Its lease is over: another worker claims and delivers.
    let (delivery, claim) = claimed_by_another(&world, AttemptNumber::FIRST).await;
    let settlement = Settlement {
        claim: &claim,
        delivery: &delivery,
        attempts: &[],
        settled_as: &SettledAs::Delivered,
        at: samples::moment(200),
    };
    world.store.settle(settlement).await.unwrap();
    tokio::time::sleep(Duration::from_secs(200)).await;
    slow.abort();
    dispatch.abort();
    assert!(
        world.recorder.story().contains("settled too late"),
        "{}",
        world.recorder.story()
    );
    let record = world.store.delivery(&delivery.id).await.unwrap().unwrap();
    assert!(matches!(record.state, DeliveryState::Delivered { .. }));
}

/// The newer claimer had lost its connection, so that it holds no message: the one that settles too late is the last.
#[tokio::test(start_paused = true)]
async fn a_settlement_too_late_leaves_the_message_in_case_the_newer_claimer_vanishes() {
    for status in [200, 503] {
        let (_, answer) = answers(status);
        let slow_answer = (Duration::from_mins(5), answer);
        let world = World::new(Some("standard"), [slow_answer, answers(503)]);
        world.webhook(|_| {}).await;
        world.publish(&world.event()).await;
        let dispatch = world.spawn_dispatch().await;
        let last = make_it_the_last_attempt(&world).await;
        dispatch.abort();
        let deliver = world.spawn_deliver().await;
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!(world.sender.with_requests(<[_]>::len), 1, "it is sending");
        claimed_by_another(&world, last).await;
        tokio::time::sleep(Duration::from_secs(200)).await;
        deliver.abort();
        let told = world.recorder.story();
        assert!(told.contains("settled too late"), "{told}");

        world.run().await;
        let record = world.only_record().await;
        assert_eq!(record.state.class(), "dead_lettered", "after {status}");
        assert_eq!(world.dead_letters().await.len(), 1);
        assert_eq!(world.sender.with_requests(<[_]>::len), 2);
    }
}

/// Puts the only delivery back as the last attempt of its schedule.
async fn make_it_the_last_attempt(world: &World) -> AttemptNumber {
    let mut deliveries = world.queue.consume_deliveries(Lane::Main, 1).await.unwrap();
    let taken = deliveries.next().await.unwrap();
    let mut delivery = taken.content.unwrap();
    delivery.attempt = AttemptNumber::try_new(10).unwrap();
    world
        .queue
        .publish_delivery(&delivery, Lane::Main, None)
        .await
        .unwrap();
    taken.receipt.acknowledge();
    delivery.attempt
}

/// A claim to the only delivery by somebody who then does nothing, once the lease of before is over.
async fn claimed_by_another(
    world: &World,
    attempt: AttemptNumber,
) -> (ringback_domain::Delivery, Claim) {
    let record = world.only_record().await;
    let delivery = ringback_domain::Delivery {
        id: record.id,
        event: record.event,
        destination: record.destination,
        profile: record.profile,
        attempt,
        ..samples::delivery()
    };
    let worker = samples::worker();
    let request = ClaimRequest {
        delivery: &delivery,
        worker: &worker,
        nonce: samples::claim_nonce(),
        lease: LEASE_MARGIN,
    };
    let ClaimAnswer::Granted {
        claim,
        expired: Some(_),
    } = world.store.claim(request).await.unwrap()
    else {
        panic!("the lease is over")
    };
    (delivery, claim)
}

#[tokio::test(start_paused = true)]
async fn exactly_one_signature_is_sent_at_any_moment_of_a_rotation() {
    let world = World::new(Some("modelhunter"), []);
    world.webhook(|_| {}).await;
    let id = world
        .webhook(|webhook| {
            let next = world.sealed(webhook, "the-next-secret-of-24-bytes", at(50));
            webhook.secrets[0].overlaps_until = Some(at(500));
            webhook.secrets.push(next);
        })
        .await;
    let webhook = world.store.webhook(&id).await.unwrap().unwrap();
    for (second, several, expected) in [
        (0, false, 1),
        (49, true, 1),
        (50, false, 1),
        (50, true, 2),
        (500, true, 1),
    ] {
        assert_eq!(
            webhook.signing_secrets(at(second), several).len(),
            expected,
            "at {second}, several: {several}"
        );
    }
    let (before, after) = (
        webhook.signing_secrets(at(49), false)[0],
        webhook.signing_secrets(at(50), false)[0],
    );
    assert_ne!(before, after);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_knows_when_its_event_was_accepted_and_never_as_later_than_its_dispatch() {
    let ago = Duration::from_mins(20);
    for (accepted, expected) in [
        (Some(at(0) - ago), Some(at(0) - ago)),
        // By a clock that is ahead of ours.
        (Some(at(0) + ago), Some(at(0))),
        (None, None),
    ] {
        let world = World::new(Some("standard"), []);
        world.webhook(|_| {}).await;
        let mut event = world.event();
        event.accepted_at = accepted;
        world.publish(&event).await;
        let dispatch = world.spawn_dispatch().await;
        let delivery = world.peek().await;
        dispatch.abort();
        assert_eq!(delivery.event.dispatched_at, at(0));
        assert_eq!(delivery.accepted_at, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_tells_no_moment_at_all_was_accepted_when_it_was_first_taken() {
    let world = World::new(Some("standard"), []);
    world.webhook(|_| {}).await;
    let text = format!(
        r#"{{"id":"evt_1","project":"{}","type":"t","job":{{"id":"j"}}}}"#,
        world.project
    );
    let event = ringback_wire::event::parse(&text.into()).unwrap();
    world.publish(&event).await;
    let dispatch = world.spawn_dispatch().await;
    let delivery = world.peek().await;
    dispatch.abort();
    assert_eq!(delivery.accepted_at, Some(at(0)));
}

fn at(second: i64) -> Timestamp {
    samples::moment(second)
}

fn headers(world: &World, name: &str) -> Vec<String> {
    world.sender.with_requests(|requests| {
        let of = |request: &ringback_delivery::port::Request| {
            let mut found = request
                .headers
                .iter()
                .filter(|(header, _)| header.eq_ignore_ascii_case(name));
            let value = found.next().map(|(_, value)| value.clone());
            assert!(found.next().is_none(), "{name} is sent once");
            value.unwrap_or_default()
        };
        requests.iter().map(of).collect()
    })
}

fn modelhunter_event(world: &World) -> ringback_domain::Event {
    let text = format!(
        r#"{{"id":"evt_1","project":"{}","type":"task.completed","occurred_at":"2026-06-01T10:01:30Z","job":{{"id":"task_1","kind":"video","status":"succeeded","created_at":"2026-06-01T10:00:00Z","completed_at":"2026-06-01T10:01:30Z"}},"data":{{"provider":"p","model":"m","result":[],"metadata":{{"user_id":7}}}}}}"#,
        world.project
    );
    ringback_wire::event::parse(&text.into()).unwrap()
}

fn hooked_event(world: &World) -> ringback_domain::Event {
    let text = format!(
        r#"{{"id":"evt_1","project":"{}","type":"project.completed","occurred_at":"2026-06-01T10:01:30Z","job":{{"id":"proj_1","status":"completed","created_at":"2026-06-01T10:00:00Z","completed_at":"2026-06-01T10:01:30Z"}},"data":{{"video":{{"id":"v","url":"https://cdn.example/v.mp4","duration":45}}}}}}"#,
        world.project
    );
    ringback_wire::event::parse(&text.into()).unwrap()
}
