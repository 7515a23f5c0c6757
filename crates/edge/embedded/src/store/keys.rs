//! Keys to the HTTP API.

use super::{EmbeddedStore, corrupt};
use crate::tables::{API_KEYS, Tables};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable};
use ringback_delivery::port::{KeyStore, StoreError, WriteAnswer};
use ringback_domain::{ApiKey, ApiKeyId};
use ringback_wire::api_key as wire;

const WHAT: &str = "key";

#[async_trait]
impl KeyStore for EmbeddedStore {
    async fn put_key(&self, key: &ApiKey) -> Result<WriteAnswer, StoreError> {
        let key = key.clone();
        self.engine
            .write(move |tables| put(tables, &key))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let look = |tx: &ReadTransaction| {
            let found = tx.open_table(API_KEYS)?.get(id.as_str())?;
            Ok(found.map(|bytes| read(bytes.value(), id.as_str())))
        };
        let found = self.engine.read(look);
        found.map_err(|failure| self.error(failure))?.transpose()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let look = |tx: &ReadTransaction| {
            let mut found = Vec::new();
            for entry in tx.open_table(API_KEYS)?.iter()? {
                let (id, bytes) = entry?;
                found.push(read(bytes.value(), id.value()));
            }
            Ok(found)
        };
        let found = self.engine.read_long(look).await;
        let found = found.map_err(|failure| self.error(failure))?;
        let mut keys = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    async fn remove_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.engine
            .write(move |tables| Ok(tables.api_keys()?.remove(id.as_str())?.is_some()))
            .await
            .map_err(|failure| self.error(failure))
    }
}

fn read(bytes: &[u8], id: &str) -> Result<ApiKey, StoreError> {
    wire::decode(bytes).map_err(|fault| corrupt(WHAT, id, fault))
}

fn put(
    tables: &mut Tables<'_>,
    key: &ApiKey,
) -> Result<Result<WriteAnswer, StoreError>, redb::Error> {
    let id = key.id.as_str();
    let stored = tables
        .api_keys()?
        .get(id)?
        .map(|bytes| read(bytes.value(), id));
    let revision = match stored.transpose() {
        Ok(stored) => stored.map_or(0, |stored| stored.revision),
        Err(error) => return Ok(Err(error)),
    };
    if key.revision != revision + 1 {
        return Ok(Ok(WriteAnswer::Conflict));
    }
    tables.api_keys()?.insert(id, &*wire::encode(key))?;
    Ok(Ok(WriteAnswer::Written))
}
