//! `/replays`: plans to send many dead letters again.

use super::{
    BodyProblems, Id, InTheWay, KeyProblems, MembersRefused, NoParameters, NoSuchThing, PageParams,
    dead_letters::{FilterBody, filter_asked},
};
use crate::{
    Services,
    auth::{Caller, Manage, Read, Scope},
    body::{Json, Nothing},
    members::{Given, Members, Parameters, boolean, count, parsed_text, text, within},
    problem::Problem,
    view::{PlanPreviewView, PlanView, RecordListView},
};
use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use ringback_delivery::{PlanRequest, port::Cursor};
use ringback_domain::{
    PlanId,
    limits::PLAN_WINDOW_MAX,
    replay_plan::{Pacing, PlanWish, ReplayPlan, ReplayTarget, StopRule},
};
use serde::Deserialize;
use std::{num::NonZeroU32, sync::Arc};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(plan, list))
        .routes(routes!(show))
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
}

/// A plan to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReplay)]
#[expect(dead_code, reason = "described only")]
struct NewPlanBody {
    /// Which open dead letters; one without members means all within reach.
    filter: FilterBody,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// The most entries sent a second; null: as fast as it goes.
    #[schema(minimum = 1, default = 50)]
    rate: Option<u32>,
    /// The most entries of one destination whose outcome is open; null: any number.
    #[schema(minimum = 1, default = 16)]
    concurrency: Option<u32>,
    /// `oldest` or `newest` first.
    #[schema(default = "oldest")]
    order: Option<String>,
    /// `current`: to the webhook as it is now; `original`: to the URL it had; or another webhook's id.
    #[schema(default = "current")]
    to: Option<String>,
    /// The share of failures among the newest entries above which it stops itself, in percent; 100 never stops.
    #[schema(minimum = 0, maximum = 100, default = 50)]
    stop_above: Option<u8>,
    /// How many of the newest entries are looked at for that.
    #[schema(minimum = 1, maximum = 1000, default = 50)]
    stop_window: Option<u16>,
    /// Also sends those whose body is too old to be of use, by their profile.
    #[schema(default = false)]
    include_stale: Option<bool>,
    /// Only tells what the plan would hold.
    #[schema(default = false)]
    dry_run: Option<bool>,
}

/// Makes a plan: the list of what matches now is frozen. Nothing is sent before it is started.
#[utoipa::path(
    post, path = "/replays", tag = "replays", operation_id = "plan_replay", request_body = NewPlanBody,
    responses(
        (status = 200, description = "What a plan would hold, of a dry run", body = PlanPreviewView),
        (status = 201, description = "The plan", body = PlanView),
        KeyProblems, BodyProblems
    )
)]
async fn plan(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut members = Members::read(&body)?;
    let asked = filter_asked(&caller, &mut members)?;
    let is_dry = members.optional("dry_run", boolean).unwrap_or(false);
    let reason = if is_dry {
        members
            .optional("reason", text)
            .or_else(|| Some("a dry run".to_owned()))
    } else {
        members.required("reason", text)
    };
    let pacing = Pacing {
        rate: bound(members.given("rate", count), Pacing::RATE_DEFAULT),
        concurrency: bound(
            members.given("concurrency", count),
            Pacing::CONCURRENCY_DEFAULT,
        ),
        order: members.optional("order", parsed_text).unwrap_or_default(),
    };
    let target = members
        .optional("to", parsed_text::<ReplayTarget>)
        .unwrap_or_default();
    let above = members.optional("stop_above", within(0..=100));
    let window = members.optional("stop_window", within(1..=PLAN_WINDOW_MAX));
    let sends_stale = members.optional("include_stale", boolean).unwrap_or(false);
    if let ReplayTarget::Webhook(id) = &target {
        let found = services.context.store.webhook(id).await?;
        if !found.is_some_and(|webhook| caller.key.reaches(&webhook.project)) {
            members.fault("to", format!("there is no enabled webhook {id} to send to"));
        }
    }
    members.end()?;
    let rule = StopRule::default();
    let above = above.and_then(|share| u8::try_from(share).ok());
    let stop_rule = StopRule::try_new(
        above.unwrap_or(rule.share_percent()),
        window.unwrap_or(rule.window()),
    );
    let request = PlanRequest {
        filter: asked.filter,
        text: asked.text,
        reason: reason.unwrap_or_default(),
        by: caller.name(),
        pacing,
        target,
        stop_rule: stop_rule.expect("both numbers are within bounds"),
        sends_stale,
    };
    if is_dry {
        let preview = services.plans.preview(&request, &|_| ()).await?;
        return Ok(axum::Json(PlanPreviewView::from(&preview)).into_response());
    }
    let plan = services.plans.plan(&request, &|_| ()).await?;
    Ok((StatusCode::CREATED, axum::Json(PlanView::from(&plan))).into_response())
}

