//! Dead letters and webhooks in files, one a line: for keeping them elsewhere, and for bringing them back.
//!
//! ```text
//! {"v":1,"dead_letter":{…},"message":{…},"body":"…","sha256":"…"}
//! {"v":1,"webhook":{…},"sha256":"…"}
//! ```
//!
//! `dead_letter` and `message` are the lines of the stored record, `body` the bytes that follow them (`body_base64` when they
//! are no text), and `sha256` the digest of the record put together again. Secrets stay behind: a webhook's is the webhook's,
//! and a callback's, though sealed, is left out and said to be.
//!
//! `webhook` is the stored record, its secrets sealed as they are stored: without them it would be another webhook.

use crate::{VERSION, WireError, check_version, json_error, record, record::to_bytes, split};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use ringback_domain::{Callback, DeadLetter, DeadLetterContent, Destination, Webhook};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Bytes of a line: a body that is all escapes, and a full history.
pub const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

const WHAT: &str = "exported dead letter";
const WEBHOOK: &str = "exported webhook";

#[derive(Serialize)]
struct Line {
    v: u32,
    dead_letter: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    secret_left_out: bool,
    sha256: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Serialize)]
struct WebhookLine {
    v: u32,
    webhook: Box<RawValue>,
    sha256: String,
}

/// A dead letter from a file.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The dead letter, its callback's secret absent.
    pub dead_letter: DeadLetter,
    /// Whether it had one.
    pub secret_left_out: bool,
}

/// A dead letter as a line, without its line feed.
///
/// # Errors
///
/// Like [`record::encode_dead_letter`].
pub fn encode(dead_letter: &DeadLetter) -> Result<Vec<u8>, WireError> {
    let (stripped, secret_left_out) = without_secret(dead_letter);
    let record = record::encode_dead_letter(&stripped)?;
    let (line, content) = split(WHAT, &record)?;
    let (message, body) = match &stripped.content {
        DeadLetterContent::Delivery(_) => {
            let (message, body) = split(WHAT, &content)?;
            (Some(raw(WHAT, &message)?), body)
        }
        DeadLetterContent::Event { .. } | DeadLetterContent::Raw { .. } => (None, content),
    };
    let (body, body_base64) = match String::from_utf8(body.to_vec()) {
        Ok(text) => (Some(text), None),
        Err(other) => (None, Some(BASE64_STANDARD.encode(other.as_bytes()))),
    };
    Ok(to_bytes(&Line {
        v: VERSION,
        dead_letter: raw(WHAT, &line)?,
        message,
        body,
        body_base64,
        secret_left_out,
        sha256: digest(&record),
    }))
}

fn without_secret(dead_letter: &DeadLetter) -> (DeadLetter, bool) {
    let mut stripped = dead_letter.clone();
    let secret_left_out = match &mut stripped.content {
        DeadLetterContent::Delivery(delivery) => match &mut delivery.destination {
            Destination::Callback { secret, .. } => secret.take().is_some(),
            Destination::Webhook { .. } => false,
        },
        DeadLetterContent::Event { event, .. } => match &mut event.callback {
            Some(Callback { secret, .. }) => secret.take().is_some(),
            None => false,
        },
        DeadLetterContent::Raw { .. } => false,
    };
    (stripped, secret_left_out)
}

fn raw(what: &'static str, json: &[u8]) -> Result<Box<RawValue>, WireError> {
    serde_json::from_slice(json).map_err(|error| json_error(what, &error))
}

fn digest(record: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(record)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Reads a dead letter's line and checks it against its digest.
pub fn decode(line: &[u8]) -> Result<Exported, WireError> {
    let members = Members::of(WHAT, line)?;
    let body = match (
        members.optional::<String>("body")?,
        members.optional::<String>("body_base64")?,
    ) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => BASE64_STANDARD
            .decode(text)
            .map_err(|_| members.wrong("body_base64", "is not base64"))?,
        (None, None) => return Err(members.wrong("body", "is missing")),
        (Some(_), Some(_)) => return Err(members.wrong("body", "stands beside `body_base64`")),
    };
    let mut record = Vec::with_capacity(line.len());
    record.extend_from_slice(members.raw("dead_letter")?.as_bytes());
    record.push(b'\n');
    if let Some(message) = members.all.get("message") {
        record.extend_from_slice(message.get().as_bytes());
        record.push(b'\n');
    }
    record.extend_from_slice(&body);
    members.check_digest(&record)?;
    let secret_left_out = members.optional("secret_left_out")?.unwrap_or(false);
    Ok(Exported {
        dead_letter: record::decode_dead_letter(&Bytes::from(record))?,
        secret_left_out,
    })
}

/// A webhook as a line, without its line feed.
#[expect(clippy::missing_panics_doc, reason = "cannot: see the reason inside")]
pub fn encode_webhook(webhook: &Webhook) -> Vec<u8> {
    let record = record::encode_webhook(webhook);
    to_bytes(&WebhookLine {
        v: VERSION,
        sha256: digest(&record),
        webhook: raw(WEBHOOK, &record).expect("a webhook's record is JSON"),
    })
}

/// Reads a webhook's line and checks it against its digest.
pub fn decode_webhook(line: &[u8]) -> Result<Webhook, WireError> {
    let members = Members::of(WEBHOOK, line)?;
    let record = members.raw("webhook")?.as_bytes();
    members.check_digest(record)?;
    record::decode_webhook(record)
}

/// The members of a line, of a version that is read here.
struct Members {
    what: &'static str,
    all: BTreeMap<String, Box<RawValue>>,
}

impl Members {
    fn of(what: &'static str, line: &[u8]) -> Result<Self, WireError> {
        let all = serde_json::from_slice(line).map_err(|error| json_error(what, &error))?;
        let members = Self { what, all };
        check_version(what, members.read("v")?)?;
        Ok(members)
    }

    fn wrong(&self, member: &'static str, problem: &str) -> WireError {
        WireError::Member {
            what: self.what,
            member,
            problem: problem.to_owned(),
        }
    }

    fn check_digest(&self, record: &[u8]) -> Result<(), WireError> {
        if self.read::<String>("sha256")? == digest(record) {
            return Ok(());
        }
        Err(self.wrong("sha256", "does not match: the line was changed or damaged"))
    }

    fn raw(&self, member: &'static str) -> Result<&str, WireError> {
        let found = self.all.get(member).map(|value| value.get());
        found.ok_or_else(|| self.wrong(member, "is missing"))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, member: &'static str) -> Result<T, WireError> {
        serde_json::from_str(self.raw(member)?)
            .map_err(|_| self.wrong(member, "is of another type"))
    }

    fn optional<T: serde::de::DeserializeOwned>(
        &self,
        member: &'static str,
    ) -> Result<Option<T>, WireError> {
        if self.all.contains_key(member) {
            self.read(member).map(Some)
        } else {
            Ok(None)
        }
    }
}
