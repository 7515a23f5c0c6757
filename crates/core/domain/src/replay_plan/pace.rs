//! How many entries may be sent now.

use std::{num::NonZeroU32, time::Duration};

/// Lets through so many a second, evenly: what was not used is saved for a quarter of a second, no longer.
#[derive(Debug, Clone)]
pub struct Pace {
    rate: Option<NonZeroU32>,
    /// In millionths of an entry.
    credit: u64,
    looked_at: Duration,
}

const ENTRY: u64 = 1_000_000;

impl Pace {
    /// Begins now, with one entry to go; `now` and every later moment are of a clock that nobody sets.
    pub fn new(rate: Option<NonZeroU32>, now: Duration) -> Self {
        Self {
            rate,
            credit: ENTRY,
            looked_at: now,
        }
    }

    /// How many may go now, at most so many.
    pub fn allows(&mut self, most: usize, now: Duration) -> usize {
        let Some(rate) = self.rate.map(|rate| u64::from(rate.get())) else {
            return most;
        };
        let passed = now.saturating_sub(self.looked_at).as_micros();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.looked_at = self.looked_at.max(now);
        let earned = passed.saturating_mul(rate);
        self.credit = self.credit.saturating_add(earned).min(saved_max(rate));
        usize::try_from(self.credit / ENTRY).map_or(most, |whole| whole.min(most))
    }

    /// So many went.
    pub fn spend(&mut self, entries: usize) {
        if self.rate.is_some() {
            let spent = ENTRY.saturating_mul(entries as u64);
            self.credit = self.credit.saturating_sub(spent);
        }
    }

    /// So many of these did not go after all.
    pub fn give_back(&mut self, entries: usize) {
        if let Some(rate) = self.rate {
            let kept = self
                .credit
                .saturating_add(ENTRY.saturating_mul(entries as u64));
            self.credit = kept.min(saved_max(rate.get().into()));
        }
    }

    /// How long from the last look until one more may go.
    pub fn next_in(&self) -> Duration {
        match self.rate {
            Some(rate) => {
                let missing = ENTRY.saturating_sub(self.credit);
                Duration::from_micros(missing.div_ceil(u64::from(rate.get())))
            }
            None => Duration::ZERO,
        }
    }
}

/// What is saved of a rate at most, in millionths of an entry.
fn saved_max(rate: u64) -> u64 {
    (rate * ENTRY / 4).max(ENTRY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_a_rate_everything_may_go() {
        let mut pace = Pace::new(None, Duration::ZERO);
        assert_eq!(pace.allows(500, Duration::ZERO), 500);
        pace.spend(500);
        assert_eq!(pace.allows(500, Duration::ZERO), 500);
    }

    #[test]
    fn a_slow_rate_says_when_the_next_may_go() {
        let mut pace = Pace::new(NonZeroU32::new(2), Duration::ZERO);
        assert_eq!(pace.allows(10, Duration::ZERO), 1);
        pace.spend(1);
        assert_eq!(pace.next_in(), Duration::from_millis(500));
        assert_eq!(pace.allows(10, Duration::from_millis(499)), 0);
        assert_eq!(pace.allows(10, Duration::from_millis(500)), 1);
        assert_eq!(
            pace.allows(10, Duration::from_mins(1)),
            1,
            "nothing is saved up"
        );
    }

    #[test]
    fn what_did_not_go_may_go_later_and_no_more_than_is_ever_saved() {
        let mut pace = Pace::new(NonZeroU32::new(40), Duration::ZERO);
        let second = Duration::from_secs(1);
        assert_eq!(pace.allows(100, second), 10);
        pace.spend(10);
        pace.give_back(3);
        assert_eq!(pace.allows(100, second), 3);
        pace.give_back(50);
        assert_eq!(pace.allows(100, second), 10);
    }

    proptest! {
        #[test]
        fn whatever_the_looks_the_rate_is_kept(
            rate in 1_u32..20_000,
            looks in prop::collection::vec((0_u64..2_000_000, 0_usize..5_000), 1..60),
        ) {
            let mut pace = Pace::new(NonZeroU32::new(rate), Duration::ZERO);
            let (mut now, mut gone) = (0, 0);
            for (wait, wish) in looks {
                now += wait;
                let allowed = pace.allows(wish, Duration::from_micros(now));
                pace.spend(allowed);
                gone += allowed as u64;
                let most = 1 + u64::from(rate) / 4 + 1 + now * u64::from(rate) / ENTRY;
                prop_assert!(gone <= most, "{gone} within {now} µs at {rate}/s");
            }
        }
    }
}
