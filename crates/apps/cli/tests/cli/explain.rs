//! `explain-signature`, from files as people keep them.

use crate::place::{Place, Ran};
use insta::assert_snapshot;

/// The example of the Standard Webhooks specification.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HEADERS: &str = "Webhook-Id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\nwebhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n";
const BODY: &str = r#"{"test": 2432232314}"#;

fn place() -> Place {
    let place = Place::new();
    place.write("secret", &format!("{SECRET}\n"));
    place.write("headers", HEADERS);
    place.write("sent.json", BODY);
    place.write("parsed.json", r#"{"test":2432232314}"#);
    place.write(
        "request",
        &format!(
            "POST /hook HTTP/1.1\r\n{}\r\n{BODY}",
            HEADERS.replace('\n', "\r\n")
        ),
    );
    place
}

fn explain(place: &Place, arguments: &[&str]) -> Ran {
    let command = ["explain-signature", "--secret-file", "secret"];
    place.run(command.iter().chain(arguments))
}

#[test]
fn a_right_signature_is_right_and_its_age_is_told() {
    let place = place();
    let ran = explain(
        &place,
        &["--request", "request", "--at", "2021-02-25T15:02:20Z"],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_snapshot!(ran.stdout, @"
    the signature is right

    scheme     webhooks of profile `standard`
    header     webhook-signature
    signed     {id}.{timestamp}.{body}
    timestamp  2021-02-25 15:02:10 UTC, 10s before it came

    also noticed
      a receiver that parses this body and writes it again with `JSON.stringify` gets other bytes: white
      space, numbers, escapes or the order of members
    ");
    let late = explain(
        &place,
        &["--request", "request", "--at", "2021-02-25T16:02:20Z"],
    );
    assert_eq!(late.code, 1);
    assert!(
        late.stdout
            .contains("stale\n  it was signed 3610 s before it came"),
        "{}",
        late.stdout
    );
}

#[test]
fn a_body_written_again_is_named_with_the_place_where_it_differs() {
    let ran = explain(
        &place(),
        &[
            "--headers",
            "headers",
            "--body",
            "parsed.json",
            "--original",
            "sent.json",
            "--profile",
            "standard",
            "--at",
            "2021-02-25T15:02:20Z",
        ],
    );
    assert_eq!(ran.code, 1);
    assert_snapshot!(ran.stderr, @"error: the signature is not what the receiver expects");
    assert_snapshot!(ran.stdout, @r#"
    the signature is not what the receiver expects, and this explains it

    scheme     webhooks of profile `standard`
    header     webhook-signature
    signed     {id}.{timestamp}.{body}
    timestamp  2021-02-25 15:02:10 UTC, 10s before it came

    json-spaced
      what was signed is the body with a blank after each comma and colon, as Python's `json.dumps`
      writes it
      to do: verify over the bytes of the request, before any parser has them: `express.raw()`, Flask's
      `request.get_data()`, axum's `Bytes`

    the bodies are the same up to byte 8 (line 1, byte 9 of it)
      sent  {"test": 2432232314}  (20 bytes)
      seen  {"test":2432232314}  (19 bytes)
                    ^
    "#);
}

#[test]
fn a_request_without_a_signature_is_told_to_be_unsigned() {
    let place = place();
    place.write("none", "webhook-id: msg_1\nwebhook-timestamp: 1614265330\n");
    let ran = explain(
        &place,
        &[
            "--headers",
            "none",
            "--body",
            "sent.json",
            "--profile",
            "standard",
            "--at",
            "2021-02-25T15:02:20Z",
        ],
    );
    assert_eq!(ran.code, 1);
    assert_snapshot!(ran.stderr, @"error: there is no signature");
    assert_snapshot!(ran.stdout, @r"
    there is no signature: no `webhook-signature` header came

    scheme     webhooks of profile `standard`
    header     webhook-signature
    signed     {id}.{timestamp}.{body}
    timestamp  2021-02-25 15:02:10 UTC, 10s before it came

    also noticed
      a receiver that parses this body and writes it again with `JSON.stringify` gets other bytes: white
      space, numbers, escapes or the order of members

    A callback is signed when the job names a secret for it, a webhook when its profile signs. If it was
    signed, something in front of the receiver drops the header.
    ");
}

#[test]
fn what_no_mistake_explains_is_said_to_be_so_and_what_code_computed_can_be_explained() {
    let place = place();
    place.write("changed.json", r#"{"test": 2432232315}"#);
    let changed = ["--headers", "headers", "--body", "changed.json"];
    let ran = explain(&place, &changed);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .starts_with("the signature does not match, and no known mistake explains it")
    );
    assert_snapshot!(ran.stderr, @"
    error: the signature does not match
    hint: --original FILE, the body as it was sent, shows what was changed
    ");

    // HMAC-SHA256 with the whole secret as key, by another program.
    let computed = "v1,TcxlhK9b6UD6iVI1ZU2tTqp8PEVfYRseNNfa6b+LcUg=";
    let ran = explain(&place, &["--request", "request", "--computed", computed]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .contains("\nsecret-as-text\n  the key is the whole secret as text"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("came with it  right, so the request is in order"),
        "{}",
        ran.stdout
    );
}

#[test]
fn machines_get_every_member_and_nobody_gets_the_secret() {
    let place = place();
    let arguments = [
        "-H",
        "webhook-id: x",
        "--headers",
        "headers",
        "--body",
        "sent.json",
        "-o",
        "json",
    ];
    let ran = explain(&place, &arguments);
    assert_eq!(ran.code, 1);
    let mut shown: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(shown["digests_tried"].is_u64());
    shown["digests_tried"] = "[count]".into();
    assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap(), @r#"
    {
      "verdict": "explained",
      "scheme": {
        "name": "webhooks of profile `standard`",
        "header": "webhook-signature",
        "signed": "{id}.{timestamp}.{body}"
      },
      "secret_number": 1,
      "secret_count": 1,
      "mistakes": [
        {
          "name": "other-id",
          "says": "the id signed is that of header `Webhook-Id`",
          "advice": "the id is the one of the request's header, and stays the same in every attempt"
        }
      ],
      "observations": [
        "a receiver that parses this body and writes it again with `JSON.stringify` gets other bytes: white space, numbers, escapes or the order of members"
      ],
      "difference": null,
      "timestamp": "2021-02-25T15:02:10Z",
      "came": null,
      "digests_tried": "[count]",
      "tried_everything": true
    }
    "#);
    for form in ["table", "json"] {
        let ran = explain(&place, &["--request", "request", "-o", form]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            !said.contains(&SECRET[6..]) && !said.contains("g0hM9SsE"),
            "{said}"
        );
    }
}

#[test]
fn input_that_cannot_be_used_is_named() {
    let place = place();
    place.write("empty", "\n");
    let table: [(&[&str], i32, &str); 6] = [
        (&["--request", "nowhere"], 2, "could not read `nowhere`"),
        (
            &["--request", "sent.json"],
            2,
            "`sent.json` is not a request",
        ),
        (
            &["--body", "sent.json"],
            2,
            "none of the headers is one that a profile signs with",
        ),
        (
            &["--request", "request", "--profile", "hooked"],
            2,
            "profile `hooked` does not sign webhooks",
        ),
        (
            &["--request", "request", "--profile", "hinto"],
            2,
            "hint: it signs callbacks: --callback",
        ),
        (
            &["--request", "request", "--profile", "nope"],
            3,
            "there is no profile `nope`",
        ),
    ];
    for (arguments, code, words) in table {
        let ran = explain(&place, arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
    let no_secret = place.run([
        "explain-signature",
        "--secret-file",
        "empty",
        "--request",
        "request",
    ]);
    assert_eq!(no_secret.code, 2);
    assert!(
        no_secret.stderr.contains("there is no secret in `empty`"),
        "{}",
        no_secret.stderr
    );
}
