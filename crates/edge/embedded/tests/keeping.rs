//! What is kept, and for how long.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use common::StandingClock;
use ringback_delivery::port::{
    BudgetStore, ClaimAnswer, ClaimRequest, ClaimStore, Clock, DeadLetterFilter, DeadLetterStore,
    DeliveryFilter, DeliveryStore, DisposeAnswer, EventMark, EventStore, GroupFilter, GroupStore,
    SettleAnswer, SettledAs, Settlement,
};
use ringback_domain::{DeadLetter, Delivery, Disposal, Generation};
use ringback_embedded::{DataDir, Embedded, EmbeddedStore, Settings};
use ringback_testkit::{contract, samples};
use std::{path::Path, sync::Arc, time::Duration};

const DAY: Duration = Duration::from_hours(24);

fn open(dir: &Path, settings: &Settings, clock: &Arc<StandingClock>) -> Embedded {
    Embedded::open(&DataDir::lock(dir).unwrap(), settings, clock.clone()).unwrap()
}

/// Waits for the sweep that follows an opening to have had its effect.
async fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, mut look: impl AsyncFnMut() -> T) {
    let mut found = look().await;
    for _ in 0..3_000 {
        if found == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        found = look().await;
    }
    assert_eq!(found, expected);
}

async fn claim(store: &EmbeddedStore, delivery: &Delivery) -> ClaimAnswer {
    let request = ClaimRequest {
        delivery,
        worker: &samples::worker(),
        nonce: samples::claim_nonce(),
        lease: DAY,
    };
    store.claim(request).await.unwrap()
}

async fn deliver(store: &EmbeddedStore, clock: &StandingClock) -> Delivery {
    let delivery = samples::delivery();
    let ClaimAnswer::Granted { claim, .. } = claim(store, &delivery).await else {
        panic!("not granted");
    };
    let settlement = Settlement {
        claim: &claim,
        delivery: &delivery,
        attempts: &[samples::attempt_of(&delivery)],
        settled_as: &SettledAs::Delivered,
        at: clock.now(),
    };
    assert_eq!(
        store.settle(settlement).await.unwrap(),
        SettleAnswer::Settled
    );
    delivery
}

async fn logged(store: &EmbeddedStore) -> usize {
    let page = store
        .deliveries(&DeliveryFilter::default(), None, 500)
        .await;
    page.unwrap().entries.len()
}

