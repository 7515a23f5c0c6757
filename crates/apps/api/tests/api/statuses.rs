//! Every status that the description names really occurs, and no other does.

use crate::installation::{Answer, Ground, Installation};
use http::Request;
use ringback_api::{BATCH_BYTES_MAX, Limits, auth::FAILURES_MAX, openapi_document};
use ringback_delivery::port::Clock;
use ringback_domain::{
    ApiKey, Destination, KeyOwner, KeyScope,
    limits::{BODY_BYTES_MAX, KEYS_PER_OWNER_MAX, WEBHOOKS_PER_PROJECT_MAX},
};
use ringback_testkit::{MachineClock, receiver::Receiver, samples};
use ringback_worker::Role;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Statuses by call, such as `GET /api/v1/webhooks`.
type Statuses = BTreeMap<String, BTreeSet<u16>>;

const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];
const NOBODYS: &str = "0000";

/// A call of the description.
struct Call {
    method: String,
    /// With `{id}` in it.
    path: String,
    name: String,
    /// The media type of its body, when it has one or looks whether it has none.
    body: Option<String>,
    has_key: bool,
    documented: BTreeSet<u16>,
}

fn calls() -> Vec<Call> {
    let description: Value = serde_json::from_str(&openapi_document()).unwrap();
    let mut calls = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(call) = item.get(method) else {
                continue;
            };
            let statuses = call["responses"].as_object().unwrap().keys();
            let documented: BTreeSet<u16> = statuses.map(|text| text.parse().unwrap()).collect();
            let method = method.to_uppercase();
            calls.push(Call {
                name: format!("{method} {path}"),
                path: path.clone(),
                body: call["requestBody"]["content"]
                    .as_object()
                    .map(|content| content.keys().next().unwrap().clone())
                    .or_else(|| {
                        let looks_at_it = documented.contains(&415);
                        looks_at_it.then(|| "application/json".to_owned())
                    }),
                has_key: documented.contains(&401),
                method,
                documented,
            });
        }
    }
    calls
}

/// What occurred.
struct Occurred {
    statuses: Statuses,
    documented: Statuses,
}

impl Occurred {
    fn note(&mut self, name: &str, answer: &Answer) {
        let status = answer.status.as_u16();
        assert!(
            self.documented[name].contains(&status),
            "{name} answered {status}, which is not documented: {}",
            String::from_utf8_lossy(&answer.body)
        );
        self.statuses
            .entry(name.to_owned())
            .or_default()
            .insert(status);
    }

