//! One POST, from the checks to the end of the answer.

use crate::{
    client::{self, HttpSenderError},
    destination_url::UrlPolicy,
    failure,
    lookup::{Lookup, SystemLookup},
    watch::Watch,
};
use async_trait::async_trait;
use http::{HeaderName, HeaderValue, Method, header};
use ringback_delivery::port::{Exchange, Request, SendFailure, Sender};
use ringback_domain::{
    Answer, Excerpt, NotSentReason,
    limits::{EXCERPT_BYTES_MAX, URL_BYTES_MAX},
};
use rustls::RootCertStore;
use std::{sync::Arc, time::Duration};
use url::Url;

/// A `Retry-After` needs 29 bytes at most; more is not one.
const RETRY_AFTER_BYTES_MAX: usize = 64;

/// How requests are sent.
#[derive(Clone)]
pub struct HttpConfig {
    /// Where to.
    pub urls: UrlPolicy,
    /// From the name lookup to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// The name lookup alone.
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
    client: reqwest::Client,
    pub(crate) urls: UrlPolicy,
    pub(crate) lookup: Arc<dyn Lookup>,
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
        Ok(Self {
            client: client::build(config, Arc::clone(&lookup))?,
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
        request: reqwest::Request,
        watch: &Watch,
    ) -> Result<(Answer, Head), SendFailure> {
        let failed = |error: reqwest::Error| {
            let failure = failure::of_error(&error, watch.step());
            // Without the URL, whose query may hold a token.
            let error = error.without_url();
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                ?failure,
                "the attempt got no answer"
            );
            failure
        };
        let response = self.client.execute(request).await.map_err(failed)?;
        watch.answered(response.remote_addr());
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after = retry_after
            .filter(|text| text.len() <= RETRY_AFTER_BYTES_MAX)
            .map(str::to_owned);
        let head = Head::of(&response);
        let answer = Answer {
            status: response.status().as_u16(),
            retry_after,
            excerpt: self.read_body(response).await.map_err(failed)?,
        };
        Ok((answer, head))
    }

    /// Reads the body up to the limit and keeps its beginning. Dropping the response before the end closes the connection.
    async fn read_body(&self, mut response: reqwest::Response) -> reqwest::Result<Excerpt> {
        let (mut kept, mut read) = (Vec::new(), 0);
        while let Some(chunk) = response.chunk().await? {
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

/// What of an answer's head matters to no delivery.
#[derive(Default)]
struct Head {
    location: Option<String>,
    closes: bool,
}

impl Head {
    fn of(response: &reqwest::Response) -> Self {
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
    pub async fn observe(&self, request: Request) -> Observed {
        let watch = Watch::start(request.url.port_or_known_default().unwrap_or_default());
        let time_limit = request.time_limit;
        let answered = match prepare(request, &self.urls) {
            Err(failure) => Err(failure),
            Ok(request) => {
                let exchange = watch.over(self.exchange(request, &watch));
                match tokio::time::timeout(time_limit, exchange).await {
                    Ok(result) => result,
                    Err(_) => Err(failure::of_time_limit(watch.step())),
                }
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
                result,
            },
            location: head.location,
            closes: head.closes,
        }
    }
}

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, request: Request) -> Exchange {
        self.observe(request).await.exchange
    }

    fn check_url(&self, url: &Url) -> Result<(), String> {
        self.urls.check(url).map_err(|fault| fault.to_string())
    }
}

/// The first gate, and the request as the client takes it.
fn prepare(request: Request, urls: &UrlPolicy) -> Result<reqwest::Request, SendFailure> {
    let Request {
        url,
        headers,
        body,
        time_limit: _,
        tracing: _,
    } = request;
    urls.check(&url).map_err(|fault| failure::of_url(&fault))?;
    let mut prepared = reqwest::Request::new(Method::POST, url);
    let fields = prepared.headers_mut();
    for (name, value) in headers {
        let field = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(&value).ok());
        let Some((field, value)) = field else {
            // Profile and header policy were checked long before; a signature must not be left out in silence.
            tracing::error!(header = %name.escape_debug(), "a header of the profile cannot be sent");
            return Err(SendFailure::NotSent(NotSentReason::ProfileUnknown));
        };
        fields.insert(field, value);
    }
    // Ours come last and replace whatever was there.
    fields.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    for name in [
        header::HOST,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::EXPECT,
        header::USER_AGENT,
    ] {
        fields.remove(name);
    }
    *prepared.body_mut() = Some(body.into());
    Ok(prepared)
}
