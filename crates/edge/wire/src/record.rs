//! Stored records: webhooks, the log of deliveries, dead letters.

use crate::{
    VERSION, WireError,
    attempt::AttemptLine,
    check_version, delivery, event, join, json_error,
    parts::{DestinationLine, SummaryLine, read, sealed},
    split,
};
use bytes::Bytes;
use ringback_domain::{
    Attempt, Cause, DeadLetter, DeadLetterContent, DeadLetterReason, Delivery, DeliveryId,
    DeliveryRecord, DeliveryState, Destination, Disposal, EventFilter, EventSummary, Generation,
    ProfileName, Replayed, Timestamp, Webhook, WebhookSecret, WebhookState,
};
use serde::{Deserialize, Serialize};
use url::Url;

pub(crate) fn to_bytes(line: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(line).expect("writing to memory, with text keys only")
}

// Webhooks

#[derive(Serialize, Deserialize)]
struct WebhookLine {
    v: u32,
    id: String,
    project: String,
    url: Url,
    /// Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<SecretLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_limit: Option<std::num::NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled: Option<DisabledLine>,
    created_at: Timestamp,
    updated_at: Timestamp,
    revision: u64,
}

#[derive(Serialize, Deserialize)]
struct SecretLine {
    sealed: String,
    signs_from: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overlaps_until: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct DisabledLine {
    at: Timestamp,
    reason: String,
}

const WEBHOOK: &str = "webhook";

/// A webhook as a record.
pub fn encode_webhook(webhook: &Webhook) -> Vec<u8> {
    to_bytes(&WebhookLine {
        v: VERSION,
        id: webhook.id.to_string(),
        project: webhook.project.to_string(),
        url: webhook.url.clone(),
        events: match &webhook.events {
            EventFilter::All => None,
            EventFilter::Only(types) => Some(types.iter().map(ToString::to_string).collect()),
        },
        profile: webhook.profile.as_ref().map(ToString::to_string),
        secrets: webhook
            .secrets
            .iter()
            .map(|secret| SecretLine {
                sealed: secret.sealed.as_str().to_owned(),
                signs_from: secret.signs_from,
                overlaps_until: secret.overlaps_until,
            })
            .collect(),
        headers: webhook.headers.clone(),
        description: webhook.description.clone(),
        rate_limit: webhook.rate_limit,
        disabled: match &webhook.state {
            WebhookState::Enabled => None,
            WebhookState::Disabled { at, reason } => Some(DisabledLine {
                at: *at,
                reason: reason.clone(),
            }),
        },
        created_at: webhook.created_at,
        updated_at: webhook.updated_at,
        revision: webhook.revision,
    })
}

/// Reads a webhook.
pub fn decode_webhook(bytes: &[u8]) -> Result<Webhook, WireError> {
    let line: WebhookLine =
        serde_json::from_slice(bytes).map_err(|error| json_error(WEBHOOK, &error))?;
    check_version(WEBHOOK, line.v)?;
    let events = match line.events {
        None => EventFilter::All,
        Some(types) => EventFilter::Only(
            types
                .iter()
                .map(|text| read(WEBHOOK, "events", text))
                .collect::<Result<_, _>>()?,
        ),
    };
    let secret = |secret: SecretLine| {
        Ok(WebhookSecret {
            sealed: sealed(WEBHOOK, "secrets", secret.sealed)?,
            signs_from: secret.signs_from,
            overlaps_until: secret.overlaps_until,
        })
    };
    Ok(Webhook {
        id: read(WEBHOOK, "id", &line.id)?,
        project: read(WEBHOOK, "project", &line.project)?,
        url: line.url,
        events,
        profile: line
            .profile
            .map(|text| read(WEBHOOK, "profile", &text))
            .transpose()?,
        secrets: line
            .secrets
            .into_iter()
            .map(secret)
            .collect::<Result<_, WireError>>()?,
        headers: line.headers,
        description: line.description,
        rate_limit: line.rate_limit,
        state: match line.disabled {
            None => WebhookState::Enabled,
            Some(DisabledLine { at, reason }) => WebhookState::Disabled { at, reason },
        },
        created_at: line.created_at,
        updated_at: line.updated_at,
        revision: line.revision,
    })
}

// The log of deliveries

/// What stays the same in a delivery's record; state, generation, moments and attempts are kept beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHead {
    pub id: DeliveryId,
    pub event: EventSummary,
    /// Without a callback's secret: the record outlives the need for it.
    pub destination: Destination,
    pub profile: ProfileName,
}

