//! What is kept, for how long, and how much of it.

use crate::{claim, claim_for, raw, settings, store};
use redis::AsyncCommands;
use ringback_delivery::port::{
    BudgetStore, Claim, ClaimAnswer, ClaimRequest, ClaimStore, Clock, DeadLetterFilter,
    DeadLetterStore, DeliveryFilter, DeliveryStore, DisposeAnswer, EventMark, EventStore,
    GroupFilter, GroupStore, SettledAs, Settlement, WebhookStore,
};
use ringback_domain::{
    Acknowledgement, DeadLetterReason, Delivery, Disposal, Event, ProjectName, limits,
};
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::{MachineClock, contract, samples, servers::shared_redis_url};
use sha2::Digest;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

async fn take(store: &RedisStore, delivery: &Delivery, settled_as: Option<&SettledAs>) {
    let ClaimAnswer::Granted { claim, .. } = claim(store, delivery).await.unwrap() else {
        panic!("not granted");
    };
    let Some(settled_as) = settled_as else {
        return store.show_attempting(delivery).await.unwrap();
    };
    settle(store, &claim, delivery, settled_as).await;
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

fn delivery_of(project: &ProjectName) -> Delivery {
    samples::delivery_of(&samples::event_of(project), samples::webhook_destination())
}

async fn keys_of(settings: &RedisStoreSettings) -> Vec<String> {
    let mut raw = raw(&shared_redis_url()).await;
    let pattern = format!("{{{}:*", settings.prefix);
    redis::cmd("KEYS")
        .arg(pattern)
        .query_async(&mut raw)
        .await
        .unwrap()
}

/// The kinds of key and whether they end by themselves, as promised in `docs/store.md`.
#[tokio::test]
async fn every_key_is_of_a_kind_the_manual_names_and_ends_by_itself_as_it_says() {
    let settings = settings(&shared_redis_url());
    let store = store(settings.clone());
    let (done, lost, held) = (
        samples::delivery(),
        samples::delivery(),
        samples::delivery(),
    );
    take(&store, &done, Some(&SettledAs::Delivered)).await;
    let dead_letter = samples::dead_letter_of(lost.clone(), samples::moment(9));
    let fingerprint = dead_letter.cause.fingerprint.clone();
    take(
        &store,
        &lost,
        Some(&SettledAs::DeadLettered(Box::new(dead_letter))),
    )
    .await;
    let known = Acknowledgement {
        at: samples::moment(10),
        by: "ada".into(),
        note: "known".into(),
        seen_until: samples::moment(0),
    };
    store
        .acknowledge_group(Some(&lost.event.project), &fingerprint, &known)
        .await
        .unwrap()
        .expect("the group is there");
    take(&store, &held, None).await;
    store.put_webhook(&samples::webhook()).await.unwrap();
    let event = samples::event();
    let mark = EventMark {
        dispatched_at: samples::moment(1),
        deliveries: 0,
    };
    store
        .mark_event(&event.project, &event.id, mark, mark.dispatched_at)
        .await
        .unwrap();
    store
        .event_moment(&event.project, &event.id, samples::moment(1))
        .await
        .unwrap();

    let manual = include_str!("../../../../../docs/store.md");
    let mut raw = raw(&shared_redis_url()).await;
    let mut kinds = BTreeSet::new();
    for key in keys_of(&settings).await {
        let (_, rest) = key.split_once("}:").expect("a tag first");
        let kind = rest.split(':').next().expect("a kind").to_owned();
        assert!(
            manual.contains(&format!("`{kind}")),
            "{kind} is not in the manual"
        );
        let left: i64 = redis::cmd("PTTL")
            .arg(&key)
            .query_async(&mut raw)
            .await
            .unwrap();
        let stays = ["log", "letters", "groups", "by_id", "of"].contains(&kind.as_str());
        assert_eq!(left < 0, stays, "{key} has {left} ms left");
        kinds.insert(kind);
    }
    let expected = [
        "acknowledged",
        "attempts",
        "by_id",
        "claim",
        "event",
        "groups",
        "letter",
        "letters",
        "log",
        "moment",
        "of",
        "record",
        "traffic",
    ];
    assert_eq!(kinds, expected.map(String::from).into());
}

#[tokio::test]
async fn the_log_forgets_the_oldest_final_deliveries_first() {
    const KEPT: u64 = 64;
    let settings = RedisStoreSettings {
        log_entries_max: KEPT,
        ..settings(&shared_redis_url())
    };
    let store = store(settings.clone());
    let project = samples::project();
    let waiting = delivery_of(&project);
    take(&store, &waiting, None).await;
    let mut newest = waiting.clone();
    for _ in 0..KEPT * 4 {
        newest = delivery_of(&project);
        take(&store, &newest, Some(&SettledAs::Delivered)).await;
    }
    let filter = DeliveryFilter {
        project: Some(project),
        ..DeliveryFilter::default()
    };
    let page = store
        .deliveries(&filter, None, limits::PAGE_ENTRIES_MAX)
        .await
        .unwrap();
    assert!(
        page.entries.len() <= usize::try_from(KEPT).unwrap(),
        "{}",
        page.entries.len()
    );
    assert!(
        page.entries.len() > usize::try_from(KEPT / 2).unwrap(),
        "{}",
        page.entries.len()
    );
    assert_eq!(page.entries[0].id, newest.id);
    assert!(
        store.delivery(&waiting.id).await.unwrap().is_some(),
        "not final: kept"
    );

    let keys = keys_of(&settings).await;
    let count = |kind: &str| keys.iter().filter(|key| key.contains(kind)).count();
    let mut raw = raw(&shared_redis_url()).await;
    let mut in_claims = 0;
    for key in keys.iter().filter(|key| key.contains("}:claim:")) {
        let claim: String = raw.get(key).await.unwrap();
        in_claims += usize::from(claim.contains('\n'));
        let left: i64 = raw.pttl(key).await.unwrap();
        assert!(left > 0, "who forgets the record leaves the claim its time");
    }
    assert_eq!(count("}:record:") + in_claims, page.entries.len());
    assert_eq!(
        count("}:claim:") as u64,
        KEPT * 4 + 1,
        "who forgets the record still knows the claim"
    );
}

/// A first claim is kept as long as it will be once it is settled, for which its time is not set again, and never less than its lease; but
/// one that the log shows is kept like that.
#[tokio::test]
async fn a_first_claim_is_kept_for_the_window_and_for_its_lease() {
    const LEASE: Duration = Duration::from_mins(2);
    const LATE: Duration = Duration::from_secs(1);
    for window in [Duration::from_mins(1), Duration::from_mins(3)] {
        let settings = RedisStoreSettings {
            idempotency_window: window,
            ..settings(&shared_redis_url())
        };
        let store = store(settings.clone());
        let mut raw = raw(&shared_redis_url()).await;
        let mut left = async |delivery: &Delivery| {
            let keys = keys_of(&settings).await;
            let claim = format!("}}:claim:{}", delivery.id);
            let key = keys.into_iter().find(|key| key.ends_with(&claim));
            Duration::from_millis(raw.pttl(key.unwrap()).await.unwrap())
        };
        let kept = window.max(LEASE) + LATE;
        let (delivery, shown) = (samples::delivery(), samples::delivery());
        let (worker, nonce) = (samples::worker(), samples::claim_nonce());
        let claim = async |delivery: &Delivery| {
            let request = ClaimRequest {
                delivery,
                worker: &worker,
                nonce,
                lease: LEASE,
            };
            match store.claim(request).await.unwrap() {
                ClaimAnswer::Granted { claim, .. } => claim,
                other => panic!("{other:?}"),
            }
        };
        // Made twice, as after an answer that got lost.
        for _ in 0..2 {
            let begun = Instant::now();
            claim(&delivery).await;
            let (left, passed) = (left(&delivery).await, begun.elapsed());
            assert!(left <= kept && left + passed + CLOCK >= kept, "{left:?}");
        }
        let claimed = claim(&delivery).await;
        settle(&store, &claimed, &delivery, &SettledAs::Delivered).await;
        let settled = left(&delivery).await;
        assert!(
            settled <= kept && settled + Duration::from_mins(1) > kept,
            "{settled:?}"
        );

        claim(&shown).await;
        store.show_attempting(&shown).await.unwrap();
        claim(&shown).await;
        let left = left(&shown).await;
        assert!(left > limits::DELAY_MAX, "{left:?}");
    }
}

/// How far the server's milliseconds may be from ours.
const CLOCK: Duration = Duration::from_millis(10);

#[tokio::test]
async fn what_expired_leaves_every_list() {
    let settings = RedisStoreSettings {
        idempotency_window: Duration::from_millis(300),
        dead_letter_retention: Duration::from_hours(1),
        ..settings(&shared_redis_url())
    };
    let store = store(settings);
    let delivery = samples::delivery();
    let claimed = claim_for(&store, &delivery, Duration::from_millis(100)).await;
    let ClaimAnswer::Granted { claim, .. } = claimed.unwrap() else {
        panic!("not granted");
    };
    settle(&store, &claim, &delivery, &SettledAs::Delivered).await;
    // Given up in the summer of 2026, more than an hour ago.
    let old = samples::dead_letter_of(samples::delivery(), samples::moment(-7200 - 86_400 * 365));
    store.put_dead_letter(&old).await.unwrap();
    assert_eq!(store.dead_letter_count(None).await.unwrap(), 0);
    let any = DeadLetterFilter::default();
    assert!(
        store
            .dead_letters(&any, None, 10)
            .await
            .unwrap()
            .entries
            .is_empty()
    );

    let filter = DeliveryFilter {
        project: Some(delivery.event.project.clone()),
        ..DeliveryFilter::default()
    };
    let is_listed = async || {
        let page = store.deliveries(&filter, None, 10).await.unwrap();
        !page.entries.is_empty()
    };
    let poll = async {
        while is_listed().await || store.delivery(&delivery.id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), poll)
        .await
        .expect("it expires");
}

#[tokio::test]
async fn an_event_is_kept_known_as_long_as_its_deliveries_go_on() {
    let settings = RedisStoreSettings {
        idempotency_window: Duration::from_millis(300),
        ..settings(&shared_redis_url())
    };
    let store = store(settings);
    let (kept, marked_for_longer, other) = (samples::event(), samples::event(), samples::event());
    let mark = EventMark {
        dispatched_at: samples::moment(0),
        deliveries: 1,
    };
    for event in [&kept, &other] {
        let marking = store.mark_event(&event.project, &event.id, mark, mark.dispatched_at);
        marking.await.unwrap();
    }
    let in_a_minute = MachineClock.now() + Duration::from_mins(1);
    let event = &marked_for_longer;
    let marking = store.mark_event(&event.project, &event.id, mark, in_a_minute);
    marking.await.unwrap();
    for later in [60, 1] {
        let until = MachineClock.now() + Duration::from_secs(later);
        let keep = store.keep_event_known(&kept.project, &kept.id, until);
        keep.await.unwrap();
    }
    let known = async |event: &Event| store.event_mark(&event.project, &event.id).await.unwrap();
    let poll = async {
        while known(&other).await.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), poll)
        .await
        .expect("it expires");
    // Longer than the second moment and the window.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(known(&kept).await, Some(mark));
    assert_eq!(known(&marked_for_longer).await, Some(mark));
}

