//! What a bench came to, for people and machines.

use crate::figures::{Latency, Lateness};
use serde::Serialize;
use std::collections::BTreeMap;

/// All that was measured in one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version that was measured.
    pub ringback: &'static str,
    /// The broker's version.
    pub rabbitmq: Option<String>,
    /// The store and its version.
    pub store: Option<String>,
    /// Processors.
    pub cores: usize,
    /// What the processor calls itself.
    pub processor: Option<String>,
    /// Worker processes.
    pub workers: usize,
    /// How often everything was measured.
    pub rounds: usize,
    /// The floors, where they were measured: the mean of all times.
    pub floors: Option<Floors>,
    /// The middle of all runs, one for each scenario, in the order in which they were first measured.
    pub middle: Vec<Middle>,
    /// Each run of each scenario, in the order in which they were measured.
    pub scenarios: Vec<Measured>,
}

/// What nobody can go below.
#[derive(Debug, Clone, Serialize)]
pub struct Floors {
    /// A bare HTTP client against the same receiver.
    pub http: Floor,
    /// A message published to a quorum queue, confirmed, taken and acknowledged: client and broker.
    pub queue: Floor,
}

impl Floors {
    /// Of several times; nothing of none.
    pub(crate) fn mean(times: &[Self]) -> Option<Self> {
        Some(Self {
            http: Floor::mean(times.iter().map(|floors| &floors.http))?,
            queue: Floor::mean(times.iter().map(|floors| &floors.queue))?,
        })
    }

    /// Of both together.
    pub(crate) fn cpu_s_per_1000(&self) -> f64 {
        self.http.cpu_s_per_1000 + self.queue.cpu_s_per_1000
    }
}

/// One floor.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    /// Requests or messages a second.
    pub per_second: f64,
    /// Processor seconds for a thousand.
    pub cpu_s_per_1000: f64,
}

impl Floor {
    fn mean<'a>(times: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let mut count = 0.0;
        let mut sum = Self {
            per_second: 0.0,
            cpu_s_per_1000: 0.0,
        };
        for floor in times {
            count += 1.0;
            sum.per_second += floor.per_second;
            sum.cpu_s_per_1000 += floor.cpu_s_per_1000;
        }
        (count > 0.0).then(|| Self {
            per_second: sum.per_second / count,
            cpu_s_per_1000: sum.cpu_s_per_1000 / count,
        })
    }
}

/// One run of a scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Its name.
    pub scenario: &'static str,
    /// Events published.
    pub events: u64,
    /// Deliveries accepted, of those that have to be.
    pub deliveries: u64,
    /// Deliveries a second, from the first publish to the last acceptance.
    pub per_second: f64,
    /// Processor seconds for a thousand deliveries.
    pub cpu_s_per_1000: Cpu,
    /// Workers, broker and store against the sum of the floors, the mean of those measured just before and just after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_floors: Option<f64>,
    /// Against the scenario it is compared with, which was measured just before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// From publishing to the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_post: Option<Latency>,
    /// From publishing to settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_settled: Option<Latency>,
    /// How long after its time each first retry came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_late: Option<Lateness>,
    /// The most memory that one worker had resident, bytes.
    pub worker_memory_peak: u64,
    /// What the largest worker had resident, bytes, at equal distances; where that was looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worker_memory: Vec<u64>,
    /// Requests accepted after the first of the same delivery.
    pub duplicates: u64,
    /// Deliveries of acknowledged events that never came.
    pub lost: u64,
    /// Requests to destinations in trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub troubled_requests: Option<u64>,
}

/// How many times what another scenario had: 1 is the same.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// The other one.
    pub with: &'static str,
    /// Deliveries a second.
    pub per_second: f64,
    /// From publishing to the request, half of them.
    pub to_post_p50: f64,
    /// From publishing to the request, 99 of a hundred.
    pub to_post_p99: f64,
}

impl Compared {
    /// Nothing where one of them has no such figure.
    pub(crate) fn of(measured: &Measured, other: &Measured) -> Option<Self> {
        let (ours, others) = (measured.to_post?, other.to_post?);
        let compared = Self {
            with: other.scenario,
            per_second: measured.per_second / other.per_second,
            to_post_p50: ours.p50_ms / others.p50_ms,
            to_post_p99: ours.p99_ms / others.p99_ms,
        };
        let ratios = [
            compared.per_second,
            compared.to_post_p50,
            compared.to_post_p99,
        ];
        ratios.into_iter().all(f64::is_finite).then_some(compared)
    }
}

