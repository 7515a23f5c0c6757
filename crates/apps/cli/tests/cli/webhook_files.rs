//! Webhooks in files, on the embedded store.

use crate::place::{Place, Ran};
use ringback_domain::{EventFilter, Webhook, WebhookId, WebhookState};
use ringback_wire::export;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

const CONFIGURATION: &str = r#"
[projects.default]
profile = "standard"
[projects.farm]
profile = "standard"
"#;
const K1: &str = "k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
/// Another key under the same name.
const K1_OTHER: &str = "k1:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";
const K2: &str = "k2:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";
const URL: &str = "https://shop.example/hook?token=hush";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What is done to a webhook before it stands in a file.
type Change = fn(&mut Webhook);

/// A store with nothing in it.
fn place(keys: &str) -> Place {
    let place = Place::new().with("RINGBACK_SECRETS__KEYS", keys);
    place.write("ringback.toml", CONFIGURATION);
    place
}

/// A place with a webhook that has everything, and one of another project; their ids.
fn furnished() -> (Place, [String; 2]) {
    let place = place(K1);
    place.write("secret", SECRET);
    let id = |added: Value| added["id"].as_str().unwrap().to_owned();
    let whole = id(place.json(&[
        "webhooks",
        "add",
        URL,
        "--secret-file",
        "secret",
        "--events",
        "task.completed,task.failed",
        "--profile",
        "standard",
        "--header",
        "X-Key: hush hush",
        "--header",
        "X-Empty:",
        "--description",
        "renders \"done\" → team",
        "--rate-limit",
        "5",
    ]));
    place.json(&["webhooks", "rotate-secret", &whole, "--overlap", "24h"]);
    place.json(&["webhooks", "disable", &whole, "--reason", "moving", "--yes"]);
    let url = "https://farm.example/";
    let other = id(place.json(&["webhooks", "add", url, "--project", "farm"]));
    (place, [whole, other])
}

