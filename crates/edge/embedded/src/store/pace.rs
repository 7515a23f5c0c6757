//! Breakers, and turns at destinations.

use super::EmbeddedStore;
use crate::tables::{BREAKERS, Tables};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};
use ringback_delivery::port::{PaceStore, ReservedTurn, StoreError, WriteAnswer};
use ringback_domain::{Breaker, DestinationId, limits};
use ringback_wire::{WireError, breaker as wire};
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The turn after the last one reserved, by destination, by the clock that nobody sets. Not on disk: one process has the
/// directory, and a restart costs a destination its next turns early at most.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<DestinationId, Duration>>);

/// Destinations whose turns are remembered before those whose turns are all past are forgotten.
const REMEMBERED_MAX: usize = 10_000;

impl Turns {
    fn reserve(
        &self,
        destination: &DestinationId,
        per_second: NonZeroU32,
        ahead_max: Duration,
        now: Duration,
    ) -> ReservedTurn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= REMEMBERED_MAX {
            turns.retain(|_, turn| *turn > now);
        }
        let next = turns.entry(destination.clone()).or_default();
        let wait = next.saturating_sub(now);
        if wait > ahead_max {
            return ReservedTurn::Full;
        }
        *next = now + wait + Duration::from_secs(1) / per_second.get();
        ReservedTurn::In(wait)
    }
}

#[async_trait]
impl PaceStore for EmbeddedStore {
    async fn reserve_turn(
        &self,
        destination: &DestinationId,
        per_second: NonZeroU32,
        ahead_max: Duration,
    ) -> Result<ReservedTurn, StoreError> {
        let now = self.clock.monotonic();
        Ok(self.turns.reserve(destination, per_second, ahead_max, now))
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        let look = |tx: &ReadTransaction| {
            let (mut found, mut unreadable) = (Vec::new(), Vec::new());
            for entry in tx.open_table(BREAKERS)?.iter()? {
                let (id, bytes) = entry?;
                match wire::decode(bytes.value()) {
                    Ok(breaker) => found.push(breaker),
                    Err(why) => unreadable.push((id.value().to_owned(), why)),
                }
            }
            Ok((found, unreadable))
        };
        let looked = self.engine.read(look);
        let (found, unreadable) = looked.map_err(|failure| self.error(failure))?;
        for (id, why) in unreadable {
            self.remove_unreadable(id, &why).await;
        }
        Ok(found)
    }

    async fn put_breaker(&self, breaker: &Breaker) -> Result<WriteAnswer, StoreError> {
        let breaker = breaker.clone();
        self.engine
            .write(move |tables| put(tables, &breaker))
            .await
            .map_err(|failure| self.error(failure))
    }

    async fn remove_breaker(&self, breaker: &Breaker) -> Result<bool, StoreError> {
        let breaker = breaker.clone();
        self.engine
            .write(move |tables| {
                let id = breaker.destination.as_str();
                if revision(tables, id)? != breaker.revision {
                    return Ok(false);
                }
                Ok(tables.breakers()?.remove(id)?.is_some())
            })
            .await
            .map_err(|failure| self.error(failure))
    }
}

impl EmbeddedStore {
    /// Breakers are hints: without this one its destination is tried as any other, and with it nobody could read the others.
    async fn remove_unreadable(&self, id: String, why: &WireError) {
        tracing::warn!(
            ringback.destination.id = id,
            error = why as &(dyn std::error::Error + 'static),
            "removing a breaker that cannot be read"
        );
        let remove = move |tables: &mut Tables<'_>| {
            tables.breakers()?.remove(&*id)?;
            Ok(())
        };
        if let Err(failure) = self.engine.write(remove).await {
            let failure = self.error(failure);
            tracing::warn!(
                error = &failure as &(dyn std::error::Error + 'static),
                "could not remove a breaker that cannot be read"
            );
        }
    }
}

/// The revision of the stored breaker; 0 when there is none that can be read.
fn revision(tables: &mut Tables<'_>, id: &str) -> Result<u64, redb::Error> {
    let stored = tables.breakers()?.get(id)?;
    let stored = stored.and_then(|bytes| wire::decode(bytes.value()).ok());
    Ok(stored.map_or(0, |stored| stored.revision))
}

fn put(tables: &mut Tables<'_>, breaker: &Breaker) -> Result<WriteAnswer, redb::Error> {
    let id = breaker.destination.as_str();
    let stored = revision(tables, id)?;
    let is_one_too_many = stored == 0 && tables.breakers()?.len()? >= limits::BREAKERS_MAX as u64;
    if breaker.revision != stored + 1 || is_one_too_many {
        return Ok(WriteAnswer::Conflict);
    }
    tables.breakers()?.insert(id, &*wire::encode(breaker))?;
    Ok(WriteAnswer::Written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Embedded, Settings};
    use ringback_domain::BreakerRules;
    use ringback_testkit::{MachineClock, samples};
    use std::sync::Arc;

    const RULES: BreakerRules = BreakerRules {
        failures: NonZeroU32::MIN,
        probe_first: Duration::from_secs(5),
        probe_max: Duration::from_mins(1),
    };

    #[tokio::test]
    async fn a_breaker_that_cannot_be_read_keeps_no_other_from_being_read_and_makes_room() {
        let store = Embedded::in_memory(&Settings::default(), Arc::new(MachineClock)).store();
        let good = Breaker::opened("whk_good".parse().unwrap(), samples::moment(0), &RULES);
        let bad = Breaker::opened("whk_bad".parse().unwrap(), samples::moment(0), &RULES);
        store.put_breaker(&good).await.unwrap();
        let damage = || {
            store.engine.write(|tables| {
                tables.breakers()?.insert("whk_bad", &b"{\"v\":1"[..])?;
                Ok(())
            })
        };
        damage().await.unwrap();

        assert_eq!(store.breakers().await.unwrap(), std::slice::from_ref(&good));
        let is_there = store
            .engine
            .read(|tx| Ok(tx.open_table(BREAKERS)?.get("whk_bad")?.is_some()));
        assert!(!is_there.unwrap(), "it is removed, and named once");
        damage().await.unwrap();
        assert_eq!(
            store.put_breaker(&bad).await.unwrap(),
            WriteAnswer::Written,
            "as if there were none"
        );
        assert_eq!(store.breakers().await.unwrap(), [bad, good]);
    }
}
