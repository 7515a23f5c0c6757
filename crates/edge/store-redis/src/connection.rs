//! The connection: one, multiplexed, replaced when it is of no more use.
//!
//! A connection that was dropped shows by itself. A peer that is frozen, or half gone, shows only as answers that do not
//! come: after three in a row the connection is given up. A server that was demoted answers `READONLY`: the address is
//! looked up anew.

use crate::{
    address::{Address, Topology, tcp_settings},
    error,
    settings::{RedisStoreSettings, SettingsError},
};
use arc_swap::ArcSwapOption;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError,
    RedisFuture, RedisResult, Script, ScriptInvocation, ServerErrorKind, TlsCertificates, TlsMode,
    Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use ringback_delivery::port::StoreError;
use secrecy::ExposeSecret;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long an answer may take; connecting, too.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long connecting may take in all, look-ups through sentinels and cluster nodes included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long nobody tries to connect after it failed.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Answers missing in a row before the connection is given up. One alone may be a slow moment.
const MISSES_MAX: u32 = 3;
/// Commands in flight; beyond, callers wait here rather than in the server's buffers.
const IN_FLIGHT_MAX: usize = 4096;

pub(crate) struct Connection {
    servers: tokio::sync::Mutex<Servers>,
    current: ArcSwapOption<Wire>,
    misses: Mutex<Misses>,
    shown: String,
    is_protected: bool,
    is_cluster: bool,
}

/// Whom to ask for a connection, and the last failure to get one.
struct Servers {
    client: Servant,
    failed: Option<(Instant, RedisError)>,
}

enum Servant {
    Single(Box<Client>),
    Sentinel(Box<SentinelClient>),
    Cluster(Box<ClusterClient>),
}

struct Misses {
    in_a_row: u32,
    last: Instant,
}

