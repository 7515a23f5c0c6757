//! Time, randomness, and who watches.

use super::Claim;
use async_trait::async_trait;
use ringback_domain::{
    Attempt, AttemptNumber, Breaker, DeadLetter, DeadLetterId, Delivery, DeliveryId, Event,
    Generation, PlanId, SealedSecret, Timestamp, Wait, replay_plan::PlanState,
};
use std::time::Duration;

/// The time, and waiting for it to pass.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// The time since some fixed moment, by a clock that nobody sets. It may stand still while the machine is suspended.
    ///
    /// Unless overridden, the time of day is taken to be such a clock.
    fn monotonic(&self) -> Duration {
        let since_epoch = self.now().duration_since(Timestamp::UNIX_EPOCH);
        Duration::try_from(since_epoch).unwrap_or_default()
    }

    /// Waits this long.
    async fn sleep(&self, wait: Duration);
}

/// Random bytes, good enough for nonces.
pub trait Entropy: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);

    /// A number within 0 to 1, 1 excluded.
    fn draw(&self) -> f64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        // 53 random bits fill a double's fraction exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let numerator = (u64::from_le_bytes(bytes) >> 11) as f64;
        numerator / 9_007_199_254_740_992.0
    }
}

/// Sees what happens, as it happens: metrics, log lines, the demonstration's timeline, a simulation's checker.
///
/// Called on the path of every delivery: it must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn saw(&self, occurrence: &Occurrence<'_>);
}

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the members are the things named")]
pub enum Occurrence<'a> {
    /// An event was dispatched to so many destinations; none is a valid number.
    EventDispatched { event: &'a Event, deliveries: usize },
    /// An event known already was dropped.
    EventSuppressed { event: &'a Event },
    /// A body is larger than many receivers accept.
    BodyLarge { event: &'a Event, bytes: usize },
    /// An attempt was made and judged.
    AttemptMade {
        delivery: &'a Delivery,
        attempt: &'a Attempt,
    },
    /// The destination accepted.
    Delivered {
        delivery: &'a Delivery,
        attempt: &'a Attempt,
    },
    /// A retry was published.
    RetryPlanned { delivery: &'a Delivery, wait: Wait },
    /// A dead letter was stored.
    DeadLettered { dead_letter: &'a DeadLetter },
    /// A delivery already settled was dropped.
    DuplicateSuppressed { delivery: &'a Delivery },
    /// The claim to an attempt was granted, for so long.
    ClaimGranted { claim: &'a Claim, lease: Duration },
    /// A claim was settled, or found overtaken: it is nobody's care here any more.
    ClaimSettled { claim: &'a Claim },
    /// Another worker holds the claim; the delivery waits without using up an attempt.
    ClaimHeld {
        delivery: &'a Delivery,
        until: Timestamp,
    },
    /// A claim ran out unsettled: the attempt may have arrived.
    OutcomeUnknown { delivery: &'a Delivery },
    /// The settlement came too late: another worker claimed in the meantime.
    SettledTooLate {
        id: &'a DeliveryId,
        generation: Generation,
        attempt: AttemptNumber,
    },
    /// Over the destination's limit: moved to the slow lane.
    MovedToSlowLane { delivery: &'a Delivery },
    /// Put off for the destination's sake: its breaker is open, or it is over its rate limit. No attempt is counted.
    Deferred {
        delivery: &'a Delivery,
        wait: Duration,
    },
    /// A destination failed so often, this delivery last, that only probes go there from now on.
    BreakerOpened {
        breaker: &'a Breaker,
        delivery: &'a Delivery,
    },
    /// This delivery, the probe, was accepted: others return step by step.
    BreakerRecovering {
        breaker: &'a Breaker,
        delivery: &'a Delivery,
    },
    /// A dead letter was published again.
    Replayed { delivery: &'a Delivery },
    /// A replay plan changed its state.
    PlanMoved { plan: &'a PlanId, state: PlanState },
    /// A replay plan left a dead letter out: its record cannot be read.
    PlanMetDamaged {
        plan: &'a PlanId,
        dead_letter: &'a DeadLetterId,
        why: &'a str,
    },
    /// A callback's secret came in plain text and was sealed.
    PlainSecretSealed { sealed: &'a SealedSecret },
    /// A store or queue step failed and is tried again.
    StepRepeated {
        step: &'static str,
        failure: &'a (dyn std::error::Error + 'static),
    },
}
