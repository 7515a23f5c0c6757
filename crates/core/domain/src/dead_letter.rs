//! Deliveries given up, kept with their reason and all their attempts.

use crate::{
    Answer, Attempt, AttemptOutcome, DeadLetterId, Delivery, Destination, Event, EventId,
    EventType, Excerpt, Fault, Generation, JobId, NotSentReason, ProjectName, limits,
};
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// A delivery given up, or a message that could not become one.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Derived: giving up twice is giving up once, for an event and for bytes at one moment.
    pub id: DeadLetterId,
    /// Whose it is, when that could be told.
    pub project: Option<ProjectName>,
    /// What was given up.
    pub content: DeadLetterContent,
    /// Why.
    pub reason: DeadLetterReason,
    /// What it is grouped by.
    pub cause: Cause,
    /// When.
    pub died_at: Timestamp,
    /// What was done about it, if anything.
    pub disposal: Disposal,
}

/// What a dead letter keeps.
#[derive(Debug, Clone)]
pub enum DeadLetterContent {
    /// A delivery with its body, destination and every attempt in its history.
    Delivery(Box<Delivery>),
    /// An event that could not be dispatched, or not to every destination. A callback's secret in it is sealed.
    Event {
        /// The event.
        event: Box<Event>,
        /// What is wrong with it, for people.
        why: String,
    },
    /// Bytes that could not be read as an event or a delivery.
    Raw {
        /// The bytes as they came, with what looked like a secret taken out; the first [`limits::RAW_BYTES_MAX`] of them.
        bytes: Bytes,
        /// What is wrong with them, for people.
        why: String,
    },
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterReason {
    /// The schedule has no further retry.
    AttemptsExhausted,
    /// The destination answered with a status that the profile takes as final.
    RefusedForGood,
    /// The address or URL policy forbids the destination.
    NotAllowed,
    /// The outcome of an attempt is unknown, and the profile wants a person to decide.
    OutcomeUnknown,
    /// The webhook was deleted or disabled.
    DestinationGone,
    /// The destination's breaker was open for longer than the schedule would have gone on.
    DestinationDown,
    /// We could not sign or did not know the profile.
    CouldNotPrepare,
    /// The event could not be read, or no body could be made of it.
    Malformed,
    /// The broker gave the message up after its delivery limit.
    Poison,
}

/// What was done about a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposal {
    /// Nothing yet.
    Open,
    /// It was sent again.
    Replayed(Replayed),
    /// A person decided to leave it.
    Discarded {
        /// When.
        at: Timestamp,
        /// Who and why, for people.
        note: String,
    },
}

/// When and by whom a dead letter was replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// When the replay was published.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// The generation it went out as.
    pub generation: Generation,
}

impl DeadLetterReason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::AttemptsExhausted,
        Self::RefusedForGood,
        Self::NotAllowed,
        Self::OutcomeUnknown,
        Self::DestinationGone,
        Self::DestinationDown,
        Self::CouldNotPrepare,
        Self::Malformed,
        Self::Poison,
    ];

    /// A stable word for metrics, lists and filters.
    pub fn class(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::RefusedForGood => "refused_for_good",
            Self::NotAllowed => "not_allowed",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::DestinationGone => "destination_gone",
            Self::DestinationDown => "destination_down",
            Self::CouldNotPrepare => "could_not_prepare",
            Self::Malformed => "malformed",
            Self::Poison => "poison",
        }
    }

    /// Whose fault it is.
    pub fn fault(self) -> Fault {
        match self {
            Self::AttemptsExhausted
            | Self::RefusedForGood
            | Self::NotAllowed
            | Self::DestinationGone
            | Self::DestinationDown => Fault::Destination,
            Self::OutcomeUnknown | Self::CouldNotPrepare | Self::Malformed | Self::Poison => {
                Fault::Ours
            }
        }
    }

    /// The reason that follows from not having sent.
    pub fn of_not_sent(reason: NotSentReason) -> Self {
        match reason {
            NotSentReason::AddressForbidden | NotSentReason::UrlForbidden => Self::NotAllowed,
            NotSentReason::SecretUnreadable | NotSentReason::ProfileUnknown => {
                Self::CouldNotPrepare
            }
            NotSentReason::DestinationGone => Self::DestinationGone,
        }
    }
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.class().replace('_', " "))
    }
}

