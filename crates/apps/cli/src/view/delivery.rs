//! Deliveries as they are shown.

use super::{AttemptView, ListView, attempts_table, moment};
use crate::terminal::{facts, table};
use jiff::Timestamp;
use ringback_domain::{DeliveryRecord, DeliveryState};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct DeliveryView {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) event: String,
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    pub(crate) job: String,
    pub(crate) destination: String,
    pub(crate) url: String,
    pub(crate) profile: String,
    pub(crate) generation: u32,
    pub(crate) state: &'static str,
    /// When a retry is due, or when it was delivered.
    pub(crate) state_at: Option<Timestamp>,
    pub(crate) dead_letter: Option<String>,
    pub(crate) attempts: Vec<AttemptView>,
    pub(crate) occurred_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
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

pub(crate) fn deliveries_table(list: &ListView<DeliveryView>) -> String {
    if list.data.is_empty() {
        return "no deliveries".to_owned();
    }
    let rows = list.data.iter().map(|delivery| {
        [
            delivery.id.clone(),
            delivery.event.clone(),
            delivery.event_type.clone(),
            delivery.url.clone(),
            delivery.state.replace('_', " "),
            delivery.attempts.len().to_string(),
            moment(delivery.updated_at),
        ]
    });
    table(
        [
            "ID",
            "EVENT",
            "TYPE",
            "TO",
            "STATE",
            "ATTEMPTS",
            "CHANGED (UTC)",
        ],
        rows,
    )
}

pub(crate) fn delivery_facts(delivery: &DeliveryView) -> String {
    let state = match (delivery.state, delivery.state_at, &delivery.dead_letter) {
        ("waiting", Some(until), _) => format!("waiting until {}", moment(until)),
        (state, Some(at), _) => format!("{state} at {}", moment(at)),
        (_, _, Some(id)) => format!("dead letter {id}"),
        (state, None, None) => state.to_owned(),
    };
    let facts = facts([
        ("delivery", delivery.id.clone()),
        ("project", delivery.project.clone()),
        (
            "event",
            format!("{} {}", delivery.event, delivery.event_type),
        ),
        ("job", delivery.job.clone()),
        ("to", format!("{} {}", delivery.destination, delivery.url)),
        ("profile", delivery.profile.clone()),
        ("round", delivery.generation.to_string()),
        ("state", state),
        ("occurred", moment(delivery.occurred_at)),
        ("first taken", moment(delivery.created_at)),
    ]);
    format!("{facts}\n\n{}", attempts_table(&delivery.attempts))
}
