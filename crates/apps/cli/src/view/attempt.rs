//! Attempts as they are shown.

use super::{moment, took};
use crate::terminal::table;
use jiff::Timestamp;
use ringback_domain::{Attempt, Phases, Trigger};
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
pub(crate) struct AttemptView {
    pub(crate) generation: u32,
    pub(crate) number: u16,
    pub(crate) trigger: &'static str,
    pub(crate) started_at: Timestamp,
    pub(crate) worker: String,
    pub(crate) address: Option<String>,
    pub(crate) outcome: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) fault: Option<&'static str>,
    pub(crate) phases_ms: PhasesView,
    pub(crate) excerpt: String,
}

#[derive(Serialize)]
pub(crate) struct PhasesView {
    dns: Option<f64>,
    connect: Option<f64>,
    tls: Option<f64>,
    first_byte: Option<f64>,
    total: f64,
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        Self {
            generation: attempt.generation.get(),
            number: attempt.number.get(),
            trigger: trigger(attempt.trigger),
            started_at: attempt.started_at,
            worker: attempt.worker.to_string(),
            address: attempt.address.map(|address| address.to_string()),
            outcome: attempt.outcome.class(),
            status: attempt.outcome.status(),
            fault: attempt.outcome.fault().map(ringback_domain::Fault::class),
            phases_ms: PhasesView::from(attempt.phases),
            excerpt: attempt.excerpt.display(),
        }
    }
}

impl From<Phases> for PhasesView {
    fn from(phases: Phases) -> Self {
        let ms = |wait: Duration| (wait.as_secs_f64() * 1e6).round() / 1000.0;
        Self {
            dns: phases.dns.map(ms),
            connect: phases.connect.map(ms),
            tls: phases.tls.map(ms),
            first_byte: phases.first_byte.map(ms),
            total: ms(phases.total),
        }
    }
}

fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Schedule => "schedule",
        Trigger::Replay => "replay",
        Trigger::Test => "test",
    }
}

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
