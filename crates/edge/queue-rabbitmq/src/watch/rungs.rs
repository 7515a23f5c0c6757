//! Whether the rungs of the delay ladder let go of what they hold: decided from a few retries that are watched on their way.
//!
//! No broker and no clock here: who asks says what time it is.

use crate::ladder::Climb;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// Retries watched at once through one rung. When so many are overdue, more would tell nothing new.
const SAMPLES_MAX: usize = 4;
/// How long a measured lateness is worth telling.
const MEASURED_FOR: Duration = Duration::from_mins(2);

/// How closely the ladder is watched.
#[derive(Debug, Clone, Copy)]
pub struct WatchPace {
    /// Between two looks at what is overdue. Default: 10s.
    pub look_every: Duration,
    /// How late a retry may come before its rung is taken to stand still. Default: 30s.
    pub grace: Duration,
    /// Between two retries watched through one rung. Default: 10s.
    pub sample_every: Duration,
}

impl Default for WatchPace {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(10),
            grace: Duration::from_secs(30),
            sample_every: Duration::from_secs(10),
        }
    }
}

/// A rung, by position and digit.
pub(super) type RungName = (u8, u8);

/// What is known of each rung that watched retries began their wait in.
#[derive(Debug)]
pub(super) struct Rungs {
    pace: WatchPace,
    rungs: BTreeMap<RungName, Rung>,
}

#[derive(Debug, Default)]
struct Rung {
    samples: VecDeque<Sample>,
    sampled_at: Option<Instant>,
    measured: Option<(Instant, Duration)>,
}

/// A retry that is watched.
#[derive(Debug)]
struct Sample {
    id: String,
    climb: Climb,
    /// Once the broker has confirmed it.
    due: Option<Instant>,
    /// Whether word of its coming would have reached us.
    is_certain: bool,
}

/// What a look has shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// How late the latest is: come lately, or still awaited.
    pub(super) lateness: Duration,
    /// The rungs that overdue retries went through.
    pub(super) overdue: BTreeSet<RungName>,
    /// The same, where we may have missed the word. Told once.
    pub(super) doubtful: BTreeSet<RungName>,
}

impl Rungs {
    pub(super) fn new(pace: WatchPace) -> Self {
        Self {
            pace,
            rungs: BTreeMap::new(),
        }
    }

    /// Whether this retry, about to be published, is to be watched.
    pub(super) fn sample(&mut self, id: &str, climb: Climb, now: Instant) -> bool {
        let Some(first) = climb.rungs().next() else {
            return false;
        };
        let rung = self.rungs.entry(first).or_default();
        let is_soon = rung
            .sampled_at
            .is_some_and(|at| now.duration_since(at) < self.pace.sample_every);
        if is_soon || rung.samples.len() >= SAMPLES_MAX {
            return false;
        }
        rung.sampled_at = Some(now);
        rung.samples.push_back(Sample {
            id: id.to_owned(),
            climb,
            due: None,
            is_certain: true,
        });
        true
    }

    /// The broker has it: its wait begins.
    pub(super) fn confirmed(&mut self, id: &str, now: Instant) {
        let samples = self.rungs.values_mut().flat_map(|rung| &mut rung.samples);
        for sample in samples.filter(|sample| sample.id == id) {
            sample.due = Some(now + sample.climb.wait());
        }
    }

    /// The broker may not have it: nothing is to be awaited.
    pub(super) fn forget(&mut self, id: &str) {
        for rung in self.rungs.values_mut() {
            rung.samples.retain(|sample| sample.id != id);
        }
    }

    /// A worker has taken it.
    pub(super) fn came(&mut self, id: &str, now: Instant) {
        for rung in self.rungs.values_mut() {
            let Some(at) = rung.samples.iter().position(|sample| sample.id == id) else {
                continue;
            };
            if let Some(Sample { due: Some(due), .. }) = rung.samples.remove(at) {
                rung.measured = Some((now, now.saturating_duration_since(due)));
            }
        }
    }

    /// Word of some may have been lost with the connection.
    pub(super) fn disturbed(&mut self) {
        let samples = self.rungs.values_mut().flat_map(|rung| &mut rung.samples);
        samples.for_each(|sample| sample.is_certain = false);
    }

