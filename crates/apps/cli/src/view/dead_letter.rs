//! Dead letters as they are shown.

use super::{RecordListView, attempts_table, moment, none_of, round};
use crate::terminal::{Column, cut, facts, table, whole};
use ringback_api::view::{DeadLetterView, DisposalView};

fn word(disposal: &DisposalView) -> &'static str {
    match disposal {
        DisposalView::Open => "open",
        DisposalView::Replayed { .. } => "replayed",
        DisposalView::Discarded { .. } => "discarded",
    }
}

fn sentence(disposal: &DisposalView) -> String {
    match disposal {
        DisposalView::Open => "open".to_owned(),
        DisposalView::Replayed { at, by, generation } => {
            format!(
                "replayed at {} by {by} as round {}",
                moment(*at),
                round(*generation)
            )
        }
        DisposalView::Discarded { at, note } => format!("discarded at {}: {note}", moment(*at)),
    }
}

const DEAD_LETTER_COLUMNS: [Column; 8] = [
    whole("ID"),
    cut("TYPE", 12).or_left_out(4),
    cut("TO", 12).or_left_out(2),
    cut("REASON", 12).or_left_out(5),
    cut("CAUSE", 16),
    whole("ATTEMPTS").or_left_out(6),
    whole("SINCE (UTC)").or_left_out(1),
    whole("STATE").or_left_out(3),
];

pub(crate) fn dead_letters_table(list: &RecordListView<DeadLetterView>) -> String {
    if list.data.is_empty() {
        return none_of("dead letters", &list.damaged);
    }
    let rows = list.data.iter().map(|dead| {
        [
            dead.id.clone(),
            dead.event_type.clone().unwrap_or_default(),
            dead.url.clone().unwrap_or_default(),
            dead.reason.replace('_', " "),
            dead.cause.summary.clone(),
            dead.attempts.len().to_string(),
            moment(dead.died_at),
            word(&dead.disposal).to_owned(),
        ]
    });
    table(DEAD_LETTER_COLUMNS, rows)
}

const UNSIGNED: &str = "no: a receiver that expects a signature answers 401, or fails with 500";

/// A replay of what is stale has to be asked for.
fn happened(dead: &DeadLetterView) -> String {
    match (dead.occurred_at, dead.stale) {
        (None, _) => "could not be told".to_owned(),
        (Some(at), false) => moment(at),
        (Some(at), true) => format!("{}, too long ago for its body to be of use", moment(at)),
    }
}

pub(crate) fn dead_letter_facts(dead: &DeadLetterView) -> String {
    let mut lines = vec![("dead letter", dead.id.clone())];
    let mut fact =
        |name, value: &Option<String>| lines.extend(value.clone().map(|value| (name, value)));
    fact("project", &dead.project);
    fact("event", &dead.event);
    fact("type", &dead.event_type);
    fact("job", &dead.job);
    fact("delivery", &dead.delivery);
    fact("destination", &dead.destination);
    fact("to", &dead.url);
    fact("why", &dead.why);
    if dead.signed == Some(false) {
        lines.push(("signed", UNSIGNED.to_owned()));
    }
    lines.extend([
        ("reason", dead.reason.replace('_', " ")),
        ("whose fault", dead.fault.to_owned()),
        (
            "cause",
            format!("{} ({})", dead.cause.summary, dead.cause.fingerprint),
        ),
        ("happened", happened(dead)),
        ("given up", moment(dead.died_at)),
        ("state", sentence(&dead.disposal)),
        ("body", format!("{} bytes", dead.body_bytes)),
    ]);
    format!("{}\n\n{}", facts(lines), attempts_table(&dead.attempts))
}
