//! A customer of each platform follows that platform's page, with a key and an address of ours.

use crate::{
    installation::{Answer, Ground, Installation},
    on_both_grounds,
};
use http::Request;
use ringback_testkit::receiver::Receiver;
use serde_json::{Value, json};

on_both_grounds! {
    mh_1_2_3_4_a_customer_registers_lists_tests_and_deletes,
    vp_7_a_customer_registers_and_is_called,
    hk_1_the_webhook_is_the_project_s,
    hi_2_3_13_there_is_a_project_webhook_and_a_callback_for_each_request,
}

/// A call as `curl -H "Content-Type: application/json" -d …` makes it.
async fn curl(
    installation: &Installation,
    method: &str,
    path: &str,
    header: (&str, String),
    body: Value,
) -> Answer {
    let mut request = Request::builder().method(method).header(header.0, header.1);
    let mut text = String::new();
    if !body.is_null() {
        request = request.header("content-type", "application/json");
        text = body.to_string();
    }
    installation.send(path, request, text.into()).await
}

async fn publish(installation: &Installation, event: Value) {
    let key = &installation.operator;
    let accepted = installation
        .post("/api/v1/events", key, &event.to_string())
        .await;
    accepted.json(202);
}

/// By `Authorization: Bearer`.
async fn mh_1_2_3_4_a_customer_registers_lists_tests_and_deletes(ground: Ground) {
    let installation = Installation::start(ground).await;
    let bearer = async || {
        let key = installation.project_key("modelhunter").await;
        ("Authorization", format!("Bearer {key}"))
    };
    let receiver = Receiver::start().await;
    let url = receiver.url("/webhooks/modelhunter");
    let path = "/api/v1/webhooks";
    let body = json!({"url": url, "events": ["task.completed", "task.failed"]});
    let added = curl(&installation, "POST", path, bearer().await, body).await;
    let id = added.json(201)["id"].as_str().unwrap().to_owned();
    let one = format!("{path}/{id}");

    let test = format!("{one}/test");
    let tested = curl(&installation, "POST", &test, bearer().await, Value::Null);
    assert_eq!(tested.await.json(200)["accepted"], true);
    let requests = receiver.wait_for("/webhooks/modelhunter", 1).await;
    let signature = requests[0].header("x-webhook-signature").unwrap();
    assert!(signature.starts_with("sha256="), "{signature}");

    let unknown = json!({"url": url, "events": ["task.started"]});
    let refused = curl(&installation, "POST", path, bearer().await, unknown).await;
    assert_eq!(refused.faulty(), ["events"]);

    let list = curl(&installation, "GET", path, bearer().await, Value::Null).await;
    assert_eq!(list.json(200)["data"][0]["id"], id);
    let removed = curl(&installation, "DELETE", &one, bearer().await, Value::Null).await;
    removed.nothing(204);
    let list = curl(&installation, "GET", path, bearer().await, Value::Null).await;
    assert_eq!(list.json(200)["data"], json!([]));
    installation.stop().await;
}

async fn vp_7_a_customer_registers_and_is_called(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("videopilot").await;
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url("/webhook"), "events": ["render.completed"]});
    let header = ("Authorization", format!("Bearer {key}"));
    let added = curl(&installation, "POST", "/api/v1/webhooks", header, body).await;
    assert!(added.json(201)["secret"].is_string());
    let rendered = json!({
        "project": "videopilot", "type": "render.completed", "occurred_at": "2024-01-15T10:43:30Z",
        "job": {"id": "render_789xyz", "status": "completed"},
        "data": {"render_job_id": "render_789xyz", "video_id": "video_123abc", "status": "completed",
                 "output_url": "https://cdn.example.com/v.mp4", "duration": 87.5, "file_size": 25_690_112, "quality": "high"},
    });
    publish(&installation, rendered).await;
    let requests = receiver.wait_for("/webhook", 1).await;
    let sent: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(sent["event"], "render.completed");
    assert_eq!(sent["data"]["duration"], 87.5);
    installation.stop().await;
}

/// By `x-api-key`, with one URL.
async fn hk_1_the_webhook_is_the_project_s(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("hooked").await;
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url("/api/webhook"), "events": []});
    let header = ("x-api-key", key);
    let added = curl(&installation, "POST", "/api/v1/webhooks", header, body).await;
    assert!(
        added.json(201).get("secret").is_none(),
        "Hooked does not sign"
    );
    let failed = json!({
        "project": "hooked", "type": "project.failed", "occurred_at": "2024-01-15T10:33:00Z",
        "job": {"id": "proj_abc123", "status": "failed", "error": "Script too short to generate video",
                "created_at": "2024-01-15T10:30:00Z"},
    });
    publish(&installation, failed).await;
    let requests = receiver.wait_for("/api/webhook", 1).await;
    let sent: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(sent["event"], "project.failed");
    assert_eq!(sent["message"], "Script too short to generate video");
    installation.stop().await;
}

/// By `X-API-Key`; see HI-4 and HI-9 to HI-12, too.
async fn hi_2_3_13_there_is_a_project_webhook_and_a_callback_for_each_request(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("hinto").await;
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url("/project")});
    let header = ("X-API-Key", key.clone());
    let added = curl(&installation, "POST", "/api/v1/webhooks", header, body);
    added.await.json(201);
    let event = json!({
        "project": "hinto", "type": "job.completed", "occurred_at": "2026-06-01T10:01:30Z",
        "job": {"id": "5f0c2c1e-6d7b-4b7a-9a51-2f1d0c9b8a77", "kind": "generate", "status": "completed",
                "output": {"title": "x"}, "error": null,
                "created_at": "2026-06-01T10:00:00Z", "completed_at": "2026-06-01T10:01:30Z"},
        "callback": {"url": receiver.url("/callback"), "secret": "cb-secret-1"},
    });
    let header = ("X-API-Key", key);
    let accepted = curl(&installation, "POST", "/api/v1/events", header, event);
    accepted.await.json(202);
    let project = receiver.wait_for("/project", 1).await;
    let callback = receiver.wait_for("/callback", 1).await;
    assert!(project[0].header("x-hinto-signature").is_none());
    assert_eq!(callback[0].header("x-hinto-signature").unwrap().len(), 64);
    assert_eq!(project[0].body, callback[0].body);
    installation.stop().await;
}
