//! The pieces that several messages and records share.

use crate::WireError;
use ringback_domain::{Destination, EventSummary, Job, SealedSecret, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use url::Url;

/// Reads a member that is text in JSON and a checked type inside.
pub(crate) fn read<T: FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    member: &'static str,
    text: &str,
) -> Result<T, WireError> {
    text.parse().map_err(|problem: T::Err| WireError::Member {
        what,
        member,
        problem: format!("is not accepted: {problem}"),
    })
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SummaryLine {
    id: String,
    project: String,
    #[serde(rename = "type")]
    event_type: String,
    occurred_at: Timestamp,
    dispatched_at: Timestamp,
    job: JobLine,
}

#[derive(Serialize, Deserialize)]
struct JobLine {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
}

impl SummaryLine {
    pub(crate) fn of(event: &EventSummary) -> Self {
        Self {
            id: event.id.to_string(),
            project: event.project.to_string(),
            event_type: event.event_type.to_string(),
            occurred_at: event.occurred_at,
            dispatched_at: event.dispatched_at,
            job: JobLine {
                id: event.job.id.to_string(),
                kind: event.job.kind.clone(),
                status: event.job.status.clone(),
            },
        }
    }

    pub(crate) fn read(self, what: &'static str) -> Result<EventSummary, WireError> {
        Ok(EventSummary {
            id: read(what, "event.id", &self.id)?,
            project: read(what, "event.project", &self.project)?,
            event_type: read(what, "event.type", &self.event_type)?,
            occurred_at: self.occurred_at,
            dispatched_at: self.dispatched_at,
            job: Job {
                id: read(what, "event.job.id", &self.job.id)?,
                kind: self.job.kind,
                status: self.job.status,
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DestinationLine {
    Webhook {
        id: String,
        url: Url,
    },
    Callback {
        url: Url,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
}

impl DestinationLine {
    pub(crate) fn of(destination: &Destination) -> Self {
        match destination {
            Destination::Webhook { id, url } => Self::Webhook {
                id: id.to_string(),
                url: url.clone(),
            },
            Destination::Callback { url, secret } => Self::Callback {
                url: url.clone(),
                secret: secret.as_ref().map(|secret| secret.as_str().to_owned()),
            },
        }
    }

    /// Without the secret: for records, which outlive the need for it.
    pub(crate) fn without_secret(destination: &Destination) -> Self {
        match Self::of(destination) {
            Self::Callback { url, .. } => Self::Callback { url, secret: None },
            webhook @ Self::Webhook { .. } => webhook,
        }
    }

    pub(crate) fn read(self, what: &'static str) -> Result<Destination, WireError> {
        Ok(match self {
            Self::Webhook { id, url } => Destination::Webhook {
                id: read(what, "destination.webhook.id", &id)?,
                url,
            },
            Self::Callback { url, secret } => {
                let secret = secret
                    .map(|text| sealed(what, "destination.callback.secret", text))
                    .transpose()?;
                Destination::Callback { url, secret }
            }
        })
    }
}

pub(crate) fn sealed(
    what: &'static str,
    member: &'static str,
    text: String,
) -> Result<SealedSecret, WireError> {
    SealedSecret::try_new(text).ok_or_else(|| WireError::Member {
        what,
        member,
        problem: "is not a sealed secret".into(),
    })
}

#[derive(Serialize, Deserialize)]
pub(crate) struct TraceLine {
    traceparent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
}

impl TraceLine {
    pub(crate) fn of(trace: &TraceContext) -> Self {
        Self {
            traceparent: trace.traceparent.clone(),
            tracestate: trace.tracestate.clone(),
        }
    }

    pub(crate) fn read(self) -> TraceContext {
        TraceContext {
            traceparent: self.traceparent,
            tracestate: self.tracestate,
        }
    }
}
