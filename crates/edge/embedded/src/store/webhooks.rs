//! Webhooks.

use super::{EmbeddedStore, corrupt};
use crate::tables::{Tables, WEBHOOK_ORDER, WEBHOOKS};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable};
use ringback_delivery::port::{Page, StoreError, WebhookStore, WriteAnswer};
use ringback_domain::{DestinationId, ProjectName, Webhook, WebhookId};
use ringback_wire::record as wire;

const WHAT: &str = "webhook";

#[async_trait]
impl WebhookStore for EmbeddedStore {
    async fn put_webhook(&self, webhook: &Webhook) -> Result<WriteAnswer, StoreError> {
        let webhook = webhook.clone();
        self.engine
            .write(move |tables| put(tables, &webhook))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        let look = |tx: &ReadTransaction| {
            let found = tx.open_table(WEBHOOKS)?.get(id.as_str())?;
            Ok(found.map(|bytes| read(bytes.value(), id.as_str())))
        };
        let found = self
            .engine
            .read(look)
            .map_err(|failure| self.error(failure))?;
        found.transpose()
    }

    async fn webhooks(&self, project: &ProjectName) -> Result<Page<Webhook>, StoreError> {
        let project = project.clone();
        let look = move |tx: &ReadTransaction| {
            let webhooks = tx.open_table(WEBHOOKS)?;
            let name = project.as_str();
            let mut found = Vec::new();
            let order = tx.open_table(WEBHOOK_ORDER)?;
            for entry in order.range((name, i128::MIN, "")..)? {
                let (key, ()) = entry.map(|(key, _)| (key, ()))?;
                let (of, _, id) = key.value();
                if of != name {
                    break;
                }
                if let Some(bytes) = webhooks.get(id)? {
                    found.push(read(bytes.value(), id));
                }
            }
            Ok(found)
        };
        let found = self.engine.read_long(look).await;
        let mut page = Page::new(Vec::new(), None);
        for read in found.map_err(|failure| self.error(failure))? {
            page.take_in(read)?;
        }
        Ok(page)
    }

    async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.engine
            .write(move |tables| remove(tables, &id))
            .await
            .map_err(|failure| self.error(failure))
    }
}

fn read(bytes: &[u8], id: &str) -> Result<Webhook, StoreError> {
    wire::decode_webhook(bytes).map_err(|fault| corrupt(WHAT, id, fault))
}

fn find(
    tables: &mut Tables<'_>,
    id: &WebhookId,
) -> Result<Result<Option<Webhook>, StoreError>, redb::Error> {
    let found = tables.webhooks()?.get(id.as_str())?;
    Ok(found
        .map(|bytes| read(bytes.value(), id.as_str()))
        .transpose())
}

fn put(
    tables: &mut Tables<'_>,
    webhook: &Webhook,
) -> Result<Result<WriteAnswer, StoreError>, redb::Error> {
    let stored = match find(tables, &webhook.id)? {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error)),
    };
    let revision = stored.as_ref().map_or(0, |stored| stored.revision);
    if webhook.revision != revision + 1 {
        return Ok(Ok(WriteAnswer::Conflict));
    }
    if let Some(stored) = &stored {
        tables.webhook_order()?.remove(place(stored))?;
    }
    tables.webhook_order()?.insert(place(webhook), ())?;
    tables
        .webhooks()?
        .insert(webhook.id.as_str(), &*wire::encode_webhook(webhook))?;
    Ok(Ok(WriteAnswer::Written))
}

fn remove(tables: &mut Tables<'_>, id: &WebhookId) -> Result<bool, redb::Error> {
    match find(tables, id)? {
        Ok(Some(stored)) => {
            tables.webhook_order()?.remove(place(&stored))?;
        }
        Ok(None) => return Ok(false),
        // Its place cannot be read, either.
        Err(_) => tables
            .webhook_order()?
            .retain(|(_, _, of), ()| of != id.as_str())?,
    }
    tables.webhooks()?.remove(id.as_str())?;
    let breaker = DestinationId::webhook(id);
    tables.breakers()?.remove(breaker.as_str())?;
    Ok(true)
}

/// Where it is in the list of its project.
fn place(webhook: &Webhook) -> (&str, i128, &str) {
    let created_at = webhook.created_at.as_nanosecond();
    (webhook.project.as_str(), created_at, webhook.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Embedded, Settings};
    use ringback_testkit::{MachineClock, contract, samples};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_damaged_webhook_keeps_no_other_from_being_read() {
        let store = Embedded::in_memory(&Settings::default(), Arc::new(MachineClock)).store();
        let webhooks = samples::webhooks_of(&samples::project(), 3);
        for webhook in &webhooks {
            store.put_webhook(webhook).await.unwrap();
        }
        let id = webhooks[1].id.clone();
        let damage = move |tables: &mut Tables<'_>| {
            tables.webhooks()?.insert(id.as_str(), &b"{\"v\":1"[..])?;
            Ok(())
        };
        store.engine.write(damage).await.unwrap();
        let tell = contract::store::a_damaged_webhook_keeps_no_other_from_being_read;
        tell(&store, &webhooks, 1).await;
    }
}
