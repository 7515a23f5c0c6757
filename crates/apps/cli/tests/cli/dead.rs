//! Dead letters in groups and in files, on the embedded store.

use crate::place::Place;
use ringback_domain::{DeadLetter, DeadLetterContent};
use ringback_testkit::samples;
use ringback_wire::export;
use serde_json::Value;
use std::process::Stdio;

/// The samples were given up in the summer of 2026, whenever the tests run.
const LONG_RETENTION: &str =
    "[dead_letters]\nretention = \"3650d\"\n[projects.default]\nprofile = \"standard\"\n";

fn place() -> Place {
    let place = Place::new();
    place.write("ringback.toml", LONG_RETENTION);
    place
}

fn file_of(place: &Place, name: &str, dead_letters: &[DeadLetter]) {
    let lines: Vec<_> = dead_letters
        .iter()
        .map(|dead| String::from_utf8(export::encode(dead).unwrap()).unwrap())
        .collect();
    place.write(name, &lines.join("\n"));
}

fn count(list: &Value) -> usize {
    list["data"].as_array().unwrap().len()
}

#[test]
fn dead_letters_go_into_a_file_and_come_back_once() {
    let place = place();
    let given_up = [samples::event_dead_letter(), samples::raw_dead_letter()];
    file_of(&place, "given-up.ndjson", &given_up);
    let imported = place.json(&["dead", "import", "given-up.ndjson"]);
    assert_eq!(imported["imported"], 2, "{imported}");
    let again = place.json(&["dead", "import", "given-up.ndjson"]);
    assert_eq!(
        (&again["imported"], &again["already_there"]),
        (&0.into(), &2.into()),
        "importing twice changes nothing"
    );
    let import = ["dead", "import", "-", "--output", "json"];
    let piped = place.run_reading("given-up.ndjson", import);
    assert_eq!(piped.code, 0, "{}", piped.stderr);
    let report: Value = serde_json::from_str(&piped.stdout).unwrap();
    assert_eq!(report["already_there"], 2, "{report}");
    let nothing = place.run(["dead", "import", "-"]);
    assert_eq!(
        (nothing.code, nothing.stderr.as_str()),
        (2, "error: there is no dead letter in the standard input\n")
    );

    assert_eq!(place.json(&["dead", "export", "all.ndjson"])["exported"], 2);
    let read = |name: &str| {
        let text = std::fs::read_to_string(place.path(name)).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(read("all.ndjson"), read("given-up.ndjson"), "byte for byte");
    let piped = place.run(["dead", "export", "-"]);
    assert_eq!(
        (piped.code, piped.stderr.as_str()),
        (0, "exported 2 dead letters to the standard output\n")
    );
    let all = std::fs::read_to_string(place.path("all.ndjson")).unwrap();
    assert_eq!(piped.stdout, all, "the same lines, and nothing else");
    let mut export = place.command(["dead", "export", "-"]);
    let export = export.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut unheard = export.spawn().unwrap();
    drop(unheard.stdout.take());
    let unheard = unheard.wait_with_output().unwrap();
    assert_eq!(
        (unheard.status.code(), unheard.stderr.as_slice()),
        (Some(0), &b""[..]),
        "the reader had enough"
    );
    let refused = place.run(["dead", "export", "all.ndjson"]);
    assert_eq!(
        refused.code, 4,
        "no file is overwritten: {}",
        refused.stderr
    );
}

/// Every byte is one, which a line tells in six characters; base64 tells it in fewer, so that it can be brought in.
#[test]
fn a_dead_letter_too_long_for_a_line_is_left_out_of_a_file_and_named() {
    let place = place();
    let bytes = vec![1_u8; 900_000];
    let long = DeadLetter {
        content: DeadLetterContent::Raw {
            bytes: bytes.into(),
            why: "it ends too early".into(),
        },
        ..samples::raw_dead_letter()
    };
    let line = String::from_utf8(export::encode(&long).unwrap()).unwrap();
    let (start, body) = line.split_once("\"body\":\"").unwrap();
    let (_, rest) = body.split_once('"').unwrap();
    let base64 = "AQEB".repeat(300_000);
    let line = format!("{start}\"body_base64\":\"{base64}\"{rest}");
    place.write("long.ndjson", &line);
    file_of(&place, "other.ndjson", &[samples::event_dead_letter()]);
    for file in ["long.ndjson", "other.ndjson"] {
        assert_eq!(place.json(&["dead", "import", file])["imported"], 1);
    }
    for target in ["all.ndjson", "-"] {
        let told = place.run(["dead", "export", target]);
        assert_eq!(told.code, 1, "{}", told.stderr);
        assert!(told.stderr.contains(long.id.as_str()), "{}", told.stderr);
    }
    let all = std::fs::read_to_string(place.path("all.ndjson")).unwrap();
    assert_eq!(all.lines().count(), 1, "the other one");
}

#[test]
fn a_line_with_a_fault_is_named_and_holds_the_others_back_unless_told_to_go_on() {
    let place = place();
    let webhook = samples::dead_letter();
    let callback = samples::callback_destination();
    let callback = samples::delivery_of(&samples::event(), callback);
    let callback = samples::dead_letter_of(callback, samples::moment(7));
    let letters = [samples::event_dead_letter(), webhook, callback];
    file_of(&place, "given-up.ndjson", &letters);
    let text = std::fs::read_to_string(place.path("given-up.ndjson")).unwrap();
    let damaged = format!(
        "{}\n\nnot JSON\n",
        text.replacen("\"body\":\"", "\"body\":\"x", 1)
    );
    place.write("damaged.ndjson", &damaged);

    let held_back = place.run(["dead", "import", "damaged.ndjson", "--output", "json"]);
    assert_eq!(held_back.code, 1);
    let report: Value = serde_json::from_str(&held_back.stdout).unwrap();
    assert_eq!(
        (&report["imported"], &report["fault_count"]),
        (&0.into(), &4.into())
    );
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
            (2, Some("message")),
            (3, Some("secret_left_out")),
            (5, None)
        ]
    );
    assert_eq!(count(&place.json(&["dead", "list"])), 0);

    place.write("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let arguments = ["dead", "import", "given-up.ndjson", "--keep-going"];
    let secret = ["--callback-secret-file", "secret"];
    let went_on = place.run(arguments.into_iter().chain(secret));
    assert_eq!(went_on.code, 1, "one webhook is not there");
    assert!(
        went_on.stdout.contains("line 2: member `message`"),
        "{}",
        went_on.stdout
    );
    assert_eq!(count(&place.json(&["dead", "list"])), 2);

    file_of(&place, "callback.ndjson", &letters[2..]);
    let again = place.json(&["dead", "import", "callback.ndjson"]);
    assert_eq!(again["already_there"], 1, "it lacks nothing: {again}");
}

