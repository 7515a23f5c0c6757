//! What every command prints, at two widths and for machines, over a store whose content is known to the last byte.

use crate::{
    place::{Place, Ran},
    terminal::{Left, Terminal},
};
use insta::assert_snapshot;
use ringback_delivery::port::{
    ClaimAnswer, ClaimNonce, ClaimRequest, Clock, SettledAs, Settlement, Store,
};
use ringback_domain::{
    ApiKey, Attempt, AttemptOutcome, Breaker, BreakerState, DeadLetter, DeadLetterReason, Delivery,
    Destination, DestinationId, Disposal, EventFilter, Excerpt, KeyOwner, KeyScope, Phases,
    Timestamp, UnreachableCause, Webhook, WebhookSecret, WebhookState,
    replay_plan::{EntryMark, PlanCounts, PlanState, ReplayPlan, SkipReason},
};
use ringback_signing::{NONCE_BYTES, SealedFor, Secret};
use ringback_testkit::samples;
use ringback_worker::{Backend, Opener, SystemClock, config::Config};
use std::{
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

/// A narrow terminal and a wide one.
const WIDTHS: [u16; 2] = [80, 120];
const WEBHOOK: &str = "whk_5f0c2c1e6d7b4b7a9a512f1d0c9b8a77";
const DISABLED: &str = "whk_0b8e7d52c3f94a6f8d21aa4c55e0f913";
const PLANNED: &str = "rpl_1b9d6c0f7e2a48c5b3d40a9e8f7c6b5a";
const STOPPED: &str = "rpl_7c4e2a1f90b84d63a5f1e0d2c3b4a596";
const LEASE: Duration = Duration::from_mins(1);

/// One place for all tests here: nothing in it changes any more.
pub(crate) static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    std::thread::spawn(|| runtime.unwrap().block_on(Scene::make()))
        .join()
        .unwrap()
});

pub(crate) struct Scene {
    place: Place,
    /// One process at a time holds the directory.
    turn: Mutex<()>,
    delivered: Delivery,
    waiting: Delivery,
    dead: DeadLetter,
    raw: DeadLetter,
}

/// Long from now, so that nothing is too old to be kept.
fn at(time: &str) -> Timestamp {
    format!("2040-06-01T{time}Z").parse().unwrap()
}

fn signs_from(time: &str) -> WebhookSecret {
    WebhookSecret {
        sealed: samples::sealed_secret(),
        signs_from: at(time),
        overlaps_until: None,
    }
}

fn registered() -> [Webhook; 2] {
    let project = "acme".parse().unwrap();
    let first = Webhook {
        id: WEBHOOK.parse().unwrap(),
        url: "https://hooks.customer.example/ringback/v1/events?token=never-shown"
            .parse()
            .unwrap(),
        events: EventFilter::All,
        secrets: vec![signs_from("09:00:00")],
        headers: Vec::new(),
        description: None,
        created_at: at("09:00:00"),
        updated_at: at("09:00:00"),
        ..samples::webhook_of(&project)
    };
    let second = Webhook {
        id: DISABLED.parse().unwrap(),
        url: "https://shop.example/hook".parse().unwrap(),
        events: EventFilter::Only(
            ["task.completed", "task.failed"]
                .map(|name| name.parse().unwrap())
                .into(),
        ),
        profile: Some("github".parse().unwrap()),
        description: Some("the shop's staging system".to_owned()),
        rate_limit: std::num::NonZeroU32::new(5),
        secrets: vec![signs_from("09:10:00")],
        state: WebhookState::Disabled {
            at: at("10:30:00"),
            reason: "the receiver answered 410".to_owned(),
        },
        created_at: at("09:10:00"),
        updated_at: at("10:30:00"),
        ..samples::webhook_of(&project)
    };
    [first, second]
}

