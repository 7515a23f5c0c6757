//! Dead letters.

use super::{dead_lettered, granted, settle, settled_at};
use crate::samples;
use ringback_delivery::port::{
    Cursor, DeadLetterFilter, DeadLetterMark, DeliveryFilter, DisposeAnswer, SettleAnswer,
    SettledAs, Store, StoreError,
};
use ringback_domain::{
    AttemptOutcome, Cause, DeadLetter, DeadLetterContent, DeadLetterId, DeadLetterReason, Delivery,
    DeliveryState, Disposal, Excerpt, Generation, ProjectName, Replayed, limits,
};

/// All that is in a dead letter, as text that can be compared; bodies and excerpts byte for byte.
fn whole(dead_letter: &DeadLetter) -> String {
    let bytes = match &dead_letter.content {
        DeadLetterContent::Delivery(delivery) => {
            let excerpts: Vec<_> = delivery
                .history
                .iter()
                .map(|made| made.excerpt.bytes())
                .collect();
            format!("{:?} {excerpts:?}", delivery.body)
        }
        DeadLetterContent::Event { event, .. } => format!("{:?}", event.document),
        DeadLetterContent::Raw { bytes, .. } => format!("{bytes:?}"),
    };
    format!("{dead_letter:?} {bytes}")
}

async fn read(store: &dyn Store, id: &DeadLetterId) -> DeadLetter {
    let found = store.dead_letter(id).await.unwrap();
    found.expect("it was stored")
}

fn of_project(project: &ProjectName) -> DeadLetterFilter {
    DeadLetterFilter {
        project: Some(project.clone()),
        ..DeadLetterFilter::default()
    }
}

fn ids<'a>(dead_letters: impl IntoIterator<Item = &'a DeadLetter>) -> Vec<DeadLetterId> {
    dead_letters
        .into_iter()
        .map(|letter| letter.id.clone())
        .collect()
}

async fn listed(store: &dyn Store, filter: &DeadLetterFilter) -> Vec<DeadLetterId> {
    let page = store
        .dead_letters(filter, None, limits::PAGE_ENTRIES_MAX)
        .await
        .unwrap();
    assert!(page.next.is_none());
    ids(&page.entries)
}

async fn pages(store: &dyn Store, filter: &DeadLetterFilter, limit: usize) -> Vec<DeadLetterId> {
    let mut seen = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = store
            .dead_letters(filter, after.as_ref(), limit)
            .await
            .unwrap();
        assert!(page.entries.len() <= limit);
        seen.extend(ids(&page.entries));
        after = page.next;
        if after.is_none() {
            return seen;
        }
    }
}

/// Stores dead letters of one project, given up a second apart; oldest first.
async fn give_up_some(store: &dyn Store, count: i64) -> Vec<DeadLetter> {
    let project = samples::project();
    let mut given_up = Vec::new();
    for second in 0..count {
        given_up.push(give_up(store, &project, second).await);
    }
    given_up
}

async fn give_up(store: &dyn Store, project: &ProjectName, second: i64) -> DeadLetter {
    let delivery =
        samples::delivery_of(&samples::event_of(project), samples::webhook_destination());
    let dead_letter = samples::dead_letter_of(delivery, samples::moment(second));
    store.put_dead_letter(&dead_letter).await.unwrap();
    dead_letter
}

fn discarded() -> Disposal {
    Disposal::Discarded {
        at: samples::moment(200),
        note: "the job is gone".into(),
    }
}

fn replayed() -> Disposal {
    Disposal::Replayed(Replayed {
        at: samples::moment(300),
        by: "ada".into(),
        generation: Generation::FIRST.next(),
    })
}

pub async fn a_dead_letter_is_stored_by_the_settlement_itself(store: &dyn Store) {
    let delivery = samples::delivery();
    let claim = granted(store, &delivery).await;
    let SettledAs::DeadLettered(expected) = dead_lettered(&delivery) else {
        unreachable!("just made");
    };
    let settled_as = SettledAs::DeadLettered(expected.clone());
    let attempts = [samples::attempt_of(&delivery)];
    for _ in 0..2 {
        let answer = settle(store, &claim, &delivery, &attempts, &settled_as).await;
        assert_eq!(answer, SettleAnswer::Settled);
    }
    assert_eq!(whole(&read(store, &expected.id).await), whole(&expected));
    let project = &delivery.event.project;
    assert_eq!(
        listed(store, &of_project(project)).await,
        std::slice::from_ref(&expected.id)
    );
    let record = store.delivery(&delivery.id).await.unwrap().unwrap();
    assert_eq!(
        record.state,
        DeliveryState::DeadLettered { id: expected.id }
    );
    assert_eq!(record.updated_at, settled_at());
}

