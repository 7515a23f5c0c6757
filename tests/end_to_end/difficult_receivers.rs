//! Receivers that fail, hang, reset, redirect or talk too much; retries, dead letters, replay.

use crate::{
    events::event,
    installation::{Client, Ground, Installation, publish},
};
use ringback_domain::{
    AttemptOutcome, DeadLetter, DeadLetterReason, Destination, UnreachableCause,
};
use ringback_testkit::receiver::{Answer, Received, Receiver};
use std::time::Duration;

/// Retries after the first attempt, and their waits.
const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];
const ATTEMPTS: usize = WAITS.len() + 1;
/// What a busy machine may add to a wait.
const LATENESS_MAX: Duration = Duration::from_secs(30);

const QUICK: &str = r#"
[projects.acme]
profile = "quick"

[profiles.quick]
body = "del(.project)"
success = ["2xx"]
time_limit = "2s"
retry = { delays = ["500ms", "1s"] }
headers = { X-Event-Id = "{event.id}", X-Timestamp = "{timestamp}" }
signature = { header = "X-Signature", signed = "{timestamp}.{body}", value = "{signature}", digest = "hex", secret = "utf8" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn difficult_receivers_get_their_retries_and_hold_up_nobody_on_the_embedded_default() {
    serve_difficult_receivers(Ground::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn difficult_receivers_get_their_retries_and_hold_up_nobody_on_rabbitmq_and_redis() {
    serve_difficult_receivers(Ground::Shared).await;
}

async fn serve_difficult_receivers(ground: Ground) {
    let receiver = Receiver::start().await;
    receiver.script("/fails", [Answer::status(503).with_body("out of order")]);
    receiver.script("/hangs", [Answer::hang()]);
    receiver.script("/resets", [Answer::reset()]);
    receiver.script(
        "/redirects",
        [Answer::redirect(307, receiver.url("/elsewhere"))],
    );
    receiver.script("/huge", [Answer::huge(64 * 1024 * 1024)]);
    receiver.script(
        "/recovers",
        [
            Answer::status(500),
            Answer::status(500),
            Answer::status(204),
        ],
    );
    let installation = Installation::new(ground, QUICK);
    let worker = installation.worker().await;
    let client = installation.client().await;
    let given_up = ["/fails", "/hangs", "/resets", "/redirects"];
    for path in given_up
        .into_iter()
        .chain(["/huge", "/recovers", "/healthy"])
    {
        client
            .webhook("acme", receiver.url(path), Some("a secret of some length"))
            .await;
    }

    publish(&client.publisher(), event("acme", 1, None)).await;

    let delivered = client.deliveries("acme", "delivered", 3).await;
    assert_eq!(delivered.len(), 3, "huge, recovers, healthy");
    let dead = client.dead_letters("acme", given_up.len()).await;
    for path in given_up {
        check_retries(&receiver.wait_for(path, ATTEMPTS).await);
        check_dead_letter(dead_letter_of(&dead, path), path);
    }
    check_retries(&receiver.wait_for("/recovers", ATTEMPTS).await);
    assert_eq!(receiver.received("/healthy").len(), 1);
    assert_eq!(receiver.received("/huge").len(), 1);
    assert!(
        receiver.received("/elsewhere").is_empty(),
        "a redirect was followed"
    );

    replay_what_failed(&client, &receiver, dead_letter_of(&dead, "/fails")).await;
    worker.stop().await;
}

fn dead_letter_of<'a>(dead: &'a [DeadLetter], path: &str) -> &'a DeadLetter {
    let goes_there = |dead: &&DeadLetter| match &dead.delivery().unwrap().destination {
        Destination::Webhook { url, .. } | Destination::Callback { url, .. } => url.path() == path,
    };
    dead.iter().find(goes_there).unwrap()
}

/// Every attempt has the same bytes and id; none comes before its wait is over, or much later.
fn check_retries(requests: &[Received]) {
    assert_eq!(requests.len(), ATTEMPTS);
    for request in requests {
        assert_eq!(request.body, requests[0].body);
        assert_eq!(request.header("x-event-id"), Some("evt_acme_1"));
        assert!(request.header("x-signature").is_some());
    }
    for (pair, planned) in requests.windows(2).zip(WAITS) {
        let waited = pair[1].at - pair[0].at;
        assert!(waited >= planned, "{waited:?} instead of {planned:?}");
        assert!(
            waited < planned + LATENESS_MAX,
            "{waited:?} instead of {planned:?}"
        );
    }
}

fn check_dead_letter(dead: &DeadLetter, path: &str) {
    assert_eq!(dead.reason, DeadLetterReason::AttemptsExhausted, "{path}");
    let history = &dead.delivery().unwrap().history;
    assert_eq!(history.len(), ATTEMPTS, "{path}");
    for attempt in history {
        let outcome = &attempt.outcome;
        match path {
            "/fails" => {
                assert_eq!(outcome.status(), Some(503));
                assert_eq!(attempt.excerpt.bytes(), b"out of order");
            }
            "/redirects" => assert_eq!(outcome.status(), Some(307)),
            // A busy machine may use the limit up before it has connected.
            "/hangs" => assert!(
                matches!(
                    outcome,
                    AttemptOutcome::Unreachable(
                        UnreachableCause::TimeLimit | UnreachableCause::ConnectTimeout
                    )
                ),
                "{outcome:?}"
            ),
            _ => assert!(
                matches!(outcome, AttemptOutcome::Unreachable(_)),
                "{outcome:?}"
            ),
        }
    }
}

/// A replay is the same event with the same bytes, signed anew.
async fn replay_what_failed(client: &Client, receiver: &Receiver, dead: &DeadLetter) {
    receiver.script("/fails", [Answer::status(200)]);
    client.replay(dead).await;
    let requests = receiver.wait_for("/fails", ATTEMPTS + 1).await;
    let (first, replay) = (&requests[0], &requests[ATTEMPTS]);
    assert_eq!(replay.body, first.body);
    assert_eq!(replay.header("x-event-id"), first.header("x-event-id"));
    assert!(replay.header("x-signature").is_some());
    client.deliveries("acme", "delivered", 4).await;
    assert_eq!(
        client.dead_letters("acme", 0).await.len(),
        3,
        "the replayed one is no longer open"
    );
}

/// Both are over their share of two; one needs a second and a half for each request, the other a tenth of one.
const SLOW_AND_BRISK: &str = r#"
deliver.per_destination_concurrency = 2
deliver.slow_concurrency = 8
[projects.slow]
profile = "quick"
[projects.brisk]
profile = "quick"
"#;
const OF_THE_SLOW: usize = 200;
const OF_THE_BRISK: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn one_that_accepts_slowly_does_not_stand_before_the_others_on_the_embedded_default() {
    serve_slow_and_brisk(Ground::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_accepts_slowly_does_not_stand_before_the_others_on_rabbitmq_and_redis() {
    serve_slow_and_brisk(Ground::Shared).await;
}

async fn serve_slow_and_brisk(ground: Ground) {
    let receiver = Receiver::start().await;
    let (slow, brisk) = (Duration::from_millis(1500), Duration::from_millis(100));
    receiver.script("/slow", [Answer::status(204).after(slow)]);
    receiver.script("/brisk", [Answer::status(204).after(brisk)]);
    let installation = Installation::new(ground, &format!("{SLOW_AND_BRISK}{QUICK}"));
    let worker = installation.worker().await;
    let client = installation.client().await;
    for project in ["slow", "brisk"] {
        let url = receiver.url(&format!("/{project}"));
        client
            .webhook(project, url, Some("a secret of some length"))
            .await;
    }
    let publisher = client.publisher();
    for number in 1..=OF_THE_SLOW {
        publish(&publisher, event("slow", number, None)).await;
    }
    for number in 1..=OF_THE_BRISK {
        publish(&publisher, event("brisk", number, None)).await;
    }
    receiver.wait_for("/brisk", OF_THE_BRISK).await;
    let came = receiver.received("/slow").len();
    assert!(
        came < OF_THE_SLOW / 2,
        "{came} of the slow one's came first"
    );
    worker.stop().await;
}
