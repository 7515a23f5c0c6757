//! Room for dead letters: what they take, and how the oldest leave for a file.

use super::StoreError;
use async_trait::async_trait;
use ringback_domain::{DeadLetter, DeadLetterId, DeadLetterUsage, WorkerId};
use std::time::Duration;

/// What dead letters take, and the way out for the oldest. Nothing here chooses what leaves: a caller makes it safe elsewhere
/// and then has it forgotten.
#[async_trait]
pub trait BudgetStore: Send + Sync {
    /// What they take.
    async fn dead_letter_usage(&self) -> Result<DeadLetterUsage, StoreError>;

    /// The oldest that are kept, oldest first, whatever was done about them. `limit` is at most
    /// [`ringback_domain::limits::PAGE_ENTRIES_MAX`].
    async fn oldest_dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;

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