#[derive(Serialize, Deserialize)]
struct HeadLine {
    v: u32,
    id: String,
    event: SummaryLine,
    destination: DestinationLine,
    profile: String,
}

const HEAD: &str = "delivery record";

/// The head of a delivery's record.
pub fn encode_record_head(delivery: &Delivery) -> Vec<u8> {
    head_line(
        &delivery.id,
        &delivery.event,
        &delivery.destination,
        &delivery.profile,
    )
}

/// The head of a record that was read before.
pub fn encode_head_of_record(found: &DeliveryRecord) -> Vec<u8> {
    head_line(&found.id, &found.event, &found.destination, &found.profile)
}

fn head_line(
    id: &DeliveryId,
    event: &EventSummary,
    destination: &Destination,
    profile: &ProfileName,
) -> Vec<u8> {
    to_bytes(&HeadLine {
        v: VERSION,
        id: id.to_string(),
        event: SummaryLine::of(event),
        destination: DestinationLine::without_secret(destination),
        profile: profile.to_string(),
    })
}

/// Reads the head of a delivery's record.
pub fn decode_record_head(bytes: &[u8]) -> Result<RecordHead, WireError> {
    let line: HeadLine = serde_json::from_slice(bytes).map_err(|error| json_error(HEAD, &error))?;
    check_version(HEAD, line.v)?;
    Ok(RecordHead {
        id: read(HEAD, "id", &line.id)?,
        event: line.event.read(HEAD)?,
        destination: line.destination.read(HEAD)?,
        profile: read(HEAD, "profile", &line.profile)?,
    })
}

/// An attempt as a record.
pub fn encode_attempt(attempt: &Attempt) -> Vec<u8> {
    to_bytes(&AttemptLine::of(attempt))
}

/// Reads an attempt.
pub fn decode_attempt(bytes: &[u8]) -> Result<Attempt, WireError> {
    let line: AttemptLine =
        serde_json::from_slice(bytes).map_err(|error| json_error("attempt", &error))?;
    line.read()
}

/// A delivery's state as one word: `attempting`, `waiting:<moment>`, `delivered:<moment>`, `dead_lettered:<id>`.
pub fn encode_state(state: &DeliveryState) -> String {
    match state {
        DeliveryState::Attempting => state.class().to_owned(),
        DeliveryState::Waiting { until } => format!("{}:{until}", state.class()),
        DeliveryState::Delivered { at } => format!("{}:{at}", state.class()),
        DeliveryState::DeadLettered { id } => format!("{}:{id}", state.class()),
    }
}

/// Reads a delivery's state.
pub fn decode_state(text: &str) -> Result<DeliveryState, WireError> {
    let (class, rest) = text.split_once(':').unwrap_or((text, ""));
    match class {
        "attempting" => Ok(DeliveryState::Attempting),
        "waiting" => Ok(DeliveryState::Waiting {
            until: read(HEAD, "state", rest)?,
        }),
        "delivered" => Ok(DeliveryState::Delivered {
            at: read(HEAD, "state", rest)?,
        }),
        "dead_lettered" => Ok(DeliveryState::DeadLettered {
            id: read(HEAD, "state", rest)?,
        }),
        _ => Err(WireError::Member {
            what: HEAD,
            member: "state",
            problem: "is no state".into(),
        }),
    }
}

// Dead letters

#[derive(Serialize, Deserialize)]
struct DeadLetterLine {
    v: u32,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    /// A word of `DeadLetterReason::class`.
    reason: String,
    cause: CauseLine,
    died_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disposal: Option<DisposalLine>,
    /// Absent for a delivery message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_delivery: Option<NotDeliveryLine>,
}

/// What follows the line when it is no delivery message, and what is wrong with it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NotDeliveryLine {
    Event { why: String },
    Raw { why: String },
}

