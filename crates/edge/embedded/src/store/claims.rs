//! Claims and their settlements.

use super::{
    EmbeddedStore, corrupt, dead_letters,
    record::{Lease, Position, Record, Standing, Unsettled},
    traffic::Counted,
};
use crate::tables::Tables;
use async_trait::async_trait;
use redb::ReadableTable;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimNonce, ClaimRequest, ClaimStore, ExpiredClaim, FencingToken,
    SettleAnswer, SettledAs, Settlement, StoreError,
};
use ringback_domain::{Delivery, DeliveryId, DeliveryState, Generation, Timestamp};
use ringback_wire::record as wire;
use std::time::Duration;

#[async_trait]
impl ClaimStore for EmbeddedStore {
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<ClaimAnswer, StoreError> {
        let now = self.clock.now();
        let asked = Asked {
            claim: Claim {
                delivery: request.delivery.id.clone(),
                generation: request.delivery.generation,
                attempt: request.delivery.attempt,
                token: FencingToken(self.engine.number()),
            },
            nonce: request.nonce,
            lease: Lease {
                worker: request.worker.clone(),
                claimed_at: now,
                ends_at: now
                    .checked_add(request.lease)
                    .map_err(|_| Self::refused("claim", "the lease never ends"))?,
            },
            head: wire::encode_record_head(request.delivery),
            window_began: self.window_began(),
            number: self.engine.number(),
        };
        self.engine
            .write(move |tables| asked.claim_in(tables))
            .await
            .map_err(|failure| self.error(failure))?
    }

    /// The claim is in the record.
    async fn show_attempting(&self, _delivery: &Delivery) -> Result<(), StoreError> {
        Ok(())
    }

