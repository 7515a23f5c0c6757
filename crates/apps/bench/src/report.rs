//! What a bench came to, for people and machines.

use crate::figures::{Latency, Lateness};
use serde::Serialize;

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
    /// The floors, where they were measured: the mean of all times.
    pub floors: Option<Floors>,
    /// One for each scenario.
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

/// One scenario.
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
    /// Requests accepted after the first of the same delivery.
    pub duplicates: u64,
    /// Deliveries of acknowledged events that never came.
    pub lost: u64,
    /// Requests to destinations in trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub troubled_requests: Option<u64>,
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
