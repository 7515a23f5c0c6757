//! Groups of dead letters, and counts of traffic: what tells at a glance where it hurts.

use super::StoreError;
use async_trait::async_trait;
use ringback_domain::{
    Acknowledgement, DeadLetterGroup, DestinationId, ProjectName, Timestamp, TrafficOf,
    TrafficPoint, TrafficStep,
};

/// Which groups. Absent means any.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the members are the things named")]
pub struct GroupFilter {
    pub project: Option<ProjectName>,
    /// A webhook.
    pub destination: Option<DestinationId>,
    /// A fingerprint.
    pub cause: Option<String>,
    pub order: GroupOrder,
}

/// Which groups come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupOrder {
    /// Those that a dead letter joined last.
    #[default]
    LastDied,
    /// Those with the most open dead letters.
    Count,
}

/// Groups, in the order asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupList {
    /// The first of them.
    pub groups: Vec<DeadLetterGroup>,
    /// How many there are, those listed included.
    pub group_count: u64,
    /// Open dead letters of the projects asked for that are in no group: their project has too many, or an earlier
    /// release stored them and they were not yet put into one.
    pub ungrouped_count: u64,
}

/// Groups of open dead letters. The same step that stores, disposes of or forgets a dead letter keeps its group right.
#[async_trait]
pub trait GroupStore: Send + Sync {
    /// Groups. `limit` is at most [`ringback_domain::limits::PAGE_ENTRIES_MAX`].
    async fn dead_letter_groups(
        &self,
        filter: &GroupFilter,
        limit: usize,
    ) -> Result<GroupList, StoreError>;

    /// Notes that a person knows of a group, as it is now: what joins it later shows as again. Replaces an earlier
    /// acknowledgement. The group as it is then; nothing when there is none.
    async fn acknowledge_group(
        &self,
        project: Option<&ProjectName>,
        fingerprint: &str,
        acknowledgement: &Acknowledgement,
    ) -> Result<Option<DeadLetterGroup>, StoreError>;

    /// Puts into groups what an earlier release stored, at most `limit` dead letters. How many were; 0 when none is left.
    async fn regroup(&self, limit: usize) -> Result<u64, StoreError>;
}

/// Counts of traffic. A settlement counts what it settles, in the same step and by the worker's clock.
#[async_trait]
pub trait TrafficStore: Send + Sync {
    /// All steps that are kept up to this moment, oldest first, those in which nothing happened included.
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: TrafficStep,
        until: Timestamp,
    ) -> Result<Vec<TrafficPoint>, StoreError>;
}

impl GroupList {
    /// Sorts all groups that match, and keeps the first.
    pub fn of(
        mut groups: Vec<DeadLetterGroup>,
        order: GroupOrder,
        limit: usize,
        ungrouped_count: u64,
    ) -> Self {
        let group_count = groups.len() as u64;
        groups.sort_by(|a, b| {
            let by_moment = b.last_died_at.cmp(&a.last_died_at);
            let by_count = b.open_count.cmp(&a.open_count);
            let first = match order {
                GroupOrder::LastDied => by_moment.then(by_count),
                GroupOrder::Count => by_count.then(by_moment),
            };
            first.then_with(|| a.head.cause.fingerprint.cmp(&b.head.cause.fingerprint))
        });
        groups.truncate(limit);
        Self {
            groups,
            group_count,
            ungrouped_count,
        }
    }
}

impl GroupFilter {
    /// Whether a group is asked for.
    pub fn wants(&self, group: &DeadLetterGroup) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        is(self.project.as_ref(), group.head.project.as_ref())
            && is(self.destination.as_ref(), group.head.destination.as_ref())
            && is(self.cause.as_ref(), Some(&group.head.cause.fingerprint))
    }
}
