//! The HTTP client, with nothing in it that would act on its own: no redirects, no proxies from the environment, no second try.

use crate::{
    HttpConfig,
    connector::{Guarded, Way},
    fair_lookup::FairLookup,
    lookup::GuardedResolver,
    watch::{Step, Watch},
};
use bytes::Bytes;
use http::{HeaderValue, Uri};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::{
        legacy::{self, connect::HttpConnector},
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, NamedGroup, RootCertStore,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
    },
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{sync::Arc, time::Duration};
use url::Url;

/// Node closes idle connections after 5 s; one taken from the pool later than that is lost with the request on it.
const POOL_IDLE_MAX: Duration = Duration::from_secs(4);
/// Several destinations may share a host, each with its share of requests under way; a connection made anew costs as much as the request.
const POOL_CONNECTIONS_PER_HOST: usize = 64;
const ANSWER_HEADERS_MAX: usize = 64;
/// What is read of an answer at once; no head is longer than twice that. The library would give each of some hundred requests 400 KiB.
const READ_BYTES_MAX: usize = 32 * 1024;
const TLS_SESSIONS_MAX: usize = 1024;

/// Why there is no sender.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpSenderError {
    /// The extra certificate authorities cannot be read.
    #[error("the certificate authorities are not PEM certificates")]
    Authorities(#[source] rustls::pki_types::pem::Error),
    /// A certificate that cannot be a trust anchor.
    #[error("a certificate cannot serve as authority")]
    Authority(#[source] rustls::Error),
    /// The TLS library refused its own defaults.
    #[error("could not set up TLS")]
    Tls(#[source] rustls::Error),
    /// The proxy's URL cannot be used.
    #[error("the proxy cannot be used: its URL has to begin with `http://` or `https://`")]
    Proxy,
}

/// The client of all requests.
pub(crate) type Client = legacy::Client<Guarded, Full<Bytes>>;

/// The client, and what requests in plain text say to the proxy, if anything.
pub(crate) fn build(
    config: &HttpConfig,
    lookup: FairLookup,
) -> Result<(Client, Option<HeaderValue>), HttpSenderError> {
    let policy = &config.urls.addresses;
    let proxy = config.proxy.as_ref().map(Proxy::read).transpose()?;
    let mut tcp = HttpConnector::new_with_resolver(GuardedResolver {
        lookup,
        policy: policy.clone(),
        proxy_host: proxy.as_ref().and_then(Proxy::host),
    });
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(config.connect_timeout));
    let tls = Arc::new(tls(config)?);
    let authorization = proxy.as_ref().and_then(|proxy| proxy.authorization.clone());
    let way = match proxy {
        None => Way::Direct {
            tcp,
            policy: policy.clone(),
        },
        Some(proxy) => Way::through(proxy, HttpsConnector::from((tcp, tls.clone()))),
    };
    let connector = Guarded::new(HttpsConnector::from((way, tls)), config.connect_timeout);
    let client = legacy::Client::builder(TokioExecutor::new())
        .http1_title_case_headers(true) // as most are written; the library can keep no profile's own spelling
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .http1_max_buf_size(READ_BYTES_MAX)
        .pool_max_idle_per_host(POOL_CONNECTIONS_PER_HOST)
        .pool_idle_timeout(POOL_IDLE_MAX)
        .pool_timer(TokioTimer::new())
        .build(connector);
    Ok((client, authorization))
}

/// The only way out, where there is one.
pub(crate) struct Proxy {
    pub(crate) uri: Uri,
    pub(crate) authorization: Option<HeaderValue>,
}

impl Proxy {
    fn read(url: &Url) -> Result<Self, HttpSenderError> {
        // Whatever it is asked about, it has this one answer.
        let anywhere = Uri::from_static("http://destination.invalid");
        let intercept = Matcher::builder()
            .all(url.as_str())
            .build()
            .intercept(&anywhere)
            .filter(|intercept| matches!(intercept.uri().scheme_str(), Some("http" | "https")))
            .ok_or(HttpSenderError::Proxy)?;
        Ok(Self {
            uri: intercept.uri().clone(),
            authorization: intercept.basic_auth().cloned(),
        })
    }

    fn host(&self) -> Option<String> {
        self.uri.host().map(str::to_owned)
    }
}

/// Whom to trust: the system's authorities and those configured.
pub(crate) fn authorities(config: &HttpConfig) -> Result<RootCertStore, HttpSenderError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for fault in &native.errors {
        tracing::warn!(
            error = fault as &dyn std::error::Error,
            "could not read one of the system's certificates"
        );
    }
    let (added, _) = roots.add_parsable_certificates(native.certs);
    if added == 0 {
        tracing::warn!(
            "the system has no certificate authorities: only those configured are trusted"
        );
    }
    for certificate in
        CertificateDer::pem_slice_iter(config.authorities_pem.as_deref().unwrap_or_default())
    {
        let certificate = certificate.map_err(HttpSenderError::Authorities)?;
        roots.add(certificate).map_err(HttpSenderError::Authority)?;
    }
    Ok(roots)
}

fn tls(config: &HttpConfig) -> Result<ClientConfig, HttpSenderError> {
    let roots = authorities(config)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(HttpSenderError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    tls.resumption = Resumption::store(Arc::new(WatchedSessions(ClientSessionMemoryCache::new(
        TLS_SESSIONS_MAX,
    ))));
    Ok(tls)
}

/// Remembers TLS sessions. It is asked for one when a handshake starts, which nothing else tells us.
#[derive(Debug)]
struct WatchedSessions(ClientSessionMemoryCache);

impl ClientSessionStore for WatchedSessions {
    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        if let Some(watch) = Watch::current() {
            watch.enter(Step::Handshaking);
        }
        self.0.kx_hint(server)
    }

    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server, group);
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server)
    }
}