/// A word that is no [`DeadLetterReason::class`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no reason; reasons are {}", DeadLetterReason::ALL.map(DeadLetterReason::class).join(", "))]
pub struct UnknownReason;

impl FromStr for DeadLetterReason {
    type Err = UnknownReason;

    /// Reads a [`DeadLetterReason::class`].
    fn from_str(word: &str) -> Result<Self, UnknownReason> {
        let mut all = Self::ALL.into_iter();
        all.find(|reason| reason.class() == word)
            .ok_or(UnknownReason)
    }
}

/// What dead letters are grouped by: the destination, what went wrong, and what the answer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// 16 hex digits; equal for dead letters of one cause.
    pub fingerprint: String,
    /// A line for people, such as `refused 503`.
    pub summary: String,
}

/// Characters of a normalised excerpt that count for the fingerprint.
const FINGERPRINT_CHARS_MAX: usize = 120;

impl Cause {
    /// The cause told by the last attempt at a destination.
    pub fn of_attempt(
        project: &ProjectName,
        destination: &Destination,
        outcome: &AttemptOutcome,
        excerpt: &Excerpt,
    ) -> Self {
        let summary = match outcome.status() {
            Some(status) => format!("{} {status}", outcome.class()),
            None => outcome.class().replace('_', " "),
        };
        Self::new(&place(project, destination), summary, &normalise(excerpt))
    }

    /// The cause of a delivery that was given up before any attempt.
    pub fn of_reason(
        project: &ProjectName,
        destination: &Destination,
        reason: DeadLetterReason,
    ) -> Self {
        Self::new(&place(project, destination), reason.to_string(), "")
    }

    /// The cause of a message that is no delivery, and whose that is, when it could be told.
    pub fn of_message(project: Option<&ProjectName>, reason: DeadLetterReason, why: &str) -> Self {
        let why = normalise(&Excerpt::new(why.as_bytes(), false));
        let project = project.map_or("", ProjectName::as_str);
        Self::new(project, format!("{reason}: {why}"), &why)
    }

    fn new(destination: &str, summary: String, text: &str) -> Self {
        let mut sha = Sha256::new();
        for part in [destination, &summary, text] {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part);
        }
        Self {
            fingerprint: crate::id::hex(&sha.finalize()[..8]),
            summary,
        }
    }
}

/// Where it went, as far as causes are told apart by it. A callback counts by its host: each job may have a URL of its own,
/// and what is broken is what stands behind them.
fn place(project: &ProjectName, destination: &Destination) -> String {
    match destination {
        Destination::Webhook { id, .. } => id.to_string(),
        Destination::Callback { url, .. } => {
            format!("{project} {}", url.host_str().unwrap_or_default())
        }
    }
}

