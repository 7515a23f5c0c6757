//! When to leave a destination alone, and how to come back to it.
//!
//! There is a breaker for a destination only while something is wrong with it. All workers share it: a write against an
//! older revision is refused, so that of many workers who would probe, one does.

use crate::{AttemptOutcome, DestinationId, Fault};
use jiff::Timestamp;
use std::{num::NonZeroU32, time::Duration};

/// When breakers open, and how often they are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRules {
    /// Failures in a row, seen by one worker, that open it.
    pub failures: NonZeroU32,
    /// The wait before the first probe; twice as long before each further one.
    pub probe_first: Duration,
    /// The longest wait between two probes.
    pub probe_max: Duration,
}

/// A destination that is left alone, or returned to step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Which.
    pub destination: DestinationId,
    /// How far it is.
    pub state: BreakerState,
    /// Since when it has been in trouble.
    pub opened_at: Timestamp,
    /// Raised by one with every change.
    pub revision: u64,
}

/// How far a breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Nothing but probes goes there.
    Open {
        /// Probes allowed so far.
        probes: u32,
        /// When the next may be made.
        next_probe_at: Timestamp,
    },
    /// A probe was accepted: deliveries return at a pace that grows.
    Recovering {
        /// When the probe was accepted.
        since: Timestamp,
    },
}

/// What a breaker says to one who would make an attempt now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Free,
    /// Go on as the probe, once this has been written; who cannot write it is not the probe.
    Probe(Breaker),
    /// Go on at most so often a second.
    Paced(NonZeroU32),
    /// Not before this moment.
    Held {
        /// When the next probe may be made.
        until: Timestamp,
        /// How far to spread those who come back, so that they do not come all at once.
        spread: Duration,
    },
}

/// Attempts a second right after the recovery.
const RAMP_FIRST: NonZeroU32 = NonZeroU32::new(4).expect("not zero");
/// The pace doubles this often, …
const RAMP_STEP: Duration = Duration::from_secs(1);
/// … so many times; then the breaker is over. 4 a second become 1,024.
const RAMP_STEPS: u32 = 8;

/// A probe that is planned for so much later than it can have been is of a clock that was wrong. With less room, workers whose clocks are
/// somewhat apart would not keep each other's waits.
const CLOCKS_APART_MAX: Duration = Duration::from_mins(5);

/// How long after the moment its next probe was due a breaker that nobody probed is remembered.
const STALE_AFTER: Duration = Duration::from_hours(24);

impl Breaker {
    /// Opened now, for the first time.
    pub fn opened(destination: DestinationId, now: Timestamp, rules: &BreakerRules) -> Self {
        Self {
            destination,
            state: BreakerState::Open {
                probes: 0,
                next_probe_at: now + rules.probe_wait(0),
            },
            opened_at: now,
            revision: 1,
        }
    }

    /// Opened again: it failed while it recovered.
    #[must_use]
    pub fn reopened(&self, now: Timestamp, rules: &BreakerRules) -> Self {
        Self {
            state: BreakerState::Open {
                probes: 0,
                next_probe_at: now + rules.probe_wait(0),
            },
            ..self.next()
        }
    }

    /// Recovering from now on; `None` when it does already.
    pub fn recovering(&self, now: Timestamp) -> Option<Self> {
        match self.state {
            BreakerState::Open { .. } => Some(Self {
                state: BreakerState::Recovering { since: now },
                ..self.next()
            }),
            BreakerState::Recovering { .. } => None,
        }
    }

    /// The last probe it let through was not made: whoever comes next makes it.
    pub fn not_probed(&self, now: Timestamp) -> Option<Self> {
        match self.state {
            BreakerState::Open { probes, .. } => Some(Self {
                state: BreakerState::Open {
                    probes: probes.saturating_sub(1),
                    next_probe_at: now,
                },
                ..self.next()
            }),
            BreakerState::Recovering { .. } => None,
        }
    }

    fn next(&self) -> Self {
        Self {
            revision: self.revision + 1,
            ..self.clone()
        }
    }

