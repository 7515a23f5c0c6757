//! A delivery as a queue message: a line of JSON, a line feed, the body's bytes.

use crate::{
    VERSION, WireError,
    attempt::AttemptLine,
    check_version, join, json_error,
    parts::{DestinationLine, SummaryLine, TraceLine, read},
    split,
};
use bytes::Bytes;
use ringback_delivery::port::Unreadable;
use ringback_domain::{AttemptNumber, Deferral, Delivery, Detour, Generation, Timestamp};
use serde::{Deserialize, Serialize};

const WHAT: &str = "delivery message";

#[derive(Serialize, Deserialize)]
struct DeliveryLine {
    v: u32,
    id: String,
    event: SummaryLine,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted_at: Option<Timestamp>,
    destination: DestinationLine,
    profile: String,
    generation: u32,
    attempt: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deferral: Option<DeferralLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<AttemptLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detour: Option<DetourLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<TraceLine>,
}

#[derive(Serialize, Deserialize)]
struct DeferralLine {
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    back_by: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    missed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DetourLine {
    OriginalUrl,
    InsteadOf(String),
}

impl DetourLine {
    fn of(detour: &Detour) -> Self {
        match detour {
            Detour::OriginalUrl => Self::OriginalUrl,
            Detour::InsteadOf(id) => Self::InsteadOf(id.to_string()),
        }
    }

    fn read(self) -> Result<Detour, WireError> {
        Ok(match self {
            Self::OriginalUrl => Detour::OriginalUrl,
            Self::InsteadOf(id) => Detour::InsteadOf(read(WHAT, "detour", &id)?),
        })
    }
}

/// The message of a delivery.
pub fn encode(delivery: &Delivery) -> Bytes {
    let line = DeliveryLine {
        v: VERSION,
        id: delivery.id.to_string(),
        event: SummaryLine::of(&delivery.event),
        accepted_at: delivery.accepted_at,
        destination: DestinationLine::of(&delivery.destination),
        profile: delivery.profile.to_string(),
        generation: delivery.generation.get(),
        attempt: delivery.attempt.get(),
        due_at: delivery.due_at,
        deferral: delivery.deferral.map(|deferral| DeferralLine {
            since: deferral.since,
            turn_at: deferral.turn_at,
            back_by: deferral.back_by,
            missed: deferral.missed,
        }),
        history: delivery.history.iter().map(AttemptLine::of).collect(),
        detour: delivery.detour.as_ref().map(DetourLine::of),
        trace: delivery.trace.as_ref().map(TraceLine::of),
    };
    join(&line, &delivery.body)
}

/// Reads a delivery. Its body is a slice of the message, not a copy.
pub fn decode(message: &Bytes) -> Result<Delivery, WireError> {
    let (line, body) = split(WHAT, message)?;
    let line: DeliveryLine =
        serde_json::from_slice(&line).map_err(|error| json_error(WHAT, &error))?;
    check_version(WHAT, line.v)?;
    Ok(Delivery {
        id: read(WHAT, "id", &line.id)?,
        event: line.event.read(WHAT)?,
        accepted_at: line.accepted_at,
        destination: line.destination.read(WHAT)?,
        profile: read(WHAT, "profile", &line.profile)?,
        generation: Generation::new(line.generation),
        attempt: AttemptNumber::try_new(line.attempt).ok_or_else(|| WireError::Member {
            what: WHAT,
            member: "attempt",
            problem: "is 0".into(),
        })?,
        due_at: line.due_at,
        deferral: line.deferral.map(|deferral| Deferral {
            since: deferral.since,
            turn_at: deferral.turn_at,
            back_by: deferral.back_by,
            missed: deferral.missed,
        }),
        history: line
            .history
            .into_iter()
            .map(AttemptLine::read)
            .collect::<Result<_, _>>()?,
        detour: line.detour.map(DetourLine::read).transpose()?,
        trace: line.trace.map(TraceLine::read),
        body,
    })
}

/// Reads a delivery as a queue does: what cannot be read is handed on, free of what looks like a secret.
pub fn read_message(message: &Bytes) -> Result<Delivery, Unreadable> {
    decode(message).map_err(|fault| Unreadable {
        why: fault.to_string(),
        bytes: crate::event::redact(message),
    })
}
