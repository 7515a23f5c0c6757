//! Keys: who may call what, and what belongs to whom.

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use ringback_api::auth::FAILURES_MAX;
use ringback_domain::{KeyOwner, KeyScope};

on_both_grounds! {
    a_key_opens_what_its_scopes_say,
    what_is_no_key_is_refused_alike,
    a_revoked_key_opens_nothing,
    a_key_whose_time_is_over_opens_nothing,
    a_key_makes_and_revokes_no_more_than_it_is,
}

async fn a_key_opens_what_its_scopes_say(ground: Ground) {
    let installation = Installation::start(ground).await;
    let acme = KeyOwner::Project("acme".parse().unwrap());
    let reader = installation.key(acme.clone(), &[KeyScope::Read]).await;
    let manager = installation.key(acme, &[KeyScope::Manage]).await;
    let webhook = r#"{"url":"https://example.com/"}"#;

    installation
        .get("/api/v1/webhooks", &reader)
        .await
        .json(200);
    installation
        .post("/api/v1/webhooks", &reader, webhook)
        .await
        .problem(403, "scope_missing");
    installation
        .post("/api/v1/webhooks", &manager, webhook)
        .await
        .json(201);
    installation
        .get("/api/v1/webhooks", &manager)
        .await
        .problem(403, "scope_missing");
    installation
        .post("/api/v1/events", &manager, "{}")
        .await
        .problem(403, "scope_missing");
    installation.stop().await;
}

