//! `/healthz` and `/readyz`, for what starts, stops and watches us.

use crate::Services;
use axum::extract::State;
use http::StatusCode;
use ringback_delivery::port::{Depth, Lane, QueueName};
use ringback_worker::Role;
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long queue and store may take to answer; watchers ask every few seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
}

/// That the process answers.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// `ok`
    status: &'static str,
}

/// Whether the process can take work, and what is in the way.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what watchers read, member by member"
)]
struct Readiness {
    ready: bool,
    /// Whether the queue answers.
    queue: bool,
    /// Whether the store answers.
    store: bool,
    /// Whether the consumers are registered that the roles of this process need.
    consumers: bool,
    /// Whether retries come out of the queue when they are due, as far as this process has seen.
    retries: bool,
    /// Whether the process is on its way out.
    stopping: bool,
}

/// Tells that the process lives. Asks nobody else.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "It does", body = Alive))
)]
async fn healthz() -> axum::Json<Alive> {
    axum::Json(Alive { status: "ok" })
}

/// Tells whether the process can take work: queue and store answer, somebody takes what the roles of this process are to work
/// on, and retries come out in time.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "It can", body = Readiness),
        (status = 503, description = "It cannot now", body = Readiness)
    )
)]
async fn readyz(State(services): State<Arc<Services>>) -> (StatusCode, axum::Json<Readiness>) {
    let context = &services.context;
    let (depths, store) = tokio::join!(
        timeout(ANSWER_WITHIN, context.queue.depths()),
        timeout(ANSWER_WITHIN, context.store.health())
    );
    let (queue, consumers) = match depths {
        Ok(Ok(depths)) => (true, has_consumers(&depths, &services.roles)),
        _ => (false, false),
    };
    let store = matches!(store, Ok(Ok(_)));
    let delays = context.queue.punctuality();
    let retries = delays.is_none_or(|delays| delays.standing.is_empty());
    let stopping = services.stop.is_cancelled();
    let ready = queue && store && consumers && retries && !stopping;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let readiness = Readiness {
        ready,
        queue,
        store,
        consumers,
        retries,
        stopping,
    };
    (status, axum::Json(readiness))
}

/// Whether every queue that the roles work on has a consumer, as far as the queue can tell.
fn has_consumers(depths: &[Depth], roles: &BTreeSet<Role>) -> bool {
    let needed = roles.iter().filter_map(|role| match role {
        Role::Dispatch => Some(QueueName::Events),
        Role::Deliver => Some(QueueName::Deliveries(Lane::Main)),
        // Takes nothing from a queue.
        Role::Replay => None,
    });
    needed.into_iter().all(|name| {
        let depth = depths.iter().find(|depth| depth.queue == name);
        depth.is_some_and(|depth| depth.consumers != Some(0))
    })
}