    /// What it says to one who would make an attempt now.
    pub fn admission(&self, now: Timestamp, rules: &BreakerRules) -> Admission {
        match self.state {
            BreakerState::Open {
                probes,
                next_probe_at,
            } => {
                let wait = rules.probe_wait(probes + 1);
                // Much further ahead than probes are planned, it is of a clock that was wrong.
                let longest = rules.probe_max.max(wait).saturating_add(CLOCKS_APART_MAX);
                if now < next_probe_at && until(now, next_probe_at) <= longest {
                    return Admission::Held {
                        until: next_probe_at,
                        spread: wait,
                    };
                }
                Admission::Probe(Self {
                    state: BreakerState::Open {
                        probes: probes + 1,
                        next_probe_at: now + wait,
                    },
                    ..self.next()
                })
            }
            BreakerState::Recovering { since } => match ramp_step(since, now) {
                step if step < RAMP_STEPS => Admission::Paced(pace(step)),
                _ => Admission::Free,
            },
        }
    }

    /// Whether it has nothing more to say and may be forgotten.
    pub fn is_over(&self, now: Timestamp) -> bool {
        match self.state {
            BreakerState::Open { .. } => false,
            BreakerState::Recovering { since } => ramp_step(since, now) >= RAMP_STEPS,
        }
    }

    /// Whether nothing came by for so long that it says nothing any more: its webhook is disabled or gone, its callbacks are over.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let touched_until = match self.state {
            BreakerState::Open { next_probe_at, .. } => next_probe_at,
            BreakerState::Recovering { since } => since,
        };
        Duration::try_from(now.duration_since(touched_until))
            .is_ok_and(|passed| passed > STALE_AFTER)
    }

    /// When it began to accept again, if it did.
    pub fn recovered_at(&self) -> Option<Timestamp> {
        match self.state {
            BreakerState::Open { .. } => None,
            BreakerState::Recovering { since } => Some(since),
        }
    }

    /// Whether nothing but probes goes there.
    pub fn is_open(&self) -> bool {
        matches!(self.state, BreakerState::Open { .. })
    }
}

impl BreakerRules {
    /// The wait after so many probes.
    fn probe_wait(&self, probes: u32) -> Duration {
        let factor = 1_u32.checked_shl(probes).unwrap_or(u32::MAX);
        self.probe_first
            .saturating_mul(factor)
            .min(self.probe_max)
            .max(self.probe_first)
    }
}

fn ramp_step(since: Timestamp, now: Timestamp) -> u32 {
    u32::try_from(until(since, now).as_millis() / RAMP_STEP.as_millis()).unwrap_or(u32::MAX)
}

/// Zero, where it is past.
fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

fn pace(step: u32) -> NonZeroU32 {
    RAMP_FIRST.saturating_mul(NonZeroU32::MIN.saturating_add((1_u32 << step) - 1))
}

