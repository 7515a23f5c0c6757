//! Replay plans as they are shown.

use jiff::Timestamp;
use ringback_domain::replay_plan::{AgeBand, EntryMark, PlanPreview, ReplayPlan};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A plan to send many dead letters again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayPlan)]
pub struct PlanView {
    pub id: String,
    /// Whose dead letters; null when of all projects.
    #[schema(required)]
    pub project: Option<String>,
    /// `planned`, `running`, `paused`, `stopped_itself`, `cancelled` or `finished`.
    pub state: &'static str,
    pub reason: String,
    pub by: String,
    /// The filter, in words; the frozen list is what counts.
    pub selection: String,
    pub planned_at: Timestamp,
    #[schema(required)]
    pub started_at: Option<Timestamp>,
    /// The most entries sent a second; null: as fast as it goes.
    #[schema(required)]
    pub rate: Option<u32>,
    /// The most entries of one destination whose outcome is open; null: any number.
    #[schema(required)]
    pub concurrency: Option<u32>,
    /// `oldest` or `newest` first.
    pub order: &'static str,
    /// `current`, `original`, or a webhook's id.
    pub to: String,
    pub stops_above_percent: u8,
    pub stops_by_newest: u16,
    pub sends_stale: bool,
    pub preview: PlanPreviewView,
    /// How many entries are where.
    pub counts: BTreeMap<&'static str, u32>,
    /// Who brought it where it stands, oldest first.
    pub changes: Vec<PlanChangeView>,
}

/// What a plan holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayPreview)]
pub struct PlanPreviewView {
    pub entries: u32,
    /// The most first.
    pub by_destination: Vec<PlanDestinationView>,
    /// The most first.
    pub by_cause: Vec<PlanCauseView>,
    /// By the age of the events.
    pub by_age: BTreeMap<&'static str, u32>,
    /// Those whose body is too old to be of use, by their profile.
    pub stale: u32,
    /// Those that hold bytes that are no event, and will be skipped.
    pub not_events: u32,
}

/// A destination, and how many dead letters it has in a plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayDestination)]
pub struct PlanDestinationView {
    pub destination: String,
    /// Without its query.
    pub url: String,
    pub entries: u32,
    pub stale: u32,
}

/// A cause, and how many dead letters it has in a plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayCause)]
pub struct PlanCauseView {
    pub fingerprint: String,
    pub summary: String,
    pub entries: u32,
}

/// A change of a plan's state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayChange)]
pub struct PlanChangeView {
    pub at: Timestamp,
    pub by: String,
    /// The state it was brought to.
    pub to: &'static str,
}

impl From<&ReplayPlan> for PlanView {
    fn from(plan: &ReplayPlan) -> Self {
        let (terms, counts) = (&plan.terms, &plan.progress.counts);
        let marks = EntryMark::ALL.into_iter();
        let changes = plan.status.changes.iter().map(|change| PlanChangeView {
            at: change.at,
            by: change.by.clone(),
            to: change.to.class(),
        });
        Self {
            id: terms.id.to_string(),
            project: terms.project.as_ref().map(ToString::to_string),
            state: plan.status.state.class(),
            reason: terms.reason.clone(),
            by: terms.by.clone(),
            selection: terms.selection.clone(),
            planned_at: terms.planned_at,
            started_at: plan.status.started_at(),
            rate: terms.pacing.rate.map(Into::into),
            concurrency: terms.pacing.concurrency.map(Into::into),
            order: terms.pacing.order.as_str(),
            to: terms.target.to_string(),
            stops_above_percent: terms.stop_rule.share_percent(),
            stops_by_newest: terms.stop_rule.window(),
            sends_stale: terms.sends_stale,
            preview: PlanPreviewView::from(&terms.preview),
            counts: marks.map(|mark| (mark.class(), counts.get(mark))).collect(),
            changes: changes.collect(),
        }
    }
}

impl From<&PlanPreview> for PlanPreviewView {
    fn from(preview: &PlanPreview) -> Self {
        let destinations = preview.by_destination.iter();
        let causes = preview.by_cause.iter();
        let ages = AgeBand::ALL.into_iter().zip(preview.by_age);
        Self {
            entries: preview.entries,
            by_destination: destinations
                .map(|group| PlanDestinationView {
                    destination: group.destination.to_string(),
                    url: group.url.clone(),
                    entries: group.entries,
                    stale: group.stale,
                })
                .collect(),
            by_cause: causes
                .map(|group| PlanCauseView {
                    fingerprint: group.fingerprint.clone(),
                    summary: group.summary.clone(),
                    entries: group.entries,
                })
                .collect(),
            by_age: ages.map(|(band, count)| (band.as_str(), count)).collect(),
            stale: preview.stale,
            not_events: preview.not_events,
        }
    }
}
