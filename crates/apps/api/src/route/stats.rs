//! `/stats`: what waits, and what was given up.

use super::{KeyProblems, MembersRefused, NoSuchThing};
use crate::{
    Services,
    auth::{Caller, Read},
    members::Parameters,
    problem::Problem,
};
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use ringback_delivery::port::Depth;
use ringback_domain::{KeyOwner, TrafficOf, TrafficPoint, TrafficStep};
use serde::Serialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Whose numbers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct StatsParams {
    /// Only of this project.
    project: Option<String>,
    /// Traffic by the `minute`, for two hours, or by the `hour`, for eight days.
    #[param(default = "minute")]
    step: Option<String>,
}

/// Numbers that tell how things stand.
#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    /// Dead letters that nobody has dealt with.
    open_dead_letters: u64,
    /// What waits where, over all projects; null but for the operator.
    #[schema(required)]
    queues: Option<Vec<QueueDepth>>,
    /// Oldest first, without gaps.
    traffic: Vec<TrafficView>,
}

/// What became of attempts in one step of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Traffic)]
struct TrafficView {
    /// When the step began.
    at: Timestamp,
    /// Deliveries that a destination accepted.
    delivered: u64,
    /// Attempts that were made and not accepted.
    failed_attempts: u64,
    /// Deliveries given up.
    dead_lettered: u64,
}

impl From<TrafficPoint> for TrafficView {
    fn from(point: TrafficPoint) -> Self {
        Self {
            at: point.at,
            delivered: point.traffic.delivered,
            failed_attempts: point.traffic.failed_attempts,
            dead_lettered: point.traffic.dead_lettered,
        }
    }
}

fn step(word: &str) -> Result<TrafficStep, String> {
    match word {
        "minute" => Ok(TrafficStep::Minute),
        "hour" => Ok(TrafficStep::Hour),
        _ => Err("is neither `minute` nor `hour`".to_owned()),
    }
}

/// How much waits in one queue.
#[derive(Debug, Serialize, ToSchema)]
struct QueueDepth {
    /// `events`, `deliveries`, `deliveries_slow`, `delayed` or `parked`.
    queue: &'static str,
    waiting: u64,
    /// Null where the queue cannot tell.
    #[schema(required)]
    consumers: Option<u32>,
}

impl From<Depth> for QueueDepth {
    fn from(depth: Depth) -> Self {
        Self {
            queue: depth.queue.as_str(),
            waiting: depth.waiting,
            consumers: depth.consumers,
        }
    }
}

/// Shows numbers that tell how things stand.
#[utoipa::path(
    get, path = "/stats", tag = "stats", operation_id = "show_stats", params(StatsParams),
    responses((status = 200, description = "Now", body = Stats), KeyProblems, NoSuchThing, MembersRefused)
)]
async fn show(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Stats>, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let project = parameters.parsed("project");
    let step = parameters.optional("step", step);
    parameters.end()?;
    let project = caller.project_of_list(project)?;
    let context = &services.context;
    let queues = match caller.key.owner {
        KeyOwner::Operator => {
            let depths = context.queue.depths().await?;
            Some(depths.into_iter().map(QueueDepth::from).collect())
        }
        KeyOwner::Project(_) => None,
    };
    let open = context.store.dead_letter_count(project.as_ref()).await?;
    let of = project.map_or(TrafficOf::Everything, TrafficOf::Project);
    let step = step.unwrap_or(TrafficStep::Minute);
    let traffic = context.store.traffic(&of, step, context.clock.now());
    let traffic = traffic.await?.into_iter().map(TrafficView::from).collect();
    Ok(axum::Json(Stats {
        open_dead_letters: open,
        queues,
        traffic,
    }))
}
