//! Replay plans: many dead letters sent again, paced, watched, and stopped when it does not help.
//!
//! A plan is made of three parts that change at different hands: its [`PlanTerms`] never change, its [`PlanStatus`] changes
//! when a person or the plan itself wants it to, and its [`PlanProgress`] is written by the one worker that runs it. What to do
//! next is decided by a [`Ledger`].

mod entry;
mod ledger;
mod pace;
mod status;
mod terms;

pub use entry::{
    DeliveryStanding, EntryDelivery, EntryMark, PlanChunk, PlanEntry, SkipReason, Stage,
};
pub use ledger::{Ledger, OUTCOME_PATIENCE, PlanStep, Position};
pub use pace::Pace;
pub use status::{PlanChange, PlanState, PlanStatus, PlanWish, WishRefused};
pub use terms::{
    AgeBand, CauseCount, DestinationCount, Pacing, PlanPreview, PlanTerms, ReplayOrder,
    ReplayTarget, StopRule, StopRuleError,
};

use crate::{DestinationId, PlanId};
use jiff::Timestamp;
use std::collections::VecDeque;

/// A plan, whole, but for its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayPlan {
    /// What was asked for, and what was found.
    pub terms: PlanTerms,
    /// Where it stands.
    pub status: PlanStatus,
    /// How far it came.
    pub progress: PlanProgress,
}

/// How far a plan came: what another worker needs to go on, and what the report tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanProgress {
    /// How many entries are where.
    pub counts: PlanCounts,
    /// The same for the destinations that the preview names.
    pub by_destination: Vec<(DestinationId, PlanCounts)>,
    /// Chunks that were begun, whichever the order.
    pub chunks_begun: u32,
    /// Those begun whose entries are not all final, by number.
    pub chunks_open: Vec<u32>,
    /// The newest signs, oldest first: whether an entry failed. Never more than the window of the stop rule.
    pub signs: VecDeque<bool>,
    /// When the first entry was sent or skipped.
    pub began_at: Option<Timestamp>,
    /// When an entry last changed.
    pub changed_at: Timestamp,
}

/// How many entries have which mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanCounts([u32; EntryMark::ALL.len()]);

impl PlanCounts {
    /// So many that wait.
    pub fn waiting(entries: u32) -> Self {
        let mut counts = Self::default();
        counts.0[EntryMark::Waiting.place()] = entries;
        counts
    }

    /// How many have this mark.
    pub fn get(&self, mark: EntryMark) -> u32 {
        self.0[mark.place()]
    }

    /// Sets how many have this mark: for reading a record.
    pub fn set(&mut self, mark: EntryMark, count: u32) {
        self.0[mark.place()] = count;
    }

    /// Sent, their outcome not known yet.
    pub fn outstanding(&self) -> u32 {
        self.get(EntryMark::Sent) + self.get(EntryMark::Retrying)
    }

    /// Not sent, each for its reason.
    pub fn skipped(&self) -> u32 {
        let skipped = EntryMark::ALL.iter().filter(|mark| mark.is_skipped());
        skipped.map(|mark| self.get(*mark)).sum()
    }

    /// Of which nothing more will be heard.
    pub fn done(&self) -> u32 {
        let done = EntryMark::ALL.iter().filter(|mark| mark.is_final());
        done.map(|mark| self.get(*mark)).sum()
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    fn add(&mut self, mark: EntryMark, count: u32) {
        self.0[mark.place()] += count;
    }

    fn shift(&mut self, from: EntryMark, to: EntryMark) {
        self.0[from.place()] = self.0[from.place()].saturating_sub(1);
        self.add(to, 1);
    }
}

impl PlanProgress {
    /// Of a plan that was not begun.
    pub fn fresh(preview: &PlanPreview, planned_at: Timestamp) -> Self {
        let named = preview.by_destination.iter();
        Self {
            counts: PlanCounts::waiting(preview.entries),
            by_destination: named
                .map(|group| {
                    (
                        group.destination.clone(),
                        PlanCounts::waiting(group.entries),
                    )
                })
                .collect(),
            chunks_begun: 0,
            chunks_open: Vec::new(),
            signs: VecDeque::new(),
            began_at: None,
            changed_at: planned_at,
        }
    }
}

impl ReplayPlan {
    /// A plan that waits to be started.
    pub fn new(terms: PlanTerms) -> Self {
        Self {
            status: PlanStatus::planned(terms.planned_at, terms.by.clone()),
            progress: PlanProgress::fresh(&terms.preview, terms.planned_at),
            terms,
        }
    }

    /// Which.
    pub fn id(&self) -> &PlanId {
        &self.terms.id
    }

    /// Whether a worker should take it up: to send, or to hear what became of what was sent.
    pub fn is_active(&self) -> bool {
        self.status
            .state
            .is_active(self.progress.counts.outstanding() > 0)
    }
}