/// A connection that works, or did.
#[derive(Clone)]
pub(crate) enum Wire {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(crate) fn try_new(settings: &RedisStoreSettings) -> Result<Self, SettingsError> {
        let address = Address::try_new(settings.url.expose_secret())?;
        let is_protected = address.topology.nodes().iter().all(|node| {
            let is_local = matches!(node.addr(), redis::ConnectionAddr::Tcp(host, _) | redis::ConnectionAddr::TcpTls { host, .. }
                if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()));
            is_local || node.redis_settings().password().is_some_and(|password| !password.is_empty())
        });
        let is_cluster = matches!(address.topology, Topology::Cluster(_));
        let certificates = settings
            .root_certificates
            .clone()
            .map(|root_cert| TlsCertificates {
                client_tls: None,
                root_cert: Some(root_cert),
            });
        let client =
            Servant::try_new(address.topology, certificates).map_err(SettingsError::Client)?;
        Ok(Self {
            servers: tokio::sync::Mutex::new(Servers {
                client,
                failed: None,
            }),
            current: ArcSwapOption::empty(),
            misses: Mutex::new(Misses {
                in_a_row: 0,
                last: Instant::now(),
            }),
            shown: address.shown,
            is_protected,
            is_cluster,
        })
    }

    /// Hosts and ports, without credentials.
    pub(crate) fn address(&self) -> &str {
        &self.shown
    }

    /// Whether a password is used, or only this machine is asked.
    pub(crate) fn is_protected(&self) -> bool {
        self.is_protected
    }

    /// Whether what a script touches has to lie in one slot.
    pub(crate) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// Runs a script; loads it first where the server does not know it.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        step: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let answer = async {
            let (used, began) = self.begin().await?;
            let answer = script.invoke_async(&mut Wire::clone(&used)).await;
            self.end(step, &used, began, answer)
        };
        answer.await.map_err(|failure| self.fault(step, failure))
    }

    /// The same for several callers at once, each of whom is told by [`Self::fault`]. `call` is the command,
    /// which may run a script: the library's own way to put that together copies and allots each argument twice.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        step: &'static str,
        script: Option<&Script>,
        call: &Cmd,
    ) -> RedisResult<T> {
        let (used, began) = self.begin().await?;
        let mut wire = Wire::clone(&used);
        let answer = match (call.query_async(&mut wire).await, script) {
            (Err(failure), Some(script)) if is_unknown_script(&failure) => {
                match script.load_async(&mut wire).await {
                    Ok(_) => call.query_async(&mut wire).await,
                    Err(failure) => Err(failure),
                }
            }
            (answer, _) => answer,
        };
        self.end(step, &used, began, answer)
    }

    pub(crate) fn fault(&self, step: &'static str, failure: RedisError) -> StoreError {
        error::of_redis(&self.shown, step, failure)
    }

    /// Runs one command.
    pub(crate) async fn send<T: FromRedisValue>(
        &self,
        step: &'static str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let answer = async {
            let (used, began) = self.begin().await?;
            let answer = command.query_async(&mut Wire::clone(&used)).await;
            self.end(step, &used, began, answer)
        };
        answer.await.map_err(|failure| self.fault(step, failure))
    }

    /// Runs commands one after another, each by itself, that lie in one slot where that matters.
    pub(crate) async fn send_all<T: FromRedisValue>(
        &self,
        step: &'static str,
        commands: &Pipeline,
    ) -> Result<T, StoreError> {
        let answer = self.call_all(step, commands).await;
        answer.map_err(|failure| self.fault(step, failure))
    }

    /// The same for several callers at once, each of whom is told by [`Self::fault`].
    pub(crate) async fn call_all<T: FromRedisValue>(
        &self,
        step: &'static str,
        commands: &Pipeline,
    ) -> RedisResult<T> {
        let (used, began) = self.begin().await?;
        let answer: RedisResult<T> = commands.query_async(&mut Wire::clone(&used)).await;
        self.end(step, &used, began, answer.map_err(first_of_several))
    }

    /// Runs a command that names no key, where this key lies.
    pub(crate) async fn send_to_home_of<T: FromRedisValue>(
        &self,
        key: &str,
        step: &'static str,
        command: Cmd,
    ) -> Result<T, StoreError> {
        let answer = async {
            let (used, began) = self.begin().await?;
            let answer = match Wire::clone(&used) {
                Wire::Single(mut connection) => command.query_async(&mut connection).await,
                Wire::Cluster(mut connection) => {
                    let route = Route::with_key(key, SlotAddr::Master);
                    let node = SingleNodeRoutingInfo::SpecificNode(route);
                    let answer = connection.route_command(command, RoutingInfo::SingleNode(node));
                    answer
                        .await
                        .and_then(|answer| Ok(T::from_redis_value(answer)?))
                }
            };
            self.end(step, &used, began, answer)
        };
        answer.await.map_err(|failure| self.fault(step, failure))
    }

    async fn begin(&self) -> RedisResult<(Arc<Wire>, Instant)> {
        let wire = match self.current.load_full() {
            Some(wire) => wire,
            None => self.connect().await?,
        };
        Ok((wire, Instant::now()))
    }

    fn end<T>(
        &self,
        step: &'static str,
        used: &Arc<Wire>,
        began: Instant,
        answer: RedisResult<T>,
    ) -> RedisResult<T> {
        if self.is_of_no_more_use(began, &answer) {
            tracing::warn!(step, address = self.shown, "connection to redis given up");
            // Only if it is still the one that failed: many callers notice, one replacement is made.
            self.current.compare_and_swap(used, None);
        }
        answer
    }

    /// A wave of commands that time out together counts once: a miss counts only if its command began after the last one.
    fn is_of_no_more_use<T>(&self, began: Instant, answer: &RedisResult<T>) -> bool {
        let mut misses = self.misses.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Err(failure) if failure.is_timeout() => {
                if began > misses.last {
                    misses.in_a_row += 1;
                    misses.last = Instant::now();
                }
                misses.in_a_row >= MISSES_MAX
            }
            Err(failure) => {
                failure.is_unrecoverable_error()
                    || failure.is_connection_dropped()
                    || failure.code() == Some("READONLY")
            }
            Ok(_) => {
                misses.in_a_row = 0;
                false
            }
        }
    }

    /// One caller connects, the others wait for what comes of it.
    async fn connect(&self) -> RedisResult<Arc<Wire>> {
        let asked = Instant::now();
        let mut servers = self.servers.lock().await;
        if let Some(wire) = self.current.load_full() {
            return Ok(wire);
        }
        if let Some((at, failure)) = &servers.failed
            && (*at >= asked || at.elapsed() < CONNECT_PAUSE)
        {
            return Err(failure.clone());
        }
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, servers.client.connect());
        match connecting.await.unwrap_or_else(|_| Err(no_answer())) {
            Ok(wire) => {
                let wire = Arc::new(wire);
                *self.misses.lock().unwrap_or_else(PoisonError::into_inner) = Misses {
                    in_a_row: 0,
                    last: Instant::now(),
                };
                self.current.store(Some(wire.clone()));
                servers.failed = None;
                Ok(wire)
            }
            Err(failure) => {
                servers.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }
}

