//! What the processes of a bench are told: one JSON text each, since they are started by the bench alone.

use crate::{BenchError, floor, generator, receiver};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A process of a bench.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// Takes requests.
    Receive { port: u16 },
    /// Publishes events.
    Generate(Generate),
    /// A bare HTTP client.
    FloorHttp(FloorHttp),
    /// A bare publisher and consumer.
    FloorQueue(FloorQueue),
}

/// What the generator publishes, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Generate {
    pub(crate) entrance: Entrance,
    /// What ids begin with.
    pub(crate) run: String,
    /// The projects, in turn.
    pub(crate) projects: Vec<String>,
    pub(crate) events: u64,
    /// As fast as it can when absent.
    pub(crate) per_second: Option<u32>,
    pub(crate) body_bytes: usize,
    /// Where it writes down what it did.
    pub(crate) out: PathBuf,
}

/// Where events go in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entrance {
    /// The producer library.
    Broker { urls: String, prefix: String },
    /// The HTTP API.
    Api { url: String, key: String },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FloorHttp {
    pub(crate) url: String,
    pub(crate) requests: u64,
    pub(crate) at_once: usize,
    pub(crate) body_bytes: usize,
    pub(crate) out: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FloorQueue {
    pub(crate) url: String,
    pub(crate) queue: String,
    pub(crate) messages: u64,
    pub(crate) body_bytes: usize,
    pub(crate) out: PathBuf,
}

/// What a floor came to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct FloorDone {
    pub(crate) took_s: f64,
    pub(crate) cpu_s: f64,
}

/// Runs a process of a bench: what `ringback bench` starts itself with.
///
/// # Errors
///
/// When it is told nonsense, or cannot do what it is told.
pub async fn run_part(told: &str) -> Result<(), BenchError> {
    let part = serde_json::from_str(told).map_err(BenchError::Told)?;
    match part {
        Part::Receive { port } => receiver::run(port).await,
        Part::Generate(generate) => generator::run(generate).await,
        Part::FloorHttp(told) => floor::http(told).await,
        Part::FloorQueue(told) => floor::queue(told).await,
    }
}
