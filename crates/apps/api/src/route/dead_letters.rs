//! `/dead-letters`: deliveries given up, and what to do about them.

use super::{
    BodyProblems, Id, InTheWay, KeyProblems, MembersRefused, NoParameters, NoSuchThing, PageParams,
};
use crate::{
    Services,
    auth::{Caller, Manage, Read, Scope},
    body::Json,
    members::{Members, Parameters, boolean, moment, parsed_text, short, text, within},
    problem::{Code, Fault, Problem},
    view::{DeadLetterView, DiscardedView, RecordListView, ReplayedView},
};
use axum::extract::{RawQuery, State};
use http::StatusCode;
use jiff::Timestamp;
use ringback_delivery::{
    DiscardSelection, DiscardStep, ReplayRequest, SearchText,
    port::{Cursor, DeadLetterFilter, DisposeAnswer},
    search_dead_letters,
};
use ringback_domain::{
    DeadLetter, DeadLetterId, ProjectName,
    limits::{DISCARD_STEP_ENTRIES_MAX, NOTE_CHARS_MAX},
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Dead letters that one call discards when nothing is said.
const STEP_ENTRIES: u16 = 1_000;
/// The most that one call discards.
const STEP_ENTRIES_MAX: u16 = {
    assert!(DISCARD_STEP_ENTRIES_MAX <= u16::MAX as usize);
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let max = DISCARD_STEP_ENTRIES_MAX as u16;
    max
};

pub(super) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, discard))
        .routes(routes!(replay))
        .routes(routes!(discard_many))
}

/// Which dead letters. What is left out is any.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct DeadLetterParams {
    project: Option<String>,
    /// The webhook's id.
    webhook: Option<String>,
    /// A webhook's id, or `cbk_…` for a callback.
    destination: Option<String>,
    /// The event's type.
    #[param(rename = "type")]
    event_type: Option<String>,
    /// The job's id.
    job: Option<String>,
    /// The fingerprint of a cause.
    cause: Option<String>,
    /// Why it was given up, such as `attempts_exhausted`.
    reason: Option<String>,
    /// An id of a dead letter, delivery, event or job, or words that all occur in the cause, the answer or the host.
    #[param(max_length = 200)]
    text: Option<String>,
    /// Given up at or after this moment.
    since: Option<Timestamp>,
    /// Given up before this moment.
    until: Option<Timestamp>,
    /// Also those replayed or discarded.
    all: Option<bool>,
}

/// Lists dead letters, newest first.
#[utoipa::path(
    get, path = "/dead-letters", tag = "dead letters", operation_id = "list_dead_letters", params(DeadLetterParams, PageParams),
    responses(
        (status = 200, description = "A piece of the list", body = RecordListView<DeadLetterView>),
        KeyProblems, NoSuchThing, MembersRefused
    )
)]
async fn list(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<RecordListView<DeadLetterView>>, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let project = parameters.parsed("project");
    let mut filter = DeadLetterFilter {
        project: None,
        destination: parameters.destination(),
        event_type: parameters.parsed("type"),
        job: parameters.parsed("job"),
        cause: parameters.optional("cause", |text| Ok(text.to_owned())),
        reason: parameters.parsed("reason"),
        since: parameters.moment("since"),
        until: parameters.moment("until"),
        include_disposed: parameters.yes_or_no("all"),
        any_of: None,
    };
    let text = parameters.parsed::<SearchText>("text");
    let page = PageParams::read(&mut parameters);
    parameters.end()?;
    filter.project = caller.project_of_list(project)?;
    let after = page.cursor.map(Cursor);
    let store = &*services.context.store;
    let (after, limit) = (after.as_ref(), page.limit);
    let found = match &text {
        Some(text) => search_dead_letters(store, &filter, text, after, limit).await?,
        None => store.dead_letters(&filter, after, limit).await?,
    };
    let (profiles, now) = (&services.context.profiles, services.context.clock.now());
    let show = |dead: &DeadLetter| DeadLetterView::of(dead, profiles, now);
    Ok(axum::Json(RecordListView::shown(found, show)))
}

