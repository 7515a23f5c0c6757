//! What dead letters take, and how the oldest leave.

use crate::{
    RedisStore,
    claims::millis,
    key::Suffix,
    script::{CLAIM_ROOM, FORGET_LETTER, OLDEST_LETTERS, USAGE},
};
use async_trait::async_trait;
use futures_util::{StreamExt, future::try_join_all, stream};
use ringback_delivery::port::{BudgetStore, OldestDeadLetters, StoreError};
use ringback_domain::{DeadLetterId, DeadLetterUsage, WorkerId, limits};
use std::time::Duration;

/// Records fetched at once.
const FETCHED_AT_ONCE: usize = 32;

#[async_trait]
impl BudgetStore for RedisStore {
    async fn dead_letter_usage(&self) -> Result<DeadLetterUsage, StoreError> {
        let asked = self.keys.shards().map(|shard| async move {
            let mut script = USAGE.key([shard.open(), shard.disposed()].as_slice());
            script.arg(shard.as_str());
            self.connection
                .run::<(u64, u64)>("count dead letters", &script)
                .await
        });
        let mut usage = DeadLetterUsage::default();
        for (entry_count, bytes) in try_join_all(asked).await? {
            usage.entry_count += entry_count;
            usage.bytes += bytes;
        }
        Ok(usage)
    }

    async fn oldest_dead_letters(&self, limit: usize) -> Result<OldestDeadLetters, StoreError> {
        let limit = limit.clamp(1, limits::PAGE_ENTRIES_MAX);
        let asked = self.keys.shards().map(|shard| async move {
            let mut script = OLDEST_LETTERS.key([shard.open(), shard.disposed()].as_slice());
            script.arg(limit);
            let found: Vec<String> = self.connection.run("list dead letters", &script).await?;
            let found = found.into_iter().filter_map(Suffix::read);
            Ok::<_, StoreError>(found.map(move |suffix| (suffix, shard.clone())))
        });
        let mut found: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.truncate(limit);
        let read = stream::iter(found).map(|(suffix, shard)| async move {
            // One whose record is gone, its time being over, is taken out of the index by whoever next lists it.
            self.read_letter(&shard, suffix.id()).await
        });
        let mut read = read.buffered(FETCHED_AT_ONCE);
        let mut oldest = OldestDeadLetters::default();
        while let Some(read) = read.next().await {
            oldest.take_in(read)?;
        }
        Ok(oldest)
    }

    async fn forget_dead_letters(&self, ids: &[DeadLetterId]) -> Result<u64, StoreError> {
        let mut count = 0;
        for id in ids {
            let asked = self.keys.shards().map(|shard| async move {
                let keys = [shard.letter(id.as_str()), shard.open(), shard.disposed()];
                let mut script = FORGET_LETTER.key(keys.as_slice());
                script.arg(shard.as_str());
                self.connection
                    .run::<u64>("forget a dead letter", &script)
                    .await
            });
            count += try_join_all(asked).await?.into_iter().sum::<u64>();
        }
        Ok(count)
    }

    async fn claim_making_room(
        &self,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let mut script = CLAIM_ROOM.key(self.keys.making_room());
        script.arg(worker.as_str()).arg(millis(lease).max(1));
        let granted: u8 = self.connection.run("claim", &script).await?;
        Ok(granted == 1)
    }
}
