//! Breakers as they are shown.

use jiff::Timestamp;
use ringback_delivery::ListedBreaker;
use ringback_domain::BreakerState;
use serde::Serialize;
use utoipa::ToSchema;

/// A destination that is spared, because it kept failing, or returned to step by step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Breaker)]
pub struct BreakerView {
    /// A webhook's id, `cbk_…` for a callback, or `hst_…` for a project's callbacks to one host.
    pub destination: String,
    /// Null for a callback: several projects may have its URL.
    #[schema(required)]
    pub project: Option<String>,
    /// Without its query; null for a callback or a host that none of the newest waiting deliveries is for.
    #[schema(required)]
    pub url: Option<String>,
    /// `open`: nothing but probes goes there; `recovering`: a probe was accepted, and deliveries return step by step.
    pub state: &'static str,
    /// Since when it has been in trouble.
    pub opened_at: Timestamp,
    /// Probes since it opened; null while it recovers.
    #[schema(required)]
    pub probes: Option<u32>,
    /// From when the next probe may be made; null while it recovers.
    #[schema(required)]
    pub next_probe_at: Option<Timestamp>,
    /// When a probe was accepted; null while it is open.
    #[schema(required)]
    pub recovering_since: Option<Timestamp>,
}

impl From<&ListedBreaker> for BreakerView {
    fn from(listed: &ListedBreaker) -> Self {
        let breaker = &listed.breaker;
        let (state, open, recovering_since) = match breaker.state {
            BreakerState::Open {
                probes,
                next_probe_at,
            } => ("open", Some((probes, next_probe_at)), None),
            BreakerState::Recovering { since } => ("recovering", None, Some(since)),
        };
        Self {
            destination: breaker.destination.to_string(),
            project: listed.project.as_ref().map(ToString::to_string),
            url: listed.url.clone(),
            state,
            opened_at: breaker.opened_at,
            probes: open.map(|(probes, _)| probes),
            next_probe_at: open.map(|(_, at)| at),
            recovering_since,
        }
    }
}
