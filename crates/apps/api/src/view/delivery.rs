//! Deliveries as they are shown.

use super::AttemptView;
use jiff::Timestamp;
use ringback_domain::{DeliveryRecord, DeliveryState};
use serde::Serialize;
use utoipa::ToSchema;

/// One event on its way to one destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    pub id: String,
    pub project: String,
    /// The event's id.
    pub event: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The job's id.
    pub job: String,
    /// A webhook's id, or `cbk_…` for a callback.
    pub destination: String,
    /// Without its query.
    pub url: String,
    pub profile: String,
    /// The round: 0 for the first, one more for each replay.
    pub generation: u32,
    /// `attempting`, `waiting`, `delivered` or `dead_lettered`.
    pub state: &'static str,
    /// When a retry is due, or when it was delivered.
    #[schema(required)]
    pub state_at: Option<Timestamp>,
    /// The dead letter it became.
    #[schema(required)]
    pub dead_letter: Option<String>,
    /// Oldest first.
    pub attempts: Vec<AttemptView>,
    pub occurred_at: Timestamp,
    /// When a worker first took it.
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl From<&DeliveryRecord> for DeliveryView {
    fn from(record: &DeliveryRecord) -> Self {
        let (state_at, dead_letter) = match &record.state {
            DeliveryState::Attempting => (None, None),
            DeliveryState::Waiting { until } => (Some(*until), None),
            DeliveryState::Delivered { at } => (Some(*at), None),
            DeliveryState::DeadLettered { id } => (None, Some(id.to_string())),
        };
        Self {
            id: record.id.to_string(),
            project: record.event.project.to_string(),
            event: record.event.id.to_string(),
            event_type: record.event.event_type.to_string(),
            job: record.event.job.id.to_string(),
            destination: record.destination.id().to_string(),
            url: record.destination.display_url(),
            profile: record.profile.to_string(),
            generation: record.generation.get(),
            state: record.state.class(),
            state_at,
            dead_letter,
            attempts: record.attempts.iter().map(AttemptView::from).collect(),
            occurred_at: record.event.occurred_at,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}
