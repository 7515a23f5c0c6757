//! Groups of dead letters by cause.

use super::{dead_lettered, granted, settle};
use crate::samples;
use ringback_delivery::port::{
    Cursor, DeadLetterFilter, DeadLetterMark, GroupFilter, GroupList, GroupOrder, SettledAs, Store,
    StoreError,
};
use ringback_domain::{
    Acknowledgement, DeadLetter, DeadLetterGroup, DeadLetterId, DeadLetterReason, Destination,
    Disposal, GroupHead, ProjectName, limits,
};

/// Gives up a delivery of the project to this destination.
async fn give_up(
    store: &dyn Store,
    project: &ProjectName,
    destination: &Destination,
    second: i64,
) -> DeadLetter {
    let delivery = samples::delivery_of(&samples::event_of(project), destination.clone());
    let dead_letter = samples::dead_letter_of(delivery, samples::moment(second));
    store.put_dead_letter(&dead_letter).await.unwrap();
    dead_letter
}

async fn all(store: &dyn Store, filter: &GroupFilter) -> GroupList {
    let list = store
        .dead_letter_groups(filter, limits::PAGE_ENTRIES_MAX)
        .await
        .unwrap();
    assert_eq!(list.group_count, list.groups.len() as u64);
    assert_eq!(list.ungrouped_count, 0);
    list
}

async fn groups(store: &dyn Store, project: &ProjectName) -> Vec<DeadLetterGroup> {
    all(store, &of_project(project)).await.groups
}

fn of_project(project: &ProjectName) -> GroupFilter {
    GroupFilter {
        project: Some(project.clone()),
        ..GroupFilter::default()
    }
}

/// The group that these form, in the order they were given up, while nobody acknowledged it.
fn group_of(open: &[&DeadLetter]) -> DeadLetterGroup {
    let (first, last) = (open[0], open[open.len() - 1]);
    DeadLetterGroup {
        head: GroupHead::of(first),
        open_count: open.len() as u64,
        first_died_at: first.died_at,
        last_died_at: last.died_at,
        sample: last.id.clone(),
        acknowledgement: None,
    }
}

fn acknowledgement() -> Acknowledgement {
    Acknowledgement {
        at: samples::moment(500),
        by: "ada".into(),
        note: "known: \"maintenance\" → Monday".into(),
        seen_until: samples::moment(0),
    }
}

async fn dispose(store: &dyn Store, id: &DeadLetterId, disposal: &Disposal) {
    store.dispose(id, disposal, true).await.unwrap();
}

fn discarded() -> Disposal {
    Disposal::Discarded {
        at: samples::moment(200),
        note: "known".into(),
    }
}

pub async fn open_dead_letters_of_one_cause_are_one_group(store: &dyn Store) {
    let project = samples::project();
    let (one, other) = (
        samples::webhook_destination(),
        samples::webhook_destination(),
    );
    let mut of_one = Vec::new();
    for second in [5, 1, 9, 2] {
        of_one.push(give_up(store, &project, &one, second).await);
    }
    of_one.sort_by_key(|dead_letter| dead_letter.died_at);
    let of_other = [
        give_up(store, &project, &other, 20).await,
        give_up(store, &project, &other, 30).await,
    ];
    let one_group = group_of(&of_one.iter().collect::<Vec<_>>());
    let other_group = group_of(&[&of_other[0], &of_other[1]]);
    assert_eq!(one_group.head.destination, Some(one.id()));
    assert_eq!(one_group.head.host.as_deref(), Some("hooks.example.com"));
    assert_eq!(
        groups(store, &project).await,
        [other_group.clone(), one_group.clone()],
        "the newest first"
    );
    let by_count = GroupFilter {
        order: GroupOrder::Count,
        ..of_project(&project)
    };
    assert_eq!(
        all(store, &by_count).await.groups,
        [one_group.clone(), other_group.clone()]
    );
    let worded = |words: &[&str]| GroupFilter {
        words: words.iter().map(ToString::to_string).collect(),
        ..of_project(&project)
    };
    let host = all(store, &worded(&["hooks.example", "503"])).await;
    assert_eq!(host.group_count, 2);
    let none = all(store, &worded(&["hooks.example", "nowhere"])).await;
    assert_eq!(none.groups, []);
    for filter in [
        GroupFilter {
            destination: Some(one.id()),
            ..GroupFilter::default()
        },
        GroupFilter {
            cause: Some(one_group.head.cause.fingerprint.clone()),
            ..of_project(&project)
        },
    ] {
        assert_eq!(
            all(store, &filter).await.groups,
            std::slice::from_ref(&one_group)
        );
    }
    let everything = all(store, &GroupFilter::default()).await.groups;
    assert!(everything.contains(&one_group) && everything.contains(&other_group));
}