/// The excerpt with what differs between two occurrences of one cause taken out: digits, hex runs, white space.
fn normalise(excerpt: &Excerpt) -> String {
    let mut text = String::new();
    let shown = excerpt.display().to_lowercase();
    for word in shown.split_whitespace() {
        if text.chars().count() > FINGERPRINT_CHARS_MAX {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        let id_like = word.len() >= 8 && word.bytes().any(|b| b.is_ascii_digit());
        if id_like {
            text.push('#');
        } else {
            let mut in_digits = false;
            for c in word.chars() {
                if c.is_ascii_digit() {
                    if !in_digits {
                        text.push('#');
                    }
                } else {
                    text.push(c);
                }
                in_digits = c.is_ascii_digit();
            }
        }
    }
    text.chars().take(FINGERPRINT_CHARS_MAX).collect()
}

impl DeadLetter {
    /// The dead letter of a delivery whose last attempt is the last of its history.
    pub fn of_delivery(delivery: Delivery, reason: DeadLetterReason, died_at: Timestamp) -> Self {
        let cause = match delivery.history.last() {
            Some(attempt) => Cause::of_attempt(
                &delivery.event.project,
                &delivery.destination,
                &attempt.outcome,
                &attempt.excerpt,
            ),
            None => Cause::of_reason(&delivery.event.project, &delivery.destination, reason),
        };
        Self {
            id: DeadLetterId::derive(&delivery.id, delivery.generation),
            project: Some(delivery.event.project.clone()),
            content: DeadLetterContent::Delivery(Box::new(delivery)),
            reason,
            cause,
            died_at,
            disposal: Disposal::Open,
        }
    }

    /// The dead letter of an event that could not be dispatched, or not to every destination.
    pub fn of_event(
        event: Event,
        reason: DeadLetterReason,
        why: String,
        died_at: Timestamp,
    ) -> Self {
        Self {
            id: DeadLetterId::of_event(&event.project, &event.id, died_at),
            project: Some(event.project.clone()),
            cause: Cause::of_message(Some(&event.project), reason, &why),
            content: DeadLetterContent::Event {
                event: Box::new(event),
                why,
            },
            reason,
            died_at,
            disposal: Disposal::Open,
        }
    }

    /// The dead letter of bytes that could not be read. `bytes` must be free of secrets.
    pub fn of_raw(bytes: Bytes, reason: DeadLetterReason, why: String, died_at: Timestamp) -> Self {
        Self {
            id: DeadLetterId::of_raw(&bytes, died_at),
            project: None,
            cause: Cause::of_message(None, reason, &why),
            content: raw_content(bytes, why),
            reason,
            died_at,
            disposal: Disposal::Open,
        }
    }

    /// Its delivery, when it is one.
    pub fn delivery(&self) -> Option<&Delivery> {
        match &self.content {
            DeadLetterContent::Delivery(delivery) => Some(delivery),
            DeadLetterContent::Event { .. } | DeadLetterContent::Raw { .. } => None,
        }
    }

    /// The type of the event it came of, when that could be told.
    pub fn event_type(&self) -> Option<&EventType> {
        match &self.content {
            DeadLetterContent::Delivery(delivery) => Some(&delivery.event.event_type),
            DeadLetterContent::Event { event, .. } => Some(&event.event_type),
            DeadLetterContent::Raw { .. } => None,
        }
    }

    /// The event it came of, when that could be told.
    pub fn event(&self) -> Option<&EventId> {
        match &self.content {
            DeadLetterContent::Delivery(delivery) => Some(&delivery.event.id),
            DeadLetterContent::Event { event, .. } => Some(&event.id),
            DeadLetterContent::Raw { .. } => None,
        }
    }

    /// The job it came of, when that could be told.
    pub fn job(&self) -> Option<&JobId> {
        match &self.content {
            DeadLetterContent::Delivery(delivery) => Some(&delivery.event.job.id),
            DeadLetterContent::Event { event, .. } => Some(&event.job.id),
            DeadLetterContent::Raw { .. } => None,
        }
    }

    /// The last attempt that was made.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.delivery().and_then(|delivery| delivery.history.last())
    }
}

/// Bytes that could not be read, cut where they are too many to be kept.
fn raw_content(bytes: Bytes, why: String) -> DeadLetterContent {
    match bytes.get(..limits::RAW_BYTES_MAX) {
        Some(kept) if kept.len() < bytes.len() => DeadLetterContent::Raw {
            why: format!(
                "{why}; the first {} of its {} bytes are kept",
                kept.len(),
                bytes.len()
            ),
            // A slice would hold the whole message.
            bytes: Bytes::copy_from_slice(kept),
        },
        _ => DeadLetterContent::Raw { bytes, why },
    }
}

