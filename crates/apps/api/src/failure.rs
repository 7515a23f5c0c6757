//! Failures of the use cases as problems.

use crate::problem::{Code, Fault, Problem};
use ringback_delivery::{
    DiscardError, PlanError, ReplayError,
    port::{QueueError, StoreError},
};
use ringback_worker::{
    keys::{KeyError, KeyRefused},
    webhooks::WebhookError,
};
use std::{error::Error, time::Duration};

/// When to come again after broker or store were away.
const AWAY_FOR: Duration = Duration::from_secs(5);

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadCursor => Self::of_member("cursor", error.to_string()),
            error if error.is_passing() => away(&error),
            error => internal(&error),
        }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match error {
            // Nothing can be published any more, and a load balancer has somewhere else to go.
            QueueError::Closed => away(&error),
            error if error.is_passing() => away(&error),
            error => internal(&error),
        }
    }
}

/// Addresses of servers are for the log, not for strangers.
fn away(error: &(dyn Error + 'static)) -> Problem {
    tracing::warn!(error, "a call found broker or store away");
    Problem::new(Code::Unavailable).retry_after(AWAY_FOR)
}

fn internal(error: &(dyn Error + 'static)) -> Problem {
    tracing::error!(error, "a call failed");
    Problem::new(Code::Internal)
}

impl From<KeyRefused> for Problem {
    fn from(error: KeyRefused) -> Self {
        let code = match error {
            KeyRefused::Store(error) => return error.into(),
            KeyRefused::Expired(_) => Code::KeyExpired,
            KeyRefused::Revoked(_) => Code::KeyRevoked,
            _ => Code::KeyRefused,
        };
        Self::new(code).detail(error.to_string())
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match key_fault(&error) {
            Some(fault) => Self::of_faults(vec![fault]),
            None => match error {
                KeyError::NotFound(_) => Self::not_found(error.to_string()),
                KeyError::TooMany { .. } => Self::new(Code::LimitReached).detail(error.to_string()),
                KeyError::Store(error) => error.into(),
                _ => Self::new(Code::ChangedMeanwhile).detail(error.to_string()),
            },
        }
    }
}

/// The member at fault, where it is one.
pub(crate) fn key_fault(error: &KeyError) -> Option<Fault> {
    let member = match error {
        KeyError::ProjectUnknown(_) => "project",
        KeyError::NoScope => "scopes",
        KeyError::ExpiryPast(_) => "expires_at",
        _ => return None,
    };
    Some(Fault::new(member, chain(error)))
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match webhook_fault(&error) {
            Some(fault) => Self::of_faults(vec![fault]),
            None => match error {
                WebhookError::NotFound(_) => Self::not_found(error.to_string()),
                WebhookError::Store(error) => error.into(),
                WebhookError::TooMany(_) => Self::new(Code::LimitReached).detail(error.to_string()),
                WebhookError::RotationPending { .. } => {
                    Self::new(Code::RotationPending).detail(error.to_string())
                }
                WebhookError::NoTestBody { .. } => {
                    Self::new(Code::NoTestBody).detail(error.to_string())
                }
                WebhookError::Conflict(_) => {
                    Self::new(Code::ChangedMeanwhile).detail(error.to_string())
                }
                error => internal(&error),
            },
        }
    }
}

/// The member at fault, where it is one.
pub(crate) fn webhook_fault(error: &WebhookError) -> Option<Fault> {
    let member = match error {
        WebhookError::ProjectUnknown(_) => "project",
        WebhookError::ProfileUnknown(_) => "profile",
        WebhookError::EventTypeUnknown { .. } => "events",
        WebhookError::Url(_) => "url",
        WebhookError::Header(_) => "headers",
        WebhookError::Secret(_) | WebhookError::NotSigned(_) => "secret",
        WebhookError::NoOverlap(_) | WebhookError::OverlapLong => "overlap",
        WebhookError::ActivationPast(_) | WebhookError::ActivationFar(_) => "activate_at",
        _ => return None,
    };
    Some(Fault::new(member, chain(error)))
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        let member = match error {
            PlanError::NotFound(_) => return Self::not_found(error.to_string()),
            PlanError::Store(error) => return error.into(),
            PlanError::Refused(_) => return Self::new(Code::NotNow).detail(error.to_string()),
            PlanError::Conflict(_) => {
                return Self::new(Code::ChangedMeanwhile).detail(error.to_string());
            }
            PlanError::NoReason | PlanError::ReasonTooLong { .. } => "reason",
            PlanError::NothingFound | PlanError::TooMany | PlanError::TooManyCauses(_) => "filter",
            PlanError::NoSuchWebhook(_) | PlanError::OtherProject { .. } => "to",
            error => return internal(&error),
        };
        Self::of_member(member, error.to_string())
    }
}

impl From<DiscardError> for Problem {
    fn from(error: DiscardError) -> Self {
        let member = match error {
            DiscardError::Store(error) => return error.into(),
            DiscardError::NoReason | DiscardError::ReasonTooLong { .. } => "reason",
            _ => "filter",
        };
        Self::of_member(member, error.to_string())
    }
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::NotFound(_) => Self::not_found(error.to_string()),
            ReplayError::Already { .. } => {
                let hint = r#"send `{"again": true}` to replay it once more"#;
                Self::new(Code::AlreadyDealtWith).detail(format!("{error} (hint: {hint})"))
            }
            ReplayError::Stale { .. } => {
                let hint = r#"send `{"include_stale": true}` to replay it all the same"#;
                Self::new(Code::Stale).detail(format!("{error} (hint: {hint})"))
            }
            ReplayError::Newer { .. } => {
                let hint = "replay that one, and discard this one";
                Self::new(Code::NotReplayable).detail(format!("{error} (hint: {hint})"))
            }
            ReplayError::Delivered { .. } | ReplayError::NotAnEvent { .. } => {
                Self::new(Code::NotReplayable).detail(error.to_string())
            }
            ReplayError::Queue(error) => error.into(),
            ReplayError::Store(error) => error.into(),
        }
    }
}

/// The message of an error and of its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
