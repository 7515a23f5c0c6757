//! `/stats`: what waits, and what was given up.

use super::{KeyProblems, MembersRefused, NoSuchThing};
use crate::{
    Services,
    auth::{Caller, Read},
    members::Parameters,
    problem::Problem,
};
use axum::extract::{RawQuery, State};
use ringback_delivery::port::Depth;
use ringback_domain::KeyOwner;
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
}

/// Numbers that tell how things stand.
#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    /// Dead letters that nobody has dealt with.
    open_dead_letters: u64,
    /// What waits where, over all projects; null but for the operator.
    #[schema(required)]
    queues: Option<Vec<QueueDepth>>,
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
    Ok(axum::Json(Stats {
        open_dead_letters: open,
        queues,
    }))
}