async fn what_is_no_key_is_refused_alike(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    let (id, secret) = key.rsplit_once('_').unwrap();
    let bare = installation
        .send("/api/v1/webhooks", http::Request::builder(), "".into())
        .await;
    bare.problem(401, "key_missing");
    assert!(bare.header("www-authenticate").starts_with("Bearer"));

    let wrong_secret = format!("{id}_{}", secret.replace(['0', '1', '2', '3'], "f"));
    let other_id = format!("rb_{}_{secret}", "0".repeat(32));
    let mut answers = Vec::new();
    for text in [
        "rb_1",
        "nonsense",
        &other_id,
        &wrong_secret,
        id,
        &format!("{key}0"),
    ] {
        let answer = installation.get("/api/v1/webhooks", text).await;
        answer.problem(401, "key_refused");
        answers.push(answer.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "no answer tells more than another");

    let by_header = http::Request::builder().header("x-api-key", &key);
    let answer = installation
        .send("/api/v1/webhooks", by_header, "".into())
        .await;
    answer.json(200);
    installation.stop().await;
}

async fn a_key_whose_time_is_over_opens_nothing(ground: Ground) {
    let installation = Installation::start(ground).await;
    let text = installation.project_key("acme").await;
    installation.get("/api/v1/webhooks", &text).await.json(200);

    let id = text.split('_').nth(1).unwrap().parse().unwrap();
    let mut key = installation.services.keys.get(&id).await.unwrap();
    key.expires_at = Some(installation.services.context.clock.now());
    key.revision += 1;
    let store = &installation.services.context.store;
    store.put_key(&key).await.unwrap();
    installation.services.authenticator.forget_accepted();
    installation
        .get("/api/v1/webhooks", &text)
        .await
        .problem(401, "key_expired");
    installation.stop().await;
}

async fn a_revoked_key_opens_nothing(ground: Ground) {
    let installation = Installation::start(ground).await;
    let key = installation.project_key("acme").await;
    installation.get("/api/v1/webhooks", &key).await.json(200);
    let id = key.split('_').nth(1).unwrap().parse().unwrap();
    let used = installation.services.keys.get(&id).await.unwrap();
    assert!(used.last_used_at.is_some());

    installation.services.keys.revoke(&id).await.unwrap();
    installation.services.authenticator.forget_accepted();
    installation
        .get("/api/v1/webhooks", &key)
        .await
        .problem(401, "key_revoked");
    installation.stop().await;
}

#[tokio::test]
async fn an_address_that_guesses_is_slowed_down_and_others_behind_it_are_not() {
    let installation =
        Installation::start_with(Ground::Embedded, ringback_api::Limits::default(), []).await;
    let known = installation.project_key("acme").await;
    installation.get("/api/v1/webhooks", &known).await.json(200);
    for _ in 0..FAILURES_MAX {
        installation
            .get("/api/v1/webhooks", "rb_1_2")
            .await
            .problem(401, "key_refused");
    }
    let slowed = installation.get("/api/v1/webhooks", "rb_1_2").await;
    slowed.problem(429, "too_many_failures");
    let wait: u64 = slowed.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    installation.get("/api/v1/webhooks", &known).await.json(200);
    installation.stop().await;
}

#[tokio::test]
async fn a_key_not_seen_before_is_checked_now_and_then_behind_an_address_that_guesses() {
    let limits = ringback_api::Limits {
        key_failures_max: 1,
        ..ringback_api::Limits::default()
    };
    let installation = Installation::start_with(Ground::Embedded, limits, []).await;
    let (unknown, another) = (
        installation.project_key("acme").await,
        installation.project_key("acme").await,
    );
    let guess = "rb_1_2";
    let get = async |key| installation.get("/api/v1/webhooks", key).await;
    get(guess).await.problem(401, "key_refused");
    get(guess).await.problem(429, "too_many_failures");
    get(&unknown).await.json(200);
    // One a second; guesses that are not written as keys are do not use it up.
    get(&another).await.problem(429, "too_many_failures");
    let opens = async {
        while get(&another).await.status != 200 {
            get(guess).await.problem(429, "too_many_failures");
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), opens)
        .await
        .expect("its turn comes");
    installation.stop().await;
}

async fn a_key_makes_and_revokes_no_more_than_it_is(ground: Ground) {
    let installation = Installation::start(ground).await;
    let manager = installation.project_key("acme").await;
    let other = installation.project_key("hinto").await;
    let asked =
        r#"{"scopes":["read"],"description":"for the shop","expires_at":"2999-01-01T00:00:00Z"}"#;
    let made = installation
        .post("/api/v1/keys", &manager, asked)
        .await
        .json(201);
    assert_eq!(made["project"], "acme");
    let reader = made["text"].as_str().unwrap();
    installation.get("/api/v1/webhooks", reader).await.json(200);
    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());

    let list = installation.get("/api/v1/keys", &manager).await;
    assert!(!String::from_utf8_lossy(&list.body).contains(reader));
    assert_eq!(list.json(200)["data"].as_array().unwrap().len(), 2);
    let list = installation.get("/api/v1/keys", &other).await.json(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    installation
        .call("DELETE", &path, &other, "")
        .await
        .problem(404, "not_found");

    let acme = KeyOwner::Project("acme".parse().unwrap());
    let lesser = installation.key(acme, &[KeyScope::Manage]).await;
    let refused = installation
        .post(
            "/api/v1/keys",
            &lesser,
            r#"{"scopes":["read","all"],"project":"acme"}"#,
        )
        .await;
    assert_eq!(refused.faulty(), ["scopes[1]", "scopes"]);
    for beyond in [
        r#"{"scopes":["read"],"project":"hinto"}"#,
        r#"{"scopes":["read"],"operator":true}"#,
    ] {
        installation
            .post("/api/v1/keys", &manager, beyond)
            .await
            .problem(403, "project_forbidden");
    }
    let faults = r#"{"expires_at":"2001-01-01T00:00:00Z","project":"nobody"}"#;
    let refused = installation
        .post("/api/v1/keys", &installation.operator, faults)
        .await;
    assert_eq!(refused.faulty(), ["scopes", "project", "expires_at"]);
    let operators = installation
        .post(
            "/api/v1/keys",
            &installation.operator,
            r#"{"scopes":["read"],"operator":true}"#,
        )
        .await;
    assert_eq!(operators.json(201)["project"], serde_json::Value::Null);

    installation
        .call("DELETE", &path, &manager, "")
        .await
        .nothing(204);
    installation
        .get("/api/v1/webhooks", reader)
        .await
        .problem(401, "key_revoked");
    installation.stop().await;
}
