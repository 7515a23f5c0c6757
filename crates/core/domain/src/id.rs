//! Ids and names: each its own type, checked once on the way in.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr, sync::Arc};
use url::{Position, Url};

/// A text that cannot be this kind of id or name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{}` is not accepted: {rule}", shorten(.text))]
pub struct IdError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

impl IdError {
    /// The rule that was broken, fit for a reader.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $bytes_max:literal, $rule:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text of it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let accepts: fn(u8) -> bool = $accepts;
                if text.is_empty() || text.len() > $bytes_max || !text.bytes().all(accepts) {
                    return Err(IdError { kind: $kind, text: text.to_owned(), rule: $rule });
                }
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

text_id! {
    /// The producer's id of an event, and its idempotency key within the project.
    ///
    /// No full stop: the standard signature joins id, timestamp and body with full stops.
    EventId, "event id", 128, "1 to 128 letters, digits, `_`, `-` or `:`", |b| word(b) || b == b':'
}
text_id! {
    /// A tenant. Part of routing keys and of store keys, hence the narrow alphabet.
    ProjectName, "project", 64, "1 to 64 lower-case letters, digits, `_` or `-`",
    |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
}
text_id! {
    /// A profile's name.
    ProfileName, "profile", 64, "1 to 64 lower-case letters, digits, `_` or `-`",
    |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
}
text_id! {
    /// What happened, such as `task.completed`.
    EventType, "event type", 128, "1 to 128 letters, digits, `_`, `-` or `.`", |b| word(b) || b == b'.'
}
text_id! {
    /// The platform's id of a job. Sent as a header by some profiles, hence visible ASCII only.
    JobId, "job id", 256, "1 to 256 visible ASCII characters", |b| b.is_ascii_graphic()
}
text_id! {
    /// A registered webhook, `whk_…`.
    WebhookId, "webhook id", 64, "`whk_` and 1 to 60 letters or digits", word
}
text_id! {
    /// One event on its way to one destination, `dlv_…`; derived, so that a second dispatch yields the same.
    DeliveryId, "delivery id", 64, "`dlv_` and 32 hex digits", word
}
text_id! {
    /// A delivery given up, `dlt_…`; derived from the delivery and its generation, so that giving up twice is giving up once.
    /// An event has no generations: given up again after a replay, it is a dead letter of another moment.
    DeadLetterId, "dead letter id", 64, "`dlt_` and 32 hex digits", word
}
text_id! {
    /// Where deliveries go: a webhook's id, `cbk_…` for a callback, or `hst_…` for a project's callbacks to one host.
    DestinationId, "destination id", 64, "`whk_`, `cbk_` or `hst_` and letters or digits", word
}
text_id! {
    /// A replay plan, `rpl_…`.
    PlanId, "replay plan id", 64, "`rpl_` and 32 hex digits", word
}
text_id! {
    /// A key to the HTTP API. No underscore: it stands between two in the key's text.
    ApiKeyId, "key id", 64, "1 to 64 letters or digits", |b| b.is_ascii_alphanumeric()
}
text_id! {
    /// One worker process; unique to a process start, never reused.
    WorkerId, "worker id", 64, "1 to 64 letters, digits, `_` or `-`", word
}

/// The first 16 bytes of a SHA-256 over the parts, each preceded by its length, as 32 hex digits.
fn digest(parts: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    hex(&sha.finalize()[..16])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    text
}

impl DeliveryId {
    /// The delivery of this event to this destination.
    pub fn derive(project: &ProjectName, event: &EventId, destination: &DestinationId) -> Self {
        let parts = [
            project.as_str().as_bytes(),
            event.as_str().as_bytes(),
            destination.as_str().as_bytes(),
        ];
        Self(format!("dlv_{}", digest(&parts)).into())
    }
}

impl DeliveryId {
    /// What a plan sends to another webhook on behalf of this delivery: a delivery of its own, so that neither counts for the other.
    #[must_use]
    pub fn diverted(&self, plan: &PlanId) -> Self {
        let parts = [b"diverted", self.0.as_bytes(), plan.0.as_bytes()];
        Self(format!("dlv_{}", digest(&parts)).into())
    }
}

impl DeadLetterId {
    /// The dead letter of this delivery's generation.
    pub fn derive(delivery: &DeliveryId, generation: crate::Generation) -> Self {
        Self(
            format!(
                "dlt_{}",
                digest(&[
                    delivery.as_str().as_bytes(),
                    &generation.get().to_be_bytes()
                ])
            )
            .into(),
        )
    }

