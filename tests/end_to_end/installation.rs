//! One installation for a test: a configuration in a folder, a queue and a store, worker processes, and a way in.

use bytes::Bytes;
use ringback_delivery::{
    Replay, ReplayRequest, WebhookCache,
    port::{DeadLetterFilter, DeliveryFilter},
};
use ringback_domain::{DeadLetter, DeliveryRecord, ProjectName};
use ringback_signing::Secret;
use ringback_testkit::{
    samples::unique,
    servers::{
        RabbitOptions, RabbitServer, RedisOptions, RedisServer, shared_amqp_url, shared_redis_url,
    },
};
use ringback_worker::{
    Backend, Opener, SystemEntropy,
    config::Config,
    observe::LogObserver,
    publish::Publisher,
    webhooks::{NewWebhook, Webhooks},
};
use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long a test waits for the installation to do something before it gives up.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

/// What the installation stands on.
pub(crate) enum Ground {
    /// One directory.
    Embedded,
    /// The servers all tests share.
    Shared,
    /// Servers of the test's own, which it may stop and kill.
    Own(Box<(RabbitServer, RedisServer)>),
}

impl Ground {
    /// Starts servers of the test's own.
    pub(crate) async fn own() -> Self {
        let start = || {
            let rabbit = RabbitServer::start(&RabbitOptions::default()).unwrap();
            let redis = RedisServer::start(RedisOptions::default()).unwrap();
            Self::Own(Box::new((rabbit, redis)))
        };
        tokio::task::spawn_blocking(start).await.unwrap()
    }

    fn urls(&self) -> (String, String) {
        match self {
            Self::Embedded => ("embedded".into(), "embedded".into()),
            Self::Shared => (shared_amqp_url(), shared_redis_url()),
            Self::Own(servers) => (servers.0.url(), servers.1.url()),
        }
    }
}

/// A configuration in a folder of its own.
pub(crate) struct Installation {
    pub(crate) ground: Ground,
    folder: TempDir,
}

impl Installation {
    /// Writes the configuration: what every test wants, and what this one adds.
    pub(crate) fn new(ground: Ground, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (broker, store) = ground.urls();
        let data_dir = folder.path().join("data");
        let prefix = unique("e2e-");
        let text = format!(
            r#"
broker = "{broker}"
store = "{store}"
data_dir = "{}"
prefix = "{prefix}"
http.connect_timeout = "1s"
http.allow_networks = ["127.0.0.0/8"]
deliver.lease_margin = "1s"
deliver.shutdown_grace = "5s"
secrets.keys = ["k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="]
log.level = "warn"
{more}
"#,
            data_dir.display()
        );
        fs::write(folder.path().join("ringback.toml"), text).unwrap();
        Self { ground, folder }
    }

    fn config_path(&self) -> PathBuf {
        self.folder.path().join("ringback.toml")
    }

    /// Starts a worker and waits until it takes messages. On the embedded ground it holds the directory: begin with it.
    pub(crate) async fn worker(&self) -> Worker {
        let path = self.config_path();
        tokio::task::spawn_blocking(move || Worker::start(&path))
            .await
            .unwrap()
    }

    /// A way in, from this process.
    pub(crate) async fn client(&self) -> Client {
        let config = Config::load(Some(&self.config_path()), []).unwrap();
        let backend = Backend::open(&config, Opener::Command).await.unwrap();
        Client { config, backend }
    }
}

/// A worker process. Dropped, it is killed.
pub(crate) struct Worker(Child);

impl Worker {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringback-test-worker"))
            .arg(config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let first = BufReader::new(output).lines().next();
        let ready = first.expect("the worker gets ready").unwrap();
        assert_eq!(ready, "ready");
        Self(child)
    }

