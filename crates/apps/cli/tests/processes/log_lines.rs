//! What a process logs for machines: one object a line, by the names that docs/observability.md promises.

use crate::{
    desk::event,
    installation::{Ground, HASTY, Installation, UNFORGIVING},
    process::Process,
};
use ringback_domain::Timestamp;
use ringback_telemetry::{Attribute, Values};
use ringback_testkit::{
    receiver::{Answer, Receiver},
    servers::free_port,
};
use serde_json::{Map, Value};
use std::fs;

/// What no line may hold.
const TOKEN: &str = "TokenOfATest";

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_delivery_is_told_line_by_line_in_the_words_of_the_metrics() {
    let installation = Installation::with(Ground::Embedded, "log.format = \"json\"");
    let receiver = Receiver::start().await;
    receiver.script("/down", [Answer::status(500), Answer::status(500)]);
    let mut serve = installation.command(&["serve"]);
    serve.env("RINGBACK_LOG__LEVEL", "info,ringback=debug");
    let mut process = Process::start(serve);
    process.says("\"ready\"").await;
    let down = receiver.url(&format!("/down?token={TOKEN}"));
    let nobody = format!("http://127.0.0.1:{}/{TOKEN}", free_port());
    for (project, id, url) in [
        (HASTY, "evt_refused", down),
        (UNFORGIVING, "evt_unreachable", nobody),
    ] {
        publish(&installation, project, id, &url).await;
    }
    for id in ["evt_refused", "evt_unreachable"] {
        let dead = format!(
            "\"ringback.dead_letter.reason\":\"attempts_exhausted\",\"ringback.event.id\":\"{id}\""
        );
        process.says(&dead).await;
    }
    process.ask_to_stop();
    let (status, said) = process.end().await;
    assert!(status.success(), "{said}");
    assert!(!said.contains(TOKEN), "no URL whole: {said}");

    let lines: Vec<_> = said.lines().map(line).collect();
    let of = |message: &str, event: &str| -> Vec<_> {
        let is_of = |line: &&Map<String, Value>| {
            line["message"] == message && line.get("ringback.event.id") == Some(&event.into())
        };
        lines.iter().filter(is_of).collect()
    };
    assert_eq!(of("event dispatched", "evt_refused").len(), 1);
    let attempts = of("attempt made", "evt_refused");
    let numbers: Vec<_> = attempts
        .iter()
        .map(|line| &line["ringback.attempt.number"])
        .collect();
    assert_eq!(numbers, [1, 2]);
    for line in attempts {
        assert_eq!(line["level"], "DEBUG");
        assert_eq!(line["ringback.attempt.outcome"], "refused");
        assert_eq!(line["http.response.status_code"], 500);
        assert_eq!(line.get("error.type"), None, "there was an answer");
    }
    let [unreachable] = of("attempt made", "evt_unreachable")[..] else {
        panic!("one attempt: {said}")
    };
    assert_eq!(
        unreachable["ringback.attempt.outcome"],
        "connection_refused"
    );
    assert_eq!(unreachable["error.type"], "connection_refused");
    assert_eq!(unreachable.get("http.response.status_code"), None);
    let [dead] = of("dead letter stored", "evt_unreachable")[..] else {
        panic!("one dead letter: {said}")
    };
    assert_eq!(dead["level"], "INFO");
    assert_eq!(dead["ringback.dead_letter.reason"], "attempts_exhausted");
    assert_eq!(
        dead["ringback.delivery.id"],
        unreachable["ringback.delivery.id"]
    );
}

/// One line as the object it is, with what every line has.
fn line(text: &str) -> Map<String, Value> {
    let parsed = serde_json::from_str(text);
    let Ok(Value::Object(line)) = parsed else {
        panic!("not one JSON object: {text}: {parsed:?}")
    };
    let told = |member: &str| match line.get(member) {
        Some(Value::String(told)) if !told.is_empty() => told,
        other => panic!("{member} is {other:?}: {text}"),
    };
    told("timestamp").parse::<Timestamp>().unwrap();
    assert!(
        ["ERROR", "WARN", "INFO", "DEBUG"].contains(&told("level").as_str()),
        "{text}"
    );
    told("target");
    told("message");
    for (name, value) in &line {
        let mut meant = Attribute::ALL
            .iter()
            .filter(|attribute| attribute.name() == name)
            .peekable();
        let is_word = |attribute: &&Attribute| match attribute.values() {
            Values::Words(words) => words.iter().any(|word| value == word),
            Values::Statuses | Values::Routes => true,
        };
        assert!(
            meant.peek().is_none() || meant.any(|attribute| is_word(&attribute)),
            "`{name}` is no word of the metrics: {text}"
        );
    }
    line
}

async fn publish(installation: &Installation, project: &str, id: &str, url: &str) {
    let text = event(project, id, 1);
    let text = std::str::from_utf8(&text).unwrap();
    let text = format!(
        "{},\"callback\":{{\"url\":\"{url}\"}}}}",
        text.strip_suffix('}').unwrap()
    );
    let file = installation.data().with_extension("json");
    fs::write(&file, text).unwrap();
    let output = installation
        .command(&["publish"])
        .arg(file)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
