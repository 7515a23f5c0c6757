//! An attempt as a line of JSON, in messages and in records.

use crate::{WireError, parts::read};
use base64::{Engine, engine::general_purpose::STANDARD};
use ringback_domain::{
    Attempt, AttemptNumber, AttemptOutcome, Excerpt, Generation, NotSentReason, Phases, Timestamp,
    Trigger, UnreachableCause, limits,
};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, time::Duration};

const WHAT: &str = "attempt";

#[derive(Serialize, Deserialize)]
pub(crate) struct AttemptLine {
    generation: u32,
    number: u16,
    trigger: TriggerWord,
    started_at: Timestamp,
    worker: String,
    phases: PhasesLine,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    /// A word of `AttemptOutcome::class`.
    outcome: String,
    /// With any other than `accepted` and `refused`, that of an answer which did not come whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    excerpt: Option<ExcerptLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TriggerWord {
    Schedule,
    Replay,
    ReplayElsewhere,
    Test,
}

/// In microseconds.
#[derive(Serialize, Deserialize)]
struct PhasesLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tls: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_byte: Option<u64>,
    total: u64,
}

/// The bytes as text where they are text, else as base64.
#[derive(Serialize, Deserialize)]
struct ExcerptLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl AttemptLine {
    pub(crate) fn of(attempt: &Attempt) -> Self {
        let phases = &attempt.phases;
        let retry_after_ms = match attempt.outcome {
            AttemptOutcome::Refused { retry_after, .. } => {
                retry_after.map(|wait| micros(wait) / 1000)
            }
            _ => None,
        };
        Self {
            generation: attempt.generation.get(),
            number: attempt.number.get(),
            trigger: match attempt.trigger {
                Trigger::Schedule => TriggerWord::Schedule,
                Trigger::Replay => TriggerWord::Replay,
                Trigger::ReplayElsewhere => TriggerWord::ReplayElsewhere,
                Trigger::Test => TriggerWord::Test,
            },
            started_at: attempt.started_at,
            worker: attempt.worker.to_string(),
            phases: PhasesLine {
                dns: phases.dns.map(micros),
                connect: phases.connect.map(micros),
                tls: phases.tls.map(micros),
                first_byte: phases.first_byte.map(micros),
                total: micros(phases.total),
            },
            address: attempt.address,
            outcome: attempt.outcome.class().to_owned(),
            status: attempt.status(),
            retry_after_ms,
            excerpt: (!attempt.excerpt.is_empty()).then(|| ExcerptLine::of(&attempt.excerpt)),
        }
    }

    pub(crate) fn read(self) -> Result<Attempt, WireError> {
        let member = |member, problem: &str| WireError::Member {
            what: WHAT,
            member,
            problem: problem.to_owned(),
        };
        let outcome = outcome(&self.outcome, self.status, self.retry_after_ms)
            .ok_or_else(|| member("outcome", "is no outcome"))?;
        Ok(Attempt {
            generation: Generation::new(self.generation),
            number: AttemptNumber::try_new(self.number).ok_or_else(|| member("number", "is 0"))?,
            trigger: match self.trigger {
                TriggerWord::Schedule => Trigger::Schedule,
                TriggerWord::Replay => Trigger::Replay,
                TriggerWord::ReplayElsewhere => Trigger::ReplayElsewhere,
                TriggerWord::Test => Trigger::Test,
            },
            started_at: self.started_at,
            worker: read(WHAT, "worker", &self.worker)?,
            phases: Phases {
                dns: self.phases.dns.map(Duration::from_micros),
                connect: self.phases.connect.map(Duration::from_micros),
                tls: self.phases.tls.map(Duration::from_micros),
                first_byte: self.phases.first_byte.map(Duration::from_micros),
                total: Duration::from_micros(self.phases.total),
            },
            address: self.address,
            cut_off: self.status.filter(|_| outcome.status().is_none()),
            outcome,
            excerpt: match self.excerpt {
                Some(line) => line
                    .read()
                    .ok_or_else(|| member("excerpt", "is not base64"))?,
                None => Excerpt::default(),
            },
        })
    }
}

fn outcome(
    class: &str,
    status: Option<u16>,
    retry_after_ms: Option<u64>,
) -> Option<AttemptOutcome> {
    match class {
        "accepted" => Some(AttemptOutcome::Accepted { status: status? }),
        "refused" => Some(AttemptOutcome::Refused {
            status: status?,
            // No answer was ever taken to ask for more.
            retry_after: retry_after_ms
                .map(|wait| Duration::from_millis(wait).min(limits::DELAY_MAX)),
        }),
        "outcome_unknown" => Some(AttemptOutcome::Unknown),
        class => {
            let unreachable = UnreachableCause::ALL
                .into_iter()
                .find(|cause| cause.class() == class);
            let not_sent = NotSentReason::ALL
                .into_iter()
                .find(|reason| reason.class() == class);
            unreachable
                .map(AttemptOutcome::Unreachable)
                .or(not_sent.map(AttemptOutcome::NotSent))
        }
    }
}

impl ExcerptLine {
    fn of(excerpt: &Excerpt) -> Self {
        let text = std::str::from_utf8(excerpt.bytes()).ok().map(str::to_owned);
        let base64 = text.is_none().then(|| STANDARD.encode(excerpt.bytes()));
        Self {
            text,
            base64,
            cut: excerpt.is_cut(),
        }
    }

    fn read(self) -> Option<Excerpt> {
        let bytes = match (self.text, self.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).ok()?,
            (None, None) => Vec::new(),
        };
        Some(Excerpt::new(&bytes, self.cut))
    }
}