#[derive(Serialize, Deserialize)]
struct CauseLine {
    fingerprint: String,
    summary: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DisposalLine {
    Replayed {
        at: Timestamp,
        by: String,
        generation: u32,
    },
    Discarded {
        at: Timestamp,
        note: String,
    },
}

const DEAD_LETTER: &str = "dead letter";

fn disposal_line(disposal: &Disposal) -> Option<DisposalLine> {
    match disposal {
        Disposal::Open => None,
        Disposal::Replayed(Replayed { at, by, generation }) => Some(DisposalLine::Replayed {
            at: *at,
            by: by.clone(),
            generation: generation.get(),
        }),
        Disposal::Discarded { at, note } => Some(DisposalLine::Discarded {
            at: *at,
            note: note.clone(),
        }),
    }
}

fn disposal_of(line: Option<DisposalLine>) -> Disposal {
    match line {
        None => Disposal::Open,
        Some(DisposalLine::Replayed { at, by, generation }) => Disposal::Replayed(Replayed {
            at,
            by,
            generation: Generation::new(generation),
        }),
        Some(DisposalLine::Discarded { at, note }) => Disposal::Discarded { at, note },
    }
}

/// A dead letter as a record: a line of JSON, a line feed, and the delivery message or the raw bytes.
///
/// # Errors
///
/// When it holds an event whose callback's secret is not sealed.
pub fn encode_dead_letter(dead_letter: &DeadLetter) -> Result<Bytes, WireError> {
    let line = DeadLetterLine {
        v: VERSION,
        id: dead_letter.id.to_string(),
        project: dead_letter.project.as_ref().map(ToString::to_string),
        reason: dead_letter.reason.class().to_owned(),
        cause: CauseLine {
            fingerprint: dead_letter.cause.fingerprint.clone(),
            summary: dead_letter.cause.summary.clone(),
        },
        died_at: dead_letter.died_at,
        disposal: disposal_line(&dead_letter.disposal),
        not_delivery: match &dead_letter.content {
            DeadLetterContent::Delivery(_) => None,
            DeadLetterContent::Event { why, .. } => {
                Some(NotDeliveryLine::Event { why: why.clone() })
            }
            DeadLetterContent::Raw { why, .. } => Some(NotDeliveryLine::Raw { why: why.clone() }),
        },
    };
    Ok(match &dead_letter.content {
        DeadLetterContent::Delivery(delivery) => join(&line, &delivery::encode(delivery)),
        DeadLetterContent::Event { event, .. } => join(&line, &event::encode(event)?),
        DeadLetterContent::Raw { bytes, .. } => join(&line, bytes),
    })
}

/// Reads a dead letter.
pub fn decode_dead_letter(record: &Bytes) -> Result<DeadLetter, WireError> {
    let (line, content) = split(DEAD_LETTER, record)?;
    let line: DeadLetterLine =
        serde_json::from_slice(&line).map_err(|error| json_error(DEAD_LETTER, &error))?;
    check_version(DEAD_LETTER, line.v)?;
    Ok(DeadLetter {
        id: read(DEAD_LETTER, "id", &line.id)?,
        project: line
            .project
            .map(|text| read(DEAD_LETTER, "project", &text))
            .transpose()?,
        reason: reason_of(DEAD_LETTER, &line.reason)?,
        cause: Cause {
            fingerprint: line.cause.fingerprint,
            summary: line.cause.summary,
        },
        died_at: line.died_at,
        disposal: disposal_of(line.disposal),
        content: match line.not_delivery {
            None => DeadLetterContent::Delivery(Box::new(delivery::decode(&content)?)),
            Some(NotDeliveryLine::Event { why }) => DeadLetterContent::Event {
                event: Box::new(event::parse_accepted(&content).map_err(|fault| {
                    WireError::Member {
                        what: DEAD_LETTER,
                        member: "event",
                        problem: fault.to_string(),
                    }
                })?),
                why,
            },
            Some(NotDeliveryLine::Raw { why }) => DeadLetterContent::Raw {
                bytes: content,
                why,
            },
        },
    })
}

pub(crate) fn reason_of(what: &'static str, word: &str) -> Result<DeadLetterReason, WireError> {
    word.parse().map_err(|_| WireError::Member {
        what,
        member: "reason",
        problem: "is no reason known here".into(),
    })
}

/// A disposal as a record of its own, for stores that keep it beside the dead letter; empty while open.
pub fn encode_disposal(disposal: &Disposal) -> Vec<u8> {
    disposal_line(disposal)
        .map(|line| to_bytes(&line))
        .unwrap_or_default()
}

/// Reads a disposal.
pub fn decode_disposal(bytes: &[u8]) -> Result<Disposal, WireError> {
    if bytes.is_empty() {
        return Ok(Disposal::Open);
    }
    let line: DisposalLine =
        serde_json::from_slice(bytes).map_err(|error| json_error("disposal", &error))?;
    Ok(disposal_of(Some(line)))
}
