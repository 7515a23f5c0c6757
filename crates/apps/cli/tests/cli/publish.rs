//! Publishing from inputs as they come: slow, interrupted, broken at the beginning.

use crate::{place::Place, process::Process};
use insta::assert_snapshot;
use std::io::Write;

fn event(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","project":"default","type":"a.b","occurred_at":"2026-06-01T10:00:00Z","job":{{"id":"j"}}}}"#
    )
}

/// A worker in the place, so that what was published can be seen while another command still runs.
fn worker(place: &Place) -> Process {
    let mut worker = Process::start(place, &["serve"]);
    worker.wait_for("ready");
    worker
}

fn place() -> Place {
    Place::new()
        .with("RINGBACK_API__LISTEN", "127.0.0.1:0")
        .with("RINGBACK_LOG__LEVEL", "info,ringback_worker=debug")
}

#[test]
fn an_event_of_a_slow_input_is_published_before_the_next_one_is_read() {
    let place = place();
    let mut worker = worker(&place);
    let mut publish = Process::start(&place, &["publish", "-"]);
    let mut input = publish.input();
    writeln!(input, "{}", event("evt_1")).unwrap();
    worker.wait_for("evt_1");
    writeln!(input, "{}", event("evt_2")).unwrap();
    worker.wait_for("evt_2");
    drop(input);
    assert_eq!(publish.end(), (0, "published 2 events\n".to_owned()));
}

#[test]
fn an_event_that_is_known_is_told_to_go_out_once() {
    let place = place();
    let mut worker = worker(&place);
    place.write("event.json", &event("evt_1"));
    let ran = place.run(["publish", "event.json"]);
    assert_eq!(ran.stdout, "published 1 event\n");
    worker.wait_for("evt_1");
    let ran = place.run(["publish", "event.json"]);
    let told = "published 1 event, known already: it goes out once\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (0, told));
}

#[test]
fn interrupted_it_tells_how_far_it_came() {
    let place = place();
    let mut worker = worker(&place);
    let mut publish = Process::start(&place, &["publish", "-"]);
    let mut input = publish.input();
    writeln!(input, "{}", event("evt_1")).unwrap();
    worker.wait_for("evt_1");
    publish.interrupt();
    publish.wait_for("error: interrupted");
    publish.wait_for("hint: publish the same events again");
    let (code, stdout) = publish.end();
    assert_eq!((code, stdout.as_str()), (1, "published 1 event\n"));
}

#[test]
fn a_broken_first_line_keeps_nothing_back() {
    let place = Place::new();
    let lines = [r#"{"id":"evt_1","#, &event("evt_2"), &event("evt_3")].join("\n");
    place.write("events.ndjson", &lines);
    let ran = place.run(["publish", "events.ndjson"]);
    assert_eq!(ran.code, 1);
    assert_snapshot!(ran.stdout, @"
    line 1: member `id` is not JSON: byte 14: expected a member's name, found the end of the text
    published 2 of 3 events, refused 1
    ");
}

/// As `jq .` writes it.
fn over_several_lines(id: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(&event(id)).unwrap();
    serde_json::to_string_pretty(&event).unwrap()
}

#[test]
fn several_events_over_several_lines_are_told_apart_from_a_broken_one() {
    let place = Place::new();
    let [one, other] = ["evt_1", "evt_2"].map(over_several_lines);
    place.write("events.json", &format!("{one}\n{other}\n"));
    let ran = place.run(["publish", "events.json"]);
    assert_eq!(ran.code, 1);
    assert_snapshot!(ran.stdout, @"
    lines 1 to 18: several events over several lines (hint: write each on one line, as `jq -c .` does)
    published 0 of 1 events, refused 1
    ");
    place.write("event.json", &one.replace("\"a.b\",", "\"a.b\""));
    let ran = place.run(["publish", "event.json"]);
    assert_snapshot!(ran.stdout, @r#"
    lines 1 to 9: member `type` is not JSON: byte 61: expected `,` or `}`, found `\"`
    published 0 of 1 events, refused 1
    "#);
    let json = place.run(["publish", "event.json", "-o", "json"]).stdout;
    assert!(json.contains("\"last_line\": 9"), "{json}");
    place.write("event.json", &one);
    assert_eq!(place.json(&["publish", "event.json"])["published"], 1);
}

#[test]
fn a_byte_order_mark_is_none_of_the_text() {
    let place = Place::new();
    let lines = [event("evt_1"), event("evt_2")].join("\n");
    for (text, count) in [(&*lines, 2), (&*over_several_lines("evt_3"), 1)] {
        place.write("events.json", &format!("\u{feff}{text}"));
        assert_eq!(place.json(&["publish", "events.json"])["published"], count);
    }
    place.write(
        "events.json",
        &format!("{}\n\u{feff}{}", event("evt_4"), event("evt_5")),
    );
    let ran = place.run(["publish", "events.json"]);
    assert!(ran.stdout.starts_with("line 2: "), "{}", ran.stdout);
}

#[test]
fn a_callback_secret_that_could_never_sign_is_refused() {
    let place = Place::new()
        .with("RINGBACK_HTTP__ALLOW_NETWORKS", "127.0.0.1")
        .with(
            "RINGBACK_SECRETS__KEYS",
            "k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
        );
    let with_secret = |id, secret| {
        let callback =
            format!(r#""callback":{{"url":"http://127.0.0.1:9/","secret":"{secret}"}},"job""#);
        event(id).replace(r#""job""#, &callback)
    };
    let lines = [
        with_secret("evt_1", "hunter2!"),
        with_secret("evt_2", "sealed:v1:k1:AAAA"),
        with_secret("evt_3", "sealed:v1:k9:AAAA"),
    ];
    place.write("events.ndjson", &lines.join("\n"));
    let ran = place.run(["publish", "events.ndjson"]);
    assert_eq!(ran.code, 1);
    assert_snapshot!(ran.stdout, @"
    line 1: member `callback.secret` is not accepted: the secret is not base64 (hint: this scheme expects `whsec_` and then base64)
    line 2: member `callback.secret` is not accepted: the sealed secret is damaged: its text does not have the form
    line 3: member `callback.secret` is not accepted: the secret was sealed with the key `k9`, which is not configured (hint: keep old keys until nothing sealed with them is left)
    published 0 of 3 events, refused 3
    ");
}
