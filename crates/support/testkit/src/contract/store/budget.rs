//! What dead letters take, and how the oldest leave.

use super::PATIENCE;
use crate::samples;
use ringback_delivery::port::{DeadLetterFilter, GroupFilter, Store};
use ringback_domain::{DeadLetter, DeadLetterId, DeadLetterUsage, Disposal, ProjectName};
use std::time::Duration;

async fn give_up(store: &dyn Store, project: &ProjectName, second: i64) -> DeadLetter {
    let delivery =
        samples::delivery_of(&samples::event_of(project), samples::webhook_destination());
    let dead_letter = samples::dead_letter_of(delivery, samples::moment(second));
    store.put_dead_letter(&dead_letter).await.unwrap();
    dead_letter
}

async fn oldest(store: &dyn Store, limit: usize) -> Vec<DeadLetterId> {
    let found = store.oldest_dead_letters(limit).await.unwrap();
    assert_eq!(found.damaged, []);
    found.letters.into_iter().map(|letter| letter.id).collect()
}

pub async fn what_dead_letters_take_is_counted_until_they_are_forgotten(store: &dyn Store) {
    let usage = async || store.dead_letter_usage().await.unwrap();
    assert_eq!(usage().await, DeadLetterUsage::default());
    let project = samples::project();
    let first = give_up(store, &project, 1).await;
    let one = usage().await;
    assert_eq!(one.entry_count, 1);
    let body_bytes = first.delivery().expect("of a delivery").body.len() as u64;
    assert!(one.bytes > body_bytes, "{one:?}");
    store.put_dead_letter(&first).await.unwrap();
    assert_eq!(usage().await, one, "it is there already");
    let second = give_up(store, &project, 2).await;
    let discarded = Disposal::Discarded {
        at: samples::moment(3),
        note: "known".into(),
    };
    store.dispose(&second.id, &discarded, false).await.unwrap();
    let two = usage().await;
    assert_eq!(two.entry_count, 2, "whatever was done about it");
    assert!(two.bytes > one.bytes);

    let ids = [second.id.clone(), samples::dead_letter().id];
    assert_eq!(store.forget_dead_letters(&ids).await.unwrap(), 1);
    assert_eq!(usage().await, one);
    assert_eq!(store.forget_dead_letters(&[first.id]).await.unwrap(), 1);
    assert_eq!(usage().await, DeadLetterUsage::default());
}

pub async fn the_oldest_dead_letters_leave_first_and_without_a_trace(store: &dyn Store) {
    let project = samples::project();
    let mut letters = Vec::new();
    for second in [4, 2, 9, 7] {
        letters.push(give_up(store, &project, second).await);
    }
    letters.sort_by_key(|letter| letter.died_at);
    let ids: Vec<_> = letters.iter().map(|letter| letter.id.clone()).collect();
    let discarded = Disposal::Discarded {
        at: samples::moment(30),
        note: "known".into(),
    };
    store.dispose(&ids[1], &discarded, false).await.unwrap();
    assert_eq!(oldest(store, 3).await, ids[..3]);
    assert_eq!(store.forget_dead_letters(&ids[..2]).await.unwrap(), 2);
    assert_eq!(oldest(store, 10).await, ids[2..]);

    for id in &ids[..2] {
        assert!(store.dead_letter(id).await.unwrap().is_none());
    }
    assert_eq!(store.dead_letter_count(Some(&project)).await.unwrap(), 2);
    let filter = DeadLetterFilter {
        project: Some(project.clone()),
        include_disposed: true,
        ..DeadLetterFilter::default()
    };
    let listed = store.dead_letters(&filter, None, 10).await.unwrap();
    assert_eq!(listed.entries.len(), 2);
    let groups = GroupFilter {
        project: Some(project),
        ..GroupFilter::default()
    };
    let groups = store.dead_letter_groups(&groups, 10).await.unwrap();
    assert_eq!((groups.group_count, groups.ungrouped_count), (2, 0));
}

pub async fn one_worker_at_a_time_makes_room(store: &dyn Store) {
    let (one, other) = (samples::worker(), samples::worker());
    let ask = async |worker, lease| store.claim_making_room(worker, lease).await.unwrap();
    assert!(ask(&one, Duration::from_mins(10)).await);
    assert!(!ask(&other, Duration::from_mins(10)).await);
    assert!(ask(&one, Duration::from_millis(20)).await, "renewed");
    let until_free = async {
        while !ask(&other, Duration::from_mins(10)).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until_free)
        .await
        .expect("the lease ends");
    assert!(!ask(&one, Duration::from_mins(10)).await);
}
