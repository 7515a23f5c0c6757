//! The sender, measured and traced: one span for each request, which the receiver is told of unless the profile forbids it.

use super::place;
use futures_util::{FutureExt, future::BoxFuture};
use ringback_delivery::port::{Exchange, Request, SendFailure, Sender, Tracing};
use ringback_domain::{AttemptNumber, Generation, UnreachableCause};
use ringback_telemetry::{
    Attribute, Histogram, HistogramByStatus, KeyValue, Meters, Metric, Origin, Span, Step, Tracer,
    UpDownCounter,
};
use std::sync::Arc;
use url::Url;

pub(super) struct MeteredSender {
    inner: Arc<dyn Sender>,
    in_flight: UpDownCounter,
    answered: HistogramByStatus,
    unanswered: Vec<(UnreachableCause, Histogram)>,
    tracer: Tracer,
}

const CAUSES: [UnreachableCause; 7] = [
    UnreachableCause::NameLookup,
    UnreachableCause::ConnectionRefused,
    UnreachableCause::ConnectTimeout,
    UnreachableCause::Tls,
    UnreachableCause::TimeLimit,
    UnreachableCause::ConnectionLost,
    UnreachableCause::NotHttp,
];

impl MeteredSender {
    pub(super) fn new(inner: Arc<dyn Sender>, meters: &Meters, tracer: Tracer) -> Self {
        const METRIC: Metric = Metric::HttpClientRequestDuration;
        let unanswered = CAUSES.map(|cause| {
            let labels = [
                (Attribute::Method, "POST"),
                (Attribute::SendError, cause.class()),
            ];
            (cause, meters.histogram(METRIC, &labels))
        });
        Self {
            inner,
            in_flight: meters.up_down_counter(Metric::DeliveriesInFlight),
            answered: meters.histogram_by_status(METRIC, &[(Attribute::Method, "POST")]),
            unanswered: unanswered.into(),
            tracer,
        }
    }

    fn begin(&self, request: &Request) -> Span {
        let tracing = &request.tracing;
        self.tracer.begin(Step::Attempt, origin(tracing), || {
            let host = request.url.host_str().unwrap_or_default().to_owned();
            vec![
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("server.address", host),
                KeyValue::new("ringback.delivery.id", tracing.delivery.to_string()),
                KeyValue::new(
                    "ringback.delivery.generation",
                    i64::from(tracing.generation.get()),
                ),
                KeyValue::new("ringback.attempt.number", i64::from(tracing.attempt.get())),
            ]
        })
    }

    fn record(&self, exchange: &Exchange, span: &mut Span) {
        let took = exchange.phases.total;
        match &exchange.result {
            Ok(answer) => {
                self.answered.record(took, answer.status);
                span.set("http.response.status_code", i64::from(answer.status));
            }
            Err(SendFailure::Unreachable(cause)) => {
                if let Some((_, meter)) = self.unanswered.iter().find(|(of, _)| of == cause) {
                    meter.record(took);
                }
                span.fail(cause.class());
            }
            // No request was made.
            Err(SendFailure::NotSent(reason)) => span.fail(reason.class()),
            Err(SendFailure::NoRoom) => span.fail("no_room"),
        }
    }
}

/// The first attempt is a part of its event's trace. What follows hours later is linked to it: a trace is not kept open so long.
fn origin(tracing: &Tracing) -> Origin<'_> {
    let is_first =
        tracing.generation == Generation::FIRST && tracing.attempt == AttemptNumber::FIRST;
    match &tracing.trace {
        Some(trace) if is_first => Origin::PartOf(place(trace)),
        Some(trace) => Origin::Follows(place(trace)),
        None => Origin::New,
    }
}

/// What the receiver is told: our span, or, where none is made, the producer's as it came.
fn told(request: &Request, span: &Span) -> Option<String> {
    let tracing = &request.tracing;
    if !tracing.is_told {
        return None;
    }
    let own = span.place().map(|(parent, _)| parent);
    own.or_else(|| Some(tracing.trace.as_ref()?.traceparent.clone()))
}

impl Sender for MeteredSender {
    fn send(&self, mut request: Request) -> BoxFuture<'_, Exchange> {
        let in_flight = self.in_flight.enter();
        let mut span = self.begin(&request);
        if let Some(parent) = told(&request, &span) {
            request.headers.push(("traceparent".to_owned(), parent));
        }
        let sending = self.inner.send(request);
        async move {
            let _in_flight = in_flight;
            let exchange = sending.await;
            self.record(&exchange, &mut span);
            exchange
        }
        .boxed()
    }

    fn check_url(&self, url: &Url) -> Result<(), String> {
        self.inner.check_url(url)
    }
}
