//! A receiver that does as it is told: it answers by script, misbehaves in every way a real one can, and remembers each request.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::Instant,
};

/// How long a test waits for a request before it gives up.
const PATIENCE: Duration = Duration::from_mins(1);
const HUGE_CHUNK: &[u8] = &[b'x'; 16 * 1024];

/// A receiver on a free loopback port. Ends, with all its connections, when dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    scripts: Mutex<HashMap<String, VecDeque<Answer>>>,
    received: watch::Sender<Vec<Received>>,
}

/// A request that came, whole.
#[derive(Debug, Clone)]
pub struct Received {
    /// When its last byte was read.
    pub at: Instant,
    /// `POST`, if all is well.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// As they came; names in lower case.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
}

impl Received {
    /// A header as text; `None` when absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What the receiver does with a request, after it has read it.
#[derive(Debug, Clone)]
pub struct Answer {
    after: Duration,
    held: Option<watch::Receiver<bool>>,
    deed: Deed,
}

#[derive(Debug, Clone)]
enum Deed {
    Respond {
        status: StatusCode,
        headers: Vec<(&'static str, String)>,
        body: Body,
    },
    Hang,
    Reset,
}

#[derive(Debug, Clone)]
enum Body {
    Whole(Bytes),
    Huge { bytes: usize },
    Drip { every: Duration },
}

impl Answer {
    /// This status and an empty body.
    pub fn status(status: u16) -> Self {
        Self {
            after: Duration::ZERO,
            held: None,
            deed: Deed::Respond {
                status: StatusCode::from_u16(status).expect("a test names a possible status"),
                headers: Vec::new(),
                body: Body::Whole(Bytes::new()),
            },
        }
    }

    /// No answer, on a connection that stays open.
    pub fn hang() -> Self {
        Self {
            after: Duration::ZERO,
            held: None,
            deed: Deed::Hang,
        }
    }

    /// The connection is reset.
    pub fn reset() -> Self {
        Self {
            after: Duration::ZERO,
            held: None,
            deed: Deed::Reset,
        }
    }

    /// A redirect that nobody should follow.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::status(status).with_header("location", location)
    }

    /// Status 200 and a body of so many bytes, without announcing their number.
    pub fn huge(bytes: usize) -> Self {
        Self::status(200).with(Body::Huge { bytes })
    }

    /// Status 200 and a body of one byte now and then, for ever.
    pub fn drip(every: Duration) -> Self {
        Self::status(200).with(Body::Drip { every })
    }

    /// Waits before answering.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.after = wait;
        self
    }

    /// Waits until this says yes before answering.
    #[must_use]
    pub fn held_until(mut self, released: &watch::Sender<bool>) -> Self {
        self.held = Some(released.subscribe());
        self
    }

    /// With this body.
    #[must_use]
    pub fn with_body(self, body: impl Into<Bytes>) -> Self {
        self.with(Body::Whole(body.into()))
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Deed::Respond { headers, .. } = &mut self.deed {
            headers.push((name, value.into()));
        }
        self
    }

    fn with(mut self, new: Body) -> Self {
        if let Deed::Respond { body, .. } = &mut self.deed {
            *body = new;
        }
        self
    }
}

impl Receiver {
    /// Starts one that answers 200 to everything, until told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            scripts: Mutex::default(),
            received: watch::Sender::default(),
        });
        Self {
            address,
            shared: Arc::clone(&shared),
            accepting: tokio::spawn(accept(listener, shared)),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Says how to answer requests to this path, in order; the last answer goes on for ever.
    pub fn script(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.shared
            .scripts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_owned(), answers.into_iter().collect());
    }

    /// What came to this path so far, whatever the query.
    pub fn received(&self, path: &str) -> Vec<Received> {
        to_path(&self.shared.received.borrow(), path)
    }

    /// Waits until so many requests have come to this path, and returns all that came to it.
    ///
    /// # Panics
    ///
    /// When they do not come within a minute.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        let mut received = self.shared.received.subscribe();
        let enough = received.wait_for(|all| to_path(all, path).len() >= count);
        let Ok(all) = tokio::time::timeout(PATIENCE, enough).await else {
            panic!(
                "{} of {count} requests came to {path} within {PATIENCE:?}",
                self.received(path).len()
            )
        };
        to_path(&all.expect("the sender lives as long as we do"), path)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn next_answer(&self, path: &str) -> Answer {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        match scripts.get_mut(path) {
            Some(script) if script.len() > 1 => script.pop_front(),
            Some(script) => script.front().cloned(),
            None => None,
        }
        .unwrap_or_else(|| Answer::status(200))
    }
}

fn to_path(all: &[Received], path: &str) -> Vec<Received> {
    all.iter()
        .filter(|request| request.uri.path() == path)
        .cloned()
        .collect()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends its tasks when this one is aborted.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(serve(stream, shared));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // A second handle on the socket: hyper owns the first, and only the socket itself can be told to end with a reset.
    let Ok((stream, socket)) = two_handles(stream) else {
        return;
    };
    let service = service_fn(|request| answer(request, &shared, &socket));
    // An error is a connection that ended early, by our script or by the sender; the requests tell the tests all they need.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn two_handles(stream: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let second = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(second)?))
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    socket: &TcpStream,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let answer = shared.next_answer(head.uri.path());
    shared.received.send_modify(|all| {
        all.push(Received {
            at: Instant::now(),
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body,
        });
    });
    tokio::time::sleep(answer.after).await;
    if let Some(mut released) = answer.held {
        released.wait_for(|released| *released).await?;
    }
    match answer.deed {
        Deed::Hang => std::future::pending().await,
        Deed::Reset => {
            socket.set_zero_linger()?;
            Err("reset, as the script says".into())
        }
        Deed::Respond {
            status,
            headers,
            body,
        } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(body.into_http())?)
        }
    }
}

impl Body {
    fn into_http(self) -> UnsyncBoxBody<Bytes, Infallible> {
        let frame = |bytes| Ok(Frame::data(bytes));
        match self {
            Self::Whole(bytes) => Full::new(bytes).boxed_unsync(),
            Self::Huge { bytes } => {
                let chunks = stream::iter((0..bytes).step_by(HUGE_CHUNK.len()));
                let chunk = move |start| {
                    Bytes::from_static(&HUGE_CHUNK[..HUGE_CHUNK.len().min(bytes - start)])
                };
                StreamBody::new(chunks.map(chunk).map(frame)).boxed_unsync()
            }
            Self::Drip { every } => {
                let drops = stream::repeat(Bytes::from_static(b".")).then(move |drop| async move {
                    tokio::time::sleep(every).await;
                    drop
                });
                StreamBody::new(drops.map(frame)).boxed_unsync()
            }
        }
    }
}
