//! Groups of dead letters as they are shown.

use super::CauseView;
use jiff::Timestamp;
use ringback_delivery::port::{Cursor, GroupList};
use ringback_domain::DeadLetterGroup;
use serde::Serialize;
use utoipa::ToSchema;

/// Groups of dead letters, in the order asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupList)]
pub struct GroupListView {
    pub data: Vec<GroupView>,
    /// What to ask the next piece with; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// How many match, those not in this piece included.
    pub group_count: u64,
    /// Open dead letters that are in no group: their project has too many.
    pub ungrouped_count: u64,
}

/// Open dead letters of one cause, within one project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub struct GroupView {
    /// Null when it could not be told.
    #[schema(required)]
    pub project: Option<String>,
    /// The webhook they were for; null for callbacks and for what is no delivery.
    #[schema(required)]
    pub destination: Option<String>,
    #[schema(required)]
    pub host: Option<String>,
    pub cause: CauseView,
    /// Why the first of them was given up.
    pub reason: &'static str,
    /// Whose fault it was: `destination`, `network` or `ours`.
    pub fault: &'static str,
    /// The beginning of what the destination answered to the first of them.
    pub excerpt: String,
    pub open_count: u64,
    /// The open ones as a share, 0 to 1, of themselves and the deliveries that their destination accepted since the first of
    /// them was given up: 1 while nothing gets through. Since the minute in which that was, or since the hour once it is two hours
    /// ago. Null where it is not known.
    #[schema(required)]
    pub share_of_traffic: Option<f64>,
    pub first_died_at: Timestamp,
    pub last_died_at: Timestamp,
    /// The newest open one, to look at.
    pub sample: String,
    /// That a person knows of it.
    #[schema(required)]
    pub acknowledgement: Option<AcknowledgementView>,
    /// Whether one joined after that.
    pub is_again: bool,
}

/// That a person knows of a group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Acknowledgement)]
pub struct AcknowledgementView {
    pub at: Timestamp,
    pub by: String,
    pub note: String,
}

impl GroupListView {
    /// The groups with their shares.
    pub fn of(list: &GroupList, shares: &[Option<f64>]) -> Self {
        let groups = list.groups.iter().zip(shares);
        Self {
            data: groups
                .map(|(group, share)| GroupView::of(group, *share))
                .collect(),
            next_cursor: list.next.clone().map(|Cursor(text)| text),
            group_count: list.group_count,
            ungrouped_count: list.ungrouped_count,
        }
    }
}

impl GroupView {
    pub fn of(group: &DeadLetterGroup, share_of_traffic: Option<f64>) -> Self {
        let head = &group.head;
        let known = group.acknowledgement.as_ref();
        Self {
            project: head.project.as_ref().map(ToString::to_string),
            destination: head.destination.as_ref().map(ToString::to_string),
            host: head.host.clone(),
            cause: CauseView {
                fingerprint: head.cause.fingerprint.clone(),
                summary: head.cause.summary.clone(),
            },
            reason: head.reason.class(),
            fault: head.reason.fault().class(),
            excerpt: head.excerpt.clone(),
            open_count: group.open_count,
            share_of_traffic,
            first_died_at: group.first_died_at,
            last_died_at: group.last_died_at,
            sample: group.sample.to_string(),
            acknowledgement: known.map(|known| AcknowledgementView {
                at: known.at,
                by: known.by.clone(),
                note: known.note.clone(),
            }),
            is_again: group.is_again(),
        }
    }
}
