//! The webhooks of a project, as fresh as promised.

use crate::{
    moment::Moment,
    port::{Clock, Store, StoreError},
};
use ringback_domain::{ProjectName, Webhook, WebhookId};
use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// The webhooks of each project, read from the store at most every [`WebhookCache::FRESH_FOR`].
///
/// A webhook's change takes effect within a second in every worker; half of it is left for the read itself. In the process
/// that made the change it takes effect at once, where that process [forgets](WebhookCache::forget): clones are one cache.
#[derive(Clone)]
pub struct WebhookCache {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    projects: Arc<Mutex<HashMap<ProjectName, Arc<Slot>>>>,
}

/// Locked while it is read, so that those who come meanwhile wait for the one who asks, and never go on with less.
type Slot = futures_util::lock::Mutex<Option<Entry>>;

struct Entry {
    webhooks: Arc<Vec<Webhook>>,
    read_at: Moment,
}

/// One webhook of those that were read together: it is looked at for every attempt, and never copied.
pub struct CachedWebhook {
    all: Arc<Vec<Webhook>>,
    at: usize,
}

impl Deref for CachedWebhook {
    type Target = Webhook;

    fn deref(&self) -> &Webhook {
        &self.all[self.at]
    }
}

impl WebhookCache {
    /// How long what was read is used without asking again.
    pub const FRESH_FOR: Duration = Duration::from_millis(400);

    /// An empty cache.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            projects: Arc::default(),
        }
    }

    /// All webhooks of a project.
    pub async fn of_project(&self, project: &ProjectName) -> Result<Arc<Vec<Webhook>>, StoreError> {
        let slot = self.slot(project);
        let mut entry = slot.lock().await;
        // The moment *before* the read: a change made during it may not be in the answer.
        let read_at = Moment::now(&*self.clock);
        if let Some(entry) = &*entry
            && entry.read_at.elapsed(&*self.clock) < Self::FRESH_FOR
        {
            return Ok(entry.webhooks.clone());
        }
        let webhooks = Arc::new(self.store.webhooks(project).await?);
        *entry = Some(Entry {
            webhooks: webhooks.clone(),
            read_at,
        });
        Ok(webhooks)
    }

    /// One webhook of a project.
    pub async fn webhook(
        &self,
        project: &ProjectName,
        id: &WebhookId,
    ) -> Result<Option<CachedWebhook>, StoreError> {
        let all = self.of_project(project).await?;
        let at = all.iter().position(|webhook| webhook.id == *id);
        Ok(at.map(|at| CachedWebhook { all, at }))
    }

    /// Forgets a project's webhooks: the next to ask reads them anew.
    pub fn forget(&self, project: &ProjectName) {
        self.lock().remove(project);
    }

    fn slot(&self, project: &ProjectName) -> Arc<Slot> {
        let mut projects = self.lock();
        // The usual case makes no name.
        if let Some(slot) = projects.get(project) {
            return slot.clone();
        }
        projects.entry(project.clone()).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProjectName, Arc<Slot>>> {
        self.projects
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}
