//! One POST, from the checks to the end of the answer.

use crate::{
    client::{self, Client, HttpSenderError},
    destination_url::UrlPolicy,
    failure,
    fair_lookup::FairLookup,
    lookup::{Lookup, SystemLookup},
    watch::Watch,
};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{ResponseFuture, connect::HttpInfo};
use ringback_delivery::port::{Exchange, Request, SendFailure, Sender};
use ringback_domain::{
    Answer, Excerpt, NotSentReason,
    limits::{EXCERPT_BYTES_MAX, URL_BYTES_MAX},
};
use rustls::RootCertStore;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::timeout;
use url::Url;

/// A `Retry-After` needs 29 bytes at most; more is not one.
const RETRY_AFTER_BYTES_MAX: usize = 64;

const USER_AGENT: &str = concat!("Ringback/", env!("CARGO_PKG_VERSION"));

/// How requests are sent.
#[derive(Clone)]
pub struct HttpConfig {
    /// Where to.
    pub urls: UrlPolicy,
    /// From the name lookup to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// The name lookup alone, from its beginning: the wait for a place among the lookups is not part of it.
    pub lookup_timeout: Duration,
    /// Bytes of an answer's body that are read; then the connection is dropped.
    pub response_body_max: usize,
    /// The only way out, where there is one. The proxy looks names up, so it must keep the address policy for them.
    pub proxy: Option<Url>,
    /// Certificate authorities to trust besides the system's, in PEM.
    pub authorities_pem: Option<Vec<u8>>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            urls: UrlPolicy::default(),
            connect_timeout: Duration::from_secs(5),
            lookup_timeout: Duration::from_secs(3),
            response_body_max: 16 * 1024,
            proxy: None,
            authorities_pem: None,
        }
    }
}

/// Sends over HTTP/1.1, with and without TLS.
pub struct HttpSender {
    client: Client,
    /// What the proxy wants to be told with requests in plain text.
    proxy_authorization: Option<HeaderValue>,
    pub(crate) urls: UrlPolicy,
    pub(crate) lookup: FairLookup,
    /// What a handshake is looked at with; nothing where a proxy makes it.
    pub(crate) authorities: Option<RootCertStore>,
    pub(crate) connect_timeout: Duration,
    response_body_max: usize,
}

/// An exchange, and what its answer tells those who look after the receiver.
#[derive(Debug, Clone)]
pub struct Observed {
    /// As a delivery has it.
    pub exchange: Exchange,
    /// Where a redirect leads, as it came. It is never followed.
    pub location: Option<String>,
    /// The receiver ends the connection after its answer.
    pub closes: bool,
}

impl HttpSender {
    /// A sender that asks the system's resolver.
    ///
    /// # Errors
    ///
    /// What in the configuration cannot be used.
    pub fn try_new(config: &HttpConfig) -> Result<Self, HttpSenderError> {
        let lookup = SystemLookup::new(&config.urls.addresses);
        Self::with_lookup(config, Arc::new(lookup))
    }

    /// A sender that asks another resolver. Its answers pass the same gate.
    ///
    /// # Errors
    ///
    /// What in the configuration cannot be used.
    pub fn with_lookup(
        config: &HttpConfig,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, HttpSenderError> {
        let lookup = FairLookup::new(lookup, config.lookup_timeout);
        let (client, proxy_authorization) = client::build(config, lookup.clone())?;
        Ok(Self {
            client,
            proxy_authorization,
            urls: config.urls.clone(),
            lookup,
            authorities: match config.proxy {
                None => Some(client::authorities(config)?),
                Some(_) => None,
            },
            connect_timeout: config.connect_timeout,
            response_body_max: config.response_body_max,
        })
    }

    async fn exchange(
        &self,
        response: ResponseFuture,
        watch: &Watch,
    ) -> Result<(Answer, Head), SendFailure> {
        let response = response.await.map_err(|error| {
            let failure = failure::of_request(&error, watch.step());
            log_failure(&error, failure);
            failure
        })?;
        let reached = response.extensions().get::<HttpInfo>();
        let status = response.status().as_u16();
        watch.answered(status, reached.map(HttpInfo::remote_addr));
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after = retry_after
            .filter(|text| text.len() <= RETRY_AFTER_BYTES_MAX)
            .map(str::to_owned);
        let head = Head::of(&response);
        let excerpt = self
            .read_body(response.into_body())
            .await
            .map_err(|error| {
                let failure = failure::of_body(&error);
                log_failure(&error, failure);
                failure
            })?;
        let answer = Answer {
            status,
            retry_after,
            excerpt,
        };
        Ok((answer, head))
    }

    /// Reads the body up to the limit and keeps its beginning. Dropping it before the end closes the connection.
    async fn read_body(&self, mut body: Incoming) -> hyper::Result<Excerpt> {
        let (mut kept, mut read) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let Ok(chunk) = frame?.into_data() else {
                continue;
            };
            read += chunk.len();
            let wanted = EXCERPT_BYTES_MAX - kept.len();
            kept.extend_from_slice(&chunk[..chunk.len().min(wanted)]);
            if read > self.response_body_max {
                break;
            }
        }
        Ok(Excerpt::new(&kept, read > kept.len()))
    }
}

