//! Webhooks over HTTP: from registering to removing, and what is refused.

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use ringback_delivery::port::Clock;
use ringback_domain::Timestamp;
use ringback_testkit::{
    MachineClock,
    receiver::{Answer, Receiver},
    simulation::{SimulatedStore, TokioClock},
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

on_both_grounds! {
    a_webhook_from_registering_to_removing,
    another_projects_webhook_is_not_there,
    a_test_event_is_signed_and_sent_at_once,
    a_change_is_in_force_for_what_is_published_after_the_answer,
    a_change_by_another_process_is_in_force_soon,
}

/// Publishes an event of `acme` and returns its id.
async fn publish(installation: &Installation, key: &str) -> String {
    let event = r#"{"project":"acme","type":"a.b","job":{"id":"1"}}"#;
    let published = installation.post("/api/v1/events", key, event).await;
    published.json(202)["id"].as_str().unwrap().to_owned()
}

async fn a_change_is_in_force_for_what_is_published_after_the_answer(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    let receiver = Receiver::start().await;
    // Once it is dispatched, the workers have looked, and know of no webhook.
    let unwanted = publish(&installation, &key).await.parse().unwrap();
    let project = "acme".parse().unwrap();
    let store = &installation.services.context.store;
    installation
        .until("the first event is dispatched", async || {
            store.event_mark(&project, &unwanted).await.unwrap()
        })
        .await;
    let webhook = json!({"url": receiver.url("/old")}).to_string();
    let added = installation.post("/api/v1/webhooks", &key, &webhook).await;
    let path = format!(
        "/api/v1/webhooks/{}",
        added.json(201)["id"].as_str().unwrap()
    );
    publish(&installation, &key).await;
    receiver.wait_for("/old", 1).await;

    let change = json!({"url": receiver.url("/new")}).to_string();
    let changed = installation.call("PATCH", &path, &key, &change).await;
    changed.json(200);
    publish(&installation, &key).await;
    receiver.wait_for("/new", 1).await;
    assert_eq!(receiver.received("/old").len(), 1);
    installation.stop().await;
}

#[tokio::test]
async fn a_change_of_nothing_is_no_change() {
    let installation = Installation::start(Ground::Embedded).await;
    let key = installation.project_key("acme").await;
    let webhook = r#"{"url":"https://example.com/"}"#;
    let added = installation.post("/api/v1/webhooks", &key, webhook).await;
    let added = added.json(201);
    let path = format!("/api/v1/webhooks/{}", added["id"].as_str().unwrap());
    let before = installation.get(&path, &key).await.json(200);
    let answer = installation.call("PATCH", &path, &key, "{}").await;
    assert_eq!(answer.json(200), before);
    assert_eq!(installation.get(&path, &key).await.json(200), before);
    let told = r#"{"description":"x"}"#;
    let changed = installation.call("PATCH", &path, &key, told).await;
    assert_eq!(changed.json(200)["revision"], 2);
    installation.stop().await;
}

async fn a_change_by_another_process_is_in_force_soon(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    let receiver = Receiver::start().await;
    let webhook = json!({"url": receiver.url("/old")}).to_string();
    let added = installation.post("/api/v1/webhooks", &key, &webhook).await;
    let id = added.json(201)["id"].as_str().unwrap().parse().unwrap();
    publish(&installation, &key).await;
    receiver.wait_for("/old", 1).await;

    // Not through the service of this process, which would tell its workers.
    let store = &installation.services.context.store;
    let mut webhook = store.webhook(&id).await.unwrap().unwrap();
    webhook.url = receiver.url("/new").parse().unwrap();
    webhook.revision += 1;
    store.put_webhook(&webhook).await.unwrap();
    let changed_at = Instant::now();
    installation
        .until("the workers go by the change", async || {
            publish(&installation, &key).await;
            (!receiver.received("/new").is_empty()).then_some(())
        })
        .await;
    let took = changed_at.elapsed();
    assert!(
        took < Duration::from_secs(20),
        "promised is a second, on a machine at rest: {took:?}"
    );
    installation.stop().await;
}

async fn a_webhook_from_registering_to_removing(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    let added = installation
        .post(
            "/api/v1/webhooks",
            &key,
            r#"{"url":"https://example.com/hook?token=abc","events":["b.c","a.b"],"headers":{"X-Tenant":"t1"},
                "description":"the shop","rate_limit":5}"#,
        )
        .await;
    let webhook = added.json(201);
    let id = webhook["id"].as_str().unwrap();
    let path = format!("/api/v1/webhooks/{id}");
    assert_eq!(added.header("location"), path);
    assert_eq!(webhook["events"], json!(["a.b", "b.c"]));
    assert_eq!(webhook["project"], "acme");
    let secret = webhook["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));

    let shown = installation.get(&path, &key).await;
    let text = String::from_utf8(shown.body.to_vec()).unwrap();
    for hidden in [secret, "token=abc", "t1"] {
        assert!(!text.contains(hidden), "{text}");
    }

    let change = r#"{"events":null,"rate_limit":null,"description":"","enabled":false,"disabled_because":"moving"}"#;
    let changed = installation
        .call("PATCH", &path, &key, change)
        .await
        .json(200);
    assert_eq!(
        (
            &changed["events"],
            &changed["rate_limit"],
            &changed["description"]
        ),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(changed["disabled_because"], "moving");
    assert_eq!(changed["revision"], 2);
    let enabled = installation
        .call("PATCH", &path, &key, r#"{"enabled":true}"#)
        .await;
    assert_eq!(enabled.json(200)["enabled"], true);

    let rotated = installation
        .post(
            &format!("{path}/rotate-secret"),
            &key,
            r#"{"overlap":"1h"}"#,
        )
        .await;
    let rotated = rotated.json(200);
    assert_ne!(rotated["secret"], webhook["secret"]);
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2);

    let rotate = async |body: &str| {
        let path = format!("{path}/rotate-secret");
        installation.post(&path, &key, body).await
    };
    let at = |days: u64| MachineClock.now() + Duration::from_hours(24 * days);
    let activate = |days| json!({ "activate_at": at(days).to_string() }).to_string();
    for body in [activate(91), r#"{"overlap":"91d"}"#.to_owned()] {
        rotate(&body).await.problem(422, "members_refused");
    }
    rotate(&activate(1)).await.json(200);
    rotate(&activate(2)).await.problem(409, "rotation_pending");
    let at_once = rotate("{}").await.json(200);
    let from = at_once["secrets"].as_array().unwrap().iter();
    let mut from = from.map(|secret| secret["signs_from"].as_str().unwrap());
    let now = MachineClock.now();
    assert!(
        from.all(|moment| moment.parse::<Timestamp>().unwrap() <= now),
        "the one that waited is gone: {at_once}"
    );

    let list = installation.get("/api/v1/webhooks", &key).await.json(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    installation
        .call("DELETE", &path, &key, "")
        .await
        .nothing(204);
    installation
        .get(&path, &key)
        .await
        .problem(404, "not_found");
    installation.stop().await;
}

async fn another_projects_webhook_is_not_there(ground: Ground) {
    let installation = Installation::start(ground).await;
    let (own, other) = (
        installation.project_key("acme").await,
        installation.project_key("hinto").await,
    );
    let webhook = r#"{"url":"https://example.com/"}"#;
    let added = installation
        .post("/api/v1/webhooks", &own, webhook)
        .await
        .json(201);
    let path = format!("/api/v1/webhooks/{}", added["id"].as_str().unwrap());
    let calls = [
        ("GET", "", ""),
        ("PATCH", "", "{}"),
        ("DELETE", "", ""),
        ("POST", "/test", ""),
        ("POST", "/rotate-secret", ""),
    ];
    let nobodys = "/api/v1/webhooks/whk_00000000000000000000000000000000";
    for (method, suffix, body) in calls {
        let answer = installation
            .call(method, &format!("{path}{suffix}"), &other, body)
            .await;
        answer.problem(404, "not_found");
        let unknown = installation
            .call(method, &format!("{nobodys}{suffix}"), &other, body)
            .await;
        assert_eq!(
            answer.body, unknown.body,
            "the answer does not tell that it is there"
        );
    }
    let list = installation.get("/api/v1/webhooks", &other).await.json(200);
    assert_eq!(list["data"], json!([]));
    installation
        .get("/api/v1/webhooks?project=acme", &other)
        .await
        .problem(404, "not_found");
    installation
        .post(
            "/api/v1/webhooks",
            &other,
            r#"{"url":"https://example.com/","project":"acme"}"#,
        )
        .await
        .problem(403, "project_forbidden");
    let all = installation
        .get("/api/v1/webhooks", &installation.operator)
        .await
        .json(200);
    assert_eq!(all["data"][0]["id"], added["id"]);
    installation.get(&path, &own).await.json(200);
    installation.stop().await;
}

#[tokio::test]
async fn a_webhook_that_cannot_be_read_can_be_removed_by_those_whose_it_is() {
    let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
    let installation = Installation::start_on(store.clone()).await;
    let own = installation.project_key("acme").await;
    let other = installation.project_key("hinto").await;
    let webhook = r#"{"url":"https://example.com/"}"#;
    let damaged = async || {
        let added = installation.post("/api/v1/webhooks", &own, webhook).await;
        let id = added.json(201)["id"].as_str().unwrap().to_owned();
        store.damage(&id);
        format!("/api/v1/webhooks/{id}")
    };
    let remove = async |path: &str, key: &str| installation.call("DELETE", path, key, "").await;
    let path = damaged().await;
    remove(&path, &other).await.problem(404, "not_found");
    remove(&path, &own).await.nothing(204);
    remove(&path, &own).await.problem(404, "not_found");
    remove(&damaged().await, &installation.operator)
        .await
        .nothing(204);
    let left = installation.get("/api/v1/webhooks", &own).await.json(200);
    assert_eq!((&left["data"], &left["damaged"]), (&json!([]), &json!([])));
    installation.stop().await;
}

async fn a_test_event_is_signed_and_sent_at_once(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    let receiver = Receiver::start().await;
    receiver.script(
        "/hook",
        [
            Answer::status(200),
            Answer::status(500).with_body("no\u{1b}"),
        ],
    );
    let webhook = json!({"url": receiver.url("/hook")}).to_string();
    let added = installation
        .post("/api/v1/webhooks", &key, &webhook)
        .await
        .json(201);
    let path = format!("/api/v1/webhooks/{}/test", added["id"].as_str().unwrap());

    let tested = installation.post(&path, &key, "").await.json(200);
    assert_eq!(tested["accepted"], true);
    assert_eq!(tested["attempt"]["trigger"], "test");
    let requests = receiver.wait_for("/hook", 1).await;
    assert_eq!(requests[0].body, tested["body"].as_str().unwrap());
    assert!(requests[0].header("webhook-signature").is_some());

    let tested = installation.post(&path, &key, "").await.json(200);
    assert_eq!(tested["accepted"], false);
    assert_eq!(tested["attempt"]["status"], 500);
    assert_eq!(tested["attempt"]["excerpt"], "no\\u{1b}");
    installation.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_told_with_its_status() {
    let installation = Installation::start(Ground::Embedded).await;
    let key = installation.project_key("acme").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = format!(r#"{{"url":"http://{}/"}}"#, listener.local_addr().unwrap());
    let receive = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let part = b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nhalf";
        stream.write_all(part).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let added = installation.post("/api/v1/webhooks", &key, &webhook).await;
    let id = added.json(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/webhooks/{id}/test");
    let (tested, ()) = tokio::join!(installation.post(&path, &key, ""), receive);
    let tested = tested.json(200);
    assert_eq!(tested["accepted"], false);
    let attempt = &tested["attempt"];
    assert_eq!(
        (&attempt["outcome"], &attempt["status"]),
        (&json!("connection_lost"), &json!(202))
    );
    installation.stop().await;
}

#[tokio::test]
async fn every_fault_of_a_webhook_is_told_at_once() {
    let installation =
        Installation::start_with(Ground::Embedded, ringback_api::Limits::default(), []).await;
    let key = installation.project_key("hooked").await;
    let refused = installation
        .post(
            "/api/v1/webhooks",
            &key,
            r#"{"url":"http://10.0.0.1/","events":["project.failed","no.such","nor this"],"secret":"s",
                "headers":{"Host":"x","X-N":1},"rate_limit":0,"colour":"red","description":["x"]}"#,
        )
        .await;
    let mut faulty = refused.faulty();
    faulty.sort();
    assert_eq!(
        faulty,
        [
            "colour",
            "description",
            "events",
            "events[2]",
            "headers",
            "headers.X-N",
            "rate_limit",
            "secret",
            "url"
        ]
    );
    let none = installation
        .post("/api/v1/webhooks", &installation.operator, "")
        .await;
    assert_eq!(none.faulty(), ["project", "url"]);
    installation.stop().await;
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended_even_when_that_one_is_gone() {
    let installation =
        Installation::start_with(Ground::Embedded, ringback_api::Limits::default(), []).await;
    let key = installation.project_key("acme").await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let webhook = json!({"url": format!("https://example.com/{number}")}).to_string();
        let added = installation
            .post("/api/v1/webhooks", &key, &webhook)
            .await
            .json(201);
        ids.push(added["id"].clone());
    }
    let mut found = Vec::new();
    let mut path = "/api/v1/webhooks?limit=2".to_owned();
    loop {
        let page = installation.get(&path, &key).await.json(200);
        let data = page["data"].as_array().unwrap();
        found.extend(data.iter().map(|webhook| webhook["id"].clone()));
        let last = data.last().unwrap()["id"].as_str().unwrap();
        installation
            .call("DELETE", &format!("/api/v1/webhooks/{last}"), &key, "")
            .await
            .nothing(204);
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/webhooks?limit=2&cursor={cursor}");
    }
    assert_eq!(found, ids);
    for (query, member) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("cursor=x", "cursor"),
        ("colour=red", "colour"),
        ("limit=1&limit=2", "limit"),
    ] {
        let refused = installation
            .get(&format!("/api/v1/webhooks?{query}"), &key)
            .await;
        assert_eq!(refused.faulty(), [member], "{query}");
    }
    installation.stop().await;
}