#[tokio::test]
async fn a_damaged_dead_letter_is_told_wherever_it_is_among_others_and_hides_none() {
    let settings = settings(&shared_redis_url());
    let store = store(settings.clone());
    let mut letters = Vec::new();
    for second in 0..3 {
        let dead_letter = samples::dead_letter_of(samples::delivery(), samples::moment(second));
        store.put_dead_letter(&dead_letter).await.unwrap();
        letters.push(dead_letter);
    }
    let ids: Vec<_> = letters.iter().map(|letter| letter.id.clone()).collect();
    let keys = keys_of(&settings).await;
    let key = keys.iter().find(|key| key.ends_with(ids[0].as_str()));
    let mut raw = raw(&shared_redis_url()).await;
    let () = raw.hset(key.unwrap(), "record", "{").await.unwrap();

    let oldest = store.oldest_dead_letters(3).await.unwrap();
    let left: Vec<_> = oldest.letters.iter().map(|letter| &letter.id).collect();
    assert_eq!(left, [&ids[1], &ids[2]]);
    let damaged: Vec<_> = oldest.damaged.iter().map(|letter| &*letter.id).collect();
    assert_eq!(damaged, [ids[0].as_str()]);

    let of_all = DeadLetterFilter::default();
    let first = store.dead_letters(&of_all, None, 2).await.unwrap();
    assert_eq!((first.entries.len(), first.damaged.len()), (2, 0));
    let rest = store.dead_letters(&of_all, first.next.as_ref(), 2).await;
    let rest = rest.unwrap();
    let damaged: Vec<_> = rest.damaged.iter().map(|letter| &*letter.id).collect();
    assert_eq!((rest.entries.len(), damaged), (0, vec![ids[0].as_str()]));
    let of_others = DeadLetterFilter {
        project: Some("others".parse().unwrap()),
        ..DeadLetterFilter::default()
    };
    let none = store.dead_letters(&of_others, None, 3).await.unwrap();
    assert_eq!((none.entries.len(), none.damaged.len()), (0, 0));

    let tell = contract::store::the_damaged_among_entries_are_told_in_their_places;
    tell(&store, &letters, &[0]).await;

    // Whoever has seen enough of it takes it out of the list.
    let disposal = Disposal::Discarded {
        at: samples::moment(9),
        note: "cannot be read".into(),
    };
    let discarded = store.dispose(&ids[0], &disposal, false).await.unwrap();
    assert_eq!(discarded, DisposeAnswer::Disposed);
    let list = store.dead_letters(&of_all, None, 3).await.unwrap();
    assert_eq!((list.entries.len(), list.damaged.len()), (2, 0));
}

