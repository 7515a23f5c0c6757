//! One trace, from whoever publishes to whoever receives, as a collector sees it.

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use axum::{Router, body::Bytes, extract::State, routing::post};
use http::Request;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span,
};
use prost::Message;
use ringback_testkit::receiver::{Answer, Receiver};
use serde_json::json;
use std::{
    fmt::Write,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

on_both_grounds! {
    one_trace_leads_from_the_producer_to_the_receiver_and_a_replay_is_linked_to_it,
}

/// Takes in what is sent to a collector.
#[derive(Clone, Default)]
struct Collected {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<usize>>,
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
            *collected.metrics.lock().unwrap() += body.len();
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
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn one_trace_leads_from_the_producer_to_the_receiver_and_a_replay_is_linked_to_it(
    ground: Ground,
) {
    let (collected, collector) = Collected::start().await;
    let installation = Installation::start_with_collector(ground, collector).await;
    let key = installation.project_key("strict").await;
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Answer::status(500), Answer::status(200)]);
    let webhook = json!({"url": receiver.url("/hook?token=do-not-tell")}).to_string();
    installation
        .post("/api/v1/webhooks", &key, &webhook)
        .await
        .json(201);

    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = Request::builder()
        .method("POST")
        .header("x-api-key", &key)
        .header("content-type", "application/json")
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let event =
        json!({"id": "e-1", "project": "strict", "type": "task.completed", "job": {"id": "j-1"}});
    let sent = installation
        .send("/api/v1/events", request, event.to_string().into())
        .await;
    sent.json(202);
    let first = receiver.wait_for("/hook", 1).await;
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

    let spans = collected.spans.lock().unwrap().clone();
    let in_trace = |name: &str| {
        let found = spans
            .iter()
            .find(|span| span.name == name && hex(&span.trace_id) == trace);
        found
            .unwrap_or_else(|| panic!("no `{name}` in {spans:?}"))
            .clone()
    };
    let (published, dispatched, attempted) = (
        in_trace("publish event"),
        in_trace("dispatch event"),
        in_trace("POST"),
    );
    assert_eq!(hex(&published.parent_span_id), "b7ad6b7169203331");
    assert_eq!(dispatched.parent_span_id, published.span_id);
    assert_eq!(attempted.parent_span_id, dispatched.span_id);
    let told = format!("00-{trace}-{}-01", hex(&attempted.span_id));
    assert_eq!(first[0].header("traceparent"), Some(told.as_str()));

    let replayed = spans
        .iter()
        .find(|span| span.name == "POST" && hex(&span.trace_id) != trace);
    let replayed = replayed.expect("a replay has a trace of its own");
    assert_eq!(hex(&replayed.links[0].trace_id), trace);
    assert_eq!(replayed.links[0].span_id, dispatched.span_id);
    let told = format!(
        "00-{}-{}-01",
        hex(&replayed.trace_id),
        hex(&replayed.span_id)
    );
    assert_eq!(requests[1].header("traceparent"), Some(told.as_str()));

    let told = format!("{spans:?}");
    assert!(!told.contains("do-not-tell"), "no URL whole: {told}");
    assert!(
        *collected.metrics.lock().unwrap() > 0,
        "metrics are sent, too"
    );
}
