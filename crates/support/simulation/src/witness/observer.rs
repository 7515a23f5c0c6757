//! What the use cases tell about themselves: goes into the trace, and must be true.

use super::Witness;
use crate::invariants::Invariant;
use ringback_delivery::port::{Observer, Occurrence};
use ringback_domain::{Delivery, DeliveryId};

impl Observer for Witness {
    fn saw(&self, occurrence: &Occurrence<'_>) {
        if let Occurrence::Delivered { delivery, .. } = occurrence {
            self.check_delivered(&delivery.id);
        }
        if self.chronicle.is_kept()
            && let Some(told) = self.told(occurrence)
        {
            self.note(|| format!("{} {told}", self.worker()));
        }
    }
}

impl Witness {
    fn check_delivered(&self, id: &DeliveryId) {
        let mut state = self.state();
        let seen = state.deliveries.get(id);
        if let Some(seen) = seen.filter(|seen| seen.accepted_by.is_none()) {
            let what = format!("{} is told to be delivered and never was", seen.label);
            self.fails(&mut state, Invariant::NothingLost, what);
        }
    }

    fn told(&self, occurrence: &Occurrence<'_>) -> Option<String> {
        let named = |delivery: &Delivery| {
            let position = super::Position::of(delivery);
            format!("{} {position}", self.label(&delivery.id))
        };
        Some(match occurrence {
            Occurrence::EventDispatched { event, deliveries } => {
                format!("has dispatched {} to {deliveries}", event.id)
            }
            Occurrence::EventSuppressed { event } => {
                format!("drops {}, dispatched before", event.id)
            }
            Occurrence::AttemptMade { delivery, attempt } => {
                format!("has made {}: {}", named(delivery), attempt.outcome)
            }
            Occurrence::RetryPlanned { delivery, wait } => {
                format!("has planned {} in {:?}", named(delivery), wait.at_least)
            }
            Occurrence::DeadLettered { dead_letter } => {
                format!("has stored a dead letter: {}", dead_letter.reason)
            }
            Occurrence::DuplicateSuppressed { delivery } => format!("drops {}", named(delivery)),
            Occurrence::ClaimHeld { delivery, .. } => format!("puts off {}", named(delivery)),
            Occurrence::OutcomeUnknown { delivery } => {
                format!("does not know what came of {}", named(delivery))
            }
            Occurrence::Replayed { delivery } => format!("replays {}", named(delivery)),
            Occurrence::StepRepeated { step, .. } => format!("will repeat `{step}`"),
            _ => return None,
        })
    }
}
