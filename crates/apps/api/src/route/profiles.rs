//! `/profiles`: what platforms promise their receivers.

use super::{KeyProblems, MembersRefused};
use crate::{
    Services,
    auth::{Caller, Read},
    members::Parameters,
    problem::Problem,
    view::{ListView, ProfileView},
};
use axum::extract::{RawQuery, State};
use std::sync::Arc;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists the profiles at hand.
#[utoipa::path(
    get, path = "/profiles", tag = "profiles", operation_id = "list_profiles",
    responses(
        (status = 200, description = "All of them", body = ListView<ProfileView>), KeyProblems, MembersRefused
    )
)]
async fn list(
    _caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<ListView<ProfileView>>, Problem> {
    Parameters::read(query.as_deref()).end()?;
    let profiles = services.context.profiles.profiles();
    let views = profiles.map(|(_, profile)| ProfileView::from(&**profile));
    Ok(axum::Json(ListView::whole(views.collect())))
}
