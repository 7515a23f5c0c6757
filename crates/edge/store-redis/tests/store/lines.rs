//! What is delivered at once is a line of the log: found as everything else is, and the first to go.

use crate::{claim, raw, settings, store};
use futures_util::future::join_all;
use redis::AsyncCommands;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimStore, Cursor, DeliveryFilter, DeliveryStore, FencingToken, SettledAs,
    Settlement, TrafficStore,
};
use ringback_domain::{
    Delivery, DeliveryId, Destination, ProjectName, Traffic, TrafficOf, TrafficStep,
};
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::{
    samples,
    servers::{RedisOptions, RedisServer, shared_redis_url},
};
use std::collections::BTreeSet;

async fn granted(store: &RedisStore, delivery: &Delivery) -> Claim {
    match claim(store, delivery).await.unwrap() {
        ClaimAnswer::Granted { claim, .. } => claim,
        other => panic!("{other:?}"),
    }
}

async fn settle(store: &RedisStore, claim: &Claim, delivery: &Delivery, settled_as: &SettledAs) {
    let settlement = Settlement {
        claim,
        delivery,
        attempts: &[samples::attempt_of(delivery)],
        settled_as,
        at: samples::moment(9),
    };
    store.settle(settlement).await.unwrap();
}

async fn deliver(store: &RedisStore, delivery: &Delivery) {
    let claim = granted(store, delivery).await;
    settle(store, &claim, delivery, &SettledAs::Delivered).await;
}

