//! Breakers, and turns at destinations.

use super::{EmbeddedStore, corrupt};
use crate::tables::{BREAKERS, Tables};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};
use ringback_delivery::port::{PaceStore, ReservedTurn, StoreError, WriteAnswer};
use ringback_domain::{Breaker, DestinationId, limits};
use ringback_wire::breaker as wire;
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

const WHAT: &str = "breaker";

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
            let mut found = Vec::new();
            for entry in tx.open_table(BREAKERS)?.iter()? {
                let (id, bytes) = entry?;
                found.push(read(bytes.value(), id.value()));
            }
            Ok(found)
        };
        let found = self.engine.read(look);
        let found = found.map_err(|failure| self.error(failure))?;
        found.into_iter().collect()
    }

    async fn put_breaker(&self, breaker: &Breaker) -> Result<WriteAnswer, StoreError> {
        let breaker = breaker.clone();
        self.engine
            .write(move |tables| put(tables, &breaker))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn remove_breaker(&self, breaker: &Breaker) -> Result<bool, StoreError> {
        let breaker = breaker.clone();
        self.engine
            .write(move |tables| {
                let id = breaker.destination.as_str();
                match revision(tables, id)? {
                    Ok(stored) if stored == breaker.revision => {
                        Ok(Ok(tables.breakers()?.remove(id)?.is_some()))
                    }
                    Ok(_) => Ok(Ok(false)),
                    Err(error) => Ok(Err(error)),
                }
            })
            .await
            .map_err(|failure| self.error(failure))?
    }
}

fn read(bytes: &[u8], id: &str) -> Result<Breaker, StoreError> {
    wire::decode(bytes).map_err(|fault| corrupt(WHAT, id, fault))
}

/// The revision of the stored breaker; 0 when there is none.
fn revision(tables: &mut Tables<'_>, id: &str) -> Result<Result<u64, StoreError>, redb::Error> {
    let stored = tables
        .breakers()?
        .get(id)?
        .map(|bytes| read(bytes.value(), id));
    Ok(stored
        .transpose()
        .map(|stored| stored.map_or(0, |stored| stored.revision)))
}

fn put(
    tables: &mut Tables<'_>,
    breaker: &Breaker,
) -> Result<Result<WriteAnswer, StoreError>, redb::Error> {
    let id = breaker.destination.as_str();
    let stored = match revision(tables, id)? {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error)),
    };
    let is_one_too_many = stored == 0 && tables.breakers()?.len()? >= limits::BREAKERS_MAX as u64;
    if breaker.revision != stored + 1 || is_one_too_many {
        return Ok(Ok(WriteAnswer::Conflict));
    }
    tables.breakers()?.insert(id, &*wire::encode(breaker))?;
    Ok(Ok(WriteAnswer::Written))
}
