//! Webhooks, deliveries and dead letters from registering to replaying, on the embedded queue and store.

use crate::place::Place;
use insta::assert_snapshot;
use serde_json::Value;

#[test]
fn a_webhook_from_registering_to_removing() {
    let place = Place::new();
    let added = place.json(&[
        "webhooks",
        "add",
        "https://example.com/hook?token=abc",
        "--events",
        "b.c,a.b",
        "--header",
        "X-Tenant: t1",
        "--rate-limit",
        "5",
    ]);
    let id = added["id"].as_str().unwrap();
    let secret = added["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(added["events"], serde_json::json!(["a.b", "b.c"]));

    let shown = place.run(["webhooks", "show", id]);
    assert!(!shown.stdout.contains(secret), "a secret is shown once");
    assert!(
        !shown.stdout.contains("token=abc") && !shown.stdout.contains("t1"),
        "{}",
        shown.stdout
    );

    let changed = place.json(&[
        "webhooks",
        "update",
        id,
        "--all-events",
        "--no-rate-limit",
        "--description",
        "the shop",
    ]);
    assert_eq!(
        (&changed["events"], &changed["rate_limit"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (
            changed["description"].as_str(),
            changed["revision"].as_u64()
        ),
        (Some("the shop"), Some(2))
    );

    assert_eq!(
        place.json(&["webhooks", "disable", id, "--reason", "moving", "--yes"])["disabled_because"],
        "moving"
    );
    assert_eq!(place.json(&["webhooks", "enable", id])["enabled"], true);
    assert_eq!(
        place.json(&["webhooks", "list"])["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let unasked = place.run(["webhooks", "remove", id]);
    assert_eq!(unasked.code, 2, "nobody can be asked here");
    assert_eq!(place.run(["webhooks", "remove", id, "--yes"]).code, 0);
    assert_eq!(place.run(["webhooks", "show", id]).code, 3);
}

#[test]
fn a_secret_is_changed_by_stages_and_overlaps_only_where_the_profile_allows() {
    let place = Place::new();
    place.write(
        "ringback.toml",
        "[projects.a]\nprofile = \"standard\"\n[projects.b]\nprofile = \"videopilot\"\n",
    );
    let standard = place.json(&["webhooks", "add", "https://example.com/", "--project", "a"]);
    let videopilot = place.json(&["webhooks", "add", "https://example.com/", "--project", "b"]);
    let (standard, videopilot) = (
        standard["id"].as_str().unwrap(),
        videopilot["id"].as_str().unwrap(),
    );

    let rotated = place.json(&["webhooks", "rotate-secret", standard, "--overlap", "1h"]);
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2);
    assert!(rotated["secrets"][0]["overlaps_until"].is_string());

    let refused = place.run(["webhooks", "rotate-secret", videopilot, "--overlap", "1h"]);
    assert_eq!(refused.code, 4);
    assert_snapshot!(refused.stderr, @"
    error: profile `videopilot` sends one signature at a time
    hint: leave the overlap out, and change the receiver at the moment of activation
    ");

    let pending = place.json(&[
        "webhooks",
        "rotate-secret",
        videopilot,
        "--activate-at",
        "in 2h",
    ]);
    assert_eq!(pending["secrets"].as_array().unwrap().len(), 2);
    let again = place.run([
        "webhooks",
        "rotate-secret",
        videopilot,
        "--activate-at",
        "in 3h",
    ]);
    assert_eq!(again.code, 4, "{}", again.stderr);
    assert_eq!(
        place.run(["webhooks", "rotate-secret", standard]).code,
        2,
        "at once needs a yes"
    );
}
