//! Destinations that bear only so much: breakers and rate limits. Nothing put off uses up an attempt.

mod probes;

use crate::{hooked_event, world::BREAKER_RULES, world::World};
use futures_util::future::join_all;
use ringback_delivery::{
    Deliver, Handled, Share,
    port::{
        Clock, DeadLetterFilter, DeadLetterStore, DeliveryFilter, DeliveryStore, PaceStore,
        WebhookStore,
    },
};
use ringback_domain::{
    Attempt, Breaker, BreakerRules, BreakerState, Callback, DeadLetterReason, Delivery,
    DeliveryRecord, DeliveryState, Destination, DestinationId, Detour, Event, EventId, Timestamp,
    UnreachableCause,
};
use ringback_testkit::{
    samples,
    simulation::{Script, SimulatedQueue, answers, unreachable},
};
use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use url::Url;

async fn hooked_world(scripts: impl IntoIterator<Item = Script>) -> World {
    let world = World::new(Some("hooked"), scripts);
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world
}

async fn publish(world: &World, events: usize) {
    for number in 0..events {
        let id: EventId = format!("evt_{number}").parse().unwrap();
        let event = Event {
            id,
            ..hooked_event(world)
        };
        world.publish(&event).await;
    }
}

/// Events of one project, each with a callback to a URL of its own at one host.
async fn publish_callbacks(world: &World, events: usize) {
    for number in 0..events {
        let id: EventId = format!("evt_{number}").parse().unwrap();
        let url = format!("https://jobs.example/done/{number}");
        let callback = Callback {
            url: url.parse().unwrap(),
            secret: None,
        };
        let event = Event {
            id,
            callback: Some(callback),
            ..hooked_event(world)
        };
        world.publish(&event).await;
    }
}

async fn records(world: &World) -> Vec<DeliveryRecord> {
    let filter = DeliveryFilter::default();
    let (mut records, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.deliveries(&filter, after.as_ref(), 500).await;
        let page = page.unwrap();
        records.extend(page.entries);
        after = page.next;
        if after.is_none() {
            return records;
        }
    }
}