/// What the first command that failed was told: of several together the library tells no code.
fn first_of_several(failure: RedisError) -> RedisError {
    let errors = failure.clone().into_server_errors();
    let first = errors.as_deref().and_then(|errors| errors.first());
    first.map_or(failure, |(_, first)| first.clone().into())
}

fn is_unknown_script(failure: &RedisError) -> bool {
    failure.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn no_answer() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

impl Servant {
    fn try_new(topology: Topology, certificates: Option<TlsCertificates>) -> RedisResult<Self> {
        Ok(match topology {
            Topology::Single(node) => Self::Single(Box::new(match certificates {
                Some(certificates) => Client::build_with_tls(*node, certificates)?,
                None => Client::open(*node)?,
            })),
            Topology::Sentinel {
                sentinels,
                master,
                db,
            } => Self::Sentinel(Box::new(sentinel(&sentinels, &master, db, certificates)?)),
            Topology::Cluster(nodes) => {
                let mut builder = ClusterClient::builder(nodes)
                    .retries(3)
                    .connection_timeout(RESPONSE_TIMEOUT)
                    .response_timeout(RESPONSE_TIMEOUT)
                    .overall_response_timeout(Some(2 * RESPONSE_TIMEOUT))
                    .connection_concurrency_limit(IN_FLIGHT_MAX)
                    .tcp_settings(tcp_settings());
                if let Some(certificates) = certificates {
                    builder = builder.certs(certificates);
                }
                Self::Cluster(Box::new(builder.build()?))
            }
        })
    }

    async fn connect(&mut self) -> RedisResult<Wire> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(RESPONSE_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_pipeline_buffer_size(1024)
            .set_concurrency_limit(IN_FLIGHT_MAX);
        Ok(match self {
            Self::Single(client) => Wire::Single(
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?,
            ),
            Self::Sentinel(client) => {
                Wire::Single(client.get_async_connection_with_config(&config).await?)
            }
            Self::Cluster(client) => Wire::Cluster(client.get_async_connection().await?),
        })
    }
}

fn sentinel(
    sentinels: &[redis::ConnectionInfo],
    master: &str,
    db: i64,
    certificates: Option<TlsCertificates>,
) -> RedisResult<SentinelClient> {
    let addresses = sentinels.iter().map(|node| node.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_db(db)
        .set_client_to_redis_tcp_settings(tcp_settings())
        .set_client_to_sentinel_tcp_settings(tcp_settings());
    let first = sentinels.first();
    if let Some(username) = first.and_then(|node| node.redis_settings().username()) {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = first.and_then(|node| node.redis_settings().password()) {
        builder = builder.set_client_to_redis_password(password);
    }
    if first.is_some_and(|node| matches!(node.addr(), redis::ConnectionAddr::TcpTls { .. })) {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder.build()
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(commands, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