#[tokio::test]
async fn a_damaged_webhook_keeps_no_other_from_being_read() {
    let settings = settings(&shared_redis_url());
    let mut raw = raw(&shared_redis_url()).await;
    for stored in ["1 {project} {\"v\":1", "1 {project} {\"v\":9999}", "{"] {
        let store = store(settings.clone());
        let webhooks = samples::webhooks_of(&samples::project(), 3);
        for webhook in &webhooks {
            store.put_webhook(webhook).await.unwrap();
        }
        let stored = stored.replace("{project}", webhooks[1].project.as_str());
        let keys = keys_of(&settings).await;
        let key = keys.iter().find(|key| key.ends_with(":webhooks}:by_id"));
        let id = webhooks[1].id.as_str();
        let () = raw.hset(key.unwrap(), id, stored).await.unwrap();
        let tell = contract::store::a_damaged_webhook_keeps_no_other_from_being_read;
        tell(&store, &webhooks, 1).await;
    }
}

/// A release before groups kept neither the note in the index nor the group.
#[tokio::test]
async fn dead_letters_of_a_release_before_groups_are_put_into_them() {
    let settings = settings(&shared_redis_url());
    let store = store(settings.clone());
    let (project, webhook) = (samples::project(), samples::webhook_destination());
    for second in 0..40 {
        let delivery = samples::delivery_of(&samples::event_of(&project), webhook.clone());
        let dead_letter = samples::dead_letter_of(delivery, samples::moment(second));
        store.put_dead_letter(&dead_letter).await.unwrap();
    }
    let all = GroupFilter::default();
    let expected = store.dead_letter_groups(&all, 10).await.unwrap();
    assert_eq!(expected.groups[0].open_count, 40);
    let mut raw = raw(&shared_redis_url()).await;
    for key in keys_of(&settings).await {
        if key.contains("}:groups") || key.ends_with(":bytes") {
            let () = raw.del(&key).await.unwrap();
        } else if key.ends_with(":letters:open") {
            let members: Vec<String> = raw.zrange(&key, 0, -1).await.unwrap();
            for member in members {
                if let Some((before, _)) = member.split_once(" #") {
                    let () = raw.zrem(&key, &member).await.unwrap();
                    let () = raw.zadd(&key, before, 0).await.unwrap();
                }
            }
        }
    }
    let none = store.dead_letter_groups(&all, 10).await.unwrap();
    assert_eq!((none.group_count, none.ungrouped_count), (0, 40));

    assert_eq!(store.regroup(1_000).await.unwrap(), 40);
    assert_eq!(store.regroup(1_000).await.unwrap(), 0);
    assert_eq!(store.dead_letter_groups(&all, 10).await.unwrap(), expected);

    // A worker of that release disposes of some and leaves the groups as they are.
    let keys = keys_of(&settings).await;
    let one = keys.iter().find(|key| key.ends_with("}:letters:open"));
    let () = raw.del(one.unwrap()).await.unwrap();
    store.regroup(1_000).await.unwrap();
    let list = store.dead_letter_groups(&all, 10).await.unwrap();
    let open = store.dead_letter_count(None).await.unwrap();
    assert!(open < 40);
    assert_eq!((list.groups[0].open_count, list.ungrouped_count), (open, 0));
}

