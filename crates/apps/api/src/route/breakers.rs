//! `/breakers`: destinations that are spared.

use super::{KeyProblems, MembersRefused, NoSuchThing, PageParams};
use crate::{
    Services,
    auth::{Caller, Read},
    members::Parameters,
    problem::Problem,
    view::{BreakerView, ListView},
};
use axum::extract::{RawQuery, State};
use ringback_delivery::{list_breakers, port::Cursor};
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which breakers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct BreakerParams {
    /// Only of this project's webhooks, and of callbacks and hosts that one of its newest waiting deliveries is for.
    project: Option<String>,
}

/// Lists destinations that are spared because they kept failing, those open for longest first. There is a breaker only while
/// something is wrong, and it closes by itself once a probe is accepted.
#[utoipa::path(
    get, path = "/breakers", tag = "breakers", operation_id = "list_breakers", params(BreakerParams, PageParams),
    responses(
        (status = 200, description = "A piece of the list", body = ListView<BreakerView>),
        KeyProblems, NoSuchThing, MembersRefused
    )
)]
async fn list(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<ListView<BreakerView>>, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let project = parameters.parsed("project");
    let page = PageParams::read(&mut parameters);
    parameters.end()?;
    let project = caller.project_of_list(project)?;
    let context = &services.context;
    let cursor = page.cursor.map(Cursor);
    let found = list_breakers(
        &*context.store,
        project.as_ref(),
        cursor.as_ref(),
        page.limit,
        context.clock.now(),
    )
    .await?;
    Ok(axum::Json(ListView::of(found)))
}