async fn all(store: &RedisStore, filter: &DeliveryFilter) -> Vec<DeliveryId> {
    let (mut found, mut after): (_, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = store.deliveries(filter, after.as_ref(), 50).await.unwrap();
        found.extend(page.entries.into_iter().map(|record| record.id));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

fn of_project(project: &ProjectName) -> DeliveryFilter {
    DeliveryFilter {
        project: Some(project.clone()),
        ..DeliveryFilter::default()
    }
}

/// Small blocks, some of which are full and sorted, while other entries are in the set.
#[tokio::test]
async fn lines_are_listed_by_every_filter_among_the_others() {
    let settings = RedisStoreSettings {
        // Blocks of 8 lines, so that each shard has some.
        log_entries_max: 16 * 128,
        ..settings(&shared_redis_url())
    };
    let store = store(settings);
    let projects = [(); 2].map(|()| (samples::project(), samples::webhook_destination()));
    let mut expected = Vec::new();
    for number in 0..900 {
        let (project, webhook) = &projects[number % 2];
        let delivery = samples::delivery_of(&samples::event_of(project), webhook.clone());
        let claim = granted(&store, &delivery).await;
        let settled_as = match number % 10 {
            5 => SettledAs::Retrying {
                due_at: samples::moment(90),
            },
            _ => SettledAs::Delivered,
        };
        settle(&store, &claim, &delivery, &settled_as).await;
        expected.insert(0, (delivery, number % 10 == 5));
    }
    let ids = |wanted: &dyn Fn(&(Delivery, bool)) -> bool| -> Vec<_> {
        let found = expected.iter().filter(|entry| wanted(entry));
        found.map(|(delivery, _)| delivery.id.clone()).collect()
    };
    assert_eq!(
        all(&store, &DeliveryFilter::default()).await,
        ids(&|_| true)
    );
    let (project, webhook) = &projects[1];
    let ours = ids(&|(delivery, _)| delivery.event.project == *project);
    assert_eq!(all(&store, &of_project(project)).await, ours);
    for (state, is_waiting) in [("delivered", false), ("waiting", true)] {
        let filter = DeliveryFilter {
            destination: Some(webhook.id()),
            state: Some(state.into()),
            ..of_project(project)
        };
        let ours =
            ids(&|(delivery, waits)| delivery.event.project == *project && *waits == is_waiting);
        assert_eq!(all(&store, &filter).await, ours, "{state}");
    }
    for (delivery, _) in expected.iter().step_by(150) {
        let by_event = DeliveryFilter {
            event: Some(delivery.event.id.clone()),
            ..DeliveryFilter::default()
        };
        let by_job = DeliveryFilter {
            job: Some(delivery.event.job.id.clone()),
            ..of_project(&delivery.event.project)
        };
        for filter in [by_event, by_job] {
            assert_eq!(all(&store, &filter).await, vec![delivery.id.clone()]);
        }
        let record = store.delivery(&delivery.id).await.unwrap().unwrap();
        let before = DeliveryFilter {
            until: Some(record.created_at),
            ..DeliveryFilter::default()
        };
        let after = DeliveryFilter {
            since: Some(record.created_at),
            ..DeliveryFilter::default()
        };
        let at = expected.iter().position(|(one, _)| one.id == delivery.id);
        let (newer, older) = expected.split_at(at.unwrap());
        let newer = newer.iter().chain([&older[0]]);
        let newer: Vec<_> = newer.map(|(one, _)| one.id.clone()).collect();
        let older: Vec<_> = older[1..].iter().map(|(one, _)| one.id.clone()).collect();
        assert_eq!(all(&store, &after).await, newer);
        assert_eq!(all(&store, &before).await, older);
    }
}

/// Both workers sort lines while both append more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_several_workers_sort_at_once_are_all_there_once() {
    const EACH: usize = 1500;
    let settings = RedisStoreSettings {
        // Of some 190 in each shard, 128 may be unsorted.
        log_entries_max: 16 * 256,
        ..settings(&shared_redis_url())
    };
    let project = samples::project();
    let deliveries: Vec<_> = (0..2 * EACH)
        .map(|_| samples::delivery_of(&samples::event_of(&project), samples::webhook_destination()))
        .collect();
    let stores = [store(settings.clone()), store(settings.clone())];
    let workers = stores
        .iter()
        .zip(deliveries.chunks(EACH))
        .map(|(store, own)| async move {
            for together in own.chunks(64) {
                join_all(together.iter().map(|delivery| deliver(store, delivery))).await;
            }
        });
    join_all(workers).await;
    let blocks: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{{{}:*:log:blocks", settings.prefix))
        .query_async(&mut raw(&shared_redis_url()).await)
        .await
        .unwrap();
    assert_eq!(blocks.len(), 16, "lines of every shard are sorted");
    let listed = all(&stores[0], &of_project(&project)).await;
    let expected: BTreeSet<_> = deliveries.iter().map(|delivery| &delivery.id).collect();
    assert_eq!(listed.len(), expected.len());
    assert_eq!(listed.iter().collect::<BTreeSet<_>>(), expected);
}

/// What one worker read, another may have sorted since, and a server may have lost.
#[tokio::test]
async fn blocks_take_the_place_of_the_lines_they_were_made_of_or_of_none() {
    let mut raw = raw(&shared_redis_url()).await;
    let [new, blocks, digests, never] = ["new", "blocks", "digests", "never"]
        .map(|name| format!("{}:{name}", samples::unique("t")));
    let script = redis::Script::new(include_str!("../../src/lua/put_blocks.lua"));
    let mut other = raw.clone();
    let mut put = async |last: &str, end: usize, kept: &str| -> bool {
        let mut call = script.key(&[&new, &blocks, &digests, &never]);
        call.arg(last)
            .arg(end)
            .arg(kept)
            .arg("a block\n")
            .arg("2 P");
        call.invoke_async(&mut raw).await.unwrap()
    };
    assert!(!put("a\n", 4, "b\n").await, "the lines are gone");
    let () = other.set(&new, "b\na\nd\nc\n").await.unwrap();
    assert!(!put("x\n", 4, "").await, "they are others");
    assert_eq!(other.llen::<_, u64>(&blocks).await.unwrap(), 0);
    assert!(put("a\n", 4, "b\n").await);
    assert_eq!(other.get::<_, String>(&new).await.unwrap(), "b\nd\nc\n");
    assert!(!put("a\n", 4, "b\n").await, "somebody else was first");
    assert!(put("c\n", 6, "").await);
    assert!(!other.exists::<_, bool>(&new).await.unwrap());
    assert_eq!(other.llen::<_, u64>(&blocks).await.unwrap(), 2);
    assert_eq!(other.llen::<_, u64>(&digests).await.unwrap(), 2);
}

/// A claim that was lost and made again has a record of its own, which is not that of the line.
#[tokio::test]
async fn a_block_takes_its_own_records_with_it_and_no_others() {
    const OLD: &str = "1796000000000001";
    const NEW: &str = "1796000000000002";
    let mut raw = raw(&shared_redis_url()).await;
    let shard = format!("{{{}}}:", samples::unique("t"));
    let line = |id: &str| format!("{OLD}{id} P0 E0 J0 D0\n");
    let block = line("dlv_a") + &line("dlv_b") + &line("dlv_gone");
    let log = format!("{shard}log");
    let () = raw.rpush(format!("{log}:blocks"), block).await.unwrap();
    let () = raw.rpush(format!("{log}:digests"), "x").await.unwrap();
    for (id, token) in [("dlv_a", OLD), ("dlv_b", NEW)] {
        let claim = format!("delivered 0 1 {token} {token}\na record\n");
        let () = raw.set(format!("{shard}claim:{id}"), claim).await.unwrap();
    }
    let script = redis::Script::new(concat!(
        include_str!("../../src/lua/common.lua"),
        include_str!("../../src/lua/log.lua"),
        include_str!("../../src/lua/make_room.lua")
    ));
    let mut call = script.key(&[&log, &format!("{log}:blocks"), &format!("{shard}never")]);
    // None may stay, by number; all are young enough.
    call.arg(0)
        .arg(u64::MAX / 2)
        .arg(3)
        .arg("P0 E0 J0 D0")
        .arg(0);
    for more in [true, false] {
        let answer: bool = call.invoke_async(&mut raw).await.unwrap();
        assert_eq!(answer, more);
    }
    let claim: String = raw.get(format!("{shard}claim:dlv_a")).await.unwrap();
    assert_eq!(claim, format!("delivered 0 1 {OLD} {OLD}"));
    let claim: String = raw.get(format!("{shard}claim:dlv_b")).await.unwrap();
    assert!(claim.ends_with("a record\n"), "{claim}");
    let left: u64 = raw
        .exists(&[format!("{log}:blocks"), format!("{log}:digests")])
        .await
        .unwrap();
    assert_eq!(left, 0);
}

/// Entries of the set, all older than the lines that come after them.
#[tokio::test]
async fn lines_make_room_among_older_entries_too() {
    const KEPT: usize = 16 * 64;
    let settings = RedisStoreSettings {
        log_entries_max: KEPT as u64,
        ..settings(&shared_redis_url())
    };
    let store = store(settings);
    let project = samples::project();
    let new_one =
        || samples::delivery_of(&samples::event_of(&project), samples::webhook_destination());
    let shown: Vec<_> = (0..KEPT).map(|_| new_one()).collect();
    for together in shown.chunks(64) {
        join_all(together.iter().map(async |delivery| {
            let claim = granted(&store, delivery).await;
            store.show_attempting(delivery).await.unwrap();
            settle(&store, &claim, delivery, &SettledAs::Delivered).await;
        }))
        .await;
    }
    let at_once: Vec<_> = (0..2 * KEPT).map(|_| new_one()).collect();
    for together in at_once.chunks(64) {
        join_all(together.iter().map(|delivery| deliver(&store, delivery))).await;
    }
    let listed = all(&store, &of_project(&project)).await;
    // Which shard an entry is in is chance, a block is forgotten as a whole, and others append while room is made.
    assert!(listed.len() <= KEPT + KEPT / 8, "{}", listed.len());
    assert!(listed.len() >= KEPT / 2, "{}", listed.len());
    let newest: BTreeSet<_> = at_once.iter().map(|delivery| &delivery.id).collect();
    assert!(listed.iter().take(KEPT / 2).all(|id| newest.contains(id)));
}

/// How often the server has added to a hash.
async fn additions(redis: &mut redis::aio::MultiplexedConnection) -> u64 {
    let mut info = redis::cmd("INFO");
    let stats: String = info.arg("commandstats").query_async(redis).await.unwrap();
    let line = stats.lines().find_map(|line| {
        let counts = line.strip_prefix("cmdstat_hincrby:calls=")?;
        counts.split(',').next()
    });
    line.map_or(0, |calls| calls.parse().unwrap())
}

/// More than are noted before they are added up, each of another destination: two hashes of its own, by the minute and by the hour.
#[tokio::test]
async fn no_count_of_traffic_is_lost_when_notes_are_added_up_and_none_adds_many_at_once() {
    const MANY: u64 = 1_000;
    /// What one settlement adds at most: ten lines, each to three places by two steps.
    const AT_ONCE: u64 = 60;
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let settings = settings(&server.url());
    let store = store(settings.clone());
    let mut raw = raw(&server.url()).await;
    let project = samples::project();
    // One shard's notes, where otherwise sixteen would fill up: that of the delivery settled, time and again.
    let event = samples::event_of(&project);
    let mut delivery = samples::delivery_of(&event, samples::webhook_destination());
    let mut added = additions(&mut raw).await;
    for number in 0..MANY {
        if let Destination::Webhook { id, .. } = &mut delivery.destination {
            *id = format!("whk_{number:032}").parse().unwrap();
        }
        let claim = granted(&store, &delivery).await;
        let due_at = samples::moment(90);
        settle(&store, &claim, &delivery, &SettledAs::Retrying { due_at }).await;
        delivery.attempt = delivery.attempt.next();
        let by_now = additions(&mut raw).await;
        assert!(by_now - added <= AT_ONCE, "{}", by_now - added);
        added = by_now;
    }
    let waiting: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{{{}:*:traffic:*", settings.prefix))
        .query_async(&mut raw)
        .await
        .unwrap();
    assert!(added > MANY, "some are added up before anybody reads");
    assert!(
        !waiting.iter().any(|key| key.ends_with("traffic:sums")),
        "all that were put together"
    );
    for step in [TrafficStep::Minute, TrafficStep::Hour] {
        for (of, expected) in TrafficOf::all_of(&project, &delivery.destination)
            .into_iter()
            .zip([MANY, MANY, 1])
        {
            for _ in 0..2 {
                let points = store.traffic(&of, step, samples::moment(9)).await.unwrap();
                let mut counted = Traffic::default();
                for point in &points {
                    counted += point.traffic;
                }
                assert_eq!(counted.failed_attempts, expected, "{of} {step:?}");
            }
        }
    }
}

/// Claims were lost, so that somebody holds a later one: whoever comes late is believed, and nothing of the record is lost.
#[tokio::test]
async fn a_line_that_a_later_claim_settles_becomes_an_entry_like_others() {
    let settings = settings(&shared_redis_url());
    let store = store(settings.clone());
    let delivery = samples::delivery();
    let claim = granted(&store, &delivery).await;
    settle(&store, &claim, &delivery, &SettledAs::Delivered).await;
    let later = Claim {
        token: FencingToken(claim.token.0 + 1),
        ..claim
    };
    let due_at = samples::moment(90);
    settle(&store, &later, &delivery, &SettledAs::Retrying { due_at }).await;
    let record = store.delivery(&delivery.id).await.unwrap().unwrap();
    assert_eq!(record.state.class(), "waiting");
    assert_eq!(record.attempts.len(), 2);
    for (state, count) in [("waiting", 1), ("delivered", 0)] {
        let filter = DeliveryFilter {
            state: Some(state.into()),
            ..of_project(&delivery.event.project)
        };
        assert_eq!(all(&store, &filter).await.len(), count, "{state}");
    }
    assert_eq!(
        all(&store, &of_project(&delivery.event.project))
            .await
            .len(),
        1
    );
}

/// What the log shows as under way while it is delivered is no line.
#[tokio::test]
async fn one_that_was_shown_under_way_is_told_of_once() {
    let store = store(settings(&shared_redis_url()));
    let delivery = samples::delivery();
    let claim = granted(&store, &delivery).await;
    store.show_attempting(&delivery).await.unwrap();
    settle(&store, &claim, &delivery, &SettledAs::Delivered).await;
    deliver(
        &store,
        &samples::delivery_of(
            &samples::event_of(&delivery.event.project),
            samples::webhook_destination(),
        ),
    )
    .await;
    let filter = DeliveryFilter {
        state: Some("delivered".into()),
        ..of_project(&delivery.event.project)
    };
    assert_eq!(all(&store, &filter).await.len(), 2);
    let record = store.delivery(&delivery.id).await.unwrap().unwrap();
    assert_eq!(record.attempts.len(), 1);
}
