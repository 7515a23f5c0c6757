//! Headers that a profile adds: a name, and a template filled for each attempt.

use ringback_domain::{AttemptNumber, DeliveryId, EventId, EventType, JobId};
use std::fmt::{Display, Write};

/// What headers can tell about an attempt.
#[derive(Debug, Clone, Copy)]
pub struct HeaderContext<'a> {
    /// The event's id; the same in every attempt.
    pub event_id: &'a EventId,
    /// Such as `task.completed`.
    pub event_type: &'a EventType,
    /// The platform's id of the job.
    pub job_id: &'a JobId,
    /// The delivery's id; the same in every attempt.
    pub delivery_id: &'a DeliveryId,
    /// The first is 1.
    pub attempt: AttemptNumber,
    /// Unix seconds of this attempt: what the signature is made with.
    pub timestamp_seconds: i64,
}

/// A header's value before an attempt is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Filled(Placeholder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    EventId,
    EventType,
    JobId,
    DeliveryId,
    Attempt,
    Timestamp,
}

const PLACEHOLDERS: [(&str, Placeholder); 6] = [
    ("event.id", Placeholder::EventId),
    ("event.type", Placeholder::EventType),
    ("job.id", Placeholder::JobId),
    ("delivery.id", Placeholder::DeliveryId),
    ("attempt", Placeholder::Attempt),
    ("timestamp", Placeholder::Timestamp),
];

impl Template {
    /// Reads a template; the error says what to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(c) = text.chars().find(|c| !(c.is_ascii_graphic() || *c == ' ')) {
            return Err(format!(
                "`{}` cannot stand in a header; use visible ASCII",
                c.escape_debug()
            ));
        }
        if text.trim() != text || text.is_empty() {
            return Err("a header's value is not empty and has no space at its ends".into());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("`{{{after}` has no closing brace"))?;
            let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
            let (_, placeholder) = known.ok_or_else(|| {
                let known: Vec<_> = PLACEHOLDERS
                    .iter()
                    .map(|(name, _)| format!("`{{{name}}}`"))
                    .collect();
                format!("`{{{name}}}` is not known; known: {}", known.join(", "))
            })?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            pieces.push(Piece::Filled(*placeholder));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    pub(crate) fn fill(&self, context: &HeaderContext<'_>) -> String {
        let mut value = String::new();
        for piece in &self.0 {
            let text: &dyn Display = match piece {
                Piece::Literal(text) => text,
                Piece::Filled(Placeholder::EventId) => context.event_id,
                Piece::Filled(Placeholder::EventType) => context.event_type,
                Piece::Filled(Placeholder::JobId) => context.job_id,
                Piece::Filled(Placeholder::DeliveryId) => context.delivery_id,
                Piece::Filled(Placeholder::Attempt) => &context.attempt,
                Piece::Filled(Placeholder::Timestamp) => &context.timestamp_seconds,
            };
            write!(value, "{text}").expect("a String takes all");
        }
        value
    }
}

/// Headers that are the sender's business, or would break the request.
const RESERVED: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks a header's name; the error says what to write instead.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!(
            "`{name}` is no header name; use letters, digits and `-`"
        ));
    }
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("`{name}` is set by the sender; leave it out"));
    }
    Ok(())
}

/// The headers that tell an operator which attempt this is, under a name that no platform uses.
pub(crate) fn diagnostic_headers() -> [(&'static str, Template); 3] {
    let filled = |placeholder| Template(vec![Piece::Filled(placeholder)]);
    [
        ("Ringback-Event-Id", filled(Placeholder::EventId)),
        ("Ringback-Delivery-Id", filled(Placeholder::DeliveryId)),
        ("Ringback-Attempt", filled(Placeholder::Attempt)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled() {
        let (event_id, event_type, job_id, delivery_id) = (
            "evt_1".parse().unwrap(),
            "task.completed".parse().unwrap(),
            "task_1".parse().unwrap(),
            "dlv_1".parse().unwrap(),
        );
        let context = HeaderContext {
            event_id: &event_id,
            event_type: &event_type,
            job_id: &job_id,
            delivery_id: &delivery_id,
            attempt: AttemptNumber::FIRST.next(),
            timestamp_seconds: 1_767_225_600,
        };
        for (template, expected) in [
            ("{event.id}", "evt_1"),
            ("{event.type}/{job.id}", "task.completed/task_1"),
            ("t={timestamp}; try {attempt}", "t=1767225600; try 2"),
            ("plain", "plain"),
            ("{delivery.id}", "dlv_1"),
        ] {
            assert_eq!(Template::parse(template).unwrap().fill(&context), expected);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        assert_eq!(
            Template::parse("{id}").unwrap_err(),
            "`{id}` is not known; known: `{event.id}`, `{event.type}`, `{job.id}`, `{delivery.id}`, `{attempt}`, `{timestamp}`"
        );
        for template in ["", " x", "a\r\nX: y", "é", "{event.id"] {
            assert!(Template::parse(template).is_err(), "{template:?}");
        }
        for name in ["", "X Y", "X:Y", "Content-Type", "HOST"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
