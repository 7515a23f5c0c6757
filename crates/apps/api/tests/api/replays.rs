//! From an outage to its end over HTTP: groups, a note, a plan looked at, run and reported, and the numbers beside them.

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use ringback_api::Limits;
use ringback_domain::limits::NOTE_CHARS_MAX;
use ringback_testkit::{
    receiver::{Answer, Receiver},
    samples::unique,
};
use ringback_worker::Role;
use serde_json::{Value, json};

on_both_grounds! {
    an_outage_is_seen_noted_and_replayed,
    what_is_said_for_people_has_one_limit_everywhere,
}

/// Dead letters at the broken receiver.
const GIVEN_UP: usize = 3;

async fn an_outage_is_seen_noted_and_replayed(ground: Ground) {
    let roles = [Role::Dispatch, Role::Deliver, Role::Replay];
    let installation = Installation::start_with(ground, Limits::default(), roles).await;
    let receiver = Receiver::start().await;
    // The profile has no retry: one refusal is a dead letter.
    receiver.script("/broken", [Answer::status(503)]);
    let key = installation.project_key("strict").await;
    let others = installation.project_key("hinto").await;
    let webhook = json!({ "url": receiver.url("/broken") }).to_string();
    let webhook = installation.post("/api/v1/webhooks", &key, &webhook).await;
    let webhook = webhook.json(201)["id"].as_str().unwrap().to_owned();
    for _ in 0..GIVEN_UP {
        let event = json!({"id": unique("evt_"), "project": "strict", "type": "task.completed", "job": {"id": "task_1"}});
        let published = installation
            .post("/api/v1/events", &key, &event.to_string())
            .await;
        published.json(202);
    }

    let groups = "/api/v1/dead-letters/groups?order=count";
    let group = installation
        .until("all are given up", async || {
            let list = installation.get(groups, &key).await.json(200);
            let group = list["data"][0].clone();
            (group["open_count"] == GIVEN_UP).then_some(group)
        })
        .await;
    assert_eq!(group["destination"], webhook.as_str(), "{group}");
    assert_eq!(
        group["share_of_traffic"], 1.0,
        "nothing else came to an end"
    );
    assert!(group["acknowledgement"].is_null());
    let hidden = installation.get(groups, &others).await.json(200);
    assert_eq!(hidden["data"], json!([]), "groups are their project's");
    let stats = installation.get("/api/v1/stats", &key).await.json(200);
    assert_eq!(stats["open_dead_letters"], GIVEN_UP);
    assert_eq!(traffic(&stats, "dead_lettered"), GIVEN_UP as u64);
    assert!(stats["queues"].is_null(), "queues are the operator's");
    let all = installation
        .get("/api/v1/stats", &installation.operator)
        .await;
    assert!(all.json(200)["queues"].is_array());

    let cause = group["cause"]["fingerprint"].as_str().unwrap();
    let acknowledge = format!("/api/v1/dead-letters/groups/{cause}/acknowledge");
    let note = r#"{"note":"the shop knows"}"#;
    let unknown = installation.post(&acknowledge, &others, note).await;
    unknown.problem(404, "not_found");
    let known = installation.post(&acknowledge, &key, note).await.json(200);
    assert_eq!(known["acknowledgement"]["note"], "the shop knows");
    assert_eq!(known["is_again"], false);

    receiver.script("/broken", [Answer::status(200)]);
    let wanted = json!({"reason": "the shop is back", "filter": {"cause": cause}, "rate": null});
    let plan = installation
        .post("/api/v1/replays", &key, &wanted.to_string())
        .await
        .json(201);
    assert_eq!(
        (&plan["state"], &plan["preview"]["entries"]),
        (&json!("planned"), &json!(GIVEN_UP))
    );
    let path = format!("/api/v1/replays/{}", plan["id"].as_str().unwrap());
    installation
        .get(&path, &others)
        .await
        .problem(404, "not_found");
    installation
        .post(&format!("{path}/start"), &key, "")
        .await
        .json(200);
    let plan = installation
        .until("the plan is finished", async || {
            let plan = installation.get(&path, &key).await.json(200);
            (plan["state"] == "finished").then_some(plan)
        })
        .await;
    assert_eq!(plan["counts"]["delivered"], GIVEN_UP, "{plan}");
    let changes: Vec<_> = plan["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["to"])
        .collect();
    assert_eq!(changes, ["planned", "running", "finished"]);
    let list = installation.get("/api/v1/replays", &key).await.json(200);
    assert_eq!(list["data"][0]["id"], plan["id"]);
    let left = installation.get(groups, &key).await.json(200);
    assert_eq!(left["data"], json!([]), "nothing is open any more");
    let stats = installation.get("/api/v1/stats?step=hour", &key).await;
    assert_eq!(traffic(&stats.json(200), "delivered"), GIVEN_UP as u64);
    installation.stop().await;
}

/// The sum of a number over all steps.
fn traffic(stats: &Value, member: &str) -> u64 {
    let steps = stats["traffic"].as_array().unwrap().iter();
    steps.map(|step| step[member].as_u64().unwrap()).sum()
}

async fn what_is_said_for_people_has_one_limit_everywhere(ground: Ground) {
    let installation = Installation::start_without_workers(ground, []).await;
    let key = installation.project_key("acme").await;
    // Characters, as the description of the API has it: each of these has two bytes.
    let fits = "ü".repeat(NOTE_CHARS_MAX);
    let long = format!("{fits}ü");
    let acknowledge = "/api/v1/dead-letters/groups/0123456789abcdef/acknowledge";
    let note = |text: &str| json!({ "note": text }).to_string();
    for refused in [&long, "", "  "] {
        let refused = installation.post(acknowledge, &key, &note(refused)).await;
        refused.problem(422, "members_refused");
        assert_eq!(refused.faulty(), ["note"]);
    }
    let unknown = installation.post(acknowledge, &key, &note(&fits)).await;
    unknown.problem(404, "not_found");

    let plan = |text: &str| json!({ "reason": text, "filter": {} }).to_string();
    let refused = installation
        .post("/api/v1/replays", &key, &plan(&long))
        .await;
    refused.problem(422, "members_refused");
    assert_eq!(refused.faulty(), ["reason"]);
    let nothing = installation
        .post("/api/v1/replays", &key, &plan(&fits))
        .await;
    assert_eq!(nothing.faulty(), ["filter"], "there is nothing to replay");
    for unsaid in [r#"{"dry_run":true}"#, r#"{"dry_run":true,"filter":null}"#] {
        let refused = installation.post("/api/v1/replays", &key, unsaid).await;
        assert_eq!(refused.faulty(), ["filter"], "all is not meant by nothing");
    }
    installation.stop().await;
}
