//! Which faults strike, when and for how long: all of it decided beforehand by the seed.

use std::{fmt, str::FromStr, time::Duration};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A worker gets SIGKILL; another is started after a while.
    WorkerKilled,
    /// A worker stands still for longer than its claims last.
    WorkerPaused,
    /// A worker is stopped in order; another is started.
    WorkerStopped,
    /// A broker node gets SIGKILL and is started again on its data.
    NodeKilled,
    /// A broker node is stopped in order and started again.
    NodeRestarted,
    /// A broker node stands still.
    NodePaused,
    /// The node that leads the queue of deliveries gets SIGKILL. In clusters.
    LeaderKilled,
    /// A node is cut off from its peers: a partition with a minority of one. In clusters.
    NodeCutOff,
    /// All connections to the broker end, and new ones at once.
    BrokerCut,
    /// All connections to the broker carry nothing.
    BrokerHeld,
    /// Redis gets SIGKILL and is started again on its append-only file.
    StoreKilled,
    /// Redis stands still.
    StorePaused,
    /// All connections to Redis end, and new ones at once.
    StoreCut,
    /// The receiver gets SIGKILL, which resets its connections, and is started again.
    ReceiverKilled,
    /// All connections to the receiver end, and new ones at once.
    ReceiverCut,
    /// All connections to the receiver carry nothing.
    ReceiverHeld,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::WorkerKilled,
        Self::WorkerPaused,
        Self::WorkerStopped,
        Self::NodeKilled,
        Self::NodeRestarted,
        Self::NodePaused,
        Self::LeaderKilled,
        Self::NodeCutOff,
        Self::BrokerCut,
        Self::BrokerHeld,
        Self::StoreKilled,
        Self::StorePaused,
        Self::StoreCut,
        Self::ReceiverKilled,
        Self::ReceiverCut,
        Self::ReceiverHeld,
    ];

    /// The name it goes by on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkerKilled => "worker-killed",
            Self::WorkerPaused => "worker-paused",
            Self::WorkerStopped => "worker-stopped",
            Self::NodeKilled => "node-killed",
            Self::NodeRestarted => "node-restarted",
            Self::NodePaused => "node-paused",
            Self::LeaderKilled => "leader-killed",
            Self::NodeCutOff => "node-cut-off",
            Self::BrokerCut => "broker-cut",
            Self::BrokerHeld => "broker-held",
            Self::StoreKilled => "store-killed",
            Self::StorePaused => "store-paused",
            Self::StoreCut => "store-cut",
            Self::ReceiverKilled => "receiver-killed",
            Self::ReceiverCut => "receiver-cut",
            Self::ReceiverHeld => "receiver-held",
        }
    }

    /// Whether it takes a cluster: alone, a node has nobody to lose.
    pub fn needs_cluster(self) -> bool {
        matches!(self, Self::LeaderKilled | Self::NodeCutOff)
    }

    /// How long it lasts, in milliseconds: at least, and less than.
    fn lasts_ms(self) -> (u64, u64) {
        match self {
            Self::WorkerKilled | Self::WorkerStopped | Self::NodeRestarted => (0, 1_000),
            // A claim lasts four seconds: see the profile in `stage.rs`.
            Self::WorkerPaused => (4_500, 8_000),
            Self::NodeKilled | Self::LeaderKilled | Self::StoreKilled | Self::ReceiverKilled => {
                (0, 3_000)
            }
            Self::NodePaused => (1_000, 8_000),
            Self::NodeCutOff => (3_000, 12_000),
            Self::BrokerHeld => (500, 8_000),
            Self::BrokerCut | Self::StoreCut | Self::ReceiverCut => (50, 2_000),
            // Around the two seconds after which a client of Redis gives a question up, and the three of an attempt.
            Self::StorePaused | Self::ReceiverHeld => (500, 5_000),
        }
    }

    /// What it takes beyond that until all is in place again, roughly: only the load is planned by it.
    fn aftermath(self) -> Duration {
        match self {
            Self::NodeKilled | Self::NodeRestarted | Self::LeaderKilled | Self::NodeCutOff => {
                Duration::from_secs(8)
            }
            _ => Duration::from_millis(500),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|class| class.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join("`, `");
            format!("there are `{names}`")
        })
    }
}

/// A fault to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub class: Class,
    /// Which of several, modulo their number.
    pub target: usize,
    /// How long after the fault before was over.
    pub after: Duration,
    /// How long.
    pub lasts: Duration,
}