/// One of the operator, one of a project that expires, and one that opens nothing any more.
fn keys() -> [ApiKey; 3] {
    let project = || KeyOwner::Project("acme".parse().unwrap());
    let operators = ApiKey {
        id: "4f1c0a7be2d94d5c8a63f0b1c2d3e4f5".parse().unwrap(),
        scopes: KeyScope::ALL.into(),
        description: None,
        created_at: at("08:00:00"),
        expires_at: None,
        revoked_at: None,
        last_used_at: Some(at("10:45:00")),
        ..samples::api_key_of(KeyOwner::Operator)
    };
    let producers = ApiKey {
        id: "92d7b6a05e3c4f118b20cd94ea7f6053".parse().unwrap(),
        scopes: [KeyScope::Publish].into(),
        description: Some("the render farm in Helsinki".to_owned()),
        created_at: at("08:10:00"),
        expires_at: Some(at("23:59:59")),
        revoked_at: None,
        last_used_at: None,
        ..samples::api_key_of(project())
    };
    let revoked = ApiKey {
        id: "d05c9e8f1a2b4c3d9e8f7a6b5c4d3e2f".parse().unwrap(),
        description: None,
        created_at: at("08:20:00"),
        expires_at: None,
        revoked_at: Some(at("09:00:00")),
        last_used_at: Some(at("08:59:00")),
        ..samples::api_key_of(project())
    };
    [operators, producers, revoked]
}

/// Of a webhook, of one that accepts again, and of a callback that nothing waits for.
fn spared(waiting: &Delivery) -> [Breaker; 3] {
    let open = |destination, time, next_probe_at| Breaker {
        destination,
        state: BreakerState::Open {
            probes: 3,
            next_probe_at: at(next_probe_at),
        },
        opened_at: at(time),
        revision: 1,
    };
    let callback = DestinationId::callback("https://jobs.customer.example/done");
    let recovering = Breaker {
        state: BreakerState::Recovering {
            since: at("10:50:00"),
        },
        ..open(DISABLED.parse().unwrap(), "10:20:00", "10:49:00")
    };
    [
        open(waiting.destination.id(), "10:05:00", "10:06:40"),
        recovering,
        open(callback, "10:30:00", "10:31:20"),
    ]
}

/// One that was not started, and one that stopped itself half way.
fn plans() -> [ReplayPlan; 2] {
    let plan = |id: &str, time| {
        let mut plan = samples::replay_plan_of(&"acme".parse().unwrap(), 1_200);
        plan.terms.id = id.parse().unwrap();
        plan.terms.planned_at = at(time);
        plan.terms.reason = "the receiver is repaired".into();
        plan.terms.preview.by_destination[0].destination = WEBHOOK.parse().unwrap();
        plan.terms.preview.by_age = [0, 1_150, 50, 0, 0];
        ReplayPlan::new(plan.terms)
    };
    let mut stopped = plan(STOPPED, "10:40:00");
    let mut counts = PlanCounts::waiting(860);
    for (mark, count) in [
        (EntryMark::Sent, 12),
        (EntryMark::Retrying, 4),
        (EntryMark::Delivered, 215),
        (EntryMark::FailedAgain, 108),
        (EntryMark::Skipped(SkipReason::Discarded), 1),
    ] {
        counts.set(mark, count);
    }
    stopped.progress.counts = counts;
    stopped.progress.by_destination[0].1 = counts;
    let itself = PlanState::StoppedItself {
        failed: 51,
        of: 100,
    };
    stopped.status = stopped
        .status
        .moved(PlanState::Running, at("10:41:00"), "ada");
    stopped.status = stopped.status.moved(itself, at("10:42:30"), "the plan");
    [plan(PLANNED, "10:50:00"), stopped]
}

fn delivery(number: u8, event_type: &str, webhook: &Webhook) -> Delivery {
    let mut event = samples::event_of(&webhook.project);
    event.id = format!("evt_01jz5x8k3q{number}").parse().unwrap();
    event.event_type = event_type.parse().unwrap();
    event.occurred_at = Some(at("10:00:00"));
    event.job.id = format!("task_render_{number}").parse().unwrap();
    event.document = r#"{"a":1}"#.into();
    let destination = Destination::Webhook {
        id: webhook.id.clone(),
        url: webhook.url.clone(),
    };
    samples::delivery_of(&event, destination)
}

