//! Receivers on loopback that do as they are told, and the sender aimed at them.

use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{Exchange, Request, SendFailure, Sender, Tracing};
use ringback_domain::{AttemptNumber, Generation, UnreachableCause};
use ringback_sender_http::{AddressPolicy, HttpConfig, HttpSender, Lookup, UrlPolicy};
use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use url::Url;

/// Long enough that only a hang reaches it.
pub(crate) const AMPLE: Duration = Duration::from_secs(30);
/// For receivers that never finish.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// A receiver; stops when dropped.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Receiver {
    /// Handles every connection with the given function.
    pub(crate) async fn start<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                // A receiver's own trouble, such as a sender that hung up, is part of the scene.
                tokio::spawn(handle(stream));
            }
        });
        Self {
            port,
            connections,
            accepting,
        }
    }

    /// Answers every request on every connection with these bytes.
    pub(crate) async fn answering(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::start(move |mut stream| {
            let answer = answer.clone();
            async move {
                while read_request(&mut stream).await?.is_some() {
                    stream.write_all(&answer).await?;
                }
                Ok(())
            }
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Reads one request with a body, as text; `None` when the sender hung up before it.
pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        bytes.push(byte[0]);
        if let Some(head) = bytes.strip_suffix(b"\r\n\r\n") {
            let length = String::from_utf8_lossy(head)
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            bytes.extend(body);
            return Ok(Some(String::from_utf8(bytes).unwrap()));
        }
    }
}

/// Answers lookups with one list of addresses after the other; the last one stays.
pub(crate) struct Scripted(Mutex<VecDeque<Vec<IpAddr>>>);

impl Scripted {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

#[async_trait]
impl Lookup for Scripted {
    async fn lookup(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        answer.ok_or_else(|| io::Error::other("no such name"))
    }
}

pub(crate) fn policy(allowed: &[&str]) -> UrlPolicy {
    let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
    UrlPolicy {
        addresses: AddressPolicy::new(allowed, Vec::new()),
        https_only: false,
    }
}

pub(crate) fn config(allowed: &[&str]) -> HttpConfig {
    HttpConfig {
        urls: policy(allowed),
        ..HttpConfig::default()
    }
}

/// Everything goes through this proxy, whose own name resolves inwards.
pub(crate) fn through(proxy: &Receiver) -> HttpConfig {
    let url = format!("http://user:pw@proxy.internal:{}", proxy.port);
    HttpConfig {
        proxy: Some(url.parse().unwrap()),
        ..config(&[])
    }
}

/// A sender that may reach 127.0.0.1 and finds every name there.
pub(crate) fn local_sender() -> HttpSender {
    sender_with(&config(&["127.0.0.1/32"]), &[&["127.0.0.1"]])
}

pub(crate) fn sender_with(config: &HttpConfig, answers: &[&[&str]]) -> HttpSender {
    HttpSender::with_lookup(config, Scripted::new(answers)).unwrap()
}

pub(crate) fn request(url: &str, time_limit: Duration) -> Request {
    Request {
        url: Url::parse(url).unwrap(),
        headers: vec![
            ("X-Webhook-ID".into(), "evt_1".into()),
            ("webhook-signature".into(), "v1,abc=".into()),
        ],
        body: Bytes::from_static(b"{\"a\":1}"),
        time_limit,
        tracing: Tracing {
            delivery: "dlv_1".parse().unwrap(),
            generation: Generation::FIRST,
            attempt: AttemptNumber::FIRST,
            trace: None,
            is_told: false,
        },
    }
}

pub(crate) async fn post(sender: &HttpSender, url: &str) -> Exchange {
    sender.send(request(url, AMPLE)).await
}

#[track_caller]
pub(crate) fn assert_unreachable(exchange: &Exchange, cause: UnreachableCause) {
    match &exchange.result {
        Err(failure) => assert_eq!(*failure, SendFailure::Unreachable(cause)),
        Ok(answer) => panic!("an answer came: {answer:?}"),
    }
}

#[track_caller]
pub(crate) fn status(exchange: &Exchange) -> u16 {
    exchange.result.as_ref().expect("an answer").status
}

/// A port on which nothing listens.
pub(crate) async fn closed_port() -> u16 {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    listener.local_addr().unwrap().port()
}
