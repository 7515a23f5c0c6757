//! Replay plans as they are shown.

use jiff::Timestamp;
use ringback_domain::{
    DestinationId,
    replay_plan::{AgeBand, CauseCount, EntryMark, PlanCounts, PlanPreview, PlanState, ReplayPlan},
};
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
    /// What it stopped itself by; null unless it did.
    #[schema(required)]
    pub stopped_by: Option<PlanStopView>,
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
    /// The same for each destination, those with the most entries.
    pub by_destination: Vec<PlanProgressView>,
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

/// A destination, and how many of its entries are where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayProgress)]
pub struct PlanProgressView {
    pub destination: String,
    /// Without its query; empty where the preview does not name it.
    pub url: String,
    pub counts: BTreeMap<&'static str, u32>,
}

/// How many of a plan's newest entries failed when it stopped itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayStop)]
pub struct PlanStopView {
    pub failed: u16,
    pub of: u16,
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
    /// What it stopped itself by; null unless it did.
    #[schema(required)]
    pub stopped_by: Option<PlanStopView>,
}

impl From<&ReplayPlan> for PlanView {
    fn from(plan: &ReplayPlan) -> Self {
        let (terms, counts) = (&plan.terms, &plan.progress.counts);
        let url_of = |id: &DestinationId| {
            let mut named = terms.preview.by_destination.iter();
            let group = named.find(|group| group.destination == *id);
            group.map_or_else(String::new, |group| group.url.clone())
        };
        let progress = plan.progress.by_destination.iter();
        let changes = plan.status.changes.iter().map(|change| PlanChangeView {
            at: change.at,
            by: change.by.clone(),
            to: change.to.class(),
            stopped_by: stopped_by(change.to),
        });
        Self {
            id: terms.id.to_string(),
            project: terms.project.as_ref().map(ToString::to_string),
            state: plan.status.state.class(),
            stopped_by: stopped_by(plan.status.state),
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
            counts: counts_by_class(counts),
            by_destination: progress
                .map(|(id, counts)| PlanProgressView {
                    destination: id.to_string(),
                    url: url_of(id),
                    counts: counts_by_class(counts),
                })
                .collect(),
            changes: changes.collect(),
        }
    }
}

fn stopped_by(state: PlanState) -> Option<PlanStopView> {
    match state {
        PlanState::StoppedItself { failed, of } => Some(PlanStopView { failed, of }),
        _ => None,
    }
}

fn counts_by_class(counts: &PlanCounts) -> BTreeMap<&'static str, u32> {
    let all = EntryMark::ALL.into_iter();
    all.map(|mark| (mark.class(), counts.get(mark))).collect()
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
            by_cause: causes.map(PlanCauseView::from).collect(),
            by_age: ages.map(|(band, count)| (band.as_str(), count)).collect(),
            stale: preview.stale,
            not_events: preview.not_events,
        }
    }
}

impl From<&CauseCount> for PlanCauseView {
    fn from(group: &CauseCount) -> Self {
        Self {
            fingerprint: group.fingerprint.clone(),
            summary: group.summary.clone(),
            entries: group.entries,
        }
    }
}
