//! Workers and servers are killed in the middle of their work, and nothing is lost.

use crate::{
    events::event,
    installation::{Client, Ground, Installation, publish},
};
use futures_util::{StreamExt, stream};
use ringback_testkit::receiver::{Answer, Received, Receiver};
use std::{collections::HashMap, time::Duration};

const EVENTS: usize = 200;
const AT_ONCE: usize = 16;
/// Attempts under way at one destination, in both lanes: as many may be cut off by a kill, and come twice.
const IN_FLIGHT_MAX: usize = 8;

const STEADY: &str = r#"
[projects.acme]
profile = "steady"

[profiles.steady]
body = "del(.project)"
success = ["200"]
time_limit = "3s"
signature = "none"
retry = { delays = ["250ms", "500ms", "1s", "2s", "4s", "8s", "8s", "8s"] }
"#;

fn steady() -> String {
    let each = IN_FLIGHT_MAX / 2;
    format!("deliver.per_destination_concurrency = {each}\n{STEADY}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_loses_nothing_on_the_embedded_default() {
    kill_a_worker(Ground::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_loses_nothing_on_rabbitmq_and_redis() {
    kill_a_worker(Ground::Shared).await;
}

/// One destination accepts everything, the other holds every request until the worker is dead.
async fn kill_a_worker(ground: Ground) {
    let receiver = Receiver::start().await;
    receiver.script("/gate", [Answer::hang()]);
    let installation = Installation::new(ground, &steady());
    let worker = installation.worker().await;
    let client = installation.client().await;
    client.webhook("acme", receiver.url("/open"), None).await;
    client.webhook("acme", receiver.url("/gate"), None).await;
    publish_all(&client).await;
    receiver.wait_for("/gate", 1).await;
    receiver.wait_for("/open", EVENTS / 2).await;

    worker.kill9();
    let held = receiver.received("/gate").len();
    receiver.script("/gate", [Answer::status(200)]);
    let worker = installation.worker().await;

    let all = receiver.wait_for("/gate", held + EVENTS).await;
    let accepted = by_event(&all[held..]);
    assert_eq!(accepted.len(), EVENTS, "every event got through the gate");
    wait_for_every_event(&receiver, "/open").await;
    worker.stop().await;

    let through_gate = receiver.received("/gate").len();
    assert_eq!(
        through_gate,
        held + EVENTS,
        "what was accepted once was sent again"
    );
    let duplicates = receiver.received("/open").len() - EVENTS;
    assert!(duplicates <= IN_FLIGHT_MAX, "{duplicates} came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_and_a_store_killed_and_restarted_lose_nothing() {
    let receiver = Receiver::start().await;
    receiver.script(
        "/open",
        [Answer::status(200).after(Duration::from_millis(20))],
    );
    let mut installation = Installation::new(Ground::own().await, &steady());
    let worker = installation.worker().await;
    let client = installation.client().await;
    client.webhook("acme", receiver.url("/open"), None).await;

    let publishing = tokio::spawn(async move { publish_all(&client).await });
    receiver.wait_for("/open", EVENTS / 10).await;
    let Ground::Own(servers) = &mut installation.ground else {
        unreachable!("made above")
    };
    let (rabbit, redis) = servers.as_mut();
    tokio::task::block_in_place(|| {
        rabbit.kill9();
        rabbit.restart().unwrap();
    });
    let arrived = receiver.received("/open").len();
    receiver.wait_for("/open", arrived + 1).await;
    tokio::task::block_in_place(|| {
        redis.kill9();
        redis.restart().unwrap();
    });
    publishing.await.unwrap();

    wait_for_every_event(&receiver, "/open").await;
    worker.stop().await;
    for (id, requests) in by_event(&receiver.received("/open")) {
        let bodies = requests
            .iter()
            .all(|request| request.body == requests[0].body);
        assert!(bodies, "{id} came with different bytes");
    }
}

async fn publish_all(client: &Client) {
    let publisher = client.publisher();
    stream::iter(0..EVENTS)
        .for_each_concurrent(AT_ONCE, |number| {
            publish(&publisher, event("acme", number, None))
        })
        .await;
}

/// Waits for more requests until there is one of every event.
async fn wait_for_every_event(receiver: &Receiver, path: &str) {
    let mut requests = receiver.wait_for(path, EVENTS).await;
    while by_event(&requests).len() < EVENTS {
        requests = receiver.wait_for(path, requests.len() + 1).await;
    }
}

fn by_event(requests: &[Received]) -> HashMap<String, Vec<&Received>> {
    let mut by_event: HashMap<_, Vec<_>> = HashMap::new();
    for request in requests {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let id = body["id"].as_str().unwrap().to_owned();
        by_event.entry(id).or_default().push(request);
    }
    by_event
}