fn log_failure(error: &(dyn std::error::Error + 'static), failure: SendFailure) {
    tracing::debug!(error, ?failure, "the attempt got no answer");
}

/// What of an answer's head matters to no delivery.
#[derive(Default)]
struct Head {
    location: Option<String>,
    closes: bool,
}

impl Head {
    fn of(response: &http::Response<Incoming>) -> Self {
        let header = |name| {
            let value: &HeaderValue = response.headers().get(name)?;
            value.to_str().ok()
        };
        let location = header(header::LOCATION).filter(|text| text.len() <= URL_BYTES_MAX);
        let connection = header(header::CONNECTION).unwrap_or_default();
        let says_close = |option: &str| option.trim().eq_ignore_ascii_case("close");
        Self {
            location: location.map(str::to_owned),
            closes: connection.split(',').any(says_close)
                || response.version() < http::Version::HTTP_11,
        }
    }
}

impl HttpSender {
    /// Sends as for a delivery, and tells more of the answer.
    ///
    /// What can be done at once is done before the future is made: what it no longer needs would stay in it while it waits,
    /// and there may be a thousand of them.
    pub fn observe(&self, request: Request) -> impl Future<Output = Observed> + Send + '_ {
        let watch = Watch::start(request.url.port_or_known_default().unwrap_or_default());
        let time_limit = request.time_limit;
        let prepared = self.prepare(request);
        let response = prepared.map(|request| self.client.request(request));
        self.observe_response(response, watch, time_limit)
    }

    async fn observe_response(
        &self,
        response: Result<ResponseFuture, SendFailure>,
        watch: Arc<Watch>,
        time_limit: Duration,
    ) -> Observed {
        let answered = match response {
            Err(failure) => Err(failure),
            Ok(response) => {
                let exchange = self.exchange(response, &watch);
                let in_time = timeout(time_limit, watch.over(exchange)).await;
                in_time.unwrap_or_else(|_| Err(failure::of_time_limit(watch.step())))
            }
        };
        let (phases, address) = watch.reading();
        let (result, head) = match answered {
            Ok((answer, head)) => (Ok(answer), head),
            Err(failure) => (Err(failure), Head::default()),
        };
        Observed {
            exchange: Exchange {
                phases,
                address,
                cut_off: watch.status().filter(|_| result.is_err()),
                result,
            },
            location: head.location,
            closes: head.closes,
        }
    }
}

impl Sender for HttpSender {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        self.observe(request)
            .map(|observed| observed.exchange)
            .boxed()
    }

    fn check_url(&self, url: &Url) -> Result<(), String> {
        self.urls.check(url).map_err(|fault| fault.to_string())
    }
}

impl HttpSender {
    /// The first gate, and the request as the client takes it.
    fn prepare(&self, request: Request) -> Result<http::Request<Full<Bytes>>, SendFailure> {
        let Request {
            url,
            headers,
            body,
            time_limit: _,
            tracing: _,
        } = request;
        let forbidden = |fault| failure::of_url(&fault);
        self.urls.check(&url).map_err(forbidden)?;
        let uri = Uri::try_from(url.as_str())
            .map_err(|_| SendFailure::NotSent(NotSentReason::UrlForbidden))?;
        let (length, is_plain) = (body.len(), url.scheme() == "http");
        let mut prepared = http::Request::new(Full::new(body));
        *prepared.method_mut() = Method::POST;
        *prepared.uri_mut() = uri;
        let fields = prepared.headers_mut();
        for (name, value) in headers {
            let field = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .zip(HeaderValue::try_from(value).ok());
            let Some((field, value)) = field else {
                // Profile and header policy were checked long before; a signature must not be left out in silence.
                tracing::error!(header = %name.escape_debug(), "a header of the profile cannot be sent");
                return Err(SendFailure::NotSent(NotSentReason::ProfileUnknown));
            };
            fields.insert(field, value);
        }
        for name in [
            header::HOST,
            header::TRANSFER_ENCODING,
            header::CONNECTION,
            header::EXPECT,
        ] {
            fields.remove(name);
        }
        // Ours come last and replace whatever was there.
        fields.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        fields.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        fields.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(authorization) = self.proxy_authorization.as_ref().filter(|_| is_plain) {
            fields.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        Ok(prepared)
    }
}
