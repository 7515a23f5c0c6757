//! A receiver on this machine: takes whole requests, answers as told, and hands on what it took.

use crate::forward::{Forwarded, Forwarder};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes of a request's body that are taken; more than any event makes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Requests taken and not yet looked at; further ones wait for their answer.
const UNSEEN_MAX: usize = 64;
/// How long a request's head may take.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long answers under way may take when closing.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// A listening socket on the loopback address, and what arrived there.
pub(crate) struct Receiver {
    address: SocketAddr,
    received: mpsc::Receiver<Received>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// A request, whole, with the answer it is given.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body was longer than is taken, and was refused.
    pub(crate) too_long: bool,
    pub(crate) answer: StatusCode,
    /// What came of handing it on, where that was asked for.
    pub(crate) forwarded: Option<Forwarded>,
}

/// What requests are answered with.
pub(crate) struct Answers {
    by: By,
    delay: Duration,
}

enum By {
    /// The status for the request of this number; the first is 0.
    Status(Box<dyn Fn(usize) -> StatusCode + Send + Sync>),
    /// Whatever another program answers.
    Forwarder(Forwarder),
}

impl Answers {
    /// These statuses in turn, then the last for ever; each after a delay.
    pub(crate) fn in_turn(statuses: Vec<u16>, delay: Duration) -> Self {
        let status = move |index: usize| {
            let status = statuses.get(index).or(statuses.last());
            status
                .and_then(|status| StatusCode::from_u16(*status).ok())
                .unwrap_or(StatusCode::OK)
        };
        Self {
            by: By::Status(Box::new(status)),
            delay,
        }
    }

    /// Whatever the program that it is handed on to answers, after a delay.
    pub(crate) fn forwarded(forwarder: Forwarder, delay: Duration) -> Self {
        Self {
            by: By::Forwarder(forwarder),
            delay,
        }
    }

    /// Whatever the function says at the moment.
    pub(crate) fn by(status: impl Fn() -> StatusCode + Send + Sync + 'static) -> Self {
        Self {
            by: By::Status(Box::new(move |_| status())),
            delay: Duration::ZERO,
        }
    }
}

impl Receiver {
    /// Listens there; port 0 takes a free one.
    pub(crate) async fn bind(address: SocketAddr, answers: Answers) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (sender, received) = mpsc::channel(UNSEEN_MAX);
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let desk = Arc::new(Desk {
            answers,
            count: AtomicUsize::new(0),
            received: sender,
            closing: closing.clone(),
        });
        tasks.spawn(accept(listener, desk, tasks.clone()));
        Ok(Self {
            address,
            received,
            closing,
            tasks,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request, as soon as its answer is on the way.
    pub(crate) async fn next(&mut self) -> Received {
        self.received
            .recv()
            .await
            .expect("the acceptor keeps a sender until we close")
    }

    /// What has arrived and was not looked at.
    pub(crate) fn take_all(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }

    /// Takes nothing more, and lets answers under way leave.
    pub(crate) async fn close(self) {
        self.closing.cancel();
        self.tasks.close();
        let _ = timeout(CLOSE_WITHIN, self.tasks.wait()).await;
    }
}

/// What all connections share.
struct Desk {
    answers: Answers,
    count: AtomicUsize,
    received: mpsc::Sender<Received>,
    closing: CancellationToken,
}

async fn accept(listener: TcpListener, desk: Arc<Desk>, tasks: TaskTracker) {
    let closing = desk.closing.clone();
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, desk.clone()));
            }
            Err(failure) => {
                // Out of descriptors, most likely: some will be free again.
                tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "could not accept a connection"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    let service = service_fn(|request| desk.answer(request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_LIMIT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = desk.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(failure) = ended {
        tracing::debug!(
            error = &failure as &dyn std::error::Error,
            "a connection ended early"
        );
    }
}

impl Desk {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let (body, too_long) = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => (body.to_bytes(), false),
            Err(failure) if failure.is::<LengthLimitError>() => (Bytes::new(), true),
            Err(_) => return Ok(response(StatusCode::BAD_REQUEST)),
        };
        let index = self.count.fetch_add(1, Ordering::Relaxed);
        let mut forwarded = None;
        let response = match &self.answers.by {
            _ if too_long => response(StatusCode::PAYLOAD_TOO_LARGE),
            By::Status(status) => response(status(index)),
            By::Forwarder(program) => forwarded
                .insert(
                    program
                        .forward(&head.method, &head.uri, &head.headers, body.clone())
                        .await,
                )
                .response(),
        };
        tokio::time::sleep(self.answers.delay).await;
        let received = Received {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body,
            too_long,
            answer: response.status(),
            forwarded,
        };
        // Nobody looking any more means that we are ending.
        let _ = self.received.send(received).await;
        Ok(response)
    }
}

fn response(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(
        status.canonical_reason().unwrap_or_default().into(),
    ));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_turn_and_the_last_for_ever() {
        let answers = Answers::in_turn(vec![500, 503, 200], Duration::ZERO);
        let By::Status(status) = answers.by else {
            panic!("it answers by itself")
        };
        let given: Vec<_> = (0..5).map(|index| status(index).as_u16()).collect();
        assert_eq!(given, [500, 503, 200, 200, 200]);
    }
}
