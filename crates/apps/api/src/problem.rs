//! What a call that was not done is answered with: RFC 9457 problem documents, with codes that stay.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// Why a call was not done. Programs choose by the code; the words are for people and may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    MalformedBody,
    KeyMissing,
    KeyRefused,
    KeyExpired,
    KeyRevoked,
    ScopeMissing,
    ProjectForbidden,
    NotFound,
    NoSuchRoute,
    MethodNotAllowed,
    BodyTimeout,
    ChangedMeanwhile,
    LimitReached,
    RotationPending,
    AlreadyDealtWith,
    NotReplayable,
    Stale,
    NoTestBody,
    NotNow,
    BodyTooLarge,
    UnsupportedMediaType,
    MembersRefused,
    TooManyFailures,
    Internal,
    Unavailable,
}

impl Code {
    /// All of them, by status.
    pub const ALL: [Self; 25] = [
        Self::MalformedBody,
        Self::KeyMissing,
        Self::KeyRefused,
        Self::KeyExpired,
        Self::KeyRevoked,
        Self::ScopeMissing,
        Self::ProjectForbidden,
        Self::NotFound,
        Self::NoSuchRoute,
        Self::MethodNotAllowed,
        Self::BodyTimeout,
        Self::ChangedMeanwhile,
        Self::LimitReached,
        Self::RotationPending,
        Self::AlreadyDealtWith,
        Self::NotReplayable,
        Self::Stale,
        Self::NoTestBody,
        Self::NotNow,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::MembersRefused,
        Self::TooManyFailures,
        Self::Internal,
        Self::Unavailable,
    ];

    /// The word in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedBody => "malformed_body",
            Self::KeyMissing => "key_missing",
            Self::KeyRefused => "key_refused",
            Self::KeyExpired => "key_expired",
            Self::KeyRevoked => "key_revoked",
            Self::ScopeMissing => "scope_missing",
            Self::ProjectForbidden => "project_forbidden",
            Self::NotFound => "not_found",
            Self::NoSuchRoute => "no_such_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTimeout => "body_timeout",
            Self::ChangedMeanwhile => "changed_meanwhile",
            Self::LimitReached => "limit_reached",
            Self::RotationPending => "rotation_pending",
            Self::AlreadyDealtWith => "already_dealt_with",
            Self::NotReplayable => "not_replayable",
            Self::Stale => "stale",
            Self::NoTestBody => "no_test_body",
            Self::NotNow => "not_now",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::MembersRefused => "members_refused",
            Self::TooManyFailures => "too_many_failures",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedBody => StatusCode::BAD_REQUEST,
            Self::KeyMissing | Self::KeyRefused | Self::KeyExpired | Self::KeyRevoked => {
                StatusCode::UNAUTHORIZED
            }
            Self::ScopeMissing | Self::ProjectForbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoSuchRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ChangedMeanwhile
            | Self::LimitReached
            | Self::RotationPending
            | Self::AlreadyDealtWith
            | Self::NotReplayable
            | Self::Stale
            | Self::NoTestBody
            | Self::NotNow => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::MembersRefused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What it means, the same for every occurrence.
    pub fn title(self) -> &'static str {
        match self {
            Self::MalformedBody => "the body is not the JSON that is expected",
            Self::KeyMissing => "the call carries no key",
            Self::KeyRefused => "the key is not known",
            Self::KeyExpired => "the key has expired",
            Self::KeyRevoked => "the key was revoked",
            Self::ScopeMissing => "the key lacks the scope for this call",
            Self::ProjectForbidden => "the key does not reach this project",
            Self::NotFound => "there is no such thing, or it is out of the key's reach",
            Self::NoSuchRoute => "there is no such path",
            Self::MethodNotAllowed => "the path does not take this method",
            Self::BodyTimeout => "the body did not arrive in time",
            Self::ChangedMeanwhile => "somebody else changed it at the same time",
            Self::LimitReached => "there are as many as there may be",
            Self::RotationPending => "a new secret is waiting for its moment already",
            Self::AlreadyDealtWith => "the dead letter was replayed or discarded before",
            Self::NotReplayable => "there is nothing that could be sent again",
            Self::Stale => "its body is too old to be of use",
            Self::NotNow => "it makes no sense where the plan stands",
            Self::NoTestBody => "no body can be made of a test event",
            Self::BodyTooLarge => "the body is larger than allowed",
            Self::UnsupportedMediaType => {
                "the body is of another media type or encoding than is expected"
            }
            Self::MembersRefused => "members or parameters are missing, unknown or not accepted",
            Self::TooManyFailures => "too many keys from this address were refused",
            Self::Internal => "this is our mistake; the log says more",
            Self::Unavailable => "broker or store does not answer; the same call may succeed later",
        }
    }
}

/// Why a call was not done.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Option<String>,
    errors: Vec<Fault>,
    retry_after: Option<Duration>,
}

/// What is wrong with one member of a body, or one parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// The member's path, such as `job.id`, the parameter's name, or the header's; empty for the whole.
    pub member: String,
    /// What is wrong with it, and what is accepted.
    pub problem: String,
}

/// The document, as RFC 9457 has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// Where the code is explained.
    #[serde(rename = "type")]
    kind: String,
    /// What the code means.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A stable word to choose by.
    code: &'a str,
    /// This occurrence, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<&'a str>,
    /// One entry for each faulty member or parameter.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [Fault],
}

/// The media type of the document.
pub const MEDIA_TYPE: &str = "application/problem+json";

impl Problem {
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// Says more of this occurrence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// When the same call may succeed.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Faults of members.
    pub fn of_faults(errors: Vec<Fault>) -> Self {
        Self {
            errors,
            ..Self::new(Code::MembersRefused)
        }
    }

    /// The fault of one member.
    pub fn of_member(member: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::of_faults(vec![Fault::new(member, problem)])
    }

    /// There is no such thing within reach.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(Code::NotFound).detail(what)
    }

    pub fn code(&self) -> Code {
        self.code
    }

    /// What is said of this occurrence, for people.
    pub fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// What is wrong with members, one entry for each.
    pub fn faults(&self) -> &[Fault] {
        &self.errors
    }

    pub(crate) fn with_errors(mut self, errors: Vec<Fault>) -> Self {
        self.errors = errors;
        self
    }

    pub(crate) fn document(&self) -> ProblemDocument<'_> {
        ProblemDocument {
            kind: format!("/docs#{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            code: self.code.as_str(),
            detail: self.detail.as_deref(),
            errors: &self.errors,
        }
    }
}

impl Fault {
    pub fn new(member: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            member: member.into(),
            problem: problem.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.document()).expect("writing to memory");
        let mut response = (self.code.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"ringback\""),
            );
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