    /// A call with a key, noted.
    async fn call(
        &mut self,
        installation: &Installation,
        name: &str,
        id: &str,
        key: &str,
        body: &str,
    ) -> Answer {
        let (method, path) = name.split_once(' ').unwrap();
        let path = path.replace("{id}", id);
        let mut request = Request::builder().method(method).header("x-api-key", key);
        if !body.is_empty() {
            let media_type = if path.ends_with("/batch") {
                "application/x-ndjson"
            } else {
                "application/json"
            };
            request = request.header("content-type", media_type);
        }
        let answer = installation
            .send(&path, request, body.to_owned().into())
            .await;
        self.note(name, &answer);
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_status_occurs_and_no_other() {
    let calls = calls();
    let documented = calls
        .iter()
        .map(|call| (call.name.clone(), call.documented.clone()));
    let mut occurred = Occurred {
        documented: documented.collect(),
        statuses: Statuses::new(),
    };
    let limits = Limits {
        body_time_limit: Duration::from_millis(200),
        ..Limits::default()
    };
    let roles = [Role::Dispatch, Role::Deliver];
    let installation = Installation::start_with(Ground::Embedded, limits, roles).await;
    refused_by_rules(&installation, &calls, &mut occurred).await;
    done_and_in_the_way(&installation, &mut occurred).await;
    as_many_as_there_may_be(&installation, &mut occurred).await;
    changed_meanwhile(&installation, &mut occurred).await;
    installation.guess_from_elsewhere(FAILURES_MAX).await;
    for call in calls.iter().filter(|call| call.has_key) {
        let path = call.path.replace("{id}", NOBODYS);
        let answer = installation.call_from_elsewhere(&call.method, &path).await;
        occurred.note(&call.name, &answer);
    }
    installation.stop().await;

    let away = Installation::start_without_a_store().await;
    for call in calls.iter().filter(|call| call.documented.contains(&503)) {
        occurred
            .call(&away, &call.name, NOBODYS, "rb_1_2", "")
            .await;
    }
    away.stop().await;

    for (name, documented) in &occurred.documented {
        assert_eq!(
            occurred.statuses.get(name),
            Some(documented),
            "{name}: what occurred, and what is documented"
        );
    }
}

/// What is refused before anything is looked at.
async fn refused_by_rules(installation: &Installation, calls: &[Call], occurred: &mut Occurred) {
    let key = installation.project_key("acme").await;
    let acme = KeyOwner::Project("acme".parse().unwrap());
    let reader = installation.key(acme.clone(), &[KeyScope::Read]).await;
    let publisher = installation.key(acme, &[KeyScope::Publish]).await;
    for call in calls.iter().filter(|call| call.has_key) {
        let name = &call.name;
        occurred.call(installation, name, NOBODYS, "", "").await;
        for lesser in [&reader, &publisher] {
            occurred.call(installation, name, NOBODYS, lesser, "").await;
        }
        let unknown = format!("{}?dry_run=true", call.path.replace("{id}", NOBODYS));
        let keys = [&reader, &publisher, &key];
        for key in keys {
            let answer = installation.call(&call.method, &unknown, key, "").await;
            occurred.note(name, &answer);
            let is_let_in = answer.status != 403;
            assert!(
                !is_let_in || answer.status == 422,
                "{name}: {}",
                answer.status
            );
        }
        if call.method == "GET" && !call.path.contains("{id}") {
            let others = format!("{}?project=hinto", call.path);
            let answer = installation.call("GET", &others, &key, "").await;
            occurred.note(name, &answer);
        }
        if call.path.contains("{id}") {
            occurred.call(installation, name, NOBODYS, &key, "").await;
        }
    }
    let webhook = added(installation, &key, "https://example.com/").await;
    let dead = dead_letter(installation).await;
    let delivery = delivered(installation, &key).await;
    for call in calls.iter().filter(|call| call.body.is_some()) {
        let id = match call.path.as_str() {
            path if path.contains("/webhooks/") => &webhook,
            path if path.contains("/dead-letters/") => &dead,
            _ => &delivery,
        };
        let path = call.path.replace("{id}", id);
        let media_type = call.body.as_deref().unwrap();
        let is_batch = path.ends_with("/batch");
        let bytes_max = if is_batch {
            BATCH_BYTES_MAX
        } else {
            BODY_BYTES_MAX
        };
        for (media_type, body) in [
            (
                media_type,
                if is_batch {
                    String::new()
                } else {
                    "{".to_owned()
                },
            ),
            (media_type, r#"{"colour":1}"#.to_owned()),
            (media_type, " ".repeat(bytes_max + 1)),
            ("text/plain", "x".to_owned()),
        ] {
            let request = Request::builder()
                .method(call.method.as_str())
                .header("x-api-key", &key)
                .header("content-type", media_type);
            let answer = installation.send(&path, request, body.into()).await;
            occurred.note(&call.name, &answer);
        }
        for (begun, status) in [
            ("content-length: 10\r\n\r\n{", 408),
            ("transfer-encoding: chunked\r\n\r\nnonsense\r\n", 400),
        ] {
            let answered = installation
                .call_with_begun_body(&call.method, &path, &key, media_type, begun)
                .await;
            assert_eq!(answered, status, "{}", call.name);
            let statuses = occurred.statuses.entry(call.name.clone());
            statuses.or_default().insert(status);
        }
    }
    let long = "x".repeat(2000);
    let discard = format!("/api/v1/dead-letters/{dead}?reason={long}");
    let answer = installation.call("DELETE", &discard, &key, "").await;
    occurred.note("DELETE /api/v1/dead-letters/{id}", &answer);
}

async fn added(installation: &Installation, key: &str, url: &str) -> String {
    let webhook = json!({ "url": url }).to_string();
    let added = installation.post("/api/v1/webhooks", key, &webhook).await;
    added.json(201)["id"].as_str().unwrap().to_owned()
}

async fn dead_letter(installation: &Installation) -> String {
    let event = samples::event_of(&"acme".parse().unwrap());
    let destination = Destination::Webhook {
        id: "whk_1".parse().unwrap(),
        url: "https://example.com/".parse().unwrap(),
    };
    let delivery = samples::delivery_of(&event, destination);
    let now = installation.services.context.clock.now();
    let dead = samples::dead_letter_of(delivery, now);
    let store = &installation.services.context.store;
    store.put_dead_letter(&dead).await.unwrap();
    dead.id.to_string()
}

/// A delivery that was accepted by its destination.
async fn delivered(installation: &Installation, key: &str) -> String {
    let receiver = Receiver::start().await;
    let webhook = added(installation, key, &receiver.url("/hook")).await;
    let event = r#"{"project":"acme","type":"a.b","job":{"id":"1"}}"#;
    installation
        .post("/api/v1/events", key, event)
        .await
        .json(202);
    let path = format!("/api/v1/deliveries?state=delivered&webhook={webhook}");
    installation
        .until("it is delivered", async || {
            let list = installation.get(&path, key).await.json(200);
            Some(list["data"][0]["id"].as_str()?.to_owned())
        })
        .await
}

/// What succeeds, and what does not because of the state of things.
async fn done_and_in_the_way(installation: &Installation, occurred: &mut Occurred) {
    let key = &installation.project_key("acme").await;
    let groups = "GET /api/v1/dead-letters/groups";
    let list = occurred.call(installation, groups, "", key, "").await;
    let list = list.json(200);
    let cause = list["data"][0]["cause"]["fingerprint"].as_str().unwrap();
    // It came here without an attempt, so there is no traffic that it would be a share of.
    assert!(list["data"][0]["share_of_traffic"].is_null(), "{list}");
    let acknowledge = "POST /api/v1/dead-letters/groups/{id}/acknowledge";
    let note = r#"{"note":"the shop knows"}"#;
    let known = occurred
        .call(installation, acknowledge, cause, key, note)
        .await;
    assert_eq!(known.json(200)["acknowledgement"]["note"], "the shop knows");
    let missing = occurred
        .call(installation, acknowledge, NOBODYS, key, note)
        .await;
    missing.problem(404, "not_found");
    plans(installation, occurred, key).await;
    let receiver = Receiver::start().await;
    let url = receiver.url("/hook");
    for path in [
        "webhooks",
        "deliveries",
        "breakers",
        "replays",
        "dead-letters",
        "profiles",
        "keys",
        "stats",
    ] {
        let name = format!("GET /api/v1/{path}");
        occurred
            .call(installation, &name, "", key, "")
            .await
            .json(200);
    }
    for name in ["GET /healthz", "GET /readyz"] {
        occurred
            .call(installation, name, "", "", "")
            .await
            .json(200);
    }

    let event = r#"{"project":"acme","type":"a.b","job":{"id":"1"}}"#;
    let forbidden = event.replace("acme", "hinto");
    for event in [event, &forbidden] {
        occurred
            .call(installation, "POST /api/v1/events", "", key, event)
            .await;
    }
    let lines = format!("{event}\n{forbidden}\n");
    for lines in [event, &lines] {
        occurred
            .call(installation, "POST /api/v1/events/batch", "", key, lines)
            .await;
    }

    let webhook = json!({ "url": url }).to_string();
    let name = "POST /api/v1/webhooks";
    let added = occurred.call(installation, name, "", key, &webhook).await;
    let id = added.json(201)["id"].as_str().unwrap().to_owned();
    let tomorrow = MachineClock.now() + Duration::from_hours(24);
    let later = &format!(r#"{{"activate_at":"{tomorrow}"}}"#);
    for (call, body) in [
        ("GET /api/v1/webhooks/{id}", ""),
        ("PATCH /api/v1/webhooks/{id}", r#"{"description":"x"}"#),
        ("POST /api/v1/webhooks/{id}/test", ""),
        ("POST /api/v1/webhooks/{id}/rotate-secret", later),
        ("POST /api/v1/webhooks/{id}/rotate-secret", later),
        ("DELETE /api/v1/webhooks/{id}", ""),
    ] {
        occurred.call(installation, call, &id, key, body).await;
    }
    let bodyless = installation.project_key("bodyless").await;
    let added = occurred
        .call(installation, name, "", &bodyless, &webhook)
        .await;
    let id = added.json(201)["id"].as_str().unwrap().to_owned();
    let test = "POST /api/v1/webhooks/{id}/test";
    occurred
        .call(installation, test, &id, &bodyless, "")
        .await
        .problem(409, "no_test_body");

    let delivery = delivered(installation, key).await;
    let replay = "POST /api/v1/deliveries/{id}/replay";
    occurred
        .call(
            installation,
            "GET /api/v1/deliveries/{id}",
            &delivery,
            key,
            "",
        )
        .await;
    occurred
        .call(installation, replay, &delivery, key, "")
        .await;
    let given_up = given_up(installation).await;
    let strict = installation.project_key("strict").await;
    occurred
        .call(installation, replay, &given_up, &strict, "")
        .await
        .json(202);

    let dead = dead_letter(installation).await;
    let left_be = dead_letter(installation).await;
    for (call, id) in [
        ("GET /api/v1/dead-letters/{id}", &dead),
        ("POST /api/v1/dead-letters/{id}/replay", &dead),
        ("POST /api/v1/dead-letters/{id}/replay", &dead),
        ("DELETE /api/v1/dead-letters/{id}", &left_be),
        ("DELETE /api/v1/dead-letters/{id}", &left_be),
    ] {
        occurred.call(installation, call, id, key, "").await;
    }

    let new = r#"{"scopes":["read"]}"#;
    let made = occurred
        .call(installation, "POST /api/v1/keys", "", key, new)
        .await;
    let id = made.json(201)["id"].as_str().unwrap().to_owned();
    occurred
        .call(installation, "DELETE /api/v1/keys/{id}", &id, key, "")
        .await;
}

/// A delivery that became a dead letter at its first attempt.
async fn given_up(installation: &Installation) -> String {
    let key = installation.project_key("strict").await;
    let receiver = Receiver::start().await;
    receiver.script("/hook", [ringback_testkit::receiver::Answer::status(500)]);
    added(installation, &key, &receiver.url("/hook")).await;
    let event = r#"{"project":"strict","type":"a.b","job":{"id":"1"}}"#;
    installation
        .post("/api/v1/events", &key, event)
        .await
        .json(202);
    installation
        .until("it is given up", async || {
            let path = "/api/v1/deliveries?state=dead_lettered";
            let list = installation.get(path, &key).await.json(200);
            Some(list["data"][0]["id"].as_str()?.to_owned())
        })
        .await
}

/// Fills a project up to its limits.
async fn as_many_as_there_may_be(installation: &Installation, occurred: &mut Occurred) {
    use futures_util::{StreamExt, stream};
    let project = "hinto".parse().unwrap();
    let key = installation.project_key("hinto").await;
    let store = &installation.services.context.store;
    let webhooks = (0..WEBHOOKS_PER_PROJECT_MAX).map(|_| samples::webhook_of(&project));
    let writing = stream::iter(webhooks).for_each_concurrent(512, async |webhook| {
        store.put_webhook(&webhook).await.unwrap();
    });
    writing.await;
    let owner = KeyOwner::Project(project.clone());
    let keys = (0..KEYS_PER_OWNER_MAX).map(|_| ApiKey {
        expires_at: None,
        revoked_at: None,
        ..samples::api_key_of(owner.clone())
    });
    let writing = stream::iter(keys).for_each_concurrent(512, async |key| {
        store.put_key(&key).await.unwrap();
    });
    writing.await;
    let calls = [
        ("POST /api/v1/webhooks", r#"{"url":"https://example.com/"}"#),
        ("POST /api/v1/keys", r#"{"scopes":["read"]}"#),
    ];
    for (name, body) in calls {
        let full = occurred.call(installation, name, "", &key, body).await;
        full.problem(409, "limit_reached");
    }
}

/// Two change one webhook at once, until one of them was too late.
async fn changed_meanwhile(installation: &Installation, occurred: &mut Occurred) {
    let key = installation.project_key("acme").await;
    let id = added(installation, &key, "https://example.com/").await;
    let path = format!("/api/v1/webhooks/{id}");
    let body = r#"{"description":"x"}"#;
    installation
        .until("one was too late", async || {
            let calls = (0..8).map(|_| installation.call("PATCH", &path, &key, body));
            let answers = futures_util::future::join_all(calls).await;
            answers.into_iter().find(|answer| answer.status == 409)
        })
        .await
        .problem(409, "changed_meanwhile");
    let late = occurred.statuses.get_mut("PATCH /api/v1/webhooks/{id}");
    late.unwrap().insert(409);
}

/// A plan from making to cancelling.
async fn plans(installation: &Installation, occurred: &mut Occurred, key: &str) {
    let discard = "POST /api/v1/dead-letters/discard";
    let dry = r#"{"filter":{"project":"acme"},"dry_run":true}"#;
    let preview = occurred.call(installation, discard, "", key, dry).await;
    assert_eq!(preview.json(200)["preview"]["entries"], 1);
    let make = "POST /api/v1/replays";
    let dry = r#"{"filter":{},"dry_run":true}"#;
    let preview = occurred.call(installation, make, "", key, dry).await;
    assert_eq!(preview.json(200)["entries"], 1);
    let faulty = r#"{"filter":{"colour":1,"since":"x"},"rate":0,"stop_above":101,"to":"whk_0"}"#;
    let mut faulty = occurred
        .call(installation, make, "", key, faulty)
        .await
        .faulty();
    faulty.sort();
    let expected = [
        "filter.colour",
        "filter.since",
        "rate",
        "reason",
        "stop_above",
        "to",
    ];
    assert_eq!(faulty, expected);
    let wanted = r#"{"reason":"the shop is back","filter":{},"rate":1}"#;
    let plan = occurred.call(installation, make, "", key, wanted).await;
    let id = plan.json(201)["id"].as_str().unwrap().to_owned();
    for (call, status) in [
        ("GET /api/v1/replays/{id}", 200),
        ("POST /api/v1/replays/{id}/pause", 409),
        ("POST /api/v1/replays/{id}/resume", 409),
        ("POST /api/v1/replays/{id}/cancel", 200),
        ("POST /api/v1/replays/{id}/start", 409),
        ("POST /api/v1/replays/{id}/cancel", 409),
    ] {
        occurred
            .call(installation, call, &id, key, "")
            .await
            .json(status);
    }
    let other = installation.project_key("hinto").await;
    let hidden = "GET /api/v1/replays/{id}";
    let hidden = occurred.call(installation, hidden, &id, &other, "").await;
    hidden.problem(404, "not_found");

    let plan = occurred.call(installation, make, "", key, wanted).await;
    let id = plan.json(201)["id"].as_str().unwrap().to_owned();
    for wish in ["start", "pause", "resume"] {
        let call = format!("POST /api/v1/replays/{{id}}/{wish}");
        occurred
            .call(installation, &call, &id, key, "")
            .await
            .json(200);
    }
}
