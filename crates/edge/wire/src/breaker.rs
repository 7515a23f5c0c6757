//! Stored breakers.

use crate::{VERSION, WireError, check_version, json_error, parts::read};
use ringback_domain::{Breaker, BreakerState, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct BreakerLine {
    v: u32,
    destination: String,
    state: StateLine,
    opened_at: Timestamp,
    revision: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateLine {
    Open {
        probes: u32,
        next_probe_at: Timestamp,
    },
    Recovering {
        since: Timestamp,
    },
}

const WHAT: &str = "breaker";

/// A breaker as a record.
pub fn encode(breaker: &Breaker) -> Vec<u8> {
    crate::record::to_bytes(&BreakerLine {
        v: VERSION,
        destination: breaker.destination.to_string(),
        state: match breaker.state {
            BreakerState::Open {
                probes,
                next_probe_at,
            } => StateLine::Open {
                probes,
                next_probe_at,
            },
            BreakerState::Recovering { since } => StateLine::Recovering { since },
        },
        opened_at: breaker.opened_at,
        revision: breaker.revision,
    })
}

/// Reads a breaker.
///
/// # Errors
///
/// What of the record cannot be read.
pub fn decode(bytes: &[u8]) -> Result<Breaker, WireError> {
    let line: BreakerLine =
        serde_json::from_slice(bytes).map_err(|error| json_error(WHAT, &error))?;
    check_version(WHAT, line.v)?;
    Ok(Breaker {
        destination: read(WHAT, "destination", &line.destination)?,
        state: match line.state {
            StateLine::Open {
                probes,
                next_probe_at,
            } => BreakerState::Open {
                probes,
                next_probe_at,
            },
            StateLine::Recovering { since } => BreakerState::Recovering { since },
        },
        opened_at: line.opened_at,
        revision: line.revision,
    })
}