/// What is worth a middle of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as in what was measured")]
pub enum Figure {
    PerSecond,
    CpuSPer1000,
    WorkersCpuSPer1000,
    BrokerCpuSPer1000,
    StoreCpuSPer1000,
    TimesFloors,
    ToPostP50Ms,
    ToPostP99Ms,
    ToPostP999Ms,
    ToSettledP50Ms,
    ToSettledP99Ms,
    RetryLateP50Ms,
    RetryLateP99Ms,
    RetryLateMaxMs,
    ComparedPerSecond,
    ComparedToPostP50,
    ComparedToPostP99,
}

impl Figure {
    const ALL: [Self; 17] = [
        Self::PerSecond,
        Self::CpuSPer1000,
        Self::WorkersCpuSPer1000,
        Self::BrokerCpuSPer1000,
        Self::StoreCpuSPer1000,
        Self::TimesFloors,
        Self::ToPostP50Ms,
        Self::ToPostP99Ms,
        Self::ToPostP999Ms,
        Self::ToSettledP50Ms,
        Self::ToSettledP99Ms,
        Self::RetryLateP50Ms,
        Self::RetryLateP99Ms,
        Self::RetryLateMaxMs,
        Self::ComparedPerSecond,
        Self::ComparedToPostP50,
        Self::ComparedToPostP99,
    ];

    fn of(self, run: &Measured) -> Option<f64> {
        let (cpu, compared) = (&run.cpu_s_per_1000, run.compared.as_ref());
        let late = run.retry_late.map(|lateness| lateness.late);
        match self {
            Self::PerSecond => Some(run.per_second),
            Self::CpuSPer1000 => Some(cpu.system),
            Self::WorkersCpuSPer1000 => Some(cpu.workers),
            Self::BrokerCpuSPer1000 => cpu.broker,
            Self::StoreCpuSPer1000 => cpu.store,
            Self::TimesFloors => run.times_floors,
            Self::ToPostP50Ms => Some(run.to_post?.p50_ms),
            Self::ToPostP99Ms => Some(run.to_post?.p99_ms),
            Self::ToPostP999Ms => Some(run.to_post?.p999_ms),
            Self::ToSettledP50Ms => Some(run.to_settled?.p50_ms),
            Self::ToSettledP99Ms => Some(run.to_settled?.p99_ms),
            Self::RetryLateP50Ms => Some(late?.p50_ms),
            Self::RetryLateP99Ms => Some(late?.p99_ms),
            Self::RetryLateMaxMs => Some(late?.max_ms),
            Self::ComparedPerSecond => Some(compared?.per_second),
            Self::ComparedToPostP50 => Some(compared?.to_post_p50),
            Self::ComparedToPostP99 => Some(compared?.to_post_p99),
        }
    }
}

/// A figure of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub middle: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Nothing of nothing.
    fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let (below, above) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Some(Self {
            middle: f64::midpoint(below, above),
            least,
            most,
        })
    }
}

/// All runs of a scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Middle {
    /// Its name.
    pub scenario: &'static str,
    /// How many there were: those that others are compared with run before each of them, too.
    pub runs: usize,
    /// Each figure that any run has.
    pub figures: BTreeMap<Figure, Spread>,
    /// The scenario it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<&'static str>,
    /// Deliveries accepted, of all runs.
    pub deliveries: u64,
    /// The most memory that one worker of any run had resident, bytes.
    pub worker_memory_peak: u64,
    /// Of all runs: requests accepted after the first of the same delivery.
    pub duplicates: u64,
    /// Of all runs: deliveries of acknowledged events that never came.
    pub lost: u64,
    /// Retries that came before their time, of all runs.
    pub early: u64,
    /// The most requests of one run to destinations in trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub troubled_requests: Option<u64>,
}

