//! Counts of traffic.

use super::{dead_lettered, granted, retrying, settle, settled_at};
use crate::samples;
use ringback_delivery::port::{SettledAs, Store};
use ringback_domain::{Delivery, Traffic, TrafficOf, TrafficStep};

/// What was counted in the step of [`settled_at`], and in all others nothing.
async fn counted(store: &dyn Store, of: &TrafficOf, step: TrafficStep) -> Traffic {
    let later = settled_at() + step.length() * 3;
    let points = store.traffic(of, step, later).await.unwrap();
    let numbers: Vec<_> = step.kept_until(later).collect();
    assert_eq!(points.len(), numbers.len());
    let mut found = Traffic::default();
    for (point, number) in points.iter().zip(numbers) {
        assert_eq!(point.at, step.begin_of(number));
        if number == step.number_of(settled_at()) {
            found = point.traffic;
        } else {
            assert!(point.traffic.is_zero(), "{point:?}");
        }
    }
    found
}

pub async fn a_settlement_is_counted_once_for_its_destination_project_and_everything(
    store: &dyn Store,
) {
    let project = samples::project();
    let (one, other) = (
        samples::webhook_destination(),
        samples::webhook_destination(),
    );
    let to = |destination| samples::delivery_of(&samples::event_of(&project), destination);
    let mut deliveries: Vec<Delivery> = Vec::new();
    for (destination, make) in [
        (
            &one,
            (|_| SettledAs::Delivered) as fn(&Delivery) -> SettledAs,
        ),
        (&one, |_| retrying()),
        (&one, |_| SettledAs::Released),
        (&one, dead_lettered),
        (&other, |_| SettledAs::Delivered),
    ] {
        let delivery = to(destination.clone());
        let claim = granted(store, &delivery).await;
        let settled_as = make(&delivery);
        let attempts = match settled_as {
            SettledAs::Retrying { .. } | SettledAs::DeadLettered(_) => {
                vec![samples::attempt_of(&delivery)]
            }
            SettledAs::Delivered | SettledAs::Released => Vec::new(),
        };
        // An answer may get lost.
        for _ in 0..2 {
            settle(store, &claim, &delivery, &attempts, &settled_as).await;
        }
        deliveries.push(delivery);
    }
    let at_one = Traffic {
        delivered: 1,
        failed_attempts: 2,
        dead_lettered: 1,
    };
    let all = Traffic {
        delivered: 2,
        ..at_one
    };
    for step in [TrafficStep::Minute, TrafficStep::Hour] {
        for (of, expected) in [
            (TrafficOf::Destination(one.id()), at_one),
            (TrafficOf::Project(project.clone()), all),
            (TrafficOf::Everything, all),
            (TrafficOf::Project(samples::project()), Traffic::default()),
            (TrafficOf::Callbacks(project.clone()), Traffic::default()),
        ] {
            assert_eq!(counted(store, &of, step).await, expected, "{of:?}");
        }
    }
}

pub async fn callbacks_are_counted_together(store: &dyn Store) {
    let project = samples::project();
    for _ in 0..3 {
        let event = samples::event_of(&project);
        let delivery = samples::delivery_of(&event, samples::callback_destination());
        let claim = granted(store, &delivery).await;
        settle(store, &claim, &delivery, &[], &SettledAs::Delivered).await;
    }
    let of = TrafficOf::Callbacks(project);
    assert_eq!(counted(store, &of, TrafficStep::Minute).await.delivered, 3);
}

pub async fn a_stale_settlement_is_not_counted(store: &dyn Store) {
    let delivery = samples::delivery();
    let stale = granted(store, &delivery).await;
    settle(store, &stale, &delivery, &[], &SettledAs::Released).await;
    let newer = granted(store, &delivery).await;
    settle(store, &stale, &delivery, &[], &SettledAs::Delivered).await;
    let of = TrafficOf::Project(delivery.event.project.clone());
    assert!(counted(store, &of, TrafficStep::Hour).await.is_zero());
    settle(store, &newer, &delivery, &[], &SettledAs::Delivered).await;
    assert_eq!(counted(store, &of, TrafficStep::Hour).await.delivered, 1);
}
