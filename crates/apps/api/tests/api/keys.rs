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
        .send("/api/v1/webhooks", http::Request::get(""), "".into())
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

    let by_header = http::Request::get("").header("x-api-key", &key);
    let answer = installation
        .send("/api/v1/webhooks", by_header, "".into())
        .await;
    answer.json(200);
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
    let (known, unknown) = (
        installation.project_key("acme").await,
        installation.project_key("acme").await,
    );
    installation.get("/api/v1/webhooks", &known).await.json(200);
    for _ in 0..FAILURES_MAX {
        installation
            .get("/api/v1/webhooks", "rb_1_2")
            .await
            .problem(401, "key_refused");
    }
    for guess in ["rb_1_2", &unknown] {
        let slowed = installation.get("/api/v1/webhooks", guess).await;
        slowed.problem(429, "too_many_failures");
        let wait: u64 = slowed.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    installation.get("/api/v1/webhooks", &known).await.json(200);
    installation.stop().await;
}
