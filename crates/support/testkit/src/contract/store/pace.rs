//! Breakers and turns.

use crate::samples;
use ringback_delivery::port::{ReservedTurn, Store, WriteAnswer};
use ringback_domain::{Breaker, BreakerRules, DestinationId};
use std::{num::NonZeroU32, time::Duration};

const RULES: BreakerRules = BreakerRules {
    failures: NonZeroU32::MIN,
    probe_first: Duration::from_secs(5),
    probe_max: Duration::from_mins(1),
};
/// More than the slowest of stores needs for a test.
const FAR: Duration = Duration::from_hours(1);

fn destination() -> DestinationId {
    DestinationId::webhook(&samples::webhook().id)
}

fn breaker() -> Breaker {
    Breaker::opened(destination(), samples::moment(0), &RULES)
}

async fn put(store: &dyn Store, breaker: &Breaker) -> WriteAnswer {
    store.put_breaker(breaker).await.unwrap()
}

async fn reserve(store: &dyn Store, id: &DestinationId, ahead_max: Duration) -> ReservedTurn {
    let one_a_second = NonZeroU32::MIN;
    store
        .reserve_turn(id, one_a_second, ahead_max)
        .await
        .unwrap()
}

pub async fn of_all_who_would_change_a_breaker_one_does(store: &dyn Store) {
    let opened = breaker();
    assert_eq!(put(store, &opened).await, WriteAnswer::Written);
    assert_eq!(put(store, &opened).await, WriteAnswer::Conflict);
    let recovering = opened.recovering(samples::moment(9)).unwrap();
    let reopened = opened.reopened(samples::moment(9), &RULES);
    assert_eq!(put(store, &recovering).await, WriteAnswer::Written);
    assert_eq!(put(store, &reopened).await, WriteAnswer::Conflict);
    assert_eq!(store.breakers().await.unwrap(), [recovering]);
}

pub async fn a_breaker_that_changed_is_not_removed(store: &dyn Store) {
    let opened = breaker();
    let reopened = opened.reopened(samples::moment(9), &RULES);
    put(store, &opened).await;
    put(store, &reopened).await;
    assert!(!store.remove_breaker(&opened).await.unwrap());
    assert_eq!(
        store.breakers().await.unwrap(),
        std::slice::from_ref(&reopened)
    );
    assert!(store.remove_breaker(&reopened).await.unwrap());
    assert!(!store.remove_breaker(&reopened).await.unwrap());
    assert_eq!(store.breakers().await.unwrap(), []);
    assert_eq!(put(store, &opened).await, WriteAnswer::Written, "as if new");
}

pub async fn a_removed_webhook_takes_its_breaker_with_it(store: &dyn Store) {
    let (webhook, other) = (samples::webhook(), breaker());
    let opened = Breaker::opened(
        DestinationId::webhook(&webhook.id),
        samples::moment(0),
        &RULES,
    );
    store.put_webhook(&webhook).await.unwrap();
    put(store, &opened).await;
    put(store, &opened.reopened(samples::moment(9), &RULES)).await;
    put(store, &other).await;
    assert!(store.remove_webhook(&webhook.id).await.unwrap());
    assert_eq!(store.breakers().await.unwrap(), [other]);
}

pub async fn turns_are_as_far_apart_as_the_pace_says(store: &dyn Store) {
    let (one, other) = (destination(), destination());
    assert_eq!(
        reserve(store, &one, FAR).await,
        ReservedTurn::In(Duration::ZERO)
    );
    let mut before = Duration::ZERO;
    for turn in 1..=20_u32 {
        let ReservedTurn::In(wait) = reserve(store, &one, FAR).await else {
            panic!("an hour is far enough");
        };
        // Time passes between two questions, so that the wait may be shorter, and never longer.
        assert!(wait <= Duration::from_secs(turn.into()), "{wait:?}");
        assert!(wait > before, "{wait:?}");
        before = wait;
    }
    assert_eq!(
        reserve(store, &other, FAR).await,
        ReservedTurn::In(Duration::ZERO)
    );
}

pub async fn a_turn_too_far_away_is_not_reserved(store: &dyn Store) {
    let id = destination();
    for _ in 0..100 {
        reserve(store, &id, FAR).await;
    }
    let near = Duration::from_secs(1);
    assert_eq!(reserve(store, &id, near).await, ReservedTurn::Full);
    let ReservedTurn::In(first) = reserve(store, &id, FAR).await else {
        panic!("an hour is far enough");
    };
    assert!(
        first <= Duration::from_secs(100),
        "the refused one took none"
    );
}
