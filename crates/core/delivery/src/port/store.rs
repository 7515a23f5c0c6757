//! The store: claims, webhooks, the log of deliveries, dead letters, marks of events.
//!
//! Every change that belongs together is one call, and one call is atomic: an edge makes it one script or one transaction.

use super::{BudgetStore, Entropy, GroupStore, PlanStore, TrafficStore};
use async_trait::async_trait;
use ringback_domain::{
    ApiKey, ApiKeyId, Attempt, AttemptNumber, Breaker, DeadLetter, DeadLetterId, DeadLetterReason,
    Delivery, DeliveryId, DeliveryRecord, DestinationId, Disposal, EventId, EventType, Generation,
    JobId, ProjectName, Timestamp, Traffic, Webhook, WebhookId, WorkerId,
};
use std::{num::NonZeroU32, time::Duration};

/// All of it; one edge fills all.
pub trait Store:
    ClaimStore
    + WebhookStore
    + KeyStore
    + DeliveryStore
    + DeadLetterStore
    + GroupStore
    + PlanStore
    + BudgetStore
    + PaceStore
    + TrafficStore
    + EventStore
{
}
impl<T> Store for T where
    T: ClaimStore
        + WebhookStore
        + KeyStore
        + DeliveryStore
        + DeadLetterStore
        + GroupStore
        + PlanStore
        + BudgetStore
        + PaceStore
        + TrafficStore
        + EventStore
{
}

/// A number that grows with every claim of a delivery: a settlement with an older one changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FencingToken(pub u64);

/// The right to make one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub delivery: DeliveryId,
    /// Of which round.
    pub generation: Generation,
    /// Which attempt.
    pub attempt: AttemptNumber,
    /// What the settlement must show.
    pub token: FencingToken,
}

/// Names one handling of a delivery: whoever lost the answer to a claim asks again under the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimNonce(pub u64);

impl ClaimNonce {
    /// One that no other handling has.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        Self(u64::from_le_bytes(bytes))
    }
}

/// Asks for the right to make the attempt named by the delivery.
#[derive(Debug, Clone, Copy)]
pub struct ClaimRequest<'a> {
    /// The delivery.
    pub delivery: &'a Delivery,
    /// Who asks.
    pub worker: &'a WorkerId,
    /// For which handling.
    pub nonce: ClaimNonce,
    /// How long the right lasts, by the store's clock.
    pub lease: Duration,
}

/// The answer to a claim; see the table in docs/protocol.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// Nobody holds it: there is no claim, an older attempt or generation is settled, or the lease is over.
    Granted {
        /// The right.
        claim: Claim,
        /// Set when the *same* attempt had been claimed and never settled: its outcome is unknown.
        expired: Option<ExpiredClaim>,
    },
    /// Somebody holds a claim to this delivery: this attempt, or an earlier one not yet settled.
    Held {
        /// How long the lease lasts from now.
        remaining: Duration,
    },
    /// This attempt or a later one of this generation is settled or under way, the delivery is delivered, or the generation is past.
    Settled,
}

/// A claim that ran out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredClaim {
    /// Who held it.
    pub worker: WorkerId,
    /// Since when, by the store's clock.
    pub claimed_at: Timestamp,
}

/// Ends a claim.
#[derive(Debug, Clone, Copy)]
pub struct Settlement<'a> {
    /// The right that was used.
    pub claim: &'a Claim,
    /// The delivery as it was claimed, for its record.
    pub delivery: &'a Delivery,
    /// What is appended to the record: the attempt made, preceded by an unknown one when there was an expired claim.
    pub attempts: &'a [Attempt],
    /// What became of it.
    pub settled_as: &'a SettledAs,
    /// When, by the worker's clock.
    pub at: Timestamp,
}

impl Settlement<'_> {
    /// What it adds to the counts of traffic.
    pub fn traffic(&self) -> Traffic {
        let attempts = Traffic::of_attempts(self.attempts);
        match self.settled_as {
            SettledAs::Delivered => Traffic {
                delivered: 1,
                ..attempts
            },
            SettledAs::DeadLettered(_) => Traffic {
                dead_lettered: 1,
                ..attempts
            },
            SettledAs::Retrying { .. } => attempts,
            SettledAs::Released => Traffic::default(),
        }
    }
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub enum SettledAs {
    /// Accepted: final.
    Delivered,
    /// The next attempt is in the queue, confirmed.
    Retrying {
        /// When it is due.
        due_at: Timestamp,
    },
    /// Given up: the dead letter is stored by the same call.
    DeadLettered(Box<DeadLetter>),
    /// Not attempted after all: the claim is taken back as if it had never been, no attempt is counted.
    Released,
}

