//! What a test does and sees from outside: register, publish, look into queue and store.

use bytes::Bytes;
use ringback_delivery::{
    WebhookCache,
    port::{DeadLetterFilter, DeliveryFilter, EventMark, QueueName},
};
use ringback_domain::{DeadLetter, DeliveryRecord, DestinationId, Event, replay_plan::ReplayPlan};
use ringback_worker::{
    Backend, Opener, SystemEntropy,
    config::Config,
    publish::Publisher,
    webhooks::{NewWebhook, Webhooks},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a test waits for what other processes do.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
const PAGE: usize = 200;

pub(crate) struct Desk {
    config: Config,
    backend: Backend,
}

impl Desk {
    pub(crate) async fn open(config: Config) -> Self {
        let backend = Backend::open(&config, Opener::Command).await.unwrap();
        Self { config, backend }
    }

    /// Lets go of the directory, if it held it.
    pub(crate) async fn close(self) {
        self.backend.close().await;
    }

    /// Registers a webhook for all events of a project.
    pub(crate) async fn webhook(&self, project: &str, url: String) -> DestinationId {
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
            secret: None,
            headers: Vec::new(),
            description: None,
            rate_limit: None,
        };
        let added = webhooks.add(new).await.unwrap();
        DestinationId::webhook(&added.webhook.id)
    }

    /// Takes events in.
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

    /// Puts an event into the queue as a stranger does: unchecked, as it is.
    pub(crate) async fn publish_unchecked(&self, event: &Event) {
        self.backend.queue.publish_event(event, None).await.unwrap();
    }

    /// Puts any bytes where events are expected.
    pub(crate) async fn publish_bytes(&self, bytes: Bytes) {
        self.backend.queue.publish_raw_event(bytes).await.unwrap();
    }

    /// Messages that wait in one place, in nobody's hands.
    pub(crate) async fn waiting(&self, queue: QueueName) -> u64 {
        let depths = self.backend.queue.depths().await.unwrap();
        let depth = depths.iter().find(|depth| depth.queue == queue);
        depth.expect("every queue is counted").waiting
    }

    /// Waits until so many messages wait in one place: those of a dead process come back when its connection is gone.
    pub(crate) async fn wait_for_waiting(&self, queue: QueueName, count: u64) {
        let look = async || {
            let waiting = self.waiting(queue).await;
            (waiting == count).then_some(()).ok_or(waiting)
        };
        until(look, &format!("{count} messages in {}", queue.as_str())).await;
    }

    /// Messages that wait anywhere.
    pub(crate) async fn all_waiting(&self) -> u64 {
        let depths = self.backend.queue.depths().await.unwrap();
        depths.iter().map(|depth| depth.waiting).sum()
    }

    /// Waits until no message waits anywhere.
    pub(crate) async fn wait_for_empty_queues(&self) {
        let look = async || match self.all_waiting().await {
            0 => Ok(()),
            waiting => Err(waiting),
        };
        until(look, "empty queues").await;
    }

    /// All deliveries of a project.
    pub(crate) async fn deliveries(&self, project: &str) -> Vec<DeliveryRecord> {
        let filter = DeliveryFilter {
            project: Some(project.parse().unwrap()),
            ..DeliveryFilter::default()
        };
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = self
                .backend
                .store
                .deliveries(&filter, cursor.as_ref(), PAGE)
                .await
                .unwrap();
            all.extend(page.entries);
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// Waits until a project has so many deliveries and all are in this state.
    pub(crate) async fn wait_for_deliveries(
        &self,
        project: &str,
        state: &str,
        count: usize,
    ) -> Vec<DeliveryRecord> {
        let look = async || {
            let all = self.deliveries(project).await;
            let there = all.iter().filter(|one| one.state.class() == state).count();
            if all.len() == count && there == count {
                Ok(all)
            } else {
                Err(format!("{there} of {}", all.len()))
            }
        };
        until(look, &format!("{count} deliveries {state}")).await
    }

    /// All dead letters of a project, also those dealt with.
    pub(crate) async fn dead_letters(&self, project: &str) -> Vec<DeadLetter> {
        let filter = DeadLetterFilter {
            project: Some(project.parse().unwrap()),
            include_disposed: true,
            ..DeadLetterFilter::default()
        };
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let store = &self.backend.store;
            let page = store.dead_letters(&filter, cursor.as_ref(), PAGE).await;
            let page = page.unwrap();
            all.extend(page.entries);
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// The only replay plan.
    pub(crate) async fn plan(&self) -> ReplayPlan {
        let page = self.backend.store.plans(None, None, PAGE).await.unwrap();
        assert_eq!(page.entries.len(), 1);
        page.entries.into_iter().next().unwrap()
    }

    /// Waits until the only replay plan is in this state and no worker is needed for it.
    pub(crate) async fn wait_for_plan(&self, state: &str) -> ReplayPlan {
        let look = async || {
            let plan = self.plan().await;
            if plan.status.state.class() == state && !plan.is_active() {
                Ok(plan)
            } else {
                Err((plan.status.state, plan.progress.counts))
            }
        };
        until(look, &format!("replay plan {state}")).await
    }

    /// Waits until so many entries of the only replay plan are on their way.
    pub(crate) async fn wait_for_sent(&self, entries: u32) {
        let look = async || {
            let counts = self.plan().await.progress.counts;
            let sent = counts.outstanding();
            (sent == entries).then_some(()).ok_or(counts)
        };
        until(look, &format!("{entries} entries sent")).await;
    }

    /// What is known of an event that was dispatched.
    pub(crate) async fn event_mark(&self, project: &str, id: &str) -> Option<EventMark> {
        let (project, id) = (project.parse().unwrap(), id.parse().unwrap());
        self.backend.store.event_mark(&project, &id).await.unwrap()
    }
}

/// An event that happened to a job, with data of so many bytes.
pub(crate) fn event(project: &str, id: &str, data_bytes: usize) -> Bytes {
    let data = "x".repeat(data_bytes);
    format!(
        r#"{{"id":"{id}","project":"{project}","type":"task.completed","occurred_at":"2026-06-01T10:01:30.250Z","job":{{"id":"task_{id}"}},"data":{{"number":1.50,"text":"{data}"}}}}"#
    )
    .into()
}

/// Looks again and again: what other processes do can only be asked for.
async fn until<T, W: std::fmt::Debug>(look: impl AsyncFn() -> Result<T, W>, what: &str) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(instead) => assert!(
                Instant::now() < deadline,
                "no {what} within {PATIENCE:?}, but {instead:?}"
            ),
        }
        sleep(POLL).await;
    }
}
