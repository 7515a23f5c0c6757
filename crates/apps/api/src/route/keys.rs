//! `/keys`: keys to this very API.

use super::{
    BodyProblems, Id, InTheWay, KeyProblems, MembersRefused, NoParameters, NoSuchThing, PageParams,
};
use crate::{
    Services,
    auth::{Caller, Manage, Read},
    body::Json,
    failure::key_fault,
    members::{Members, Parameters, boolean, moment, parsed_text, short_text},
    problem::{Code, Problem},
    view::{KeyView, KeyWithTextView, ListView},
};
use axum::extract::{RawQuery, State};
use http::StatusCode;
use jiff::Timestamp;
use ringback_domain::{ApiKeyId, KeyOwner, KeyScope, ProjectName, limits::DESCRIPTION_CHARS_MAX};
use ringback_worker::keys::NewKey;
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(revoke))
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
#[expect(dead_code, reason = "described only")]
struct NewKeyBody {
    /// Whose things it opens; with a project's key it may be left out.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    project: Option<String>,
    /// Whether it opens the things of every project, instead of one's. Only an operator's key can make such a key.
    #[schema(default = false)]
    operator: Option<bool>,
    /// Of `publish`, `read` and `manage`; none that the calling key lacks.
    #[schema(min_items = 1)]
    scopes: Vec<String>,
    /// For people.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// From when it opens nothing any more.
    expires_at: Option<Timestamp>,
}

/// Makes a key. Its text is in this answer and in no other.
#[utoipa::path(
    post, path = "/keys", tag = "keys", operation_id = "create_key", request_body = NewKeyBody,
    responses(
        (status = 201, description = "The key", body = KeyWithTextView), KeyProblems, BodyProblems, InTheWay
    )
)]
async fn create(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Json(body): Json,
) -> Result<(StatusCode, axum::Json<KeyWithTextView>), Problem> {
    let mut members = Members::read(&body)?;
    let project = members.optional("project", parsed_text);
    let operator = members.optional("operator", boolean);
    let owner = owner(&caller, project, operator.unwrap_or(false), &mut members)?;
    let scopes = members.list("scopes", parsed_text).value();
    if scopes.is_none() {
        members.missing("scopes");
    }
    let scopes: BTreeSet<KeyScope> = scopes.unwrap_or_default().into_iter().collect();
    let description = members.optional("description", short_text(DESCRIPTION_CHARS_MAX));
    let expires_at = members.optional("expires_at", moment);
    for scope in scopes.difference(&caller.key.scopes) {
        let problem = format!("holds `{scope}`, which the calling key lacks");
        members.fault("scopes", problem);
    }
    let new = owner.map(|owner| NewKey {
        owner,
        scopes,
        description,
        expires_at,
    });
    if let Some(new) = &new {
        let faults = services.keys.faults_of(new);
        members.add_faults(faults.iter().filter_map(key_fault));
    }
    members.end()?;
    let new = new.expect("what is missing is a fault");
    let made = services.keys.create(new).await?;
    Ok((
        StatusCode::CREATED,
        axum::Json(KeyWithTextView::from(&made)),
    ))
}

fn owner(
    caller: &Caller<Manage>,
    project: Option<ProjectName>,
    operator: bool,
    members: &mut Members<'_>,
) -> Result<Option<KeyOwner>, Problem> {
    if !operator {
        let project = caller.owner_of_new(project, members)?;
        return Ok(project.map(KeyOwner::Project));
    }
    if caller.key.owner != KeyOwner::Operator {
        let detail = "only an operator's key can make an operator's key";
        return Err(Problem::new(Code::ProjectForbidden).detail(detail));
    }
    if project.is_some() {
        members.fault("project", "does not go with `operator: true`");
    }
    Ok(Some(KeyOwner::Operator))
}

/// Which keys.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct KeyParams {
    /// Only of this project.
    project: Option<String>,
}

/// Lists keys, oldest first: the project's, or with an operator's key all.
#[utoipa::path(
    get, path = "/keys", tag = "keys", operation_id = "list_keys", params(KeyParams, PageParams),
    responses(
        (status = 200, description = "A piece of the list", body = ListView<KeyView>),
        KeyProblems, NoSuchThing, MembersRefused
    )
)]
async fn list(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<ListView<KeyView>>, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let project = parameters.parsed("project");
    let page = PageParams::read(&mut parameters);
    parameters.end()?;
    let owner = caller.project_of_list(project)?.map(KeyOwner::Project);
    let keys = services.keys.list(owner.as_ref()).await?;
    let list = page.of(keys, |key| (key.created_at, key.id.as_str()))?;
    Ok(axum::Json(list))
}

/// Lets a key open nothing any more, at once in this process and within a second in every other.
#[utoipa::path(
    delete, path = "/keys/{id}", tag = "keys", operation_id = "revoke_key",
    params(("id" = String, Path, description = "What stands between `rb_` and the secret")),
    responses((status = 204, description = "It is revoked"), KeyProblems, NoSuchThing, MembersRefused)
)]
async fn revoke(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: NoParameters,
) -> Result<StatusCode, Problem> {
    let found = match id.parse::<ApiKeyId>() {
        Ok(id) => services.context.store.key(&id).await?,
        Err(_) => None,
    };
    let key = caller.if_in_reach(found, |key| key.owner.project(), "such key")?;
    services.keys.revoke(&key.id).await?;
    services.authenticator.forget_accepted();
    Ok(StatusCode::NO_CONTENT)
}
