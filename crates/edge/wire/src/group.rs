//! What is kept of a group of dead letters beside its count.

use crate::{
    VERSION, WireError, check_version, json_error,
    parts::read,
    record::{reason_of, to_bytes},
};
use ringback_domain::{Acknowledgement, Cause, GroupHead, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct HeadLine {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    fingerprint: String,
    summary: String,
    /// A word of `DeadLetterReason::class`.
    reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    excerpt: String,
}

#[derive(Serialize, Deserialize)]
struct AcknowledgementLine {
    v: u32,
    at: Timestamp,
    by: String,
    note: String,
    seen_until: Timestamp,
}

const HEAD: &str = "dead letter group";
const ACKNOWLEDGEMENT: &str = "acknowledgement";

/// The head of a group as a record.
pub fn encode_head(head: &GroupHead) -> Vec<u8> {
    to_bytes(&HeadLine {
        v: VERSION,
        project: head.project.as_ref().map(ToString::to_string),
        destination: head.destination.as_ref().map(ToString::to_string),
        host: head.host.clone(),
        fingerprint: head.cause.fingerprint.clone(),
        summary: head.cause.summary.clone(),
        reason: head.reason.class().to_owned(),
        excerpt: head.excerpt.clone(),
    })
}

/// Reads the head of a group.
pub fn decode_head(bytes: &[u8]) -> Result<GroupHead, WireError> {
    let line: HeadLine = serde_json::from_slice(bytes).map_err(|error| json_error(HEAD, &error))?;
    check_version(HEAD, line.v)?;
    Ok(GroupHead {
        project: line
            .project
            .map(|text| read(HEAD, "project", &text))
            .transpose()?,
        destination: line
            .destination
            .map(|text| read(HEAD, "destination", &text))
            .transpose()?,
        host: line.host,
        cause: Cause {
            fingerprint: line.fingerprint,
            summary: line.summary,
        },
        reason: reason_of(HEAD, &line.reason)?,
        excerpt: line.excerpt,
    })
}

/// An acknowledgement as a record.
pub fn encode_acknowledgement(acknowledgement: &Acknowledgement) -> Vec<u8> {
    to_bytes(&AcknowledgementLine {
        v: VERSION,
        at: acknowledgement.at,
        by: acknowledgement.by.clone(),
        note: acknowledgement.note.clone(),
        seen_until: acknowledgement.seen_until,
    })
}

/// Reads an acknowledgement.
pub fn decode_acknowledgement(bytes: &[u8]) -> Result<Acknowledgement, WireError> {
    let line: AcknowledgementLine =
        serde_json::from_slice(bytes).map_err(|error| json_error(ACKNOWLEDGEMENT, &error))?;
    check_version(ACKNOWLEDGEMENT, line.v)?;
    Ok(Acknowledgement {
        at: line.at,
        by: line.by,
        note: line.note,
        seen_until: line.seen_until,
    })
}