pub async fn a_dead_letter_comes_back_byte_for_byte(store: &dyn Store) {
    let mut binary = samples::delivery_of(&samples::event(), samples::callback_destination());
    binary.body = (0..=u8::MAX).cycle().take(4096).collect();
    let mut large = samples::delivery();
    large.body = vec![b'\n'; limits::BODY_BYTES_MAX].into();
    let mut empty = samples::delivery();
    empty.body = bytes::Bytes::new();
    let of_delivery = |delivery: Delivery| samples::dead_letter_of(delivery, samples::moment(3));
    for dead_letter in [
        samples::dead_letter(),
        of_delivery(binary),
        of_delivery(large),
        of_delivery(empty),
        samples::event_dead_letter(),
        samples::raw_dead_letter(),
    ] {
        store.put_dead_letter(&dead_letter).await.unwrap();
        assert_eq!(
            whole(&read(store, &dead_letter.id).await),
            whole(&dead_letter)
        );
    }
}

pub async fn storing_a_dead_letter_again_changes_nothing(store: &dyn Store) {
    let dead_letter = samples::raw_dead_letter();
    store.put_dead_letter(&dead_letter).await.unwrap();
    let answer = store
        .dispose(&dead_letter.id, &discarded(), false)
        .await
        .unwrap();
    assert_eq!(answer, DisposeAnswer::Disposed);
    let mut later = dead_letter.clone();
    later.died_at = samples::moment(900);
    store.put_dead_letter(&later).await.unwrap();
    let stored = read(store, &dead_letter.id).await;
    assert_eq!(stored.died_at, dead_letter.died_at);
    assert_eq!(stored.disposal, discarded());
}

pub async fn dead_letters_are_listed_newest_first_page_by_page(store: &dyn Store) {
    let given_up = give_up_some(store, 11).await;
    let project = given_up[0].project.as_ref().expect("of a delivery");
    let expected: Vec<_> = ids(given_up.iter().rev());
    assert_eq!(pages(store, &of_project(project), 4).await, expected);
    assert_eq!(pages(store, &of_project(project), 1).await, expected);
    assert_eq!(store.dead_letter_count(Some(project)).await.unwrap(), 11);
    assert!(store.dead_letter_count(None).await.unwrap() >= 11);
}

pub async fn dead_letters_of_one_moment_are_all_listed(store: &dyn Store) {
    let project = samples::project();
    let mut expected = Vec::new();
    for _ in 0..23 {
        expected.push(give_up(store, &project, 5).await.id);
    }
    let mut seen = pages(store, &of_project(&project), 3).await;
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);
}

pub async fn a_list_of_dead_letters_goes_on_where_it_was_while_new_ones_arrive(store: &dyn Store) {
    let given_up = give_up_some(store, 6).await;
    let project = given_up[0].project.clone().expect("of a delivery");
    let filter = of_project(&project);
    let first = store.dead_letters(&filter, None, 3).await.unwrap();
    give_up(store, &project, 100).await;
    store
        .dispose(&first.entries[2].id, &discarded(), false)
        .await
        .unwrap();
    let rest = store
        .dead_letters(&filter, first.next.as_ref(), 10)
        .await
        .unwrap();
    let seen = ids(first.entries.iter().chain(&rest.entries));
    assert_eq!(
        seen,
        ids(given_up.iter().rev()),
        "each once, the new one not at all"
    );
    assert!(rest.next.is_none());
}

