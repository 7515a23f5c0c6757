//! One installation for a test, served by this process, and a client that speaks HTTP to it.

use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use ringback_api::{Limits, Server, Services, router};
use ringback_delivery::{
    Context,
    port::{Clock, Exchange, Request as SentRequest, SendFailure, Sender, Store},
};
use ringback_domain::{KeyOwner, KeyScope, NotSentReason, Phases};
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_telemetry::{Telemetry, TelemetrySettings};
use ringback_testkit::{
    on_store,
    samples::unique,
    servers::{shared_amqp_url, shared_redis_url},
};
use ringback_worker::{
    Backend, Opener, Role, Service,
    config::Config,
    context, context_with,
    keys::NewKey,
    measure::{Collector, Measured, measured},
    observe::LogObserver,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::{fs, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use url::Url;

/// How long a test waits for something before it gives up.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// What the installation stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// One directory.
    Embedded,
    /// The RabbitMQ and the Redis that all tests share.
    Servers,
}

/// A process's worth of Ringback.
pub(crate) struct Installation {
    pub(crate) services: Arc<Services>,
    /// A key of the operator with every scope.
    pub(crate) operator: String,
    config: Config,
    server: Server,
    pub(crate) collector: Arc<Collector>,
    telemetry: Arc<Telemetry>,
    service: Option<Service>,
    backend: Backend,
    client: Client<HttpConnector, Full<Bytes>>,
    _folder: TempDir,
}

/// Says of every address that it is not allowed.
struct NoWayOut;

impl Sender for NoWayOut {
    fn send(&self, _: SentRequest) -> BoxFuture<'_, Exchange> {
        let exchange = Exchange {
            phases: Phases::default(),
            address: None,
            result: Err(SendFailure::NotSent(NotSentReason::AddressForbidden)),
            cut_off: None,
        };
        ready(exchange).boxed()
    }

    fn check_url(&self, _: &Url) -> Result<(), String> {
        Ok(())
    }
}

/// The projects of every installation, and their profiles.
const PROJECTS: [(&str, &str); 10] = [
    ("default", "standard"),
    ("acme", "standard"),
    ("hinto", "hinto"),
    ("modelhunter", "modelhunter"),
    ("hooked", "hooked"),
    ("videopilot", "videopilot"),
    ("strict", "strict"),
    ("bodyless", "bodyless"),
    ("hasty", "hasty"),
    ("discreet", "discreet"),
];

impl Installation {
    /// One that works: it dispatches, and delivers to this machine.
    pub(crate) async fn start(ground: Ground) -> Self {
        Self::start_with(ground, Limits::default(), [Role::Dispatch, Role::Deliver]).await
    }

    /// One whose limits and roles are these.
    pub(crate) async fn start_with(
        ground: Ground,
        limits: Limits,
        roles: impl IntoIterator<Item = Role>,
    ) -> Self {
        let roles: Vec<_> = roles.into_iter().collect();
        let mut installation = Self::serve(ground, limits, roles.clone()).await;
        if !roles.is_empty() {
            let settings = installation.config.service_settings(roles);
            let context = installation.services.context.clone();
            let service = Service::start(context, &settings).await.unwrap();
            installation.service = Some(service);
        }
        installation
    }

    /// One that has yet to do what its roles say.
    pub(crate) async fn start_without_workers(
        ground: Ground,
        roles: impl IntoIterator<Item = Role>,
    ) -> Self {
        Self::serve(ground, Limits::default(), roles.into_iter().collect()).await
    }

    /// One whose attempts go nowhere, and where any number of keys may be tried, for clients that make up both.
    pub(crate) async fn start_without_a_way_out() -> Self {
        let limits = Limits {
            key_failures_max: u32::MAX,
            ..Limits::default()
        };
        Self::serve_with(Ground::Embedded, limits, Vec::new(), |config, backend| {
            let (observer, sender) = (Arc::new(LogObserver), Arc::new(NoWayOut));
            context_with(backend, observer, sender, config.profile_book())
        })
        .await
    }

    /// One whose store does not answer.
    pub(crate) async fn start_without_a_store() -> Self {
        Self::serve_on(|clock| {
            let settings = RedisStoreSettings::at("redis://127.0.0.1:1".to_owned().into());
            Arc::new(RedisStore::try_new(settings, clock).unwrap())
        })
        .await
    }

