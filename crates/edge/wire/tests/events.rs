//! Events in, events out, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use bytes::Bytes;
use ringback_domain::{CallbackSecret, Event, SealedSecret, Timestamp, limits};
use ringback_wire::event::{encode, parse, parse_accepted, read, redact};

const SEALED: &str = "sealed:v1:k1:AAAA";

fn parsed(text: &str) -> Event {
    parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn refusal(text: &str) -> String {
    parse(&Bytes::copy_from_slice(text.as_bytes()))
        .unwrap_err()
        .to_string()
}

fn with(members: &str) -> String {
    format!(
        r#"{{"id":"evt_1","project":"acme","type":"task.completed","occurred_at":"2026-06-01T10:01:30.250Z","job":{{"id":"task_1"}}{members}}}"#
    )
}

#[test]
fn the_documents_text_is_kept_and_the_callback_is_cut_out() {
    let text = r#" {"id":"evt_1", "project":"acme","type":"task.completed","callback":{"url":"https://a.example/?t=1"},
        "occurred_at":"2026-06-01T10:01:30.250Z","job":{"id":"task_1","kind":"video","status":"completed"},"data":{"n":1.50,"e":"\u00e9\/"}} "#;
    let event = parsed(text);
    assert_eq!(
        event.document,
        r#"{"id":"evt_1","project":"acme","type":"task.completed","occurred_at":"2026-06-01T10:01:30.250Z","job":{"id":"task_1","kind":"video","status":"completed"},"data":{"n":1.50,"e":"\u00e9\/"}}"#
    );
    assert_eq!(event.job.kind.as_deref(), Some("video"));
    assert_eq!(
        event.callback.unwrap().url.as_str(),
        "https://a.example/?t=1"
    );
}

#[test]
fn an_event_written_and_read_again_is_the_same() {
    let text = with(&format!(
        r#","data":{{"n":1.50}},"callback":{{"url":"https://a.example/x","secret":"{SEALED}"}}"#
    ));
    let event = parsed(&text);
    let again = parse(&encode(&event).unwrap()).unwrap();
    assert_eq!(again.document, event.document);
    let callback = again.callback.unwrap();
    assert_eq!(callback.url.as_str(), "https://a.example/x");
    assert!(
        matches!(callback.secret, Some(CallbackSecret::Sealed(sealed)) if sealed.as_str() == SEALED)
    );
}

#[test]
fn a_moment_has_the_form_of_rfc_3339_and_no_other() {
    let at = |moment: &str| Bytes::from(with("").replace("2026-06-01T10:01:30.250Z", moment));
    for moment in [
        "2026-06-01T10:01:30Z",
        "2026-06-01T10:01:30.123456789Z",
        "2026-06-01t10:01:30z",
        "2026-06-01T12:01:30+02:00",
        "2026-06-01T10:01:30.2-00:30",
    ] {
        parse(&at(moment)).unwrap_or_else(|fault| panic!("{moment}: {fault}"));
    }
    for moment in [
        "2026-06-01",
        "2026-06-01T10:01:30",
        "2026-06-01 10:01:30Z",
        "2026-06-01T10:01Z",
        "2026-06-01T10Z",
        "2026-06-01T10:01:30,250Z",
        "2026-06-01T10:01:30.Z",
        "2026-06-01T10:01:30+02",
        "2026-06-01T10:01:30+0200",
        "2026-06-01T10:01:30+02:00[Europe/Berlin]",
        "20260601T100130Z",
        "+002026-06-01T10:01:30Z",
        "2026-06-31T10:01:30Z",
        "２026-06-01T10:01:30Z",
        "",
    ] {
        let fault = parse(&at(moment)).unwrap_err().to_string();
        assert!(
            fault.contains("`occurred_at` is not a moment of RFC 3339"),
            "{moment}: {fault}"
        );
    }
    // What an earlier release took and queued is not lost for it.
    let queued = at("2026-06-01 10:01:30Z");
    assert!(parse_accepted(&queued).unwrap().occurred_at.is_some());
}