pub async fn dead_letters_are_filtered_by_every_member(store: &dyn Store) {
    let given_up = give_up_some(store, 3).await;
    let project = given_up[0].project.clone().expect("of a delivery");
    let mut event = samples::event_of(&project);
    event.event_type = "task.failed".parse().unwrap();
    let delivery = samples::delivery_of(&event, samples::webhook_destination());
    let mut wanted = samples::dead_letter_of(delivery.clone(), samples::moment(10));
    wanted.reason = DeadLetterReason::RefusedForGood;
    let outcome = AttemptOutcome::Refused {
        status: 410,
        retry_after: None,
    };
    let destination = delivery.destination.id();
    wanted.cause = Cause::of_attempt(
        &project,
        &delivery.destination,
        &outcome,
        &Excerpt::new(b"gone", false),
    );
    store.put_dead_letter(&wanted).await.unwrap();

    let all = of_project(&project);
    assert_eq!(listed(store, &all).await.len(), 4);
    let any = DeadLetterFilter::default;
    for filter in [
        DeadLetterFilter {
            destination: Some(destination),
            ..any()
        },
        DeadLetterFilter {
            event_type: Some(event.event_type.clone()),
            ..all.clone()
        },
        DeadLetterFilter {
            job: Some(event.job.id.clone()),
            ..any()
        },
        DeadLetterFilter {
            cause: Some(wanted.cause.fingerprint.clone()),
            ..any()
        },
        DeadLetterFilter {
            reason: Some(DeadLetterReason::RefusedForGood),
            ..all.clone()
        },
        DeadLetterFilter {
            since: Some(wanted.died_at),
            ..all.clone()
        },
    ] {
        assert_eq!(
            listed(store, &filter).await,
            [wanted.id.clone()],
            "{filter:?}"
        );
    }
    let before = DeadLetterFilter {
        since: Some(given_up[1].died_at),
        until: Some(wanted.died_at),
        ..all
    };
    assert_eq!(
        listed(store, &before).await,
        [given_up[2].id.clone(), given_up[1].id.clone()]
    );
}

pub async fn dead_letters_are_filtered_by_several_members_at_once(store: &dyn Store) {
    let given_up = give_up_some(store, 20).await;
    let project = given_up[0].project.clone().expect("of a delivery");
    let one = given_up[13].delivery().expect("of a delivery");
    let both = DeadLetterFilter {
        job: Some(one.event.job.id.clone()),
        destination: Some(one.destination.id()),
        event_type: Some(one.event.event_type.clone()),
        reason: Some(given_up[13].reason),
        cause: Some(given_up[13].cause.fingerprint.clone()),
        ..of_project(&project)
    };
    assert_eq!(listed(store, &both).await, [given_up[13].id.clone()]);
    let other = given_up[4].delivery().expect("of a delivery");
    let neither = DeadLetterFilter {
        destination: Some(other.destination.id()),
        ..both.clone()
    };
    assert!(listed(store, &neither).await.is_empty());
    let elsewhere = DeadLetterFilter {
        project: Some(samples::project()),
        ..both
    };
    assert!(listed(store, &elsewhere).await.is_empty());
}

pub async fn a_disposed_dead_letter_leaves_the_list_and_the_count_but_stays_readable(
    store: &dyn Store,
) {
    let given_up = give_up_some(store, 5).await;
    let project = given_up[0].project.clone().expect("of a delivery");
    let disposed = &given_up[2].id;
    let answer = store.dispose(disposed, &discarded(), false).await.unwrap();
    assert_eq!(answer, DisposeAnswer::Disposed);
    assert_eq!(read(store, disposed).await.disposal, discarded());
    assert_eq!(store.dead_letter_count(Some(&project)).await.unwrap(), 4);
    let open = of_project(&project);
    assert!(!listed(store, &open).await.contains(disposed));
    let with_disposed = DeadLetterFilter {
        include_disposed: true,
        ..open
    };
    assert_eq!(
        listed(store, &with_disposed).await,
        ids(given_up.iter().rev())
    );
    assert_eq!(
        pages(store, &with_disposed, 2).await,
        ids(given_up.iter().rev())
    );
}

pub async fn a_second_disposal_tells_of_the_first_unless_again_is_asked_for(store: &dyn Store) {
    let dead_letter = samples::dead_letter();
    store.put_dead_letter(&dead_letter).await.unwrap();
    let id = &dead_letter.id;
    let answer = store.dispose(id, &discarded(), false).await.unwrap();
    assert_eq!(answer, DisposeAnswer::Disposed);
    let answer = store.dispose(id, &replayed(), false).await.unwrap();
    assert_eq!(answer, DisposeAnswer::Already(discarded()));
    assert_eq!(read(store, id).await.disposal, discarded());
    let answer = store.dispose(id, &replayed(), true).await.unwrap();
    assert_eq!(answer, DisposeAnswer::Disposed);
    assert_eq!(read(store, id).await.disposal, replayed());
}

