//! One trace, from whoever publishes to whoever receives, and the metrics, as a collector sees them.

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use axum::{Router, body::Bytes, extract::State, routing::post};
use http::Request;
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric as PushedMetric, metric::Data, number_data_point},
    trace::v1::Span,
};
use prost::Message;
use ringback_telemetry::{Attribute, Metric};
use ringback_testkit::receiver::{Answer, Received, Receiver};
use serde_json::json;
use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

on_both_grounds! {
    one_trace_leads_from_the_producer_to_the_receiver_and_a_replay_is_linked_to_it,
    a_retry_has_a_trace_of_its_own_that_is_linked_to_the_dispatch,
    a_profile_that_forbids_it_tells_the_receiver_nothing_of_the_trace,
    a_trace_that_its_producer_does_not_keep_is_not_kept_here_either,
    metrics_are_sent_by_name_with_unit_description_and_value,
}

/// What the producer says of itself, and which trace it is in.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PRODUCER: &str = "b7ad6b7169203331";

/// Takes in what is sent to a collector.
#[derive(Clone, Default)]
struct Collected {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<PushedMetric>>>,
}

impl Collected {
    async fn start() -> (Self, String) {
        let collected = Self::default();
        let take_spans = async |State(collected): State<Self>, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let scopes = request
                .resource_spans
                .into_iter()
                .flat_map(|of| of.scope_spans);
            let spans = scopes.flat_map(|scope| scope.spans);
            collected.spans.lock().unwrap().extend(spans);
        };
        let take_metrics = async |State(collected): State<Self>, body: Bytes| {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            let scopes = request
                .resource_metrics
                .into_iter()
                .flat_map(|of| of.scope_metrics);
            let metrics = scopes.flat_map(|scope| scope.metrics);
            // Each push tells all there is so far.
            *collected.metrics.lock().unwrap() = metrics.collect();
        };
        let router = Router::new()
            .route("/v1/traces", post(take_spans))
            .route("/v1/metrics", post(take_metrics))
            .with_state(collected.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collected, url)
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The span of this name that is in the producer's trace.
fn in_trace<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans
        .iter()
        .find(|span| span.name == name && hex(&span.trace_id) == TRACE);
    found.unwrap_or_else(|| panic!("no `{name}` in {spans:?}"))
}

/// The one request that is in no trace of the producer's: it begins its own, linked to the dispatch that is.
fn linked(spans: &[Span]) -> &Span {
    let mut others = spans.iter().filter(|span| hex(&span.trace_id) != TRACE);
    let (Some(span), None) = (others.next(), others.next()) else {
        panic!("there is one other trace, of one span: {spans:?}")
    };
    assert_eq!(span.name, "POST");
    assert!(
        span.parent_span_id.is_empty(),
        "a part of nothing: {span:?}"
    );
    let [link] = span.links.as_slice() else {
        panic!("it follows one: {span:?}")
    };
    let dispatched = in_trace(spans, "dispatch event");
    assert_eq!(
        (hex(&link.trace_id).as_str(), &link.span_id),
        (TRACE, &dispatched.span_id)
    );
    span
}

/// What the receiver of this request is told.
fn told(span: &Span) -> String {
    format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))
}

