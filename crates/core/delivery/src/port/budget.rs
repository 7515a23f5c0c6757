//! Room for dead letters: what they take, and how the oldest leave for a file.

use super::{DamagedRecord, StoreError};
use async_trait::async_trait;
use ringback_domain::{DeadLetter, DeadLetterId, DeadLetterUsage, WorkerId};
use std::time::Duration;

/// The oldest dead letters. One whose record is damaged must not keep the others where they are.
#[derive(Debug, Default)]
pub struct OldestDeadLetters {
    /// Oldest first.
    pub letters: Vec<DeadLetter>,
    /// Those among them that cannot be read.
    pub damaged: Vec<DamagedRecord>,
}

impl OldestDeadLetters {
    /// Takes in what reading one came to: nothing when it is gone.
    ///
    /// # Errors
    ///
    /// Whatever is not about this one record.
    pub fn take_in(
        &mut self,
        read: Result<Option<DeadLetter>, StoreError>,
    ) -> Result<(), StoreError> {
        match read {
            Ok(letter) => self.letters.extend(letter),
            Err(error) => self.damaged.push(error.into_damaged()?),
        }
        Ok(())
    }
}

/// What dead letters take, and the way out for the oldest. Nothing here chooses what leaves: a caller makes it safe elsewhere
/// and then has it forgotten.
#[async_trait]
pub trait BudgetStore: Send + Sync {
    /// What they take.
    async fn dead_letter_usage(&self) -> Result<DeadLetterUsage, StoreError>;

    /// The oldest that are kept, oldest first, whatever was done about them; so many of them, damaged ones included. `limit` is
    /// at most [`ringback_domain::limits::PAGE_ENTRIES_MAX`].
    async fn oldest_dead_letters(&self, limit: usize) -> Result<OldestDeadLetters, StoreError>;

    /// Forgets them for good. How many were there.
    async fn forget_dead_letters(&self, ids: &[DeadLetterId]) -> Result<u64, StoreError>;

    /// The right to make room, for one worker at a time; asking again renews it. Two that make room at once would only
    /// write the same twice.
    async fn claim_making_room(
        &self,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<bool, StoreError>;
}