/// Of the runs of each scenario.
pub(crate) fn middle(runs: &[Measured]) -> Vec<Middle> {
    let mut names: Vec<&'static str> = Vec::new();
    for run in runs {
        if !names.contains(&run.scenario) {
            names.push(run.scenario);
        }
    }
    let of = |scenario| {
        let runs: Vec<_> = runs.iter().filter(|run| run.scenario == scenario).collect();
        let figures = Figure::ALL.into_iter().filter_map(|figure| {
            let found = runs.iter().filter_map(|run| figure.of(run)).collect();
            Some((figure, Spread::of(found)?))
        });
        let sum = |of: fn(&Measured) -> u64| runs.iter().map(|run| of(run)).sum();
        let compared = runs.iter().find_map(|run| run.compared.as_ref());
        Middle {
            scenario,
            runs: runs.len(),
            figures: figures.collect(),
            compared_with: compared.map(|compared| compared.with),
            deliveries: sum(|run| run.deliveries),
            worker_memory_peak: (runs.iter().map(|run| run.worker_memory_peak))
                .max()
                .unwrap_or_default(),
            duplicates: sum(|run| run.duplicates),
            lost: sum(|run| run.lost),
            early: sum(|run| run.retry_late.map_or(0, |lateness| lateness.early)),
            troubled_requests: runs.iter().filter_map(|run| run.troubled_requests).max(),
        }
    };
    names.into_iter().map(of).collect()
}

/// Who used the processors. Absent where it cannot be told: servers of somebody else.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cpu {
    /// All workers.
    pub workers: f64,
    /// The broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<f64>,
    /// The store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<f64>,
    /// Those three together.
    pub system: f64,
    /// The generator: not part of the sum.
    pub generator: f64,
    /// The receiver: not part of the sum.
    pub receiver: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(scenario: &'static str, per_second: f64, p99_ms: f64) -> Measured {
        Measured {
            scenario,
            events: 10,
            deliveries: 10,
            per_second,
            cpu_s_per_1000: Cpu::default(),
            times_floors: None,
            compared: None,
            to_post: Some(Latency {
                p50_ms: 1.0,
                p99_ms,
                p999_ms: p99_ms,
                max_ms: p99_ms,
            }),
            to_settled: None,
            retry_late: None,
            worker_memory_peak: 7,
            worker_memory: Vec::new(),
            duplicates: 1,
            lost: 0,
            troubled_requests: None,
        }
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two_and_one_is_its_own() {
        let middle = |figures: &[f64]| Spread::of(figures.to_vec()).map(|spread| spread.middle);
        assert_eq!(middle(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(middle(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(middle(&[5.0]), Some(5.0));
        assert_eq!(middle(&[]), None);
    }

    #[test]
    fn runs_come_together_by_scenario_and_what_went_wrong_in_any_is_seen() {
        let mut broken = run("beside", 100.0, 6.0);
        broken.lost = 2;
        broken.worker_memory_peak = 9;
        broken.compared = Compared::of(&broken, &run("alone", 200.0, 2.0));
        let runs = [
            run("alone", 200.0, 2.0),
            broken,
            run("alone", 100.0, 4.0),
            run("beside", 100.0, 4.0),
        ];
        let found = middle(&runs);
        let names: Vec<_> = found.iter().map(|of| (of.scenario, of.runs)).collect();
        assert_eq!(names, [("alone", 2), ("beside", 2)]);
        let beside = &found[1];
        assert_eq!((beside.lost, beside.duplicates), (2, 2));
        assert_eq!((beside.deliveries, beside.worker_memory_peak), (20, 9));
        assert_eq!(beside.compared_with, Some("alone"));
        let spread = |of: &Middle, figure| of.figures.get(&figure).copied();
        let (ratio, p99) = (Figure::ComparedToPostP99, Figure::ToPostP99Ms);
        let expected = |middle, least, most| {
            Some(Spread {
                middle,
                least,
                most,
            })
        };
        assert_eq!(spread(beside, ratio), expected(3.0, 3.0, 3.0));
        assert_eq!(spread(beside, p99), expected(5.0, 4.0, 6.0));
        assert_eq!(spread(&found[0], ratio), None);
    }

    #[test]
    fn nothing_is_compared_with_what_took_no_time() {
        assert!(Compared::of(&run("one", 1.0, 1.0), &run("other", 1.0, 0.0)).is_none());
    }

    #[test]
    fn floors_are_the_mean_of_several_times_and_none_of_none() {
        let floor = |per_second, cpu_s_per_1000| Floor {
            per_second,
            cpu_s_per_1000,
        };
        let floors = |http, queue| Floors { http, queue };
        let times = [
            floors(floor(10.0, 1.0), floor(5.0, 4.0)),
            floors(floor(30.0, 2.0), floor(7.0, 8.0)),
        ];
        let mean = Floors::mean(&times).unwrap();
        assert_eq!((mean.http.per_second, mean.queue.per_second), (20.0, 6.0));
        assert!((mean.cpu_s_per_1000() - 7.5).abs() < 1e-9);
        assert!(Floors::mean(&[]).is_none());
    }
}
