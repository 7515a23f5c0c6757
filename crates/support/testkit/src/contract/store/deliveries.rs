//! The log of deliveries.

use super::{claim_once_free, dead_lettered, granted, pass, retrying, settle, settled_at};
use crate::samples;
use ringback_delivery::port::{Claim, ClaimAnswer, Cursor, DeliveryFilter, SettledAs, Store};
use ringback_domain::{
    Delivery, DeliveryId, DeliveryRecord, DeliveryState, Destination, Generation, Timestamp, limits,
};
use std::time::Duration;

async fn record(store: &dyn Store, delivery: &Delivery) -> DeliveryRecord {
    let found = store.delivery(&delivery.id).await.unwrap();
    found.expect("it was recorded")
}

fn ids<'a>(records: impl IntoIterator<Item = &'a DeliveryRecord>) -> Vec<DeliveryId> {
    records
        .into_iter()
        .map(|record| record.id.clone())
        .collect()
}

fn of_project(delivery: &Delivery) -> DeliveryFilter {
    DeliveryFilter {
        project: Some(delivery.event.project.clone()),
        ..DeliveryFilter::default()
    }
}

async fn listed(store: &dyn Store, filter: &DeliveryFilter) -> Vec<DeliveryId> {
    let page = store
        .deliveries(filter, None, limits::PAGE_ENTRIES_MAX)
        .await
        .unwrap();
    assert!(page.next.is_none());
    ids(&page.entries)
}

/// Takes deliveries of one project, one after the other, each at a moment of its own by the store's clock; oldest first.
async fn take_some(store: &dyn Store, count: usize) -> Vec<Delivery> {
    let project = samples::project();
    let mut taken = Vec::new();
    for _ in 0..count {
        taken.push(take(store, &project).await);
    }
    taken
}

async fn take(store: &dyn Store, project: &ringback_domain::ProjectName) -> Delivery {
    let delivery =
        samples::delivery_of(&samples::event_of(project), samples::webhook_destination());
    shown(store, &delivery).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    delivery
}

async fn again(store: &dyn Store, delivery: &Delivery) -> ClaimAnswer {
    super::claim(store, delivery, &samples::worker(), super::LONG).await
}

/// Claimed, and in the log.
async fn shown(store: &dyn Store, delivery: &Delivery) -> Claim {
    let claim = granted(store, delivery).await;
    store.show_attempting(delivery).await.unwrap();
    claim
}

pub async fn an_attempt_that_is_shown_is_in_the_log_while_it_is_held(store: &dyn Store) {
    let delivery = samples::delivery();
    store.show_attempting(&delivery).await.unwrap();
    assert!(
        store.delivery(&delivery.id).await.unwrap().is_none(),
        "nobody is at it"
    );
    let claim = shown(store, &delivery).await;
    let shown_record = record(store, &delivery).await;
    settle(store, &claim, &delivery, &[], &SettledAs::Delivered).await;
    // It was asked for when the attempt was under way, and comes late.
    store.show_attempting(&delivery).await.unwrap();
    let state = record(store, &delivery).await.state;
    assert_eq!(state, DeliveryState::Delivered { at: settled_at() });
    let record = shown_record;
    assert_eq!(record.id, delivery.id);
    assert_eq!(record.event, delivery.event);
    assert_eq!(record.destination, delivery.destination);
    assert_eq!(record.profile, delivery.profile);
    assert_eq!(record.generation, delivery.generation);
    assert_eq!(record.state, DeliveryState::Attempting);
    assert!(record.attempts.is_empty());
    assert!(record.created_at <= record.updated_at);
}

pub async fn a_delivery_that_waits_before_its_first_attempt_is_in_the_log_once(store: &dyn Store) {
    let delivery = samples::delivery();
    for seconds in [60, 90] {
        let until = samples::moment(seconds);
        store.show_waiting(&delivery, until).await.unwrap();
        let waits = record(store, &delivery).await;
        assert_eq!(waits.state, DeliveryState::Waiting { until });
        assert!(waits.attempts.is_empty());
        assert_eq!(waits.event, delivery.event);
    }
    let filter = of_project(&delivery);
    assert_eq!(
        listed(store, &filter).await,
        std::slice::from_ref(&delivery.id)
    );

    let claim = granted(store, &delivery).await;
    settle(store, &claim, &delivery, &[], &SettledAs::Delivered).await;
    assert_eq!(
        listed(store, &filter).await,
        std::slice::from_ref(&delivery.id)
    );
    let state = record(store, &delivery).await.state;
    assert_eq!(state, DeliveryState::Delivered { at: settled_at() });
    assert_eq!(again(store, &delivery).await, ClaimAnswer::Settled);
}