#[test]
fn causes_are_seen_acknowledged_searched_and_discarded_together() {
    let place = place();
    let mut letters = vec![samples::raw_dead_letter()];
    let event = samples::event_dead_letter();
    let project = event.project.clone().unwrap();
    letters.push(event);
    file_of(&place, "given-up.ndjson", &letters);
    place.json(&["dead", "import", "given-up.ndjson"]);

    let groups = place.json(&["dead", "groups", "--project", project.as_str()]);
    let group = &groups["data"][0];
    assert_eq!((count(&groups), &group["open_count"]), (1, &1.into()));
    let cause = group["cause"]["fingerprint"].as_str().unwrap();
    let known = place.json(&["dead", "acknowledge", cause, "--note", "mended on Monday"]);
    assert_eq!(known["acknowledgement"]["note"], "mended on Monday");
    assert_eq!(known["is_again"], false);
    let table = place.run(["dead", "groups"]);
    assert!(
        table.stdout.contains("acknowledged") && table.stdout.contains("new"),
        "{}",
        table.stdout
    );
    assert_eq!(
        place
            .run(["dead", "acknowledge", "0123", "--note", "x"])
            .code,
        3
    );

    for (text, expected) in [
        ("DATA.url missing", 1),
        ("text", 1),
        ("malformed", 2),
        ("nothing", 0),
    ] {
        let found = place.json(&["dead", "list", "--text", text]);
        assert_eq!(count(&found), expected, "{text}");
    }
    let id = letters[0].id.as_str();
    assert_eq!(count(&place.json(&["dead", "list", "--text", id])), 1);

    let dry = place.json(&["dead", "discard", "--cause", cause, "--dry-run"]);
    assert_eq!((&dry["matched"], &dry["discarded"]), (&1.into(), &0.into()));
    let unasked = place.run(["dead", "discard", "--cause", cause]);
    assert_eq!(unasked.code, 2, "nobody can be asked here");
    let done = place.json(&[
        "dead", "discard", "--cause", cause, "--note", "old", "--yes",
    ]);
    assert_eq!(done["discarded"], 1);
    assert_eq!(count(&place.json(&["dead", "groups"])), 1);
    assert_eq!(
        place.run(["dead", "discard", "--yes"]).code,
        2,
        "all of them must be said"
    );
}

#[test]
fn a_dry_run_of_a_discard_by_ids_tells_of_each_and_changes_nothing() {
    let place = place();
    let letters = [samples::event_dead_letter(), samples::raw_dead_letter()];
    file_of(&place, "given-up.ndjson", &letters);
    place.json(&["dead", "import", "given-up.ndjson"]);
    let [open, dealt_with] = letters.each_ref().map(|letter| letter.id.as_str());
    place.json(&["dead", "discard", dealt_with, "--yes"]);

    let dry = place.json(&["dead", "discard", open, "--dry-run"]);
    assert_eq!(dry["data"][0]["succeeded"], true, "{dry}");
    let refused = place.run(["dead", "discard", open, dealt_with, "--dry-run"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert_eq!(
        refused.stdout,
        format!(
            "{open} would be discarded\n{dealt_with} would not be discarded: dead letter {dealt_with} was dealt with before\n"
        )
    );
    let unknown = format!("dlt_{}", "0".repeat(32));
    let missing = place.run(["dead", "discard", unknown.as_str(), "--dry-run"]);
    assert_eq!(missing.code, 3, "{}", missing.stderr);
    assert_eq!(
        count(&place.json(&["dead", "list"])),
        1,
        "it is open as before"
    );
}
