//! The calls, one module for each group, and what all of them have in common.

mod breakers;
mod dead_letters;
mod deliveries;
pub(crate) mod docs;
mod events;
mod groups;
mod health;
mod keys;
mod profiles;
mod replays;
mod stats;
mod webhooks;

use crate::{
    Services,
    members::Parameters,
    problem::{Code, Problem, ProblemDocument},
    view::{ListView, RecordListView},
};
use axum::{
    Router,
    extract::{FromRequestParts, Path},
    middleware::map_response,
    response::Response,
};
use http::{HeaderValue, header, request::Parts};
use jiff::Timestamp;
use ringback_delivery::{
    page_by_place,
    port::{Cursor, Page, StoreError},
};
use ringback_domain::limits::PAGE_ENTRIES_MAX;
use std::sync::Arc;
use utoipa::{IntoParams, IntoResponses, OpenApi};
use utoipa_axum::router::OpenApiRouter;

/// Entries of a page when nothing is said.
const PAGE_ENTRIES: usize = 50;

/// All calls, and their description.
pub(crate) fn calls() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::with_openapi(crate::openapi::Description::openapi())
        .nest(
            "/api/v1",
            events::calls()
                .merge(webhooks::calls())
                .merge(deliveries::calls())
                .merge(breakers::calls())
                .merge(groups::calls())
                .merge(dead_letters::calls())
                .merge(replays::calls())
                .merge(stats::calls())
                .merge(profiles::calls())
                .merge(keys::calls()),
        )
        .merge(health::calls())
}

/// The health checks alone.
pub(crate) fn health_calls() -> OpenApiRouter<Arc<Services>> {
    health::calls()
}

/// What every answer says to browsers, and to those who would keep it.
pub(crate) fn with_common_headers(router: Router) -> Router {
    router.layer(map_response(async |mut response: Response| {
        let headers = response.headers_mut();
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        response
    }))
}

pub(crate) async fn no_such_route() -> Problem {
    Problem::new(Code::NoSuchRoute).detail("see /docs for all calls")
}

pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed).detail("the header `Allow` names those that are")
}

/// What every call with a key may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "described only")]
enum KeyProblems<'a> {
    /// The key is missing, not known, expired or revoked.
    #[response(status = 401, content_type = "application/problem+json")]
    Key(ProblemDocument<'a>),
    /// The key lacks the scope, or does not reach the project.
    #[response(status = 403, content_type = "application/problem+json")]
    Scope(ProblemDocument<'a>),
    /// Too many keys from this address were refused.
    #[response(status = 429, content_type = "application/problem+json")]
    Failures(ProblemDocument<'a>),
    /// Broker or store does not answer.
    #[response(status = 503, content_type = "application/problem+json")]
    Away(ProblemDocument<'a>),
}

/// What every call about one thing may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "described only")]
enum NoSuchThing<'a> {
    /// There is no such thing, or it is another project's.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(ProblemDocument<'a>),
}

/// What every call with parameters may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "described only")]
enum MembersRefused<'a> {
    /// Parameters or members are missing, unknown or not accepted; one entry for each.
    #[response(status = 422, content_type = "application/problem+json")]
    Refused(ProblemDocument<'a>),
}

/// What every call with a body may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "described only")]
enum BodyProblems<'a> {
    /// The body is not JSON, or not the JSON that is expected.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(ProblemDocument<'a>),
    /// The body did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    Timeout(ProblemDocument<'a>),
    /// The body is larger than allowed.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(ProblemDocument<'a>),
    /// The body is of another media type or charset, or compressed.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(ProblemDocument<'a>),
    /// Members are missing, unknown or not accepted; one entry for each.
    #[response(status = 422, content_type = "application/problem+json")]
    Refused(ProblemDocument<'a>),
}

/// What every call about something's state may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "described only")]
enum InTheWay<'a> {
    /// Something is in the way: the code says what.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(ProblemDocument<'a>),
}

/// The id in a path. One that is no text is nobody's.
struct Id(String);

impl FromRequestParts<Arc<Services>> for Id {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, services).await;
        id.map(|Path(id)| Self(id))
            .map_err(|_| Problem::not_found("the id is not UTF-8"))
    }
}

/// No parameters: what a call does not know it must not pass over.
struct NoParameters;

impl FromRequestParts<Arc<Services>> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Services>) -> Result<Self, Problem> {
        Parameters::read(parts.uri.query()).end()?;
        Ok(Self)
    }
}

/// Which piece of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described only")]
struct PageParams {
    /// Entries at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u16>,
    /// The `next_cursor` of the piece before.
    cursor: Option<String>,
}

/// The piece that is asked for.
struct PageAsked {
    limit: usize,
    cursor: Option<String>,
}

impl PageParams {
    fn read(parameters: &mut Parameters) -> PageAsked {
        let limit = parameters.optional("limit", limit);
        PageAsked {
            limit: limit.unwrap_or(PAGE_ENTRIES),
            cursor: parameters.optional("cursor", |text| Ok(text.to_owned())),
        }
    }
}

fn limit(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok();
    number
        .filter(|number| (1..=PAGE_ENTRIES_MAX).contains(number))
        .ok_or_else(|| format!("is not a number from 1 to {PAGE_ENTRIES_MAX}"))
}

impl PageAsked {
    /// A piece of a list that is whole in memory.
    fn of<E, V: for<'a> From<&'a E>>(
        self,
        entries: Vec<E>,
        place: impl Fn(&E) -> (Timestamp, &str),
    ) -> Result<ListView<V>, StoreError> {
        let after = self.cursor.map(Cursor);
        let page = page_by_place(entries, after.as_ref(), self.limit, place)?;
        Ok(ListView::of(page))
    }

    /// The same of records. Those that are damaged have no place in it, and are told with the first piece.
    fn of_records<E, V: for<'a> From<&'a E>>(
        self,
        all: Page<E>,
        place: impl Fn(&E) -> (Timestamp, &str),
    ) -> Result<RecordListView<V>, StoreError> {
        let after = self.cursor.map(Cursor);
        let mut page = page_by_place(all.entries, after.as_ref(), self.limit, place)?;
        if after.is_none() {
            page.damaged = all.damaged;
        }
        Ok(RecordListView::of(page))
    }
}
