//! What a process measures: every metric, described, with no values but those it may have.
#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use ringback_telemetry::{Instrument, Metric, STATUSES, Values};
use ringback_testkit::receiver::{Answer, Receiver};
use serde_json::json;
use std::collections::BTreeMap;

on_both_grounds! {
    every_metric_is_emitted_and_described_and_its_labels_are_bounded,
}

/// What only a broker or a store of its own can tell.
const OF_SERVERS: [Metric; 3] = [
    Metric::BrokerFrameAge,
    Metric::QueuesStanding,
    Metric::StoreClockSkew,
];

#[tokio::test]
async fn what_cannot_be_done_with_the_metrics_is_a_problem_like_any_other() {
    let installation = Installation::start(Ground::Embedded).await;
    let answer = installation.post("/metrics", "", "").await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.headers["allow"], "GET,HEAD");
    installation.stop().await;
}

/// One series of Prometheus' text.
#[derive(Debug)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

fn series(text: &str) -> Vec<Series> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (head, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = head.split_once('{').unwrap_or((head, "}"));
            let labels = labels.trim_end_matches('}').trim_end_matches(',');
            let labels = labels.split("\",").filter(|label| !label.is_empty());
            let labels = labels.map(|label| {
                let (name, value) = label.split_once("=\"").unwrap();
                (name.to_owned(), value.trim_end_matches('"').to_owned())
            });
            Series {
                name: name.to_owned(),
                labels: labels.collect(),
                value: value.parse().unwrap(),
            }
        })
        .collect()
}

fn value(all: &[Series], metric: Metric, labels: &[(&str, &str)]) -> f64 {
    let name = metric.prometheus_name();
    let fits = |series: &&Series| {
        (series.name == name || series.name == format!("{name}_count"))
            && labels
                .iter()
                .all(|(label, value)| series.labels.get(*label).map(String::as_str) == Some(value))
    };
    all.iter().filter(fits).map(|series| series.value).sum()
}

/// Labels that exporters add.
const OF_EXPORTERS: [&str; 4] = [
    "le",
    "otel_scope_name",
    "otel_scope_version",
    "otel_scope_schema_url",
];

fn check_labels(metric: Metric, series: &Series) {
    for (label, value) in &series.labels {
        if OF_EXPORTERS.contains(&label.as_str()) {
            continue;
        }
        let attribute = metric
            .attributes()
            .iter()
            .find(|attribute| attribute.prometheus_name() == *label)
            .unwrap_or_else(|| panic!("{metric:?} has no label {label}: {series:?}"));
        match attribute.values() {
            Values::Words(words) => assert!(words.contains(&value.as_str()), "{series:?}"),
            Values::Statuses => assert!(STATUSES.contains(&value.parse().unwrap()), "{series:?}"),
            Values::Routes => assert!(
                value.starts_with('/') && !value.contains("whk_"),
                "{series:?}"
            ),
        }
    }
}

