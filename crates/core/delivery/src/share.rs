//! Whether a delivery that is over its destination's share waits for its turn where it is, or moves to the slow lane.
//!
//! Moving costs a publish, a confirm and another trip through the broker, about as much as the delivery itself: worth it when
//! the destination would keep the lane waiting, a waste when it answers at once. So what counts is not how many wait but for
//! how long they would.

use crate::DIRECT_MAX;
use std::time::Duration;

/// A share of a destination, held by who makes an attempt there.
pub trait Share: Send {
    /// The request begins: from here on it is the destination that takes the time.
    fn used_from_now(&mut self);

    /// The delivery waits for a moment before its request. Who stands behind it for another reason than the destination may pass.
    fn stands_aside(&mut self) {}
}

impl Share for () {
    fn used_from_now(&mut self) {}
}

impl<T: Share + ?Sized> Share for Box<T> {
    fn used_from_now(&mut self) {
        (**self).used_from_now();
    }

    fn stands_aside(&mut self) {
        (**self).stands_aside();
    }
}

/// A turn no further away is waited for on the spot.
pub const WAIT_FOR_SHARE_MAX: Duration = Duration::from_millis(250);

/// What a destination is taken for before any of its attempts has ended: slow, within reason.
const UNKNOWN_TAKES: Duration = Duration::from_millis(50);
/// How much the newest attempt counts against all before it: one part in so many.
const MEMORY: u32 = 8;

/// How long a destination's attempts take. Forgotten without harm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    usually: Option<Duration>,
}

impl Pulse {
    /// Takes note of an attempt that ended.
    pub fn ended(&mut self, took: Duration) {
        self.usually = Some(match self.usually {
            None => took,
            Some(usually) => usually / MEMORY * (MEMORY - 1) + took / MEMORY,
        });
    }

    /// Whether a direct attempt will be over in time, with some to spare: the oldest under way goes on for `oldest`.
    pub fn is_quick(self, oldest: Duration) -> bool {
        self.each(oldest) <= DIRECT_MAX / 2
    }

    /// Whether one more waits where it is: of `at_once` places all are taken, by attempts of which the oldest goes on for
    /// `oldest`, and `waiting` are there before it.
    pub fn waits_here(self, at_once: usize, oldest: Duration, waiting: usize) -> bool {
        let turns = (waiting / at_once.max(1)).saturating_add(1);
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        self.each(oldest).saturating_mul(turns) <= WAIT_FOR_SHARE_MAX
    }

    /// How far apart attempts begin at `at_once` places, the oldest of which goes on for `oldest`.
    pub fn apart(self, at_once: usize, oldest: Duration) -> Duration {
        let places = u32::try_from(at_once.max(1)).unwrap_or(u32::MAX);
        self.each(oldest) / places
    }

    /// An attempt that goes on for long says more than all that ended before it: this is how a hang shows.
    fn each(self, oldest: Duration) -> Duration {
        self.usually.unwrap_or(UNKNOWN_TAKES).max(oldest / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pulse(took: Duration) -> Pulse {
        let mut pulse = Pulse::default();
        pulse.ended(took);
        pulse
    }

    #[test]
    fn who_is_waited_for_a_moment_only_waits_where_it_is() {
        let brisk = pulse(5 * MS);
        assert!(brisk.waits_here(16, MS, 0));
        assert!(brisk.waits_here(16, MS, 500), "32 turns of 5 ms");
        assert!(!brisk.waits_here(16, MS, 1_000));
        assert!(!pulse(300 * MS).waits_here(16, MS, 0));
    }

    #[test]
    fn one_that_hangs_is_waited_for_by_nobody_however_fast_it_was() {
        let was_brisk = pulse(MS);
        assert!(was_brisk.waits_here(16, 100 * MS, 0));
        assert!(!was_brisk.waits_here(16, 600 * MS, 0));
    }

    #[test]
    fn one_that_nobody_knows_is_waited_for_by_few() {
        let unknown = Pulse::default();
        assert!(unknown.waits_here(16, Duration::ZERO, 16));
        assert!(!unknown.waits_here(16, Duration::ZERO, 100));
    }

    #[test]
    fn direct_attempts_are_for_who_is_quick() {
        assert!(Pulse::default().is_quick(Duration::ZERO));
        assert!(pulse(50 * MS).is_quick(100 * MS));
        assert!(!pulse(200 * MS).is_quick(Duration::ZERO));
        assert!(!pulse(5 * MS).is_quick(600 * MS), "it hangs");
    }

    #[test]
    fn one_slow_attempt_is_forgiven_and_many_are_not() {
        let mut pulse = pulse(5 * MS);
        pulse.ended(1_000 * MS);
        assert!(pulse.waits_here(16, MS, 0));
        for _ in 0..20 {
            pulse.ended(1_000 * MS);
        }
        assert!(!pulse.waits_here(16, MS, 0));
    }

    #[test]
    fn no_number_is_too_large() {
        assert!(!pulse(Duration::MAX).waits_here(1, Duration::MAX, usize::MAX));
        assert!(pulse(Duration::ZERO).waits_here(0, Duration::ZERO, 0));
    }
}
