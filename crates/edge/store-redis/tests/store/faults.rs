//! Servers that are restarted, killed, frozen, emptied, full.

use crate::{claim, raw, settings, store};
use futures_util::future::join_all;
use ringback_delivery::port::{
    ClaimAnswer, ClaimStore, DeadLetterFilter, DeadLetterStore, DeliveryFilter, DeliveryStore,
    EventMark, EventStore, SettleAnswer, SettledAs, Settlement, StoreError, WebhookStore,
};
use ringback_domain::{Delivery, Disposal};
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::{
    samples,
    servers::{Fsync, RedisOptions, RedisServer, shared_redis_url},
};
use std::{collections::BTreeSet, path::Path, time::Duration};

const PATIENCE: Duration = Duration::from_mins(1);

fn server() -> RedisServer {
    RedisServer::start(RedisOptions {
        fsync: Fsync::Always,
        ..RedisOptions::default()
    })
    .unwrap()
}

async fn give_up(store: &RedisStore, delivery: &Delivery) -> Result<SettleAnswer, StoreError> {
    let ClaimAnswer::Granted { claim, .. } = claim(store, delivery).await? else {
        panic!("not granted");
    };
    let dead_letter = samples::dead_letter_of(delivery.clone(), samples::moment(9));
    let settled_as = SettledAs::DeadLettered(Box::new(dead_letter));
    let settlement = Settlement {
        claim: &claim,
        delivery,
        attempts: &[samples::attempt_of(delivery)],
        settled_as: &settled_as,
        at: samples::moment(9),
    };
    store.settle(settlement).await
}