    /// One on this store, which does no work.
    pub(crate) async fn start_on(store: Arc<dyn Store>) -> Self {
        let mut installation = Self::serve_on(|_| store).await;
        installation.operator = installation.key(KeyOwner::Operator, &KeyScope::ALL).await;
        installation
    }

    async fn serve_on(store: impl FnOnce(Arc<dyn Clock>) -> Arc<dyn Store>) -> Self {
        let limits = Limits::default();
        Self::serve_with(Ground::Embedded, limits, Vec::new(), |config, backend| {
            let working = context(config, backend, Arc::new(LogObserver)).unwrap();
            on_store(working, store(backend.clock.clone()))
        })
        .await
    }

    async fn serve(ground: Ground, limits: Limits, roles: Vec<Role>) -> Self {
        let mut installation = Self::serve_with(ground, limits, roles, |config, backend| {
            context(config, backend, Arc::new(LogObserver)).unwrap()
        })
        .await;
        installation.operator = installation.key(KeyOwner::Operator, &KeyScope::ALL).await;
        installation
    }

    async fn serve_with(
        ground: Ground,
        limits: Limits,
        roles: Vec<Role>,
        context: impl FnOnce(&Config, &Backend) -> Arc<Context>,
    ) -> Self {
        let telemetry = TelemetrySettings {
            otlp: None,
            push_interval: Duration::from_hours(1),
            trace_ratio: 1.0,
            version: "0.0.0",
            instance: "test".to_owned(),
        };
        Self::serve_and_send(ground, limits, roles, context, telemetry).await
    }

    /// One that sends what it measures and traces to a collector.
    pub(crate) async fn start_with_collector(ground: Ground, collector: String) -> Self {
        let telemetry = TelemetrySettings {
            otlp: Some(collector),
            push_interval: Duration::from_hours(1),
            trace_ratio: 1.0,
            version: "0.0.0",
            instance: "test".to_owned(),
        };
        let roles = [Role::Dispatch, Role::Deliver];
        let mut installation = Self::serve_and_send(
            ground,
            Limits::default(),
            roles.into(),
            |config, backend| context(config, backend, Arc::new(LogObserver)).unwrap(),
            telemetry,
        )
        .await;
        let settings = installation.config.service_settings(roles);
        let context = installation.services.context.clone();
        installation.service = Some(Service::start(context, &settings).await.unwrap());
        installation
    }

    async fn serve_and_send(
        ground: Ground,
        limits: Limits,
        roles: Vec<Role>,
        context: impl FnOnce(&Config, &Backend) -> Arc<Context>,
        telemetry: TelemetrySettings,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = write_config(ground, &folder);
        let backend = Backend::open(&config, Opener::Service).await.unwrap();
        let context = context(&config, &backend);
        let telemetry = Telemetry::start(&telemetry).unwrap();
        let telemetry = Arc::new(telemetry);
        let budget = config.dead_letter_budget();
        let Measured { context, collector } =
            measured(&context, &telemetry, config.broker.system(), budget);
        let urls = config.http.url_policy();
        let services = Services::new(context, urls, roles, limits);
        let router = router(services.clone(), axum::Router::new());
        let router = ringback_api::measured(router, telemetry.clone());
        let listen = ([127, 0, 0, 1], 0).into();
        let stop = services.stop.clone();
        let server = Server::start(listen, router, limits, stop).unwrap();
        Self {
            services,
            operator: String::new(),
            config,
            server,
            collector,
            telemetry,
            service: None,
            backend,
            // Some servers here close what is idle after a moment, which may be the moment it is used again.
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build_http(),
            _folder: folder,
        }
    }

    /// Ends everything in order.
    pub(crate) async fn stop(self) {
        self.server.stop().await;
        if let Some(service) = self.service {
            service.stop().await;
        }
        self.backend.close().await;
        let telemetry = self.telemetry;
        tokio::task::spawn_blocking(move || telemetry.stop())
            .await
            .unwrap();
    }

    /// Looks again and again: what the workers do can only be asked for.
    pub(crate) async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < deadline, "within {PATIENCE:?}: {what}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// A new key.
    pub(crate) async fn key(&self, owner: KeyOwner, scopes: &[KeyScope]) -> String {
        let new = NewKey {
            owner,
            scopes: scopes.iter().copied().collect(),
            description: None,
            expires_at: None,
        };
        let made = self.services.keys.create(new).await.unwrap();
        made.text.expose_secret().to_owned()
    }

