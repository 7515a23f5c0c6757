//! Groups of dead letters as they are shown.

use super::moment;
use crate::terminal::{facts, table};
use jiff::Timestamp;
use ringback_delivery::port::GroupList;
use ringback_domain::DeadLetterGroup;
use serde::Serialize;

/// Groups, as the API shows them, too.
#[derive(Serialize)]
pub(crate) struct GroupListView {
    pub(crate) data: Vec<GroupView>,
    pub(crate) group_count: u64,
    pub(crate) ungrouped_count: u64,
}

#[derive(Serialize)]
pub(crate) struct GroupView {
    fingerprint: String,
    project: Option<String>,
    destination: Option<String>,
    host: Option<String>,
    cause: String,
    reason: &'static str,
    fault: &'static str,
    excerpt: String,
    open_count: u64,
    /// Of the deliveries to the destination that came to an end since the first of it; 0 to 1.
    share_of_traffic: Option<f64>,
    first_died_at: Timestamp,
    last_died_at: Timestamp,
    sample: String,
    acknowledgement: Option<AcknowledgementView>,
}

#[derive(Serialize)]
struct AcknowledgementView {
    at: Timestamp,
    by: String,
    note: String,
    /// Whether a dead letter joined since.
    is_again: bool,
}

impl GroupListView {
    pub(crate) fn of(list: &GroupList, shares: Vec<Option<f64>>) -> Self {
        let groups = list.groups.iter().zip(shares);
        Self {
            data: groups
                .map(|(group, share)| GroupView::of(group, share))
                .collect(),
            group_count: list.group_count,
            ungrouped_count: list.ungrouped_count,
        }
    }
}

impl GroupView {
    pub(crate) fn of(group: &DeadLetterGroup, share_of_traffic: Option<f64>) -> Self {
        let head = &group.head;
        Self {
            fingerprint: head.cause.fingerprint.clone(),
            project: head.project.as_ref().map(ToString::to_string),
            destination: head.destination.as_ref().map(ToString::to_string),
            host: head.host.clone(),
            cause: head.cause.summary.clone(),
            reason: head.reason.class(),
            fault: head.reason.fault().class(),
            excerpt: head.excerpt.clone(),
            open_count: group.open_count,
            share_of_traffic,
            first_died_at: group.first_died_at,
            last_died_at: group.last_died_at,
            sample: group.sample.to_string(),
            acknowledgement: group
                .acknowledgement
                .as_ref()
                .map(|known| AcknowledgementView {
                    at: known.at,
                    by: known.by.clone(),
                    note: known.note.clone(),
                    is_again: group.is_again(),
                }),
        }
    }

    fn state(&self) -> &'static str {
        match &self.acknowledgement {
            None => "new",
            Some(AcknowledgementView { is_again: true, .. }) => "again",
            Some(_) => "acknowledged",
        }
    }

    fn share(&self) -> String {
        match self.share_of_traffic {
            None => String::new(),
            Some(share) if share < 0.001 => "<0.1 %".to_owned(),
            Some(share) => format!("{:.1} %", share * 100.0),
        }
    }
}

pub(crate) fn groups_table(list: &GroupListView) -> String {
    if list.data.is_empty() {
        return "no dead letters".to_owned();
    }
    let rows = list.data.iter().map(|group| {
        [
            group.fingerprint.clone(),
            group.open_count.to_string(),
            group.share(),
            group.cause.clone(),
            group.host.clone().unwrap_or_default(),
            group.project.clone().unwrap_or_default(),
            moment(group.last_died_at),
            group.state().to_owned(),
        ]
    });
    let headers = [
        "CAUSE",
        "OPEN",
        "SHARE",
        "WHAT",
        "HOST",
        "PROJECT",
        "LAST (UTC)",
        "STATE",
    ];
    table(headers, rows)
}

pub(crate) fn group_facts(group: &GroupView) -> String {
    let mut lines = vec![("cause", group.fingerprint.clone())];
    let mut fact =
        |name, value: &Option<String>| lines.extend(value.clone().map(|value| (name, value)));
    fact("project", &group.project);
    fact("destination", &group.destination);
    fact("host", &group.host);
    lines.extend([
        ("what", group.cause.clone()),
        ("reason", group.reason.replace('_', " ")),
        ("answer", group.excerpt.clone()),
        ("open", group.open_count.to_string()),
        ("share", group.share()),
        ("first", moment(group.first_died_at)),
        ("last", moment(group.last_died_at)),
        ("sample", group.sample.clone()),
    ]);
    if let Some(known) = &group.acknowledgement {
        let note = format!("at {} by {}: {}", moment(known.at), known.by, known.note);
        lines.push(("acknowledged", note));
    }
    facts(lines.into_iter().filter(|(_, value)| !value.is_empty()))
}
