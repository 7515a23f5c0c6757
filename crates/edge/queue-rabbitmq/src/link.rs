//! One connection to the broker for one role, made again whenever it is lost.
//!
//! The library's own recovery stays off: against a peer that accepts and then says nothing it waits for ever. A connection
//! that failed in any way is killed and replaced; whoever used it opens channels on the new one.

mod heard;

use heard::Heard;

use crate::{
    config::{BrokerUrls, Node, RabbitConfig},
    topology::{self, Drift, Topology},
};
use async_compat::Compat;
use futures_util::StreamExt;
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, Event,
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::Shutdown,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{MutexGuard, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// Asking the broker anything takes no longer than this, or the connection is given up.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Making all queues anew on a busy cluster takes seconds.
const DECLARED_WITHIN: Duration = Duration::from_secs(90);
const CLOSED_WITHIN: Duration = Duration::from_secs(3);
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// What one frame holds; a longer body takes several. The library keeps two rings of 32 frames a connection and goes round all of
/// each: at the broker's 128 KiB that is 8 MiB, which no processor's cache holds.
const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// The supervisor of one connection.
pub(crate) struct Link {
    role: &'static str,
    urls: BrokerUrls,
    config: RabbitConfig,
    tls: OwnedTLSConfig,
    /// What is declared on every new connection: the broker may have come back empty.
    topology: Option<Topology>,
    slot: tokio::sync::Mutex<Slot>,
    last_failure: Mutex<Option<Failure>>,
    heard: Heard,
    closed: CancellationToken,
}

struct Slot {
    live: Option<Arc<Live>>,
    next_node: usize,
    backoff: Backoff,
}

/// Why there is no connection.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// We closed it.
    Closed,
    /// This address could not be reached, or what it said could not be used.
    Unreachable {
        address: String,
        source: lapin::Error,
    },
}

impl Link {
    pub(crate) fn new(
        role: &'static str,
        urls: BrokerUrls,
        config: RabbitConfig,
        tls: OwnedTLSConfig,
        topology: Option<Topology>,
        closed: CancellationToken,
    ) -> Self {
        // Workers that start together should not all choose the same node.
        let next_node = usize::try_from(random() >> 33).expect("31 bits") % urls.nodes().len();
        let backoff = Backoff::new(config.reconnect_wait_max);
        Self {
            role,
            urls,
            config,
            tls,
            topology,
            slot: tokio::sync::Mutex::new(Slot {
                live: None,
                next_node,
                backoff,
            }),
            last_failure: Mutex::new(None),
            heard: Heard::default(),
            closed,
        }
    }

