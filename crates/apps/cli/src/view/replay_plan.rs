//! Replay plans as they are shown.

use super::{ListView, moment};
use crate::terminal::{Column, cut, facts, table, whole};
use jiff::Timestamp;
use ringback_domain::{
    DestinationId,
    replay_plan::{
        AgeBand, EntryMark, PlanCounts, PlanPreview, PlanState, ReplayOrder, ReplayPlan,
        ReplayTarget,
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(crate) struct PlanView {
    id: String,
    project: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<StoppedByView>,
    reason: String,
    by: String,
    selection: String,
    planned_at: Timestamp,
    started_at: Option<Timestamp>,
    rate: Option<u32>,
    concurrency: Option<u32>,
    order: &'static str,
    to: String,
    stops_above_percent: u8,
    stops_by_newest: u16,
    sends_stale: bool,
    preview: PreviewView,
    counts: BTreeMap<&'static str, u32>,
    by_destination: Vec<DestinationView>,
    changes: Vec<ChangeView>,
    #[serde(skip)]
    shown: Shown,
}

/// What tables need and JSON has elsewhere.
struct Shown {
    state: String,
    pace: String,
    to: String,
    waiting: u32,
    outstanding: u32,
    delivered: u32,
    failed_again: u32,
    skipped: u32,
}

#[derive(Serialize)]
struct StoppedByView {
    failed: u16,
    of: u16,
}

#[derive(Serialize)]
pub(crate) struct PreviewView {
    entries: u32,
    by_destination: Vec<DestinationCountView>,
    by_cause: Vec<CauseCountView>,
    by_age: BTreeMap<&'static str, u32>,
    stale: u32,
    not_events: u32,
}

#[derive(Serialize)]
struct DestinationCountView {
    destination: String,
    url: String,
    entries: u32,
    stale: u32,
}

#[derive(Serialize)]
struct CauseCountView {
    fingerprint: String,
    summary: String,
    entries: u32,
}

#[derive(Serialize)]
struct DestinationView {
    destination: String,
    url: String,
    counts: BTreeMap<&'static str, u32>,
    #[serde(skip)]
    row: [u32; 5],
}

#[derive(Serialize)]
struct ChangeView {
    at: Timestamp,
    by: String,
    to: &'static str,
    #[serde(skip)]
    words: String,
}

impl From<&ReplayPlan> for PlanView {
    fn from(plan: &ReplayPlan) -> Self {
        let (terms, counts) = (&plan.terms, &plan.progress.counts);
        let pacing = &terms.pacing;
        let url_of = |id: &DestinationId| {
            let named = &terms.preview.by_destination;
            let group = named.iter().find(|group| group.destination == *id);
            group.map_or_else(String::new, |group| group.url.clone())
        };
        let by_destination = plan.progress.by_destination.iter();
        let changes = plan.status.changes.iter().map(|change| ChangeView {
            at: change.at,
            by: change.by.clone(),
            to: change.to.class(),
            words: state_in_words(change.to),
        });
        Self {
            id: terms.id.to_string(),
            project: terms.project.as_ref().map(ToString::to_string),
            state: plan.status.state.class(),
            stopped_by: match plan.status.state {
                PlanState::StoppedItself { failed, of } => Some(StoppedByView { failed, of }),
                _ => None,
            },
            reason: terms.reason.clone(),
            by: terms.by.clone(),
            selection: terms.selection.clone(),
            planned_at: terms.planned_at,
            started_at: plan.status.started_at(),
            rate: pacing.rate.map(Into::into),
            concurrency: pacing.concurrency.map(Into::into),
            order: pacing.order.as_str(),
            to: terms.target.to_string(),
            stops_above_percent: terms.stop_rule.share_percent(),
            stops_by_newest: terms.stop_rule.window(),
            sends_stale: terms.sends_stale,
            preview: PreviewView::from(&terms.preview),
            counts: counts_view(counts),
            by_destination: by_destination
                .map(|(id, counts)| DestinationView {
                    destination: id.to_string(),
                    url: url_of(id),
                    counts: counts_view(counts),
                    row: row_of(counts),
                })
                .collect(),
            changes: changes.collect(),
            shown: Shown {
                state: state_in_words(plan.status.state),
                pace: pace_in_words(plan),
                to: match &terms.target {
                    ReplayTarget::Current => "the webhooks as they are now".to_owned(),
                    ReplayTarget::Original => "the URLs they had".to_owned(),
                    ReplayTarget::Webhook(id) => {
                        format!("{id} instead; the dead letters stay open")
                    }
                },
                waiting: counts.get(EntryMark::Waiting),
                outstanding: counts.outstanding(),
                delivered: counts.get(EntryMark::Delivered),
                failed_again: counts.get(EntryMark::FailedAgain),
                skipped: counts.skipped(),
            },
        }
    }
}

impl From<&PlanPreview> for PreviewView {
    fn from(preview: &PlanPreview) -> Self {
        let by_destination = preview.by_destination.iter();
        let by_destination = by_destination.map(|group| DestinationCountView {
            destination: group.destination.to_string(),
            url: group.url.clone(),
            entries: group.entries,
            stale: group.stale,
        });
        let by_cause = preview.by_cause.iter().map(|group| CauseCountView {
            fingerprint: group.fingerprint.clone(),
            summary: group.summary.clone(),
            entries: group.entries,
        });
        let ages = AgeBand::ALL.into_iter().zip(preview.by_age);
        Self {
            entries: preview.entries,
            by_destination: by_destination.collect(),
            by_cause: by_cause.collect(),
            by_age: ages.map(|(band, count)| (band.as_str(), count)).collect(),
            stale: preview.stale,
            not_events: preview.not_events,
        }
    }
}

fn counts_view(counts: &PlanCounts) -> BTreeMap<&'static str, u32> {
    let all = EntryMark::ALL.into_iter();
    all.map(|mark| (mark.class(), counts.get(mark))).collect()
}

/// Waiting, open, delivered, failed again, skipped.
fn row_of(counts: &PlanCounts) -> [u32; 5] {
    [
        counts.get(EntryMark::Waiting),
        counts.outstanding(),
        counts.get(EntryMark::Delivered),
        counts.get(EntryMark::FailedAgain),
        counts.skipped(),
    ]
}

fn state_in_words(state: PlanState) -> String {
    match state {
        PlanState::StoppedItself { failed, of } => {
            format!("stopped itself: {failed} of the newest {of} failed")
        }
        state => state.to_string(),
    }
}

fn pace_in_words(plan: &ReplayPlan) -> String {
    let pacing = &plan.terms.pacing;
    let rate = match pacing.rate {
        Some(rate) => format!("{rate} a second"),
        None => "as fast as it goes".to_owned(),
    };
    let concurrency = match pacing.concurrency {
        Some(most) => format!("{most} open per destination"),
        None => "any number open".to_owned(),
    };
    let order = match pacing.order {
        ReplayOrder::OldestFirst => "oldest first",
        ReplayOrder::NewestFirst => "newest first",
    };
    format!("{rate}, {concurrency}, {order}")
}

const PLAN_COLUMNS: [Column; 8] = [
    whole("ID"),
    cut("STATE", 14),
    whole("ENTRIES").or_left_out(4),
    whole("DELIVERED").or_left_out(5),
    whole("FAILED").or_left_out(6),
    whole("OPEN").or_left_out(2),
    cut("REASON", 16),
    whole("PLANNED (UTC)").or_left_out(1),
];

const OUTCOME_COLUMNS: [Column; 7] = [
    whole("DESTINATION"),
    cut("TO", 16).or_left_out(1),
    whole("DELIVERED"),
    whole("FAILED"),
    whole("OPEN").or_left_out(2),
    whole("WAITING").or_left_out(4),
    whole("SKIPPED").or_left_out(3),
];

const CHANGE_COLUMNS: [Column; 3] = [whole("AT (UTC)"), cut("STATE", 20), cut("BY", 12)];

const DESTINATION_COLUMNS: [Column; 4] = [
    whole("ENTRIES"),
    whole("STALE").or_left_out(1),
    whole("DESTINATION"),
    cut("TO", 16).or_left_out(2),
];

const CAUSE_COLUMNS: [Column; 3] = [whole("ENTRIES"), whole("CAUSE"), cut("WHAT HAPPENED", 16)];

pub(crate) fn plans_table(list: &ListView<PlanView>) -> String {
    if list.data.is_empty() {
        return "no replay plans".to_owned();
    }
    let rows = list.data.iter().map(|plan| {
        [
            plan.id.clone(),
            plan.state.replace('_', " "),
            plan.preview.entries.to_string(),
            plan.shown.delivered.to_string(),
            plan.shown.failed_again.to_string(),
            plan.shown.outstanding.to_string(),
            plan.reason.clone(),
            moment(plan.planned_at),
        ]
    });
    table(PLAN_COLUMNS, rows)
}

pub(crate) fn plan_facts(plan: &PlanView) -> String {
    let mut lines = vec![
        ("plan", plan.id.clone()),
        ("state", plan.shown.state.clone()),
        ("reason", plan.reason.clone()),
        ("dead letters", plan.selection.clone()),
        ("pace", plan.shown.pace.clone()),
        ("to", plan.shown.to.clone()),
        (
            "stops itself",
            match plan.stops_above_percent {
                100 => "never".to_owned(),
                percent => format!(
                    "when more than {percent} % of the newest {} fail",
                    plan.stops_by_newest
                ),
            },
        ),
    ];
    lines.extend(preview_lines(&plan.preview, plan.sends_stale));
    let mut text = facts(lines);
    if plan.started_at.is_some() {
        text = format!("{text}\n\n{}", facts(count_lines(plan)));
        let rows = plan.by_destination.iter().map(|group| {
            let [waiting, open, delivered, failed, skipped] = group.row.map(|n| n.to_string());
            [
                group.destination.clone(),
                group.url.clone(),
                delivered,
                failed,
                open,
                waiting,
                skipped,
            ]
        });
        text = format!("{text}\n\n{}", table(OUTCOME_COLUMNS, rows));
    } else {
        text = format!("{text}\n\n{}", groups(&plan.preview));
    }
    let changes = plan
        .changes
        .iter()
        .map(|change| [moment(change.at), change.words.clone(), change.by.clone()]);
    format!("{text}\n\n{}", table(CHANGE_COLUMNS, changes))
}

pub(crate) fn preview_facts(preview: &PreviewView) -> String {
    format!(
        "{}\n\n{}",
        facts(preview_lines(preview, false)),
        groups(preview)
    )
}

fn preview_lines(preview: &PreviewView, sends_stale: bool) -> Vec<(&'static str, String)> {
    let mut lines = vec![("entries", preview.entries.to_string())];
    if preview.stale > 0 {
        let done = if sends_stale { "sent" } else { "skipped" };
        let stale = format!(
            "{}, whose body is too old to be of use: {done}",
            preview.stale
        );
        lines.push(("stale", stale));
    }
    if preview.not_events > 0 {
        lines.push(("no events", format!("{}: skipped", preview.not_events)));
    }
    let ages = [
        ("under_1h", "under an hour"),
        ("1h_to_1d", "under a day"),
        ("1d_to_7d", "under a week"),
        ("7d_to_30d", "under 30 days"),
        ("over_30d", "older"),
    ];
    let ages = ages.into_iter().filter_map(|(band, words)| {
        let count = *preview.by_age.get(band)?;
        (count > 0).then(|| format!("{count} {words}"))
    });
    lines.push(("age", ages.collect::<Vec<_>>().join(", ")));
    lines
}

/// Groups of each kind that a terminal shows; JSON has all.
const GROUPS_SHOWN: usize = 10;

fn groups(preview: &PreviewView) -> String {
    let destinations = preview.by_destination.iter().take(GROUPS_SHOWN);
    let destinations = destinations.map(|group| {
        [
            group.entries.to_string(),
            group.stale.to_string(),
            group.destination.clone(),
            group.url.clone(),
        ]
    });
    let causes = preview.by_cause.iter().take(GROUPS_SHOWN);
    let causes = causes.map(|group| {
        [
            group.entries.to_string(),
            group.fingerprint.clone(),
            group.summary.clone(),
        ]
    });
    format!(
        "{}\n\n{}",
        table(DESTINATION_COLUMNS, destinations),
        table(CAUSE_COLUMNS, causes)
    )
}

fn count_lines(plan: &PlanView) -> Vec<(&'static str, String)> {
    let of = |word| plan.counts.get(word).copied().unwrap_or(0);
    let mut lines = vec![
        ("delivered", plan.shown.delivered.to_string()),
        ("failed again", plan.shown.failed_again.to_string()),
        (
            "open",
            match of("retrying") {
                0 => plan.shown.outstanding.to_string(),
                retrying => format!(
                    "{}, of which {retrying} failed once and are retried",
                    plan.shown.outstanding
                ),
            },
        ),
        ("waiting", plan.shown.waiting.to_string()),
    ];
    let why = [
        ("skipped_stale", "stale"),
        ("skipped_replayed", "replayed by somebody else"),
        ("skipped_discarded", "discarded since"),
        ("skipped_gone", "no longer kept"),
        ("skipped_not_an_event", "no event"),
        ("skipped_no_such_webhook", "not for that webhook"),
    ];
    if plan.shown.skipped > 0 {
        let why = why.into_iter().filter(|(word, _)| of(word) > 0);
        let why: Vec<_> = why
            .map(|(word, reason)| format!("{} {reason}", of(word)))
            .collect();
        let skipped = format!("{}: {}", plan.shown.skipped, why.join(", "));
        lines.push(("skipped", skipped));
    }
    for (word, name) in [
        ("republished", "published as events"),
        ("unknown", "never heard of"),
    ] {
        if of(word) > 0 {
            lines.push((name, of(word).to_string()));
        }
    }
    lines
}
