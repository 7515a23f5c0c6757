//! `listen --forward-to`: a request goes on to a program on this machine, and its answer comes back.

use crate::{place::Place, process::Process};
use ringback_testkit::receiver::{Answer, Receiver};
use serde_json::Value;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

/// A place, and a listener there that hands on to this URL; the id of a webhook that leads to it.
fn listening(to: &str) -> (Place, Process, String) {
    let place = Place::new().with("RINGBACK_HTTP__ALLOW_NETWORKS", "127.0.0.1");
    place.write("secret", SECRET);
    let arguments =
        "listen --port 0 --count 1 --output json --profile standard --secret-file secret";
    let mut arguments: Vec<_> = arguments.split(' ').collect();
    arguments.extend(["--forward-to", to]);
    let mut listener = Process::start(&place, &arguments);
    let said = listener.wait_for("listening on ");
    let url = format!("{}in?x=1", said.split_once("listening on ").unwrap().1);
    let added = place.json(&["webhooks", "add", &url, "--secret-file", "secret"]);
    let id = added["id"].as_str().unwrap().to_owned();
    (place, listener, id)
}

fn shown(listener: Process) -> Value {
    let (code, stdout) = listener.end();
    assert_eq!(code, 0);
    serde_json::from_str(&stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_on_as_it_came_and_the_answer_comes_back() {
    let program = Receiver::start().await;
    let refusal = Answer::status(422)
        .with_header("x-why", "no such order")
        .with_body("no such order");
    program.script("/app/in", [refusal]);
    let (place, listener, webhook) = listening(&program.url("/app"));

    let tested = place.run(["webhooks", "test", &webhook, "-o", "json"]);
    assert_eq!(tested.code, 1);
    let tested: Value = serde_json::from_str(&tested.stdout).unwrap();
    assert_eq!(tested["attempt"]["status"], 422);
    assert_eq!(tested["attempt"]["excerpt"], "no such order");

    let shown = shown(listener);
    assert_eq!(shown["verdict"], "verified");
    assert_eq!(
        (&shown["answered"], &shown["forwarded"]["status"]),
        (&422.into(), &422.into())
    );
    assert_eq!(shown["forwarded"]["to"], program.url("/app/in?x=1"));

    let received = &program.received("/app/in")[0];
    assert_eq!(received.method, "POST");
    assert_eq!(received.uri.query(), Some("x=1"));
    assert_eq!(received.body, tested["body"].as_str().unwrap());
    assert_eq!(
        received.header("host"),
        Some(program.address().to_string().as_str())
    );
    for name in [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "content-type",
    ] {
        let came = shown["headers"].as_array().unwrap().iter();
        let came = came.filter(|pair| pair[0] == name).collect::<Vec<_>>();
        assert_eq!(came.len(), 1, "{name}");
        assert_eq!(received.header(name), came[0][1].as_str(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_goes_back_and_is_not_followed() {
    let program = Receiver::start().await;
    program.script("/in", [Answer::redirect(302, program.url("/elsewhere"))]);
    let (place, listener, webhook) = listening(&program.url(""));
    assert_eq!(place.run(["webhooks", "test", &webhook]).code, 1);
    assert_eq!(shown(listener)["answered"], 302);
    assert_eq!(program.received("/elsewhere").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_run_is_a_502_with_a_hint() {
    let port = {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        taken.local_addr().unwrap().port()
    };
    let (place, listener, webhook) = listening(&format!("http://127.0.0.1:{port}"));
    let tested = place.run(["webhooks", "test", &webhook]);
    assert_eq!(tested.code, 1);
    assert!(
        tested.stderr.contains("did not accept the test event: 502"),
        "{}",
        tested.stderr
    );
    let shown = shown(listener);
    assert_eq!(shown["verdict"], "verified");
    assert_eq!(
        shown["forwarded"]["why"],
        format!("nothing listens at http://127.0.0.1:{port}")
    );
    assert_eq!(
        shown["forwarded"]["hint"],
        "is the program running, and on that port?"
    );
}

#[test]
fn other_machines_are_handed_on_to_only_when_asked_for() {
    let refused = Place::new().run([
        "listen",
        "--port",
        "0",
        "--forward-to",
        "http://example.com/",
    ]);
    assert_eq!(refused.code, 4);
    insta::assert_snapshot!(refused.stderr, @"
    error: `example.com` is not this machine
    hint: --forward-anywhere allows it
    ");
}
