//! `/webhooks`: registered destinations.

use super::{
    BodyProblems, Id, InTheWay, KeyProblems, MembersRefused, NoParameters, NoSuchThing, PageParams,
};
use crate::{
    Services,
    auth::{Caller, Manage, Read, Scope},
    body::{Json, Nothing},
    failure::webhook_fault,
    members::{Members, Parameters, boolean, count, moment, parsed_text, short_text, text, wait},
    problem::Problem,
    view::{RecordListView, TestedView, WebhookView, WebhookWithSecretView},
};
use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use ringback_delivery::port::{DamagedRecord, Page};
use ringback_domain::{
    ProjectName, Timestamp, Webhook, WebhookId, WebhookState, limits::DESCRIPTION_CHARS_MAX,
};
use ringback_signing::Secret;
use ringback_worker::webhooks::{NewWebhook, Rotation, WebhookChange};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .routes(routes!(show, change, remove))
        .routes(routes!(test))
        .routes(routes!(rotate_secret))
}

/// A webhook to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook)]
#[expect(dead_code, reason = "described only")]
struct NewWebhookBody {
    /// Whose it is; with a project's key it may be left out.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    project: Option<String>,
    /// Where to send: a public `https` or `http` address.
    #[schema(format = "uri", max_length = 2048)]
    url: String,
    /// Which types of event it wants; every one when it is left out or empty.
    #[schema(max_items = 1000)]
    events: Option<Vec<String>>,
    /// Overrides the project's profile.
    profile: Option<String>,
    /// What to sign with, where the profile signs; one is made when it is left out.
    secret: Option<String>,
    /// Headers sent besides the profile's own. Their values are kept sealed and not shown again.
    headers: Option<BTreeMap<String, String>>,
    /// For people.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The most attempts a second.
    #[schema(minimum = 1)]
    rate_limit: Option<u32>,
}

/// Registers a webhook. Its secret is in this answer and in no other.
#[utoipa::path(
    post, path = "/webhooks", tag = "webhooks", operation_id = "add_webhook", request_body = NewWebhookBody,
    responses(
        (status = 201, description = "Registered", body = WebhookWithSecretView,
         headers(("Location" = String, description = "Where it can be looked at"))),
        KeyProblems, BodyProblems, InTheWay
    )
)]
async fn add(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut members = Members::read(&body)?;
    let project = members.optional("project", parsed_text);
    let project = caller.owner_of_new(project, &mut members)?;
    let url = members.required("url", text);
    let events = members.list("events", parsed_text).value();
    let profile = members.optional("profile", parsed_text);
    let secret = members.optional("secret", secret);
    let headers = members.texts("headers").value().unwrap_or_default();
    let description = members.optional("description", short_text(DESCRIPTION_CHARS_MAX));
    let rate_limit = members.optional("rate_limit", count);
    let new = project.zip(url).map(|(project, url)| NewWebhook {
        project,
        url,
        events: events.unwrap_or_default().into_iter().collect(),
        profile,
        secret,
        headers,
        description,
        rate_limit,
    });
    if let Some(new) = &new {
        let faults = services.webhooks.faults_of(new);
        members.add_faults(faults.iter().filter_map(webhook_fault));
    }
    members.end()?;
    let new = new.expect("what is missing is a fault");
    let done = services.webhooks.add(new).await?;
    services.webhooks_changed(&done.webhook.project);
    let location = format!("/api/v1/webhooks/{}", done.webhook.id);
    let mut response = (
        StatusCode::CREATED,
        axum::Json(WebhookWithSecretView::from(done)),
    )
        .into_response();
    let location = HeaderValue::try_from(location).expect("ids are visible ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// Which webhooks.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct WebhookParams {
    /// Only of this project.
    project: Option<String>,
}

/// Lists webhooks, oldest first.
#[utoipa::path(
    get, path = "/webhooks", tag = "webhooks", operation_id = "list_webhooks", params(WebhookParams, PageParams),
    responses(
        (status = 200, description = "A piece of the list", body = RecordListView<WebhookView>),
        KeyProblems, NoSuchThing, MembersRefused
    )
)]
async fn list(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<RecordListView<WebhookView>>, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let project = parameters.parsed("project");
    let page = PageParams::read(&mut parameters);
    parameters.end()?;
    let mut found = Page::new(Vec::new(), None);
    for project in projects_of(&services, caller.project_of_list(project)?) {
        let of_project = services.context.store.webhooks(&project).await?;
        found.entries.extend(of_project.entries);
        found.damaged.extend(of_project.damaged);
    }
    let list = page.of_records(found, |webhook| (webhook.created_at, webhook.id.as_str()))?;
    Ok(axum::Json(list))
}

