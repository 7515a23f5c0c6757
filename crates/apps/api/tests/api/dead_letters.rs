//! Dead letters over HTTP: looked at, sent again, left be, and nobody else's business.

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use ringback_delivery::port::{ClaimAnswer, ClaimRequest, SettledAs, Settlement};
use ringback_domain::{DeadLetter, Destination, Timestamp, WebhookId};
use ringback_testkit::{receiver::Receiver, samples};
use serde_json::json;
use std::time::Duration;

on_both_grounds! {
    a_dead_letter_is_sent_again,
    what_is_too_old_to_be_of_use_is_sent_again_only_when_that_is_asked_for,
    a_dead_letter_given_up_again_since_names_the_newer_one,
    a_dead_letter_is_left_be,
    many_are_left_be_piece_by_piece,
    a_list_of_dead_letters_goes_on_where_it_ended,
    a_destination_is_named_once,
}

/// Keeps the dead letter of a delivery to this webhook.
async fn dead_letter(installation: &Installation, project: &str, webhook: &str) -> DeadLetter {
    let event = samples::event_of(&project.parse().unwrap());
    let id: WebhookId = webhook.parse().unwrap();
    let url = "https://example.com/".parse().unwrap();
    let mut delivery = samples::delivery_of(&event, Destination::Webhook { id, url });
    delivery.profile = "standard".parse().unwrap();
    let now = installation.services.context.clock.now();
    let dead = samples::dead_letter_of(delivery, now);
    let store = &installation.services.context.store;
    store.put_dead_letter(&dead).await.unwrap();
    dead
}