impl Planned {
    /// How long it takes from the end of the one before to its own, roughly.
    fn slot(&self) -> Duration {
        self.after + self.lasts + self.class.aftermath()
    }
}

/// All faults of a drill, and how the events are spread over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    faults: Vec<Planned>,
    events: u64,
}

impl Schedule {
    /// What the seed stands for. The classes come round by round, each round in another order, so that none is left out.
    pub fn of_seed(seed: u64, events: u64, faults: usize, classes: &[Class]) -> Self {
        let mut dice = Dice(seed);
        let mut round = Vec::new();
        let mut next_class = |dice: &mut Dice| {
            if round.is_empty() {
                round = classes.to_vec();
                dice.shuffle(&mut round);
            }
            round.pop()
        };
        let mut planned = Vec::with_capacity(faults);
        for _ in 0..faults {
            let Some(class) = next_class(&mut dice) else {
                break;
            };
            let (least, most) = class.lasts_ms();
            planned.push(Planned {
                class,
                target: usize::try_from(dice.below(1 << 16)).unwrap_or(0),
                after: Duration::from_millis(500 + dice.below(2_000)),
                lasts: Duration::from_millis(least + dice.below(most - least)),
            });
        }
        Self {
            faults: planned,
            events,
        }
    }

    /// The faults, in order.
    pub fn faults(&self) -> &[Planned] {
        &self.faults
    }

    /// How long all of it takes, roughly.
    pub fn takes(&self) -> Duration {
        self.faults.iter().map(Planned::slot).sum()
    }

    /// How many events have been published when the first so many faults are over: each fault gets events in proportion to
    /// the time it takes, so that all are struck under the same load.
    pub fn events_until(&self, faults: usize) -> u64 {
        let total = self.takes().as_millis();
        if faults >= self.faults.len() || total == 0 {
            return self.events;
        }
        let until: Duration = self.faults[..faults].iter().map(Planned::slot).sum();
        let share = u128::from(self.events) * until.as_millis() / total;
        u64::try_from(share).unwrap_or(self.events)
    }
}

/// A seed's chances: splitmix64, from "Fast splittable pseudorandom number generators" (Steele, Lea, Flood, 2014).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from 0 to less than `end`. Not quite even, which matters to nothing here.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn schedule(seed: u64) -> Schedule {
        Schedule::of_seed(seed, 10_000, 100, &Class::ALL)
    }

    #[test]
    fn a_seed_is_one_schedule_and_another_seed_another() {
        assert_eq!(schedule(1), schedule(1));
        assert_ne!(schedule(1), schedule(2));
    }

    #[test]
    fn a_schedule_stays_what_it_was() {
        let schedule = schedule(1);
        let words: Vec<_> = schedule.faults()[..3]
            .iter()
            .map(|fault| format!("{} {:?} {:?}", fault.class, fault.after, fault.lasts))
            .collect();
        insta::assert_snapshot!(words.join("\n"), @"
        worker-paused 2.055s 6.241s
        node-restarted 1.692s 446ms
        broker-cut 1.985s 376ms
        ");
    }

    #[test]
    fn every_class_comes_equally_often() {
        let mut counts = BTreeMap::new();
        for fault in Schedule::of_seed(7, 1, Class::ALL.len() * 5, &Class::ALL).faults() {
            *counts.entry(fault.class).or_insert(0) += 1;
        }
        assert_eq!(counts, Class::ALL.map(|class| (class, 5)).into());
    }

    #[test]
    fn every_fault_is_short_and_none_comes_at_once() {
        for fault in schedule(3).faults() {
            assert!(fault.lasts < Duration::from_secs(15), "{fault:?}");
            assert!(fault.after >= Duration::from_millis(500), "{fault:?}");
        }
    }

    #[test]
    fn the_events_are_spread_over_the_faults_and_all_are_published() {
        let schedule = schedule(5);
        let shares: Vec<_> = (0..=100)
            .map(|faults| schedule.events_until(faults))
            .collect();
        assert!(
            shares.is_sorted() && shares[0] == 0 && shares[100] == 10_000,
            "{shares:?}"
        );
        assert!(shares[50] > 3_000 && shares[50] < 7_000);
        assert_eq!(
            Schedule::of_seed(1, 10, 0, &Class::ALL).events_until(0),
            10,
            "without faults, at once"
        );
        assert!(Schedule::of_seed(1, 10, 5, &[]).faults().is_empty());
    }

    #[test]
    fn names_are_read_back() {
        for class in Class::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert!(
            "worker"
                .parse::<Class>()
                .unwrap_err()
                .contains("`worker-killed`")
        );
    }
}
