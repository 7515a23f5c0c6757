//! Groups of dead letters as they are shown.

use super::{minute, moment};
use crate::terminal::{Column, cut, facts, table, whole};
use ringback_api::view::{GroupListView, GroupView};

const GROUP_COLUMNS: [Column; 9] = [
    whole("CAUSE"),
    whole("OPEN"),
    whole("SHARE").or_left_out(5),
    cut("WHAT", 16),
    cut("HOST", 12).or_left_out(2),
    cut("PROJECT", 8).or_left_out(6),
    whole("FIRST (UTC)").or_left_out(3),
    whole("LAST (UTC)").or_left_out(4),
    whole("STATE").or_left_out(1),
];

fn state(group: &GroupView) -> &'static str {
    match &group.acknowledgement {
        None => "new",
        Some(_) if group.is_again => "again",
        Some(_) => "acknowledged",
    }
}

fn share(group: &GroupView) -> String {
    match group.share_of_traffic {
        None => String::new(),
        Some(share) if share < 0.001 => "<0.1 %".to_owned(),
        Some(share) => format!("{:.1} %", share * 100.0),
    }
}

pub(crate) fn groups_table(list: &GroupListView) -> String {
    if list.data.is_empty() {
        return "no dead letters".to_owned();
    }
    let rows = list.data.iter().map(|group| {
        [
            group.cause.fingerprint.clone(),
            group.open_count.to_string(),
            share(group),
            group.cause.summary.clone(),
            group.host.clone().unwrap_or_default(),
            group.project.clone().unwrap_or_default(),
            minute(group.first_died_at),
            minute(group.last_died_at),
            state(group).to_owned(),
        ]
    });
    table(GROUP_COLUMNS, rows)
}

pub(crate) fn group_facts(group: &GroupView) -> String {
    let mut lines = vec![("cause", group.cause.fingerprint.clone())];
    let mut fact =
        |name, value: &Option<String>| lines.extend(value.clone().map(|value| (name, value)));
    fact("project", &group.project);
    fact("destination", &group.destination);
    fact("host", &group.host);
    lines.extend([
        ("what", group.cause.summary.clone()),
        ("reason", group.reason.replace('_', " ")),
        ("answer", group.excerpt.clone()),
        ("open", group.open_count.to_string()),
        ("share", share(group)),
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