/// The members of what is found by event and job, and where they are.
async fn members_of_all(settings: &RedisStoreSettings) -> Vec<(String, String)> {
    let mut raw = raw(&shared_redis_url()).await;
    let mut found = Vec::new();
    for key in keys_of(settings).await {
        if key.contains("}:letters:") && !key.ends_with(":bytes") {
            let members: Vec<String> = raw.zrange(&key, 0, -1).await.unwrap();
            let of_all = members
                .into_iter()
                .filter(|member| member.starts_with(['e', 'j']));
            found.extend(of_all.map(|member| (key.clone(), member)));
        }
    }
    found
}

/// An earlier release kept events and jobs in the index of open dead letters, and took them into that of those disposed of.
#[tokio::test]
async fn dead_letters_that_an_earlier_release_stored_are_found_by_event_and_job() {
    let settings = settings(&shared_redis_url());
    let store = store(settings.clone());
    let project = samples::project();
    let event = samples::event_of(&project);
    let mut letters = Vec::new();
    for second in 0..8 {
        let delivery = samples::delivery_of(&event, samples::webhook_destination());
        letters.push(samples::dead_letter_of(delivery, samples::moment(second)));
        store
            .put_dead_letter(letters.last().unwrap())
            .await
            .unwrap();
    }
    let mut raw = raw(&shared_redis_url()).await;
    for (all, member) in members_of_all(&settings).await {
        let open = all.replace(":letters:all", ":letters:open");
        let () = raw.zadd(&open, member, 0).await.unwrap();
        let () = raw.del(&all).await.unwrap();
    }
    for key in keys_of(&settings).await {
        if key.ends_with(":letters:open") {
            let members: Vec<String> = raw.zrange(&key, 0, -1).await.unwrap();
            for member in members.into_iter().filter(|member| member.starts_with('a')) {
                let () = raw.zrem(&key, &member).await.unwrap();
                let before = member.replace(" E", " e").replace(" J", " j");
                let () = raw.zadd(&key, before, 0).await.unwrap();
            }
        }
    }
    let open = DeadLetterFilter {
        job: Some(event.job.id.clone()),
        ..DeadLetterFilter::default()
    };
    let all = DeadLetterFilter {
        include_disposed: true,
        ..open.clone()
    };
    // One of this release among them.
    let delivery = samples::delivery_of(&event, samples::webhook_destination());
    letters.push(samples::dead_letter_of(delivery, samples::moment(8)));
    store.put_dead_letter(&letters[8]).await.unwrap();
    let disposal = Disposal::Discarded {
        at: samples::moment(9),
        note: "known".into(),
    };
    for number in [2, 5] {
        let id = &letters[number].id;
        let done = store.dispose(id, &disposal, false).await.unwrap();
        assert_eq!(done, DisposeAnswer::Disposed);
    }
    let ids_of = |numbers: &[usize]| -> Vec<_> {
        numbers
            .iter()
            .map(|number| letters[*number].id.clone())
            .collect()
    };
    let listed = async |filter: &DeadLetterFilter| -> Vec<_> {
        let page = store.dead_letters(filter, None, 20).await.unwrap();
        page.entries.into_iter().map(|letter| letter.id).collect()
    };
    assert_eq!(listed(&open).await, ids_of(&[8, 7, 6, 4, 3, 1, 0]));
    assert_eq!(listed(&all).await, ids_of(&[8, 7, 6, 5, 4, 3, 2, 1, 0]));

    let every = ids_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(store.forget_dead_letters(&every).await.unwrap(), 9);
    assert_eq!(members_of_all(&settings).await, []);
}

