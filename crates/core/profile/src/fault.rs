//! What is wrong with a profile, or with an event that a profile is to render.

use crate::body::RunError;
use ringback_domain::{EventType, limits::BODY_BYTES_MAX};
use ringback_json::{Fault, FaultKind};
use std::fmt;

/// One thing that is wrong with a profile's text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileFault {
    /// The line of the text, from 1.
    pub line: usize,
    /// The member, such as `webhook.retry.delays[2]`; empty for the text as a whole.
    pub member: String,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

impl fmt::Display for ProfileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if !self.member.is_empty() {
            write!(f, "`{}`: ", self.member)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ProfileFault {}

/// Why there is no body for an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The profile has no such events.
    #[error("`type`: `{event_type}` is not an event type of this profile; known: {known}")]
    EventType {
        /// The event's type.
        event_type: EventType,
        /// The types there are.
        known: String,
    },
    /// Every request is signed, and the callback has nothing to sign with.
    #[error("`callback.secret` is missing: this profile sends no callback unsigned")]
    NoSecret,
    /// The event's own text cannot be read.
    #[error("the event cannot be read: {0}")]
    Event(Fault),
    /// The profile's filter did not yield one value.
    #[error("the body filter: {0}")]
    Filter(String),
    /// A member of the body cannot be sent in the form that the profile asks for.
    #[error("the body: {0}")]
    Body(Fault),
    /// The body is too long.
    #[error("the body is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
}

impl RenderError {
    /// The member at fault, of the event or of the body, where it is known.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::EventType { .. } => Some("type"),
            Self::NoSecret => Some("callback.secret"),
            Self::Event(fault) | Self::Body(fault) if !fault.path.is_empty() => Some(&fault.path),
            _ => None,
        }
    }
}

impl From<RunError> for RenderError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Event(fault) => Self::Event(fault),
            RunError::TooLong => Self::TooLong,
            RunError::Result(fault) => Self::of_body(fault),
            failed @ (RunError::Failed(_)
            | RunError::Nothing
            | RunError::Several
            | RunError::NotFinite) => Self::Filter(failed.to_string()),
        }
    }
}

impl RenderError {
    pub(crate) fn of_body(fault: Fault) -> Self {
        match fault.kind {
            FaultKind::TooLong { .. } => Self::TooLong,
            _ => Self::Body(fault),
        }
    }
}
