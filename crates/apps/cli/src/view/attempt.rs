//! Attempts as they are shown.

use super::{moment, took};
use crate::terminal::table;
use ringback_api::view::AttemptView;
use std::time::Duration;

/// Attempts, oldest first; one line each.
pub(crate) fn attempts_table(attempts: &[AttemptView]) -> String {
    if attempts.is_empty() {
        return "no attempt".to_owned();
    }
    let rows = attempts.iter().map(|attempt| {
        [
            attempt.generation.to_string(),
            attempt.number.to_string(),
            moment(attempt.started_at),
            attempt.trigger.to_owned(),
            match attempt.status {
                Some(status) => format!("{} {status}", attempt.outcome),
                None => attempt.outcome.replace('_', " "),
            },
            attempt.fault.unwrap_or_default().to_owned(),
            took(Duration::from_secs_f64(attempt.phases_ms.total / 1000.0)),
            attempt.address.clone().unwrap_or_default(),
            one_line(&attempt.excerpt),
        ]
    });
    let headers = [
        "ROUND", "ATTEMPT", "AT (UTC)", "WHY", "OUTCOME", "FAULT", "TOOK", "ADDRESS", "ANSWER",
    ];
    table(headers, rows)
}

/// The beginning of an answer on one line.
fn one_line(excerpt: &str) -> String {
    const CHARS_MAX: usize = 60;
    let text = excerpt.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
