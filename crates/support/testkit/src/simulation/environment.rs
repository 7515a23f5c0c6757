//! Time, randomness and who watches.

use async_trait::async_trait;
use ringback_delivery::port::{Clock, Entropy, Observer, Occurrence};
use ringback_domain::Timestamp;
use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// Tokio's clock as the time of day, beginning at [`crate::samples::moment`] 0.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    began_at: Instant,
}

impl TokioClock {
    /// A clock that begins now; within a tokio runtime.
    pub fn begin() -> Self {
        Self {
            began_at: Instant::now(),
        }
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.began_at.elapsed()
    }
}

#[async_trait]
impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        crate::samples::moment(0) + self.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.elapsed()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// Random numbers that repeat with their seed (`SplitMix64`).
#[derive(Debug)]
pub struct SeededEntropy(Mutex<u64>);

impl SeededEntropy {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let mut state = self
            .0
            .lock()
            .expect("nothing panics while it holds the lock");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Writes down every occurrence as a line, with the seconds since the clock began.
#[derive(Debug)]
pub struct Recorder {
    clock: TokioClock,
    lines: Mutex<Vec<String>>,
}

impl Recorder {
    /// A recorder with an empty page.
    pub fn new(clock: TokioClock) -> Self {
        Self {
            clock,
            lines: Mutex::default(),
        }
    }

    /// Everything so far, a line each.
    pub fn story(&self) -> String {
        self.lines
            .lock()
            .expect("nothing panics while it holds the lock")
            .join("\n")
    }
}

impl Observer for Recorder {
    fn saw(&self, occurrence: &Occurrence<'_>) {
        let told = match occurrence {
            // The store's own, before and after what a story is about.
            Occurrence::ClaimGranted { .. } | Occurrence::ClaimSettled { .. } => return,
            Occurrence::EventDispatched { deliveries, .. } => {
                format!("event dispatched to {deliveries}")
            }
            Occurrence::EventSuppressed { .. } => "event known already".into(),
            Occurrence::BodyLarge { bytes, .. } => format!("body of {bytes} bytes is large"),
            Occurrence::AttemptMade { attempt, .. } => {
                format!("attempt {} -> {}", attempt.number, attempt.outcome)
            }
            Occurrence::Delivered { .. } => "delivered".into(),
            Occurrence::RetryPlanned { wait, .. } => format!("retry in {:?}", wait.at_least),
            Occurrence::DeadLettered { dead_letter } => {
                format!("dead letter: {}", dead_letter.reason)
            }
            Occurrence::DuplicateSuppressed { .. } => "duplicate suppressed".into(),
            Occurrence::ClaimHeld { .. } => "held by another worker".into(),
            Occurrence::OutcomeUnknown { .. } => "outcome of an attempt unknown".into(),
            Occurrence::SettledTooLate { .. } => "settled too late".into(),
            Occurrence::MovedToSlowLane { .. } => "moved to the slow lane".into(),
            Occurrence::Deferred { .. } => "put off".into(),
            Occurrence::BreakerOpened { .. } => "breaker opened".into(),
            Occurrence::BreakerRecovering { .. } => "breaker recovering".into(),
            Occurrence::Replayed { delivery } => {
                format!("replayed as generation {}", delivery.generation.get())
            }
            Occurrence::PlanMetDamaged {
                dead_letter, why, ..
            } => format!("{dead_letter} left out: {why}"),
            Occurrence::PlainSecretSealed { .. } => "plain secret sealed".into(),
            Occurrence::StepRepeated { step, .. } => format!("{step} repeated"),
            other => format!("{other:?}"),
        };
        let line = format!("at {}s: {told}", self.clock.elapsed().as_secs_f32().round());
        self.lines
            .lock()
            .expect("nothing panics while it holds the lock")
            .push(line);
    }
}
