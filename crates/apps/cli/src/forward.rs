//! Handing a request on to a program on this machine, and its answer back.

use crate::failure::{Exit, Failure, Outcome};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ringback_domain::limits::TIME_LIMIT_MAX;
use std::{io, net::SocketAddr, pin::pin, time::Duration};
use tokio::{net::TcpStream, time::Instant, time::timeout};
use url::{Host, Url};

/// How long connecting to a program on this machine may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer that are taken.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What belongs to a connection and not to the request. RFC 9110, section 7.6.1.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Hands requests on.
#[derive(Debug)]
pub(crate) struct Forwarder {
    url: Url,
    host: String,
    port: u16,
    anywhere: bool,
}

/// What came of handing a request on.
#[derive(Debug, Clone)]
pub(crate) struct Forwarded {
    pub(crate) to: String,
    pub(crate) took: Duration,
    /// The answer, or why there is none.
    pub(crate) answer: Result<Answered, Unanswered>,
}

/// An answer, as it goes back.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("nothing listens at {0}")]
    Down(String),
    #[error("the connection to {0} ended before the answer did")]
    Lost(String),
    #[error("no answer within {} s", TIME_LIMIT_MAX.as_secs())]
    TooSlow,
    #[error("the answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("`{0}` is an address of another machine")]
    Elsewhere(SocketAddr),
}

impl Unanswered {
    /// What whoever sent the request is told.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// The next move.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Down(_) => "is the program running, and on that port?",
            Self::Lost(_) => "the program's own log says why",
            Self::TooSlow => "answer first, work afterwards: senders wait for 30 s or less",
            Self::TooLong => "senders read the beginning of an answer only",
            Self::Elsewhere(_) => "--forward-anywhere allows it",
        }
    }
}

impl Forwarder {
    /// Reads where to hand on to. Without `anywhere`, that is this machine.
    pub(crate) fn try_new(text: &str, anywhere: bool) -> Outcome<Self> {
        let form = || {
            Failure::usage(format!("`{text}` is not a URL to hand on to"))
                .hint("write `http://127.0.0.1:3000/path`")
        };
        let url = Url::parse(text).map_err(|fault| form().because(fault))?;
        if url.scheme() != "http" {
            return Err(form().because(io::Error::other("only `http` is spoken to local programs")));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(form());
        };
        let is_here = match &host {
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
            Host::Domain(name) => *name == "localhost",
        };
        if !is_here && !anywhere {
            return Err(
                Failure::new(Exit::Refused, format!("`{host}` is not this machine"))
                    .hint("--forward-anywhere allows it"),
            );
        }
        let host = match host {
            Host::Ipv6(ip) => ip.to_string(),
            host => host.to_string(),
        };
        Ok(Self {
            url,
            host,
            port,
            anywhere,
        })
    }

