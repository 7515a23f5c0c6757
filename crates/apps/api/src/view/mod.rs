//! What people and machines are shown of the domain, the same by the API and by the commands: never a secret, a body, or
//! what may be secret in a URL.

mod attempt;
mod dead_letter;
mod delivery;
mod group;
mod key;
mod plan;
mod profile;
mod webhook;

pub use attempt::{AttemptView, PhasesView};
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

use ringback_delivery::port::{Cursor, Page};
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