pub async fn what_waits_is_shown_only_where_nobody_was_at_it(store: &dyn Store) {
    let first = samples::delivery();
    let (early, late) = (samples::moment(70), samples::moment(80));
    let claim = shown(store, &first).await;
    store.show_waiting(&first, early).await.unwrap();
    assert_eq!(record(store, &first).await.state, DeliveryState::Attempting);
    settle(store, &claim, &first, &[], &retrying()).await;
    let retry = record(store, &first).await.state;
    store.show_waiting(&first, early).await.unwrap();
    assert_eq!(record(store, &first).await.state, retry, "it was made");

    let second = samples::retry_of(&first);
    store.show_waiting(&second, late).await.unwrap();
    let waits = DeliveryState::Waiting { until: late };
    assert_eq!(record(store, &second).await.state, waits);
    pass(store, &second, &SettledAs::Delivered).await;
    store.show_waiting(&second, early).await.unwrap();
    let state = record(store, &second).await.state;
    assert_eq!(state, DeliveryState::Delivered { at: settled_at() });
}

pub async fn a_replay_that_waits_is_shown_and_what_was_given_up_stays_so(store: &dyn Store) {
    let first = samples::delivery();
    let given_up = dead_lettered(&first);
    pass(store, &first, &given_up).await;
    store
        .show_waiting(&first, samples::moment(60))
        .await
        .unwrap();
    let state = record(store, &first).await.state;
    assert!(matches!(state, DeliveryState::DeadLettered { .. }));

    let replay = samples::replay_of(&first);
    let until = samples::moment(70);
    store.show_waiting(&replay, until).await.unwrap();
    let waits = record(store, &replay).await;
    assert_eq!(waits.state, DeliveryState::Waiting { until });
    assert_eq!(waits.generation, replay.generation);
    assert_eq!(again(store, &first).await, ClaimAnswer::Settled);
    pass(store, &replay, &SettledAs::Delivered).await;
    let found = listed(store, &of_project(&first)).await;
    assert_eq!(found, std::slice::from_ref(&first.id));
}

pub async fn the_log_has_a_delivery_by_the_moment_it_was_claimed(store: &dyn Store) {
    let project = samples::project();
    let of =
        |project| samples::delivery_of(&samples::event_of(project), samples::webhook_destination());
    let (first, second) = (of(&project), of(&project));
    let first_claim = granted(store, &first).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    pass(store, &second, &SettledAs::Delivered).await;
    settle(store, &first_claim, &first, &[], &SettledAs::Delivered).await;
    assert_eq!(
        listed(store, &of_project(&first)).await,
        [second.id, first.id],
        "newest first, however late it was settled"
    );
}

pub async fn a_settlement_writes_state_and_attempts_to_the_record(store: &dyn Store) {
    let first = samples::delivery();
    pass(store, &first, &retrying()).await;
    let after_first = record(store, &first).await;
    let until = samples::moment(60);
    assert_eq!(after_first.state, DeliveryState::Waiting { until });
    assert_eq!(after_first.updated_at, settled_at());
    assert_eq!(after_first.attempts.len(), 1);

    let second = samples::retry_of(&first);
    pass(store, &second, &SettledAs::Delivered).await;
    let after_second = record(store, &first).await;
    assert_eq!(
        after_second.state,
        DeliveryState::Delivered { at: settled_at() }
    );
    assert_eq!(after_second.created_at, after_first.created_at);
    let numbers: Vec<_> = after_second
        .attempts
        .iter()
        .map(|made| made.number.get())
        .collect();
    assert_eq!(numbers, [1, 2], "oldest first");
    assert_eq!(after_second.attempts[0], after_first.attempts[0]);
}

pub async fn the_attempts_of_a_record_are_bounded_and_the_newest_are_kept(store: &dyn Store) {
    const EACH: u32 = 10;
    let mut delivery = samples::delivery();
    let mut made = Vec::new();
    for generation in 0..EACH {
        delivery.generation = Generation::new(generation);
        let claim = granted(store, &delivery).await;
        let attempts: Vec<_> = (0..EACH).map(|_| samples::attempt_of(&delivery)).collect();
        settle(store, &claim, &delivery, &attempts, &retrying()).await;
        made.extend(attempts);
    }
    let newest = &made[made.len() - limits::HISTORY_MAX..];
    assert_eq!(record(store, &delivery).await.attempts, newest);
}

pub async fn a_record_holds_no_secret_of_a_callback(store: &dyn Store) {
    let delivery = samples::delivery_of(&samples::event(), samples::callback_destination());
    shown(store, &delivery).await;
    let Destination::Callback { url, secret } = record(store, &delivery).await.destination else {
        panic!("another destination");
    };
    assert_eq!(&url, delivery.destination.url());
    assert_eq!(secret, None, "the record outlives the need for it");
}