/// Shows one webhook.
#[utoipa::path(
    get, path = "/webhooks/{id}", tag = "webhooks", operation_id = "show_webhook", params(("id" = String, Path, description = "`whk_…`")),
    responses(
        (status = 200, description = "The webhook", body = WebhookView), KeyProblems, NoSuchThing, MembersRefused
    )
)]
async fn show(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: NoParameters,
) -> Result<axum::Json<WebhookView>, Problem> {
    let webhook = find(&caller, &services, &id).await?;
    Ok(axum::Json(WebhookView::from(&webhook)))
}

/// Changes to a webhook; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookChange)]
#[expect(dead_code, reason = "described only")]
struct WebhookChangeBody {
    /// Where to send.
    #[schema(format = "uri", max_length = 2048, nullable = false)]
    url: Option<String>,
    /// Which types of event it wants; null or empty: every one.
    #[schema(max_items = 1000)]
    events: Option<Vec<String>>,
    /// Replaces all headers it adds; null: it adds none.
    headers: Option<BTreeMap<String, String>>,
    /// Null or empty: none.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The most attempts a second; null: no limit.
    #[schema(minimum = 1)]
    rate_limit: Option<u32>,
    /// Whether it gets anything. What is under way to one that does not becomes dead letters.
    #[schema(nullable = false)]
    enabled: Option<bool>,
    /// Why it is disabled, for people; only with `enabled: false`.
    #[schema(max_length = 1024, nullable = false)]
    disabled_because: Option<String>,
}

/// Changes a webhook. It takes effect for events published after the answer, within a second in every worker. What is left out stays; a
/// body without members changes nothing, and the revision stays, too.
#[utoipa::path(
    patch, path = "/webhooks/{id}", tag = "webhooks", operation_id = "change_webhook", request_body = WebhookChangeBody,
    params(("id" = String, Path, description = "`whk_…`")),
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookView),
        KeyProblems, NoSuchThing, BodyProblems, InTheWay
    )
)]
async fn change(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    Json(body): Json,
) -> Result<axum::Json<WebhookView>, Problem> {
    let webhook = find(&caller, &services, &id).await?;
    let mut members = Members::read(&body)?;
    let change = WebhookChange {
        url: members.not_null("url", text),
        events: members
            .list("events", parsed_text)
            .change_to(Vec::new(), |events| events)
            .map(|events| events.into_iter().collect()),
        headers: members
            .texts("headers")
            .change_to(Vec::new(), |headers| headers),
        description: members
            .given("description", short_text(DESCRIPTION_CHARS_MAX))
            .change_to(String::new(), |text| text),
        rate_limit: members.given("rate_limit", count).change_to(None, Some),
        state: state(&mut members, services.context.clock.now()),
        revision: None,
    };
    let faults = services.webhooks.faults_of_change(&webhook, &change);
    members.add_faults(faults.iter().filter_map(webhook_fault));
    members.end()?;
    if change == WebhookChange::default() {
        return Ok(axum::Json(WebhookView::from(&webhook)));
    }
    let changed = services.webhooks.change(&webhook.id, change).await?;
    services.webhooks_changed(&webhook.project);
    Ok(axum::Json(WebhookView::from(&changed)))
}

fn state(members: &mut Members<'_>, now: Timestamp) -> Option<WebhookState> {
    let enabled = members.not_null("enabled", boolean);
    let because = members.not_null("disabled_because", short_text(DESCRIPTION_CHARS_MAX));
    match (enabled, because) {
        (Some(false), because) => Some(WebhookState::Disabled {
            at: now,
            reason: because.unwrap_or_else(|| "over the API".to_owned()),
        }),
        (_, Some(_)) => {
            members.fault("disabled_because", "goes with `enabled: false` only");
            None
        }
        (Some(true), None) => Some(WebhookState::Enabled),
        (None, None) => None,
    }
}