/// The webhooks of a place, as a file has them.
fn export(place: &Place) -> Vec<Webhook> {
    let ran = place.run(["webhooks", "export"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    webhooks(&ran.stdout)
}

fn webhooks(text: &str) -> Vec<Webhook> {
    let read = |line: &str| export::decode_webhook(line.as_bytes()).unwrap();
    text.lines().map(read).collect()
}

/// Writes a file of such webhooks.
fn file_of(place: &Place, name: &str, webhooks: &[Webhook]) {
    let line = |webhook| String::from_utf8(export::encode_webhook(webhook)).unwrap();
    let lines: Vec<_> = webhooks.iter().map(line).collect();
    place.write(name, &lines.join("\n"));
}

fn import(place: &Place, arguments: &[&str]) -> Ran {
    let ran = place.run(["webhooks", "import"].iter().chain(arguments));
    for hidden in ["hush", "sealed:", SECRET] {
        let said = [&*ran.stdout, &ran.stderr];
        assert!(!said.iter().any(|said| said.contains(hidden)), "{said:?}");
    }
    ran
}

/// The last line of what was said.
fn sum(ran: &Ran) -> &str {
    ran.stdout.lines().last().unwrap_or_default()
}

#[test]
fn webhooks_go_into_a_file_and_come_back_the_same_once() {
    let (old, ids) = furnished();
    let ran = old.run(["webhooks", "export", "all.jsonl"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "exported 2 webhooks to all.jsonl\n")
    );
    let file = old.path("all.jsonl");
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for nobody else");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(SECRET) && !text.contains("hush hush"));
    let piped = old.run(["webhooks", "export", "-"]);
    assert_eq!(
        (piped.stdout.as_str(), piped.stderr.as_str()),
        (&*text, "exported 2 webhooks to the standard output\n")
    );
    assert_eq!(old.run(["webhooks", "export", "all.jsonl"]).code, 4);
    let farms = old.run(["webhooks", "export", "--project", "farm"]).stdout;
    let farms = webhooks(&farms);
    assert_eq!((farms.len(), farms[0].id.as_str()), (1, &*ids[1]));

    // The key that sealed is there, though it seals no more.
    let new = place(&format!("{K2},{K1}"));
    new.write("all.jsonl", &text);
    let ran = import(&new, &["all.jsonl"]);
    assert_eq!(
        (ran.code, sum(&ran)),
        (0, "imported 2, already there 0, with faults 0"),
        "{}",
        ran.stderr
    );
    let as_new = |webhook: &Webhook| Webhook {
        revision: 1,
        ..webhook.clone()
    };
    let before = webhooks(&text);
    assert!(before.iter().any(|webhook| webhook.revision == 3));
    let expected: Vec<_> = before.iter().map(as_new).collect();
    assert_eq!(export(&new), expected, "secrets, moments and all");

    let again = new.run_reading("all.jsonl", ["webhooks", "import", "-"]);
    assert_eq!(
        (again.code, sum(&again)),
        (0, "imported 0, already there 2, with faults 0"),
        "{}",
        again.stderr
    );
    assert_eq!(export(&new), expected);
    let nothing = import(&new, &["-"]);
    assert_eq!(
        (nothing.code, nothing.stderr.as_str()),
        (2, "error: there is no webhook in the standard input\n")
    );
}

#[test]
fn what_cannot_be_opened_here_is_refused_with_the_key_it_needs() {
    let (old, ids) = furnished();
    old.json(&["webhooks", "export", "all.jsonl"]);
    let text = std::fs::read_to_string(old.path("all.jsonl")).unwrap();
    for (keys, told) in [
        (
            K2,
            "the key `k1`, which `secrets.keys` lacks (hint: put `k1` back",
        ),
        (K1_OTHER, "`secrets.keys` has another key under the name"),
    ] {
        let new = place(keys);
        new.write("all.jsonl", &text);
        for keep_going in [&[][..], &["--keep-going"]] {
            let arguments = [&["all.jsonl"], keep_going].concat();
            let ran = import(&new, &arguments);
            assert_eq!(ran.code, 1, "{}", ran.stderr);
            assert_eq!(ran.stdout.matches(told).count(), 2, "{}", ran.stdout);
            assert!(ids.iter().all(|id| ran.stdout.contains(id)));
            assert_eq!(sum(&ran), "imported 0, already there 0, with faults 2");
            assert_eq!(export(&new), [], "nothing was stored");
        }
    }

    // A header alone is sealed with the key, too.
    let whole = webhooks(&text)
        .into_iter()
        .find(|webhook| webhook.id.as_str() == ids[0])
        .unwrap();
    let headed = Webhook {
        secrets: Vec::new(),
        ..whole.clone()
    };
    let new = place(K2);
    file_of(&new, "headed.jsonl", &[headed]);
    let ran = import(&new, &["headed.jsonl"]);
    assert!(ran.stdout.contains("the key `k1`"), "{}", ran.stdout);
}

/// Its key may be gone, as the manual says: it is not needed again.
#[test]
fn a_secret_that_signs_no_more_need_not_open() {
    let old = place(K1);
    let added = old.json(&["webhooks", "add", URL]);
    let id = added["id"].as_str().unwrap();
    let keys = ("RINGBACK_SECRETS__KEYS", &*format!("{K2},{K1}"));
    let rotate = ["webhooks", "rotate-secret", id, "--yes"];
    assert_eq!(old.run_with([keys], rotate).code, 0);
    let before = export(&old);
    assert_eq!(before[0].secrets.len(), 2, "the old one is kept");

    let new = place(K2);
    file_of(&new, "all.jsonl", &before);
    let ran = import(&new, &["all.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert_eq!(export(&new)[0].secrets, before[0].secrets);
}

#[test]
fn a_line_with_a_fault_is_named_and_holds_the_others_back_unless_told_to_go_on() {
    let (old, ids) = furnished();
    let text = old.run(["webhooks", "export"]).stdout;
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_by_key(|line| line.contains("farm.example"));
    let damaged = [
        &lines[0].replacen("shop.example", "evil.example", 1),
        "",
        lines[1],
        "not JSON",
        lines[1],
        &lines[0].replacen("\"v\":1", "\"v\":2", 1),
        r#"{"v":1,"dead_letter":{},"body":"","sha256":""}"#,
    ];
    let new = place(K1);
    new.write("damaged.jsonl", &damaged.join("\n"));

    let ran = new.run(["webhooks", "import", "damaged.jsonl", "-o", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let faults: Vec<_> = report["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| (fault["line"].as_u64().unwrap(), fault["member"].as_str()))
        .collect();
    assert_eq!(
        faults,
        [
            (1, Some("sha256")),
            (4, None),
            (5, Some("webhook")),
            (6, None),
            (7, Some("webhook"))
        ]
    );
    let twice = report["faults"][2]["problem"].as_str().unwrap();
    assert_eq!(twice, format!("webhook {} is in line 3 already", ids[1]));
    assert_eq!(export(&new), [], "nothing was stored");

    let ran = import(&new, &["damaged.jsonl", "--keep-going"]);
    assert_eq!(
        (ran.code, sum(&ran)),
        (1, "imported 1, already there 0, with faults 5")
    );
    let stored = export(&new);
    assert_eq!((stored.len(), stored[0].id.as_str()), (1, &*ids[1]));
}

#[test]
fn one_that_differs_is_refused_or_replaced_when_asked() {
    let (place, [whole, other]) = furnished();
    place.json(&["webhooks", "export", "all.jsonl"]);
    let before = export(&place);
    place.json(&["webhooks", "rotate-secret", &whole, "--yes"]);
    let changed = export(&place);

    let ran = import(&place, &["all.jsonl"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for told in [&*whole, "revision 4, changed at", "revision 3, changed at"] {
        assert!(ran.stdout.contains(told), "{}", ran.stdout);
    }
    assert!(!ran.stdout.contains(&other), "{}", ran.stdout);
    let unasked = import(&place, &["all.jsonl", "--replace"]);
    assert_eq!(unasked.code, 2, "nobody can be asked: {}", unasked.stderr);
    assert_eq!(export(&place), changed);

    let ran = import(&place, &["all.jsonl", "--replace", "--yes"]);
    assert_eq!(
        (ran.code, sum(&ran)),
        (0, "imported 0, replaced 1, already there 1, with faults 0"),
        "{}",
        ran.stderr
    );
    for (was, is) in before.iter().zip(export(&place)) {
        let is_whole = is.id.as_str() == whole;
        assert_eq!(is.revision, if is_whole { 5 } else { was.revision });
        let (revision, updated_at) = (is.revision, is.updated_at);
        assert_eq!(updated_at > was.updated_at, is_whole);
        let was = was.clone();
        let expected = Webhook {
            revision,
            updated_at,
            ..was
        };
        assert_eq!(is, expected);
    }
    let again = import(&place, &["all.jsonl"]);
    assert_eq!(sum(&again), "imported 0, already there 2, with faults 0");
}

#[test]
fn nothing_that_makes_a_webhook_what_it_is_differs_unseen() {
    let (place, [whole, _]) = furnished();
    let all = export(&place);
    let there = all.iter().find(|one| one.id.as_str() == whole).unwrap();
    let changes: [Change; 10] = [
        |webhook| webhook.url.set_query(Some("token=hushed")),
        |webhook| webhook.events = EventFilter::All,
        |webhook| webhook.profile = None,
        |webhook| webhook.headers.truncate(1),
        |webhook| webhook.headers[1].0 = "X-Other".into(),
        |webhook| webhook.description = None,
        |webhook| webhook.rate_limit = None,
        |webhook| webhook.state = WebhookState::Enabled,
        |webhook| webhook.secrets[0].overlaps_until = None,
        |webhook| webhook.secrets[0].sealed = webhook.secrets[1].sealed.clone(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut webhook = there.clone();
        change(&mut webhook);
        file_of(&place, "one.jsonl", &[webhook]);
        let ran = import(&place, &["one.jsonl"]);
        let is_seen = ran.stdout.contains("is here and differs");
        assert!(is_seen, "change {number}: {}", ran.stdout);
    }
    assert_eq!(export(&place), all);
}

/// A file is no way around a rule.
#[test]
fn what_would_not_be_registered_is_not_imported() {
    let (old, [whole, _]) = furnished();
    let all = export(&old);
    let good = all.iter().find(|one| one.id.as_str() == whole).unwrap();
    let changes: [(Change, &str); 9] = [
        (
            |webhook| webhook.url = "http://169.254.169.254/hush".parse().unwrap(),
            "the URL is not accepted: address 169.254.169.254 is not public",
        ),
        (
            |webhook| webhook.url = "https://me:hush@shop.example/".parse().unwrap(),
            "a user name or password",
        ),
        (
            |webhook| webhook.project = "nobody".parse().unwrap(),
            "project `nobody` is not configured",
        ),
        (
            |webhook| webhook.profile = Some("nope".parse().unwrap()),
            "there is no profile `nope`",
        ),
        (
            |webhook| webhook.profile = Some("hooked".parse().unwrap()),
            "profile `hooked` has no event type `task.completed`",
        ),
        (
            |webhook| webhook.headers[0].0 = "Host".into(),
            "header `Host` is reserved",
        ),
        (
            |webhook| webhook.description = Some("x".repeat(1025)),
            "1025 characters",
        ),
        (
            |webhook| webhook.project = "farm".parse().unwrap(),
            "does not open",
        ),
        (
            |webhook| webhook.id = "whk_other".parse::<WebhookId>().unwrap(),
            "does not open",
        ),
    ];
    let new = place(K1);
    for (change, told) in changes {
        let mut webhook = good.clone();
        change(&mut webhook);
        file_of(&new, "one.jsonl", &[webhook]);
        let ran = import(&new, &["one.jsonl"]);
        assert_eq!(ran.code, 1, "{told}: {}", ran.stderr);
        assert!(ran.stdout.contains(told), "{told}: {}", ran.stdout);
        assert_eq!(export(&new), []);
    }
    let mut moved = good.clone();
    moved.project = "farm".parse().unwrap();
    file_of(&old, "moved.jsonl", &[moved]);
    let ran = import(&old, &["moved.jsonl", "--replace", "--yes"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("belongs to project `default`"),
        "{}",
        ran.stdout
    );
    assert_eq!(export(&old), all);
}
