//! `ringback serve`: the long-running roles, until told to stop.

use crate::{
    args::{RoleName, ServeArgs, VERSION},
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use ringback_api::{Limits, Server, Services};
use ringback_dashboard::Hosts;
use ringback_delivery::Context;
use ringback_telemetry::Telemetry;
use ringback_worker::{
    Backend, ContextError, Opener, Role, Service, Stopped,
    config::Config,
    context,
    measure::{Measured, measured},
    observe::LogObserver,
};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(session: &Session, args: ServeArgs) -> Outcome {
    let config = session.config()?;
    session.log_as_configured(&config)?;
    let mut stop = StopSignals::try_new()?;
    let opening = Backend::open(&config, Opener::Service);
    let Some(backend) = stop.unless_stopped(opening).await else {
        return Ok(());
    };
    let backend = backend?;
    tell(&config, &backend);
    let context = context(&config, &backend, Arc::new(LogObserver))?;
    let telemetry = start_telemetry(&config, &context)?;
    let budget = config.dead_letter_budget();
    let Measured { context, collector } =
        measured(&context, &telemetry, config.broker.system(), budget);
    let roles: BTreeSet<_> = args.roles.into_iter().collect();
    let limits = Limits {
        stop_grace: config.deliver.shutdown_grace,
        ..Limits::default()
    };
    let urls = config.http.url_policy();
    let services = Services::new(context.clone(), urls, working_roles(&roles), limits);
    let api = if roles.contains(&RoleName::Api) {
        Some(start_api(&config, services, telemetry.clone())?)
    } else if let Some(listen) = config.telemetry.listen {
        Some(start_health(listen, services, telemetry.clone())?)
    } else {
        None
    };
    let service = Service::start(context, &config.service_settings(working_roles(&roles))).await?;
    let collecting = tokio::spawn(collector.run());
    tracing::info!(roles = %in_words(&roles), "ready");

    stop.recv().await;
    service.take_no_more();
    tracing::info!("stopping: taking nothing new, letting attempts under way end");
    let stopping = async {
        let answers = async {
            if let Some(api) = api {
                api.stop().await;
            }
        };
        let (stopped, ()) = tokio::join!(service.stop(), answers);
        collecting.abort();
        backend.close().await;
        // Last words; they go out by a blocking client.
        let _ = tokio::task::spawn_blocking(move || telemetry.stop()).await;
        stopped
    };
    match stop.unless_stopped(stopping).await {
        Some(Stopped::Finished) => tracing::info!("stopped, nothing left behind"),
        Some(Stopped::GraceOver { left }) => {
            tracing::warn!(left, "stopped with attempts under way; they come again");
        }
        None => tracing::warn!("stopped at once, as asked twice; what was under way comes again"),
    }
    Ok(())
}

/// The one server: the API, health checks, and the pages beside them.
fn start_api(
    config: &Config,
    services: Arc<Services>,
    telemetry: Arc<Telemetry>,
) -> Outcome<Server> {
    let listen = config.api.listen;
    let (limits, stop) = (services.limits, services.stop.clone());
    let hosts = Hosts::new(config.api.hosts.clone());
    let pages = ringback_dashboard::router(services.clone(), hosts);
    let router = ringback_dashboard::with_error_pages(ringback_api::router(services, pages));
    let router = ringback_api::measured(router, telemetry);
    let started = Server::start(listen, router, limits, stop);
    let server = started.map_err(|failure| could_not_listen(listen, failure, "api.listen"))?;
    let address = server.address();
    tracing::info!(%address, "the dashboard is at /, the API at /api/v1, health checks at /healthz and /readyz, metrics at /metrics");
    Ok(server)
}

/// Health checks and metrics alone.
fn start_health(
    listen: SocketAddr,
    services: Arc<Services>,
    telemetry: Arc<Telemetry>,
) -> Outcome<Server> {
    let (limits, stop) = (services.limits, services.stop.clone());
    let router = ringback_api::measured(ringback_api::health_router(services), telemetry);
    let started = Server::start(listen, router, limits, stop);
    let server =
        started.map_err(|failure| could_not_listen(listen, failure, "telemetry.listen"))?;
    let address = server.address();
    tracing::info!(%address, "health checks are at /healthz and /readyz, metrics at /metrics");
    Ok(server)
}

fn could_not_listen(listen: SocketAddr, failure: std::io::Error, member: &str) -> Failure {
    Failure::failed(format!("could not listen on {listen}"))
        .because(failure)
        .hint(format!("see `{member}`"))
}

/// Metrics and traces, named after the worker that they are of.
fn start_telemetry(config: &Config, context: &Context) -> Outcome<Arc<Telemetry>> {
    let settings = config.telemetry_settings(env!("CARGO_PKG_VERSION"), context.worker.to_string());
    let telemetry = Telemetry::start(&settings)
        .map_err(|failure| Failure::failed("could not set up telemetry").because(failure))?;
    Ok(Arc::new(telemetry))
}

fn working_roles(roles: &BTreeSet<RoleName>) -> impl Iterator<Item = Role> {
    roles.iter().filter_map(|role| match role {
        RoleName::Dispatch => Some(Role::Dispatch),
        RoleName::Deliver => Some(Role::Deliver),
        RoleName::Replay => Some(Role::Replay),
        RoleName::Api => None,
    })
}

fn in_words(roles: &BTreeSet<RoleName>) -> String {
    use clap::ValueEnum;
    let names: Vec<_> = roles
        .iter()
        .filter_map(|role| Some(role.to_possible_value()?.get_name().to_owned()))
        .collect();
    names.join(", ")
}

/// What an operator wants to know first, once.
fn tell(config: &Config, backend: &Backend) {
    let file = config
        .file
        .as_ref()
        .map_or_else(|| "none".to_owned(), |file| file.display().to_string());
    tracing::info!(
        version = VERSION,
        %file,
        broker = %config.broker.describe(),
        store = %config.store.describe(),
        product = %backend.health.product,
        "starting"
    );
    for finding in &backend.health.findings {
        tracing::warn!("the store promises less than it should: {finding}");
    }
    if !config.http.allow_networks.is_empty() {
        tracing::warn!("some networks of this machine may be sent to: see `http.allow_networks`");
    }
}

/// The wish to stop: SIGTERM, or Ctrl-C.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn try_new() -> Outcome<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|failure| Failure::failed("could not listen for signals").because(failure))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// What the future comes to, or nothing when a wish to stop comes first.
    async fn unless_stopped<T>(&mut self, doing: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = doing => Some(done),
            () = self.recv() => None,
        }
    }
}

impl From<ContextError> for Failure {
    fn from(error: ContextError) -> Self {
        Self::of(Exit::Usage, &error)
    }
}
