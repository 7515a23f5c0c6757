//! What people and machines are shown of the domain, the same by the API and by the commands: never a secret, a body, or
//! what may be secret in a URL.

mod attempt;
mod breaker;
mod dead_letter;
mod delivery;
mod group;
mod key;
mod plan;
mod profile;
mod webhook;

pub use attempt::{AttemptView, PhasesView};
pub use breaker::BreakerView;
pub use dead_letter::{
    CauseView, DeadLetterView, DiscardPreviewView, DiscardedView, DisposalView, ReplayedView,
};
pub use delivery::DeliveryView;
pub use group::{AcknowledgementView, GroupListView, GroupView};
pub use key::{KeyView, KeyWithTextView};
pub use plan::{
    PlanCauseView, PlanChangeView, PlanDestinationView, PlanPreviewView, PlanProgressView,
    PlanStopView, PlanView,
};
pub use profile::{ContractView, ProfileView};
pub use webhook::{SecretView, TestedView, WebhookView, WebhookWithSecretView};

use ringback_delivery::port::{Cursor, DamagedRecord, Page};
use serde::Serialize;
use utoipa::ToSchema;

/// A piece of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListView<T> {
    pub data: Vec<T>,
    /// What to ask the next piece with; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T> ListView<T> {
    pub fn of<E>(page: Page<E>) -> Self
    where
        T: for<'a> From<&'a E>,
    {
        Self::shown(page, |entry| T::from(entry))
    }

    pub fn shown<E>(page: Page<E>, show: impl Fn(&E) -> T) -> Self {
        Self {
            data: page.entries.iter().map(show).collect(),
            next_cursor: page.next.map(|Cursor(text)| text),
        }
    }

    pub fn whole(data: Vec<T>) -> Self {
        Self {
            data,
            next_cursor: None,
        }
    }
}

/// A piece of a list of records: one that is damaged hides no other.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordListView<T> {
    pub data: Vec<T>,
    /// Those of this piece that cannot be read.
    pub damaged: Vec<DamagedView>,
    /// What to ask the next piece with; null at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A record that cannot be read.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Damaged)]
pub struct DamagedView {
    /// How the store calls it: its id, as a rule.
    pub id: String,
    /// What is wrong.
    pub why: String,
}

impl<T> RecordListView<T> {
    pub fn of<E>(page: Page<E>) -> Self
    where
        T: for<'a> From<&'a E>,
    {
        Self::shown(page, |entry| T::from(entry))
    }

    pub fn shown<E>(page: Page<E>, show: impl Fn(&E) -> T) -> Self {
        Self {
            data: page.entries.iter().map(show).collect(),
            damaged: page.damaged.into_iter().map(DamagedView::from).collect(),
            next_cursor: page.next.map(|Cursor(text)| text),
        }
    }
}

impl From<DamagedRecord> for DamagedView {
    fn from(record: DamagedRecord) -> Self {
        let DamagedRecord { id, why } = record;
        Self { id, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_tells_what_cannot_be_read() {
        let mut page = Page::new(vec![1_u8], Some(Cursor("next".to_owned())));
        page.damaged.push(DamagedRecord {
            id: "dlt_1".to_owned(),
            why: "it is cut".to_owned(),
        });
        let list = RecordListView::<u32>::shown(page, |entry| u32::from(*entry));
        assert_eq!(
            serde_json::to_value(list).unwrap(),
            json!({
                "data": [1],
                "damaged": [{"id": "dlt_1", "why": "it is cut"}],
                "next_cursor": "next",
            })
        );
    }
}
