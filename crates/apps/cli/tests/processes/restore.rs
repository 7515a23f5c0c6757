//! A store that is lost, and what was in it brought back from files: webhooks first, then what was given up.

use crate::{
    desk::event,
    installation::{Ground, Installation},
};
use ringback_profile::DestinationKind;
use ringback_signing::{Received as Signed, Secret};
use ringback_testkit::receiver::{Answer, Received, Receiver};
use serde_json::Value;
use std::fs;

/// A project whose profile signs, and gives up at once.
const STRICT: &str = "strict";
const CONFIGURATION: &str = r#"
[projects.strict]
profile = "strict"

[profiles.strict]
body = "del(.project)"
success = ["200"]
time_limit = "3s"
headers = { webhook-id = "{event.id}", webhook-timestamp = "{timestamp}" }
retry = { delays = [] }

[profiles.strict.signature]
header = "webhook-signature"
signed = "{id}.{timestamp}.{body}"
value = "v1,{signature}"
digest = "base64"
secret = "base64"
secret_prefix = "whsec_"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn on_rabbitmq_and_redis_what_was_given_up_is_signed_as_before_after_a_loss() {
    what_was_given_up_is_signed_as_before_after_a_loss(Ground::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_embedded_default_what_was_given_up_is_signed_as_before_after_a_loss() {
    what_was_given_up_is_signed_as_before_after_a_loss(Ground::Embedded).await;
}

async fn what_was_given_up_is_signed_as_before_after_a_loss(ground: Ground) {
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Answer::status(503), Answer::status(200)]);
    let kept = tempfile::tempdir().unwrap();
    let [webhooks, letters] = ["webhooks.jsonl", "dead-letters.jsonl"].map(|name| {
        let path = kept.path().join(name);
        path.to_str().unwrap().to_owned()
    });

    let old = Installation::with(ground, CONFIGURATION);
    let worker = old.serve().await;
    let url = receiver.url("/hook?tenant=7");
    let add = ["webhooks", "add", &url, "--project", STRICT];
    let added = run(&old, &[&add[..], &["--header", "X-Key: hush"]].concat()).await;
    let secret = added["secret"].as_str().unwrap();
    publish(&old, "evt_before").await;
    receiver.wait_for("/hook", 1).await;
    let desk = old.desk().await;
    desk.wait_for_deliveries(STRICT, "dead_lettered", 1).await;
    desk.close().await;
    run(&old, &["webhooks", "export", &webhooks]).await;
    run(&old, &["dead", "export", &letters]).await;
    worker.stop().await;
    drop(old);
    assert!(!fs::read_to_string(&webhooks).unwrap().contains(secret));

    // Another prefix, another directory: nothing is there but the same keys and the same projects.
    let new = Installation::with(ground, CONFIGURATION);
    let worker = new.serve().await;
    let import = new.command(&["dead", "import", &letters]).output().await;
    let told = String::from_utf8(import.unwrap().stdout).unwrap();
    assert!(told.contains("which is not here"), "{told}");
    let imported = run(&new, &["webhooks", "import", &webhooks]).await;
    assert_eq!(imported["imported"], 1, "{imported}");
    let imported = run(&new, &["dead", "import", &letters]).await;
    assert_eq!(imported["imported"], 1, "{imported}");
    let listed = run(&new, &["dead", "list"]).await;
    let letter = listed["data"][0]["id"].as_str().unwrap();
    run(&new, &["dead", "replay", letter]).await;
    let requests = receiver.wait_for("/hook", 2).await;
    assert_is_as_before(&new, &requests[1], "evt_before", secret);

    // The worker, which ran all the while, knows it as one that was registered.
    publish(&new, "evt_after").await;
    let requests = receiver.wait_for("/hook", 3).await;
    assert_is_as_before(&new, &requests[2], "evt_after", secret);
    worker.stop().await;
}

fn assert_is_as_before(installation: &Installation, received: &Received, id: &str, secret: &str) {
    let book = installation.config([]).profile_book();
    let profile = book.profile(&STRICT.parse().unwrap()).unwrap();
    let scheme = profile.signature(DestinationKind::Webhook).unwrap();
    let signed = Signed {
        signature: received.header("webhook-signature"),
        id: received.header("webhook-id"),
        timestamp: received.header("webhook-timestamp"),
        body: &received.body,
    };
    scheme
        .verify(&[Secret::try_new(secret).unwrap()], signed, None)
        .unwrap();
    assert_eq!(received.header("webhook-id"), Some(id));
    assert_eq!(received.header("x-key"), Some("hush"));
    assert_eq!(received.uri.query(), Some("tenant=7"));
}

async fn publish(installation: &Installation, id: &str) {
    let file = installation.config_path().with_file_name(id);
    fs::write(&file, event(STRICT, id, 16)).unwrap();
    run(installation, &["publish", file.to_str().unwrap()]).await;
}

/// What a command says in JSON.
async fn run(installation: &Installation, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--yes", "--output", "json"]].concat();
    let output = installation.command(&arguments).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