    /// Kills it at once: nothing of it has time to say goodbye.
    pub(crate) fn kill9(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to stop, and waits.
    pub(crate) async fn stop(mut self) {
        drop(self.0.stdin.take());
        let status = tokio::task::spawn_blocking(move || self.0.wait())
            .await
            .unwrap();
        assert!(status.unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What commands and the API do: register, publish, look, replay.
pub(crate) struct Client {
    config: Config,
    backend: Backend,
}

impl Client {
    /// Registers a webhook for all events of a project.
    pub(crate) async fn webhook(&self, project: &str, url: String, secret: Option<&str>) {
        let webhooks = Webhooks {
            store: self.backend.store.clone(),
            keys: self.backend.keys.clone(),
            profiles: Arc::new(self.config.profile_book()),
            urls: self.config.http.url_policy(),
            clock: self.backend.clock.clone(),
            entropy: Arc::new(SystemEntropy),
        };
        let new = NewWebhook {
            project: project.parse().unwrap(),
            url,
            events: BTreeSet::new(),
            profile: None,
            secret: secret.map(|text| Secret::try_new(text.to_owned()).unwrap()),
            headers: Vec::new(),
            description: None,
            rate_limit: None,
        };
        webhooks.add(new).await.unwrap();
    }

    /// Takes events in. One for many events: it remembers the webhooks.
    pub(crate) fn publisher(&self) -> Publisher {
        let (store, clock) = (self.backend.store.clone(), self.backend.clock.clone());
        Publisher {
            queue: self.backend.queue.clone(),
            store: store.clone(),
            webhooks: WebhookCache::new(store, clock.clone()),
            profiles: Arc::new(self.config.profile_book()),
            keys: self.backend.keys.clone(),
            urls: self.config.http.url_policy(),
            clock,
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// Replays a dead letter.
    pub(crate) async fn replay(&self, dead: &DeadLetter) {
        let replay = Replay {
            queue: self.backend.queue.clone(),
            store: self.backend.store.clone(),
            profiles: Arc::new(self.config.profile_book()),
            clock: self.backend.clock.clone(),
            observer: Arc::new(LogObserver),
        };
        let request = ReplayRequest {
            id: dead.id.clone(),
            by: "test".into(),
            again: false,
            sends_stale: true,
        };
        replay.replay(&request).await.unwrap();
    }

    /// Waits for so many open dead letters of a project, and returns them.
    pub(crate) async fn dead_letters(&self, project: &str, count: usize) -> Vec<DeadLetter> {
        let filter = DeadLetterFilter {
            project: Some(project_name(project)),
            ..DeadLetterFilter::default()
        };
        let look = async || {
            let page = self
                .backend
                .store
                .dead_letters(&filter, None, 200)
                .await
                .ok()?;
            (page.entries.len() >= count).then_some(page.entries)
        };
        until(look, "dead letters").await
    }

    /// Waits until so many deliveries of a project are in this state.
    pub(crate) async fn deliveries(
        &self,
        project: &str,
        state: &str,
        count: usize,
    ) -> Vec<DeliveryRecord> {
        let filter = DeliveryFilter {
            project: Some(project_name(project)),
            state: Some(state.into()),
            ..DeliveryFilter::default()
        };
        let look = async || {
            let page = self
                .backend
                .store
                .deliveries(&filter, None, 200)
                .await
                .ok()?;
            (page.entries.len() >= count).then_some(page.entries)
        };
        until(look, state).await
    }
}

fn project_name(project: &str) -> ProjectName {
    project.parse().unwrap()
}

/// Publishes, and again under the same id while that may help, as a producer would.
pub(crate) async fn publish(publisher: &Publisher, event: String) {
    let event = Bytes::from(event);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = publisher.publish(&event).await {
        assert!(error.is_passing(), "{error}: {:?}", error.source());
        assert!(
            Instant::now() < deadline,
            "not published within {PATIENCE:?}: {error}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Looks again and again: what other processes do can only be asked for.
async fn until<T>(look: impl AsyncFn() -> Option<T>, what: &str) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        tokio::time::sleep(POLL).await;
    }
}
