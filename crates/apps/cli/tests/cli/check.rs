//! `webhooks check` against receivers that do as they are told.

use crate::place::{Place, Ran};
use ringback_testkit::receiver::{Answer, Received, Receiver};
use serde_json::Value;

fn place() -> Place {
    let place = Place::new().with("RINGBACK_HTTP__ALLOW_NETWORKS", "127.0.0.1");
    place.write("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    place
}

/// Name and verdict of every finding.
fn verdicts(ran: &Ran) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    findings
        .map(|finding| (text(&finding["name"]), text(&finding["verdict"])))
        .collect()
}

fn with_verdict(ran: &Ran, wanted: &str) -> Vec<String> {
    let verdicts = verdicts(ran).into_iter();
    verdicts
        .filter(|(_, verdict)| verdict == wanted)
        .map(|(name, _)| name)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_verifies_is_told_from_one_that_takes_everything() {
    let receiver = Receiver::start().await;
    let statuses = [200, 200, 401, 401, 401, 200].map(Answer::status);
    receiver.script("/strict", statuses);
    let place = place();
    let check = |path: &str| {
        let url = receiver.url(path);
        let secret = ["--secret-file", "secret", "--negative", "-o", "json"];
        place.run(
            ["webhooks", "check", &url, "--profile", "standard"]
                .iter()
                .chain(&secret),
        )
    };

    let strict = check("/strict");
    assert_eq!(strict.code, 0, "{}{}", strict.stdout, strict.stderr);
    assert_eq!(with_verdict(&strict, "problem"), [""; 0]);
    assert_eq!(with_verdict(&strict, "warning"), ["tls"], "it is http");
    assert_eq!(verdicts(&strict).len(), 11);

    let requests = receiver.received("/strict");
    let [first, large, forged, unsigned, stale, repeated] = requests.as_slice() else {
        panic!("{} requests", requests.len())
    };
    let header = |request: &Received, name| request.header(name).map(str::to_owned);
    assert_eq!(large.body.len(), 102_400);
    assert!(header(unsigned, "webhook-signature").is_none());
    assert_eq!(first.body, repeated.body);
    assert_eq!(header(first, "webhook-id"), header(repeated, "webhook-id"));
    let seconds = |request| {
        header(request, "webhook-timestamp")
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    let age = seconds(first) - seconds(stale);
    assert!((3500..=3600).contains(&age), "{age}");
    for (request, is_right) in [
        (first, true),
        (large, true),
        (forged, false),
        (stale, true),
        (repeated, true),
    ] {
        assert_eq!(is_verified(request), is_right);
    }

    let lax = check("/lax");
    assert_eq!(lax.code, 1);
    assert_eq!(
        with_verdict(&lax, "problem"),
        ["forged", "unsigned", "stale"]
    );
    assert_eq!(
        lax.stderr,
        "error: 3 things keep deliveries from being right\n"
    );
}

fn is_verified(request: &Received) -> bool {
    use ringback_profile::{DestinationKind, Profile};
    let standard = Profile::builtin("standard").unwrap();
    let scheme = standard.signature(DestinationKind::Webhook).unwrap();
    let secret =
        ringback_signing::Secret::try_new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let received = ringback_signing::Received {
        signature: request.header("webhook-signature"),
        id: request.header("webhook-id"),
        timestamp: request.header("webhook-timestamp"),
        body: &request.body,
    };
    scheme.verify(&[secret], received, None).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_answers_wrongly_is_told_with_what_to_do() {
    let receiver = Receiver::start().await;
    receiver.script("/no-content", [Answer::status(204)]);
    receiver.script(
        "/moved",
        [Answer::redirect(308, "https://a.example/moved/")],
    );
    receiver.script("/small", [200, 413].map(Answer::status));
    receiver.script(
        "/closing",
        [Answer::status(200).with_header("connection", "close")],
    );
    let place = place().with("COLUMNS", "100");
    let check = |path: &str| {
        let ran = place.run([
            "webhooks",
            "check",
            &receiver.url(path),
            "--profile",
            "hooked",
        ]);
        let lines = ran.stdout.lines().filter(|line| !line.starts_with("ok"));
        let without_port =
            lines.map(|line| line.replace(&receiver.address().to_string(), "RECEIVER"));
        (ran.code, without_port.collect::<Vec<_>>().join("\n"))
    };
    let (code, told) = check("/no-content");
    assert_eq!(code, 1);
    insta::assert_snapshot!(told, @"
    http://RECEIVER/no-content as a receiver of `hooked`

    warning    tls            no encryption: whoever is on the way reads bodies and can replace them
                              to do: serve `https`
    problem    answer         204: this profile counts 200 as delivered, so each event is sent again
                              although it arrived
                              to do: answer 200
    not tried  content type   the event was not accepted, so nothing shows
    not tried  large body     the small event was not accepted
    not tried  connection     there was no second request
    not tried  must refuse    what it must refuse was not sent
                              to do: --negative sends it
    ");
    let (code, told) = check("/moved");
    assert_eq!(code, 1);
    assert!(
        told.contains("308: a redirect to `https://a.example/moved/`"),
        "{told}"
    );
    assert_eq!(receiver.received("/moved/").len(), 0);
    let (code, told) = check("/small");
    assert_eq!(code, 1);
    assert!(
        told.contains("413 to 100 KiB: events with much data become dead letters"),
        "{told}"
    );
    let (code, told) = check("/closing");
    assert_eq!(code, 0, "a warning is no failure");
    assert!(told.contains("closed after each answer"), "{told}");
}

#[test]
fn the_status_of_an_answer_that_was_cut_off_is_told() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // What was not read when it closes would cut off what was sent, too.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\nhalf");
        }
    });
    let ran = place().run(["webhooks", "check", &url, "--profile", "hooked"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let told = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "problem reach 202, but the connection ended within the answer",
        "not tried answer 202, but the answer was cut off, and counts as none",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_webhook_is_checked_with_its_own_secret() {
    let receiver = Receiver::start().await;
    receiver.script("/hook", [200, 200, 401, 401, 401, 200].map(Answer::status));
    let place = place();
    let added = place.json(&[
        "webhooks",
        "add",
        &receiver.url("/hook"),
        "--secret-file",
        "secret",
        "--header",
        "X-Key: k",
    ]);
    let id = added["id"].as_str().unwrap();
    let ran = place.run(["webhooks", "check", id, "--negative", "-o", "json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let requests = receiver.received("/hook");
    assert_eq!(requests.len(), 6);
    assert!(is_verified(&requests[0]));
    assert!(
        requests
            .iter()
            .all(|request| request.header("x-key") == Some("k"))
    );
    assert_eq!(
        place.json(&["deliveries", "list"])["data"],
        serde_json::json!([])
    );
}

#[test]
fn a_receiver_that_may_not_be_sent_to_and_wrong_usage_have_their_exit_codes() {
    let place = Place::new();
    place.write("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let table: [(&[&str], i32, &str); 6] = [
        (&["http://127.0.0.1:9/"], 4, "the URL is not accepted"),
        (&["not-a-url"], 4, "the URL is not accepted"),
        (&["whk_nope"], 3, "there is no webhook whk_nope"),
        (
            &["https://example.com/", "--profile", "nope"],
            3,
            "there is no profile `nope`",
        ),
        (
            &[
                "https://example.com/",
                "--profile",
                "hooked",
                "--secret-file",
                "secret",
            ],
            2,
            "no use for a secret",
        ),
        (
            &["whk_nope", "--profile", "hooked"],
            2,
            "leave --profile and --secret-file out",
        ),
    ];
    for (arguments, code, words) in table {
        let ran = place.run(["webhooks", "check"].iter().chain(arguments));
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}