/// Left out it is the default, null it is none.
fn bound(given: Given<NonZeroU32>, default: NonZeroU32) -> Option<NonZeroU32> {
    match given {
        Given::Absent => Some(default),
        Given::Null => None,
        Given::Value(number) => Some(number),
    }
}

/// Which plans.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct PlanParams {
    /// Only of this project.
    project: Option<String>,
}

/// Lists plans, newest first.
#[utoipa::path(
    get, path = "/replays", tag = "replays", operation_id = "list_replays", params(PlanParams, PageParams),
    responses(
        (status = 200, description = "A piece of the list", body = RecordListView<PlanView>),
        KeyProblems, NoSuchThing, MembersRefused
    )
)]
async fn list(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<RecordListView<PlanView>>, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let project = parameters.parsed("project");
    let page = PageParams::read(&mut parameters);
    parameters.end()?;
    let project = caller.project_of_list(project)?;
    let cursor = page.cursor.map(Cursor);
    let store = &services.context.store;
    let found = store
        .plans(project.as_ref(), cursor.as_ref(), page.limit)
        .await?;
    Ok(axum::Json(RecordListView::of(found)))
}

/// Shows a plan: what it holds, how far it came, and who did what.
#[utoipa::path(
    get, path = "/replays/{id}", tag = "replays", operation_id = "show_replay",
    params(("id" = String, Path, description = "The plan's id")),
    responses((status = 200, description = "The plan", body = PlanView), KeyProblems, NoSuchThing, MembersRefused)
)]
async fn show(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: NoParameters,
) -> Result<axum::Json<PlanView>, Problem> {
    let plan = find(&caller, &services, &id).await?;
    Ok(axum::Json(PlanView::from(&plan)))
}

/// Begins to send what a plan holds.
#[utoipa::path(
    post, path = "/replays/{id}/start", tag = "replays", operation_id = "start_replay",
    params(("id" = String, Path, description = "The plan's id")),
    responses((status = 200, description = "The plan as it is now", body = PlanView), KeyProblems, NoSuchThing, BodyProblems, InTheWay)
)]
async fn start(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: Nothing,
) -> Result<axum::Json<PlanView>, Problem> {
    wish(&caller, &services, &id, PlanWish::Start).await
}

/// Sends nothing for a while.
#[utoipa::path(
    post, path = "/replays/{id}/pause", tag = "replays", operation_id = "pause_replay",
    params(("id" = String, Path, description = "The plan's id")),
    responses((status = 200, description = "The plan as it is now", body = PlanView), KeyProblems, NoSuchThing, BodyProblems, InTheWay)
)]
async fn pause(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: Nothing,
) -> Result<axum::Json<PlanView>, Problem> {
    wish(&caller, &services, &id, PlanWish::Pause).await
}

/// Goes on, after a pause or after the plan stopped itself.
#[utoipa::path(
    post, path = "/replays/{id}/resume", tag = "replays", operation_id = "resume_replay",
    params(("id" = String, Path, description = "The plan's id")),
    responses((status = 200, description = "The plan as it is now", body = PlanView), KeyProblems, NoSuchThing, BodyProblems, InTheWay)
)]
async fn resume(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: Nothing,
) -> Result<axum::Json<PlanView>, Problem> {
    wish(&caller, &services, &id, PlanWish::Resume).await
}

/// Sends nothing ever again; what was not sent stays a dead letter.
#[utoipa::path(
    post, path = "/replays/{id}/cancel", tag = "replays", operation_id = "cancel_replay",
    params(("id" = String, Path, description = "The plan's id")),
    responses((status = 200, description = "The plan as it is now", body = PlanView), KeyProblems, NoSuchThing, BodyProblems, InTheWay)
)]
async fn cancel(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: Nothing,
) -> Result<axum::Json<PlanView>, Problem> {
    wish(&caller, &services, &id, PlanWish::Cancel).await
}

async fn wish(
    caller: &Caller<Manage>,
    services: &Services,
    id: &str,
    wish: PlanWish,
) -> Result<axum::Json<PlanView>, Problem> {
    let plan = find(caller, services, id).await?;
    let by = caller.name();
    let changed = services.plans.change(plan.id(), wish, &by).await?;
    Ok(axum::Json(PlanView::from(&changed)))
}

/// The plan of this id, when it is within reach.
async fn find<S: Scope>(
    caller: &Caller<S>,
    services: &Services,
    id: &str,
) -> Result<ReplayPlan, Problem> {
    let found = match id.parse::<PlanId>() {
        Ok(id) => services.context.store.plan(&id).await?,
        Err(_) => None,
    };
    caller.if_in_reach(
        found,
        |plan| plan.terms.project.as_ref(),
        "such replay plan",
    )
}
