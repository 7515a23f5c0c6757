//! A thousand events of all profiles reach the receivers that customers run: every one verified, none twice.

use crate::{
    events::{NAMES, PROJECTS, event},
    installation::{Client, Ground, Installation, publish},
    published::{Published, Seen, secret},
};
use futures_util::{StreamExt, stream};
use std::collections::HashMap;

const EVENTS: usize = 1_000;
/// Publishes under way at once.
const AT_ONCE: usize = 64;

/// Where the events of a project go: receiver, path, and the variable with the secret that it knows.
const WEBHOOKS: [(&str, &str, &str, Option<&str>); 16] = [
    ("hinto", "hinto4", "/project", None),
    ("hinto", "hinto5", "/project?token=x%20y", None),
    (
        "modelhunter",
        "modelhunter4",
        "/webhooks/modelhunter",
        Some("MODELHUNTER_SECRET"),
    ),
    (
        "modelhunter",
        "modelhunter5",
        "/webhooks/modelhunter",
        Some("MODELHUNTER_SECRET"),
    ),
    ("hooked", "hooked4", "/api/webhook", None),
    ("hooked", "hooked5", "/api/webhook", None),
    (
        "videopilot",
        "videopilot4",
        "/webhook",
        Some("WEBHOOK_SECRET"),
    ),
    (
        "videopilot",
        "videopilot5",
        "/webhook",
        Some("WEBHOOK_SECRET"),
    ),
    (
        "videopilot",
        "videopilot_flask",
        "/webhook",
        Some("WEBHOOK_SECRET"),
    ),
    ("standard", "standardwebhooks", "/", Some("STANDARD_SECRET")),
    (
        "standard",
        "standardwebhooks_python",
        "/",
        Some("STANDARD_SECRET"),
    ),
    ("standard", "svix", "/", Some("STANDARD_SECRET")),
    ("github", "github", "/", Some("GITHUB_SECRET")),
    ("stripe", "stripe", "/", Some("STRIPE_SECRET")),
    ("slack", "slack", "/", Some("SLACK_SECRET")),
    ("shopify", "shopify", "/", Some("SHOPIFY_SECRET")),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_events_are_each_verified_once_on_the_embedded_default() {
    verify(Ground::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_events_are_each_verified_once_on_rabbitmq_and_redis() {
    verify(Ground::Shared).await;
}

async fn verify(ground: Ground) {
    let receivers = Published::start();
    let installation = Installation::new(ground, PROJECTS);
    let worker = installation.worker().await;
    let client = installation.client().await;
    for (project, receiver, path, variable) in WEBHOOKS {
        client
            .webhook(project, receivers.url(receiver, path), variable.map(secret))
            .await;
    }

    let expected = publish_all(&client, &receivers).await;
    let seen = receivers.wait_for(expected).await;
    // Stopped in order, the worker finishes what it has begun: a duplicate under way would be seen.
    worker.stop().await;
    assert_eq!(receivers.seen().len(), expected);
    for request in &seen {
        assert!(matches!(request.status, 200 | 204), "refused: {request:?}");
        check_headers(request);
    }
    let mut counts: HashMap<_, usize> = HashMap::new();
    for request in &seen {
        *counts
            .entry((&request.receiver, &request.path, &request.sha256))
            .or_default() += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// Publishes all, with a callback for some. Returns the number of requests to come.
async fn publish_all(client: &Client, receivers: &Published) -> usize {
    let publisher = client.publisher();
    let mut expected = 0;
    let mut events = Vec::new();
    for number in 0..EVENTS {
        let project = NAMES[number % NAMES.len()];
        let callback = match (project, number % 4) {
            ("hinto", 0) => Some((
                receivers.url("hinto4", "/webhook"),
                Some(secret("CALLBACK_SECRET")),
            )),
            ("hinto", 1) => Some((
                receivers.url("hinto5", "/webhook"),
                Some(secret("CALLBACK_SECRET")),
            )),
            ("hinto", 2) => Some((receivers.url("hinto5", "/project"), None)),
            ("modelhunter", 1) => Some((receivers.url("modelhunter5", "/job"), None)),
            _ => None,
        };
        let webhooks = WEBHOOKS
            .iter()
            .filter(|(owner, ..)| *owner == project)
            .count();
        expected += webhooks + usize::from(callback.is_some());
        events.push(event(project, number, callback));
    }
    stream::iter(events)
        .for_each_concurrent(AT_ONCE, |event| publish(&publisher, event))
        .await;
    expected
}

/// What holds for every request, and what must be absent: see the pages' matrix of headers.
fn check_headers(request: &Seen) {
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), ["application/json"]);
    assert_eq!(
        request.header("content-length"),
        [request.body.len().to_string()]
    );
    for absent in ["transfer-encoding", "content-encoding", "referer"] {
        assert!(request.header(absent).is_empty(), "{request:?}");
    }
    let mut names: Vec<_> = request
        .headers
        .iter()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names.len(),
        request.headers.len(),
        "a header came twice: {request:?}"
    );

    let is_unsigned = request.path.starts_with("/project")
        || request.path == "/job"
        || request.receiver.starts_with("hooked");
    let signed = names
        .iter()
        .filter(|name| name.contains("signature") || name.contains("hmac"))
        .count();
    assert_eq!(signed, usize::from(!is_unsigned), "{request:?}");
    if request.path == "/job" {
        assert_eq!(request.header("x-webhook-event").len(), 1, "{request:?}");
        assert_eq!(request.header("x-job-id").len(), 1, "{request:?}");
    }
}