pub async fn deliveries_are_listed_newest_first_page_by_page(store: &dyn Store) {
    let taken = take_some(store, 11).await;
    let filter = of_project(&taken[0]);
    let mut seen = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = store.deliveries(&filter, after.as_ref(), 4).await.unwrap();
        assert!(page.entries.len() <= 4);
        seen.extend(ids(&page.entries));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = taken
        .iter()
        .rev()
        .map(|delivery| delivery.id.clone())
        .collect();
    assert_eq!(seen, expected);
}

pub async fn a_list_of_deliveries_goes_on_where_it_was_while_new_ones_arrive(store: &dyn Store) {
    let taken = take_some(store, 6).await;
    let filter = of_project(&taken[0]);
    let first = store.deliveries(&filter, None, 3).await.unwrap();
    take(store, &taken[0].event.project).await;
    let rest = store
        .deliveries(&filter, first.next.as_ref(), 10)
        .await
        .unwrap();
    let expected: Vec<_> = taken
        .iter()
        .rev()
        .map(|delivery| delivery.id.clone())
        .collect();
    let seen: Vec<_> = ids(first.entries.iter().chain(&rest.entries));
    assert_eq!(seen, expected, "each once, the new one not at all");
    assert!(rest.next.is_none());
}

pub async fn deliveries_are_filtered_by_every_member(store: &dyn Store) {
    let wanted = samples::delivery();
    shown(store, &wanted).await;
    let neighbour = samples::delivery_of(
        &samples::event_of(&wanted.event.project),
        samples::callback_destination(),
    );
    pass(store, &neighbour, &retrying()).await;
    let given_up = samples::delivery_of(
        &samples::event_of(&wanted.event.project),
        samples::webhook_destination(),
    );
    pass(store, &given_up, &dead_lettered(&given_up)).await;

    let all = of_project(&wanted);
    assert_eq!(listed(store, &all).await.len(), 3);
    let by_event = DeliveryFilter {
        event: Some(wanted.event.id.clone()),
        ..DeliveryFilter::default()
    };
    let by_job = DeliveryFilter {
        job: Some(wanted.event.job.id.clone()),
        ..DeliveryFilter::default()
    };
    let by_destination = DeliveryFilter {
        destination: Some(wanted.destination.id()),
        ..DeliveryFilter::default()
    };
    let of_state = |state: &str| DeliveryFilter {
        state: Some(state.into()),
        ..all.clone()
    };
    for (filter, expected) in [
        (by_event, &wanted),
        (by_job, &wanted),
        (by_destination, &wanted),
        (of_state("attempting"), &wanted),
        (of_state("waiting"), &neighbour),
        (of_state("dead_lettered"), &given_up),
    ] {
        assert_eq!(
            listed(store, &filter).await,
            std::slice::from_ref(&expected.id),
            "{filter:?}"
        );
    }
    assert!(listed(store, &of_state("delivered")).await.is_empty());
    let nobody = DeliveryFilter {
        event: Some(neighbour.event.id.clone()),
        job: Some(wanted.event.job.id.clone()),
        ..DeliveryFilter::default()
    };
    assert!(
        listed(store, &nobody).await.is_empty(),
        "all members must match"
    );

    let answer = claim_once_free(
        store,
        &samples::retry_of(&neighbour),
        &samples::worker(),
        super::LONG,
    )
    .await;
    let ClaimAnswer::Granted { claim, .. } = answer else {
        panic!("not granted");
    };
    settle(store, &claim, &neighbour, &[], &SettledAs::Delivered).await;
    assert_eq!(listed(store, &of_state("delivered")).await, [neighbour.id]);
    assert!(listed(store, &of_state("waiting")).await.is_empty());
}

pub async fn deliveries_are_filtered_by_the_moment_they_were_first_taken(store: &dyn Store) {
    let taken = take_some(store, 3).await;
    let middle: Timestamp = record(store, &taken[1]).await.created_at;
    let since = DeliveryFilter {
        since: Some(middle),
        ..of_project(&taken[0])
    };
    assert_eq!(
        listed(store, &since).await,
        [taken[2].id.clone(), taken[1].id.clone()]
    );
    let until = DeliveryFilter {
        until: Some(middle),
        ..of_project(&taken[0])
    };
    assert_eq!(listed(store, &until).await, [taken[0].id.clone()]);
}

pub async fn what_was_never_stored_is_not_found(store: &dyn Store) {
    let (delivery, webhook, dead_letter) = (
        samples::delivery(),
        samples::webhook(),
        samples::dead_letter(),
    );
    assert_eq!(store.delivery(&delivery.id).await.unwrap(), None);
    assert!(listed(store, &of_project(&delivery)).await.is_empty());
    assert_eq!(store.webhook(&webhook.id).await.unwrap(), None);
    assert!(store.dead_letter(&dead_letter.id).await.unwrap().is_none());
    assert_eq!(
        store
            .dead_letter_count(dead_letter.project.as_ref())
            .await
            .unwrap(),
        0
    );
}