/// Shows one dead letter with every attempt.
#[utoipa::path(
    get, path = "/dead-letters/{id}", tag = "dead letters", operation_id = "show_dead_letter", params(("id" = String, Path, description = "`dlt_…`")),
    responses((status = 200, description = "The dead letter", body = DeadLetterView), KeyProblems, NoSuchThing, MembersRefused)
)]
async fn show(
    caller: Caller<Read>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    _: NoParameters,
) -> Result<axum::Json<DeadLetterView>, Problem> {
    let dead_letter = find(&caller, &services, &id).await?;
    let (profiles, now) = (&services.context.profiles, services.context.clock.now());
    Ok(axum::Json(DeadLetterView::of(&dead_letter, profiles, now)))
}

/// Why it is left be.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct DiscardParams {
    /// For people.
    #[param(max_length = 500)]
    reason: Option<String>,
}

/// Leaves a dead letter be. It stays readable until its time is over.
#[utoipa::path(
    delete, path = "/dead-letters/{id}", tag = "dead letters", operation_id = "discard_dead_letter",
    params(("id" = String, Path, description = "`dlt_…`"), DiscardParams),
    responses(
        (status = 204, description = "It is discarded"), KeyProblems, NoSuchThing, MembersRefused, InTheWay
    )
)]
async fn discard(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Problem> {
    let mut parameters = Parameters::read(query.as_deref());
    let reason = parameters.optional("reason", |text| short(text, NOTE_CHARS_MAX));
    parameters.end()?;
    let dead_letter = find(&caller, &services, &id).await?;
    let (reason, by) = (reason.unwrap_or_default(), caller.name());
    let discards = &services.discards;
    match discards.one(&dead_letter.id, &reason, &by).await? {
        DisposeAnswer::Disposed => Ok(StatusCode::NO_CONTENT),
        DisposeAnswer::Already(_) => Err(Problem::new(Code::AlreadyDealtWith)
            .detail(format!("see /api/v1/dead-letters/{}", dead_letter.id))),
        DisposeAnswer::NotFound => Err(Problem::not_found("there is no such dead letter")),
    }
}

/// Which open dead letters. What is left out is any.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterFilter)]
#[expect(dead_code, reason = "described only")]
pub(super) struct FilterBody {
    project: Option<String>,
    /// The webhook's id.
    webhook: Option<String>,
    /// A webhook's id, or `cbk_…` for a callback.
    destination: Option<String>,
    /// The event's type.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// The job's id.
    job: Option<String>,
    /// The fingerprint of a cause.
    cause: Option<String>,
    /// Why they were given up, such as `attempts_exhausted`.
    reason: Option<String>,
    /// An id of a dead letter, delivery, event or job, or words that all occur in the cause, the answer or the host. Refused
    /// when more causes have these words than a search lists.
    #[schema(max_length = 200)]
    text: Option<String>,
    /// Given up at or after this moment.
    since: Option<Timestamp>,
    /// Given up before this moment.
    until: Option<Timestamp>,
}

/// The filter of a body.
pub(super) struct FilterAsked {
    pub(super) filter: DeadLetterFilter,
    pub(super) text: Option<SearchText>,
    /// Whether it names nothing.
    is_any: bool,
}

pub(super) fn filter_asked(
    caller: &Caller<Manage>,
    members: &mut Members<'_>,
) -> Result<FilterAsked, Problem> {
    let mut inner = members.object("filter");
    let project = inner.optional("project", parsed_text::<ProjectName>);
    let project = project
        .map(|project| caller.reaching(project))
        .transpose()?;
    let mut filter = DeadLetterFilter {
        project,
        destination: inner.destination(),
        event_type: inner.optional("type", parsed_text),
        job: inner.optional("job", parsed_text),
        cause: inner.optional("cause", text),
        reason: inner.optional("reason", parsed_text),
        since: inner.optional("since", moment),
        until: inner.optional("until", moment),
        ..DeadLetterFilter::default()
    };
    let text = inner.optional("text", parsed_text);
    members.close(inner);
    let is_any = filter == DeadLetterFilter::default() && text.is_none();
    filter.project = filter
        .project
        .or_else(|| caller.key.owner.project().cloned());
    Ok(FilterAsked {
        filter,
        text,
        is_any,
    })
}

/// Many to be discarded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Discard)]
#[expect(dead_code, reason = "described only")]
struct DiscardBody {
    /// Which open dead letters; at least one member.
    filter: FilterBody,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// At most so many with this call.
    #[schema(minimum = 1, maximum = 10000, default = 1000)]
    limit: Option<u16>,
    /// The `next_cursor` of the call before.
    cursor: Option<String>,
    /// Only tells how many there are, and of which causes.
    #[schema(default = false)]
    dry_run: Option<bool>,
}

/// Discards what matches, the newest first, a piece with each call: go on with `next_cursor` until it is null.
///
/// Nothing is lost by a call whose answer does not come: what it discarded is open no more, and the same call goes on.
#[utoipa::path(
    post, path = "/dead-letters/discard", tag = "dead letters", operation_id = "discard_dead_letters", request_body = DiscardBody,
    responses(
        (status = 200, description = "How many were discarded, or of a dry run how many would be", body = DiscardedView),
        KeyProblems, BodyProblems
    )
)]
async fn discard_many(
    caller: Caller<Manage>,
    State(services): State<Arc<Services>>,
    Json(body): Json,
) -> Result<axum::Json<DiscardedView>, Problem> {
    let mut members = Members::read(&body)?;
    let asked = filter_asked(&caller, &mut members)?;
    let names_nothing = Fault::new("filter", "names nothing: say which dead letters");
    members.add_faults(asked.is_any.then_some(names_nothing).into_iter());
    let is_dry = members.optional("dry_run", boolean).unwrap_or(false);
    let reason = members.optional("reason", text);
    if reason.is_none() && !is_dry {
        members.missing("reason");
    }
    let limit = members.optional("limit", within(1..=STEP_ENTRIES_MAX));
    let after = members.optional("cursor", text).map(Cursor);
    members.end()?;
    let selection = DiscardSelection {
        filter: asked.filter,
        text: asked.text,
        of_no_project: false,
    };
    if is_dry {
        let preview = services.discards.preview(&selection, &|_| ()).await?;
        return Ok(axum::Json(DiscardedView::from(preview)));
    }
    let step = DiscardStep {
        selection,
        after,
        reason: reason.unwrap_or_default(),
        by: caller.name(),
        entries_max: limit.unwrap_or(STEP_ENTRIES).into(),
    };
    let done = services.discards.step(&step).await?;
    Ok(axum::Json(DiscardedView::from(done)))
}

