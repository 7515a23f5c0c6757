//! How far apart those come back whom an open breaker holds.
//!
//! Each of them comes through the queue again, which costs more than all else about it. A few may ask at every probe; a hundred
//! thousand that did would leave a broker no time for others. So where many are held they come back the later the longer the
//! trouble has lasted. Together they still come often enough for every probe to be made in time.

use ringback_domain::Timestamp;
use std::time::Duration;

/// From so many a second on, seen by one worker, those who are held are many.
const MANY_PER_SECOND: u32 = 20;
/// Where they are many, they come back within one part in so many of how long the trouble has lasted …
const PART: u32 = 4;
/// … and within this. What is given up at the end of its schedule is so much later at most.
const SPREAD_MAX: Duration = Duration::from_mins(30);

/// Those who are held at one place.
#[derive(Debug)]
pub(crate) struct Crowd {
    counted_since: Timestamp,
    count: u32,
    spread: Duration,
}

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            counted_since: now,
            count: 0,
            spread: Duration::ZERO,
        }
    }

    /// One is held; how far to spread those who come back: at least so, whatever their number is.
    pub(crate) fn hold(
        &mut self,
        now: Timestamp,
        least: Duration,
        opened_at: Timestamp,
    ) -> Duration {
        self.count = self.count.saturating_add(1);
        let counted_for = between(self.counted_since, now);
        // Sooner, those of the last spread are not all back.
        if counted_for >= self.spread.max(least) {
            let many = f64::from(MANY_PER_SECOND) * counted_for.as_secs_f64();
            if f64::from(self.count) > many {
                self.spread *= 2;
            } else if f64::from(self.count) < many / 4.0 {
                self.spread /= 2;
            }
            (self.counted_since, self.count) = (now, 0);
        }
        let most = (between(opened_at, now) / PART).min(SPREAD_MAX).max(least);
        self.spread = self.spread.clamp(least, most);
        self.spread
    }
}

/// None, where a clock was set back.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_mins(1);

    fn at(second: u32) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + i64::from(second)).unwrap()
    }

    /// The last spread, after so many were held in each second of that time; the trouble began at 0.
    fn held(crowd: &mut Crowd, per_second: u32, from: u32, to: u32) -> Duration {
        let mut spread = LEAST;
        for second in from..to {
            for _ in 0..per_second {
                spread = crowd.hold(at(second), LEAST, at(0));
            }
        }
        spread
    }

    #[test]
    fn a_few_come_back_at_every_probe_however_long_the_trouble_lasts() {
        let mut crowd = Crowd::new(at(0));
        assert_eq!(held(&mut crowd, MANY_PER_SECOND - 1, 0, 10_000), LEAST);
    }

    #[test]
    fn many_come_back_later_the_longer_the_trouble_has_lasted() {
        let mut crowd = Crowd::new(at(0));
        assert_eq!(held(&mut crowd, 2 * MANY_PER_SECOND, 0, 230), LEAST);
        let after_half_an_hour = held(&mut crowd, 2 * MANY_PER_SECOND, 230, 1_800);
        assert!(
            (240..=450).contains(&after_half_an_hour.as_secs()),
            "{after_half_an_hour:?}"
        );
        assert_eq!(
            held(&mut crowd, 2 * MANY_PER_SECOND, 1_800, 20_000),
            SPREAD_MAX
        );
    }

    #[test]
    fn once_they_are_few_again_they_ask_at_every_probe() {
        let mut crowd = Crowd::new(at(0));
        held(&mut crowd, 2 * MANY_PER_SECOND, 0, 20_000);
        assert_eq!(held(&mut crowd, 1, 20_000, 30_000), LEAST);
    }

    #[test]
    fn of_the_trouble_before_nothing_is_left() {
        let mut crowd = Crowd::new(at(0));
        held(&mut crowd, 2 * MANY_PER_SECOND, 0, 20_000);
        let spread = crowd.hold(at(30_000), LEAST, at(29_990));
        assert_eq!(spread, LEAST);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_none_come_sooner() {
        let mut crowd = Crowd::new(at(5_000));
        assert_eq!(crowd.hold(at(10), LEAST, at(4_000)), LEAST);
    }
}
