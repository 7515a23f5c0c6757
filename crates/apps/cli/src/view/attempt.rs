//! Attempts as they are shown.

use super::{moment, round, took};
use crate::terminal::{Column, cut, table, whole};
use ringback_api::view::AttemptView;
use std::time::Duration;

const ATTEMPT_COLUMNS: [Column; 9] = [
    whole("ROUND").or_left_out(4),
    whole("ATTEMPT"),
    whole("AT (UTC)"),
    whole("WHY").or_left_out(3),
    whole("OUTCOME"),
    whole("FAULT").or_left_out(2),
    whole("TOOK"),
    whole("ADDRESS").or_left_out(5),
    cut("ANSWER", 16).or_left_out(1),
];

/// Attempts, oldest first; one line each.
pub(crate) fn attempts_table(attempts: &[AttemptView]) -> String {
    if attempts.is_empty() {
        return "no attempt".to_owned();
    }
    let rows = attempts.iter().map(|attempt| {
        [
            round(attempt.generation).to_string(),
            attempt.number.to_string(),
            moment(attempt.started_at),
            attempt.trigger.to_owned(),
            match attempt.status {
                Some(status) if !is_whole(attempt) => {
                    let why = attempt.outcome.replace('_', " ");
                    format!("{why}, cut off after {status}")
                }
                Some(status) => format!("{} {status}", attempt.outcome),
                None => attempt.outcome.replace('_', " "),
            },
            attempt.fault.unwrap_or_default().to_owned(),
            took(Duration::from_secs_f64(attempt.phases_ms.total / 1000.0)),
            attempt.address.clone().unwrap_or_default(),
            one_line(&attempt.excerpt),
        ]
    });
    table(ATTEMPT_COLUMNS, rows)
}

/// Whether its answer came to its end.
fn is_whole(attempt: &AttemptView) -> bool {
    matches!(attempt.outcome, "accepted" | "refused")
}

/// The beginning of an answer on one line.
pub(crate) fn one_line(excerpt: &str) -> String {
    const CHARS_MAX: usize = 60;
    let text = excerpt.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_domain::{Attempt, AttemptOutcome, UnreachableCause};
    use ringback_testkit::samples;

    #[test]
    fn an_answer_that_was_cut_off_shows_its_status() {
        let lost = |cut_off| {
            let attempt = Attempt {
                outcome: AttemptOutcome::Unreachable(UnreachableCause::ConnectionLost),
                cut_off,
                ..samples::attempt()
            };
            attempts_table(&[AttemptView::from(&attempt)])
        };
        assert!(lost(Some(200)).contains("connection lost, cut off after 200"));
        assert!(!lost(None).contains("cut off"));
    }
}