async fn every_metric_is_emitted_and_described_and_its_labels_are_bounded(ground: Ground) {
    let installation = Installation::start(ground).await;
    let receiver = Receiver::start().await;
    receiver.script("/sad", [Answer::status(500)]);
    receiver.script("/moody", [Answer::status(503), Answer::status(200)]);
    let key = installation.project_key("acme").await;
    let strict = installation.project_key("strict").await;
    let hasty = installation.project_key("hasty").await;
    for (key, path) in [(&key, "/happy"), (&strict, "/sad"), (&hasty, "/moody")] {
        let webhook = json!({"url": receiver.url(path)}).to_string();
        installation
            .post("/api/v1/webhooks", key, &webhook)
            .await
            .json(201);
    }
    for (key, project) in [(&key, "acme"), (&strict, "strict"), (&hasty, "hasty")] {
        let event = json!({"id": "e-1", "project": project, "type": "task.completed", "job": {"id": "j-1"}});
        let event = event.to_string();
        installation
            .post("/api/v1/events", key, &event)
            .await
            .json(202);
    }
    installation.get("/api/v1/webhooks/whk_nobody", &key).await;
    receiver.wait_for("/happy", 1).await;
    let dead = installation
        .until("the other is given up", async || {
            let list = installation
                .get("/api/v1/dead-letters", &strict)
                .await
                .json(200);
            list["data"][0]["id"].as_str().map(str::to_owned)
        })
        .await;

    let all = installation
        .until("everything is counted", async || {
            installation
                .collector
                .collect(&mut installation.collector.rounds())
                .await;
            let answer = installation.get("/metrics", "").await;
            assert!(answer.header("content-type").starts_with("text/plain"));
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            let all = series(&text);
            let state = |state| [("ringback_delivery_final_state", state)];
            let delivered = value(&all, Metric::DeliveryDuration, &state("delivered"));
            let buried = value(&all, Metric::DeliveryDuration, &state("dead_lettered"));
            (delivered >= 2.0 && buried >= 1.0).then_some(text)
        })
        .await;
    assert!(
        !all.contains(&dead) && !all.contains("127.0.0.1"),
        "no id, no host: {all}"
    );
    let text = all;
    let all = series(&text);
    for metric in Metric::ALL {
        let name = metric.prometheus_name();
        if ground == Ground::Embedded && OF_SERVERS.contains(&metric) {
            continue;
        }
        assert!(
            text.contains(&format!("# HELP {name} {}", metric.description())),
            "{name} is not described:\n{text}"
        );
        let parts = match metric.instrument() {
            Instrument::Histogram(_) => ["_bucket", "_sum", "_count"]
                .map(|part| format!("{name}{part}"))
                .to_vec(),
            _ => vec![name.clone()],
        };
        for part in parts {
            let found: Vec<_> = all.iter().filter(|series| series.name == part).collect();
            assert!(!found.is_empty(), "{part} is not emitted:\n{text}");
            for series in found {
                check_labels(metric, series);
            }
        }
    }
    let names: Vec<_> = Metric::ALL.map(Metric::prometheus_name).to_vec();
    for series in &all {
        assert!(
            series.name == "target_info" || names.iter().any(|name| series.name.starts_with(name)),
            "{series:?} is in no list"
        );
    }

    let attempts = |outcome| {
        value(
            &all,
            Metric::DeliveryAttempts,
            &[("ringback_attempt_outcome", outcome)],
        )
    };
    assert_eq!(
        (attempts("accepted"), attempts("refused")),
        (2.0, 2.0),
        "{text}"
    );
    let dispatched = [("ringback_event_outcome", "dispatched")];
    assert_eq!(value(&all, Metric::EventsDispatched, &dispatched), 3.0);
    let exhausted = [("ringback_dead_letter_reason", "attempts_exhausted")];
    assert_eq!(
        value(&all, Metric::DeadLettersStored, &exhausted),
        1.0,
        "{text}"
    );
    assert_eq!(value(&all, Metric::DeadLetters, &exhausted), 1.0, "{text}");
    assert_eq!(value(&all, Metric::DeliveriesInFlight, &[]), 0.0);
    assert_eq!(
        value(
            &all,
            Metric::HttpClientRequestDuration,
            &[("http_response_status_code", "500")]
        ),
        1.0
    );
    for dependency in ["queue", "store"] {
        assert_eq!(
            value(
                &all,
                Metric::DependencyUp,
                &[("ringback_dependency", dependency)]
            ),
            1.0
        );
    }
    let route = [
        ("http_route", "/api/v1/webhooks/{id}"),
        ("http_response_status_code", "404"),
    ];
    assert_eq!(
        value(&all, Metric::HttpServerRequestDuration, &route),
        1.0,
        "{text}"
    );
    let confirmed = [("messaging_destination_name", "events")];
    assert_eq!(value(&all, Metric::MessagesSent, &confirmed), 3.0, "{text}");
    installation.stop().await;
}
