//! SIGTERM under load: no event lost, none sent twice, no attempt counted that was not made.

use crate::{
    desk::{Desk, event},
    installation::{EVENT_HEADER, Ground, Installation, RETRYING},
};
use futures_util::{StreamExt, stream};
use ringback_testkit::receiver::{Answer, Receiver};
use std::{collections::HashMap, time::Duration};

const WORKERS: usize = 3;
const STOPS: usize = 20;
/// Events published right before each stop: more than the workers can have under way at the destination at once.
const BURST: usize = 60;
const AT_ONCE: usize = 16;
/// How long the receiver thinks: attempts are under way whenever a worker is told to stop.
const ANSWER_AFTER: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_workers_stopped_twenty_times_under_load_loses_and_repeats_nothing() {
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Answer::status(200).after(ANSWER_AFTER)]);
    let installation = Installation::new(Ground::Servers);
    let desk = installation.desk().await;
    desk.webhook(RETRYING, receiver.url("/hook")).await;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(installation.serve().await);
    }

    for stop in 0..STOPS {
        publish(&desk, stop).await;
        receiver.wait_for("/hook", stop * BURST + BURST / 4).await;
        let under_way = receiver.received("/hook").len();
        let stopping = workers.remove(0);
        stopping.stop().await;
        assert!(
            under_way < (stop + 1) * BURST,
            "there was load when it was told to stop"
        );
        workers.push(installation.serve().await);
    }

    let count = STOPS * BURST;
    let deliveries = desk.wait_for_deliveries(RETRYING, "delivered", count).await;
    desk.wait_for_empty_queues().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(desk.all_waiting().await, 0, "everything was acknowledged");
    for delivery in &deliveries {
        let [attempt] = &delivery.attempts[..] else {
            panic!("not one attempt: {delivery:?}")
        };
        assert_eq!(
            (attempt.number.get(), attempt.outcome.class()),
            (1, "accepted")
        );
    }
    let mut times: HashMap<String, usize> = HashMap::new();
    for request in receiver.received("/hook") {
        let id = request.header(EVENT_HEADER).unwrap().to_owned();
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), count, "every event arrived");
    let repeated: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(repeated.is_empty(), "sent more than once: {repeated:?}");
    desk.close().await;
}

async fn publish(desk: &Desk, burst: usize) {
    let publisher = desk.publisher();
    let publish = async |number: usize| {
        let event = event(RETRYING, &format!("evt_{burst}_{number}"), 200);
        publisher.publish(&event).await.unwrap();
    };
    stream::iter(0..BURST)
        .for_each_concurrent(AT_ONCE, publish)
        .await;
}
