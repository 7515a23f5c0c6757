//! `ringback bench` and `ringback drill`, which start servers of their own.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Which scenarios [default: all]; a name that there is not tells which there are
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<String>,
    /// Events of a large scenario
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    pub(crate) events: u64,
    /// How often everything is measured; the middle of all runs is shown, and how far they are apart
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) rounds: u8,
    /// Worker processes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) workers: u8,
    /// Uses this broker instead of one of its own; what is left there is the bench's, under the prefix `bench`
    #[arg(long, value_name = "URL", requires = "store")]
    pub(crate) broker: Option<String>,
    /// Uses this store instead of one of its own
    #[arg(long, value_name = "URL", requires = "broker")]
    pub(crate) store: Option<String>,
    /// Measures the workers of this `ringback` instead of this one: two builds side by side
    #[arg(long, value_name = "FILE")]
    pub(crate) worker_program: Option<PathBuf>,
    /// Leaves out the floors: a bare HTTP client, and a bare publisher and consumer
    #[arg(long)]
    pub(crate) no_floors: bool,
    /// Writes the figures to this file, too, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// Events to publish
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) events: u64,
    /// Faults to strike
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) faults: u16,
    /// Worker processes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) workers: u8,
    /// Broker nodes: 1, or a cluster of 3 or 5
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = broker_nodes)]
    pub(crate) nodes: u8,
    /// What the faults are drawn from; the same seed, the same faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only faults of these classes
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',')]
    pub(crate) only: Vec<ringback_drill::Class>,
    /// Keeps the logs of both sides in this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) keep: Option<PathBuf>,
}

/// An even number of nodes survives no more than the odd number below it.
fn broker_nodes(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("a cluster has 3 or 5 nodes; else there is 1".to_owned()),
    }
}
