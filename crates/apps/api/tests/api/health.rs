//! What starts, stops and watches a process.

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use ringback_api::Limits;
use ringback_delivery::port::Queue;
use ringback_worker::Role;
use serde_json::json;

on_both_grounds! {
    a_process_is_ready_once_its_roles_have_consumers,
}

async fn a_process_is_ready_once_its_roles_have_consumers(ground: Ground) {
    let installation =
        Installation::start_without_workers(ground, [Role::Dispatch, Role::Deliver]).await;
    let alive = installation.get("/healthz", "").await.json(200);
    assert_eq!(alive, json!({"status": "ok"}));
    // A queue or store that has much to do may answer too late for one look.
    let early = installation.until("queue and store answer", async || {
        let early = installation.get("/readyz", "").await.json(503);
        (early["queue"] == true && early["store"] == true).then_some(early)
    });
    let early = early.await;
    let expected = json!({"ready": false, "queue": true, "store": true, "consumers": false, "retries": true, "stopping": false});
    assert_eq!(early, expected);
    installation.stop().await;

    let installation = Installation::start(ground).await;
    let ready = installation.until("it is ready", async || {
        let answer = installation.get("/readyz", "").await;
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(ready.await.json(200)["consumers"], true);
    installation.stop().await;
}

#[tokio::test]
async fn a_process_whose_queue_is_closed_is_not_ready() {
    let installation = Installation::start_with(Ground::Embedded, Limits::default(), []).await;
    installation.get("/readyz", "").await.json(200);
    let queue: &dyn Queue = &*installation.services.context.queue;
    queue.close().await;
    let answer = installation.get("/readyz", "").await.json(503);
    assert_eq!(
        (&answer["queue"], &answer["ready"]),
        (&json!(false), &json!(false))
    );
    installation.stop().await;
}
