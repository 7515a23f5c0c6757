//! Events over HTTP: taken in, known, refused, one by one and many at once.

use crate::{
    installation::{Answer, Ground, Installation},
    on_both_grounds,
};
use http::Request;
use ringback_api::{BATCH_BYTES_MAX, Limits};
use ringback_domain::{CallbackSecret, KeyOwner, KeyScope};
use ringback_testkit::receiver::Receiver;
use serde_json::{Value, json};

on_both_grounds! {
    an_event_is_delivered_and_known_afterwards,
    an_event_reaches_the_queue_as_it_was_written,
    each_line_of_a_batch_is_answered_for,
}

/// An event of the project `acme` with these further members.
fn event(more: &str) -> String {
    format!(r#"{{"project":"acme","type":"task.completed","job":{{"id":"task_1"}}{more}}}"#)
}

async fn publish(
    installation: &Installation,
    key: &str,
    named: Option<&str>,
    event: String,
) -> Answer {
    let mut request = Request::builder()
        .method("POST")
        .header("x-api-key", key)
        .header("content-type", "application/json; charset=utf-8");
    if let Some(named) = named {
        request = request.header("idempotency-key", named);
    }
    installation
        .send("/api/v1/events", request, event.into())
        .await
}

async fn an_event_is_delivered_and_known_afterwards(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    let receiver = Receiver::start().await;
    let webhook = json!({"url": receiver.url("/hook"), "events": ["task.completed"]}).to_string();
    let added = installation.post("/api/v1/webhooks", &key, &webhook).await;
    let webhook = added.json(201)["id"].as_str().unwrap().to_owned();

    let accepted = publish(&installation, &key, Some("e-1"), event("")).await;
    assert_eq!(accepted.json(202), json!({"id": "e-1", "duplicate": false}));
    receiver.wait_for("/hook", 1).await;
    let accepted = installation
        .until("the event is known", async || {
            let answer = publish(&installation, &key, Some("\"e-1\""), event("")).await;
            let accepted = answer.json(202);
            (accepted["duplicate"] == true).then_some(accepted)
        })
        .await;
    assert_eq!(accepted["id"], "e-1");

    let delivered = format!("/api/v1/deliveries?webhook={webhook}&state=delivered&event=e-1");
    let list = installation
        .until("it is delivered", async || {
            let list = installation.get(&delivered, &key).await.json(200);
            (list["data"] != json!([])).then_some(list)
        })
        .await;
    let delivery = &list["data"][0];
    assert_eq!(delivery["attempts"][0]["outcome"], "accepted");
    let path = format!("/api/v1/deliveries/{}", delivery["id"].as_str().unwrap());
    assert_eq!(installation.get(&path, &key).await.json(200), *delivery);
    installation
        .post(&format!("{path}/replay"), &key, "")
        .await
        .problem(409, "not_replayable");

    let other = installation.project_key("hinto").await;
    installation
        .get(&path, &other)
        .await
        .problem(404, "not_found");
    installation
        .post(&format!("{path}/replay"), &other, "")
        .await
        .problem(404, "not_found");
    let none = installation
        .get("/api/v1/deliveries", &other)
        .await
        .json(200);
    assert_eq!(none["data"], json!([]));
    assert_eq!(receiver.received("/hook").len(), 1, "once");
    installation.stop().await;
}

async fn an_event_reaches_the_queue_as_it_was_written(ground: Ground) {
    let installation = Installation::start_with(ground, Limits::default(), []).await;
    let key = installation.project_key("acme").await;
    let queue = &installation.services.context.queue;
    let mut events = queue.consume_events(8).await.unwrap();

    let data = r#","data":{"z":1.50,"a":[18446744073709551616,-0,1E+2],"1":"\u00e9\/" , "0":{}}"#;
    let moment = r#","occurred_at":"2026-06-01T10:00:00Z""#;
    let callback = r#","callback":{"url":"https://example.com/cb","secret":"whsec_aHVzaCBodXNoIGh1c2ggaHVzaCBodXNo"}"#;
    let text = event(&format!("{moment}{data}{callback}"));
    let id = publish(&installation, &key, None, text.clone())
        .await
        .json(202)["id"]
        .clone();
    let id = id.as_str().unwrap();
    assert!(id.starts_with("evt_"), "{id}");

    let taken = events.next().await.unwrap();
    let event = taken.content.unwrap();
    let document = String::from_utf8(event.document.to_vec()).unwrap();
    assert_eq!(event.id.as_str(), id);
    assert!(document.contains(data), "{document}");
    assert!(!document.contains("whsec_"), "{document}");
    let secret = event.callback.unwrap().secret.unwrap();
    assert!(matches!(secret, CallbackSecret::Sealed(_)), "{secret:?}");
    taken.receipt.acknowledge();
    drop(events);
    installation.stop().await;
}

async fn batch(installation: &Installation, key: &str, lines: String) -> Answer {
    let request = Request::builder()
        .method("POST")
        .header("x-api-key", key)
        .header("content-type", "application/x-ndjson");
    installation
        .send("/api/v1/events/batch", request, lines.into())
        .await
}

fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn each_line_of_a_batch_is_answered_for(ground: Ground) {
    let installation = Installation::start_with(ground, Limits::default(), []).await;
    let key = installation.project_key("acme").await;
    let lines = [
        event(r#","id":"b-1""#),
        String::new(),
        "{".to_owned(),
        event("").replace("acme", "hinto"),
        event(r#","colour":"red""#).replace("task_1", r#"a b","created_at":"soon"#),
        event(r#","id":"b-2""#),
    ];
    let answer = batch(&installation, &key, lines.join("\r\n")).await;
    assert_eq!(answer.status, 207);
    let results = results(&answer);
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            let what = result["id"].as_str().or(result["problem"]["code"].as_str());
            (
                result["line"].as_u64().unwrap(),
                result["status"].as_u64().unwrap(),
                what.unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (1, 202, "b-1"),
            (3, 400, "malformed_body"),
            (4, 403, "project_forbidden"),
            (5, 422, "members_refused"),
            (6, 202, "b-2"),
        ]
    );
    let errors = results[3]["problem"]["errors"].as_array().unwrap();
    let faulty: Vec<_> = errors
        .iter()
        .map(|fault| fault["member"].as_str().unwrap())
        .collect();
    assert_eq!(faulty, ["colour", "job.id", "job.created_at"]);

    let request = Request::builder()
        .method("POST")
        .header("x-api-key", &key)
        .header("idempotency-key", "b-3")
        .header("content-type", "application/x-ndjson");
    let named = installation
        .send("/api/v1/events/batch", request, event("").into())
        .await;
    assert_eq!(named.faulty(), ["Idempotency-Key"]);

    let all_good = batch(&installation, &key, event(r#","id":"b-3""#)).await;
    assert_eq!(all_good.status, 202);
    batch(&installation, &key, "\n\n".to_owned()).await.faulty();
    let too_many = "{}\n".repeat(10_001);
    batch(&installation, &key, too_many)
        .await
        .problem(413, "body_too_large");
    let too_long = " ".repeat(BATCH_BYTES_MAX + 1);
    batch(&installation, &key, too_long)
        .await
        .problem(413, "body_too_large");
    installation.stop().await;
}

#[tokio::test]
async fn every_fault_of_an_event_is_told_at_once() {
    let installation = Installation::start_with(Ground::Embedded, Limits::default(), []).await;
    let key = installation.project_key("acme").await;
    let text = r#"{"project":"acme","type":"no type","occurred_at":"yesterday","job":{"id":7,"status":[],"created_at":"soon","completed_at":1},
                   "callback":{"url":"ftp://x","secret":"","colour":1},"color":"red"}"#;
    let mut faulty = publish(&installation, &key, None, text.to_owned())
        .await
        .faulty();
    faulty.sort();
    assert_eq!(
        faulty,
        [
            "callback.colour",
            "callback.secret",
            "color",
            "job.completed_at",
            "job.created_at",
            "job.id",
            "job.status",
            "occurred_at",
            "type"
        ]
    );
    let forbidden = event(r#","callback":{"url":"http://10.0.0.1/"}"#);
    let faulty = publish(&installation, &key, None, forbidden).await.faulty();
    assert_eq!(faulty, ["callback.url"]);
    let named = publish(&installation, &key, Some("a b"), event("")).await;
    assert_eq!(named.faulty(), ["Idempotency-Key"]);
    let named = publish(&installation, &key, Some("a"), event(r#","id":"b""#)).await;
    assert_eq!(named.faulty(), ["Idempotency-Key"]);
    let twice = Request::builder()
        .method("POST")
        .header("x-api-key", &key)
        .header("content-type", "application/json")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    let twice = installation.send("/api/v1/events", twice, event("").into());
    assert_eq!(twice.await.faulty(), ["Idempotency-Key"]);
    publish(
        &installation,
        &key,
        None,
        event("").replace("acme", "hinto"),
    )
    .await
    .problem(403, "project_forbidden");

    let operator = installation
        .key(KeyOwner::Operator, &[KeyScope::Publish])
        .await;
    let faulty = publish(
        &installation,
        &operator,
        None,
        event("").replace("acme", "nobody"),
    )
    .await
    .faulty();
    assert_eq!(faulty, ["project"]);
    installation.stop().await;
}