    async fn show_waiting(&self, delivery: &Delivery, until: Timestamp) -> Result<(), StoreError> {
        let waits = Waits {
            id: delivery.id.clone(),
            at: Position {
                generation: delivery.generation,
                attempt: Some(delivery.attempt),
            },
            head: wire::encode_record_head(delivery),
            until,
            now: self.clock.now(),
            window_began: self.window_began(),
            number: self.engine.number(),
        };
        self.engine
            .write(move |tables| waits.show_in(tables))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn settle(&self, settlement: Settlement<'_>) -> Result<SettleAnswer, StoreError> {
        let dead_letter = match settlement.settled_as {
            SettledAs::DeadLettered(dead_letter) => {
                Some(dead_letters::Burial::of(dead_letter, self.engine.number())?)
            }
            _ => None,
        };
        let word = LastWord {
            claim: settlement.claim.clone(),
            head: wire::encode_record_head(settlement.delivery),
            attempts: settlement
                .attempts
                .iter()
                .map(wire::encode_attempt)
                .collect(),
            state: state_of(&settlement),
            dead_letter,
            counted: Counted::of(&settlement),
            at: settlement.at,
            now: self.clock.now(),
            number: self.engine.number(),
        };
        self.engine
            .write(move |tables| word.settle_in(tables))
            .await
            .map_err(|failure| self.error(failure))?
    }
}

/// `None` for a release.
fn state_of(settlement: &Settlement<'_>) -> Option<DeliveryState> {
    match settlement.settled_as {
        SettledAs::Delivered => Some(DeliveryState::Delivered { at: settlement.at }),
        SettledAs::Retrying { due_at } => Some(DeliveryState::Waiting { until: *due_at }),
        SettledAs::DeadLettered(dead_letter) => Some(DeliveryState::DeadLettered {
            id: dead_letter.id.clone(),
        }),
        SettledAs::Released => None,
    }
}

/// A record and where it is.
pub(super) fn find(
    tables: &mut Tables<'_>,
    id: &DeliveryId,
) -> Result<Option<(u64, Option<Record>)>, redb::Error> {
    let number = tables
        .delivery_numbers()?
        .get(id.as_str())?
        .map(|number| number.value());
    let Some(number) = number else {
        return Ok(None);
    };
    let deliveries = tables.deliveries()?;
    let record = deliveries.get(number)?;
    Ok(Some((
        number,
        record.and_then(|record| Record::decode(record.value())),
    )))
}

struct Asked {
    claim: Claim,
    nonce: ClaimNonce,
    lease: Lease,
    head: Vec<u8>,
    window_began: Timestamp,
    /// Where the record goes if it is new.
    number: u64,
}

impl Asked {
    fn claim_in(
        self,
        tables: &mut Tables<'_>,
    ) -> Result<Result<ClaimAnswer, StoreError>, redb::Error> {
        let id = &self.claim.delivery;
        let now = self.lease.claimed_at;
        let (number, mut record, expired) = match find(tables, id)? {
            None => {
                tables
                    .delivery_numbers()?
                    .insert(id.as_str(), self.number)?;
                (self.number, first_record(id, self.head, now), None)
            }
            Some((_, None)) => {
                return Ok(Err(corrupt("delivery", id, "it is cut or of another form")));
            }
            // Of an event of long ago; one that is published under its id today is another.
            Some((number, Some(record)))
                if is_of_another(&record, self.claim.generation, self.window_began) =>
            {
                tables.deliveries()?.remove(number)?;
                tables
                    .delivery_numbers()?
                    .insert(id.as_str(), self.number)?;
                (self.number, first_record(id, self.head, now), None)
            }
            Some((number, Some(mut record))) => {
                if let Some(Renewed { expired }) = self.renew(&mut record) {
                    tables.deliveries()?.insert(number, &*record.encode())?;
                    return Ok(Ok(ClaimAnswer::Granted {
                        claim: Claim {
                            token: record.token,
                            ..self.claim
                        },
                        expired,
                    }));
                }
                if let Some(answer) = refusal(&record.now, position_of(&self.claim), now) {
                    return Ok(Ok(answer));
                }
                let expired = expired_of(&record.now, &self.claim);
                record.head = self.head;
                (number, record, expired)
            }
        };
        let claimed = Standing {
            at: position_of(&self.claim),
            lease: Some(self.lease),
            state: DeliveryState::Attempting,
        };
        record.unsettled = Some(Unsettled {
            before: std::mem::replace(&mut record.now, claimed),
            nonce: Some(self.nonce),
        });
        record.token = self.claim.token;
        record.updated_at = now;
        tables.deliveries()?.insert(number, &*record.encode())?;
        Ok(Ok(ClaimAnswer::Granted {
            claim: self.claim,
            expired,
        }))
    }
}

impl Asked {
    /// When this handling holds the claim already, because an answer got lost: its lease from now, and what it was told.
    fn renew(&self, record: &mut Record) -> Option<Renewed> {
        let unsettled = record.unsettled.as_ref()?;
        let lease = record.now.lease.as_mut()?;
        let is_ours = record.now.at == position_of(&self.claim)
            && unsettled.nonce == Some(self.nonce)
            && lease.worker == self.lease.worker;
        is_ours.then(|| {
            lease.ends_at = self.lease.ends_at;
            let expired = expired_of(&unsettled.before, &self.claim);
            Renewed { expired }
        })
    }
}

/// Whether the record ended before the window, and a first generation is asked for: a replay goes on with what is there.
fn is_of_another(record: &Record, generation: Generation, window_began: Timestamp) -> bool {
    generation == Generation::FIRST
        && record.now.state.is_final()
        // By the worker's clock, the one, and by ours, the other.
        && record.updated_at.max(record.created_at) < window_began
}

/// A claim granted again to the handling that holds it.
struct Renewed {
    /// What the first grant told.
    expired: Option<ExpiredClaim>,
}

/// A claim to the same attempt that nobody settled.
fn expired_of(found: &Standing, asked: &Claim) -> Option<ExpiredClaim> {
    let same = found.at == position_of(asked);
    found.lease.clone().filter(|_| same).map(Into::into)
}

fn first_record(id: &DeliveryId, head: Vec<u8>, now: Timestamp) -> Record {
    Record {
        id: id.clone(),
        token: FencingToken(0),
        now: Standing {
            at: Position {
                generation: Generation::FIRST,
                attempt: None,
            },
            lease: None,
            state: DeliveryState::Waiting { until: now },
        },
        unsettled: None,
        created_at: now,
        updated_at: now,
        head,
        attempts: Vec::new(),
    }
}

fn position_of(claim: &Claim) -> Position {
    Position {
        generation: claim.generation,
        attempt: Some(claim.attempt),
    }
}

/// Why an attempt may not be made; the table in docs/protocol.md.
fn refusal(found: &Standing, position: Position, now: Timestamp) -> Option<ClaimAnswer> {
    let is_over = match found.state {
        DeliveryState::Delivered { .. } => true,
        DeliveryState::DeadLettered { .. } => position.generation <= found.at.generation,
        DeliveryState::Attempting | DeliveryState::Waiting { .. } => position < found.at,
    };
    if is_over {
        return Some(ClaimAnswer::Settled);
    }
    match &found.lease {
        Some(lease) if now < lease.ends_at => Some(ClaimAnswer::Held {
            remaining: Duration::try_from(lease.ends_at.duration_since(now)).unwrap_or_default(),
        }),
        None if position == found.at => Some(ClaimAnswer::Settled),
        _ => None,
    }
}

/// An attempt that is put off before anybody claims it.
struct Waits {
    id: DeliveryId,
    at: Position,
    head: Vec<u8>,
    until: Timestamp,
    now: Timestamp,
    window_began: Timestamp,
    /// Where the record goes if it is new.
    number: u64,
}

impl Waits {
    fn show_in(self, tables: &mut Tables<'_>) -> Result<Result<(), StoreError>, redb::Error> {
        let id = &self.id;
        let found = match find(tables, id)? {
            Some((_, None)) => {
                return Ok(Err(corrupt("delivery", id, "it is cut or of another form")));
            }
            Some((number, Some(record)))
                if is_of_another(&record, self.at.generation, self.window_began) =>
            {
                tables.deliveries()?.remove(number)?;
                None
            }
            Some((number, Some(record))) => Some((number, record)),
            None => None,
        };
        let (number, mut record) = if let Some(found) = found {
            found
        } else {
            let numbers = tables.delivery_numbers()?;
            numbers.insert(id.as_str(), self.number)?;
            (self.number, first_record(id, self.head.clone(), self.now))
        };
        let is_claimed = record.unsettled.is_some() || record.now.lease.is_some();
        if is_claimed || refusal(&record.now, self.at, self.now).is_some() {
            return Ok(Ok(()));
        }
        if record.now.at.generation < self.at.generation {
            record.now.at = Position {
                generation: self.at.generation,
                attempt: None,
            };
        }
        record.now.state = DeliveryState::Waiting { until: self.until };
        record.head = self.head;
        record.updated_at = self.now;
        tables.deliveries()?.insert(number, &*record.encode())?;
        Ok(Ok(()))
    }
}

struct LastWord {
    claim: Claim,
    head: Vec<u8>,
    attempts: Vec<Vec<u8>>,
    /// `None` for a release.
    state: Option<DeliveryState>,
    dead_letter: Option<dead_letters::Burial>,
    counted: Counted,
    /// By the worker's clock.
    at: Timestamp,
    /// By ours.
    now: Timestamp,
    /// Where the record goes if there is none.
    number: u64,
}

impl LastWord {
    fn settle_in(
        self,
        tables: &mut Tables<'_>,
    ) -> Result<Result<SettleAnswer, StoreError>, redb::Error> {
        let id = &self.claim.delivery;
        let (number, mut record) = match find(tables, id)? {
            // The claim is not known here: the worker's word is all there is.
            None => {
                tables
                    .delivery_numbers()?
                    .insert(id.as_str(), self.number)?;
                let mut record = first_record(id, self.head, self.now);
                record.token = self.claim.token;
                record.unsettled = Some(Unsettled {
                    before: record.now.clone(),
                    nonce: None,
                });
                (self.number, record)
            }
            Some((_, None)) => {
                return Ok(Err(corrupt("delivery", id, "it is cut or of another form")));
            }
            Some((number, Some(record))) => (number, record),
        };
        if record.token != self.claim.token {
            return Ok(Ok(SettleAnswer::Stale));
        }
        let Some(Unsettled { before, .. }) = record.unsettled.take() else {
            return Ok(Ok(SettleAnswer::Settled));
        };
        record.now = match self.state {
            Some(state) => Standing {
                at: position_of(&self.claim),
                lease: None,
                state,
            },
            None => released(before, self.at),
        };
        record.updated_at = self.at;
        record.append(self.attempts);
        tables.deliveries()?.insert(number, &*record.encode())?;
        self.counted.count_in(tables);
        if let Some(dead_letter) = self.dead_letter {
            dead_letter.bury_in(tables)?;
        }
        Ok(Ok(SettleAnswer::Settled))
    }
}

/// As it was before the claim; a delivery nobody is at work on waits to be taken.
fn released(before: Standing, at: Timestamp) -> Standing {
    let state = match before.state {
        DeliveryState::Attempting | DeliveryState::Waiting { .. } => {
            DeliveryState::Waiting { until: at }
        }
        state => state,
    };
    Standing { state, ..before }
}