impl AttemptOutcome {
    /// Whether it counts towards opening the destination's breaker: something that another attempt now would meet again.
    pub fn counts_for_breaker(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Unreachable(_) => true,
            Self::Accepted { .. } | Self::NotSent(_) | Self::Unknown => {
                debug_assert_ne!(self.fault(), Some(Fault::Network));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BreakerRules = BreakerRules {
        failures: NonZeroU32::new(3).unwrap(),
        probe_first: Duration::from_secs(5),
        probe_max: Duration::from_mins(1),
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    fn open() -> Breaker {
        Breaker::opened("whk_1".parse().unwrap(), at(0), &RULES)
    }

    #[test]
    fn an_open_breaker_holds_until_the_probe_and_lets_one_through() {
        let breaker = open();
        let held = Admission::Held {
            until: at(5),
            spread: Duration::from_secs(10),
        };
        assert_eq!(breaker.admission(at(0), &RULES), held);
        assert_eq!(breaker.admission(at(4), &RULES), held);
        let Admission::Probe(next) = breaker.admission(at(5), &RULES) else {
            panic!("it is time for the probe");
        };
        assert_eq!(next.revision, 2);
        assert!(matches!(
            next.admission(at(5), &RULES),
            Admission::Held { until, .. } if until == at(15)
        ));
    }

    #[test]
    fn probes_come_half_as_often_each_time_down_to_a_limit() {
        let mut breaker = open();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..40 {
            let BreakerState::Open { next_probe_at, .. } = breaker.state else {
                panic!("nothing was accepted");
            };
            waits.push(next_probe_at.duration_since(now).as_secs());
            now = next_probe_at;
            let Admission::Probe(next) = breaker.admission(now, &RULES) else {
                panic!("it is time for the probe");
            };
            breaker = next;
        }
        assert_eq!(waits[..6], [5, 10, 20, 40, 60, 60]);
        assert_eq!(waits[39], 60);
    }

    #[test]
    fn a_probe_that_was_not_made_is_the_next_ones() {
        let Admission::Probe(first) = open().admission(at(5), &RULES) else {
            panic!("it is time for the probe");
        };
        let given_back = first.not_probed(at(6)).unwrap();
        assert_eq!(given_back.revision, 3);
        let Admission::Probe(second) = given_back.admission(at(6), &RULES) else {
            panic!("it is time for the probe");
        };
        assert!(matches!(
            second.admission(at(6), &RULES),
            Admission::Held { until, .. } if until == at(16)
        ));
        assert_eq!(open().recovering(at(5)).unwrap().not_probed(at(6)), None);
    }

    #[test]
    fn a_recovery_is_a_ramp_and_then_over() {
        assert_eq!(open().recovered_at(), None);
        let breaker = open().recovering(at(10)).unwrap();
        assert!(!breaker.is_open());
        assert_eq!(breaker.recovered_at(), Some(at(10)));
        let pace = |second| match breaker.admission(at(second), &RULES) {
            Admission::Paced(pace) => pace.get(),
            Admission::Free => 0,
            other => panic!("{other:?}"),
        };
        let paces: Vec<_> = (10..19).map(pace).collect();
        assert_eq!(paces, [4, 8, 16, 32, 64, 128, 256, 512, 0]);
        assert!(!breaker.is_over(at(17)));
        assert!(breaker.is_over(at(18)));
        assert_eq!(breaker.recovering(at(11)), None);
        // A clock behind the one that wrote it.
        assert_eq!(pace(9), 4);
    }

    #[test]
    fn one_that_nobody_came_to_for_a_day_is_stale() {
        const DAY: i64 = 24 * 60 * 60;
        // Its probe was due after 5 seconds.
        assert!(!open().is_stale(at(0)));
        assert!(!open().is_stale(at(DAY + 5)));
        assert!(open().is_stale(at(DAY + 6)));
        let recovering = open().recovering(at(10)).unwrap();
        assert!(!recovering.is_stale(at(DAY + 10)));
        assert!(recovering.is_stale(at(DAY + 11)));
    }

    #[test]
    fn what_a_clock_wrote_that_was_wrong_by_a_day_holds_nobody_for_a_day() {
        const DAY: i64 = 24 * 60 * 60;
        let opened = Breaker::opened("whk_1".parse().unwrap(), at(DAY), &RULES);
        let probe = opened.admission(at(0), &RULES);
        let Admission::Probe(next) = probe else {
            panic!("nobody knows when it was to be probed: {probe:?}");
        };
        assert!(matches!(
            next.admission(at(1), &RULES),
            Admission::Held { until, .. } if until == at(10)
        ));
        // Clocks that are apart do no harm.
        let held = Admission::Held {
            until: at(5),
            spread: Duration::from_secs(10),
        };
        for behind in [10, 60, 300] {
            assert_eq!(open().admission(at(-behind), &RULES), held);
        }
    }

    #[test]
    fn one_that_fails_while_it_recovers_opens_again() {
        let breaker = open().recovering(at(10)).unwrap().reopened(at(12), &RULES);
        assert!(breaker.is_open());
        assert_eq!((breaker.opened_at, breaker.revision), (at(0), 3));
        assert!(matches!(
            breaker.admission(at(12), &RULES),
            Admission::Held { until, .. } if until == at(17)
        ));
    }
}
