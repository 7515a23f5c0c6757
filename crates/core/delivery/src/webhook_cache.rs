//! The webhooks of a project, as fresh as promised.

use crate::port::{Clock, Store, StoreError};
use ringback_domain::{ProjectName, Timestamp, Webhook, WebhookId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The webhooks of each project, read from the store at most every [`WebhookCache::FRESH_FOR`].
///
/// A webhook's change takes effect within a second in every worker; half of it is left for the read itself.
pub struct WebhookCache {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    projects: Mutex<HashMap<ProjectName, Entry>>,
}

#[derive(Clone)]
struct Entry {
    webhooks: Arc<Vec<Webhook>>,
    read_at: Timestamp,
    /// Somebody is reading; until this moment the others go on with what is there.
    being_read_until: Timestamp,
}

impl WebhookCache {
    /// How long what was read is used without asking again.
    pub const FRESH_FOR: Duration = Duration::from_millis(400);
    /// How long the others wait for the one who asks.
    const READ_WITHIN: Duration = Duration::from_millis(300);

    /// An empty cache.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            projects: Mutex::default(),
        }
    }

    /// All webhooks of a project.
    pub async fn of_project(&self, project: &ProjectName) -> Result<Arc<Vec<Webhook>>, StoreError> {
        let asked_at = self.clock.now();
        if let Some(webhooks) = self.fresh(project, asked_at) {
            return Ok(webhooks);
        }
        let webhooks = Arc::new(self.store.webhooks(project).await?);
        // The moment *before* the read: a change made during it may not be in the answer.
        let entry = Entry {
            webhooks: webhooks.clone(),
            read_at: asked_at,
            being_read_until: Timestamp::MIN,
        };
        self.lock().insert(project.clone(), entry);
        Ok(webhooks)
    }

    /// One webhook of a project.
    pub async fn webhook(
        &self,
        project: &ProjectName,
        id: &WebhookId,
    ) -> Result<Option<Webhook>, StoreError> {
        let webhooks = self.of_project(project).await?;
        Ok(webhooks.iter().find(|webhook| webhook.id == *id).cloned())
    }

    /// Forgets a project's webhooks: the next to ask reads them anew.
    pub fn forget(&self, project: &ProjectName) {
        self.lock().remove(project);
    }

    fn fresh(&self, project: &ProjectName, now: Timestamp) -> Option<Arc<Vec<Webhook>>> {
        let mut projects = self.lock();
        let entry = projects.get_mut(project)?;
        let age = now.duration_since(entry.read_at);
        if age.unsigned_abs() < Self::FRESH_FOR || now < entry.being_read_until {
            return Some(entry.webhooks.clone());
        }
        entry.being_read_until = now + Self::READ_WITHIN;
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ProjectName, Entry>> {
        self.projects
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}
