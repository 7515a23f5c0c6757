//! How many of each cause: what a preview of a replay plan and of a discard tell alike.

use ringback_domain::{Cause, replay_plan::CauseCount};
use std::{cmp::Reverse, collections::HashMap};

/// Groups of a kind that are counted; those that come up later are only part of the sum. Callbacks are as many as jobs.
pub(crate) const GROUPS_COUNTED_MAX: usize = 10_000;

/// The counts so far.
#[derive(Default)]
pub(crate) struct CauseCounts(HashMap<String, CauseCount>);

impl CauseCounts {
    pub(crate) fn count(&mut self, cause: &Cause) {
        let is_known = self.0.contains_key(&cause.fingerprint);
        if !is_known && self.0.len() >= GROUPS_COUNTED_MAX {
            return;
        }
        let group = self.0.entry(cause.fingerprint.clone());
        let group = group.or_insert_with(|| CauseCount {
            fingerprint: cause.fingerprint.clone(),
            summary: cause.summary.clone(),
            entries: 0,
        });
        group.entries += 1;
    }

    /// The most first.
    pub(crate) fn into_sorted(self) -> Vec<CauseCount> {
        let mut groups: Vec<_> = self.0.into_values().collect();
        groups.sort_by_key(|group| (Reverse(group.entries), group.fingerprint.clone()));
        groups
    }
}
