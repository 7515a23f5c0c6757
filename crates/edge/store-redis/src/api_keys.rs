//! Keys to the HTTP API.

use crate::{
    RedisStore,
    error::{corrupt, unreadable},
    script::PUT_API_KEY,
};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{KeyStore, StoreError, WriteAnswer};
use ringback_domain::{ApiKey, ApiKeyId};
use ringback_wire::api_key;

#[async_trait]
impl KeyStore for RedisStore {
    async fn put_key(&self, key: &ApiKey) -> Result<WriteAnswer, StoreError> {
        let mut script = PUT_API_KEY.key(self.keys.api_keys());
        script
            .arg(key.id.as_str())
            .arg(key.revision)
            .arg(api_key::encode(key));
        let answer: String = self.connection.run("store a key", &script).await?;
        Ok(match answer.as_str() {
            "written" => WriteAnswer::Written,
            _ => WriteAnswer::Conflict,
        })
    }

    async fn key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys.api_keys()).arg(id.as_str());
        let stored: Option<Bytes> = self.connection.send("read a key", &command).await?;
        stored.map(|stored| read(&stored, id)).transpose()
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut command = redis::cmd("HVALS");
        command.arg(self.keys.api_keys());
        let stored: Vec<Bytes> = self.connection.send("read keys", &command).await?;
        let read = stored.iter().map(|stored| read(stored, &"in a list"));
        let mut keys = read.collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    async fn remove_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.api_keys()).arg(id.as_str());
        self.connection.send("remove a key", &command).await
    }
}

/// The record after `<revision> `.
fn read(stored: &[u8], id: &impl ToString) -> Result<ApiKey, StoreError> {
    let record = stored
        .splitn(2, |byte| *byte == b' ')
        .nth(1)
        .ok_or_else(|| unreadable("key", id, "it has no revision".into()))?;
    api_key::decode(record).map_err(|why| corrupt("key", id, &why))
}