pub async fn groups_are_listed_piece_by_piece(store: &dyn Store) {
    let project = samples::project();
    let destinations = [(); 5].map(|()| samples::webhook_destination());
    for (number, destination) in (0..).zip(&destinations) {
        // Two have as many open ones, and each pair of neighbours died at the same moment.
        for _ in 0..=number / 2 {
            give_up(store, &project, destination, number / 2).await;
        }
    }
    for order in [GroupOrder::LastDied, GroupOrder::Count] {
        let mut filter = GroupFilter {
            order,
            ..of_project(&project)
        };
        let whole = all(store, &filter).await.groups;
        assert_eq!(whole.len(), 5);
        let mut pieces = Vec::new();
        loop {
            let piece = store.dead_letter_groups(&filter, 2).await.unwrap();
            assert_eq!(piece.group_count, 5);
            pieces.push(piece.groups);
            filter.after = piece.next;
            if filter.after.is_none() {
                break;
            }
        }
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(pieces.concat(), whole);
    }

    // One that grows moves to the front, and what follows stays where it was.
    let mut filter = of_project(&project);
    let before = store.dead_letter_groups(&filter, 2).await.unwrap();
    let rest = all(store, &filter).await.groups.split_off(2);
    give_up(store, &project, &destinations[4], 50).await;
    filter.after = before.next;
    let after = store.dead_letter_groups(&filter, 10).await.unwrap();
    assert_eq!(after.groups, rest);

    filter.order = GroupOrder::Count;
    for cursor in [filter.after.clone(), Some(Cursor("x".to_owned()))] {
        filter.after = cursor;
        let refused = store.dead_letter_groups(&filter, 10).await;
        assert!(
            matches!(refused, Err(StoreError::BadCursor)),
            "a cursor of another list"
        );
    }
}

pub async fn a_group_follows_what_is_disposed_of_and_opened_again(store: &dyn Store) {
    let (project, destination) = (samples::project(), samples::webhook_destination());
    let mut letters = Vec::new();
    for second in 0..4 {
        letters.push(give_up(store, &project, &destination, second).await);
    }
    let [first, second, third, fourth] = letters.iter().collect::<Vec<_>>()[..] else {
        unreachable!("four were given up");
    };
    dispose(store, &fourth.id, &discarded()).await;
    assert_eq!(
        groups(store, &project).await,
        [group_of(&[first, second, third])]
    );
    dispose(store, &first.id, &discarded()).await;
    assert_eq!(
        groups(store, &project).await,
        [group_of(&[second, third])].map(|group| DeadLetterGroup {
            head: GroupHead::of(first),
            ..group
        })
    );
    dispose(store, &second.id, &discarded()).await;
    dispose(store, &second.id, &discarded()).await;
    dispose(store, &third.id, &discarded()).await;
    assert_eq!(groups(store, &project).await, []);
    dispose(store, &second.id, &Disposal::Open).await;
    dispose(store, &second.id, &Disposal::Open).await;
    assert_eq!(groups(store, &project).await, [group_of(&[second])]);
}

pub async fn a_dead_letter_stored_by_a_settlement_joins_its_group_once(store: &dyn Store) {
    let delivery = samples::delivery();
    let claim = granted(store, &delivery).await;
    let settled_as = dead_lettered(&delivery);
    for _ in 0..2 {
        settle(store, &claim, &delivery, &[], &settled_as).await;
    }
    let SettledAs::DeadLettered(dead_letter) = settled_as else {
        unreachable!("just made");
    };
    store.put_dead_letter(&dead_letter).await.unwrap();
    assert_eq!(
        groups(store, &delivery.event.project).await,
        [group_of(&[&dead_letter])]
    );
}

pub async fn a_group_lies_within_one_project(store: &dyn Store) {
    let mut projects = Vec::new();
    for _ in 0..2 {
        let dead_letter = samples::event_dead_letter();
        store.put_dead_letter(&dead_letter).await.unwrap();
        projects.push(dead_letter);
    }
    for dead_letter in &projects {
        let project = dead_letter.project.as_ref().expect("an event has one");
        assert_eq!(groups(store, project).await, [group_of(&[dead_letter])]);
    }
    let raw = samples::raw_dead_letter();
    store.put_dead_letter(&raw).await.unwrap();
    let everything = all(store, &GroupFilter::default()).await.groups;
    assert!(everything.contains(&group_of(&[&raw])), "of no project");
}