/// The answer to a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleAnswer {
    /// Done. Settling again with the same token is done, too.
    Settled,
    /// The token is not the newest: nothing was changed.
    Stale,
}

/// Rights to make attempts.
#[async_trait]
pub trait ClaimStore: Send + Sync {
    /// Asks for a claim.
    ///
    /// Asking again with the same worker, position and nonce, while that claim is the newest and not settled, is the same
    /// grant: the token and the `expired` of the first answer, with the lease from now. An answer that got lost costs
    /// nothing, and nobody takes their own claim for somebody else's.
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<ClaimAnswer, StoreError>;

    /// Has the log show, from now on at the latest, that somebody is at this attempt, if somebody holds its claim.
    ///
    /// Most attempts are over sooner than anybody looks, and an entry for each would be written twice; a store that writes it with
    /// the claim anyway has nothing to do.
    async fn show_attempting(&self, delivery: &Delivery) -> Result<(), StoreError>;

    /// Has the log show that an attempt waits until then, unless somebody holds a claim to its delivery, or it or a later one is settled.
    ///
    /// For what is put off before it is attempted: of a first attempt the store knows nothing else.
    async fn show_waiting(&self, delivery: &Delivery, until: Timestamp) -> Result<(), StoreError>;

    /// Ends a claim; writes the delivery's record, the counts of traffic, and the dead letter when there is one.
    async fn settle(&self, settlement: Settlement<'_>) -> Result<SettleAnswer, StoreError>;
}

/// The answer to a write of something with a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteAnswer {
    /// Written.
    Written,
    /// Somebody changed it since it was read, or it is gone, or (for a new one) it is there already.
    Conflict,
}

/// Registered webhooks.
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// Writes a webhook. With revision 1 it must be new; with revision n the stored one must have n - 1.
    async fn put_webhook(&self, webhook: &Webhook) -> Result<WriteAnswer, StoreError>;

    /// One webhook.
    async fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError>;

    /// All webhooks of a project, oldest first, damaged ones told apart: always one piece.
    async fn webhooks(&self, project: &ProjectName) -> Result<Page<Webhook>, StoreError>;

    /// Removes one, and its breaker if it has one, also where its record is damaged; whether it was there.
    async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError>;
}

/// Keys to the HTTP API. They are few: a list is all of them.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Writes a key. With revision 1 it must be new; with revision n the stored one must have n - 1.
    async fn put_key(&self, key: &ApiKey) -> Result<WriteAnswer, StoreError>;

    /// One key.
    async fn key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// All keys, of all owners, oldest first.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Removes one; whether it was there.
    async fn remove_key(&self, id: &ApiKeyId) -> Result<bool, StoreError>;
}

/// Where a list goes on; opaque to users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A piece of a list, newest first.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// What of this piece cannot be read, where a list tells: it hides no other.
    pub damaged: Vec<DamagedRecord>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// A record among others that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRecord {
    /// How the store calls it: its id, as a rule.
    pub id: String,
    /// What is wrong.
    pub why: String,
}

impl DamagedRecord {
    /// What reading one of several came to, apart from what is about all of them.
    ///
    /// # Errors
    ///
    /// Whatever is not about this one record.
    pub fn apart<T>(read: Result<T, StoreError>) -> Result<Result<T, Self>, StoreError> {
        match read {
            Ok(record) => Ok(Ok(record)),
            Err(error) => error.into_damaged().map(Err),
        }
    }
}

impl<T> Page<T> {
    /// A piece of which all can be read.
    pub fn new(entries: Vec<T>, next: Option<Cursor>) -> Self {
        Self {
            entries,
            damaged: Vec::new(),
            next,
        }
    }

    /// Takes in what reading one came to.
    ///
    /// # Errors
    ///
    /// Whatever is not about this one record.
    pub fn take_in(&mut self, read: Result<T, StoreError>) -> Result<(), StoreError> {
        match DamagedRecord::apart(read)? {
            Ok(entry) => self.entries.push(entry),
            Err(damaged) => self.damaged.push(damaged),
        }
        Ok(())
    }
}

impl Page<DeadLetter> {
    /// The same, for whoever acts on all of a list: what cannot be read must not be passed over.
    ///
    /// # Errors
    ///
    /// When one of them is damaged.
    pub fn whole(self) -> Result<Self, StoreError> {
        match self.damaged.into_iter().next() {
            Some(DamagedRecord { id, why }) => Err(StoreError::Corrupt {
                what: "dead letter",
                id,
                why,
            }),
            None => Ok(Self::new(self.entries, self.next)),
        }
    }
}