impl Answer {
    /// An answer with only a status; for tests and probes.
    pub fn bare(status: u16) -> Self {
        Self {
            status,
            retry_after: None,
            excerpt: Excerpt::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause_at(destination: &Destination, status: u16, body: &str) -> Cause {
        let outcome = AttemptOutcome::Refused {
            status,
            retry_after: None,
        };
        let excerpt = Excerpt::new(body.as_bytes(), false);
        Cause::of_attempt(&"acme".parse().unwrap(), destination, &outcome, &excerpt)
    }

    fn cause(webhook: &str, status: u16, body: &str) -> Cause {
        let webhook = Destination::Webhook {
            id: webhook.parse().unwrap(),
            url: "https://hooks.example.com/1".parse().unwrap(),
        };
        cause_at(&webhook, status, body)
    }

    #[test]
    fn one_cause_has_one_fingerprint_whatever_ids_the_answer_names() {
        let first = cause(
            "whk_1",
            503,
            "upstream timed out after 3012 ms, request 5f0c2c1e-6d7b",
        );
        let second = cause(
            "whk_1",
            503,
            "Upstream timed out after 9 ms,  request a90c2c1e-117b",
        );
        assert_eq!(first, second);
        assert_eq!(first.summary, "refused 503");
    }

    #[test]
    fn another_destination_status_or_text_is_another_cause() {
        let one = cause("whk_1", 503, "maintenance");
        assert_ne!(
            one.fingerprint,
            cause("whk_2", 503, "maintenance").fingerprint
        );
        assert_ne!(
            one.fingerprint,
            cause("whk_1", 500, "maintenance").fingerprint
        );
        assert_ne!(
            one.fingerprint,
            cause("whk_1", 503, "no such tenant").fingerprint
        );
    }
    #[test]
    fn callbacks_to_one_host_have_one_cause() {
        let callback = |url: &str| Destination::Callback {
            url: url.parse().unwrap(),
            secret: None,
        };
        let at = |url: &str| cause_at(&callback(url), 503, "maintenance");
        assert_eq!(
            at("https://jobs.example.com/1?token=a"),
            at("https://jobs.example.com/2?token=b")
        );
        assert_ne!(
            at("https://jobs.example.com/1").fingerprint,
            at("https://jobs.example.org/1").fingerprint
        );
    }

    #[test]
    fn what_was_given_up_unsent_is_told_apart_by_its_destination() {
        let (one, other): (ProjectName, ProjectName) =
            ("acme".parse().unwrap(), "umbra".parse().unwrap());
        let gone = |id: &str| {
            let webhook = Destination::Webhook {
                id: id.parse().unwrap(),
                url: "https://hooks.example.com/1".parse().unwrap(),
            };
            Cause::of_reason(&one, &webhook, DeadLetterReason::DestinationGone)
        };
        assert_eq!(gone("whk_11111111").summary, "destination gone");
        assert_ne!(
            gone("whk_11111111").fingerprint,
            gone("whk_22222222").fingerprint
        );
        let malformed = |project: &ProjectName| {
            Cause::of_message(Some(project), DeadLetterReason::Malformed, "no `id`").fingerprint
        };
        assert_ne!(
            malformed(&one),
            malformed(&other),
            "no cause spans projects"
        );
    }

    #[test]
    fn of_bytes_that_nobody_can_read_as_many_are_kept_as_fit_a_file() {
        let kept = |length| {
            let why = "it is too long".to_owned();
            let (bytes, reason) = (vec![b'x'; length].into(), DeadLetterReason::Malformed);
            let dead_letter = DeadLetter::of_raw(bytes, reason, why, Timestamp::UNIX_EPOCH);
            let DeadLetterContent::Raw { bytes, why } = dead_letter.content else {
                panic!("made of bytes");
            };
            (bytes.len(), why, dead_letter.cause)
        };
        let (length, why, cause) = kept(limits::RAW_BYTES_MAX);
        assert_eq!((length, why.as_str()), (524_288, "it is too long"));
        let (length, why, cut_cause) = kept(9_000_000);
        assert_eq!(
            (length, why.as_str()),
            (
                524_288,
                "it is too long; the first 524288 of its 9000000 bytes are kept"
            )
        );
        assert_eq!(cause, cut_cause);
    }
}
