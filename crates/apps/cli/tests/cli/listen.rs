//! The local receiver against what is really sent.

use crate::{place::Place, process::Process};
use serde_json::Value;

/// A place whose own receivers may be sent to, and that makes its secrets known beforehand.
fn place() -> Place {
    let place = Place::new().with("RINGBACK_HTTP__ALLOW_NETWORKS", "127.0.0.1");
    place.write(
        "secret",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=\n",
    );
    place
}

/// A receiver, and a webhook that leads to it.
fn receiver(place: &Place, arguments: &[&str]) -> (Process, String) {
    let arguments = [&["listen", "--port", "0", "--output", "json"], arguments].concat();
    let mut receiver = Process::start(place, &arguments);
    let said = receiver.wait_for("listening on ");
    let url = said.split_once("listening on ").unwrap().1;
    let added = place.json(&["webhooks", "add", url, "--secret-file", "secret"]);
    (receiver, added["id"].as_str().unwrap().to_owned())
}

fn requests(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_test_event_is_verified_as_its_receiver_would() {
    let place = place();
    let (receiver, webhook) = receiver(
        &place,
        &[
            "--profile",
            "standard",
            "--secret-file",
            "secret",
            "--count",
            "2",
            "--status",
            "503,200",
        ],
    );
    let refused = place.run(["webhooks", "test", &webhook]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("did not accept the test event: 503"),
        "{}",
        refused.stderr
    );
    assert_eq!(
        place.json(&["webhooks", "test", &webhook])["accepted"],
        true
    );

    let (code, stdout) = receiver.end();
    assert_eq!(code, 0);
    let requests = requests(&stdout);
    let verdicts: Vec<_> = requests
        .iter()
        .map(|request| (&request["verdict"], &request["answered"]))
        .collect();
    assert_eq!(
        verdicts,
        [
            (&"verified".into(), &503.into()),
            (&"verified".into(), &200.into())
        ]
    );
    assert_eq!(
        place.json(&["dead", "list"])["data"],
        serde_json::json!([]),
        "a test is never a dead letter"
    );
}

#[test]
fn another_secret_is_noticed_with_the_reason() {
    let place = place();
    place.write("another", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    let (receiver, webhook) = receiver(
        &place,
        &[
            "--profile",
            "standard",
            "--secret-file",
            "another",
            "--count",
            "1",
        ],
    );
    place.run(["webhooks", "test", &webhook]);
    let (_, stdout) = receiver.end();
    let request = &requests(&stdout)[0];
    assert_eq!(request["verdict"], "refused");
    assert!(
        request["why"]
            .as_str()
            .unwrap()
            .starts_with("the signature does not match"),
        "{request}"
    );
}

#[test]
fn what_a_stranger_sends_cannot_act_on_the_terminal() {
    use std::io::{Read, Write};
    let place = place();
    let mut receiver = Process::start(&place, &["listen", "--port", "0", "--count", "1"]);
    let said = receiver.wait_for("listening on http://");
    let address = said
        .split_once("http://")
        .unwrap()
        .1
        .trim_end_matches('/')
        .to_owned();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nX-Evil: a\x9b31m\r\nContent-Length: 5\r\n\r\n\x1b[31m",
        )
        .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(stream);
    let (code, stdout) = receiver.end();
    assert_eq!(code, 0);
    assert!(
        stdout.contains(r"\u{1b}[31m") && stdout.contains(r"\x9b31m"),
        "{stdout}"
    );
    assert!(
        !stdout.contains('\u{1b}') && !stdout.contains('\u{9b}'),
        "{stdout:?}"
    );
}

#[test]
fn while_a_worker_runs_commands_ask_it_and_a_dead_letter_is_replayed() {
    let place = place().with("RINGBACK_API__LISTEN", "127.0.0.1:0");
    let once = ringback_profile::Profile::builtin_source("standard").unwrap();
    let once = &once[..once.find("[retry]").unwrap()];
    place.write(
        "once.toml",
        &once.replacen("success", "retry = \"none\"\nsuccess", 1),
    );
    place.write(
        "ringback.toml",
        "[profiles.once]\nfile = \"once.toml\"\n[projects.default]\nprofile = \"once\"\n",
    );
    let mut worker = Process::start(&place, &["serve"]);
    worker.wait_for("ready");
    let (receiver, webhook) = receiver(&place, &["--count", "2", "--status", "500,200"]);
    place.write(
        "event.json",
        r#"{"id":"evt_1","project":"default","type":"a.b","occurred_at":"2026-06-01T10:00:00Z","job":{"id":"job_1"}}"#,
    );
    assert_eq!(place.json(&["publish", "event.json"])["published"], 1);

    let dead = until(
        || first(&place.json(&["dead", "list", "--destination", &webhook])),
        Value::is_object,
    );
    assert_eq!(dead["reason"], "attempts_exhausted");
    assert_eq!(dead["attempts"][0]["status"], 500);
    let id = dead["id"].as_str().unwrap();
    assert_eq!(
        place.json(&["dead", "replay", id, "--yes"])["data"][0]["generation"],
        1
    );
    let (_, stdout) = receiver.end();
    let bodies: Vec<_> = requests(&stdout)
        .iter()
        .map(|request| request["body"].clone())
        .collect();
    assert!(
        bodies.len() == 2 && bodies[0] == bodies[1],
        "the same body is sent again"
    );

    let delivery = dead["delivery"].as_str().unwrap();
    let delivery = until(
        || place.json(&["deliveries", "show", delivery]),
        |delivery| delivery["state"] == "delivered",
    );
    assert_eq!(delivery["attempts"].as_array().unwrap().len(), 2);
    let again = place.run(["dead", "replay", id, "--yes"]);
    assert_eq!(again.code, 4);
    assert!(
        again.stderr.contains("was already replayed")
            && again.stderr.contains("hint: pass --again"),
        "{}",
        again.stderr
    );
    assert_eq!(place.json(&["dead", "list"])["data"], serde_json::json!([]));
    assert_eq!(
        place.json(&["dead", "list", "--all"])["data"][0]["disposal"]["by"],
        "tester"
    );

    worker.terminate();
    worker.wait_for("stopped, nothing left behind");
    assert_eq!(worker.end().0, 0);
}

/// The first entry of a list, or nothing.
fn first(list: &Value) -> Value {
    list.pointer("/data/0").cloned().unwrap_or_default()
}

/// Asks until the answer is the one waited for.
fn until(ask: impl Fn() -> Value, is_it: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..600 {
        let answer = ask();
        if is_it(&answer) {
            return answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it did not come to that: {}", ask());
}