async fn a_dead_letter_is_sent_again(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    let receiver = Receiver::start().await;
    let webhook = json!({"url": receiver.url("/hook")}).to_string();
    let added = installation.post("/api/v1/webhooks", &key, &webhook).await;
    let webhook = added.json(201)["id"].as_str().unwrap().to_owned();
    let dead = dead_letter(&installation, "acme", &webhook).await;
    let path = format!("/api/v1/dead-letters/{}", dead.id);

    let shown = installation.get(&path, &key).await.json(200);
    assert_eq!(shown["disposal"], json!({"state": "open"}));
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    let replay = format!("{path}/replay");
    let replayed = installation.post(&replay, &key, "").await.json(202);
    assert_eq!(
        replayed,
        json!({"dead_letter": dead.id.to_string(), "generation": 1})
    );
    let requests = receiver.wait_for("/hook", 1).await;
    assert_eq!(requests[0].body, dead.delivery().unwrap().body);

    installation
        .post(&replay, &key, "")
        .await
        .problem(409, "already_dealt_with");
    let shown = installation.get(&path, &key).await.json(200);
    let by = shown["disposal"]["by"].as_str().unwrap();
    assert!(by.starts_with("key "), "{by}");
    let delivery = dead.delivery().unwrap().id.clone();
    let delivery = format!("/api/v1/deliveries/{delivery}");
    installation
        .until("the first replay is settled", async || {
            let answer = installation.get(&delivery, &key).await;
            (answer.status == 200 && answer.json(200)["state"] == "delivered").then_some(())
        })
        .await;
    // The receiver has it now, and who is asked for it again must not say that it is on its way.
    let again = installation.post(&replay, &key, r#"{"again":true}"#).await;
    again.problem(409, "not_replayable");
    installation.stop().await;
}

/// Its replay was published, and never marked.
async fn a_dead_letter_given_up_again_since_names_the_newer_one(ground: Ground) {
    let installation = Installation::start_without_workers(ground, []).await;
    let key = installation.project_key("acme").await;
    let older = dead_letter(&installation, "acme", "whk_1").await;
    let replay = samples::replay_of(older.delivery().unwrap());
    let store = &installation.services.context.store;
    let worker = samples::worker();
    let request = ClaimRequest {
        delivery: &replay,
        worker: &worker,
        nonce: samples::claim_nonce(),
        lease: Duration::from_secs(5),
    };
    let ClaimAnswer::Granted { claim, .. } = store.claim(request).await.unwrap() else {
        panic!("nobody holds it")
    };
    let newer = samples::dead_letter_of(replay.clone(), installation.services.context.clock.now());
    let settlement = Settlement {
        claim: &claim,
        delivery: &replay,
        attempts: &[],
        settled_as: &SettledAs::DeadLettered(Box::new(newer.clone())),
        at: newer.died_at,
    };
    store.settle(settlement).await.unwrap();
    let path = format!("/api/v1/dead-letters/{}/replay", older.id);
    let refused = installation.post(&path, &key, "").await;
    refused.problem(409, "not_replayable");
    let detail = refused.json(409)["detail"].to_string();
    assert!(detail.contains(newer.id.as_str()), "{detail}");
    installation.stop().await;
}

/// The links of Hooked die after 7 days.
async fn what_is_too_old_to_be_of_use_is_sent_again_only_when_that_is_asked_for(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("hooked").await;
    let receiver = Receiver::start().await;
    let webhook = json!({"url": receiver.url("/hook")}).to_string();
    let added = installation.post("/api/v1/webhooks", &key, &webhook).await;
    let webhook = added.json(201)["id"].as_str().unwrap().to_owned();
    let now = installation.services.context.clock.now();
    let mut event = samples::event_of(&"hooked".parse().unwrap());
    event.occurred_at = Some(now - Duration::from_hours(24 * 8));
    let (id, url) = (webhook.parse().unwrap(), receiver.url("/hook"));
    let url = url.parse().unwrap();
    let mut delivery = samples::delivery_of(&event, Destination::Webhook { id, url });
    delivery.profile = "hooked".parse().unwrap();
    let dead = samples::dead_letter_of(delivery, now);
    let store = &installation.services.context.store;
    store.put_dead_letter(&dead).await.unwrap();

    let list = installation.get("/api/v1/dead-letters", &key).await;
    let shown = &list.json(200)["data"][0];
    let happened = shown["occurred_at"].as_str().unwrap();
    assert_eq!(happened.parse::<Timestamp>().ok(), event.occurred_at);
    assert_eq!(shown["stale"], true);
    let replay = format!("/api/v1/dead-letters/{}/replay", dead.id);
    let refused = installation.post(&replay, &key, "").await;
    refused.problem(409, "stale");
    let told = String::from_utf8_lossy(&refused.body);
    assert!(told.contains("8 days ago"), "{told}");
    assert!(told.contains("of use for 7 days"), "{told}");
    let open = installation.get("/api/v1/dead-letters", &key).await;
    assert_eq!(open.json(200)["data"].as_array().unwrap().len(), 1);

    let all_the_same = r#"{"include_stale":true}"#;
    let replayed = installation.post(&replay, &key, all_the_same).await;
    replayed.json(202);
    receiver.wait_for("/hook", 1).await;
    installation.stop().await;
}

async fn a_destination_is_named_once(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    for list in ["deliveries", "dead-letters"] {
        let both = format!("/api/v1/{list}?webhook=whk_1&destination=whk_2");
        let refused = installation.get(&both, &key).await;
        refused.problem(422, "members_refused");
        assert_eq!(refused.faulty(), ["webhook"], "{list}");
    }
    let plan = r#"{"reason":"repaired","filter":{"webhook":"whk_1","destination":"whk_2"}}"#;
    let refused = installation.post("/api/v1/replays", &key, plan).await;
    refused.problem(422, "members_refused");
    assert_eq!(refused.faulty(), ["filter.webhook"]);
    installation.stop().await;
}

async fn a_dead_letter_is_left_be(ground: Ground) {
    let installation = Installation::start_with(ground, ringback_api::Limits::default(), []).await;
    let key = installation.project_key("acme").await;
    let other = installation.project_key("hinto").await;
    let dead = dead_letter(&installation, "acme", "whk_1").await;
    let path = format!("/api/v1/dead-letters/{}", dead.id);
    for (method, suffix) in [("GET", ""), ("DELETE", ""), ("POST", "/replay")] {
        let answer = installation
            .call(method, &format!("{path}{suffix}"), &other, "")
            .await;
        answer.problem(404, "not_found");
    }

    let discard = format!("{path}?reason=the%20shop%20moved");
    installation
        .call("DELETE", &discard, &key, "")
        .await
        .nothing(204);
    let shown = installation.get(&path, &key).await.json(200);
    assert_eq!(shown["disposal"]["state"], "discarded");
    let note = shown["disposal"]["note"].as_str().unwrap();
    assert!(note.starts_with("the shop moved (key "), "{note}");
    installation
        .call("DELETE", &discard, &key, "")
        .await
        .problem(409, "already_dealt_with");
    installation
        .post(&format!("{path}/replay"), &key, "")
        .await
        .problem(409, "already_dealt_with");

    let open = installation.get("/api/v1/dead-letters", &key).await;
    assert_eq!(open.json(200)["data"], json!([]));
    let all = installation
        .get("/api/v1/dead-letters?all=true", &key)
        .await;
    assert_eq!(all.json(200)["data"][0]["id"], dead.id.to_string());

    let again = r#"{"again":true}"#;
    let replayed = installation
        .post(&format!("{path}/replay"), &key, again)
        .await;
    assert_eq!(replayed.json(202)["generation"], 1);

    let raw = samples::raw_dead_letter();
    let store = &installation.services.context.store;
    store.put_dead_letter(&raw).await.unwrap();
    let path = format!("/api/v1/dead-letters/{}", raw.id);
    installation
        .get(&path, &key)
        .await
        .problem(404, "not_found");
    installation
        .get(&path, &installation.operator)
        .await
        .json(200);
    installation
        .post(&format!("{path}/replay"), &installation.operator, "")
        .await
        .problem(409, "not_replayable");
    installation.stop().await;
}

async fn many_are_left_be_piece_by_piece(ground: Ground) {
    let installation = Installation::start_with(ground, ringback_api::Limits::default(), []).await;
    let key = installation.project_key("acme").await;
    let call = "/api/v1/dead-letters/discard";
    let mut newest = None;
    for _ in 0..5 {
        newest = Some(dead_letter(&installation, "acme", "whk_1").await);
    }
    dead_letter(&installation, "acme", "whk_2").await;
    dead_letter(&installation, "hinto", "whk_1").await;
    for (body, member) in [
        (json!({"reason": "moved"}), "filter"),
        (json!({"reason": "moved", "filter": {}}), "filter"),
        (json!({"filter": {"webhook": "whk_1"}}), "reason"),
        (
            json!({"reason": "x".repeat(501), "filter": {"webhook": "whk_1"}}),
            "reason",
        ),
        (
            json!({"reason": "moved", "filter": {"webhook": "whk_1"}, "limit": 0}),
            "limit",
        ),
    ] {
        let refused = installation.post(call, &key, &body.to_string()).await;
        assert_eq!(refused.faulty(), [member], "{body}");
    }
    let theirs = json!({"reason": "moved", "filter": {"project": "hinto"}}).to_string();
    let refused = installation.post(call, &key, &theirs).await;
    refused.problem(403, "project_forbidden");

    let dry = json!({"filter": {"webhook": "whk_1"}, "dry_run": true}).to_string();
    let dry = installation.post(call, &key, &dry).await.json(200);
    assert_eq!(dry["preview"]["entries"], 5, "{dry}");
    assert_eq!(dry["preview"]["by_cause"][0]["entries"], 5, "{dry}");
    assert_eq!(dry["discarded"], 0);

    let mut step = json!({"reason": "the shop moved", "filter": {"webhook": "whk_1"}, "limit": 2});
    let mut discarded = Vec::new();
    loop {
        let done = installation.post(call, &key, &step.to_string()).await;
        let done = done.json(200);
        discarded.push(done["discarded"].as_u64().unwrap());
        if done["next_cursor"].is_null() {
            break;
        }
        step["cursor"] = done["next_cursor"].clone();
        // What is given up meanwhile is nobody's wish.
        dead_letter(&installation, "acme", "whk_1").await;
    }
    assert_eq!(discarded, [2, 2, 1]);
    let path = format!("/api/v1/dead-letters/{}", newest.unwrap().id);
    let shown = installation.get(&path, &key).await.json(200);
    let note = shown["disposal"]["note"].as_str().unwrap();
    assert!(note.starts_with("the shop moved (key "), "{note}");
    let open = async |key: &str, webhook: &str| {
        let path = format!("/api/v1/dead-letters?webhook={webhook}");
        let list = installation.get(&path, key).await.json(200);
        list["data"].as_array().unwrap().len()
    };
    assert_eq!(open(&key, "whk_1").await, 2);
    assert_eq!(open(&key, "whk_2").await, 1);
    assert_eq!(
        open(&installation.operator, "whk_1").await,
        3,
        "one is another project's"
    );

    // Found by words, as in the list; a plan is made of them, too.
    let text = json!({"reason": "moved", "filter": {"text": "refused 503", "webhook": "whk_2"}});
    let text = text.to_string();
    let plan = installation.post("/api/v1/replays", &key, &text).await;
    let plan = plan.json(201);
    assert_eq!(plan["preview"]["entries"], 1, "{plan}");
    let selection = plan["selection"].as_str().unwrap();
    assert!(selection.ends_with("text `refused 503`"), "{selection}");
    let done = installation.post(call, &key, &text).await;
    assert_eq!(done.json(200)["discarded"], 1);
    installation.stop().await;
}

async fn a_list_of_dead_letters_goes_on_where_it_ended(ground: Ground) {
    let installation = Installation::start_with(ground, ringback_api::Limits::default(), []).await;
    let key = installation.project_key("acme").await;
    let mut kept = Vec::new();
    for _ in 0..5 {
        kept.push(
            dead_letter(&installation, "acme", "whk_1")
                .await
                .id
                .to_string(),
        );
    }
    dead_letter(&installation, "hinto", "whk_1").await;
    let mut found = Vec::new();
    let mut path = "/api/v1/dead-letters?webhook=whk_1&limit=2".to_owned();
    loop {
        let page = installation.get(&path, &key).await.json(200);
        let ids = page["data"].as_array().unwrap().iter();
        found.extend(ids.map(|dead| dead["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/dead-letters?webhook=whk_1&limit=2&cursor={cursor}");
    }
    found.sort();
    kept.sort();
    assert_eq!(found, kept);
    let bad = [
        ("cursor=x", "cursor"),
        ("reason=none", "reason"),
        ("since=now", "since"),
        ("all=yes", "all"),
        ("type=a%20b", "type"),
    ];
    for (query, member) in bad {
        let path = format!("/api/v1/dead-letters?{query}");
        assert_eq!(installation.get(&path, &key).await.faulty(), [member]);
    }
    installation.stop().await;
}
