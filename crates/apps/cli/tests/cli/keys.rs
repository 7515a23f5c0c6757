//! Keys to the HTTP API, from the first one to one that opens nothing.

use crate::place::Place;
use insta::assert_snapshot;
use serde_json::{Value, json};

#[test]
fn a_key_from_making_to_revoking() {
    let place = Place::new();
    let made = place.json(&[
        "keys",
        "create",
        "--project",
        "default",
        "--scopes",
        "read,publish",
        "--expires-at",
        "in 90d",
        "--description",
        "the shop",
    ]);
    let (id, text) = (made["id"].as_str().unwrap(), made["text"].as_str().unwrap());
    assert!(text.starts_with(&format!("rb_{id}_")), "{text}");
    assert_eq!(made["scopes"], json!(["publish", "read"]));
    let operators = place.json(&["keys", "create", "--operator"]);
    assert_eq!(operators["project"], Value::Null);
    assert_eq!(operators["scopes"], json!(["publish", "read", "manage"]));

    let list = place.run(["keys", "list"]);
    assert!(list.stdout.contains("the operator"), "{}", list.stdout);
    let secret = text.rsplit('_').next().unwrap();
    assert!(!list.stdout.contains(secret), "a key is shown once");
    let list = place.json(&["keys", "list", "--project", "default"]);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);

    assert_eq!(
        place.run(["keys", "revoke", id]).code,
        2,
        "nobody can be asked here"
    );
    let revoked = place.json(&["keys", "revoke", id, "--yes"]);
    assert!(revoked["revoked_at"].is_string());
    assert_eq!(place.run(["keys", "revoke", "nobodys", "--yes"]).code, 3);
}

#[test]
fn a_key_is_somebodys() {
    let place = Place::new();
    assert_eq!(place.run(["keys", "create"]).code, 2);
    let both = ["keys", "create", "--operator", "--project", "default"];
    assert_eq!(place.run(both).code, 2);
    let unknown = place.run(["keys", "create", "--project", "nobody"]);
    assert_eq!(unknown.code, 3);
    assert_snapshot!(unknown.stderr, @"
    note: there was no data directory `./ringback-data`, and an empty one was made
    error: project `nobody` is not configured
    hint: add `[projects.nobody]` to the configuration
    ");
}
