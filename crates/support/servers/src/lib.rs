//! Real servers of a test's own: loopback, free ports, own folder, own process group; gone when the value or the process ends.
//!
//! Tests that only use a server share one, found by [`shared_amqp_url`] and [`shared_redis_url`], and keep apart by a prefix of
//! their own. Tests that stop, kill or pause a server start one themselves. All calls here block: an asynchronous test wraps
//! them in `tokio::task::spawn_blocking`, or runs on a multi-threaded runtime and lives with one thread standing still.

mod chrome;
mod cluster;
mod port;
mod process;
mod prometheus;
pub mod proxy;
mod rabbitmq;
mod redis;

pub use chrome::ChromeDriver;
pub use cluster::RabbitCluster;
pub use port::free_port;
pub use process::{Group, bare_command};
pub use prometheus::{PrometheusServer, promtool};
pub use rabbitmq::{RabbitOptions, RabbitServer};
pub use redis::{Fsync, RedisOptions, RedisServer};

use std::path::PathBuf;

/// The variable that names the shared RabbitMQ.
pub const AMQP_URL_VARIABLE: &str = "RINGBACK_TEST_AMQP_URL";
/// The variable that names the shared Redis.
pub const REDIS_URL_VARIABLE: &str = "RINGBACK_TEST_REDIS_URL";

/// The RabbitMQ that all tests share.
///
/// # Panics
///
/// Without it there is nothing to test against; the message says how to get one.
pub fn shared_amqp_url() -> String {
    shared(AMQP_URL_VARIABLE, "RabbitMQ")
}

/// The Redis that all tests share.
///
/// # Panics
///
/// Without it there is nothing to test against; the message says how to get one.
pub fn shared_redis_url() -> String {
    shared(REDIS_URL_VARIABLE, "Redis")
}

fn shared(variable: &str, server: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "this test needs a {server}: run the tests through cargo xtask test, or name your own server in {variable}"
        )
    })
}

/// Why a server is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Not installed, or not where it was looked for.
    #[error("could not find `{program}` (hint: {hint})")]
    Missing {
        /// The program.
        program: &'static str,
        /// How to get it.
        hint: &'static str,
    },
    /// It ended, or did not answer in time.
    #[error("{server} did not get ready: {why}; it wrote: {log}")]
    NotReady {
        /// `RabbitMQ` or `Redis`.
        server: &'static str,
        /// Ended, or out of time.
        why: String,
        /// The end of its output.
        log: String,
    },
    /// A tool of the server failed.
    #[error("`{command}` failed: {output}")]
    Tool {
        /// As it was called.
        command: String,
        /// What it wrote.
        output: String,
    },
    /// The operating system refused.
    #[error("could not {step}")]
    Io {
        /// What was tried.
        step: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl ServerError {
    fn io(step: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            step: step.into(),
            source,
        }
    }
}

/// The first folder, of those given and then of `PATH`, that holds the program.
fn find_program(program: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