    /// Hands a request on: method, path, headers and body as they came, but for what belongs to the connection.
    pub(crate) async fn forward(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Forwarded {
        let started_at = Instant::now();
        let path = self.path_of(uri);
        let answer =
            match timeout(TIME_LIMIT_MAX, self.exchange(method, &path, headers, body)).await {
                Ok(answer) => answer,
                Err(_) => Err(Unanswered::TooSlow),
            };
        Forwarded {
            to: format!("{}{path}", self.origin()),
            took: started_at.elapsed(),
            answer,
        }
    }

    fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Our own path, and then the request's.
    fn path_of(&self, uri: &Uri) -> String {
        let (own, asked) = (self.url.path(), uri.path());
        let path = match (own.trim_end_matches('/'), asked) {
            ("", asked) => asked.to_owned(),
            (_, "/") => own.to_owned(),
            (own, asked) => format!("{own}{asked}"),
        };
        match (uri.query(), self.url.query()) {
            (Some(query), Some(own)) => format!("{path}?{own}&{query}"),
            (Some(query), None) | (None, Some(query)) => format!("{path}?{query}"),
            (None, None) => path,
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answered, Unanswered> {
        let stream = self.connect().await?;
        let lost = |_| Unanswered::Lost(self.origin());
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = path.parse().expect("made of the paths of two URLs");
        *request.headers_mut() = end_to_end(headers);
        let host = self.url[url::Position::BeforeHost..url::Position::AfterPort].parse();
        request
            .headers_mut()
            .insert(header::HOST, host.expect("a host is visible ASCII"));
        let exchange = async {
            let (head, body) = sender
                .send_request(request)
                .await
                .map_err(lost)?
                .into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|failure| {
                if failure.is::<http_body_util::LengthLimitError>() {
                    Unanswered::TooLong
                } else {
                    Unanswered::Lost(self.origin())
                }
            })?;
            Ok(Answered {
                status: head.status,
                headers: end_to_end(&head.headers),
                body: body.to_bytes(),
            })
        };
        let (mut exchange, connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            answer = exchange.as_mut() => answer,
            // Its end is not ours: the answer may be here already.
            _ = connection => exchange.await,
        }
    }

    /// Connects to the first address that takes us, and to none that is elsewhere, whatever the name says today.
    async fn connect(&self) -> Result<TcpStream, Unanswered> {
        let down = || Unanswered::Down(self.origin());
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        for address in found.map_err(|_| down())? {
            if !self.anywhere && !address.ip().is_loopback() {
                return Err(Unanswered::Elsewhere(address));
            }
            if let Ok(Ok(stream)) = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                return Ok(stream);
            }
        }
        Err(down())
    }
}

/// Headers without those that belong to one connection, or that say how the body is framed.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for named in headers.get_all(header::CONNECTION) {
        for name in named.to_str().unwrap_or_default().split(',') {
            kept.remove(name.trim());
        }
    }
    for name in &HOP_BY_HOP {
        kept.remove(name);
    }
    kept.remove(header::CONTENT_LENGTH);
    kept
}

impl Forwarded {
    /// The answer to whoever sent the request.
    pub(crate) fn response(&self) -> Response<Full<Bytes>> {
        match &self.answer {
            Ok(answered) => {
                let mut response = Response::new(Full::new(answered.body.clone()));
                *response.status_mut() = answered.status;
                *response.headers_mut() = answered.headers.clone();
                response
            }
            Err(why) => {
                let mut response = Response::new(Full::new(why.to_string().into()));
                *response.status_mut() = why.status();
                response
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_handed_on_to_unless_it_is_allowed() {
        for here in [
            "http://127.0.0.1:3000",
            "http://127.9.9.9/",
            "http://[::1]:1/x",
            "http://localhost/",
        ] {
            assert!(Forwarder::try_new(here, false).is_ok(), "{here}");
        }
        for elsewhere in [
            "http://10.0.0.1/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let refused = Forwarder::try_new(elsewhere, false).unwrap_err();
            assert_eq!(refused.exit(), Exit::Refused, "{elsewhere}");
            assert!(Forwarder::try_new(elsewhere, true).is_ok(), "{elsewhere}");
        }
        for unusable in [
            "127.0.0.1:3000",
            "https://127.0.0.1/",
            "file:///etc/passwd",
            "",
        ] {
            let refused = Forwarder::try_new(unusable, true).unwrap_err();
            assert_eq!(refused.exit(), Exit::Usage, "{unusable}");
        }
    }

    #[test]
    fn the_path_is_ours_and_then_that_of_the_request() {
        for (ours, asked, path) in [
            ("http://localhost", "/", "/"),
            ("http://localhost/", "/a/b?x=1", "/a/b?x=1"),
            ("http://localhost/hook", "/", "/hook"),
            ("http://localhost/hook/", "/a", "/hook/a"),
            ("http://localhost/hook?t=1", "/a?x=2", "/hook/a?t=1&x=2"),
        ] {
            let forwarder = Forwarder::try_new(ours, false).unwrap();
            assert_eq!(forwarder.path_of(&asked.parse().unwrap()), path);
        }
    }

    #[test]
    fn what_belongs_to_the_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "2"),
            ("webhook-id", "evt_1"),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let kept = end_to_end(&headers);
        assert_eq!(
            kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["webhook-id"]
        );
    }
}
