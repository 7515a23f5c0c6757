//! `/deliveries`: what is on its way, and how it went.

use super::{Id, InTheWay, KeyProblems, MembersRefused, NoParameters, NoSuchThing, PageParams};
use crate::{
    Services,
    auth::{Caller, Manage, Read, Scope},
    body::Json,
    members::Parameters,
    problem::{Code, Problem},
    route::{BodyProblems, dead_letters},
    view::{DeliveryView, RecordListView, ReplayedView},
};
use axum::extract::{RawQuery, State};
use http::StatusCode;
use jiff::Timestamp;
use ringback_delivery::port::{Cursor, DeliveryFilter};
use ringback_domain::{DeliveryId, DeliveryRecord, DeliveryState};
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(replay))
}

/// Which deliveries. What is left out is any.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct DeliveryParams {
    project: Option<String>,
    /// The event's id.
    event: Option<String>,
    /// The job's id.
    job: Option<String>,
    /// The webhook's id.
    webhook: Option<String>,
    /// A webhook's id, or `cbk_…` for a callback.
    destination: Option<String>,
    /// `attempting`, `waiting`, `delivered` or `dead_lettered`.
    state: Option<String>,
    /// First taken at or after this moment.
    since: Option<Timestamp>,
    /// First taken before this moment.
    until: Option<Timestamp>,
}

/// Lists deliveries, newest first.
#[utoipa::path(
    get, path = "/deliveries", tag = "deliveries", operation_id = "list_deliveries", params(DeliveryParams, PageParams),
    responses(
        (status = 200, description = "A piece of the list", body = RecordListView<DeliveryView>),
        KeyProblems, NoSuchThing, MembersRefused
    )
)]
async fn list(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<RecordListView<DeliveryView>>, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let project = parameters.parsed("project");
    let mut filter = DeliveryFilter {
        project: None,
        event: parameters.parsed("event"),
        job: parameters.parsed("job"),
        destination: parameters.destination(),
        state: parameters.optional("state", state),
        since: parameters.moment("since"),
        until: parameters.moment("until"),
    };
    let page = PageParams::read(&mut parameters);
    parameters.end()?;
    filter.project = caller.project_of_list(project)?;
    let cursor = page.cursor.map(Cursor);
    let store = &services.context.store;
    let found = store
        .deliveries(&filter, cursor.as_ref(), page.limit)
        .await?;
    Ok(axum::Json(RecordListView::of(found)))
}

fn state(word: &str) -> Result<String, String> {
    const WORDS: [&str; 4] = ["attempting", "waiting", "delivered", "dead_lettered"];
    if WORDS.contains(&word) {
        Ok(word.to_owned())
    } else {
        Err(format!("is no state; states are {}", WORDS.join(", ")))
    }
}

/// Shows one delivery with every attempt.
#[utoipa::path(
    get, path = "/deliveries/{id}", tag = "deliveries", operation_id = "show_delivery", params(("id" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "The delivery", body = DeliveryView), KeyProblems, NoSuchThing, MembersRefused)
)]
async fn show(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: NoParameters,
) -> Result<axum::Json<DeliveryView>, Problem> {
    let record = find(&caller, &services, &id).await?;
    Ok(axum::Json(DeliveryView::from(&record)))
}

/// Sends a delivery again that became a dead letter: same event id, same body, signed anew.
#[utoipa::path(
    post, path = "/deliveries/{id}/replay", tag = "deliveries", operation_id = "replay_delivery",
    request_body = Option<dead_letters::ReplayBody>,
    params(("id" = String, Path, description = "`dlv_…`")),
    responses(
        (status = 202, description = "It is on its way", body = ReplayedView),
        KeyProblems, NoSuchThing, BodyProblems, InTheWay
    )
)]
async fn replay(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    Json(body): Json,
) -> Result<(StatusCode, axum::Json<ReplayedView>), Problem> {
    let record = find(&caller, &services, &id).await?;
    let how = dead_letters::ReplayHow::read(&body)?;
    let DeliveryState::DeadLettered { id } = record.state else {
        let detail = format!(
            "it is {}; the body is kept of dead letters only",
            record.state.class().replace('_', " ")
        );
        return Err(Problem::new(Code::NotReplayable).detail(detail));
    };
    let replayed = dead_letters::send_again(&services, id, caller.name(), how).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(replayed)))
}

/// The delivery of this id, when it is within reach.
async fn find<S: Scope>(
    caller: &Caller<S>,
    services: &Services,
    id: &str,
) -> Result<DeliveryRecord, Problem> {
    let found = match id.parse::<DeliveryId>() {
        Ok(id) => services.context.store.delivery(&id).await?,
        Err(_) => None,
    };
    caller.if_in_reach(found, |record| Some(&record.event.project), "such delivery")
}