/// Which deliveries. Absent means any.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the members are the things named")]
pub struct DeliveryFilter {
    pub project: Option<ProjectName>,
    pub event: Option<EventId>,
    pub job: Option<JobId>,
    pub destination: Option<DestinationId>,
    /// A word of [`ringback_domain::DeliveryState::class`].
    pub state: Option<String>,
    /// First taken at or after.
    pub since: Option<Timestamp>,
    /// First taken before.
    pub until: Option<Timestamp>,
}

/// The log of deliveries; bounded, oldest final ones forgotten first.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// One record.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError>;

    /// Records, newest first, damaged ones told apart. `limit` is at most [`ringback_domain::limits::PAGE_ENTRIES_MAX`].
    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeliveryRecord>, StoreError>;
}

/// Which dead letters. Absent means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members are the things named")]
pub struct DeadLetterFilter {
    pub project: Option<ProjectName>,
    pub destination: Option<DestinationId>,
    pub event_type: Option<EventType>,
    pub job: Option<JobId>,
    /// A fingerprint.
    pub cause: Option<String>,
    pub reason: Option<DeadLetterReason>,
    /// Given up at or after.
    pub since: Option<Timestamp>,
    /// Given up before.
    pub until: Option<Timestamp>,
    /// Also those replayed or discarded.
    pub include_disposed: bool,
    /// Those with at least one of these, when it is said: what a text was found in.
    pub any_of: Option<Vec<DeadLetterMark>>,
}

/// Something to find dead letters by, where several will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterMark {
    /// A cause's fingerprint.
    Cause(String),
    /// The event they came of. In Redis, those that a release before this filter stored are not found by it.
    Event(EventId),
    /// The job they came of.
    Job(JobId),
}

impl DeadLetterFilter {
    /// Whether a dead letter is asked for.
    pub fn wants(&self, dead_letter: &DeadLetter) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let destination = dead_letter
            .delivery()
            .map(|delivery| delivery.destination.id());
        let has = |mark: &DeadLetterMark| match mark {
            DeadLetterMark::Cause(cause) => *cause == dead_letter.cause.fingerprint,
            DeadLetterMark::Event(event) => Some(event) == dead_letter.event(),
            DeadLetterMark::Job(job) => Some(job) == dead_letter.job(),
        };
        is(self.project.as_ref(), dead_letter.project.as_ref())
            && is(self.destination.as_ref(), destination.as_ref())
            && is(self.event_type.as_ref(), dead_letter.event_type())
            && is(self.job.as_ref(), dead_letter.job())
            && is(self.cause.as_ref(), Some(&dead_letter.cause.fingerprint))
            && is(self.reason.as_ref(), Some(&dead_letter.reason))
            && self.since.is_none_or(|since| dead_letter.died_at >= since)
            && self.until.is_none_or(|until| dead_letter.died_at < until)
            && (self.include_disposed || dead_letter.disposal == Disposal::Open)
            && self
                .any_of
                .as_ref()
                .is_none_or(|marks| marks.iter().any(has))
    }
}

/// The answer to a disposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DisposeAnswer {
    /// Done.
    Disposed,
    /// It was disposed of before, like this.
    Already(Disposal),
    /// There is no such dead letter.
    NotFound,
}

/// Dead letters.
#[async_trait]
pub trait DeadLetterStore: Send + Sync {
    /// Stores one that belongs to no claim: unreadable bytes, a parked message. Storing it again changes nothing.
    async fn put_dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), StoreError>;

    /// One, whole.
    async fn dead_letter(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, StoreError>;

    /// Dead letters, newest first, damaged ones told apart. `limit` is at most [`ringback_domain::limits::PAGE_ENTRIES_MAX`].
    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError>;

    /// How many are open.
    async fn dead_letter_count(&self, project: Option<&ProjectName>) -> Result<u64, StoreError>;

    /// Marks one as replayed or discarded. `again` also replaces an earlier disposal.
    async fn dispose(
        &self,
        id: &DeadLetterId,
        disposal: &Disposal,
        again: bool,
    ) -> Result<DisposeAnswer, StoreError>;
}

/// What is known of an event that was dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventMark {
    /// When.
    pub dispatched_at: Timestamp,
    /// To how many destinations.
    pub deliveries: u32,
}