/// Removes a webhook, one that cannot be read, too. What is under way to it becomes dead letters.
#[utoipa::path(
    delete, path = "/webhooks/{id}", tag = "webhooks", operation_id = "remove_webhook", params(("id" = String, Path, description = "`whk_…`")),
    responses((status = 204, description = "Removed"), KeyProblems, NoSuchThing, MembersRefused)
)]
async fn remove(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let (id, project) = find_even_damaged(&caller, &services, &id).await?;
    services.webhooks.remove(&id).await?;
    if let Some(project) = &project {
        services.webhooks_changed(project);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a signed test event now and tells what came back. It is never retried and never becomes a dead letter.
#[utoipa::path(
    post, path = "/webhooks/{id}/test", tag = "webhooks", operation_id = "test_webhook", params(("id" = String, Path, description = "`whk_…`")),
    responses(
        (status = 200, description = "What came back, whatever it was", body = TestedView),
        KeyProblems, NoSuchThing, BodyProblems, InTheWay
    )
)]
async fn test(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: Nothing,
) -> Result<axum::Json<TestedView>, Problem> {
    let webhook = find(&caller, &services, &id).await?;
    let (sender, worker) = (&services.context.sender, services.context.worker.clone());
    let testing = services.webhooks.test(&webhook.id, &**sender, worker);
    Ok(axum::Json(TestedView::from(&testing.await?)))
}

/// A new secret for a webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation)]
#[expect(dead_code, reason = "described only")]
struct RotationBody {
    /// The new secret; one is made when it is left out.
    secret: Option<String>,
    /// From when it signs; from now when it is left out.
    activate_at: Option<Timestamp>,
    /// How long the replaced secret signs beside it, such as `24h`; only where the profile allows several signatures.
    overlap: Option<String>,
}

/// Gives a webhook another secret, which is in this answer and in no other. Exactly one signature is sent at any time,
/// unless the profile allows several.
#[utoipa::path(
    post, path = "/webhooks/{id}/rotate-secret", tag = "webhooks", operation_id = "rotate_webhook_secret",
    request_body = Option<RotationBody>,
    params(("id" = String, Path, description = "`whk_…`")),
    responses(
        (status = 200, description = "The webhook with its new secret", body = WebhookWithSecretView),
        KeyProblems, NoSuchThing, BodyProblems, InTheWay
    )
)]
async fn rotate_secret(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    Json(body): Json,
) -> Result<axum::Json<WebhookWithSecretView>, Problem> {
    let webhook = find(&caller, &services, &id).await?;
    let mut members = Members::read(&body)?;
    let rotation = Rotation {
        secret: members.optional("secret", secret),
        activate_at: members.optional("activate_at", moment),
        overlap: members.optional("overlap", wait),
    };
    let faults = services.webhooks.faults_of_rotation(&webhook, &rotation);
    members.add_faults(faults.iter().filter_map(webhook_fault));
    members.end()?;
    let rotating = services.webhooks.rotate_secret(&webhook.id, rotation);
    let rotated = rotating.await?;
    services.webhooks_changed(&webhook.project);
    Ok(axum::Json(WebhookWithSecretView::from(rotated)))
}

/// The webhook of this id, when it is within reach.
async fn find<S: Scope>(
    caller: &Caller<S>,
    services: &Services,
    id: &str,
) -> Result<Webhook, Problem> {
    let found = match id.parse::<WebhookId>() {
        Ok(id) => services.context.store.webhook(&id).await?,
        Err(_) => None,
    };
    caller.if_in_reach(found, |webhook| Some(&webhook.project), "such webhook")
}

/// Which webhook this is, and whose where that can be told, when it is within reach. One that cannot be read is a project's by its place in
/// that project's list.
async fn find_even_damaged<S: Scope>(
    caller: &Caller<S>,
    services: &Services,
    id: &str,
) -> Result<(WebhookId, Option<ProjectName>), Problem> {
    let store = &services.context.store;
    let mut found = None;
    if let Ok(id) = id.parse::<WebhookId>() {
        let project = match DamagedRecord::apart(store.webhook(&id).await)? {
            Ok(webhook) => webhook.map(|webhook| Some(webhook.project)),
            Err(damaged) => {
                let mut owner = None;
                for project in projects_of(services, caller.project_of_list(None)?) {
                    if store.webhooks(&project).await?.damaged.contains(&damaged) {
                        owner = Some(project);
                        break;
                    }
                }
                Some(owner)
            }
        };
        found = project.map(|project| (id, project));
    }
    caller.if_in_reach(found, |(_, project)| project.as_ref(), "such webhook")
}

/// This project, or all that are configured.
fn projects_of(services: &Services, one: Option<ProjectName>) -> Vec<ProjectName> {
    let all = || services.context.profiles.projects();
    match one {
        Some(project) => vec![project],
        None => all().map(|(project, _)| project.clone()).collect(),
    }
}

fn secret(value: &ringback_json::Value<'_>) -> Result<Secret, String> {
    let made = Secret::try_new(text(value)?);
    made.map_err(|refused| format!("{refused}; leave it out to have one made"))
}