/// Every attempt, in the order they were made.
async fn attempts(world: &World) -> Vec<Attempt> {
    let mut attempts: Vec<_> = records(world)
        .await
        .into_iter()
        .flat_map(|record| record.attempts)
        .collect();
    attempts.sort_by_key(|attempt| attempt.started_at);
    attempts
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

fn assert_probes_only(attempts: &[Attempt], failures: usize, failing_probes: usize) {
    let opened_at = attempts[failures - 1].started_at;
    let probes: Vec<_> = attempts[failures..=failures + failing_probes]
        .iter()
        .map(|attempt| seconds(opened_at, attempt.started_at))
        .collect();
    for (probe, least) in probes.iter().zip([5.0, 15.0, 35.0, 75.0]) {
        assert!(*probe >= least, "{probes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_keeps_failing_gets_probes_only_until_one_is_accepted() {
    let failures = usize::try_from(BREAKER_RULES.failures.get()).unwrap();
    let failing_probes = 3;
    let world = hooked_world(vec![answers(503); failures + failing_probes]).await;
    publish(&world, 100).await;
    world.run().await;

    let records = records(&world).await;
    assert_eq!(records.len(), 100);
    let is_delivered =
        |record: &DeliveryRecord| matches!(record.state, DeliveryState::Delivered { .. });
    assert!(
        records.iter().all(is_delivered),
        "{}",
        world.recorder.story()
    );
    let once = records.iter().filter(|record| record.attempts.len() == 1);
    assert!(
        once.count() >= 100 - failures - failing_probes,
        "who was put off used up no attempt"
    );

    let attempts = attempts(&world).await;
    assert_probes_only(&attempts, failures, failing_probes);
    let recovered_at = attempts[failures + failing_probes].started_at;
    let in_the_first_second = attempts
        .iter()
        .filter(|attempt| attempt.started_at > recovered_at)
        .filter(|attempt| seconds(recovered_at, attempt.started_at) < 1.0);
    assert!(in_the_first_second.count() <= 6, "they return on a ramp");
    let story = world.recorder.story();
    for word in ["breaker opened", "breaker recovering"] {
        assert_eq!(story.matches(word).count(), 1, "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_answer_gets_probes_only_whatever_the_urls_of_its_callbacks_are() {
    let failures = usize::try_from(BREAKER_RULES.failures.get()).unwrap();
    let failing_probes = 3;
    for cause in [
        UnreachableCause::TimeLimit,
        UnreachableCause::ConnectionRefused,
    ] {
        let fails = unreachable(Duration::ZERO, cause);
        let mut scripts = vec![fails; failures + failing_probes];
        // An answer, though it refuses: the host is there.
        scripts.push(answers(500));
        let world = World::new(Some("hooked"), scripts);
        publish_callbacks(&world, 100).await;
        world.run().await;

        let attempts = attempts(&world).await;
        assert_probes_only(&attempts, failures, failing_probes);
        assert_eq!(attempts.len(), 100 + failures + failing_probes + 1);
        assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 0);
        let story = world.recorder.story();
        for word in ["breaker opened", "breaker recovering"] {
            assert_eq!(story.matches(word).count(), 1, "{story}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_host_answers_at_some_urls_keeps_nothing_from_others() {
    for status in [404, 410, 500] {
        let world = World::new(Some("hooked"), vec![answers(status); 100]);
        publish_callbacks(&world, 100).await;
        world.run().await;
        let story = world.recorder.story();
        assert!(!story.contains("breaker opened"), "{status}: {story}");
    }
}

/// Makes an attempt at a callback to this URL.
async fn attempt_at(world: &World, deliver: &Deliver, url: String) {
    let destination = Destination::Callback {
        url: url.parse().unwrap(),
        secret: None,
    };
    let delivery = Delivery {
        profile: "hooked".parse().unwrap(),
        ..samples::delivery_of(&world.event(), destination)
    };
    assert_eq!(deliver.handle(&delivery).await, Handled::Acknowledge);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_answers_others_meanwhile_is_not_down() {
    const HANGING: usize = 30;
    for (others_at, is_down) in [(None, true), (Some(5), false)] {
        let hangs = unreachable(Duration::from_secs(15), UnreachableCause::TimeLimit);
        let world = World::new(Some("hooked"), vec![hangs; HANGING]);
        let deliver = world.deliver();
        let hanging = join_all((0..HANGING).map(|number| {
            attempt_at(
                &world,
                &deliver,
                format!("https://jobs.example/hangs/{number}"),
            )
        }));
        let others = async {
            if let Some(second) = others_at {
                tokio::time::sleep(Duration::from_secs(second)).await;
                attempt_at(&world, &deliver, "https://jobs.example/well".to_owned()).await;
            }
        };
        tokio::join!(hanging, others);
        let story = world.recorder.story();
        assert_eq!(story.contains("breaker opened"), is_down, "{story}");
    }
}

/// Makes attempts at once, each of an event of its own, at the callback of all of them.
async fn attempts_at_one(world: &World, deliver: &Deliver, part: &str, number: u32) {
    let attempts = (0..number).map(async |number| {
        let event = Event {
            id: format!("evt_{part}_{number}").parse().unwrap(),
            ..world.event()
        };
        let destination = Destination::Callback {
            url: "https://jobs.example/done".parse().unwrap(),
            secret: None,
        };
        let delivery = Delivery {
            profile: "hooked".parse().unwrap(),
            ..samples::delivery_of(&event, destination)
        };
        assert_eq!(deliver.handle(&delivery).await, Handled::Acknowledge);
    });
    join_all(attempts).await;
}

/// While the breaker that recovered still shows it, and when it is forgotten.
#[tokio::test(start_paused = true)]
async fn attempts_of_before_a_recovery_open_nothing() {
    let failures = BREAKER_RULES.failures.get();
    for (hangs_for, is_forgotten) in [(12, false), (40, true)] {
        // An answer, so that nothing is said of the host.
        let (_, refuses) = answers(503);
        let hangs = (Duration::from_secs(hangs_for), refuses);
        let mut scripts = vec![answers(503); 3];
        scripts.extend(vec![hangs; failures as usize]);
        scripts.extend(vec![answers(503); failures as usize]);
        let world = World::new(Some("hooked"), scripts);
        let [one, other] = [world.deliver(), world.deliver()];
        let opened = || world.recorder.story().matches("breaker opened").count();
        attempts_at_one(&world, &other, "before", 3).await;

        let down = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            attempts_at_one(&world, &one, "down", failures).await;
            assert_eq!(opened(), 1, "{}", world.recorder.story());
            tokio::time::sleep(Duration::from_secs(6)).await;
            attempts_at_one(&world, &one, "probe", 1).await;
            // What the other worker does elsewhere lets it see how things are.
            tokio::time::sleep(Duration::from_secs(1)).await;
            attempt_at(&world, &other, "https://other.example/".to_owned()).await;
            tokio::time::sleep(Duration::from_secs(12)).await;
            if is_forgotten {
                attempts_at_one(&world, &one, "well", 1).await;
            }
        };
        tokio::join!(attempts_at_one(&world, &other, "hangs", failures), down);
        let breakers = world.store.breakers().await.unwrap();
        assert_eq!(breakers.is_empty(), is_forgotten, "{breakers:?}");
        assert_eq!(opened(), 1, "{}", world.recorder.story());

        // What fails now is news, and counts alone.
        world.sender.answer_from("https://jobs.example/", 503);
        attempts_at_one(&world, &other, "again", failures - 1).await;
        assert_eq!(opened(), 1, "{}", world.recorder.story());
        attempts_at_one(&world, &other, "last", 1).await;
        assert_eq!(opened(), 2, "{}", world.recorder.story());
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_stays_down_gets_no_more_than_probes_and_all_becomes_dead_letters() {
    let world = hooked_world(vec![answers(503); 10_000]).await;
    publish(&world, 60).await;
    world.run().await;

    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 60);
    let page = world
        .store
        .dead_letters(&DeadLetterFilter::default(), None, 500)
        .await
        .unwrap();
    let is_down = |reason| reason == DeadLetterReason::DestinationDown;
    let down = page.entries.iter().filter(|dead| is_down(dead.reason));
    assert!(down.count() > 30, "{}", world.recorder.story());

    let attempts = attempts(&world).await;
    let failures = usize::try_from(BREAKER_RULES.failures.get()).unwrap();
    let begun = attempts[0].started_at;
    let lasted = seconds(begun, attempts.last().unwrap().started_at);
    let probes = u32::try_from(attempts.len() - failures).unwrap();
    // Three doublings, then one a minute.
    assert!(
        f64::from(probes) <= 4.0 + lasted / 60.0,
        "{probes} in {lasted} s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_over_is_forgotten() {
    let failures = usize::try_from(BREAKER_RULES.failures.get()).unwrap();
    let world = hooked_world(vec![answers(503); failures]).await;
    publish(&world, 30).await;
    world.run().await;
    // The retries come a minute later, long after the ramp.
    assert_eq!(world.store.breakers().await.unwrap(), []);
}

/// Of webhooks that were disabled, and of hosts that no callback names any more.
#[tokio::test(start_paused = true)]
async fn breakers_that_nobody_came_to_for_a_day_are_cleared_away() {
    let world = World::new(Some("hooked"), []);
    let id = world.webhook(|webhook| webhook.secrets.clear()).await;
    let ago = |hours| world.clock.now() - Duration::from_hours(hours);
    let put = async |id: DestinationId, opened_at| {
        let breaker = Breaker::opened(id, opened_at, &BREAKER_RULES);
        world.store.put_breaker(&breaker).await.unwrap();
        breaker
    };
    put(DestinationId::webhook(&id), ago(25)).await;
    for number in 0..40 {
        let host = format!("https://host-{number}.example/");
        put(DestinationId::callback(&host), ago(48)).await;
    }
    let used = DestinationId::callback("https://down.example/");
    let used = put(used, ago(23)).await;
    for _ in 0..4 {
        let event = hooked_event(&world);
        let id: EventId = format!("evt_{}", world.clock.elapsed().as_millis())
            .parse()
            .unwrap();
        world.publish(&Event { id, ..event }).await;
        world.run().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(attempts(&world).await.len(), 4, "its own held nothing up");
    assert_eq!(world.store.breakers().await.unwrap(), [used]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_at_the_original_url_of_a_replay_opens_no_breaker_of_the_webhook() {
    let world = World::new(Some("hooked"), vec![answers(503); 100]);
    let id = world.webhook(|webhook| webhook.secrets.clear()).await;
    let original: Url = "https://original.example/hook".parse().unwrap();
    let deliver = world.deliver();
    for _ in 0..=BREAKER_RULES.failures.get() {
        let destination = Destination::Webhook {
            id: id.clone(),
            url: original.clone(),
        };
        let delivery = Delivery {
            profile: "hooked".parse().unwrap(),
            ..samples::delivery_of(&world.event(), destination)
        };
        let replay = Delivery {
            detour: Some(Detour::OriginalUrl),
            ..samples::replay_of(&delivery)
        };
        assert_eq!(deliver.handle(&replay).await, Handled::Acknowledge);
    }
    let failures = usize::try_from(BREAKER_RULES.failures.get()).unwrap();
    let sent = world.sender.with_requests(<[_]>::len);
    assert_eq!(sent, failures, "that URL is spared, too");
    let breakers = world.store.breakers().await.unwrap();
    let [breaker] = breakers.as_slice() else {
        panic!("one breaker: {breakers:?}")
    };
    assert_eq!(
        breaker.destination,
        DestinationId::callback(original.as_str())
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_kept_and_uses_up_no_attempt() {
    let world = World::new(Some("hooked"), []);
    world
        .webhook(|webhook| {
            webhook.secrets.clear();
            webhook.rate_limit = NonZeroU32::new(5);
        })
        .await;
    publish(&world, 60).await;
    world.run().await;

    let attempts = attempts(&world).await;
    assert_eq!(attempts.len(), 60, "one each");
    let moments: Vec<_> = attempts
        .iter()
        .map(|attempt| seconds(attempts[0].started_at, attempt.started_at))
        .collect();
    let lasted = moments.last().unwrap();
    assert!((11.8..12.4).contains(lasted), "{moments:?}");
    for second in moments.windows(6) {
        assert!(second[5] - second[0] > 0.95, "{second:?}");
    }
}

/// The rate limit alone makes it wait for longer than its schedule; then the breaker opens, for a minute.
#[tokio::test(start_paused = true)]
async fn a_wait_for_the_rate_limit_is_no_time_that_a_breaker_put_it_off() {
    let world = World::new(Some("hooked"), []);
    let id = world
        .webhook(|webhook| {
            webhook.secrets.clear();
            webhook.rate_limit = NonZeroU32::new(1);
        })
        .await;
    let destination = DestinationId::webhook(&id);
    reserve_turns(&world, &destination, 1, 3_000).await;
    publish(&world, 1).await;
    let opens = async {
        tokio::time::sleep(Duration::from_secs(2_990)).await;
        let rules = BreakerRules {
            probe_first: Duration::from_mins(1),
            ..BREAKER_RULES
        };
        let breaker = Breaker::opened(destination.clone(), world.clock.now(), &rules);
        world.store.put_breaker(&breaker).await.unwrap();
    };
    tokio::join!(world.run(), opens);
    let story = world.recorder.story();
    assert!(story.contains("delivered"), "{story}");
    let attempts = attempts(&world).await;
    let waited = seconds(samples::moment(0), attempts[0].started_at);
    assert!((3_050.0..3_200.0).contains(&waited), "{waited}");
}

/// Counts how often its delivery stood aside.
struct Aside<'a>(&'a AtomicUsize);

impl Share for Aside<'_> {
    fn used_from_now(&mut self) {}

    fn stands_aside(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_on_the_spot_for_a_turn_lets_others_pass() {
    let world = World::new(Some("hooked"), []);
    let id = world
        .webhook(|webhook| {
            webhook.secrets.clear();
            webhook.rate_limit = NonZeroU32::new(5);
        })
        .await;
    let deliver = world.deliver();
    let asides = AtomicUsize::new(0);
    for earlier in 0..2 {
        let destination = Destination::Webhook {
            id: id.clone(),
            url: "https://hooks.example.com/x".parse().unwrap(),
        };
        let delivery = Delivery {
            profile: "hooked".parse().unwrap(),
            ..samples::delivery_of(&world.event(), destination)
        };
        let handled = deliver.handle_with_share(&delivery, Aside(&asides)).await;
        assert_eq!(handled, Handled::Acknowledge);
        assert_eq!(
            asides.load(Ordering::Relaxed),
            earlier,
            "turns are 200 ms apart"
        );
    }
    assert_eq!(attempts(&world).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_destinations_do_not_wait_for_one_that_is_over_its_limit() {
    let world = World::new(Some("hooked"), []);
    let limited = world
        .webhook(|webhook| {
            webhook.secrets.clear();
            webhook.rate_limit = NonZeroU32::new(1);
        })
        .await;
    world.webhook(|webhook| webhook.secrets.clear()).await;
    publish(&world, 20).await;
    world.run().await;

    let records = records(&world).await;
    assert_eq!(records.len(), 40);
    let begun = records
        .iter()
        .map(|record| record.created_at)
        .min()
        .unwrap();
    for record in records {
        let waited = seconds(begun, record.attempts[0].started_at);
        let is_limited = record.destination.id().as_str() == limited.as_str();
        assert!(
            is_limited || waited < Duration::from_secs(6).as_secs_f64(),
            "{waited}"
        );
    }
}

/// How far apart attempts begin, the shortest first.
async fn distances(world: &World) -> Vec<f64> {
    let attempts = attempts(world).await;
    let moments = attempts.windows(2);
    let distances = moments.map(|two| seconds(two[0].started_at, two[1].started_at));
    let mut distances: Vec<_> = distances.collect();
    distances.sort_by(f64::total_cmp);
    distances
}

/// All turns for so long from now on are somebody else's.
async fn reserve_turns(world: &World, destination: &DestinationId, per_second: u32, seconds: u32) {
    let (pace, far) = (NonZeroU32::new(per_second), Duration::from_hours(1));
    for _ in 0..per_second * seconds {
        let turn = world.store.reserve_turn(destination, pace.unwrap(), far);
        turn.await.unwrap();
    }
}

async fn limited_world(world: World, per_second: u32) -> (World, DestinationId) {
    let id = world
        .webhook(|webhook| {
            webhook.secrets.clear();
            webhook.rate_limit = NonZeroU32::new(per_second);
        })
        .await;
    (world, DestinationId::webhook(&id))
}

async fn open_breaker(world: &World, destination: &DestinationId) {
    let breaker = Breaker::opened(destination.clone(), world.clock.now(), &BREAKER_RULES);
    world.store.put_breaker(&breaker).await.unwrap();
}

/// All turns of the next fifty minutes are taken. A probe that waited for one would be no probe, and the next came a minute later.
#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait_for_a_turn_of_the_rate_limit() {
    let (world, destination) = limited_world(World::new(Some("hooked"), []), 1).await;
    reserve_turns(&world, &destination, 1, 3_000).await;
    open_breaker(&world, &destination).await;
    publish(&world, 100).await;
    world.run().await;

    let attempts = attempts(&world).await;
    assert_eq!(attempts.len(), 100, "none was given up unsent");
    let probed_after = seconds(samples::moment(0), attempts[0].started_at);
    assert!(probed_after < 16.0, "{probed_after}");
}

/// Or, published again under its id, it would be dispatched, and this delivery of it taken for a duplicate.
#[tokio::test(start_paused = true)]
async fn an_event_is_kept_known_for_as_long_as_a_delivery_is_put_off() {
    let world = World::new(Some("standard"), []);
    let id = world.webhook(|_| {}).await;
    open_breaker(&world, &DestinationId::webhook(&id)).await;
    let event = world.event();
    world.publish(&event).await;
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    for worker in workers {
        worker.abort();
    }
    let put_off = world.peek().await;
    assert!(put_off.deferral.is_some(), "{}", world.recorder.story());
    let known_until = world.store.known_until(&event.project, &event.id);
    assert!(known_until >= put_off.due_at, "{known_until:?}");
}

/// While another worker's probe is under way. A destination that nobody asked has not been down for that long.
#[tokio::test(start_paused = true)]
async fn time_without_workers_is_no_time_that_a_breaker_put_it_off() {
    let (world, destination) = limited_world(World::new(Some("hooked"), []), 1_000).await;
    open_breaker(&world, &destination).await;
    publish(&world, 5).await;
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    for worker in workers {
        worker.abort();
    }
    tokio::time::sleep(Duration::from_mins(40)).await;
    for breaker in world.store.breakers().await.unwrap() {
        world.store.remove_breaker(&breaker).await.unwrap();
    }
    open_breaker(&world, &destination).await;
    world.run().await;
    assert!(world.dead_letters().await.is_empty());
    assert_eq!(attempts(&world).await.len(), 5);
}

/// What it is settled as is of before the outage; how long its claim lasts is not.
#[tokio::test(start_paused = true)]
async fn an_event_is_kept_known_for_as_long_as_an_outage_keeps_its_delivery_from_being_settled() {
    let world = hooked_world([]).await;
    let back_at = world.clock.now() + Duration::from_mins(20);
    world.store.settle_nothing_before(back_at);
    let event = hooked_event(&world);
    world.publish(&event).await;
    world.run().await;
    let delivered = world.only_record().await;
    assert!(matches!(delivered.state, DeliveryState::Delivered { at } if at < back_at));
    let known_until = world.store.known_until(&event.project, &event.id);
    assert!(known_until >= Some(back_at), "{known_until:?}");
}

/// Or whoever asks where their event is would be told that there is none.
#[tokio::test(start_paused = true)]
async fn what_is_put_off_before_its_first_attempt_is_in_the_log() {
    let world = World::new(Some("standard"), []);
    let id = world.webhook(|_| {}).await;
    open_breaker(&world, &DestinationId::webhook(&id)).await;
    world.publish(&world.event()).await;
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    for worker in workers {
        worker.abort();
    }
    let until = world.peek().await.due_at.expect("it is put off");
    let waits = world.only_record().await;
    assert_eq!(waits.state, DeliveryState::Waiting { until });
    assert!(waits.attempts.is_empty());

    world.run().await;
    let delivered = world.only_record().await;
    assert!(matches!(delivered.state, DeliveryState::Delivered { .. }));
    assert_eq!(delivered.attempts.len(), 1);
}

/// Each comes through the queue, which has others to serve.
#[tokio::test(start_paused = true)]
async fn where_many_are_held_for_long_they_come_back_less_often_and_probes_are_made_in_time() {
    let world = World::new(Some("standard"), []);
    let id = world.webhook(|_| {}).await;
    let webhook = world.store.webhook(&id).await.unwrap().unwrap();
    world.sender.answer_from(webhook.url.as_str(), 503);
    let now = world.clock.now();
    let next_probe_at = now + Duration::from_mins(1);
    let breaker = Breaker {
        destination: DestinationId::webhook(&id),
        state: BreakerState::Open {
            probes: 9,
            next_probe_at,
        },
        opened_at: now - Duration::from_hours(4),
        revision: 1,
    };
    world.store.put_breaker(&breaker).await.unwrap();
    for number in 0..2_000 {
        let id: EventId = format!("evt_{number}").parse().unwrap();
        let event = world.event();
        world.publish(&Event { id, ..event }).await;
    }
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_mins(8)).await;
    for worker in workers {
        worker.abort();
    }
    let now = world.clock.now();
    let is_late = |record: &&DeliveryRecord| {
        let state = &record.state;
        matches!(state, DeliveryState::Waiting { until } if *until > now + Duration::from_secs(121))
    };
    let late = records(&world).await.iter().filter(is_late).count();
    assert!(late > 100, "{late} wait for more than two probes");
    let probes = attempts(&world).await;
    let apart: Vec<_> = probes
        .windows(2)
        .map(|two| seconds(two[0].started_at, two[1].started_at))
        .collect();
    assert_eq!(probes.len(), 7, "{apart:?}");
    assert!(apart.iter().all(|apart| *apart < 65.0), "{apart:?}");
}

/// Of some thousand that come back while the ramp is slow.
#[tokio::test(start_paused = true)]
async fn a_recovery_hands_out_no_turns_beyond_its_ramp() {
    for limit in [None, NonZeroU32::new(500)] {
        let world = World::new(Some("hooked"), []);
        let id = world
            .webhook(|webhook| {
                webhook.secrets.clear();
                webhook.rate_limit = limit;
            })
            .await;
        open_breaker(&world, &DestinationId::webhook(&id)).await;
        publish(&world, 3_000).await;
        let mut others = Vec::new();
        for _ in 0..100 {
            others.push(world.spawn_deliver().await);
        }
        world.run().await;
        for other in others {
            other.abort();
        }

        let attempts = attempts(&world).await;
        let began = attempts[0].started_at;
        let lasted = seconds(began, attempts.last().unwrap().started_at);
        assert!(lasted < 30.0, "{limit:?}: {lasted}");
        for (second, most) in [(1.0, 10), (2.0, 24), (3.0, 50), (4.0, 100)] {
            let until = attempts.iter();
            let until = until.filter(|attempt| seconds(began, attempt.started_at) < second);
            assert!(until.count() <= most, "{limit:?}: in {second} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn turns_that_are_far_away_do_not_come_together_where_long_waits_are_rounded_up() {
    let mut world = World::new(Some("hooked"), []);
    world.queue = SimulatedQueue::rounding_up();
    let (world, _) = limited_world(world, 1).await;
    publish(&world, 1_500).await;
    world.run().await;
    let distances = distances(&world).await;
    assert_eq!(distances.len(), 1_499);
    assert!(distances[0] > 0.7, "{:?}", &distances[..20]);
}

#[tokio::test(start_paused = true)]
async fn turns_that_nobody_was_there_for_do_not_come_together_afterwards() {
    let (world, destination) = limited_world(World::new(Some("hooked"), []), 5).await;
    reserve_turns(&world, &destination, 5, 30).await;
    publish(&world, 300).await;
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_secs(3)).await;
    for worker in workers {
        worker.abort();
    }
    // Past the last turn.
    tokio::time::sleep(Duration::from_mins(10)).await;
    world.run().await;
    let distances = distances(&world).await;
    assert_eq!(distances.len(), 299);
    assert!(distances[0] > 0.19, "{:?}", &distances[..20]);
}

/// A worker with more to do than it can would else have everyone wait for one turn after the other.
#[tokio::test(start_paused = true)]
async fn who_misses_a_second_turn_goes_at_once() {
    let (world, destination) = limited_world(World::new(Some("hooked"), []), 1).await;
    reserve_turns(&world, &destination, 1, 5).await;
    publish(&world, 1).await;
    let dispatch = world.spawn_dispatch().await;
    for _ in 0..3 {
        // There for a moment, once a minute.
        let deliver = world.spawn_deliver().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        deliver.abort();
        tokio::time::sleep(Duration::from_mins(1)).await;
        reserve_turns(&world, &destination, 1, 5).await;
    }
    dispatch.abort();
    assert_eq!(attempts(&world).await.len(), 1);
}