/// Marks of events, kept for the idempotency window.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// The mark of an event, if it was dispatched within the window, or is kept known.
    async fn event_mark(
        &self,
        project: &ProjectName,
        id: &EventId,
    ) -> Result<Option<EventMark>, StoreError>;

    /// Marks an event as dispatched, for the window from `until` on. Marking again changes nothing.
    async fn mark_event(
        &self,
        project: &ProjectName,
        id: &EventId,
        mark: EventMark,
        until: Timestamp,
    ) -> Result<(), StoreError>;

    /// Keeps the mark of an event for the window from `until` on, where it would end sooner. An event that is not marked stays so:
    /// perhaps it is being dispatched.
    async fn keep_event_known(
        &self,
        project: &ProjectName,
        id: &EventId,
        until: Timestamp,
    ) -> Result<(), StoreError>;

    /// The moment of an event that tells none itself: `at` for whoever asks first, and what that was for all others within the window,
    /// so that every dispatch of the event makes the same bytes.
    async fn event_moment(
        &self,
        project: &ProjectName,
        id: &EventId,
        at: Timestamp,
    ) -> Result<Timestamp, StoreError>;

    /// Whether the store answers, and what it promises.
    async fn health(&self) -> Result<StoreHealth, StoreError>;
}

/// A turn at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservedTurn {
    /// It is the caller's, this far from now, by the store's clock. Zero is now.
    In(Duration),
    /// Every turn as far ahead as was asked for is taken: nothing was reserved.
    Full,
}

/// Breakers, and turns at destinations that bear only so many attempts a second. Shared by all workers.
#[async_trait]
pub trait PaceStore: Send + Sync {
    /// Reserves the next free turn at a destination, turns being `1 / per_second` apart, at most `ahead_max` from now.
    ///
    /// A turn whose answer got lost stays free: the destination gets one attempt less in its second.
    async fn reserve_turn(
        &self,
        destination: &DestinationId,
        per_second: NonZeroU32,
        ahead_max: Duration,
    ) -> Result<ReservedTurn, StoreError>;

    /// All breakers: of the destinations that are in trouble, at most [`ringback_domain::limits::BREAKERS_MAX`].
    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError>;

    /// Writes a breaker. With revision 1 it must be new; with revision n the stored one must have n - 1. Beyond
    /// [`ringback_domain::limits::BREAKERS_MAX`] a new one is a conflict: its destination is attempted as if it were well.
    async fn put_breaker(&self, breaker: &Breaker) -> Result<WriteAnswer, StoreError>;

    /// Removes a breaker, unless it has changed since; whether it did.
    async fn remove_breaker(&self, breaker: &Breaker) -> Result<bool, StoreError>;
}

/// What a store promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// The product and version, for people.
    pub product: String,
    /// The store's clock minus ours, where it has one of its own, in milliseconds.
    pub clock_skew_ms: Option<i64>,
    /// What falls short of the promises, each with what to do; empty when all is well.
    pub findings: Vec<String>,
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Not reachable now; worth another try.
    #[error("could not reach the {store} at `{address}`")]
    Unreachable {
        /// `Redis` or `embedded store`.
        store: &'static str,
        /// Host and port, or the directory; never credentials.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered, but not what was asked: out of memory, read-only, a script that failed.
    #[error("the {store} refused to {step}: {why}")]
    Refused {
        /// `Redis` or `embedded store`.
        store: &'static str,
        /// `claim`, `settle`, …
        step: &'static str,
        /// What it said.
        why: String,
    },
    /// A stored record cannot be read.
    #[error("stored {what} `{id}` cannot be read: {why}")]
    Corrupt {
        /// `webhook`, `dead letter`, …
        what: &'static str,
        /// Which.
        id: String,
        /// What is wrong.
        why: String,
    },
    /// A cursor that is not from this list.
    #[error("the cursor is not from this list (hint: begin again without it)")]
    BadCursor,
}

impl StoreError {
    /// The record that it is about, where it is about one that cannot be read.
    ///
    /// # Errors
    ///
    /// The error itself, where it is about anything else.
    pub fn into_damaged(self) -> Result<DamagedRecord, Self> {
        match self {
            Self::Corrupt { id, why, .. } => Ok(DamagedRecord { id, why }),
            other => Err(other),
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_one_record_is_apart_from_what_fails_all() {
        let damaged = StoreError::Corrupt {
            what: "dead letter",
            id: "dlt_1".into(),
            why: "it is cut".into(),
        };
        let record = DamagedRecord {
            id: "dlt_1".into(),
            why: "it is cut".into(),
        };
        assert_eq!(
            DamagedRecord::apart::<()>(Err(damaged)).unwrap(),
            Err(record)
        );
        assert_eq!(DamagedRecord::apart(Ok(1)).unwrap(), Ok(1));
        let passing = StoreError::Unreachable {
            store: "Redis",
            address: "redis:6379".into(),
            source: "refused".into(),
        };
        let passing = DamagedRecord::apart::<()>(Err(passing)).unwrap_err();
        assert!(passing.is_passing(), "{passing}");
    }
}