/// How to send it again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayRequest)]
#[expect(dead_code, reason = "described only")]
pub(super) struct ReplayBody {
    /// Also when it was replayed or discarded before.
    #[schema(default = false)]
    again: Option<bool>,
    /// Also when its body is too old to be of use, by its profile.
    #[schema(default = false)]
    include_stale: Option<bool>,
}

/// Sends a dead letter again: same event id, same body, signed anew.
#[utoipa::path(
    post, path = "/dead-letters/{id}/replay", tag = "dead letters", operation_id = "replay_dead_letter",
    request_body = Option<ReplayBody>,
    params(("id" = String, Path, description = "`dlt_…`")),
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
    let dead_letter = find(&caller, &services, &id).await?;
    let how = ReplayHow::read(&body)?;
    let replayed = send_again(&services, dead_letter.id, caller.name(), how).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(replayed)))
}

/// What [`ReplayBody`] says.
pub(super) struct ReplayHow {
    again: bool,
    sends_stale: bool,
}

impl ReplayHow {
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut members = Members::read(body)?;
        let how = Self {
            again: members.optional("again", boolean).unwrap_or(false),
            sends_stale: members.optional("include_stale", boolean).unwrap_or(false),
        };
        members.end()?;
        Ok(how)
    }
}

pub(super) async fn send_again(
    services: &Services,
    id: DeadLetterId,
    by: String,
    how: ReplayHow,
) -> Result<ReplayedView, Problem> {
    let request = ReplayRequest {
        id: id.clone(),
        by,
        again: how.again,
        sends_stale: how.sends_stale,
    };
    let generation = services.replay.replay(&request).await?;
    Ok(ReplayedView {
        dead_letter: id.to_string(),
        generation: generation.get(),
    })
}

/// The dead letter of this id, when it is within reach.
async fn find<S: Scope>(
    caller: &Caller<S>,
    services: &Services,
    id: &str,
) -> Result<DeadLetter, Problem> {
    let found = match id.parse::<DeadLetterId>() {
        Ok(id) => services.context.store.dead_letter(&id).await?,
        Err(_) => None,
    };
    caller.if_in_reach(found, |dead| dead.project.as_ref(), "such dead letter")
}