    /// A new key of a project with every scope.
    pub(crate) async fn project_key(&self, project: &str) -> String {
        let owner = KeyOwner::Project(project.parse().unwrap());
        self.key(owner, &KeyScope::ALL).await
    }

    /// A call with a key and a body of JSON, or none.
    pub(crate) async fn call(&self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .header("authorization", format!("Bearer {key}"));
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        self.send(path, request, body.to_owned().into()).await
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> Answer {
        self.call("GET", path, key, "").await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &str) -> Answer {
        self.call("POST", path, key, body).await
    }

    /// A call exactly as it is described.
    pub(crate) async fn send(
        &self,
        path: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Answer {
        self.send_from(&self.client, path, request, body).await
    }

    /// Shows so many wrong keys, from another address of this machine.
    pub(crate) async fn guess_from_elsewhere(&self, count: u32) {
        for _ in 0..count {
            let answer = self.call_from_elsewhere("GET", "/api/v1/webhooks").await;
            answer.problem(401, "key_refused");
        }
    }

    /// A call with a wrong key, from another address of this machine.
    pub(crate) async fn call_from_elsewhere(&self, method: &str, path: &str) -> Answer {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some([127, 0, 0, 2].into()));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let request = Request::builder()
            .method(method)
            .header("x-api-key", "rb_1_2");
        self.send_from(&client, path, request, Bytes::new()).await
    }

    /// The status of a call with a key whose body is only begun.
    pub(crate) async fn call_with_begun_body(
        &self,
        method: &str,
        path: &str,
        key: &str,
        media_type: &str,
        begun: &str,
    ) -> u16 {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-type: {media_type}\r\n{begun}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        let status = std::str::from_utf8(&status).unwrap();
        status.strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
    }

    async fn send_from(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        path: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Answer {
        let uri = format!("http://{}{path}", self.address());
        let request = request.uri(uri).body(Full::new(body)).unwrap();
        let response = client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The document, when the status is this.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Nothing, with this status.
    #[track_caller]
    pub(crate) fn nothing(&self, status: u16) {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert!(self.body.is_empty(), "{text}");
    }

    /// The faulty members of a problem with this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Vec<(String, String)> {
        let problem = self.json(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        let errors = problem["errors"].as_array().into_iter().flatten();
        let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
        errors
            .map(|fault| (text(fault, "member"), text(fault, "problem")))
            .collect()
    }

    /// The members of a problem, without what is wrong with each.
    #[track_caller]
    pub(crate) fn faulty(&self) -> Vec<String> {
        let faults = self.problem(422, "members_refused");
        faults.into_iter().map(|(member, _)| member).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

fn write_config(ground: Ground, folder: &TempDir) -> Config {
    let (broker, store) = match ground {
        Ground::Embedded => ("embedded".into(), "embedded".into()),
        Ground::Servers => (shared_amqp_url(), shared_redis_url()),
    };
    let projects =
        PROJECTS.map(|(name, profile)| format!("[projects.{name}]\nprofile = \"{profile}\"\n"));
    let projects = projects.concat();
    let own = r#"
[profiles.strict]
body = "del(.project)"
success = ["200"]
time_limit = "3s"
signature = "none"
retry = { delays = [] }

[profiles.hasty]
body = "del(.project)"
success = ["200"]
time_limit = "3s"
signature = "none"
retry = { delays = ["100ms"] }

[profiles.discreet]
body = "del(.project)"
success = ["200"]
time_limit = "3s"
signature = "none"
diagnostic_headers = false
retry = { delays = ["100ms"] }

[profiles.bodyless]
body = ".data.nothing | keys"
success = ["200"]
time_limit = "3s"
signature = "none"
retry = { delays = [] }
"#;
    let text = format!(
        r#"
broker = "{broker}"
store = "{store}"
data_dir = "{}"
prefix = "{}"
http.connect_timeout = "1s"
http.allow_networks = ["127.0.0.0/8"]
deliver.shutdown_grace = "5s"
secrets.keys = ["k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="]
{projects}
{own}
"#,
        folder.path().join("data").display(),
        unique("api-"),
    );
    let path = folder.path().join("ringback.toml");
    fs::write(&path, text).unwrap();
    Config::load(Some(&path), []).unwrap()
}
