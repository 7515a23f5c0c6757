//! The listening end: connections with limits, and an orderly stop.

use crate::{
    problem::{Code, Problem},
    slots::{Slot, Slots, Writing},
    taken::Taken,
};
use axum::{Router, response::IntoResponse};
use futures_util::FutureExt;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 100;
/// How long to wait after a connection could not be accepted: mostly there are no file handles left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How much the HTTP side takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once. A new one takes the place of one that waits for its client; where none does, it waits.
    pub connections_max: usize,
    /// How long the head of a request may take to arrive; also how long an idle connection is kept.
    pub head_time_limit: Duration,
    /// How long a body may take to arrive.
    pub body_time_limit: Duration,
    /// How long a body has been on its way when its connection makes room, where all are taken and none is quiet.
    pub body_yields_after: Duration,
    /// How long a client may take nothing of its answer.
    pub stall_time_limit: Duration,
    /// Wrong keys that one address may show within [`FAILURES_WINDOW`](crate::auth::FAILURES_WINDOW).
    pub key_failures_max: u32,
    /// How long answers under way may go on after the wish to stop.
    pub stop_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            head_time_limit: Duration::from_secs(20),
            body_time_limit: Duration::from_secs(30),
            body_yields_after: Duration::from_secs(5),
            stall_time_limit: Duration::from_secs(30),
            key_failures_max: crate::auth::FAILURES_MAX,
            stop_grace: Duration::from_secs(35),
        }
    }
}

/// Who is at the other end of a connection: an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    cut_off: CancellationToken,
    tasks: TaskTracker,
    grace: Duration,
}

/// What every connection works with.
struct Connections {
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    cut_off: CancellationToken,
}

/// What the kernel keeps of an answer, which it doubles. It says that the client took something once a third of that is free; on its
/// own it would keep some megabytes, and a client that takes 20 kB a second would seem to take nothing.
const SEND_BUFFER: u32 = 128 << 10;
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1_024;

impl Server {
    /// Listens and answers. `stop` is the wish to stop, for those who answer.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn start(
        listen: SocketAddr,
        router: Router,
        limits: Limits,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let listener = listen_at(listen)?;
        let address = listener.local_addr()?;
        let (tasks, cut_off) = (TaskTracker::new(), CancellationToken::new());
        let connections = Arc::new(Connections {
            router,
            limits,
            stop: stop.clone(),
            cut_off: cut_off.clone(),
        });
        tasks.spawn(accept(listener, connections, tasks.clone()));
        Ok(Self {
            address,
            stop,
            cut_off,
            tasks,
            grace: limits.stop_grace,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, and lets answers under way end within the grace.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(self.grace, self.tasks.wait()).await.is_err() {
            self.cut_off.cancel();
            self.tasks.wait().await;
        }
    }
}

/// Accepted connections have the listener's buffers.
fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, connections: Arc<Connections>, tasks: TaskTracker) {
    let limits = connections.limits;
    let slots = Slots::new(limits.connections_max, limits.body_yields_after);
    let stop = connections.stop.clone();
    loop {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else {
            break;
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(slot) = stop.run_until_cancelled(slots.take(peer.ip())).await else {
                    break;
                };
                tasks.spawn(serve(stream, peer.ip(), connections.clone(), slot));
            }
            Err(failure) => {
                tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "could not accept a connection"
                );
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: IpAddr, connections: Arc<Connections>, slot: Arc<Slot>) {
    let _ = stream.set_nodelay(true);
    let taken = Taken::new(stream, connections.limits.stall_time_limit);
    let service = service_fn(|request| answer(request, peer, connections.router.clone(), &slot));
    let mut serving = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(connections.limits.head_time_limit)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(taken), service)
    );
    // One that hangs up early, or sends what is no HTTP, is no event of ours. One that makes room does nothing more: what is begun
    // for a body whose end came this very moment would be cut off in the middle.
    tokio::select! {
        biased;
        () = slot.is_wanted() => return,
        _ = serving.as_mut() => return,
        () = connections.stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    let _ = connections.cut_off.run_until_cancelled(serving).await;
}

async fn answer(
    request: Request<Incoming>,
    peer: IpAddr,
    router: Router,
    slot: &Arc<Slot>,
) -> Result<http::Response<Writing>, Infallible> {
    let busy = slot.busy();
    let mut request = request.map(|body| axum::body::Body::new(slot.arriving(body)));
    request.extensions_mut().insert(Peer(peer));
    let answering = AssertUnwindSafe(router.oneshot(request)).catch_unwind();
    let answered = answering.await.unwrap_or_else(|_| {
        tracing::error!("answering a call panicked");
        Ok(Problem::new(Code::Internal).into_response())
    })?;
    Ok(answered.map(|body| busy.until_written(body)))
}
