//! The configuration: a file, variables over it, a commented default under it; read and checked as a whole before the
//! first connection, with every fault reported at once.

mod fault;
mod load;
mod profiles;
mod read;
mod server;
mod settings;
mod tree;
mod units;

#[cfg(test)]
mod tests;

pub use fault::{ConfigError, ConfigFault, Place};
pub use load::Flag;
pub use server::ServerUrl;
pub use units::{parse_duration, parse_size, show_duration, show_size};

use ringback_domain::{BreakerRules, ProfileName, ProjectName};
use ringback_profile::Profile;
use ringback_queue_rabbitmq::{BrokerUrls, Prefix};
use ringback_sender_http::{AllowedNetwork, DeniedNetwork};
pub use ringback_telemetry::LogFormat;
use secrecy::SecretString;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use url::Url;

/// The default, with a comment for every member: what applies, the example, and the manual.
pub const DEFAULT_TOML: &str = include_str!("config.default.toml");

/// Everything that can be configured, checked. `config.default.toml` says what each member is for.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from, when there was one.
    pub file: Option<PathBuf>,
    pub broker: Broker,
    pub store: StoreAt,
    pub data_dir: PathBuf,
    pub prefix: Prefix,
    pub api: Api,
    pub queue: Windows,
    pub deliver: Deliver,
    pub http: Http,
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
    pub deliveries: Deliveries,
    pub dead_letters: DeadLetters,
    pub idempotency: Idempotency,
    pub secrets: Secrets,
    pub log: Log,
    pub telemetry: TelemetryMembers,
    pub projects: BTreeMap<ProjectName, Project>,
    /// Those built in, and those of the configuration.
    pub profiles: BTreeMap<ProfileName, Arc<Profile>>,
}

/// Where events and deliveries wait.
#[derive(Debug, Clone)]
pub enum Broker {
    /// In this process, and in `data_dir`.
    Embedded,
    /// On a RabbitMQ.
    RabbitMq {
        /// Its nodes, with credentials.
        urls: BrokerUrls,
        /// Their hosts and ports; safe to show.
        address: String,
    },
}

/// Where claims, webhooks and dead letters are kept.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreAt {
    /// In `data_dir`.
    Embedded,
    /// On a Redis, or what speaks like one.
    Redis(ServerUrl),
}

#[derive(Debug, Clone)]
pub struct Api {
    pub listen: SocketAddr,
    /// Names that browsers may reach the dashboard by, besides `localhost` and addresses; in lower case.
    pub hosts: Vec<String>,
}

/// Messages the broker may hand out before the first is acknowledged.
#[derive(Debug, Clone)]
pub struct Windows {
    pub events: u16,
    pub deliveries: u16,
    pub slow: u16,
}

#[derive(Debug, Clone)]
pub struct Deliver {
    pub concurrency: NonZeroUsize,
    pub per_destination_concurrency: NonZeroUsize,
    pub slow_concurrency: NonZeroUsize,
    /// Of each processor; without bound when absent.
    pub beside_events_per_second: Option<NonZeroU32>,
    pub lease_margin: Duration,
    /// Failures in a row that open a destination's breaker; without, no breaker opens.
    pub breaker_failures: Option<NonZeroU32>,
    pub breaker_probe_first: Duration,
    pub breaker_probe_max: Duration,
    pub shutdown_grace: Duration,
}

impl Deliver {
    /// When a destination that fails is spared.
    pub fn breaker_rules(&self) -> Option<BreakerRules> {
        self.breaker_failures.map(|failures| BreakerRules {
            failures,
            probe_first: self.breaker_probe_first,
            probe_max: self.breaker_probe_max,
        })
    }
}

#[derive(Debug, Clone)]
pub struct Http {
    pub connect_timeout: Duration,
    pub response_body_max: usize,
    pub allow_networks: Vec<AllowedNetwork>,
    pub deny_networks: Vec<DeniedNetwork>,
    pub require_https: bool,
    /// May hold a password.
    pub proxy: Option<Proxy>,
    pub ca_file: Option<PathBuf>,
}

/// The only way out.
#[derive(Clone)]
pub struct Proxy(Url);

/// How the queue uses RabbitMQ.
#[derive(Debug, Clone)]
pub struct RabbitMq {
    pub delivery_limit: NonZeroU16,
    pub confirm_timeout: Duration,
    pub declare: bool,
    pub ca_file: Option<PathBuf>,
    /// Whether another machine may be spoken to without TLS.
    pub allow_plaintext: bool,
    /// Whether another machine may be logged in to as `guest`.
    pub allow_guest: bool,
}

/// How the store uses Redis.
#[derive(Debug, Clone)]
pub struct Redis {
    pub wait_aof: bool,
    pub ca_file: Option<PathBuf>,
    /// Whether another machine may be spoken to without TLS.
    pub allow_plaintext: bool,
}

/// The log of deliveries.
#[derive(Debug, Clone)]
pub struct Deliveries {
    pub entries_max: u64,
}

#[derive(Debug, Clone)]
pub struct DeadLetters {
    pub retention: Duration,
    /// Those kept beyond which people are told, and the oldest move into files where there is a place for that.
    pub entries_max: u64,
    /// The same for the bytes of their records.
    pub bytes_max: u64,
    /// Where they move; nowhere when absent.
    pub spill_dir: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Idempotency {
    pub window: Duration,
}

#[derive(Debug, Clone)]
pub struct Secrets {
    /// As `ringback_signing::KeyRing` takes them, and it has taken them; empty only with the embedded store.
    pub keys: Vec<SecretString>,
    pub allow_plain_callback_secrets: bool,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub format: LogFormat,
    /// A filter as `tracing` reads it.
    pub level: String,
}

/// What is measured and traced, and where it goes.
#[derive(Debug, Clone)]
pub struct TelemetryMembers {
    /// Where a process without the role `api` answers health checks and metrics; nowhere when absent.
    pub listen: Option<SocketAddr>,
    /// The collector that metrics and traces are sent to; none when absent.
    pub otlp: Option<Url>,
    pub push_interval: Duration,
    /// The share of traces that is kept, of those that begin here.
    pub trace_percent: u8,
}

#[derive(Debug, Clone)]
pub struct Project {
    pub profile: ProfileName,
}

impl Proxy {
    /// The whole URL, password included.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.0.host_str().unwrap_or_default())
    }
}

impl Broker {
    /// What it is, as OpenTelemetry's `messaging.system`.
    pub fn system(&self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::RabbitMq { .. } => "rabbitmq",
        }
    }

    /// What it is and where, without credentials.
    pub fn describe(&self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::RabbitMq { address, .. } => format!("RabbitMQ at {address}"),
        }
    }
}

impl StoreAt {
    /// What it is and where, without credentials.
    pub fn describe(&self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Redis(url) => format!("Redis at {url}"),
        }
    }
}
