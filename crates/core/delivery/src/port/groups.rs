//! Groups of dead letters, and counts of traffic: what tells at a glance where it hurts.

use super::{Cursor, StoreError};
use async_trait::async_trait;
use ringback_domain::{
    Acknowledgement, DeadLetterGroup, DestinationId, ProjectName, Timestamp, TrafficOf,
    TrafficPoint, TrafficStep,
};
use std::cmp::Reverse;

/// Which groups. Absent means any.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the members are the things named")]
pub struct GroupFilter {
    pub project: Option<ProjectName>,
    /// A webhook.
    pub destination: Option<DestinationId>,
    /// A fingerprint.
    pub cause: Option<String>,
    /// In lower case; each must occur in what the dead letters have in common.
    pub words: Vec<String>,
    pub order: GroupOrder,
    /// Where an earlier list in the same order ended. A group that grew since has moved to the front.
    pub after: Option<Cursor>,
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
    /// Where the list goes on; nothing at its end.
    pub next: Option<Cursor>,
    /// Open dead letters of the projects asked for that are in no group: their project has too many, or an earlier
    /// release stored them and they were not yet put into one.
    pub ungrouped_count: u64,
}

/// Groups of open dead letters. The same step that stores, disposes of or forgets a dead letter keeps its group right.
#[async_trait]
pub trait GroupStore: Send + Sync {
    /// A piece of the list of groups. `limit` is at most [`ringback_domain::limits::PAGE_ENTRIES_MAX`].
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
    /// Sorts all groups that match, and keeps the piece asked for.
    ///
    /// # Errors
    ///
    /// When the cursor is not from a list in this order.
    pub fn of(
        mut groups: Vec<DeadLetterGroup>,
        filter: &GroupFilter,
        limit: usize,
        ungrouped_count: u64,
    ) -> Result<Self, StoreError> {
        let group_count = groups.len() as u64;
        let place = |group: &DeadLetterGroup| Place::of(group, filter.order);
        if let Some(after) = &filter.after {
            let reached = Place::of_cursor(after, filter.order).ok_or(StoreError::BadCursor)?;
            groups.retain(|group| place(group) > reached);
        }
        groups.sort_by_cached_key(place);
        let is_whole = groups.len() <= limit;
        groups.truncate(limit);
        let last = groups.last().filter(|_| !is_whole);
        Ok(Self {
            next: last.map(|group| place(group).to_cursor(filter.order)),
            groups,
            group_count,
            ungrouped_count,
        })
    }
}

/// Where a group stands in a list: the first has the least.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// When its newest died, in nanoseconds since 1970, and how many are open; the other way round in a list by count.
    numbers: [Reverse<i128>; 2],
    fingerprint: String,
    project: String,
}

impl GroupOrder {
    /// What cursors of a list in this order begin with.
    fn letter(self) -> &'static str {
        match self {
            Self::LastDied => "l",
            Self::Count => "c",
        }
    }
}

impl Place {
    fn of(group: &DeadLetterGroup, order: GroupOrder) -> Self {
        let died = Reverse(group.last_died_at.as_nanosecond());
        let open = Reverse(group.open_count.into());
        let project = group.head.project.as_ref();
        Self {
            numbers: match order {
                GroupOrder::LastDied => [died, open],
                GroupOrder::Count => [open, died],
            },
            fingerprint: group.head.cause.fingerprint.clone(),
            project: project.map_or_else(String::new, ToString::to_string),
        }
    }

    fn to_cursor(&self, order: GroupOrder) -> Cursor {
        let [Reverse(first), Reverse(second)] = self.numbers;
        let (letter, fingerprint, project) = (order.letter(), &self.fingerprint, &self.project);
        Cursor(format!("{letter}.{first}.{second}.{fingerprint}.{project}"))
    }

    fn of_cursor(Cursor(text): &Cursor, order: GroupOrder) -> Option<Self> {
        let parts: Vec<_> = text.split('.').collect();
        let [letter, first, second, fingerprint, project] = parts[..] else {
            return None;
        };
        let number = |text: &str| Some(Reverse(text.parse().ok()?));
        (letter == order.letter()).then_some(Self {
            numbers: [number(first)?, number(second)?],
            fingerprint: fingerprint.to_owned(),
            project: project.to_owned(),
        })
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
            && group.head.contains(&self.words)
    }
}
