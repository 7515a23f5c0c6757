//! One installation for a test, served by this process, and a client that speaks HTTP to it.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use ringback_api::{Limits, Server, Services, router};
use ringback_domain::{KeyOwner, KeyScope};
use ringback_testkit::{
    samples::unique,
    servers::{shared_amqp_url, shared_redis_url},
};
use ringback_worker::{
    Backend, Opener, Role, Service, config::Config, context, keys::NewKey, observe::LogObserver,
};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::{fs, sync::Arc};
use tempfile::TempDir;

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
    server: Server,
    service: Option<Service>,
    backend: Backend,
    client: Client<HttpConnector, Full<Bytes>>,
    _folder: TempDir,
}

/// The projects of every installation, each with the profile of a platform.
const PROJECTS: [(&str, &str); 5] = [
    ("acme", "standard"),
    ("hinto", "hinto"),
    ("modelhunter", "modelhunter"),
    ("hooked", "hooked"),
    ("videopilot", "videopilot"),
];

impl Installation {
    /// One that works: it dispatches, and delivers to this machine.
    pub(crate) async fn start(ground: Ground) -> Self {
        Self::start_with(ground, Limits::default(), [Role::Dispatch, Role::Deliver]).await
    }

    pub(crate) async fn start_with(
        ground: Ground,
        limits: Limits,
        roles: impl IntoIterator<Item = Role>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = write_config(ground, &folder);
        let backend = Backend::open(&config, Opener::Service).await.unwrap();
        let context = context(&config, &backend, Arc::new(LogObserver)).unwrap();
        let roles: Vec<_> = roles.into_iter().collect();
        let urls = config.http.url_policy();
        let services = Services::new(context.clone(), urls, roles.clone(), limits);
        let router = router(services.clone(), axum::Router::new());
        let listen = ([127, 0, 0, 1], 0).into();
        let stop = services.stop.clone();
        let server = Server::start(listen, router, limits, stop).await.unwrap();
        let service = if roles.is_empty() {
            None
        } else {
            let settings = config.service_settings(roles);
            Some(Service::start(context, &settings).await.unwrap())
        };
        let mut installation = Self {
            services,
            operator: String::new(),
            server,
            service,
            backend,
            client: Client::builder(TokioExecutor::new()).build_http(),
            _folder: folder,
        };
        installation.operator = installation.key(KeyOwner::Operator, &KeyScope::ALL).await;
        installation
    }

    /// Ends everything in order.
    pub(crate) async fn stop(self) {
        self.server.stop().await;
        if let Some(service) = self.service {
            service.stop().await;
        }
        self.backend.close().await;
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
        let uri = format!("http://{}{path}", self.address());
        let request = request.uri(uri).body(Full::new(body)).unwrap();
        let response = self.client.request(request).await.unwrap();
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
"#,
        folder.path().join("data").display(),
        unique("api-"),
    );
    let path = folder.path().join("ringback.toml");
    fs::write(&path, text).unwrap();
    Config::load(Some(&path), []).unwrap()
}