pub async fn an_acknowledged_group_says_so_and_when_it_grows_again(store: &dyn Store) {
    let (project, destination) = (samples::project(), samples::webhook_destination());
    let first = give_up(store, &project, &destination, 7).await;
    let fingerprint = first.cause.fingerprint.clone();
    let expected = Acknowledgement {
        seen_until: first.died_at,
        ..acknowledgement()
    };
    let known = store
        .acknowledge_group(Some(&project), &fingerprint, &acknowledgement())
        .await
        .unwrap()
        .expect("there is such a group");
    assert_eq!(known.acknowledgement, Some(expected.clone()));
    assert_eq!(groups(store, &project).await, std::slice::from_ref(&known));
    assert!(!known.is_again());

    let second = give_up(store, &project, &destination, 8).await;
    let again = &groups(store, &project).await[0];
    assert_eq!(again.acknowledgement, Some(expected));
    assert_eq!(again.open_count, 2);
    assert!(again.is_again());
    let known = store
        .acknowledge_group(Some(&project), &fingerprint, &acknowledgement())
        .await
        .unwrap();
    assert!(!known.expect("still there").is_again());

    // Whoever emptied it is done with it: what comes afterwards is news.
    for id in [&first.id, &second.id] {
        dispose(store, id, &discarded()).await;
    }
    assert_eq!(groups(store, &project).await, []);
    give_up(store, &project, &destination, 9).await;
    assert_eq!(groups(store, &project).await[0].acknowledgement, None);
}

pub async fn a_group_that_is_not_there_cannot_be_acknowledged(store: &dyn Store) {
    let (project, destination) = (samples::project(), samples::webhook_destination());
    let dead_letter = give_up(store, &project, &destination, 7).await;
    let elsewhere = samples::project();
    for (project, fingerprint) in [
        (Some(&project), "0123456789abcdef"),
        (Some(&elsewhere), dead_letter.cause.fingerprint.as_str()),
        (None, dead_letter.cause.fingerprint.as_str()),
    ] {
        let answer = store
            .acknowledge_group(project, fingerprint, &acknowledgement())
            .await
            .unwrap();
        assert_eq!(answer, None);
    }
    assert_eq!(groups(store, &project).await, [group_of(&[&dead_letter])]);
}

pub async fn dead_letters_are_found_by_any_of_several_marks(store: &dyn Store) {
    let project = samples::project();
    let webhooks = [(); 3].map(|()| samples::webhook_destination());
    let mut letters = Vec::new();
    for second in 0..12 {
        let webhook = &webhooks[usize::try_from(second % 3).expect("a small number")];
        letters.push(give_up(store, &project, webhook, second).await);
    }
    let cause = |number: usize| DeadLetterMark::Cause(letters[number].cause.fingerprint.clone());
    let by_event = DeadLetterMark::Event(letters[2].event().expect("of an event").clone());
    let by_job = DeadLetterMark::Job(letters[5].job().expect("of a job").clone());
    let filter = DeadLetterFilter {
        project: Some(project.clone()),
        any_of: Some(vec![cause(0), cause(1), by_event, by_job, cause(3)]),
        ..DeadLetterFilter::default()
    };
    let expected: Vec<_> = [10, 9, 7, 6, 5, 4, 3, 2, 1, 0]
        .map(|number: usize| letters[number].id.clone())
        .into();
    for limit in [1, 3, 50] {
        let mut seen = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page = store
                .dead_letters(&filter, after.as_ref(), limit)
                .await
                .unwrap();
            seen.extend(page.entries.into_iter().map(|letter| letter.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "each once, {limit} at a time");
    }
    let narrower = DeadLetterFilter {
        job: letters[7].job().cloned(),
        ..filter.clone()
    };
    let page = store.dead_letters(&narrower, None, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    for nothing in [
        DeadLetterFilter {
            any_of: Some(Vec::new()),
            ..filter.clone()
        },
        DeadLetterFilter {
            reason: Some(DeadLetterReason::Poison),
            ..filter.clone()
        },
    ] {
        let page = store.dead_letters(&nothing, None, 10).await.unwrap();
        assert!(page.entries.is_empty() && page.next.is_none());
    }
}
