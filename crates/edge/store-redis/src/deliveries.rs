//! The log of deliveries.

use crate::{
    RedisStore,
    error::{corrupt, unreadable},
    key::{Shard, Suffix, term},
    list::{Entry, Found, Query},
    script::READ_RECORD,
};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{Cursor, DeliveryFilter, DeliveryStore, Page, StoreError};
use ringback_domain::{DeliveryId, DeliveryRecord, Generation, Timestamp};
use ringback_wire::{WireError, record};
use std::time::Duration;

/// How much older than its record the place in the log of one delivered at once may be. The same as in `log.lua`.
pub(crate) const LATE: Duration = Duration::from_secs(1);

/// A record as the server has it: after its claim; or suffix, head, state, generation, moment of the last change, and the attempts.
type Stored = (Option<Bytes>, Vec<Option<Bytes>>, Vec<Bytes>);

/// The parts of a record.
struct Parts {
    suffix: Bytes,
    head: Bytes,
    state: Bytes,
    generation: Bytes,
    updated: Bytes,
    attempts: Vec<Bytes>,
}

#[async_trait]
impl DeliveryStore for RedisStore {
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        let read = self
            .read_record(&self.keys.shard_of(id.as_str()), id.as_str())
            .await?;
        Ok(read.map(|(_, record)| record))
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeliveryRecord>, StoreError> {
        let query = self.log_query(filter);
        let fetch = |entry: Entry| async move {
            let read = self.read_record(&entry.shard, entry.suffix.id()).await?;
            Ok(match read {
                Some((suffix, _)) if suffix != entry.suffix => Found::Gone,
                Some((_, record)) if matches(filter, &record) => Found::Match(record),
                Some(_) => Found::Other,
                None => Found::Gone,
            })
        };
        self.page(&query, after, limit, fetch).await
    }
}

impl RedisStore {
    async fn read_record(
        &self,
        shard: &Shard,
        id: &str,
    ) -> Result<Option<(Suffix, DeliveryRecord)>, StoreError> {
        let keys = [shard.record(id), shard.attempts(id), shard.claim(id)];
        let script = READ_RECORD.key(keys.as_slice());
        let stored: Stored = self.connection.run("read a delivery", &script).await?;
        let Some(parts) = Parts::of(id, stored) else {
            return Ok(None);
        };
        let Some((suffix, created_at, generation, updated_at)) = parts.numbers() else {
            return Err(unreadable("delivery", &id, "its moments are none".into()));
        };
        let read = || -> Result<DeliveryRecord, WireError> {
            let head = record::decode_record_head(&parts.head)?;
            Ok(DeliveryRecord {
                id: head.id,
                event: head.event,
                destination: head.destination,
                profile: head.profile,
                generation,
                state: record::decode_state(&String::from_utf8_lossy(&parts.state))?,
                attempts: parts
                    .attempts
                    .iter()
                    .map(|attempt| record::decode_attempt(attempt))
                    .collect::<Result<_, _>>()?,
                created_at,
                updated_at,
            })
        };
        let record = read().map_err(|why| corrupt("delivery", &id, &why))?;
        Ok(Some((suffix, record)))
    }

    fn log_query(&self, filter: &DeliveryFilter) -> Query {
        let terms = [
            filter
                .project
                .as_ref()
                .map(|project| term('p', project.as_str())),
            filter.event.as_ref().map(|event| term('e', event.as_str())),
            filter.job.as_ref().map(|job| term('j', job.as_str())),
            filter
                .destination
                .as_ref()
                .map(|destination| term('d', destination.as_str())),
            filter
                .state
                .as_deref()
                .map(|state| state_term(state).to_owned()),
        ];
        Query {
            list: "log",
            indexes: self
                .keys
                .shards()
                .map(|shard| (shard.clone(), shard.log()))
                .collect(),
            terms: terms.into_iter().flatten().collect(),
            any_of: Vec::new(),
            since: filter.since,
            until: filter.until,
            age_max: Some(self.settings.idempotency_window + LATE),
        }
    }
}

impl Parts {
    fn of(id: &str, (claim, parts, attempts): Stored) -> Option<Self> {
        if let Some(claim) = claim {
            let mut lines = claim
                .strip_suffix(b"\n")
                .unwrap_or(&claim)
                .split(|byte| *byte == b'\n')
                .map(|line| claim.slice_ref(line));
            let mut next = || lines.next();
            let (claimed, updated, state, head) = (next()?, next()?, next()?, next()?);
            // State, generation, attempt, token, and that again.
            let mut words = claimed.split(|byte| *byte == b' ');
            let generation = claimed.slice_ref(words.nth(1)?);
            let suffix = [words.nth(1)?, id.as_bytes()].concat().into();
            return Some(Self {
                suffix,
                head,
                state,
                generation,
                updated,
                attempts: lines.collect(),
            });
        }
        let [suffix, head, state, generation, updated] = <[_; 5]>::try_from(parts).ok()?;
        Some(Self {
            suffix: suffix?,
            head: head?,
            state: state?,
            generation: generation?,
            updated: updated?,
            attempts,
        })
    }

    /// Its place, when it was first taken, its generation, and when it was last changed.
    fn numbers(&self) -> Option<(Suffix, Timestamp, Generation, Timestamp)> {
        let suffix = Suffix::read(String::from_utf8(self.suffix.to_vec()).ok()?)?;
        let created_at = suffix.moment()?;
        let generation = str::from_utf8(&self.generation).ok()?.parse().ok()?;
        let updated_at = read_nanoseconds(str::from_utf8(&self.updated).ok()?)?;
        Some((suffix, created_at, Generation::new(generation), updated_at))
    }
}

/// The same as in `log.lua`. A word that is no state matches nothing.
fn state_term(class: &str) -> &'static str {
    match class {
        "attempting" => "sa",
        "waiting" => "sw",
        "delivered" => "sd",
        "dead_lettered" => "sx",
        _ => "s-",
    }
}

fn read_nanoseconds(text: &str) -> Option<Timestamp> {
    Timestamp::from_nanosecond(text.parse().ok()?).ok()
}

fn matches(filter: &DeliveryFilter, record: &DeliveryRecord) -> bool {
    fn agrees<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == found)
    }
    agrees(filter.project.as_ref(), &record.event.project)
        && agrees(filter.event.as_ref(), &record.event.id)
        && agrees(filter.job.as_ref(), &record.event.job.id)
        && agrees(filter.destination.as_ref(), &record.destination.id())
        && filter
            .state
            .as_deref()
            .is_none_or(|state| state == record.state.class())
        && filter.since.is_none_or(|since| record.created_at >= since)
        && filter.until.is_none_or(|until| record.created_at < until)
}