/// Forgotten, replayed and forgotten, or its record gone by itself.
#[tokio::test]
async fn dead_letters_leave_the_index_of_all() {
    let settings = settings(&shared_redis_url());
    let store = store(settings.clone());
    let mut letters = Vec::new();
    for _ in 0..3 {
        letters.push(samples::dead_letter());
        store
            .put_dead_letter(letters.last().unwrap())
            .await
            .unwrap();
    }
    assert_eq!(members_of_all(&settings).await.len(), 6);
    let disposal = Disposal::Discarded {
        at: samples::moment(9),
        note: "known".into(),
    };
    let done = store.dispose(&letters[1].id, &disposal, false).await;
    assert_eq!(done.unwrap(), DisposeAnswer::Disposed);
    let forgotten = [letters[0].id.clone(), letters[1].id.clone()];
    assert_eq!(store.forget_dead_letters(&forgotten).await.unwrap(), 2);
    assert_eq!(members_of_all(&settings).await.len(), 2);

    let mut raw = raw(&shared_redis_url()).await;
    let keys = keys_of(&settings).await;
    let record = keys.iter().find(|key| key.contains("}:letter:")).unwrap();
    let () = raw.del(record).await.unwrap();
    let any = DeadLetterFilter::default();
    let list = store.dead_letters(&any, None, 10).await.unwrap();
    assert!(list.entries.is_empty());
    assert_eq!(members_of_all(&settings).await, []);
}

