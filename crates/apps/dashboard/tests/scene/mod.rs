//! An installation in a folder of its own, with the dashboard, a receiver, and keys to sign in with.

use bytes::Bytes;
use ringback_api::{Limits, Services};
use ringback_dashboard::{Hosts, router, with_error_pages};
use ringback_delivery::{Context, port::DeadLetterFilter};
use ringback_domain::{DeadLetter, KeyOwner, KeyScope, Webhook};
use ringback_testkit::{receiver::Receiver, samples::unique};
use ringback_worker::{
    Backend, Opener, Role, Service, config::Config, context, keys::NewKey, observe::LogObserver,
    webhooks::NewWebhook,
};
use secrecy::ExposeSecret;
use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::Instant;

/// The standard contract, with one retry that comes at once.
const QUICK: &str = r#"
body = '{ type, timestamp: .occurred_at, job, data }'
success = ["2xx"]
time_limit = "5s"
headers = { webhook-id = "{event.id}", webhook-timestamp = "{timestamp}" }
signature = { header = "webhook-signature", signed = "{id}.{timestamp}.{body}", value = "v1,{signature}", digest = "base64", secret = "base64", secret_prefix = "whsec_", separator = " " }
retry = { delays = ["50ms"] }
"#;

/// How long a test waits for something to happen before it gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// Everything in one process, on the embedded ground.
pub(crate) struct Scene {
    pub(crate) services: Arc<Services>,
    pub(crate) router: axum::Router,
    pub(crate) receiver: Receiver,
    service: Service,
    backend: Backend,
    _folder: TempDir,
}

impl Scene {
    /// Two projects, `acme` and `umbra`, whose deliveries are tried twice, at once.
    pub(crate) async fn begin() -> Self {
        Self::begin_with(|context| context).await
    }

    /// The same with something in it changed before it begins.
    pub(crate) async fn begin_with(change: impl FnOnce(Arc<Context>) -> Arc<Context>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ringback.toml");
        let text = format!(
            r#"
data_dir = "{}"
http.allow_networks = ["127.0.0.0/8"]
http.connect_timeout = "2s"
log.level = "warn"
[projects.acme]
profile = "quick"
[projects.umbra]
profile = "quick"
[profiles.quick]
{QUICK}
"#,
            folder.path().join("data").display()
        );
        fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), []).unwrap();
        let backend = Backend::open(&config, Opener::Service).await.unwrap();
        let context = change(context(&config, &backend, Arc::new(LogObserver)).unwrap());
        let roles = [Role::Dispatch, Role::Deliver, Role::Replay];
        let service = Service::start(context.clone(), &config.service_settings(roles))
            .await
            .unwrap();
        let services = Services::new(context, config.http.url_policy(), roles, Limits::default());
        let pages = router(services.clone(), Hosts::default());
        Self {
            router: with_error_pages(ringback_api::router(services.clone(), pages)),
            services,
            receiver: Receiver::start().await,
            service,
            backend,
            _folder: folder,
        }
    }

    /// Ends everything in order.
    pub(crate) async fn end(self) {
        self.service.stop().await;
        self.backend.close().await;
    }

    /// The text of a new key: of a project, or of the operator.
    pub(crate) async fn key(&self, project: Option<&str>, scopes: &[KeyScope]) -> String {
        let owner = match project {
            Some(project) => KeyOwner::Project(project.parse().unwrap()),
            None => KeyOwner::Operator,
        };
        let new = NewKey {
            owner,
            scopes: scopes.iter().copied().collect(),
            description: Some("for a test".to_owned()),
            expires_at: None,
        };
        let made = self.services.keys.create(new).await.unwrap();
        made.text.expose_secret().to_owned()
    }

    /// A webhook of a project at a path of the receiver.
    pub(crate) async fn webhook(&self, project: &str, path: &str) -> Webhook {
        let new = NewWebhook {
            project: project.parse().unwrap(),
            url: self.receiver.url(path),
            events: BTreeSet::new(),
            profile: None,
            secret: None,
            headers: Vec::new(),
            description: None,
            rate_limit: None,
        };
        self.services.webhooks.add(new).await.unwrap().webhook
    }

    /// Publishes an event of this type and returns its id.
    pub(crate) async fn publish(&self, project: &str, event_type: &str) -> String {
        let (id, job) = (unique("evt_"), unique("task_"));
        let event = format!(
            r#"{{"id":"{id}","project":"{project}","type":"{event_type}","occurred_at":"2026-06-01T10:00:00Z","job":{{"id":"{job}","status":"completed"}},"data":{{"private":"between us"}}}}"#
        );
        self.services
            .publisher
            .publish(&Bytes::from(event))
            .await
            .unwrap();
        id
    }

    /// The dead letters of a project, once there are so many.
    pub(crate) async fn dead_letters(&self, project: &str, count: usize) -> Vec<DeadLetter> {
        let filter = DeadLetterFilter {
            project: Some(project.parse().unwrap()),
            ..DeadLetterFilter::default()
        };
        let store = &self.services.context.store;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = store.dead_letters(&filter, None, 100).await.unwrap();
            if page.entries.len() >= count {
                return page.entries;
            }
            assert!(
                Instant::now() < deadline,
                "{} dead letters",
                page.entries.len()
            );
            tokio::time::sleep(POLL).await;
        }
    }
}