    pub(super) fn look(&mut self, now: Instant) -> Seen {
        let mut seen = Seen::default();
        for rung in self.rungs.values_mut() {
            rung.measured = rung
                .measured
                .filter(|(at, _)| now.duration_since(*at) < MEASURED_FOR);
            if let Some((_, lateness)) = rung.measured {
                seen.lateness = seen.lateness.max(lateness);
            }
            rung.samples.retain(|sample| {
                let late = sample.due.map(|due| now.saturating_duration_since(due));
                let Some(late) = late.filter(|late| *late > self.pace.grace) else {
                    return true;
                };
                if sample.is_certain {
                    seen.lateness = seen.lateness.max(late);
                    seen.overdue.extend(sample.climb.rungs());
                } else {
                    seen.doubtful.extend(sample.climb.rungs());
                }
                sample.is_certain
            });
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_domain::Wait;

    const GRACE: Duration = Duration::from_secs(30);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// 16 s and 14 s: rungs 2.1 and 1.7.
    fn climb() -> Climb {
        Climb::plan(Wait::exactly(secs(30))).unwrap().unwrap()
    }

    fn overdue(rungs: &mut Rungs, now: Instant) -> Vec<RungName> {
        rungs.look(now).overdue.into_iter().collect()
    }

    #[test]
    fn a_retry_that_comes_in_time_tells_how_late_it_was() {
        let (mut rungs, begun) = (Rungs::new(WatchPace::default()), Instant::now());
        assert!(rungs.sample("a", climb(), begun));
        assert!(
            overdue(&mut rungs, begun + secs(3600)).is_empty(),
            "the broker does not have it yet"
        );
        rungs.confirmed("a", begun + secs(1));
        assert!(overdue(&mut rungs, begun + secs(31) + GRACE).is_empty());
        rungs.came("a", begun + secs(33));
        let seen = rungs.look(begun + secs(34));
        assert_eq!((seen.lateness, seen.overdue.len()), (secs(2), 0));
        let seen = rungs.look(begun + secs(34) + MEASURED_FOR);
        assert_eq!(seen.lateness, Duration::ZERO, "that was long ago");
    }

    #[test]
    fn a_retry_that_does_not_come_names_every_rung_of_its_way_until_it_comes() {
        let (mut rungs, begun) = (Rungs::new(WatchPace::default()), Instant::now());
        rungs.sample("a", climb(), begun);
        rungs.confirmed("a", begun);
        let late = begun + secs(31) + GRACE;
        assert_eq!(overdue(&mut rungs, late), [(1, 7), (2, 1)]);
        assert_eq!(rungs.look(late).lateness, secs(1) + GRACE);
        // One that comes after it says nothing about the one before: they may have parted on the way.
        rungs.sample("b", climb(), late);
        rungs.confirmed("b", late);
        rungs.came("b", late + secs(30));
        assert_eq!(overdue(&mut rungs, late), [(1, 7), (2, 1)]);
        rungs.came("a", late + secs(60));
        assert!(overdue(&mut rungs, late + secs(60)).is_empty());
    }

    #[test]
    fn few_are_watched_and_none_that_the_broker_may_not_have() {
        let (mut rungs, begun) = (Rungs::new(WatchPace::default()), Instant::now());
        let each = WatchPace::default().sample_every;
        assert!(rungs.sample("a", climb(), begun));
        assert!(!rungs.sample("b", climb(), begun + each / 2), "too soon");
        let other = Climb::plan(Wait::exactly(secs(1))).unwrap().unwrap();
        assert!(rungs.sample("c", other, begun), "another rung");
        rungs.forget("a");
        assert!(overdue(&mut rungs, begun + secs(3600)).is_empty());
        let watched = (1..20).filter(|nth| rungs.sample("d", climb(), begun + each * *nth));
        assert_eq!(watched.count(), SAMPLES_MAX);
    }

    #[test]
    fn after_a_lost_connection_what_does_not_come_is_doubtful_and_said_once() {
        let (mut rungs, begun) = (Rungs::new(WatchPace::default()), Instant::now());
        rungs.sample("a", climb(), begun);
        rungs.confirmed("a", begun);
        rungs.disturbed();
        let late = begun + secs(31) + GRACE;
        let seen = rungs.look(late);
        assert_eq!((seen.overdue.len(), seen.doubtful.len()), (0, 2));
        assert_eq!(rungs.look(late), Seen::default());
    }
}
