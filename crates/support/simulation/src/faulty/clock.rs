//! The clock of one worker, which may be set to another time under its feet.

use crate::{
    dice::{Dice, Fault},
    plan::{CLOCK_JUMP_MAX, HEALED_AFTER},
};
use async_trait::async_trait;
use ringback_delivery::port::Clock;
use ringback_domain::Timestamp;
use ringback_testkit::simulation::TokioClock;
use std::time::Duration;

/// The true clock, save for jumps. What is waited for is not touched by them, as with a real machine.
#[derive(Debug, Clone)]
pub(crate) struct JumpingClock {
    truth: TokioClock,
    jumps: Vec<Jump>,
}

#[derive(Debug, Clone, Copy)]
struct Jump {
    after: Duration,
    by: Duration,
    is_back: bool,
}

impl JumpingClock {
    pub(crate) fn draw(truth: TokioClock, dice: &Dice, worker: &str) -> Self {
        let jump = || {
            let size = dice.strikes(Fault::ClockJump, worker)?;
            let longest = u64::try_from(CLOCK_JUMP_MAX.as_millis()).unwrap_or(u64::MAX);
            // Most are short: those come between the steps of one attempt.
            let longest = longest >> ((size >> 40) % 16);
            let healed = u64::try_from(HEALED_AFTER.as_millis()).unwrap_or(u64::MAX);
            Some(Jump {
                after: truth.elapsed() + Duration::from_millis(size % healed),
                by: Duration::from_millis((size >> 8) % longest),
                is_back: size & (1 << 60) == 0,
            })
        };
        let jumps = std::iter::repeat_with(jump).take(3).flatten().collect();
        Self { truth, jumps }
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.truth.elapsed();
        let jumped = self.jumps.iter().filter(|jump| jump.after <= elapsed);
        jumped.fold(self.truth.now(), |now, jump| {
            if jump.is_back {
                now - jump.by
            } else {
                now + jump.by
            }
        })
    }

    fn monotonic(&self) -> Duration {
        self.truth.elapsed()
    }

    async fn sleep(&self, wait: Duration) {
        self.truth.sleep(wait).await;
    }
}
