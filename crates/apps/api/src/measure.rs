//! `/metrics`, and how long each call takes.

use crate::route;
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{Method, header};
use ringback_telemetry::{Attribute, HistogramByStatus, Label, Meters, Metric, Telemetry};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// What Prometheus reads. It asks for this by name, or for anything.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The router with `/metrics` beside it, and every call measured.
pub fn measured(router: Router, telemetry: Arc<Telemetry>) -> Router {
    let calls = Arc::new(Calls {
        meters: telemetry.meters.clone(),
        by_call: Mutex::default(),
    });
    let text = move || {
        let telemetry = telemetry.clone();
        async move {
            (
                [(header::CONTENT_TYPE, TEXT_FORMAT)],
                telemetry.prometheus_text(),
            )
        }
    };
    router
        .route("/metrics", get(text))
        .method_not_allowed_fallback(route::method_not_allowed)
        .layer(from_fn_with_state(calls, measure))
}

/// A method and the route it was for, if there is one.
type Call = (&'static str, Option<String>);

/// The instruments of the calls, each made when its route is called first: there are as many as routes.
struct Calls {
    meters: Meters,
    by_call: Mutex<HashMap<Call, Arc<HistogramByStatus>>>,
}

impl Calls {
    fn meter(&self, method: &'static str, route: Option<&str>) -> Arc<HistogramByStatus> {
        let mut by_call = self.by_call.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (method, route.map(str::to_owned));
        let make = || {
            let mut labels: Vec<Label> = vec![(Attribute::Method, method)];
            // Leaked once for each route of the router, so that recording copies nothing.
            labels.extend(route.map(|route| (Attribute::Route, &*route.to_owned().leak())));
            Arc::new(
                self.meters
                    .histogram_by_status(Metric::HttpServerRequestDuration, &labels),
            )
        };
        by_call.entry(key).or_insert_with(make).clone()
    }
}

async fn measure(State(calls): State<Arc<Calls>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = method_word(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await.into_response();
    let route = route.as_ref().map(MatchedPath::as_str);
    calls
        .meter(method, route)
        .record(begun.elapsed(), response.status().as_u16());
    response
}

/// Anybody may make up a method.
fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
