//! The webhooks of a project, as fresh as promised.

use crate::{
    moment::Moment,
    port::{Clock, DamagedRecord, Page, Store, StoreError},
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
    webhooks: Arc<Page<Webhook>>,
    read_at: Moment,
}

/// One webhook of those that were read together: it is looked at for every attempt, and never copied.
pub struct CachedWebhook {
    all: Arc<Page<Webhook>>,
    at: usize,
}

impl Deref for CachedWebhook {
    type Target = Webhook;

    fn deref(&self) -> &Webhook {
        &self.all.entries[self.at]
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

    /// All webhooks of a project, damaged ones told apart: one that cannot be read keeps nothing from the others.
    pub async fn of_project(
        &self,
        project: &ProjectName,
    ) -> Result<Arc<Page<Webhook>>, StoreError> {
        let asked_at = Moment::now(&*self.clock);
        let slot = self.slot(project);
        let mut entry = slot.lock().await;
        // The moment *before* the read: a change made during it may not be in the answer.
        let read_at = Moment::now(&*self.clock);
        if let Some(entry) = &*entry
            && (entry.read_at).is_fresh(asked_at, Self::FRESH_FOR, &*self.clock)
        {
            return Ok(entry.webhooks.clone());
        }
        let webhooks = Arc::new(self.store.webhooks(project).await?);
        let known = entry.as_ref().map(|entry| &*entry.webhooks.damaged);
        tell_of_damaged(&webhooks.damaged, known.unwrap_or_default());
        *entry = Some(Entry {
            webhooks: webhooks.clone(),
            read_at,
        });
        Ok(webhooks)
    }

    /// One webhook of a project.
    ///
    /// # Errors
    ///
    /// The store's failure, and that this one is damaged: what is for it must not be taken for what is for nobody.
    pub async fn webhook(
        &self,
        project: &ProjectName,
        id: &WebhookId,
    ) -> Result<Option<CachedWebhook>, StoreError> {
        let all = self.of_project(project).await?;
        if let Some(DamagedRecord { id, why }) = damaged_in(&all, id) {
            return Err(StoreError::Corrupt {
                what: "webhook",
                id: id.clone(),
                why: why.clone(),
            });
        }
        let at = all.entries.iter().position(|webhook| webhook.id == *id);
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

/// What is wrong with this webhook, if it is one that cannot be read.
pub(crate) fn damaged_in<'a>(all: &'a Page<Webhook>, id: &WebhookId) -> Option<&'a DamagedRecord> {
    all.damaged.iter().find(|record| record.id == id.as_str())
}

/// Those that were not damaged when this was last read: the same is read again twice a second.
fn tell_of_damaged(damaged: &[DamagedRecord], known: &[DamagedRecord]) {
    for record in damaged.iter().filter(|record| !known.contains(record)) {
        tracing::error!(
            ringback.webhook.id = record.id,
            why = record.why,
            "a webhook cannot be read: what is under way to it waits, and each event of its project becomes a dead letter for it \
             (hint: `ringback doctor` names those that are damaged, `ringback webhooks remove` removes one)"
        );
    }
}
