//! Replay plans as they are shown.

use super::{RecordListView, moment, none_of};
use crate::terminal::{Column, cut, facts, table, whole};
use ringback_api::view::{PlanPreviewView, PlanStopView, PlanView};
use ringback_domain::replay_plan::{EntryMark, SkipReason};
use std::collections::BTreeMap;

/// How many entries are where, as people want to know it.
struct Counts {
    waiting: u32,
    open: u32,
    retrying: u32,
    delivered: u32,
    failed_again: u32,
    skipped: u32,
}

impl Counts {
    fn of(by_class: &BTreeMap<&'static str, u32>) -> Self {
        let of = |mark: EntryMark| by_class.get(mark.class()).copied().unwrap_or(0);
        let all = EntryMark::ALL.into_iter();
        Self {
            waiting: of(EntryMark::Waiting),
            open: of(EntryMark::Sent) + of(EntryMark::Retrying),
            retrying: of(EntryMark::Retrying),
            delivered: of(EntryMark::Delivered),
            failed_again: of(EntryMark::FailedAgain),
            skipped: all
                .filter(|mark| matches!(mark, EntryMark::Skipped(_)))
                .map(of)
                .sum(),
        }
    }
}

fn state_in_words(state: &str, stopped_by: Option<&PlanStopView>) -> String {
    let state = state.replace('_', " ");
    match stopped_by {
        Some(PlanStopView { failed, of }) => format!("{state}: {failed} of the newest {of} failed"),
        None => state,
    }
}

fn pace_in_words(plan: &PlanView) -> String {
    let rate = match plan.rate {
        Some(rate) => format!("{rate} a second"),
        None => "as fast as it goes".to_owned(),
    };
    let concurrency = match plan.concurrency {
        Some(most) => format!("{most} open per destination"),
        None => "any number open".to_owned(),
    };
    format!("{rate}, {concurrency}, {} first", plan.order)
}

fn target_in_words(to: &str) -> String {
    match to {
        "current" => "the webhooks as they are now".to_owned(),
        "original" => "the URLs they had".to_owned(),
        id => format!("{id} instead; the dead letters stay open"),
    }
}

const PLAN_COLUMNS: [Column; 7] = [
    whole("ID"),
    cut("STATE", 8),
    whole("DELIVERED").or_left_out(0),
    whole("FAILED").or_left_out(3),
    whole("OPEN").or_left_out(4),
    cut("REASON", 12).or_left_out(1),
    whole("PLANNED (UTC)").or_left_out(2),
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

pub(crate) fn plans_table(list: &RecordListView<PlanView>) -> String {
    if list.data.is_empty() {
        return none_of("replay plans", &list.damaged);
    }
    let rows = list.data.iter().map(|plan| {
        let counts = Counts::of(&plan.counts);
        [
            plan.id.clone(),
            plan.state.replace('_', " "),
            format!("{} of {}", counts.delivered, plan.preview.entries),
            counts.failed_again.to_string(),
            counts.open.to_string(),
            plan.reason.clone(),
            moment(plan.planned_at),
        ]
    });
    table(PLAN_COLUMNS, rows)
}

pub(crate) fn plan_facts(plan: &PlanView) -> String {
    let mut lines = vec![
        ("plan", plan.id.clone()),
        (
            "state",
            state_in_words(plan.state, plan.stopped_by.as_ref()),
        ),
        ("reason", plan.reason.clone()),
        ("dead letters", plan.selection.clone()),
        ("pace", pace_in_words(plan)),
        ("to", target_in_words(&plan.to)),
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
            let counts = Counts::of(&group.counts);
            [
                group.destination.clone(),
                group.url.clone(),
                counts.delivered.to_string(),
                counts.failed_again.to_string(),
                counts.open.to_string(),
                counts.waiting.to_string(),
                counts.skipped.to_string(),
            ]
        });
        text = format!("{text}\n\n{}", table(OUTCOME_COLUMNS, rows));
    } else {
        text = format!("{text}\n\n{}", groups(&plan.preview));
    }
    let changes = plan.changes.iter().map(|change| {
        let state = state_in_words(change.to, change.stopped_by.as_ref());
        [moment(change.at), state, change.by.clone()]
    });
    format!("{text}\n\n{}", table(CHANGE_COLUMNS, changes))
}

pub(crate) fn preview_facts(preview: &PlanPreviewView) -> String {
    format!(
        "{}\n\n{}",
        facts(preview_lines(preview, false)),
        groups(preview)
    )
}

fn preview_lines(preview: &PlanPreviewView, sends_stale: bool) -> Vec<(&'static str, String)> {
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

fn groups(preview: &PlanPreviewView) -> String {
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

fn skip_words(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Gone => "no longer kept",
        SkipReason::Damaged => "cannot be read",
        SkipReason::Replayed => "replayed by somebody else",
        SkipReason::Discarded => "discarded since",
        SkipReason::Newer => "given up again since, as a newer dead letter",
        SkipReason::NotAnEvent => "no event",
        SkipReason::Stale => "stale",
        SkipReason::NoSuchWebhook => "not for that webhook",
    }
}

fn count_lines(plan: &PlanView) -> Vec<(&'static str, String)> {
    let of = |word: &str| plan.counts.get(word).copied().unwrap_or(0);
    let counts = Counts::of(&plan.counts);
    let open = match counts.retrying {
        0 => counts.open.to_string(),
        retrying => format!(
            "{}, of which {retrying} failed once and are retried",
            counts.open
        ),
    };
    let mut lines = vec![
        ("delivered", counts.delivered.to_string()),
        ("failed again", counts.failed_again.to_string()),
        ("open", open),
        ("waiting", counts.waiting.to_string()),
    ];
    if counts.skipped > 0 {
        let why = EntryMark::ALL.into_iter().filter_map(|mark| {
            let EntryMark::Skipped(reason) = mark else {
                return None;
            };
            let count = of(mark.class());
            (count > 0).then(|| format!("{count} {}", skip_words(reason)))
        });
        let why: Vec<_> = why.collect();
        let skipped = format!("{}: {}", counts.skipped, why.join(", "));
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