    /// The dead letter of an event that not every body could be made of, given up at this moment.
    pub fn of_event(project: &ProjectName, event: &EventId, died_at: Timestamp) -> Self {
        Self(
            format!(
                "dlt_{}",
                digest(&[
                    b"event",
                    project.as_str().as_bytes(),
                    event.as_str().as_bytes(),
                    &died_at.as_nanosecond().to_be_bytes(),
                ])
            )
            .into(),
        )
    }

    /// The dead letter of bytes that could not be read as what they should be, given up at this moment.
    pub fn of_raw(raw: &[u8], died_at: Timestamp) -> Self {
        let moment = died_at.as_nanosecond().to_be_bytes();
        Self(format!("dlt_{}", digest(&[b"raw", raw, &moment])).into())
    }
}

impl WebhookId {
    /// A new id from 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("whk_{}", hex(&bytes)).into())
    }
}

impl EventId {
    /// A new id from 16 random bytes, for a producer that has none.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("evt_{}", hex(&bytes)).into())
    }

    /// What stands for the id of bytes that nobody has read yet.
    pub fn of_raw(raw: &[u8]) -> Self {
        Self(format!("raw_{}", digest(&[b"raw", raw])).into())
    }
}

impl PlanId {
    /// A new id from 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("rpl_{}", hex(&bytes)).into())
    }
}

impl ApiKeyId {
    /// A new id from 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex(&bytes).into())
    }
}

impl WorkerId {
    /// A new id from 8 random bytes.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(format!("wrk_{}", hex(&bytes)).into())
    }
}

impl DestinationId {
    /// The destination that is this webhook.
    pub fn webhook(id: &WebhookId) -> Self {
        Self(id.0.clone())
    }

    /// The destination that is a callback to this URL.
    pub fn callback(url: &str) -> Self {
        Self(format!("cbk_{}", digest(&[url.as_bytes()])).into())
    }

    /// All callbacks of a project to the host of this URL: scheme, name and port.
    pub fn callbacks_to_host(project: &ProjectName, url: &Url) -> Self {
        let host = &url[..Position::BeforePath];
        let parts = [project.as_str().as_bytes(), host.as_bytes()];
        Self(format!("hst_{}", digest(&parts)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_on_the_way_in() {
        assert!("evt_01".parse::<EventId>().is_ok());
        let refused = "a.b".parse::<EventId>().unwrap_err().to_string();
        assert_eq!(
            refused,
            "event id `a.b` is not accepted: 1 to 128 letters, digits, `_`, `-` or `:`"
        );
        assert!("".parse::<ProjectName>().is_err());
        assert!("Acme".parse::<ProjectName>().is_err());
        assert!("x".repeat(129).parse::<EventId>().is_err());
        assert!("job\r\nX: y".parse::<JobId>().is_err());
    }

    #[test]
    fn a_delivery_id_depends_on_all_its_parts_and_on_nothing_else() {
        let id = |p: &str, e: &str, d: &str| {
            DeliveryId::derive(
                &p.parse().unwrap(),
                &e.parse().unwrap(),
                &d.parse().unwrap(),
            )
        };
        assert_eq!(id("a", "e1", "whk_1"), id("a", "e1", "whk_1"));
        assert_ne!(id("a", "e1", "whk_1"), id("b", "e1", "whk_1"));
        assert_ne!(id("a", "e1", "whk_1"), id("a", "e2", "whk_1"));
        assert_ne!(id("a", "e1", "whk_1"), id("a", "e1", "whk_2"));
        assert_ne!(
            id("ab", "c", "d"),
            id("a", "bc", "d"),
            "parts do not run into each other"
        );
    }

    #[test]
    fn an_event_given_up_again_is_another_dead_letter_and_the_same_moment_is_the_same_one() {
        let (project, event) = ("acme".parse().unwrap(), "evt_1".parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        let of_event = |second| DeadLetterId::of_event(&project, &event, at(second));
        assert_eq!(of_event(1), of_event(1));
        assert_ne!(of_event(1), of_event(2));
        let of_raw = |second| DeadLetterId::of_raw(b"{", at(second));
        assert_eq!(of_raw(1), of_raw(1));
        assert_ne!(of_raw(1), of_raw(2));
    }
}
