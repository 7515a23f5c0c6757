//! One installation for a test: a configuration in a folder of its own, and processes that run by it.

use crate::{desk::Desk, process::Process};
use ringback_testkit::{
    samples::unique,
    servers::{shared_amqp_url, shared_redis_url},
};
use ringback_worker::config::Config;
use std::{fs, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::process::Command;

/// How long a claim is held: the profile's time limit and the margin, as configured below.
pub(crate) const LEASE: Duration = Duration::from_secs(4);
/// The header that tells which event a request is about.
pub(crate) const EVENT_HEADER: &str = "x-event";
/// The header that tells which delivery a request belongs to.
pub(crate) const DELIVERY_HEADER: &str = "x-delivery";
/// The header that tells which attempt a request is.
pub(crate) const ATTEMPT_HEADER: &str = "x-attempt";
/// The project whose profile retries after more than a lease.
pub(crate) const RETRYING: &str = "retrying";
/// The project whose profile retries at once, within the lease.
pub(crate) const HASTY: &str = "hasty";
/// The project whose profile never retries.
pub(crate) const UNFORGIVING: &str = "unforgiving";

/// What the installation stands on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ground {
    /// One directory.
    Embedded,
    /// The RabbitMQ and the Redis that all tests share.
    Servers,
}

pub(crate) struct Installation {
    folder: TempDir,
}

impl Installation {
    pub(crate) fn new(ground: Ground) -> Self {
        Self::with(ground, "")
    }

    /// One whose configuration says more than every test's does.
    pub(crate) fn with(ground: Ground, more: &str) -> Self {
        let (broker, store) = match ground {
            Ground::Embedded => ("embedded".into(), "embedded".into()),
            Ground::Servers => (shared_amqp_url(), shared_redis_url()),
        };
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
broker = "{broker}"
store = "{store}"
data_dir = "{}"
prefix = "{}"
api.listen = "127.0.0.1:0"
http.connect_timeout = "1s"
http.allow_networks = ["127.0.0.0/8"]
deliver.lease_margin = "1s"
deliver.shutdown_grace = "20s"
secrets.keys = ["k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="]
log.level = "info"
{more}
{}{}{}
"#,
            folder.path().join("data").display(),
            unique("processes-"),
            project(RETRYING, r#""8s", "8s""#),
            project(HASTY, r#""250ms""#),
            project(UNFORGIVING, ""),
        );
        fs::write(folder.path().join("ringback.toml"), text).unwrap();
        Self { folder }
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.path().join("ringback.toml")
    }

    /// Where the embedded ground keeps its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The configuration, as processes with these variables have it.
    pub(crate) fn config(&self, variables: impl IntoIterator<Item = (String, String)>) -> Config {
        Config::load(Some(&self.config_path()), variables).unwrap()
    }

    /// The binary, with nothing of the environment but the way to programs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config_path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// A healthy process with all roles, once it takes messages.
    pub(crate) async fn serve(&self) -> Process {
        self.serve_as("api,dispatch,deliver,replay").await
    }

    /// A healthy process with these roles, once it takes messages.
    pub(crate) async fn serve_as(&self, roles: &str) -> Process {
        let mut process = Process::start(self.command(&["serve", "--roles", roles]));
        process.says(": ready ").await;
        process
    }

    /// A look, and a hand, from this process. On the embedded ground it holds the directory when nobody serves: close it.
    pub(crate) async fn desk(&self) -> Desk {
        Desk::open(self.config([])).await
    }
}

/// A project, and its profile of the same name with these waits before its retries.
fn project(name: &str, delays: &str) -> String {
    format!(
        r#"
[projects.{name}]
profile = "{name}"

[profiles.{name}]
body = "del(.project)"
success = ["200"]
time_limit = "3s"
signature = "none"
headers = {{ X-Event = "{{event.id}}", X-Delivery = "{{delivery.id}}", X-Attempt = "{{attempt}}" }}
retry = {{ delays = [{delays}] }}
"#
    )
}
