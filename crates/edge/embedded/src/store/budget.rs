//! What dead letters take, and how the oldest leave.

use super::{
    EmbeddedStore,
    dead_letters::{BYTES, forget, read},
};
use crate::tables::{ABOUT, DEAD_LETTER_TERMS};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};
use ringback_delivery::port::{BudgetStore, OldestDeadLetters, StoreError};
use ringback_domain::{DeadLetterId, DeadLetterUsage, WorkerId, limits};
use std::time::Duration;

#[async_trait]
impl BudgetStore for EmbeddedStore {
    async fn dead_letter_usage(&self) -> Result<DeadLetterUsage, StoreError> {
        let look = |tx: &ReadTransaction| {
            let bytes = tx.open_table(ABOUT)?.get(BYTES)?;
            Ok(DeadLetterUsage {
                entry_count: tx.open_table(DEAD_LETTER_TERMS)?.len()?,
                bytes: bytes.map_or(0, |bytes| bytes.value()),
            })
        };
        self.engine
            .read(look)
            .map_err(|failure| self.error(failure))
    }

    async fn oldest_dead_letters(&self, limit: usize) -> Result<OldestDeadLetters, StoreError> {
        let limit = limit.clamp(1, limits::PAGE_ENTRIES_MAX);
        let look = move |tx: &ReadTransaction| {
            let mut found = Vec::new();
            for entry in tx.open_table(DEAD_LETTER_TERMS)?.iter()?.take(limit) {
                found.extend(read(tx, entry?.0.value())?);
            }
            Ok(found)
        };
        let found = self.engine.read_long(look).await;
        let mut oldest = OldestDeadLetters::default();
        for read in found.map_err(|failure| self.error(failure))? {
            oldest.take_in(read.map(Some))?;
        }
        Ok(oldest)
    }

    async fn forget_dead_letters(&self, ids: &[DeadLetterId]) -> Result<u64, StoreError> {
        let ids = ids.to_vec();
        self.engine
            .write(move |tables| {
                let mut count = 0;
                for id in &ids {
                    let key = tables
                        .dead_letter_keys()?
                        .get(id.as_str())?
                        .map(|key| key.value());
                    if let Some(key) = key {
                        forget(tables, key)?;
                        count += 1;
                    }
                }
                Ok(count)
            })
            .await
            .map_err(|failure| self.error(failure))
    }

    /// One process has the file, so that this need not be in it.
    async fn claim_making_room(
        &self,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut holder = self.engine.making_room();
        let is_free = holder
            .as_ref()
            .is_none_or(|(held_by, until)| held_by == worker || *until <= now);
        if is_free {
            let until = now.checked_add(lease);
            let until = until.map_err(|_| Self::refused("claim", "the lease never ends"))?;
            *holder = Some((worker.clone(), until));
        }
        Ok(is_free)
    }
}