fn attempt(
    delivery: &Delivery,
    time: &str,
    outcome: AttemptOutcome,
    total_ms: u64,
    answer: &str,
) -> Attempt {
    let answered = outcome.status().is_some();
    Attempt {
        started_at: at(time),
        worker: "wrk_0011223344556677".parse().unwrap(),
        phases: Phases {
            dns: Some(Duration::from_millis(2)),
            connect: Some(Duration::from_millis(14)),
            tls: Some(Duration::from_millis(31)),
            first_byte: answered.then(|| Duration::from_millis(total_ms)),
            total: Duration::from_millis(total_ms),
        },
        address: "198.51.100.7:443".parse().ok(),
        outcome,
        excerpt: Excerpt::new(answer.as_bytes(), false),
        ..samples::attempt_of(delivery)
    }
}

async fn settle(
    store: &dyn Store,
    delivery: &Delivery,
    attempts: &[Attempt],
    settled_as: &SettledAs,
    time: &str,
) {
    let request = ClaimRequest {
        delivery,
        worker: &attempts[0].worker,
        nonce: ClaimNonce(1),
        lease: LEASE,
    };
    let ClaimAnswer::Granted { claim, .. } = store.claim(request).await.unwrap() else {
        panic!("nobody else is here")
    };
    let settlement = Settlement {
        claim: &claim,
        delivery,
        attempts,
        settled_as,
        at: at(time),
    };
    store.settle(settlement).await.unwrap();
    // The list is in the order of claims, by the millisecond.
    tokio::time::sleep(Duration::from_millis(2)).await;
}

impl Scene {
    async fn make() -> Self {
        let place = Place::new();
        let file = place.write("ringback.toml", "[projects.acme]\nprofile = \"standard\"\n");
        let data_dir = place.path("ringback-data").display().to_string();
        let variables = [("RINGBACK_DATA_DIR".to_owned(), data_dir)];
        let config = Config::load(Some(&file), variables).unwrap();
        let backend = Backend::open(&config, Opener::Command).await.unwrap();
        let store = &*backend.store;
        let [mut webhook, mut disabled] = registered();
        for webhook in [&mut webhook, &mut disabled] {
            let secret = Secret::try_new("for this webhook alone".to_owned()).unwrap();
            let place = SealedFor::webhook(&webhook.project, &webhook.id);
            let nonce = [7; NONCE_BYTES];
            webhook.secrets[0].sealed = backend.keys.seal(&secret, &place, nonce);
            store.put_webhook(webhook).await.unwrap();
        }
        let refused = |status| AttemptOutcome::Refused {
            status,
            retry_after: None,
        };

        let delivered = delivery(1, "task.completed", &webhook);
        let accepted = AttemptOutcome::Accepted { status: 200 };
        let attempts = [attempt(&delivered, "10:00:01", accepted, 84, "ok")];
        settle(
            store,
            &delivered,
            &attempts,
            &SettledAs::Delivered,
            "10:00:02",
        )
        .await;

        let waiting = delivery(2, "task.completed", &webhook);
        let attempts = [attempt(
            &waiting,
            "10:05:00",
            refused(503),
            1204,
            "<html>\n<h1>upstream timed out</h1>",
        )];
        let retrying = SettledAs::Retrying {
            due_at: at("10:10:02"),
        };
        settle(store, &waiting, &attempts, &retrying, "10:05:02").await;

        let mut given_up = delivery(3, "task.failed", &webhook);
        let unreachable = AttemptOutcome::Unreachable(UnreachableCause::TimeLimit);
        given_up.history = vec![
            attempt(
                &given_up,
                "10:06:00",
                refused(500),
                42,
                "{\"error\":\"no such order\"}",
            ),
            attempt(&given_up, "10:06:06", unreachable, 20_000, ""),
        ];
        given_up.history[1].number = given_up.attempt.next();
        let dead = DeadLetter::of_delivery(
            given_up.clone(),
            DeadLetterReason::AttemptsExhausted,
            at("10:06:26"),
        );
        let settled_as = SettledAs::DeadLettered(Box::new(dead.clone()));
        settle(store, &given_up, &given_up.history, &settled_as, "10:06:26").await;

        let why = "`project` is missing".to_owned();
        let bytes = bytes::Bytes::from_static(b"{\"id\": \"evt_9\"");
        let raw = DeadLetter::of_raw(bytes, DeadLetterReason::Malformed, why, at("10:07:00"));
        store.put_dead_letter(&raw).await.unwrap();
        let discarded = DeadLetter::of_delivery(
            delivery(4, "task.completed", &disabled),
            DeadLetterReason::DestinationGone,
            at("10:31:00"),
        );
        store.put_dead_letter(&discarded).await.unwrap();
        let disposal = Disposal::Discarded {
            at: at("11:00:00"),
            note: "staging".to_owned(),
        };
        store
            .dispose(&discarded.id, &disposal, false)
            .await
            .unwrap();
        for key in keys() {
            store.put_key(&key).await.unwrap();
        }
        for breaker in spared(&waiting) {
            store.put_breaker(&breaker).await.unwrap();
        }
        for plan in plans() {
            store.create_plan(&plan).await.unwrap();
        }
        backend.close().await;
        Self {
            place,
            turn: Mutex::default(),
            delivered,
            waiting,
            dead,
            raw,
        }
    }

