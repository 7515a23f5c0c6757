//! Replay plans in the store: their frozen lists, where they stand, and who runs them.

use super::{
    Cursor, DamagedRecord, DeadLetterStore, DisposeAnswer, FencingToken, Page, StoreError,
    WriteAnswer,
};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use ringback_domain::{
    DeadLetter, DeliveryId, Disposal, PlanId, ProjectName, Replayed, WorkerId,
    replay_plan::{
        DeliveryStanding, EntryMark, PlanChunk, PlanEntry, PlanProgress, PlanStatus, ReplayPlan,
    },
};
use std::time::Duration;

/// What reading the dead letter of an entry came to; nothing where it is no longer kept.
pub type LetterRead = Result<Option<DeadLetter>, DamagedRecord>;

/// Calls under way at once where a store has nothing better for many entries than one call each.
const AT_ONCE: usize = 64;

/// The answer to whoever wants to run a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanLease {
    /// Nobody runs it: there was no lease, or it is over, or it was this worker's.
    Granted {
        /// What every step has to show.
        token: FencingToken,
        /// The plan as it is now.
        plan: Box<ReplayPlan>,
    },
    /// Another worker runs it.
    Held {
        /// How long its lease lasts from now.
        remaining: Duration,
    },
    /// There is nothing to be done: see [`ReplayPlan::is_active`]. Or there is no such plan.
    Idle,
}

/// A step of a plan, made safe.
#[derive(Debug, Clone, Copy)]
pub struct Advance<'a> {
    /// Of which plan.
    pub plan: &'a PlanId,
    /// The right to make it.
    pub token: FencingToken,
    /// How long the right lasts from now, by the store's clock; zero gives it back.
    pub lease: Duration,
    /// How far it came.
    pub progress: &'a PlanProgress,
    /// The marks that changed, whole chunks.
    pub marks: &'a [(u32, Vec<EntryMark>)],
    /// A change of state that the plan itself wants. Left out when somebody changed the state since: the answer tells.
    pub status: Option<&'a PlanStatus>,
}

/// The answer to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdvanceAnswer {
    /// Stored. The state is as it is now: a person may have changed it meanwhile.
    Advanced(PlanStatus),
    /// Another worker was granted the plan, or it is gone: nothing was changed.
    Stale,
}

/// Replay plans. Kept as long as dead letters are, since their last change.
///
/// A plan is written in this order: its chunks, then the plan. Whoever dies in between leaves chunks that nobody finds and that
/// are forgotten in their time.
#[async_trait]
pub trait PlanStore: DeadLetterStore {
    /// Writes a chunk of a plan that is yet to be created, none of its entries begun. Writing it again changes nothing.
    ///
    /// At most [`ringback_domain::limits::PLAN_CHUNK_ENTRIES`] entries; chunks count from 0.
    async fn put_plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
        entries: &[PlanEntry],
    ) -> Result<(), StoreError>;

    /// A chunk with its marks; nothing when it is not, or no longer, kept.
    async fn plan_chunk(&self, plan: &PlanId, number: u32)
    -> Result<Option<PlanChunk>, StoreError>;

    /// Writes a new plan, whose chunks are there.
    async fn create_plan(&self, plan: &ReplayPlan) -> Result<WriteAnswer, StoreError>;

    /// Changes the state of a plan: with revision n the stored one must have n - 1.
    async fn change_plan(
        &self,
        id: &PlanId,
        status: &PlanStatus,
    ) -> Result<WriteAnswer, StoreError>;

    /// One plan.
    async fn plan(&self, id: &PlanId) -> Result<Option<ReplayPlan>, StoreError>;

    /// Plans, newest first: of a project, or of all, then with damaged ones told apart, of which nobody can tell whose they are. `limit` is at most [`ringback_domain::limits::PAGE_ENTRIES_MAX`].
    async fn plans(
        &self,
        project: Option<&ProjectName>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<ReplayPlan>, StoreError>;

    /// The plans that a worker should take up, held by another or not.
    async fn active_plans(&self) -> Result<Vec<PlanId>, StoreError>;

    /// Asks for the right to run a plan. The same worker is granted it again, by a new token.
    async fn lease_plan(
        &self,
        id: &PlanId,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<PlanLease, StoreError>;

    /// Makes a step safe: progress, marks, state and lease in one.
    async fn advance_plan(&self, step: Advance<'_>) -> Result<AdvanceAnswer, StoreError>;

    /// How far the newest generation of each delivery came; nothing where no claim is remembered.
    async fn standings(
        &self,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<DeliveryStanding>>, StoreError>;

    /// The dead letters of entries, in their order. One that cannot be read hides no other.
    async fn letters_of(&self, entries: &[PlanEntry]) -> Result<Vec<LetterRead>, StoreError> {
        let read = async |entry: &PlanEntry| {
            DamagedRecord::apart(self.dead_letter(&entry.dead_letter).await)
        };
        let reads: Vec<_> = entries.iter().map(read).collect();
        stream::iter(reads).buffered(AT_ONCE).try_collect().await
    }

    /// Marks the dead letters of entries as replayed, each unless something was done about it before.
    async fn mark_replayed(
        &self,
        replayed: &[(PlanEntry, Replayed)],
    ) -> Result<Vec<DisposeAnswer>, StoreError> {
        let mark = async |(entry, replayed): &(PlanEntry, Replayed)| {
            let disposal = Disposal::Replayed(replayed.clone());
            self.dispose(&entry.dead_letter, &disposal, false).await
        };
        let marks: Vec<_> = replayed.iter().map(mark).collect();
        stream::iter(marks).buffered(AT_ONCE).try_collect().await
    }
}