#[test]
fn a_moment_of_the_job_is_one_or_is_named() {
    for member in ["created_at", "completed_at"] {
        let at = |moment: &str| {
            let job = format!(r#"{{"id":"task_1","{member}":{moment}}}"#);
            Bytes::from(with("").replace(r#"{"id":"task_1"}"#, &job))
        };
        for moment in [r#""2026-06-01T12:00:00.5+02:00""#, "null"] {
            parse(&at(moment)).unwrap_or_else(|fault| panic!("{moment}: {fault}"));
        }
        for (moment, problem) in [
            (r#""soon""#, "is not a moment of RFC 3339"),
            (r#""2026-06-01""#, "is not a moment of RFC 3339"),
            ("1780307600", "is not a string"),
        ] {
            let fault = parse(&at(moment)).unwrap_err();
            assert_eq!(fault.member, format!("job.{member}"));
            assert!(fault.problem.contains(problem), "{moment}: {fault}");
            // Profiles that do not show it took it, and it may be under way.
            assert!(parse_accepted(&at(moment)).is_ok());
        }
    }
}

#[test]
fn a_moment_may_be_left_out_and_is_then_when_the_message_was_sent() {
    let moment = r#""occurred_at":"2026-06-01T10:01:30.250Z","#;
    let absent = with("").replace(moment, "");
    let sent_at = Some("2030-01-01T00:00:00Z".parse().unwrap());
    for text in [
        absent.clone(),
        with("").replace(moment, r#""occurred_at":null,"#),
    ] {
        let text = Bytes::from(text);
        let event = parse(&text).unwrap();
        assert_eq!(event.occurred_at, None);
        assert_eq!(event.document, absent);
        assert_eq!(read(&text, None).unwrap().document, absent);
        let dated = read(&text, sent_at).unwrap();
        assert_eq!(dated.occurred_at, sent_at);
        // What was written down is read again, and no other moment takes its place.
        let again = read(&encode(&dated).unwrap(), Some(Timestamp::UNIX_EPOCH)).unwrap();
        assert_eq!(again.document, dated.document);
        assert_eq!(again.occurred_at, sent_at);
    }
    let told = read(&Bytes::from(with("")), sent_at).unwrap();
    assert_eq!(told.document, with(""));
}

/// An accepted event is written with its moment, its secret sealed and its URL encoded, and so with more bytes.
#[test]
fn an_event_as_large_as_may_be_is_read_after_it_grew() {
    let of = |padding| {
        let moment = r#""occurred_at":"2026-06-01T10:01:30.250Z","#;
        let (url, secret) = ("é".repeat(300), "s".repeat(50));
        let callback = format!(r#"{{"url":"https://a.example/{url}","secret":"{secret}"}}"#);
        let data = "x".repeat(padding);
        with(&format!(r#","data":"{data}","callback":{callback}"#)).replace(moment, "")
    };
    let text = Bytes::from(of(limits::BODY_BYTES_MAX - of(0).len()));
    assert_eq!(text.len(), limits::BODY_BYTES_MAX);
    let mut event = parse(&text).unwrap().dated(Timestamp::UNIX_EPOCH);
    let sealed = SealedSecret::try_new(format!("{SEALED}{}", "A".repeat(200))).unwrap();
    event.callback.as_mut().unwrap().secret = Some(CallbackSecret::Sealed(sealed));
    let written = encode(&event).unwrap();
    assert!(written.len() > limits::BODY_BYTES_MAX + 1_000);
    assert_eq!(read(&written, None).unwrap().document, event.document);
    assert!(parse(&written).is_err(), "of a new one that is too much");
}

#[test]
fn a_secret_in_plain_text_is_never_written_nor_shown() {
    let event = parsed(&with(
        r#","callback":{"url":"https://a.example/","secret":"hush-hush"}"#,
    ));
    assert!(!format!("{event:?}").contains("hush"));
    let refused = encode(&event).unwrap_err().to_string();
    assert!(
        refused.contains("callback.secret") && !refused.contains("hush"),
        "{refused}"
    );
}

#[test]
fn what_is_no_event_is_refused_with_the_member_and_the_limit() {
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    for (text, expected) in [
        ("", "is not JSON"),
        ("[]", "an object"),
        ("{\"id\":", "is not JSON"),
        (&with(r#","id":"evt_2""#), "`id`"),
        (&with(r#","calback":{}"#), "member `calback` is not known"),
        (&with(r#","data":{"a":1,"a":2}"#), "`data.a`"),
        (&with(&format!(r#","data":{deep}"#)), "64 levels"),
        (&with(r#","callback":"https://a.example/""#), "`callback`"),
        (
            &with(r#","callback":{"secret":"x"}"#),
            "`callback.url` is missing",
        ),
        (
            &with(r#","callback":{"url":"/relative"}"#),
            "`callback.url` is not a URL",
        ),
        (
            &with(r#","callback":{"url":"https://a.example/ b"}"#),
            "`callback.url` holds",
        ),
        (
            &with(r#","callback":{"url":"https://user:hush@a.example/"}"#),
            "`callback.url` contains a user name or password",
        ),
        (
            &with(r#","callback":{"url":"https://a.example/","secret":""}"#),
            "`callback.secret` is empty",
        ),
        (&with("").replace("evt_1", "a.b"), "`id` is not accepted"),
        (&with("").replace("\"evt_1\"", "7"), "`id` is not a string"),
        (
            &with("").replace("\"id\":\"evt_1\",", ""),
            "`id` is missing",
        ),
        (
            &with("").replace("acme", "Acme Inc"),
            "`project` is not accepted",
        ),
        (
            &with("").replace("2026-06-01T10:01:30.250Z", "yesterday"),
            "`occurred_at` is not a moment",
        ),
        (
            &with("").replace(r#"{"id":"task_1"}"#, "{}"),
            "`job.id` is missing",
        ),
        (
            &with("").replace(r#"{"id":"task_1"}"#, r#"{"id":"task_1","status":9}"#),
            "`job.status` is not a string",
        ),
        (
            &with(&format!(
                r#","data":"{}""#,
                "x".repeat(limits::BODY_BYTES_MAX)
            )),
            "262144",
        ),
    ] {
        let refused = refusal(text);
        assert!(
            refused.contains(expected),
            "{refused:?} should name {expected:?}"
        );
    }
    assert!(
        parse(&Bytes::from_static(b"\xef\xbb\xbf{}")).is_err(),
        "a byte order mark"
    );
    assert!(
        parse(&Bytes::from_static(b"{\"id\":\"\xff\"}")).is_err(),
        "not UTF-8"
    );
}

#[test]
fn what_cannot_be_read_is_kept_without_what_looks_like_a_secret() {
    for text in [
        r#"{"callback":{"url":"u","secret":"hush"},"#,
        r#"{"callback":{"secret" : "hu\"hush"}}"#,
        r#"{"callback":{"secret":"hush"#,
        r#"{"Secret":hush,"a":1"#,
    ] {
        let kept = read(&Bytes::copy_from_slice(text.as_bytes()), None)
            .unwrap_err()
            .bytes;
        let kept = String::from_utf8(kept.to_vec()).unwrap();
        assert!(
            !kept.contains("hush") && kept.contains("[redacted]"),
            "{kept}"
        );
    }
    let plain = Bytes::from_static(b"no such word");
    assert_eq!(redact(&plain), plain);
}
