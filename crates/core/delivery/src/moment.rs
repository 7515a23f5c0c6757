//! How much time has passed, also where one clock did not see it.

use crate::port::Clock;
use ringback_domain::Timestamp;
use std::time::Duration;

/// A moment by both clocks. The one that nobody sets stands still while the machine is suspended, and the time of day may be set
/// back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    of_day: Timestamp,
    monotonic: Duration,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self {
            of_day: clock.now(),
            monotonic: clock.monotonic(),
        }
    }

    /// By the clock that nobody sets.
    pub(crate) fn is_before(self, other: Self) -> bool {
        self.monotonic < other.monotonic
    }

    /// Whether what was read then will do for one who asked at that moment: nobody has to read again what was read after they asked,
    /// however long that took. Those who waited for one slow answer would else each wait for another.
    pub(crate) fn is_fresh(self, asked_at: Self, fresh_for: Duration, clock: &dyn Clock) -> bool {
        asked_at.is_before(self) || self.elapsed(clock) < fresh_for
    }

    /// The longer of what both say. A time of day that is set forward makes it too long: whoever asks then reads or begins
    /// again, for nothing, once.
    pub(crate) fn elapsed(self, clock: &dyn Clock) -> Duration {
        let now = Self::now(clock);
        let of_day = Duration::try_from(now.of_day.duration_since(self.of_day));
        let monotonic = now.monotonic.saturating_sub(self.monotonic);
        of_day.unwrap_or_default().max(monotonic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;

    struct Shows {
        second: i64,
        monotonic: u64,
    }

    #[async_trait]
    impl Clock for Shows {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(1_780_000_000 + self.second).unwrap()
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.monotonic)
        }

        async fn sleep(&self, _: Duration) {}
    }

    #[test]
    fn neither_a_suspended_machine_nor_a_clock_set_back_hides_time() {
        let before = Shows {
            second: 0,
            monotonic: 10,
        };
        for (what, second, monotonic, passed) in [
            ("nothing", 5, 15, 5),
            ("suspended", 3_600, 11, 3_600),
            ("set back", -3_600, 15, 5),
            ("set forward", 3_600, 15, 3_600),
        ] {
            let elapsed = Moment::now(&before).elapsed(&Shows { second, monotonic });
            assert_eq!(elapsed, Duration::from_secs(passed), "{what}");
        }
    }

    #[test]
    fn what_was_read_after_one_asked_will_do_however_long_it_took() {
        let at = |second| Shows {
            second,
            monotonic: u64::try_from(second).unwrap(),
        };
        let read_at = Moment::now(&at(10));
        let fresh_for = Duration::from_secs(1);
        let is_fresh = |asked, now| read_at.is_fresh(Moment::now(&at(asked)), fresh_for, &at(now));
        assert!(is_fresh(9, 30), "it was read for them, too");
        assert!(!is_fresh(10, 30));
        assert!(!is_fresh(11, 30), "it was old when they asked");
        assert!(is_fresh(10, 10));
    }
}