    /// The connection, made now if need be: each node is tried once, after the wait that the last failure asks for.
    ///
    /// Cancel safe: a try that is abandoned is killed.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, Failure> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(Failure::Closed),
            live = async { self.live_or_dial(self.slot.lock().await).await } => live,
        }
    }

    /// The same for somebody who only wants to know: while others are trying, the last failure is the answer.
    pub(crate) async fn live_or_last_failure(&self) -> Result<Arc<Live>, Failure> {
        if let (Err(_), Some(failure)) = (self.slot.try_lock(), self.last_failure()) {
            return Err(failure);
        }
        self.live().await
    }

    async fn live_or_dial(&self, mut slot: MutexGuard<'_, Slot>) -> Result<Arc<Live>, Failure> {
        if let Some(lost) = slot.live.take_if(|live| !live.is_up()) {
            lost.kill();
            tracing::warn!(
                server.address = lost.address,
                role = self.role,
                "lost the connection to the broker"
            );
        }
        if let Some(live) = &slot.live {
            return Ok(Arc::clone(live));
        }
        slot.backoff.wait().await;
        // Counted before the try, so that an abandoned one counts as well.
        slot.backoff.failed();
        let mut last = Failure::Closed;
        for _ in self.urls.nodes() {
            let node = &self.urls.nodes()[slot.next_node];
            slot.next_node = (slot.next_node + 1) % self.urls.nodes().len();
            match self.dial(node).await {
                Ok(live) => {
                    tracing::info!(
                        server.address = node.address,
                        role = self.role,
                        "connected to the broker"
                    );
                    slot.backoff.reset();
                    slot.live = Some(Arc::clone(&live));
                    self.note(None);
                    return Ok(live);
                }
                Err(source) => {
                    last = Failure::Unreachable {
                        address: node.address.clone(),
                        source,
                    };
                    self.note(Some(&last));
                }
            }
        }
        Err(last)
    }

    /// What went wrong last, while it still is wrong.
    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How long ago the broker last sent anything; nothing before the first connection.
    pub(crate) fn silence(&self) -> Option<Duration> {
        self.heard.age()
    }

    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(self.config.reconnect_wait_max)
    }

    /// Ends the connection in order.
    pub(crate) async fn close(&self) {
        if let Some(live) = self.slot.lock().await.live.take() {
            live.close().await;
        }
    }

    /// The first failure of an outage is news, the next are not.
    fn note(&self, failure: Option<&Failure>) {
        let mut last = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(Failure::Unreachable { address, source }) = failure {
            if last.is_none() {
                tracing::warn!(server.address = address, role = self.role, error = %source, "could not reach the broker; trying on");
            } else {
                tracing::debug!(server.address = address, role = self.role, error = %source, "could not reach the broker");
            }
        }
        *last = failure.cloned();
    }

    async fn dial(&self, node: &Node) -> lapin::Result<Arc<Live>> {
        let mut uri = node.uri.clone();
        let heartbeat = u16::try_from(self.config.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX);
        uri.query.heartbeat.get_or_insert(heartbeat);
        uri.query.frame_max.get_or_insert(FRAME_BYTES_MAX);
        let name = format!("ringback {}", self.role);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let socket = Socket::default();
        let slot = socket.0.clone();
        let tls = self.tls.clone();
        let open = move |uri: AMQPUri, _runtime: async_rs::TokioRuntime| {
            let (slot, tls) = (slot.clone(), tls.clone());
            async move { open_socket(&uri, &slot, &tls).await }
        };
        let connecting =
            Connection::connector(uri, async_rs::Runtime::tokio_current(), open, properties);
        let connection = within(self.config.connect_timeout, connecting).await?;
        let (blocked, watched) = watch::channel(None);
        tokio::spawn(watch_blocking(connection.events_listener(), blocked));
        let mut live = Live {
            connection,
            socket,
            address: node.address.clone(),
            blocked: watched,
            heard: self.heard.clone(),
            drifts: Vec::new(),
        };
        if let Some(topology) = &self.topology {
            live.drifts =
                within(DECLARED_WITHIN, topology::apply(topology, &live.connection)).await?;
            for drift in &live.drifts {
                tracing::warn!("{drift} (hint: {})", drift.advice());
            }
        }
        Ok(Arc::new(live))
    }
}

/// A connection that was up when we last looked.
pub(crate) struct Live {
    connection: Connection,
    socket: Socket,
    /// Host and port.
    pub(crate) address: String,
    /// Why the broker takes no publishes at the moment, if so.
    pub(crate) blocked: watch::Receiver<Option<String>>,
    /// Told whenever something comes.
    pub(crate) heard: Heard,
    /// What was not as expected when it was made.
    pub(crate) drifts: Vec<Drift>,
}

impl Live {
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) async fn channel(&self) -> lapin::Result<lapin::Channel> {
        self.asked(self.connection.create_channel()).await
    }

    /// Waits for an answer of the broker; a broker that does not answer loses the connection.
    pub(crate) async fn asked<T>(
        &self,
        question: impl Future<Output = lapin::Result<T>>,
    ) -> lapin::Result<T> {
        let answered = timeout(ANSWER_WITHIN, question).await.unwrap_or_else(|_| {
            self.kill();
            Err(timed_out())
        });
        if answered.is_ok() {
            self.heard.now();
        }
        answered
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connection.status().connected() && !self.socket.is_killed()
    }

    /// Ends it at once. Only a closed socket ends the library's thread once a peer has gone silent.
    pub(crate) fn kill(&self) {
        self.socket.kill();
    }

    async fn close(&self) {
        let _ = timeout(
            CLOSED_WITHIN,
            self.connection.close(200, "closed by us".into()),
        )
        .await;
        self.kill();
    }

    pub(crate) fn failure(&self, source: lapin::Error) -> Failure {
        Failure::Unreachable {
            address: self.address.clone(),
            source,
        }
    }
}

