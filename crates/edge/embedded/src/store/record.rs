//! A delivery in the file: who holds the claim, where it stands, and what is told of it.
//!
//! One value holds both, so that a claim or a settlement is one change of one entry. Head and attempts are kept as they were
//! encoded; neither a claim nor a settlement decodes them.

use crate::bytes_of::{Reader, Writer};
use ringback_delivery::port::{ClaimNonce, ExpiredClaim, FencingToken};
use ringback_domain::{
    AttemptNumber, DeliveryId, DeliveryRecord, DeliveryState, Generation, Timestamp, WorkerId,
    limits,
};
use ringback_wire::{WireError, record as wire};

/// How far a delivery came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) generation: Generation,
    /// `None` when nothing was ever settled.
    pub(super) attempt: Option<AttemptNumber>,
}

/// A claim that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) worker: WorkerId,
    pub(super) claimed_at: Timestamp,
    pub(super) ends_at: Timestamp,
}

impl From<Lease> for ExpiredClaim {
    fn from(lease: Lease) -> Self {
        Self {
            worker: lease.worker,
            claimed_at: lease.claimed_at,
        }
    }
}

/// A position, and who is at work on it; settled when nobody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) at: Position,
    pub(super) lease: Option<Lease>,
    pub(super) state: DeliveryState,
}

/// The newest claim, while it is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsettled {
    /// What a release returns to.
    pub(super) before: Standing,
    /// Who may ask again; `None` in files of a release that did not know.
    pub(super) nonce: Option<ClaimNonce>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: DeliveryId,
    /// Of the newest claim.
    pub(super) token: FencingToken,
    pub(super) now: Standing,
    pub(super) unsettled: Option<Unsettled>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    /// Empty once the record is forgotten, while the claim is still remembered.
    pub(super) head: Vec<u8>,
    /// Oldest first.
    pub(super) attempts: Vec<Vec<u8>>,
}

impl Record {
    /// Appends attempts and forgets the oldest beyond the limit.
    pub(super) fn append(&mut self, attempts: Vec<Vec<u8>>) {
        self.attempts.extend(attempts);
        let too_many = self.attempts.len().saturating_sub(limits::HISTORY_MAX);
        self.attempts.drain(..too_many);
    }

    /// Forgets all but the claim.
    pub(super) fn forget_details(&mut self) {
        self.head = Vec::new();
        self.attempts = Vec::new();
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let attempts_bytes: usize = self.attempts.iter().map(|attempt| attempt.len() + 4).sum();
        let mut to = Writer(Vec::with_capacity(256 + self.head.len() + attempts_bytes));
        to.text(self.id.as_str());
        to.u64(self.token.0);
        write_standing(&mut to, &self.now);
        match &self.unsettled {
            None => to.u8(0),
            Some(Unsettled {
                before,
                nonce: None,
            }) => {
                to.u8(1);
                write_standing(&mut to, before);
            }
            Some(Unsettled {
                before,
                nonce: Some(ClaimNonce(nonce)),
            }) => {
                to.u8(2);
                write_standing(&mut to, before);
                to.u64(*nonce);
            }
        }
        to.moment(self.created_at);
        to.moment(self.updated_at);
        to.bytes(&self.head);
        for attempt in &self.attempts {
            to.bytes(attempt);
        }
        to.0
    }

    /// `None` when it is not what [`Record::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        Some(Self {
            id: from.text()?.parse().ok()?,
            token: FencingToken(from.u64()?),
            now: read_standing(&mut from)?,
            unsettled: match from.u8()? {
                0 => None,
                1 => Some(Unsettled {
                    before: read_standing(&mut from)?,
                    nonce: None,
                }),
                2 => Some(Unsettled {
                    before: read_standing(&mut from)?,
                    nonce: Some(ClaimNonce(from.u64()?)),
                }),
                _ => return None,
            },
            created_at: from.moment()?,
            updated_at: from.moment()?,
            head: from.bytes()?.to_vec(),
            attempts: {
                let mut attempts = Vec::new();
                while !from.0.is_empty() {
                    attempts.push(from.bytes()?.to_vec());
                }
                attempts
            },
        })
    }

    /// What is told of it; `None` once that is forgotten.
    pub(super) fn read(&self) -> Result<Option<DeliveryRecord>, WireError> {
        if self.head.is_empty() {
            return Ok(None);
        }
        let head = wire::decode_record_head(&self.head)?;
        let attempts = self
            .attempts
            .iter()
            .map(|attempt| wire::decode_attempt(attempt));
        Ok(Some(DeliveryRecord {
            id: head.id,
            event: head.event,
            destination: head.destination,
            profile: head.profile,
            generation: self.now.at.generation,
            state: self.now.state.clone(),
            attempts: attempts.collect::<Result<_, _>>()?,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }))
    }
}

fn write_standing(to: &mut Writer, standing: &Standing) {
    to.u32(standing.at.generation.get());
    to.u16(standing.at.attempt.map_or(0, AttemptNumber::get));
    to.text(&wire::encode_state(&standing.state));
    match &standing.lease {
        None => to.text(""),
        Some(lease) => {
            to.text(lease.worker.as_str());
            to.moment(lease.claimed_at);
            to.moment(lease.ends_at);
        }
    }
}

fn read_standing(from: &mut Reader<'_>) -> Option<Standing> {
    let at = Position {
        generation: Generation::new(from.u32()?),
        attempt: AttemptNumber::try_new(from.u16()?),
    };
    let state = wire::decode_state(from.text()?).ok()?;
    let lease = match from.text()? {
        "" => None,
        worker => Some(Lease {
            worker: worker.parse().ok()?,
            claimed_at: from.moment()?,
            ends_at: from.moment()?,
        }),
    };
    Some(Standing { at, lease, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let moment: Timestamp = "2026-06-01T10:00:00.123456789Z".parse().unwrap();
        let settled = Standing {
            at: Position {
                generation: Generation::FIRST,
                attempt: None,
            },
            lease: None,
            state: DeliveryState::Waiting { until: moment },
        };
        let held = Standing {
            at: Position {
                generation: Generation::new(3),
                attempt: AttemptNumber::try_new(7),
            },
            lease: Some(Lease {
                worker: "wrk_1".parse().unwrap(),
                claimed_at: moment,
                ends_at: moment,
            }),
            state: DeliveryState::Attempting,
        };
        let mut record = Record {
            id: "dlv_1".parse().unwrap(),
            token: FencingToken(u64::MAX),
            now: held,
            unsettled: Some(Unsettled {
                before: settled,
                nonce: Some(ClaimNonce(u64::MAX)),
            }),
            created_at: moment,
            updated_at: moment,
            head: b"head".to_vec(),
            attempts: vec![b"one".to_vec(), Vec::new()],
        };
        assert_eq!(Record::decode(&record.encode()), Some(record.clone()));
        let unsettled = record.unsettled.as_mut().unwrap();
        unsettled.nonce = None;
        assert_eq!(Record::decode(&record.encode()), Some(record.clone()));
        record.unsettled = None;
        record.forget_details();
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        for end in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..end]), None, "cut at {end}");
        }
    }
}
