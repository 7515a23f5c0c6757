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
    /// The floors, where they were measured.
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

/// One floor.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    /// Requests or messages a second.
    pub per_second: f64,
    /// Processor seconds for a thousand.
    pub cpu_s_per_1000: f64,
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
    /// Workers, broker and store against the sum of the floors.
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
