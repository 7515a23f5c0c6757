//! Dead letters as they are shown.

use super::{AttemptView, PlanCauseView};
use jiff::Timestamp;
use ringback_delivery::{DiscardPreview, Discarded, ProfileBook, occurred_at, port::Cursor, stale};
use ringback_domain::{DeadLetter, DeadLetterContent, Disposal};
use serde::Serialize;
use utoipa::ToSchema;

/// A delivery given up, or a message that could not become one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterView {
    pub id: String,
    /// Null when it could not be told.
    #[schema(required)]
    pub project: Option<String>,
    /// The event's id.
    #[schema(required)]
    pub event: Option<String>,
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(required)]
    pub event_type: Option<String>,
    /// The job's id.
    #[schema(required)]
    pub job: Option<String>,
    #[schema(required)]
    pub delivery: Option<String>,
    #[schema(required)]
    pub destination: Option<String>,
    /// Without its query.
    #[schema(required)]
    pub url: Option<String>,
    /// Why it was given up, such as `attempts_exhausted`.
    pub reason: &'static str,
    /// Whose fault it was: `destination`, `network` or `ours`.
    pub fault: &'static str,
    pub cause: CauseView,
    /// What is wrong with an event that never became a delivery.
    #[schema(required)]
    pub why: Option<String>,
    /// When that happened which it tells of; null when it could not be told.
    #[schema(required)]
    pub occurred_at: Option<Timestamp>,
    /// Whether that is longer ago than its profile says a body is of use.
    pub stale: bool,
    /// Whether its requests are signed; null when that cannot be told. Receivers that expect a signature and get none often fail with 500.
    #[schema(required)]
    pub signed: Option<bool>,
    pub died_at: Timestamp,
    pub disposal: DisposalView,
    pub body_bytes: usize,
    /// Oldest first.
    pub attempts: Vec<AttemptView>,
}

/// What dead letters are grouped by.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cause)]
pub struct CauseView {
    /// Equal for dead letters of one cause.
    pub fingerprint: String,
    pub summary: String,
}

/// A dead letter that was sent again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replayed)]
pub struct ReplayedView {
    pub dead_letter: String,
    /// The round it went out as.
    pub generation: u32,
}

/// What was done about it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
#[schema(as = Disposal)]
pub enum DisposalView {
    Open,
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

impl DeadLetterView {
    /// As it is now, with these profiles.
    pub fn of(dead_letter: &DeadLetter, profiles: &ProfileBook, now: Timestamp) -> Self {
        let delivery = dead_letter.delivery();
        let event = match &dead_letter.content {
            DeadLetterContent::Delivery(delivery) => Some((
                &delivery.event.id,
                &delivery.event.event_type,
                &delivery.event.job.id,
            )),
            DeadLetterContent::Event { event, .. } => {
                Some((&event.id, &event.event_type, &event.job.id))
            }
            DeadLetterContent::Raw { .. } => None,
        };
        let (why, body_bytes) = match &dead_letter.content {
            DeadLetterContent::Delivery(delivery) => (None, delivery.body.len()),
            DeadLetterContent::Event { event, why } => (Some(why.clone()), event.document.len()),
            DeadLetterContent::Raw { bytes, why } => (Some(why.clone()), bytes.len()),
        };
        Self {
            id: dead_letter.id.to_string(),
            project: dead_letter.project.as_ref().map(ToString::to_string),
            event: event.map(|(id, _, _)| id.to_string()),
            event_type: event.map(|(_, event_type, _)| event_type.to_string()),
            job: event.map(|(_, _, job)| job.to_string()),
            delivery: delivery.map(|delivery| delivery.id.to_string()),
            destination: delivery.map(|delivery| delivery.destination.id().to_string()),
            url: delivery.map(|delivery| delivery.destination.display_url()),
            reason: dead_letter.reason.class(),
            fault: dead_letter.reason.fault().class(),
            cause: CauseView {
                fingerprint: dead_letter.cause.fingerprint.clone(),
                summary: dead_letter.cause.summary.clone(),
            },
            why,
            occurred_at: occurred_at(dead_letter),
            stale: stale(dead_letter, profiles, now).is_some(),
            signed: delivery.and_then(|delivery| profiles.signs(delivery)),
            died_at: dead_letter.died_at,
            disposal: DisposalView::from(&dead_letter.disposal),
            body_bytes,
            attempts: delivery.map_or_else(Vec::new, |delivery| {
                delivery.history.iter().map(AttemptView::from).collect()
            }),
        }
    }
}

impl From<&Disposal> for DisposalView {
    fn from(disposal: &Disposal) -> Self {
        match disposal {
            Disposal::Open => Self::Open,
            Disposal::Replayed(replayed) => Self::Replayed {
                at: replayed.at,
                by: replayed.by.clone(),
                generation: replayed.generation.get(),
            },
            Disposal::Discarded { at, note } => Self::Discarded {
                at: *at,
                note: note.clone(),
            },
        }
    }
}

/// What discarding many did, or would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DiscardedDeadLetters)]
pub struct DiscardedView {
    /// How many were discarded by this call.
    pub discarded: u64,
    /// What there is to discard; null unless it is a dry run.
    #[schema(required)]
    pub preview: Option<DiscardPreviewView>,
    /// What to ask the next call with; null when it was the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// How many would be discarded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DiscardPreview)]
pub struct DiscardPreviewView {
    pub entries: u32,
    /// The most first.
    pub by_cause: Vec<PlanCauseView>,
}

impl From<Discarded> for DiscardedView {
    fn from(done: Discarded) -> Self {
        Self {
            discarded: done.discarded,
            preview: None,
            next_cursor: done.next.map(|Cursor(text)| text),
        }
    }
}

impl From<DiscardPreview> for DiscardedView {
    fn from(preview: DiscardPreview) -> Self {
        let causes = preview.by_cause.iter();
        let preview = DiscardPreviewView {
            entries: preview.entries,
            by_cause: causes.map(PlanCauseView::from).collect(),
        };
        Self {
            discarded: 0,
            preview: Some(preview),
            next_cursor: None,
        }
    }
}
