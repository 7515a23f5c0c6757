//! Marks of events, and the store's health.

use crate::samples;
use ringback_delivery::port::{EventMark, Store};

pub async fn an_event_is_marked_once_per_project(store: &dyn Store) {
    let event = samples::event();
    assert_eq!(
        store.event_mark(&event.project, &event.id).await.unwrap(),
        None
    );
    let first = EventMark {
        dispatched_at: samples::moment(1),
        deliveries: 3,
    };
    let second = EventMark {
        dispatched_at: samples::moment(2),
        deliveries: 0,
    };
    for mark in [first, second] {
        store
            .mark_event(&event.project, &event.id, mark, mark.dispatched_at)
            .await
            .unwrap();
    }
    assert_eq!(
        store.event_mark(&event.project, &event.id).await.unwrap(),
        Some(first)
    );
    let elsewhere = samples::project();
    assert_eq!(store.event_mark(&elsewhere, &event.id).await.unwrap(), None);
    store
        .mark_event(&elsewhere, &event.id, second, second.dispatched_at)
        .await
        .unwrap();
    assert_eq!(
        store.event_mark(&elsewhere, &event.id).await.unwrap(),
        Some(second)
    );
    assert_eq!(
        store.event_mark(&event.project, &event.id).await.unwrap(),
        Some(first)
    );
}

pub async fn an_event_that_is_not_marked_cannot_be_kept_known(store: &dyn Store) {
    let event = samples::event();
    let keep = store.keep_event_known(&event.project, &event.id, samples::moment(60));
    keep.await.unwrap();
    let mark = store.event_mark(&event.project, &event.id).await.unwrap();
    assert_eq!(mark, None, "perhaps it is being dispatched");
}

pub async fn an_event_has_the_moment_that_was_kept_first(store: &dyn Store) {
    let (event, elsewhere) = (samples::event(), samples::project());
    let [first, second] = [1, 2].map(samples::moment);
    for at in [first, second] {
        let kept = store.event_moment(&event.project, &event.id, at).await;
        assert_eq!(kept.unwrap(), first);
    }
    let kept = store.event_moment(&elsewhere, &event.id, second).await;
    assert_eq!(kept.unwrap(), second);
    let mark = store.event_mark(&event.project, &event.id).await.unwrap();
    assert_eq!(mark, None, "it is not dispatched by that");
}

pub async fn a_healthy_store_says_what_it_is(store: &dyn Store) {
    let health = store.health().await.unwrap();
    assert!(!health.product.is_empty());
}