/// More than there is room for, all in one shard.
#[tokio::test]
async fn what_has_no_room_in_a_group_is_counted_and_leaves_without_a_trace() {
    let settings = settings(&shared_redis_url());
    let store = store(settings.clone());
    let project = samples::project();
    let more = i64::try_from(limits::GROUPS_PER_PROJECT_MAX).unwrap() + 3;
    let mut ids = Vec::new();
    for second in 0..more {
        let delivery = loop {
            let delivery = delivery_of(&project);
            if sha2::Sha256::digest(delivery.id.as_str())[0].is_multiple_of(16) {
                break delivery;
            }
        };
        let dead_letter = samples::dead_letter_of(delivery, samples::moment(second));
        store.put_dead_letter(&dead_letter).await.unwrap();
        ids.push(dead_letter.id);
    }
    let filter = GroupFilter {
        project: Some(project),
        ..GroupFilter::default()
    };
    let list = store.dead_letter_groups(&filter, 5).await.unwrap();
    assert_eq!(list.group_count, limits::GROUPS_PER_PROJECT_MAX as u64);
    assert_eq!(list.ungrouped_count, 3);
    for id in &ids {
        let disposal = Disposal::Discarded {
            at: samples::moment(0),
            note: String::new(),
        };
        store.dispose(id, &disposal, false).await.unwrap();
    }
    let list = store.dead_letter_groups(&filter, 5).await.unwrap();
    assert_eq!((list.group_count, list.ungrouped_count), (0, 0));
    assert!(
        !keys_of(&settings)
            .await
            .iter()
            .any(|key| key.contains("}:groups"))
    );
}

/// More than one call of the script looks at, all in one index.
#[tokio::test]
async fn a_list_through_thousands_that_do_not_match_reaches_its_end() {
    const EACH: i64 = 2_300;
    let store = store(settings(&shared_redis_url()));
    let give_up = async |event_type: &str, reason, second| {
        let mut event = samples::event();
        event.event_type = event_type.parse().unwrap();
        let delivery = loop {
            let delivery = samples::delivery_of(&event, samples::webhook_destination());
            if sha2::Sha256::digest(delivery.id.as_str())[0].is_multiple_of(16) {
                break delivery;
            }
        };
        let mut dead_letter = samples::dead_letter_of(delivery, samples::moment(second));
        dead_letter.reason = reason;
        store.put_dead_letter(&dead_letter).await.unwrap();
        dead_letter.id
    };
    let mut wanted = Vec::new();
    for second in 0..3 {
        wanted.insert(
            0,
            give_up("task.failed", DeadLetterReason::Poison, second).await,
        );
    }
    for second in 3..EACH {
        give_up("task.failed", DeadLetterReason::NotAllowed, second).await;
        give_up("task.completed", DeadLetterReason::Poison, second).await;
    }
    let filter = DeadLetterFilter {
        event_type: Some("task.failed".parse().unwrap()),
        reason: Some(DeadLetterReason::Poison),
        ..DeadLetterFilter::default()
    };
    let page = store.dead_letters(&filter, None, 2).await.unwrap();
    let rest = store
        .dead_letters(&filter, page.next.as_ref(), 2)
        .await
        .unwrap();
    let seen: Vec<_> = page
        .entries
        .iter()
        .chain(&rest.entries)
        .map(|letter| letter.id.clone())
        .collect();
    assert_eq!(seen, wanted);
    assert!(rest.next.is_none());
}

/// The secrets of webhooks and callbacks are sealed before they come here; URLs of callbacks may hold tokens, and are not in the log's keys.
#[tokio::test]
async fn no_key_tells_what_a_customer_wrote() {
    let settings = settings(&shared_redis_url());
    let store = store(settings.clone());
    let delivery = samples::delivery_of(&samples::event(), samples::callback_destination());
    take(&store, &delivery, None).await;
    for key in keys_of(&settings).await {
        assert!(!key.contains(delivery.event.job.id.as_str()), "{key}");
        assert!(!key.contains("example"), "{key}");
    }
}
