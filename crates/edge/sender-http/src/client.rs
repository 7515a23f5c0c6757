//! The HTTP client with everything switched off that would act on its own, and the third gate round its connector.

use crate::{
    HttpConfig,
    address::AddressPolicy,
    lookup::{GuardedResolver, Lookup},
    watch::{Step, Watch},
};
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use rustls::{
    ClientConfig, NamedGroup, RootCertStore,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
    },
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower::{BoxError, Layer, Service};

/// Node closes idle connections after 5 s; one taken from the pool later than that is lost with the request on it.
const POOL_IDLE_MAX: Duration = Duration::from_secs(4);
/// Several destinations may share a host, each with its share of requests under way; a connection made anew costs as much as the request.
const POOL_CONNECTIONS_PER_HOST: usize = 64;
const ANSWER_HEADERS_MAX: usize = 64;
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
    #[error("the proxy cannot be used")]
    Proxy(#[source] reqwest::Error),
    /// The client cannot be built.
    #[error("could not set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

pub(crate) fn build(
    config: &HttpConfig,
    lookup: Arc<dyn Lookup>,
) -> Result<reqwest::Client, HttpSenderError> {
    let policy = &config.urls.addresses;
    let resolver = GuardedResolver {
        lookup,
        policy: policy.clone(),
        time_limit: config.lookup_timeout,
        proxy_host: config
            .proxy
            .as_ref()
            .and_then(|url| url.host_str())
            .map(str::to_owned),
    };
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(config)?)
        .dns_resolver(resolver)
        .connector_layer(GuardLayer {
            policy: config.proxy.is_none().then(|| policy.clone()),
        })
        .connect_timeout(config.connect_timeout)
        .redirect(reqwest::redirect::Policy::none()) // or body and signature go wherever a stranger says
        .retry(reqwest::retry::never()) // one attempt, one request
        .no_proxy() // environment variables would lead round all gates
        .referer(false)
        .http1_only()
        .http1_title_case_headers() // as most are written; the library can keep no profile's own spelling
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .pool_max_idle_per_host(POOL_CONNECTIONS_PER_HOST)
        .pool_idle_timeout(POOL_IDLE_MAX)
        .tcp_nodelay(true)
        .user_agent(concat!("Ringback/", env!("CARGO_PKG_VERSION")));
    let builder = match &config.proxy {
        None => builder,
        Some(url) => {
            builder.proxy(reqwest::Proxy::all(url.clone()).map_err(HttpSenderError::Proxy)?)
        }
    };
    builder.build().map_err(HttpSenderError::Client)
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

/// Watches connections being made, and checks whom they reached.
#[derive(Clone)]
struct GuardLayer {
    /// Absent with a proxy, which then is what we connect to.
    policy: Option<AddressPolicy>,
}

#[derive(Clone)]
struct Guarded<S> {
    connector: S,
    policy: Option<AddressPolicy>,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, connector: S) -> Guarded<S> {
        Guarded {
            connector,
            policy: self.policy.clone(),
        }
    }
}

impl<S, R> Service<R> for Guarded<S>
where
    S: Service<R, Error = BoxError>,
    S::Response: Connection + Send,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        if let Some(watch) = Watch::current() {
            watch.enter(Step::Connecting);
        }
        let (connecting, policy) = (self.connector.call(target), self.policy.clone());
        Box::pin(async move {
            let connection = connecting.await?;
            let mut extensions = http::Extensions::new();
            connection.connected().get_extras(&mut extensions);
            let ends = extensions
                .get::<HttpInfo>()
                .ok_or("a connection without addresses")?;
            if let Some(policy) = policy {
                policy.check_connection(ends.remote_addr(), ends.local_addr())?;
            }
            if let Some(watch) = Watch::current() {
                watch.connected_to(ends.remote_addr());
            }
            Ok(connection)
        })
    }
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