#[tokio::test]
async fn the_log_forgets_the_oldest_final_deliveries_but_not_that_they_were_delivered() {
    let (dir, clock) = (
        tempfile::tempdir().unwrap(),
        StandingClock::at(samples::moment(0)),
    );
    let settings = Settings {
        deliveries_max: 3,
        ..Settings::default()
    };
    let embedded = open(dir.path(), &settings, &clock);
    let under_way = samples::delivery();
    claim(&embedded.store(), &under_way).await;
    let oldest = deliver(&embedded.store(), &clock).await;
    for _ in 0..4 {
        deliver(&embedded.store(), &clock).await;
    }
    drop(embedded);

    let store = open(dir.path(), &settings, &clock).store();
    eventually(4, async || logged(&store).await).await;
    assert!(
        store.delivery(&under_way.id).await.unwrap().is_some(),
        "it is not final"
    );
    assert_eq!(store.delivery(&oldest.id).await.unwrap(), None);
    assert_eq!(claim(&store, &oldest).await, ClaimAnswer::Settled);
    drop(store);

    clock.forward(DAY * 2);
    let store = open(dir.path(), &settings, &clock).store();
    // Asked as a replay would: only a delivery nobody remembers is granted.
    eventually(true, async || {
        matches!(claim(&store, &oldest).await, ClaimAnswer::Granted { .. })
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_forgotten_after_their_retention() {
    let (dir, clock) = (
        tempfile::tempdir().unwrap(),
        StandingClock::at(samples::moment(0)),
    );
    let settings = Settings::default();
    let store = open(dir.path(), &settings, &clock).store();
    let mut letters: Vec<DeadLetter> = Vec::new();
    for second in 0..8 {
        let letter = samples::dead_letter_of(samples::delivery(), samples::moment(second));
        store.put_dead_letter(&letter).await.unwrap();
        letters.push(letter);
    }
    drop(store);

    clock.forward(settings.dead_letter_retention + Duration::from_secs(3));
    let store = open(dir.path(), &settings, &clock).store();
    eventually(5, async || store.dead_letter_count(None).await.unwrap()).await;
    let page = store
        .dead_letters(&DeadLetterFilter::default(), None, 10)
        .await
        .unwrap();
    let kept: Vec<_> = page.entries.iter().map(|letter| &letter.id).collect();
    let newest: Vec<_> = letters[3..].iter().rev().map(|letter| &letter.id).collect();
    assert_eq!(kept, newest);
    assert!(store.dead_letter(&letters[0].id).await.unwrap().is_none());
    let project = letters[0].project.as_ref();
    assert_eq!(store.dead_letter_count(project).await.unwrap(), 0);
}

#[tokio::test]
async fn an_event_is_known_for_the_idempotency_window() {
    let (dir, clock) = (
        tempfile::tempdir().unwrap(),
        StandingClock::at(samples::moment(0)),
    );
    let store = open(dir.path(), &Settings::default(), &clock).store();
    let event = samples::event();
    let mark = |deliveries| EventMark {
        dispatched_at: samples::moment(0),
        deliveries,
    };
    store
        .mark_event(&event.project, &event.id, mark(1), samples::moment(0))
        .await
        .unwrap();
    clock.forward(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(
        store.event_mark(&event.project, &event.id).await.unwrap(),
        Some(mark(1))
    );
    clock.forward(Duration::from_secs(1));
    assert_eq!(
        store.event_mark(&event.project, &event.id).await.unwrap(),
        None
    );
    store
        .mark_event(&event.project, &event.id, mark(2), samples::moment(0))
        .await
        .unwrap();
    assert_eq!(
        store.event_mark(&event.project, &event.id).await.unwrap(),
        Some(mark(2))
    );
}

#[tokio::test]
async fn the_moment_of_an_event_is_kept_for_the_idempotency_window() {
    let (dir, clock) = (
        tempfile::tempdir().unwrap(),
        StandingClock::at(samples::moment(0)),
    );
    let store = open(dir.path(), &Settings::default(), &clock).store();
    let event = samples::event();
    let kept = async |second| {
        let at = samples::moment(second);
        let kept = store.event_moment(&event.project, &event.id, at).await;
        kept.unwrap()
    };
    assert_eq!(kept(1).await, samples::moment(1));
    clock.forward(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(kept(2).await, samples::moment(1));
    clock.forward(Duration::from_secs(1));
    assert_eq!(kept(3).await, samples::moment(3), "it is another event");
}

#[tokio::test]
async fn an_event_is_kept_known_as_long_as_its_deliveries_go_on() {
    let (dir, clock) = (
        tempfile::tempdir().unwrap(),
        StandingClock::at(samples::moment(0)),
    );
    let store = open(dir.path(), &Settings::default(), &clock).store();
    let event = samples::event();
    let mark = EventMark {
        dispatched_at: samples::moment(0),
        deliveries: 1,
    };
    let known = async || store.event_mark(&event.project, &event.id).await.unwrap();
    let day = 24 * 60 * 60;
    store
        .mark_event(&event.project, &event.id, mark, mark.dispatched_at)
        .await
        .unwrap();
    for until in [day, 60] {
        let until = samples::moment(until);
        let keep = store.keep_event_known(&event.project, &event.id, until);
        keep.await.unwrap();
    }
    clock.forward(DAY);
    clock.forward(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(known().await, Some(mark), "the later moment counts");
    clock.forward(Duration::from_secs(1));
    assert_eq!(known().await, None);
    let keep = store.keep_event_known(&event.project, &event.id, samples::moment(3 * day));
    keep.await.unwrap();
    assert_eq!(known().await, None, "what ended has ended");

    let minute = Duration::from_mins(1);
    let until = clock.now() + minute;
    let marking = store.mark_event(&event.project, &event.id, mark, until);
    marking.await.unwrap();
    clock.forward(DAY + Duration::from_secs(59));
    assert_eq!(known().await, Some(mark), "the window begins then");
    clock.forward(Duration::from_secs(1));
    assert_eq!(known().await, None);
}

#[tokio::test]
async fn after_the_window_an_id_stands_for_another_event() {
    let (dir, clock) = (
        tempfile::tempdir().unwrap(),
        StandingClock::at(samples::moment(0)),
    );
    let store = open(dir.path(), &Settings::default(), &clock).store();
    let delivery = deliver(&store, &clock).await;
    clock.forward(DAY);
    assert_eq!(claim(&store, &delivery).await, ClaimAnswer::Settled);
    clock.forward(Duration::from_secs(1));
    let replayed = Delivery {
        generation: Generation::FIRST.next(),
        ..delivery.clone()
    };
    let answer = claim(&store, &replayed).await;
    assert_eq!(answer, ClaimAnswer::Settled, "it was delivered");
    let answer = claim(&store, &delivery).await;
    assert!(matches!(answer, ClaimAnswer::Granted { .. }), "{answer:?}");
    let record = store.delivery(&delivery.id).await.unwrap().unwrap();
    assert!(record.attempts.is_empty(), "of the event before");
    assert_eq!(logged(&store).await, 1);
}

fn database(dir: &Path) -> redb::Database {
    let mut files = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|end| end == "redb"));
    redb::Database::open(file.unwrap()).unwrap()
}

#[tokio::test]
async fn a_damaged_dead_letter_is_told_wherever_it_is_among_others_and_hides_none() {
    let (dir, settings) = (tempfile::tempdir().unwrap(), Settings::default());
    let clock = StandingClock::at(samples::moment(0));
    let store = open(dir.path(), &settings, &clock).store();
    let mut letters = Vec::new();
    for second in 0..4 {
        let dead_letter = samples::dead_letter_of(samples::delivery(), samples::moment(second));
        store.put_dead_letter(&dead_letter).await.unwrap();
        letters.push(dead_letter);
    }
    let ids: Vec<_> = letters.iter().map(|letter| letter.id.clone()).collect();
    drop(store);
    let database = database(dir.path());
    let tx = database.begin_write().unwrap();
    let tables = [("dead_letters", 1), ("dead_letter_terms", 2)];
    for (name, second) in tables {
        let table: redb::TableDefinition<(i128, u64), &[u8]> = redb::TableDefinition::new(name);
        let mut table = tx.open_table(table).unwrap();
        let from = samples::moment(second).as_nanosecond();
        let key = redb::ReadableTable::range(&table, (from, 0)..)
            .unwrap()
            .next();
        let key = key.unwrap().unwrap().0.value();
        table.insert(key, b"{".as_slice()).unwrap();
    }
    tx.commit().unwrap();
    drop(database);

    let store = open(dir.path(), &settings, &clock).store();
    let of_all = DeadLetterFilter::default();
    let list = store.dead_letters(&of_all, None, 3).await.unwrap();
    let listed: Vec<_> = list.entries.iter().map(|letter| &letter.id).collect();
    assert_eq!(listed, [&ids[3]]);
    let damaged: Vec<_> = list.damaged.iter().map(|letter| &*letter.id).collect();
    assert_eq!(damaged, [ids[2].as_str(), ids[1].as_str()]);
    let rest = store.dead_letters(&of_all, list.next.as_ref(), 3).await;
    let rest = rest.unwrap();
    assert_eq!(
        (rest.entries[0].id.clone(), rest.damaged.len()),
        (ids[0].clone(), 0)
    );
    let of_others = DeadLetterFilter {
        project: Some("others".parse().unwrap()),
        ..DeadLetterFilter::default()
    };
    let none = store.dead_letters(&of_others, None, 3).await.unwrap();
    assert_eq!((none.entries.len(), none.damaged.len()), (0, 0));

    let tell = contract::store::the_damaged_among_entries_are_told_in_their_places;
    tell(&store, &letters, &[1, 2]).await;

    // Whoever has seen enough of it takes it out of the list, where what it is found by can be read.
    let disposal = Disposal::Discarded {
        at: samples::moment(9),
        note: "cannot be read".into(),
    };
    let discarded = store.dispose(&ids[1], &disposal, false).await.unwrap();
    assert_eq!(discarded, DisposeAnswer::Disposed);
    let list = store.dead_letters(&of_all, None, 3).await.unwrap();
    assert_eq!((list.entries.len(), list.damaged.len()), (2, 1));

    let oldest = store.oldest_dead_letters(4).await.unwrap();
    let left: Vec<_> = oldest.letters.iter().map(|letter| &letter.id).collect();
    assert_eq!(left, [&ids[0], &ids[3]]);
    let damaged: Vec<_> = oldest.damaged.iter().map(|letter| &*letter.id).collect();
    assert_eq!(damaged, [ids[1].as_str(), ids[2].as_str()]);
}

/// A file of format 1 has neither the index nor the groups, nor the count of bytes.
#[tokio::test]
async fn dead_letters_of_a_release_before_groups_are_listed_and_grouped_when_the_file_is_opened() {
    let (dir, clock) = (
        tempfile::tempdir().unwrap(),
        StandingClock::at(samples::moment(0)),
    );
    let settings = Settings::default();
    let store = open(dir.path(), &settings, &clock).store();
    let (project, webhook) = (samples::project(), samples::webhook_destination());
    for second in 0..30 {
        let delivery = samples::delivery_of(&samples::event_of(&project), webhook.clone());
        let dead_letter = samples::dead_letter_of(delivery, samples::moment(second));
        store.put_dead_letter(&dead_letter).await.unwrap();
        if second % 3 == 0 {
            let disposal = Disposal::Discarded {
                at: samples::moment(50),
                note: "known".into(),
            };
            store
                .dispose(&dead_letter.id, &disposal, false)
                .await
                .unwrap();
        }
    }
    let of_webhook = DeadLetterFilter {
        destination: Some(webhook.id()),
        ..DeadLetterFilter::default()
    };
    let look = async |store: &EmbeddedStore| {
        let listed = store.dead_letters(&of_webhook, None, 100).await.unwrap();
        (
            listed
                .entries
                .into_iter()
                .map(|letter| letter.id)
                .collect::<Vec<_>>(),
            store
                .dead_letter_groups(&GroupFilter::default(), 10)
                .await
                .unwrap(),
            store.dead_letter_usage().await.unwrap(),
        )
    };
    let expected = look(&store).await;
    assert_eq!(
        (expected.0.len(), expected.1.groups[0].open_count),
        (20, 20)
    );
    drop(store);

    let database = database(dir.path());
    let tx = database.begin_write().unwrap();
    let index: redb::TableDefinition<(u8, u64, i128, u64), ()> =
        redb::TableDefinition::new("dead_letter_index");
    let groups: redb::TableDefinition<(&str, &str), &[u8]> = redb::TableDefinition::new("groups");
    assert!(tx.delete_table(index).unwrap() && tx.delete_table(groups).unwrap());
    {
        let about: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("about");
        let mut about = tx.open_table(about).unwrap();
        about.insert("format", 1).unwrap();
        about.remove("dead_letter_bytes").unwrap();
    }
    tx.commit().unwrap();
    drop(database);

    let store = open(dir.path(), &settings, &clock).store();
    assert_eq!(look(&store).await, expected);
}

#[tokio::test]
async fn a_damaged_delivery_is_told_to_whoever_lists_all_and_to_no_project() {
    let (dir, settings) = (tempfile::tempdir().unwrap(), Settings::default());
    let clock = StandingClock::at(samples::moment(0));
    let store = open(dir.path(), &settings, &clock).store();
    let (_, sound) = (deliver(&store, &clock).await, deliver(&store, &clock).await);
    drop(store);
    let database = database(dir.path());
    let tx = database.begin_write().unwrap();
    let table: redb::TableDefinition<u64, &[u8]> = redb::TableDefinition::new("deliveries");
    let mut table = tx.open_table(table).unwrap();
    let first = redb::ReadableTable::first(&table).unwrap();
    let number = first.unwrap().0.value();
    // What is left has the project's name in it.
    let left = format!("{} and no more", sound.event.project);
    table.insert(number, left.as_bytes()).unwrap();
    drop(table);
    tx.commit().unwrap();
    drop(database);

    let store = open(dir.path(), &settings, &clock).store();
    let of_project = DeliveryFilter {
        project: Some(sound.event.project.clone()),
        ..DeliveryFilter::default()
    };
    for (filter, damaged) in [(DeliveryFilter::default(), 1), (of_project, 0)] {
        let page = store.deliveries(&filter, None, 500).await.unwrap();
        let listed: Vec<_> = page.entries.iter().map(|record| &record.id).collect();
        assert_eq!((listed, page.damaged.len()), (vec![&sound.id], damaged));
    }
}