/// The socket under a connection, as a switch. Dropping it kills: what lives no longer than a try leaves nothing behind.
#[derive(Default)]
pub(crate) struct Socket(Arc<Mutex<SocketState>>);

#[derive(Default)]
pub(crate) enum SocketState {
    #[default]
    Dialling,
    Open(std::net::TcpStream),
    Killed,
}

impl Socket {
    pub(crate) fn state(&self) -> &Mutex<SocketState> {
        &self.0
    }

    fn kill(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let SocketState::Open(socket) = std::mem::replace(&mut *state, SocketState::Killed) {
            // It may be gone already, which is as good.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn is_killed(&self) -> bool {
        matches!(
            *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            SocketState::Killed
        )
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) async fn open_socket(
    uri: &AMQPUri,
    slot: &Mutex<SocketState>,
    tls: &OwnedTLSConfig,
) -> lapin::Result<AsyncTcpStream<Compat<TcpStream>>> {
    let host = uri.authority.host.as_str();
    let socket = TcpStream::connect((host, uri.authority.port)).await?;
    socket.set_nodelay(true)?;
    let socket = socket.into_std()?;
    {
        let mut state = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, SocketState::Killed) {
            return Err(timed_out());
        }
        *state = SocketState::Open(socket.try_clone()?);
    }
    let plain = AsyncTcpStream::Plain(Compat::new(TcpStream::from_std(socket)?));
    match uri.scheme {
        AMQPScheme::AMQP => Ok(plain),
        AMQPScheme::AMQPS => {
            // An application that has chosen a provider keeps it; one that has not would otherwise be ended by a panic as soon as
            // its tree holds two.
            let _ = rustls::crypto::ring::default_provider().install_default();
            Ok(plain.into_tls(host, tls.as_ref()).await?)
        }
    }
}

async fn watch_blocking(
    events: impl futures_util::Stream<Item = Event>,
    blocked: watch::Sender<Option<String>>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Event::ConnectionBlocked(reason) => {
                tracing::warn!(reason, "the broker takes no messages at the moment");
                blocked.send_replace(Some(reason));
            }
            Event::ConnectionUnblocked => {
                tracing::info!("the broker takes messages again");
                blocked.send_replace(None);
            }
            _ => {}
        }
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = lapin::Result<T>>,
) -> lapin::Result<T> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(timed_out()))
}

pub(crate) fn timed_out() -> lapin::Error {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

/// Waits that double from a tenth of a second up to a limit, each shortened by up to half at random.
pub(crate) struct Backoff {
    wait_max: Duration,
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    fn new(wait_max: Duration) -> Self {
        Self {
            wait_max,
            failures: 0,
            not_before: None,
        }
    }

    pub(crate) fn failed(&mut self) {
        self.not_before = Some(Instant::now() + self.next_wait());
        self.failures += 1;
    }

    fn next_wait(&self) -> Duration {
        let longest = FIRST_WAIT
            .saturating_mul(1 << self.failures.min(16))
            .min(self.wait_max);
        // 16 random bits are plenty to keep a fleet from marching in step.
        let share = u32::try_from(random() >> 48).expect("16 bits");
        let least = longest / 2;
        least + least * share / (1 << 16)
    }

    pub(crate) async fn wait(&self) {
        if let Some(moment) = self.not_before {
            sleep_until(moment).await;
        }
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }
}

/// Not for secrets: the standard library's own seed, which is random for each use.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_start_over_after_success() {
        let limit = Duration::from_secs(2);
        let mut backoff = Backoff::new(limit);
        for failures in 0..40 {
            let longest = Duration::from_millis(100 << failures.min(20)).min(limit);
            let wait = backoff.next_wait();
            assert!(
                wait >= longest / 2 && wait <= longest,
                "wait {failures} was {wait:?}"
            );
            backoff.failed();
        }
        backoff.reset();
        assert!(backoff.next_wait() <= FIRST_WAIT);
    }
}