    /// What a command leaves at a real terminal.
    pub(crate) fn at_terminal(&self, columns: u16, arguments: &[&str]) -> Left {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Terminal::start(&self.place, columns, arguments).end()
    }

    fn run(&self, columns: Option<u16>, arguments: &[&str]) -> Ran {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = columns.map(|columns| columns.to_string());
        let variables = columns.iter().map(|columns| ("COLUMNS", columns.as_str()));
        let mut ran = self.place.run_with(variables, arguments);
        ran.stdout = dated(&ran.stdout);
        ran
    }

    /// What a command prints for people at each width, and what it says.
    fn told(&self, arguments: &[&str]) -> String {
        let mut told = Vec::new();
        for columns in WIDTHS {
            let ran = self.run(Some(columns), arguments);
            let command = arguments.join(" ");
            told.push(format!(
                "$ ringback {command}    # {columns} columns, exit code {}",
                ran.code
            ));
            told.push(format!("{}{}", ran.stdout, ran.stderr));
            for line in ran.stdout.lines() {
                let too_long = line.chars().count() > columns.into();
                assert!(
                    !too_long || !line.contains("  ") || line.starts_with(' '),
                    "{columns}: {line}"
                );
            }
        }
        told.join("\n")
    }

    fn json(&self, arguments: &[&str]) -> String {
        let arguments = [arguments, &["-o", "json"]].concat();
        self.run(None, &arguments).stdout
    }
}

/// The text with moments of this test's own running made the same in every run.
fn dated(text: &str) -> String {
    let year = SystemClock.now().strftime("%Y-").to_string();
    let mut dated = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(&year) {
        let moment = &rest[at..];
        let length = moment
            .find(|c: char| !(c.is_ascii_digit() || "-:T Z.".contains(c)))
            .unwrap_or(moment.len());
        let moment = moment[..length].trim_end();
        dated.push_str(&rest[..at]);
        dated.push_str("[now]");
        rest = &rest[at + moment.len()..];
    }
    dated.push_str(rest);
    dated
}

#[test]
fn webhooks() {
    assert_snapshot!("webhooks-list", SCENE.told(&["webhooks", "list"]));
    assert_snapshot!("webhooks-show", SCENE.told(&["webhooks", "show", WEBHOOK]));
    assert_snapshot!(
        "webhooks-show-disabled",
        SCENE.told(&["webhooks", "show", DISABLED])
    );
    assert_snapshot!("webhooks-as-json", SCENE.json(&["webhooks", "list"]));
}

#[test]
fn deliveries() {
    let (delivered, waiting) = (SCENE.delivered.id.as_str(), SCENE.waiting.id.as_str());
    assert_snapshot!("deliveries-list", SCENE.told(&["deliveries", "list"]));
    assert_snapshot!(
        "deliveries-show-delivered",
        SCENE.told(&["deliveries", "show", delivered])
    );
    assert_snapshot!(
        "deliveries-show-waiting",
        SCENE.told(&["deliveries", "show", waiting])
    );
    assert_snapshot!(
        "deliveries-as-json",
        SCENE.json(&["deliveries", "show", waiting])
    );
}

#[test]
fn breakers() {
    assert_snapshot!("breakers-list", SCENE.told(&["breakers", "list"]));
    assert_snapshot!("breakers-as-json", SCENE.json(&["breakers", "list"]));
}

