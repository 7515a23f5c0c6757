//! Room for dead letters, what is damaged, and what is not to be had for a while.

use super::{SimulatedStore, State};
use async_trait::async_trait;
use ringback_delivery::port::{BudgetStore, Clock, OldestDeadLetters, StoreError};
use ringback_domain::{
    DeadLetter, DeadLetterContent, DeadLetterId, DeadLetterUsage, Timestamp, WorkerId,
};
use std::time::Duration;

impl SimulatedStore {
    /// From now on this record cannot be read.
    pub fn damage(&self, id: &impl ToString) {
        self.state().damaged.insert(id.to_string());
    }

    /// From now on it can be read again.
    pub fn repair(&self, id: &impl ToString) {
        self.state().damaged.remove(&id.to_string());
    }

    /// Until then it refuses to settle anything.
    pub fn settle_nothing_before(&self, moment: Timestamp) {
        self.state().settles_from = Some(moment);
    }
}

impl State {
    /// What reading this one comes to.
    pub(super) fn read(&self, dead: DeadLetter) -> Result<DeadLetter, StoreError> {
        self.if_whole("dead letter", dead.id.as_str())?;
        Ok(dead)
    }

    pub(super) fn if_settling(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.settles_from.is_some_and(|from| now < from) {
            return Err(StoreError::Refused {
                store: "simulated store",
                step: "settle",
                why: "it was told to".into(),
            });
        }
        Ok(())
    }

    pub(super) fn if_whole(&self, what: &'static str, id: &str) -> Result<(), StoreError> {
        if self.damaged.contains(id) {
            return Err(StoreError::Corrupt {
                what,
                id: id.to_owned(),
                why: "it is cut".into(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl BudgetStore for SimulatedStore {
    async fn dead_letter_usage(&self) -> Result<DeadLetterUsage, StoreError> {
        let state = self.state();
        let bytes = state.dead_letters.values().map(|(_, dead)| bytes_of(dead));
        Ok(DeadLetterUsage {
            entry_count: state.dead_letters.len() as u64,
            bytes: bytes.sum(),
        })
    }

    async fn oldest_dead_letters(&self, limit: usize) -> Result<OldestDeadLetters, StoreError> {
        let state = self.state();
        let mut all: Vec<_> = state.dead_letters.values().cloned().collect();
        all.sort_by_key(|(arrival, dead)| (dead.died_at, *arrival));
        let mut oldest = OldestDeadLetters::default();
        for (_, dead) in all.into_iter().take(limit) {
            oldest.take_in(state.read(dead).map(Some))?;
        }
        Ok(oldest)
    }

    async fn forget_dead_letters(&self, ids: &[DeadLetterId]) -> Result<u64, StoreError> {
        let mut state = self.state();
        let found = ids
            .iter()
            .filter(|id| state.dead_letters.remove(id).is_some());
        Ok(found.count() as u64)
    }

    async fn claim_making_room(
        &self,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let is_free = state
            .making_room
            .as_ref()
            .is_none_or(|(held_by, until)| held_by == worker || *until <= now);
        if is_free {
            state.making_room = Some((worker.clone(), now + lease));
        }
        Ok(is_free)
    }
}

/// What it holds, and something for the rest.
fn bytes_of(dead: &DeadLetter) -> u64 {
    let content = match &dead.content {
        DeadLetterContent::Delivery(delivery) => &delivery.body,
        DeadLetterContent::Event { event, .. } => &event.document,
        DeadLetterContent::Raw { bytes, .. } => bytes,
    };
    content.len() as u64 + 1_000
}
