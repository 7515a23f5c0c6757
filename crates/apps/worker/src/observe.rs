//! What the worker tells about what it does: log lines, and whoever else wants to see.

use ringback_delivery::port::{Observer, Occurrence};
use ringback_domain::{Attempt, AttemptOutcome};
use std::sync::Arc;
use tracing::{debug, field, info, warn};

/// Writes what happens as log lines: per-delivery detail at `debug`, what a person may have to act on above.
///
/// Never: secrets, signatures, bodies, answers, whole URLs.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogObserver;

impl Observer for LogObserver {
    fn saw(&self, occurrence: &Occurrence<'_>) {
        match occurrence {
            Occurrence::EventDispatched { event, deliveries } => {
                debug!(ringback.event.id = %event.id, ringback.project = %event.project, deliveries, "event dispatched");
            }
            Occurrence::EventSuppressed { event } => {
                debug!(ringback.event.id = %event.id, ringback.project = %event.project, "event known already, dropped");
            }
            Occurrence::BodyLarge { event, bytes } => {
                warn!(ringback.event.id = %event.id, bytes, "body is larger than many receivers accept");
            }
            Occurrence::AttemptMade { delivery, attempt } => {
                debug!(
                    ringback.event.id = %delivery.event.id,
                    ringback.delivery.id = %delivery.id,
                    ringback.attempt.number = attempt.number.get(),
                    ringback.attempt.outcome = attempt.outcome.class(),
                    error.r#type = error_type(&attempt.outcome),
                    http.response.status_code = attempt.status(),
                    duration_ms = millis(attempt),
                    "attempt made"
                );
            }
            Occurrence::Delivered { delivery, attempt } => {
                debug!(ringback.delivery.id = %delivery.id, ringback.attempt.number = attempt.number.get(), "delivered");
            }
            Occurrence::RetryPlanned { delivery, wait } => {
                let retry_in_ms = u64::try_from(wait.at_least.as_millis()).unwrap_or(u64::MAX);
                debug!(ringback.delivery.id = %delivery.id, retry_in_ms, "retry planned");
            }
            Occurrence::DeadLettered { dead_letter } => {
                info!(
                    ringback.dead_letter.id = %dead_letter.id,
                    ringback.dead_letter.reason = dead_letter.reason.class(),
                    ringback.event.id = dead_letter.delivery().map(|delivery| field::display(&delivery.event.id)),
                    ringback.delivery.id = dead_letter.delivery().map(|delivery| field::display(&delivery.id)),
                    cause = %dead_letter.cause.fingerprint,
                    "dead letter stored"
                );
            }
            Occurrence::DuplicateSuppressed { delivery } => {
                debug!(ringback.delivery.id = %delivery.id, "settled already, dropped");
            }
            Occurrence::ClaimHeld { delivery, until } => {
                debug!(ringback.delivery.id = %delivery.id, %until, "claimed by another worker, put off");
            }
            Occurrence::OutcomeUnknown { delivery } => {
                warn!(ringback.delivery.id = %delivery.id, "a worker vanished during an attempt: its outcome is unknown");
            }
            Occurrence::SettledTooLate {
                id,
                generation,
                attempt,
            } => {
                warn!(
                    ringback.delivery.id = %id,
                    ringback.delivery.generation = generation.get(),
                    ringback.attempt.number = attempt.get(),
                    "settled after the lease was over: another worker has claimed the delivery"
                );
            }
            Occurrence::MovedToSlowLane { delivery } => {
                debug!(ringback.delivery.id = %delivery.id, "no place in the main lane for it soon, moved to the slow lane");
            }
            Occurrence::Deferred { delivery, wait } => {
                let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                debug!(ringback.delivery.id = %delivery.id, retry_in_ms, "put off for the destination's sake, no attempt counted");
            }
            Occurrence::BreakerOpened { breaker, delivery } => {
                warn!(ringback.destination.id = %breaker.destination, server.address = delivery.destination.url().host_str(), "destination keeps failing: only probes go there until one is accepted");
            }
            Occurrence::BreakerRecovering { breaker, delivery } => {
                info!(ringback.destination.id = %breaker.destination, server.address = delivery.destination.url().host_str(), "destination accepts again: deliveries return step by step");
            }
            Occurrence::Replayed { delivery } => {
                debug!(ringback.delivery.id = %delivery.id, ringback.delivery.generation = delivery.generation.get(), "replay published");
            }
            Occurrence::PlanMoved { plan, state } => {
                info!(ringback.plan.id = %plan, state = state.class(), "replay plan changed its state");
            }
            Occurrence::PlanMetDamaged {
                plan,
                dead_letter,
                why,
            } => {
                warn!(ringback.plan.id = %plan, ringback.dead_letter.id = %dead_letter, why, "a dead letter cannot be read; the replay plan leaves it out");
            }
            Occurrence::PlainSecretSealed { .. } => {
                warn!(
                    "a callback's secret arrived in plain text and was sealed (hint: publish with the producer library)"
                );
            }
            Occurrence::StepRepeated { step, failure } => {
                warn!(step, error = *failure, "a step failed and is repeated");
            }
            _ => {}
        }
    }
}

/// Why there is no answer, if so.
fn error_type(outcome: &AttemptOutcome) -> Option<&'static str> {
    match outcome {
        AttemptOutcome::Unreachable(cause) => Some(cause.class()),
        AttemptOutcome::NotSent(reason) => Some(reason.class()),
        AttemptOutcome::Accepted { .. }
        | AttemptOutcome::Refused { .. }
        | AttemptOutcome::Unknown => None,
    }
}

fn millis(attempt: &Attempt) -> u64 {
    u64::try_from(attempt.phases.total.as_millis()).unwrap_or(u64::MAX)
}

/// Several observers as one.
pub struct Observers(pub Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn saw(&self, occurrence: &Occurrence<'_>) {
        for observer in &self.0 {
            observer.saw(occurrence);
        }
    }
}