#[test]
fn dead_letters() {
    let (dead, raw) = (SCENE.dead.id.as_str(), SCENE.raw.id.as_str());
    assert_snapshot!("dead-list", SCENE.told(&["dead", "list"]));
    assert_snapshot!("dead-list-all", SCENE.told(&["dead", "list", "--all"]));
    assert_snapshot!("dead-show", SCENE.told(&["dead", "show", dead]));
    assert_snapshot!("dead-show-raw", SCENE.told(&["dead", "show", raw]));
    assert_snapshot!("dead-letters-as-json", SCENE.json(&["dead", "list"]));
    assert_snapshot!("dead-groups", SCENE.told(&["dead", "groups"]));
}

#[test]
fn dead_letters_in_files() {
    let run = |arguments: &[&str]| {
        let ran = SCENE.run(Some(80), arguments);
        format!("exit code {}\n{}{}", ran.code, ran.stdout, ran.stderr)
    };
    assert_snapshot!("dead-export", run(&["dead", "export", "all.ndjson"]));
    // What is there already stays as it is: the scene does not change.
    assert_snapshot!("dead-import", run(&["dead", "import", "all.ndjson"]));
    let text = std::fs::read_to_string(SCENE.place.path("all.ndjson")).unwrap();
    let damaged = text.replacen("\"sha256\":\"", "\"sha256\":\"0", 1);
    SCENE.place.write("damaged.ndjson", &damaged);
    assert_snapshot!(
        "dead-import-with-a-fault",
        run(&["dead", "import", "damaged.ndjson"])
    );
    let all = ["dead", "discard", "--project", "acme", "--dry-run"];
    assert_snapshot!("dead-discard-dry-run", run(&all));
}

#[test]
fn api_keys() {
    assert_snapshot!("keys-list", SCENE.told(&["keys", "list"]));
    assert_snapshot!("keys-as-json", SCENE.json(&["keys", "list"]));
}

#[test]
fn replay_plans() {
    assert_snapshot!("replays-list", SCENE.told(&["replays", "list"]));
    assert_snapshot!(
        "replays-show-planned",
        SCENE.told(&["replays", "show", PLANNED])
    );
    assert_snapshot!(
        "replays-show-stopped",
        SCENE.told(&["replays", "show", STOPPED])
    );
}

#[test]
fn what_needs_no_store() {
    assert_snapshot!("profiles-list", SCENE.told(&["profiles", "list"]));
    assert_snapshot!(
        "topology-show",
        SCENE.run(None, &["topology", "show"]).stdout
    );
    assert_snapshot!("doctor", SCENE.told(&["doctor"]));
    let narrow = SCENE.run(Some(40), &["doctor"]).stdout;
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 40),
        "{narrow}"
    );
    assert_snapshot!("doctor-as-json", SCENE.json(&["doctor"]));
}

#[test]
fn errors_with_their_hints() {
    let raw = SCENE.raw.id.as_str();
    let (delivered, waiting) = (SCENE.delivered.id.as_str(), SCENE.waiting.id.as_str());
    let commands: [&[&str]; 11] = [
        &["webhooks", "show", "whk_nobody"],
        &[
            "webhooks",
            "add",
            "http://169.254.169.254/latest",
            "--project",
            "acme",
        ],
        &[
            "webhooks",
            "add",
            "https://shop.example/",
            "--project",
            "nobody",
        ],
        &[
            "webhooks",
            "add",
            "https://shop.example/",
            "--project",
            "acme",
            "--profile",
            "nope",
        ],
        &["webhooks", "disable", WEBHOOK],
        &["dead", "replay", raw],
        &["deliveries", "replay", delivered],
        &["deliveries", "replay", waiting],
        &["deliveries", "list", "--since", "yesterday"],
        &["topology", "check"],
        &["publish", "no-such-file"],
    ];
    let told = commands.map(|command| {
        let ran = SCENE.run(Some(80), command);
        assert_eq!(ran.stdout, "", "{command:?}");
        format!(
            "$ ringback {}    # exit code {}\n{}",
            command.join(" "),
            ran.code,
            ran.stderr
        )
    });
    assert_snapshot!("errors", told.join("\n"));
}