pub async fn a_dead_letter_can_be_opened_again(store: &dyn Store) {
    let dead_letter = samples::dead_letter();
    let project = dead_letter.project.clone().expect("of a delivery");
    store.put_dead_letter(&dead_letter).await.unwrap();
    store
        .dispose(&dead_letter.id, &discarded(), false)
        .await
        .unwrap();
    let answer = store
        .dispose(&dead_letter.id, &Disposal::Open, true)
        .await
        .unwrap();
    assert_eq!(answer, DisposeAnswer::Disposed);
    assert_eq!(listed(store, &of_project(&project)).await, [dead_letter.id]);
    assert_eq!(store.dead_letter_count(Some(&project)).await.unwrap(), 1);
}

/// Three destinations of one event, and another event of the job.
pub async fn a_dead_letter_is_found_by_event_and_job_whatever_is_done_about_it(store: &dyn Store) {
    let project = samples::project();
    let event = samples::event_of(&project);
    let mut later = samples::event_of(&project);
    later.job = event.job.clone();
    let mut letters = Vec::new();
    for (second, of) in (0..).zip([&event, &event, &event, &later]) {
        let delivery = samples::delivery_of(of, samples::webhook_destination());
        let letter = samples::dead_letter_of(delivery, samples::moment(second));
        store.put_dead_letter(&letter).await.unwrap();
        letters.push(letter);
        give_up(store, &project, second).await;
    }
    let by_job = DeadLetterFilter {
        job: Some(event.job.id.clone()),
        ..DeadLetterFilter::default()
    };
    let by_event = DeadLetterFilter {
        any_of: Some(vec![DeadLetterMark::Event(event.id.clone())]),
        ..of_project(&project)
    };
    let all = |open: &DeadLetterFilter| DeadLetterFilter {
        include_disposed: true,
        ..open.clone()
    };
    let [first, second, third, fourth] =
        [0, 1, 2, 3].map(|number: usize| letters[number].id.clone());
    let of_event = [third.clone(), second.clone(), first.clone()];
    let of_job = [fourth.clone(), third.clone(), second.clone(), first.clone()];
    assert_eq!(listed(store, &by_job).await, of_job);
    assert_eq!(listed(store, &by_event).await, of_event);

    for disposed in [&second, &fourth] {
        let answer = store.dispose(disposed, &discarded(), false).await.unwrap();
        assert_eq!(answer, DisposeAnswer::Disposed);
    }
    let open = [third.clone(), first.clone()];
    assert_eq!(listed(store, &by_job).await, open);
    assert_eq!(listed(store, &by_event).await, open);
    assert_eq!(listed(store, &all(&by_job)).await, of_job);
    assert_eq!(listed(store, &all(&by_event)).await, of_event);
    assert_eq!(pages(store, &all(&by_job), 1).await, of_job);

    let answer = store.dispose(&second, &Disposal::Open, true).await;
    assert_eq!(answer.unwrap(), DisposeAnswer::Disposed);
    assert_eq!(listed(store, &by_event).await, of_event);
    let gone = [first, fourth];
    assert_eq!(store.forget_dead_letters(&gone).await.unwrap(), 2);
    assert_eq!(listed(store, &all(&by_job)).await, [third, second]);
}

pub async fn what_is_not_there_cannot_be_disposed_of(store: &dyn Store) {
    let answer = store
        .dispose(&samples::dead_letter().id, &discarded(), true)
        .await
        .unwrap();
    assert_eq!(answer, DisposeAnswer::NotFound);
}

pub async fn a_cursor_of_another_list_is_refused(store: &dyn Store) {
    for text in ["", "7", "not a cursor", "\u{1f980}"] {
        let cursor = Cursor(text.into());
        let answer = store
            .dead_letters(&DeadLetterFilter::default(), Some(&cursor), 5)
            .await;
        assert!(matches!(answer, Err(StoreError::BadCursor)), "{text}");
        let answer = store
            .deliveries(&DeliveryFilter::default(), Some(&cursor), 5)
            .await;
        assert!(matches!(answer, Err(StoreError::BadCursor)), "{text}");
    }
}
