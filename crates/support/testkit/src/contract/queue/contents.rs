//! What comes out is what went in.

use super::{QueueHome, assert_same_delivery, assert_same_event, every_byte, soon, take};
use crate::samples;
use bytes::Bytes;
use ringback_delivery::port::Lane;
use ringback_domain::{Callback, CallbackSecret, TraceContext, limits};
use std::collections::BTreeMap;

pub async fn an_event_comes_out_as_it_went_in(home: &dyn QueueHome) {
    let queue = home.open().await;
    let mut event = samples::event();
    event.callback = Some(Callback {
        url: "https://jobs.example.com/done?token=a%20b"
            .parse()
            .expect("a URL"),
        secret: Some(CallbackSecret::Sealed(samples::sealed_secret())),
    });
    event.accepted_at = Some(samples::moment(7));
    let trace = TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        tracestate: Some("vendor=1,other=2".into()),
    };
    soon(queue.publish_event(&event, Some(&trace)))
        .await
        .expect("published");
    soon(queue.publish_event(&samples::event(), None))
        .await
        .expect("published");

    let mut events = soon(queue.consume_events(10)).await.expect("consumes");
    for _ in 0..2 {
        let taken = take(&mut events).await;
        let found = taken.content.expect("an event");
        assert!(!taken.redelivered);
        if found.id == event.id {
            assert_same_event(&found, &event);
            assert_eq!(taken.trace.as_ref(), Some(&trace));
        } else {
            assert_eq!(taken.trace, None, "a trace belongs to its event");
            assert_eq!(found.accepted_at, None, "nobody said");
        }
        taken.receipt.acknowledge();
    }
}

pub async fn a_delivery_comes_out_as_it_went_in(home: &dyn QueueHome) {
    let queue = home.open().await;
    let first = samples::delivery();
    let callback = samples::delivery_of(&samples::event(), samples::callback_destination());
    let mut large = samples::replay_of(&samples::retry_of(&samples::retry_of(&callback)));
    large.body = every_byte(limits::BODY_BYTES_MAX);
    large.trace = None;
    large.accepted_at = Some(samples::moment(0));
    let mut empty = samples::retry_of(&samples::delivery());
    empty.body = Bytes::new();
    let published: BTreeMap<_, _> = [first, large, empty]
        .into_iter()
        .map(|delivery| (delivery.id.clone(), delivery))
        .collect();
    for delivery in published.values() {
        soon(queue.publish_delivery(delivery, Lane::Main, None))
            .await
            .expect("published");
    }

    let mut deliveries = soon(queue.consume_deliveries(Lane::Main, 10))
        .await
        .expect("consumes");
    let mut left = published.clone();
    while !left.is_empty() {
        let taken = take(&mut deliveries).await;
        let found = taken.content.expect("a delivery");
        let expected = left.remove(&found.id).expect("each comes once");
        assert_same_delivery(&found, &expected);
        taken.receipt.acknowledge();
    }
}

pub async fn bytes_that_are_no_event_are_handed_on_as_they_are(home: &dyn QueueHome) {
    let queue = home.open().await;
    let mut events = soon(queue.consume_events(10)).await.expect("consumes");
    for bytes in [
        every_byte(300),
        Bytes::from_static(b"{\"id\": 1}"),
        Bytes::from_static(b"["),
    ] {
        soon(queue.publish_raw_event(bytes.clone()))
            .await
            .expect("published");
        let taken = take(&mut events).await;
        let unreadable = taken.content.expect_err("it is no event");
        assert_eq!(unreadable.bytes, bytes);
        assert!(!unreadable.why.is_empty());
        taken.receipt.acknowledge();
    }
}

pub async fn a_raw_event_that_can_be_read_is_an_event(home: &dyn QueueHome) {
    let queue = home.open().await;
    let event = samples::event();
    soon(queue.publish_raw_event(event.document.clone()))
        .await
        .expect("published");
    let mut events = soon(queue.consume_events(1)).await.expect("consumes");
    assert_same_event(&take(&mut events).await.content.expect("an event"), &event);
}
