//! Registered webhooks.

use crate::{
    RedisStore,
    error::{corrupt, unreadable},
    script::{LIST_WEBHOOKS, PUT_WEBHOOK, REMOVE_WEBHOOK},
};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{Page, StoreError, WebhookStore, WriteAnswer};
use ringback_domain::{DestinationId, ProjectName, Webhook, WebhookId};
use ringback_wire::record;

#[async_trait]
impl WebhookStore for RedisStore {
    async fn put_webhook(&self, webhook: &Webhook) -> Result<WriteAnswer, StoreError> {
        let project = webhook.project.as_str();
        let mut script =
            PUT_WEBHOOK.key([self.keys.webhooks(), self.keys.webhooks_of(project)].as_slice());
        script
            .arg(webhook.id.as_str())
            .arg(webhook.revision)
            .arg(project)
            .arg(record::encode_webhook(webhook));
        let answer: String = self.connection.run("store a webhook", &script).await?;
        Ok(match answer.as_str() {
            "written" => WriteAnswer::Written,
            _ => WriteAnswer::Conflict,
        })
    }

    async fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys.webhooks()).arg(id.as_str());
        let stored: Option<Bytes> = self.connection.send("read a webhook", &command).await?;
        stored.map(|stored| read(&stored, id)).transpose()
    }

    async fn webhooks(&self, project: &ProjectName) -> Result<Page<Webhook>, StoreError> {
        let script = LIST_WEBHOOKS.key(
            [
                self.keys.webhooks(),
                self.keys.webhooks_of(project.as_str()),
            ]
            .as_slice(),
        );
        let stored: Vec<(String, Bytes)> = self.connection.run("read webhooks", &script).await?;
        let mut page = Page::new(Vec::with_capacity(stored.len()), None);
        for (id, stored) in &stored {
            page.take_in(read(stored, id))?;
        }
        let place = |webhook: &Webhook| (webhook.created_at, webhook.id.clone());
        page.entries.sort_by_cached_key(place);
        page.damaged.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(page)
    }

    async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError> {
        let mut script = REMOVE_WEBHOOK.key(self.keys.webhooks());
        script.arg(id.as_str()).arg(self.keys.webhooks_of(""));
        let was_there = self.connection.run("remove a webhook", &script).await?;
        if was_there {
            self.remove_breaker_of(&DestinationId::webhook(id)).await?;
        }
        Ok(was_there)
    }
}

/// The record after `<revision> <project> `.
fn read(stored: &[u8], id: &impl ToString) -> Result<Webhook, StoreError> {
    let record = stored
        .splitn(3, |byte| *byte == b' ')
        .nth(2)
        .ok_or_else(|| unreadable("webhook", id, "it has no revision".into()))?;
    record::decode_webhook(record).map_err(|why| corrupt("webhook", id, &why))
}
