//! Attempts as they are shown.

use jiff::Timestamp;
use ringback_domain::{Attempt, Phases, Trigger};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// One HTTP request of a delivery, and what came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// The round: 0 for the first, one more for each replay.
    pub generation: u32,
    /// The first of a round is 1.
    pub number: u16,
    /// `schedule`, `replay`, `replay_elsewhere` or `test`.
    pub trigger: &'static str,
    pub started_at: Timestamp,
    pub worker: String,
    /// The address that was connected to.
    #[schema(required)]
    pub address: Option<String>,
    /// `accepted`, `refused`, or why there was no answer.
    pub outcome: &'static str,
    /// Of the answer. With an outcome other than `accepted` and `refused`, its body was cut off after it.
    #[schema(required)]
    pub status: Option<u16>,
    /// Whose fault it was: `destination`, `network` or `ours`; null when nothing went wrong.
    #[schema(required)]
    pub fault: Option<&'static str>,
    pub phases_ms: PhasesView,
    /// The beginning of the answer's body, with control characters spelled out.
    pub excerpt: String,
}

/// How long the parts took, in milliseconds; null for a part that did not happen.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Phases)]
pub struct PhasesView {
    #[schema(required)]
    pub dns: Option<f64>,
    #[schema(required)]
    pub connect: Option<f64>,
    #[schema(required)]
    pub tls: Option<f64>,
    /// To the answer's status line.
    #[schema(required)]
    pub first_byte: Option<f64>,
    pub total: f64,
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
            status: attempt.status(),
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
        Trigger::ReplayElsewhere => "replay_elsewhere",
        Trigger::Test => "test",
    }
}
