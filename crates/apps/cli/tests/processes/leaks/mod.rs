//! Marked secrets are planted everywhere, the system runs with every log line there is, and dies. They must be nowhere.
//!
//! What counts as a secret, and what does not: a URL with its query stands in queue and store, since it is where to send to;
//! it is not shown, and not logged. What a stranger puts into the broker himself is in the broker's files before we see it.

mod place;
mod search;

use crate::{
    installation::{Ground, Installation},
    process::Process,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use place::Place;
use ringback_testkit::receiver::{Answer, Receiver};
use search::{Finding, Marker, Searcher, told};
use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

const PROJECT: &str = "leaky";

const SIGNED_PROFILE: &str = r#"
[projects.leaky]
profile = "leaky"

[profiles.leaky]
body = "del(.project)"
success = ["200"]
time_limit = "3s"
headers = { X-Event = "{event.id}" }
retry = { delays = [] }

[profiles.leaky.signature]
header = "X-Signature"
signed = "{body}"
value = "{signature}"
digest = "hex"
secret = "utf8"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere_on_the_embedded_ground() {
    no_secret_is_anywhere(Ground::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere_on_servers() {
    no_secret_is_anywhere(Ground::Servers).await;
}

/// The marked secrets, each by what it is.
pub(super) mod planted {
    pub(crate) const WEBHOOK: &str = "Webhook-Secret/Leak+3fK9aQ==Zx";
    pub(crate) const ROTATED: &str = "Rotated-Secret/Leak+8sW2eR==Ty";
    pub(crate) const HEADER: &str = "Header-Value/Leak+5gH1jK==Lm";
    pub(crate) const QUERY: &str = "QueryTokenLeak4tY6uI7oP";
    pub(crate) const USER_INFO: &str = "UserInfoPasswordLeak2wE3rT";
    pub(crate) const CALLBACK: &str = "Callback-Secret/Leak+6hJ7kL==Qw";
    pub(crate) const MALFORMED: &str = "Malformed-Secret/Leak+1zX2cV==Bn";
    pub(crate) const STRANGER: &str = "Stranger-Secret/Leak+9oL8iK==Uj";
    pub(crate) const STRANGER_PASSWORD: &str = "StrangersPasswordLeak3cV5bN";
    pub(crate) const WRONG_KEY: &str = "WrongApiKeyLeak0qA9wS8eD";
    /// 32 bytes.
    pub(crate) const KEY_RING: &str = "KeyRing-Leak+4rF5tG6yH7uJ8iK9oL0";
    pub(crate) const SERVER_PASSWORD: &str = "ServerPasswordLeak7bN6mK5j";
}

async fn no_secret_is_anywhere(ground: Ground) {
    let receiver = Receiver::start().await;
    receiver.script("/refuses", vec![Answer::status(500); 20]);
    let mut place = Place::new(ground, Installation::with(Ground::Embedded, SIGNED_PROFILE)).await;
    let key_ring = BASE64_STANDARD.encode(planted::KEY_RING);
    place.set("RINGBACK_SECRETS__KEYS", &format!("leak:{key_ring}"));
    place.set("RINGBACK_LOG__LEVEL", "trace,lapin=trace");
    let collector = Receiver::start().await;
    place.set("RINGBACK_TELEMETRY__OTLP", &collector.url(""));
    place.set("RINGBACK_TELEMETRY__TRACE_PERCENT", "100");

    let first = place.serve(": ready ").await;
    let api_key = plant(&mut place, &receiver).await;
    ask_the_api(&mut place, &first, &api_key).await;
    place.hears("the log for people", first.kill().await);

    place.set("RINGBACK_LOG__FORMAT", "json");
    let second = place.serve(r#""message":"ready""#).await;
    show_everything(&mut place).await;
    replay(&mut place).await;
    show_everything(&mut place).await;
    // It says its last words to the collector when it stops; killed, it would keep them.
    second.ask_to_stop();
    place.hears("the log for machines", second.end().await.1);
    for path in ["/v1/traces", "/v1/metrics"] {
        let requests = collector.received(path);
        assert!(!requests.is_empty(), "nothing was sent to {path}");
        for request in requests {
            let body = String::from_utf8_lossy(&request.body);
            let sent = format!("{:?} {body}", request.headers);
            place.hears("what a collector is sent", sent);
        }
    }
    place.kill_servers().await;

    let everywhere = [
        Marker::new("a webhook's secret", planted::WEBHOOK),
        Marker::new("a rotated secret", planted::ROTATED),
        Marker::new("a header's value", planted::HEADER),
        Marker::new("a URL's password", planted::USER_INFO),
        Marker::new("a callback's secret", planted::CALLBACK),
        Marker::new(
            "an API key",
            api_key.rsplit('_').next().expect("it has parts"),
        ),
        Marker::new("a wrong API key", planted::WRONG_KEY),
        Marker::new("a key of the key ring", planted::KEY_RING),
        Marker::new("a server's password", planted::SERVER_PASSWORD),
    ];
    let shown = [
        Marker::new("a URL's token", planted::QUERY),
        Marker::new("a malformed event's secret", planted::MALFORMED),
        Marker::new("a stranger's plain secret", planted::STRANGER),
        Marker::new("a stranger's password", planted::STRANGER_PASSWORD),
    ];
    let mut findings = HashSet::new();
    let said = Searcher::new(everywhere.iter().chain(&shown));
    for (source, text) in place.heard() {
        findings.extend(said.search(source, text.as_bytes()));
    }
    let kept = Searcher::new(&everywhere);
    let kept_in_store = Searcher::new(everywhere.iter().chain(&shown[1..]));
    for (name, folder, is_broker) in place.folders() {
        let searcher = if is_broker { &kept } else { &kept_in_store };
        let bytes = searcher.search_folder(name, &folder, &mut findings);
        assert!(bytes > 1_000, "{name} holds something: {bytes} bytes");
        assert_holds_what_was_published(name, &folder);
    }
    assert!(findings.is_empty(), "{}", told(&findings));
    for log in ["the log for people", "the log for machines"] {
        let (_, said) = place.heard().find(|(source, _)| *source == log).unwrap();
        assert!(said.contains("TRACE"), "{log} is at trace level");
    }
}

/// A search that finds nothing at all would look the same as one for secrets: what is no secret is there.
fn assert_holds_what_was_published(name: &str, folder: &Path) {
    let event = Searcher::new([&Marker::new("an event's id", "evt_that_is_there")]);
    let mut findings: HashSet<Finding> = HashSet::new();
    event.search_folder(name, folder, &mut findings);
    assert!(!findings.is_empty(), "{name} was searched");
}

/// Registers, publishes, and breaks rules, with a secret in every place that takes one. The API key made on the way.
async fn plant(place: &mut Place, receiver: &Receiver) -> String {
    let token = |path: &str| receiver.url(&format!("{path}?token={}", planted::QUERY));
    for path in ["/accepts", "/refuses"] {
        let (url, header) = (token(path), format!("X-Api-Key: {}", planted::HEADER));
        let add = [
            "webhooks",
            "add",
            &url,
            "--project",
            PROJECT,
            "--secret-file",
            "-",
        ];
        let add = [&add[..], &["--header", &header]].concat();
        place.run_secretly(&add, planted::WEBHOOK).await;
    }
    let listed = place.run(&["webhooks", "list", "-o", "json"], "").await;
    let id = word_beginning(&listed, "whk_");
    let rotate = [
        "webhooks",
        "rotate-secret",
        &id,
        "--secret-file",
        "-",
        "--yes",
    ];
    place.run_secretly(&rotate, planted::ROTATED).await;
    let create = ["keys", "create", "--operator", "-o", "json"];
    let created = place.run_secretly(&create, "").await;
    let api_key = word_beginning(&created, "rb_");

    let with_password = |password| {
        let user_info = format!("http://user:{password}@");
        receiver.url("/accepts").replace("http://", &user_info)
    };
    let closed = with_password(planted::USER_INFO);
    let add = ["webhooks", "add", &closed, "--project", PROJECT];
    place.run_refused(&add, "").await;
    let to = token("/called");
    let good = event("evt_that_is_there", &to, planted::CALLBACK);
    place.run(&["publish"], &good).await;
    let refused = event("evt_refused", &closed, planted::CALLBACK);
    place.run_refused(&["publish"], &refused).await;
    let cut = event("evt_cut", &to, planted::MALFORMED);
    let cut = cut.trim_end_matches(&['}', '"'][..]);
    place.run_refused(&["publish"], cut).await;
    // Its webhook that refuses.
    let mut dead_letters = 1;
    if place.has_servers() {
        let unsealed = event("evt_unsealed", &to, planted::STRANGER);
        let closed = with_password(planted::STRANGER_PASSWORD);
        let closed = event("evt_closed", &closed, "");
        for text in [cut, &unsealed, &closed] {
            place.publish_as_a_stranger(text).await;
        }
        dead_letters += 3;
    }
    place.wait_for_dead_letters(dead_letters).await;
    receiver.wait_for("/called", 1).await;
    api_key
}

fn event(id: &str, callback: &str, secret: &str) -> String {
    let secret = if secret.is_empty() {
        String::new()
    } else {
        format!(r#","secret":"{secret}""#)
    };
    format!(
        r#"{{"id":"{id}","project":"{PROJECT}","type":"task.completed","occurred_at":"2026-06-01T10:01:30Z","job":{{"id":"task_1"}},"callback":{{"url":"{callback}"{secret}}}}}"#
    )
}

fn word_beginning(text: &str, start: &str) -> String {
    let at = text.find(start);
    let rest = &text[at.unwrap_or_else(|| panic!("no {start}… in {text}"))..];
    rest.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

/// Calls the API with the right key and with a wrong one.
async fn ask_the_api(place: &mut Place, process: &Process, key: &str) {
    let port = process.api_port();
    for path in ["/healthz", "/readyz", "/metrics"] {
        place.ask(port, path, "", "200").await;
    }
    let wrong = format!("rb_0a1b_{}", planted::WRONG_KEY);
    for path in ["webhooks", "deliveries", "dead-letters", "keys", "profiles"] {
        let path = format!("/api/v1/{path}");
        place.ask(port, &path, &wrong, "401").await;
        place.ask(port, &path, key, "").await;
    }
}

/// Every list and everything that can be shown, for people and for machines, as talkative as can be.
async fn show_everything(place: &mut Place) {
    for form in ["table", "json"] {
        let show = async |place: &mut Place, arguments: &[&str]| {
            let arguments = [arguments, &["-o", form, "-vv"]].concat();
            place.run(&arguments, "").await
        };
        for (kind, mark) in [
            ("webhooks", "whk_"),
            ("deliveries", "dlv_"),
            ("dead", "dlt_"),
        ] {
            let listed = show(place, &[kind, "list"]).await;
            let ids: BTreeSet<String> = listed
                .match_indices(mark)
                .map(|(at, _)| word_beginning(&listed[at..], mark))
                .collect();
            assert!(!ids.is_empty(), "no {mark}… in {listed}");
            for id in ids {
                show(place, &[kind, "show", &id]).await;
            }
        }
        show(place, &["dead", "list", "--all"]).await;
        show(place, &["keys", "list"]).await;
        show(place, &["profiles", "list"]).await;
        place.run_any(&["doctor", "-o", form, "-vv"]).await;
        place.run_any(&["config", "check", "-o", form, "-vv"]).await;
        place
            .run_any(&["topology", "check", "-o", form, "-vv"])
            .await;
    }
}

async fn replay(place: &mut Place) {
    let exhausted = [
        "dead",
        "list",
        "--reason",
        "attempts_exhausted",
        "-o",
        "json",
    ];
    let listed = place.run(&exhausted, "").await;
    let id = word_beginning(&listed, "dlt_");
    place.run(&["dead", "replay", &id, "--yes"], "").await;
}