fn number(attributes: &[KeyValue], name: &str) -> Option<i64> {
    let attribute = attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

/// Registers a webhook of this project and publishes an event for it, as a part of the producer's trace.
async fn publish(installation: &Installation, project: &str, url: String, flags: &str) {
    let key = installation.project_key(project).await;
    let webhook = json!({"url": url}).to_string();
    installation
        .post("/api/v1/webhooks", &key, &webhook)
        .await
        .json(201);
    let request = Request::builder()
        .method("POST")
        .header("x-api-key", &key)
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{TRACE}-{PRODUCER}-{flags}"));
    let event =
        json!({"id": "e-1", "project": project, "type": "task.completed", "job": {"id": "j-1"}});
    let sent = installation
        .send("/api/v1/events", request, event.to_string().into())
        .await;
    sent.json(202);
}

/// An event of this project is published to a receiver that answers so, until it has answered all; what it got, and the spans.
async fn deliver(
    ground: Ground,
    project: &str,
    flags: &str,
    statuses: &[u16],
) -> (Vec<Received>, Collected) {
    let (collected, collector) = Collected::start().await;
    let installation = Installation::start_with_collector(ground, collector).await;
    let receiver = Receiver::start().await;
    receiver.script(
        "/hook",
        statuses.iter().map(|status| Answer::status(*status)),
    );
    publish(&installation, project, receiver.url("/hook"), flags).await;
    let requests = receiver.wait_for("/hook", statuses.len()).await;
    installation.stop().await;
    (requests, collected)
}

async fn one_trace_leads_from_the_producer_to_the_receiver_and_a_replay_is_linked_to_it(
    ground: Ground,
) {
    let (collected, collector) = Collected::start().await;
    let installation = Installation::start_with_collector(ground, collector).await;
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Answer::status(500), Answer::status(200)]);
    let url = receiver.url("/hook?token=do-not-tell");
    publish(&installation, "strict", url, "01").await;
    let first = receiver.wait_for("/hook", 1).await;
    let key = installation.project_key("strict").await;
    let dead = installation
        .until("it is given up", async || {
            let list = installation
                .get("/api/v1/dead-letters", &key)
                .await
                .json(200);
            list["data"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
    let replay = format!("/api/v1/dead-letters/{dead}/replay");
    installation.post(&replay, &key, "").await.json(202);
    let requests = receiver.wait_for("/hook", 2).await;
    installation.stop().await;

    let spans = collected.spans();
    let (published, dispatched, attempted) = (
        in_trace(&spans, "publish event"),
        in_trace(&spans, "dispatch event"),
        in_trace(&spans, "POST"),
    );
    assert_eq!(hex(&published.parent_span_id), PRODUCER);
    assert_eq!(dispatched.parent_span_id, published.span_id);
    assert_eq!(attempted.parent_span_id, dispatched.span_id);
    assert_eq!(first[0].header("traceparent"), Some(&*told(attempted)));

    let replayed = linked(&spans);
    assert_eq!(
        number(&replayed.attributes, "ringback.delivery.generation"),
        Some(1)
    );
    assert_eq!(requests[1].header("traceparent"), Some(&*told(replayed)));

    let told = format!("{spans:?}");
    assert!(!told.contains("do-not-tell"), "no URL whole: {told}");
}

async fn a_retry_has_a_trace_of_its_own_that_is_linked_to_the_dispatch(ground: Ground) {
    let (requests, collected) = deliver(ground, "hasty", "01", &[500, 200]).await;
    let spans = collected.spans();
    let (first, retried) = (in_trace(&spans, "POST"), linked(&spans));
    for (span, request, attempt, status) in [
        (first, &requests[0], 1, 500),
        (retried, &requests[1], 2, 200),
    ] {
        let number = |name| number(&span.attributes, name);
        assert_eq!(number("ringback.attempt.number"), Some(attempt));
        assert_eq!(number("ringback.delivery.generation"), Some(0));
        assert_eq!(number("http.response.status_code"), Some(status));
        assert_eq!(request.header("traceparent"), Some(&*told(span)));
    }
}

async fn a_profile_that_forbids_it_tells_the_receiver_nothing_of_the_trace(ground: Ground) {
    let (requests, collected) = deliver(ground, "discreet", "01", &[500, 200]).await;
    for request in &requests {
        assert_eq!(request.header("traceparent"), None, "{request:?}");
        assert_eq!(request.header("tracestate"), None, "{request:?}");
    }
    // We are told all the same.
    let spans = collected.spans();
    let dispatched = in_trace(&spans, "dispatch event");
    assert_eq!(in_trace(&spans, "POST").parent_span_id, dispatched.span_id);
    linked(&spans);
}

async fn a_trace_that_its_producer_does_not_keep_is_not_kept_here_either(ground: Ground) {
    let (requests, collected) = deliver(ground, "hasty", "00", &[500, 200]).await;
    assert_eq!(collected.spans(), []);
    // The receiver is told whose trace it is in, and that nobody keeps it.
    let parents = requests.iter().map(|request| request.header("traceparent"));
    let parents: Vec<_> = parents.map(Option::unwrap).collect();
    assert!(
        parents[0].starts_with(&format!("00-{TRACE}-")),
        "{parents:?}"
    );
    assert!(
        parents.iter().all(|parent| parent.ends_with("-00")),
        "{parents:?}"
    );
}

async fn metrics_are_sent_by_name_with_unit_description_and_value(ground: Ground) {
    let (_, collected) = deliver(ground, "hasty", "01", &[500, 200]).await;
    let pushed = collected.metrics.lock().unwrap().clone();
    let mut names: Vec<_> = pushed.iter().map(|metric| metric.name.as_str()).collect();
    names.sort_unstable();
    for metric in &pushed {
        let known = Metric::ALL
            .into_iter()
            .find(|known| known.name() == metric.name);
        let known = known.unwrap_or_else(|| panic!("{} is not ours", metric.name));
        assert_eq!(metric.unit, known.unit(), "{}", metric.name);
        assert_eq!(metric.description, known.description(), "{}", metric.name);
    }
    let data = |metric: Metric| {
        let found = pushed.iter().find(|pushed| pushed.name == metric.name());
        let found = found.unwrap_or_else(|| panic!("no {metric:?} in {names:?}"));
        found.data.clone().unwrap()
    };
    let Data::Sum(attempts) = data(Metric::DeliveryAttempts) else {
        panic!("a counter is a sum")
    };
    assert!(attempts.is_monotonic);
    for (outcome, count) in [("accepted", 1), ("refused", 1), ("tls", 0)] {
        let is_of = |attribute: &KeyValue| {
            let value = attribute
                .value
                .as_ref()
                .and_then(|value| value.value.as_ref());
            attribute.key == Attribute::AttemptOutcome.name()
                && value == Some(&Value::StringValue(outcome.to_owned()))
        };
        let point = attempts
            .data_points
            .iter()
            .find(|point| point.attributes.iter().any(is_of));
        let value = point.unwrap().value;
        assert_eq!(
            value,
            Some(number_data_point::Value::AsInt(count)),
            "{outcome}"
        );
    }
    let Data::Histogram(durations) = data(Metric::DeliveryDuration) else {
        panic!("durations are a histogram")
    };
    let [delivered] = durations.data_points.as_slice() else {
        panic!("one delivery came to an end: {durations:?}")
    };
    assert_eq!(delivered.count, 1);
    assert!(
        delivered.sum.unwrap() >= 0.1,
        "the wait for the retry included"
    );
}
