//! `/dead-letters/groups`: dead letters by cause.

use super::{BodyProblems, Id, KeyProblems, MembersRefused, NoSuchThing, PageParams};
use crate::{
    Services,
    auth::{Caller, Manage, Read},
    body::Json,
    members::{Members, Parameters, parsed_text, said_text},
    problem::Problem,
    view::{GroupListView, GroupView},
};
use axum::extract::{RawQuery, State};
use ringback_delivery::{
    SearchText,
    port::{Cursor, GroupFilter, GroupOrder},
    shares_of_traffic,
};
use ringback_domain::{Acknowledgement, DestinationId, WebhookId, limits::NOTE_CHARS_MAX};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(acknowledge))
}

/// Which groups. What is left out is any.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct GroupParams {
    project: Option<String>,
    /// The webhook's id.
    webhook: Option<String>,
    /// The fingerprint of a cause.
    cause: Option<String>,
    /// Words that all occur in the cause, the answer or the host.
    #[param(max_length = 200)]
    text: Option<String>,
    /// `last_died`, those that a dead letter joined last, or `count`, the largest.
    #[param(default = "last_died")]
    order: Option<String>,
}

/// Lists open dead letters by cause. A group that grew since the first piece has moved to the front.
#[utoipa::path(
    get, path = "/dead-letters/groups", tag = "dead letters", operation_id = "list_dead_letter_groups",
    params(GroupParams, PageParams),
    responses(
        (status = 200, description = "A piece of the list", body = GroupListView),
        KeyProblems, NoSuchThing, MembersRefused
    )
)]
async fn list(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<GroupListView>, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let project = parameters.parsed("project");
    let webhook = parameters.parsed::<WebhookId>("webhook");
    let mut filter = GroupFilter {
        project: None,
        destination: webhook.as_ref().map(DestinationId::webhook),
        cause: parameters.optional("cause", |text| Ok(text.to_owned())),
        words: Vec::new(),
        order: parameters.optional("order", order).unwrap_or_default(),
        after: None,
    };
    let text = parameters.parsed::<SearchText>("text");
    let page = PageParams::read(&mut parameters);
    parameters.end()?;
    filter.words = text.map_or_else(Vec::new, |text| text.words());
    filter.after = page.cursor.map(Cursor);
    filter.project = caller.project_of_list(project)?;
    let store = &services.context.store;
    let list = store.dead_letter_groups(&filter, page.limit).await?;
    let now = services.context.clock.now();
    let shares = shares_of_traffic(&**store, &list.groups, now).await?;
    Ok(axum::Json(GroupListView::of(&list, &shares)))
}

fn order(word: &str) -> Result<GroupOrder, String> {
    match word {
        "last_died" => Ok(GroupOrder::LastDied),
        "count" => Ok(GroupOrder::Count),
        _ => Err("is neither `last_died` nor `count`".to_owned()),
    }
}

/// That somebody knows of a group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAcknowledgement)]
#[expect(dead_code, reason = "described only")]
struct AcknowledgementBody {
    /// Whose the group is; with a project's key it may be left out.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    project: Option<String>,
    /// What there is to say about it.
    #[schema(min_length = 1, max_length = 500)]
    note: String,
}

/// Notes that somebody knows of a group, as it is now: what joins it later shows as again.
#[utoipa::path(
    post, path = "/dead-letters/groups/{id}/acknowledge", tag = "dead letters",
    operation_id = "acknowledge_dead_letter_group", request_body = AcknowledgementBody,
    params(("id" = String, Path, description = "The fingerprint of the cause")),
    responses((status = 200, description = "The group", body = GroupView), KeyProblems, NoSuchThing, BodyProblems)
)]
async fn acknowledge(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(cause): Id,
    Json(body): Json,
) -> Result<axum::Json<GroupView>, Problem> {
    let mut members = Members::read(&body)?;
    let project = members.optional("project", parsed_text);
    let project = caller.owner_of_new(project, &mut members)?;
    let note = members.required("note", said_text(NOTE_CHARS_MAX));
    members.end()?;
    let now = services.context.clock.now();
    let acknowledgement = Acknowledgement {
        at: now,
        by: caller.name(),
        note: note.unwrap_or_default(),
        seen_until: now,
    };
    let store = &services.context.store;
    let acknowledging = store.acknowledge_group(project.as_ref(), &cause, &acknowledgement);
    let group = acknowledging.await?;
    let group = group.ok_or_else(|| Problem::not_found("there is no such group"))?;
    let shares = shares_of_traffic(&**store, std::slice::from_ref(&group), now).await?;
    Ok(axum::Json(GroupView::of(&group, shares[0])))
}
