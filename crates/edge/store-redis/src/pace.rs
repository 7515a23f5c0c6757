//! Breakers, and turns at destinations.

use crate::{
    RedisStore,
    script::{PUT_BREAKER, REMOVE_BREAKER, RESERVE_TURN},
};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{PaceStore, ReservedTurn, StoreError, WriteAnswer};
use ringback_domain::{Breaker, DestinationId, limits};
use ringback_wire::{WireError, breaker};
use std::{num::NonZeroU32, time::Duration};

#[async_trait]
impl PaceStore for RedisStore {
    async fn reserve_turn(
        &self,
        destination: &DestinationId,
        per_second: NonZeroU32,
        ahead_max: Duration,
    ) -> Result<ReservedTurn, StoreError> {
        let id = destination.as_str();
        let mut script = RESERVE_TURN.key(self.keys.shard_of(id).turn(id));
        let ahead_max = u64::try_from(ahead_max.as_micros()).unwrap_or(u64::MAX);
        script.arg(per_second.get()).arg(ahead_max);
        let answer: i64 = self.connection.run("reserve a turn", &script).await?;
        Ok(match u64::try_from(answer) {
            Ok(wait) => ReservedTurn::In(Duration::from_micros(wait)),
            Err(_) => ReservedTurn::Full,
        })
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.breakers());
        let stored: Vec<(Bytes, Bytes)> = self.connection.send("read breakers", &command).await?;
        let mut found = Vec::with_capacity(stored.len());
        for (id, stored) in stored {
            match read(&stored) {
                Ok(breaker) => found.push(breaker),
                // For those to keep who can read it.
                Err(WireError::Version { .. }) => {}
                Err(why) => self.remove_unreadable(&id, &why).await,
            }
        }
        Ok(found)
    }

    async fn put_breaker(&self, breaker: &Breaker) -> Result<WriteAnswer, StoreError> {
        let mut script = PUT_BREAKER.key(self.keys.breakers());
        script
            .arg(breaker.destination.as_str())
            .arg(breaker.revision)
            .arg(breaker::encode(breaker))
            .arg(limits::BREAKERS_MAX);
        let answer: String = self.connection.run("store a breaker", &script).await?;
        Ok(match answer.as_str() {
            "written" => WriteAnswer::Written,
            _ => WriteAnswer::Conflict,
        })
    }

    async fn remove_breaker(&self, breaker: &Breaker) -> Result<bool, StoreError> {
        let mut script = REMOVE_BREAKER.key(self.keys.breakers());
        script
            .arg(breaker.destination.as_str())
            .arg(breaker.revision);
        self.connection.run("remove a breaker", &script).await
    }
}

impl RedisStore {
    /// Whatever its revision: of a destination that is gone. A step of its own, as breakers lie elsewhere than webhooks.
    pub(crate) async fn remove_breaker_of(&self, id: &DestinationId) -> Result<(), StoreError> {
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.breakers()).arg(id.as_str());
        let _: u64 = self.connection.send("remove a breaker", &command).await?;
        Ok(())
    }

    /// Breakers are hints: without this one its destination is tried as any other, and with it nobody could read the others.
    async fn remove_unreadable(&self, id: &[u8], why: &WireError) {
        tracing::warn!(
            ringback.destination.id = %String::from_utf8_lossy(id),
            error = why as &(dyn std::error::Error + 'static),
            "removing a breaker that cannot be read"
        );
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.breakers()).arg(id);
        let removed: Result<u64, _> = self.connection.send("remove a breaker", &command).await;
        if let Err(failure) = removed {
            tracing::warn!(
                error = &failure as &(dyn std::error::Error + 'static),
                "could not remove a breaker that cannot be read"
            );
        }
    }
}

/// The record after `<revision> `.
fn read(stored: &[u8]) -> Result<Breaker, WireError> {
    let record = stored.splitn(2, |byte| *byte == b' ').nth(1);
    breaker::decode(record.unwrap_or_default())
}
