//! The long-running roles, assembled from core and edges: configuration, back ends, consumers, and stopping in order.
//!
//! ```no_run
//! # use ringback_worker::{Backend, Opener, Role, Service, config::Config, context, observe::LogObserver};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::load(None, std::env::vars())?;
//! let backend = Backend::open(&config, Opener::Service).await?;
//! let context = context(&config, &backend, std::sync::Arc::new(LogObserver))?;
//! let service = Service::start(context, &config.service_settings([Role::Dispatch, Role::Deliver])).await?;
//! tokio::signal::ctrl_c().await?;
//! service.stop().await;
//! backend.close().await;
//! # Ok(())
//! # }
//! ```

pub mod archive;
mod backend;
pub mod config;
mod dead_letter_keeper;
mod destination_limits;
mod direct_places;
mod environment;
#[cfg(debug_assertions)]
mod fault_points;
pub mod keys;
pub mod measure;
pub mod observe;
mod plans;
mod precedence;
pub mod publish;
mod queue_on_demand;
#[cfg(debug_assertions)]
mod sabotage;
mod service;
pub mod webhooks;

pub use backend::{Backend, OpenError, Opener, Part, Parts, makes_directory};
pub use environment::{SystemClock, SystemEntropy};
pub use service::{Role, Service, ServiceSettings, Stopped};

use config::Config;
use ringback_delivery::{
    Context, PlainSecrets, ProfileBook, WebhookCache,
    port::{Entropy, Observer, Sender},
};
use ringback_domain::{DeadLetterBudget, WorkerId};
use ringback_sender_http::{HttpSender, HttpSenderError};
use ringback_telemetry::TelemetrySettings;
use std::{num::NonZeroU32, sync::Arc};

/// Why there is no sender.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A file that the configuration names.
    #[error("could not read a file that the configuration names")]
    File(#[source] std::io::Error),
    /// The configuration of the sender.
    #[error(transparent)]
    Sender(#[from] HttpSenderError),
}

/// What the use cases work with, in this process: a worker id of its own, the real sender, time and randomness.
///
/// # Errors
///
/// When the sender cannot be made.
pub fn context(
    config: &Config,
    backend: &Backend,
    observer: Arc<dyn Observer>,
) -> Result<Arc<Context>, ContextError> {
    let http = config.http_config().map_err(ContextError::File)?;
    let sender: Arc<dyn Sender> = Arc::new(HttpSender::try_new(&http)?);
    Ok(context_with(
        backend,
        observer,
        sender,
        config.profile_book(),
    ))
}

/// The same with another sender and other profiles: what the demonstration shortens its schedules with.
pub fn context_with(
    backend: &Backend,
    observer: Arc<dyn Observer>,
    sender: Arc<dyn Sender>,
    profiles: ProfileBook,
) -> Arc<Context> {
    let entropy = SystemEntropy;
    let mut id = [0; 8];
    entropy.fill(&mut id);
    Arc::new(Context {
        queue: backend.queue.clone(),
        store: backend.store.clone(),
        sender,
        clock: backend.clock.clone(),
        entropy: Arc::new(entropy),
        observer,
        profiles: Arc::new(profiles),
        webhooks: WebhookCache::new(backend.store.clone(), backend.clock.clone()),
        keys: backend.keys.clone(),
        worker: WorkerId::from_random(id),
    })
}

impl Config {
    /// The profiles at hand, and which project has which.
    pub fn profile_book(&self) -> ProfileBook {
        let profiles = self
            .profiles
            .iter()
            .map(|(name, profile)| (name.clone(), profile.clone()));
        let projects = self
            .projects
            .iter()
            .map(|(name, project)| (name.clone(), project.profile.clone()));
        ProfileBook::new(profiles, projects)
    }

    /// What is measured and traced, and where it goes. `instance` tells this process from its like.
    pub fn telemetry_settings(&self, version: &'static str, instance: String) -> TelemetrySettings {
        TelemetrySettings {
            otlp: self.telemetry.otlp.as_ref().map(ToString::to_string),
            push_interval: self.telemetry.push_interval,
            trace_ratio: f64::from(self.telemetry.trace_percent) / 100.0,
            version,
            instance,
        }
    }

    /// Room for dead letters.
    pub fn dead_letter_budget(&self) -> DeadLetterBudget {
        DeadLetterBudget {
            entries_max: self.dead_letters.entries_max,
            bytes_max: self.dead_letters.bytes_max,
        }
    }

    /// How much a process takes on.
    pub fn service_settings(&self, roles: impl IntoIterator<Item = Role>) -> ServiceSettings {
        ServiceSettings {
            roles: roles.into_iter().collect(),
            events_window: self.queue.events,
            deliveries_window: self.queue.deliveries,
            slow_window: self.queue.slow,
            concurrency: self.deliver.concurrency,
            slow_concurrency: self.deliver.slow_concurrency,
            per_destination_concurrency: self.deliver.per_destination_concurrency,
            beside_events_per_second: (self.deliver.beside_events_per_second)
                .map(of_all_processors),
            lease_margin: self.deliver.lease_margin,
            breaker: self.deliver.breaker_rules(),
            shutdown_grace: self.deliver.shutdown_grace,
            dead_letters: self.dead_letter_budget(),
            spill_dir: self.dead_letters.spill_dir.clone(),
            plain_secrets: if self.secrets.allow_plain_callback_secrets {
                PlainSecrets::Seal
            } else {
                PlainSecrets::Refuse
            },
        }
    }
}

/// What is said of each processor, for all that this process may use.
fn of_all_processors(of_each: NonZeroU32) -> NonZeroU32 {
    let processors = std::thread::available_parallelism().ok();
    let processors = processors.and_then(|many| NonZeroU32::try_from(many).ok());
    of_each.saturating_mul(processors.unwrap_or(NonZeroU32::MIN))
}