/// Asks again and again, as the worker does, until the store answers.
async fn until_it_answers(store: &RedisStore) {
    let poll = async {
        while store.dead_letter_count(None).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll)
        .await
        .expect("the store heals by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_comes_back_with_everything_and_the_store_finds_it_by_itself() {
    let mut server = server();
    let store = store(settings(&server.url()));
    let (webhook, event) = (samples::webhook(), samples::event());
    let (given_up, held) = (samples::delivery(), samples::delivery());
    let mark = EventMark {
        dispatched_at: samples::moment(1),
        deliveries: 2,
    };
    store.put_webhook(&webhook).await.unwrap();
    store
        .mark_event(&event.project, &event.id, mark, mark.dispatched_at)
        .await
        .unwrap();
    give_up(&store, &given_up).await.unwrap();
    claim(&store, &held).await.unwrap();

    server.kill9();
    let away = store.webhook(&webhook.id).await.unwrap_err();
    assert!(matches!(away, StoreError::Unreachable { .. }), "{away:?}");
    assert!(away.is_passing());
    server.restart().unwrap();
    until_it_answers(&store).await;

    assert_eq!(store.webhook(&webhook.id).await.unwrap(), Some(webhook));
    assert_eq!(
        store.event_mark(&event.project, &event.id).await.unwrap(),
        Some(mark)
    );
    assert_eq!(
        store
            .dead_letter_count(Some(&given_up.event.project))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        claim(&store, &given_up).await.unwrap(),
        ClaimAnswer::Settled
    );
    assert!(matches!(
        claim(&store, &held).await.unwrap(),
        ClaimAnswer::Held { .. }
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_unreachable_within_seconds_and_the_store_heals_when_it_goes_on() {
    let server = server();
    let store = store(settings(&server.url()));
    until_it_answers(&store).await;
    server.pause();
    for _ in 0..4 {
        let delivery = samples::delivery();
        let answer = tokio::time::timeout(PATIENCE, claim(&store, &delivery)).await;
        let away = answer.expect("no call waits for ever").unwrap_err();
        assert!(matches!(away, StoreError::Unreachable { .. }), "{away:?}");
    }
    server.resume();
    until_it_answers(&store).await;
    give_up(&store, &samples::delivery()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_yet_is_found_once_it_is() {
    let mut server = server();
    server.stop();
    let store = store(settings(&server.url()));
    let away = claim(&store, &samples::delivery()).await.unwrap_err();
    assert!(
        away.to_string()
            .contains(&format!("127.0.0.1:{}", server.port())),
        "{away}"
    );
    server.restart().unwrap();
    until_it_answers(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_are_loaded_again_after_the_server_forgot_them() {
    let server = server();
    let store = store(settings(&server.url()));
    give_up(&store, &samples::delivery()).await.unwrap();
    let mut raw = raw(&server.url()).await;
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec_async(&mut raw)
        .await
        .unwrap();
    give_up(&store, &samples::delivery()).await.unwrap();
    assert_eq!(store.dead_letter_count(None).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_server_may_grant_again_but_loses_no_outcome() {
    let server = server();
    let store = store(settings(&server.url()));
    let delivery = samples::delivery();
    let ClaimAnswer::Granted { claim: first, .. } = claim(&store, &delivery).await.unwrap() else {
        panic!("not granted");
    };
    redis::cmd("FLUSHALL")
        .exec_async(&mut raw(&server.url()).await)
        .await
        .unwrap();

    let ClaimAnswer::Granted { claim: second, .. } = claim(&store, &delivery).await.unwrap() else {
        panic!("not granted");
    };
    assert!(
        second.token > first.token,
        "tokens grow over the loss of everything"
    );
    let settle = async |claim| {
        let settlement = Settlement {
            claim,
            delivery: &delivery,
            attempts: &[samples::attempt_of(&delivery)],
            settled_as: &SettledAs::Delivered,
            at: samples::moment(9),
        };
        store.settle(settlement).await.unwrap()
    };
    assert_eq!(settle(&first).await, SettleAnswer::Stale);
    assert_eq!(settle(&second).await, SettleAnswer::Settled);

    redis::cmd("FLUSHALL")
        .exec_async(&mut raw(&server.url()).await)
        .await
        .unwrap();
    assert_eq!(
        settle(&second).await,
        SettleAnswer::Settled,
        "settled once more, for want of memory"
    );
    let record = store.delivery(&delivery.id).await.unwrap().unwrap();
    assert_eq!(record.state.class(), "delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_and_takes_again_once_there_is_room() {
    let server = server();
    let store = store(settings(&server.url()));
    let mut raw = raw(&server.url()).await;
    redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg("1")
        .exec_async(&mut raw)
        .await
        .unwrap();
    let full = claim(&store, &samples::delivery()).await.unwrap_err();
    assert!(matches!(full, StoreError::Refused { .. }), "{full:?}");
    assert!(full.is_passing());
    assert!(full.to_string().contains("out of memory"), "{full}");
    // Marks go together, each by itself.
    let events = [samples::event(), samples::event()];
    let mark = EventMark {
        dispatched_at: samples::moment(1),
        deliveries: 1,
    };
    let marking = events
        .iter()
        .map(|event| store.mark_event(&event.project, &event.id, mark, mark.dispatched_at));
    for full in join_all(marking).await {
        let full = full.unwrap_err().to_string();
        assert!(full.contains("out of memory"), "{full}");
    }
    redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg("0")
        .exec_async(&mut raw)
        .await
        .unwrap();
    give_up(&store, &samples::delivery()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_used_and_never_shown() {
    const PASSWORD: &str = "hunter2-correct-horse";
    let server = server();
    let mut open = raw(&server.url()).await;
    redis::cmd("CONFIG")
        .arg("SET")
        .arg("requirepass")
        .arg(PASSWORD)
        .exec_async(&mut open)
        .await
        .unwrap();
    let url = |password: &str| {
        server
            .url()
            .replace("redis://", &format!("redis://:{password}@"))
    };

    let right = store(settings(&url(PASSWORD)));
    give_up(&right, &samples::delivery()).await.unwrap();
    let wrong = store(settings(&url("wrong-hunter2")));
    let refused = give_up(&wrong, &samples::delivery()).await.unwrap_err();
    let shown = format!(
        "{refused} {refused:?} {wrong:?} {right:?} {:?}",
        settings(&url(PASSWORD))
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(refused.to_string().contains("password"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_finds_what_falls_short() {
    let server = server();
    let store = store(settings(&server.url()));
    let good = store.health().await.unwrap();
    assert!(
        good.product.starts_with("Redis ") || good.product.starts_with("Valkey "),
        "{good:?}"
    );
    assert!(
        good.clock_skew_ms.is_some_and(|skew| skew.abs() < 60_000),
        "{good:?}"
    );
    assert_eq!(good.findings, Vec::<String>::new());

    let mut raw = raw(&server.url()).await;
    for (name, value) in [
        ("maxmemory-policy", "allkeys-lru"),
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
    ] {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg(name)
            .arg(value)
            .exec_async(&mut raw)
            .await
            .unwrap();
    }
    let findings = store.health().await.unwrap().findings;
    for what in ["maxmemory-policy", "appendonly", "appendfsync"] {
        let found = findings.iter().find(|finding| finding.contains(what));
        assert!(
            found.is_some_and(|finding| finding.contains("(hint: ")),
            "{what}: {findings:?}"
        );
    }
}

#[tokio::test]
async fn a_dead_letter_that_must_be_on_disk_is_stored_only_where_the_server_can_say_so() {
    let store = store(RedisStoreSettings {
        wait_aof: true,
        ..settings(&shared_redis_url())
    });
    let findings = store.health().await.unwrap().findings;
    let can_say = !findings
        .iter()
        .any(|finding| finding.contains("does not know WAITAOF"));
    let letters: Vec<_> = (0..20).map(|_| samples::dead_letter()).collect();
    let stored =
        futures_util::future::join_all(letters.iter().map(|letter| store.put_dead_letter(letter)));
    for answer in stored.await {
        assert_eq!(answer.is_ok(), can_say, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_the_rights_of_the_file_for_operators_can_do_everything() {
    let rights = rights_for_operators();
    let server = server();
    let mut open = raw(&server.url()).await;
    let mut acl = redis::cmd("ACL");
    acl.arg("SETUSER")
        .arg("ringback")
        .arg("on")
        .arg(">hunter2")
        .arg(rights);
    acl.exec_async(&mut open).await.unwrap();

    let limited = RedisStoreSettings {
        prefix: "ringback".into(),
        ..settings(
            &server
                .url()
                .replace("redis://", "redis://ringback:hunter2@"),
        )
    };
    let store = store(limited);
    let (delivery, webhook, event) = (samples::delivery(), samples::webhook(), samples::event());
    give_up(&store, &delivery).await.unwrap();
    store.put_webhook(&webhook).await.unwrap();
    store.webhooks(&webhook.project).await.unwrap();
    store.remove_webhook(&webhook.id).await.unwrap();
    let mark = EventMark {
        dispatched_at: samples::moment(1),
        deliveries: 0,
    };
    store
        .mark_event(&event.project, &event.id, mark, mark.dispatched_at)
        .await
        .unwrap();
    let page = store
        .dead_letters(&DeadLetterFilter::default(), None, 5)
        .await
        .unwrap();
    let discarded = Disposal::Discarded {
        at: samples::moment(2),
        note: String::new(),
    };
    store
        .dispose(&page.entries[0].id, &discarded, false)
        .await
        .unwrap();
    let log = store
        .deliveries(&DeliveryFilter::default(), None, 5)
        .await
        .unwrap();
    assert_eq!(log.entries.len(), 1);
    assert_eq!(store.health().await.unwrap().findings, Vec::<String>::new());
}

/// What `deploy/redis/users.acl` lets our user do.
fn rights_for_operators() -> Vec<&'static str> {
    let file = include_str!("../../../../../deploy/redis/users.acl");
    let user = file
        .lines()
        .find_map(|line| line.strip_prefix("user ringback on "));
    user.expect("our user").split(' ').skip(1).collect()
}

#[test]
fn our_user_has_the_right_to_every_command_that_is_used_and_to_no_other() {
    /// Said by the client on its own, or asked of the server while it is looked at.
    const APART: [&str; 7] = [
        "config|get",
        "eval",
        "evalsha",
        "info",
        "ping",
        "script|load",
        "select",
    ];
    /// Commands of newer servers, or of a server among several: docs/store.md names them apart.
    const ELSEWHERE: [&str; 2] = ["config", "waitaof"];
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut used: BTreeSet<String> = APART.map(str::to_owned).into();
    for folder in [sources.clone(), sources.join("lua")] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for (start, end) in [("call('", '\''), ("cmd(\"", '"'), ("Command(\"", '"')] {
                let calls = text.split(start).skip(1);
                used.extend(calls.map(|call| call.split(end).next().unwrap().to_lowercase()));
            }
        }
    }
    used.retain(|command| !ELSEWHERE.contains(&command.as_str()));
    let allowed = rights_for_operators().into_iter();
    let allowed: BTreeSet<_> = allowed
        .filter_map(|right| right.strip_prefix('+').map(str::to_owned))
        .collect();
    assert_eq!(used, allowed);
}
