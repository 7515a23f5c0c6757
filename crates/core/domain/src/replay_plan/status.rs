//! Where a plan stands, and who brought it there.

use crate::limits;
use jiff::Timestamp;
use std::fmt;

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanState {
    /// Made, not started.
    Planned,
    /// Entries are sent.
    Running,
    /// A person stopped it for a while.
    Paused,
    /// Too many entries failed.
    StoppedItself {
        /// So many failed …
        failed: u16,
        /// … of the newest so many.
        of: u16,
    },
    /// A person stopped it for good. What was not sent stays a dead letter.
    Cancelled,
    /// Every entry was sent or skipped, and what was sent is delivered or a dead letter again.
    Finished,
}

impl PlanState {
    /// A stable word for lists and filters.
    pub fn class(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::StoppedItself { .. } => "stopped_itself",
            Self::Cancelled => "cancelled",
            Self::Finished => "finished",
        }
    }

    /// Whether it will never send anything again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Finished)
    }

    /// Whether a worker should take it up, given whether more is to be heard of what was sent.
    pub fn is_active(self, has_outstanding: bool) -> bool {
        match self {
            Self::Running => true,
            Self::Paused | Self::StoppedItself { .. } | Self::Cancelled => has_outstanding,
            Self::Planned | Self::Finished => false,
        }
    }
}

impl fmt::Display for PlanState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.class().replace('_', " "))
    }
}

/// A change of a plan's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanChange {
    /// When.
    pub at: Timestamp,
    /// Who: a person, or the worker that ran it.
    pub by: String,
    /// To what.
    pub to: PlanState,
}

/// Where a plan stands and how it came there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStatus {
    /// Now.
    pub state: PlanState,
    /// How it came there, oldest first. At most [`limits::PLAN_CHANGES_MAX`].
    pub changes: Vec<PlanChange>,
    /// Raised by one with every change; a change made against an older revision is refused.
    pub revision: u64,
}

/// What a person wants of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanWish {
    /// Begin.
    Start,
    /// Send nothing for a while.
    Pause,
    /// Go on, after a pause or after it stopped itself.
    Resume,
    /// Send nothing ever again.
    Cancel,
}

impl PlanWish {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Start, Self::Pause, Self::Resume, Self::Cancel];

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }

    /// Where the wish leads from a state; nothing where it makes no sense.
    fn from(self, state: PlanState) -> Option<PlanState> {
        use PlanState::{Cancelled, Finished, Paused, Planned, Running, StoppedItself};
        match (self, state) {
            (Self::Start, Planned) | (Self::Resume, Paused | StoppedItself { .. }) => Some(Running),
            (Self::Pause, Running) => Some(Paused),
            (Self::Cancel, Planned | Running | Paused | StoppedItself { .. }) => Some(Cancelled),
            (Self::Start, Running | Paused | StoppedItself { .. })
            | (Self::Pause, Planned | Paused | StoppedItself { .. })
            | (Self::Resume, Planned | Running)
            | (_, Cancelled | Finished) => None,
        }
    }
}

/// A wish that makes no sense where the plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a plan that is {state} cannot be {}{}", past(*.wish), hint(*.wish, *.state))]
pub struct WishRefused {
    /// What was wanted.
    pub wish: PlanWish,
    /// Where the plan stands.
    pub state: PlanState,
}

fn past(wish: PlanWish) -> &'static str {
    match wish {
        PlanWish::Start => "started",
        PlanWish::Pause => "paused",
        PlanWish::Resume => "resumed",
        PlanWish::Cancel => "cancelled",
    }
}

fn hint(wish: PlanWish, state: PlanState) -> &'static str {
    match (wish, state) {
        (PlanWish::Start, PlanState::Paused | PlanState::StoppedItself { .. }) => {
            " (hint: resume it)"
        }
        (PlanWish::Resume, PlanState::Planned) => " (hint: start it)",
        (_, PlanState::Cancelled | PlanState::Finished) => {
            " (hint: make another plan of what is still dead)"
        }
        _ => "",
    }
}

impl PlanStatus {
    /// Of a plan made now.
    pub fn planned(at: Timestamp, by: String) -> Self {
        let state = PlanState::Planned;
        Self {
            state,
            changes: vec![PlanChange { at, by, to: state }],
            revision: 1,
        }
    }

    /// What a person's wish makes of it.
    ///
    /// # Errors
    ///
    /// When the wish makes no sense where the plan stands.
    pub fn wished(&self, wish: PlanWish, at: Timestamp, by: &str) -> Result<Self, WishRefused> {
        let state = self.state;
        let to = wish.from(state).ok_or(WishRefused { wish, state })?;
        Ok(self.moved(to, at, by))
    }

    /// What the plan itself makes of it.
    #[must_use]
    pub fn moved(&self, to: PlanState, at: Timestamp, by: &str) -> Self {
        let mut changes = self.changes.clone();
        if changes.len() >= limits::PLAN_CHANGES_MAX {
            // The first tells who made the plan.
            changes.remove(1);
        }
        changes.push(PlanChange {
            at,
            by: by.to_owned(),
            to,
        });
        Self {
            state: to,
            changes,
            revision: self.revision + 1,
        }
    }

    /// When it was started first.
    pub fn started_at(&self) -> Option<Timestamp> {
        let mut running = self.changes.iter();
        let first = running.find(|change| change.to == PlanState::Running);
        first.map(|change| change.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [PlanState; 6] = [
        PlanState::Planned,
        PlanState::Running,
        PlanState::Paused,
        PlanState::StoppedItself { failed: 6, of: 10 },
        PlanState::Cancelled,
        PlanState::Finished,
    ];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_wish_leads_where_the_table_says() {
        // Columns: planned, running, paused, stopped itself, cancelled, finished.
        let table = [
            (PlanWish::Start, ["running", "-", "-", "-", "-", "-"]),
            (PlanWish::Pause, ["-", "paused", "-", "-", "-", "-"]),
            (PlanWish::Resume, ["-", "-", "running", "running", "-", "-"]),
            (
                PlanWish::Cancel,
                ["cancelled", "cancelled", "cancelled", "cancelled", "-", "-"],
            ),
        ];
        for (wish, row) in table {
            for (state, expected) in STATES.into_iter().zip(row) {
                let status = PlanStatus::planned(at(0), "ada".into()).moved(state, at(1), "x");
                let found = match status.wished(wish, at(2), "bob") {
                    Ok(after) => {
                        assert_eq!(after.revision, status.revision + 1);
                        assert_eq!(after.changes.last().unwrap().by, "bob");
                        after.state.class()
                    }
                    Err(_) => "-",
                };
                assert_eq!(found, expected, "{wish:?} when {state:?}");
            }
        }
    }

    #[test]
    fn a_refused_wish_says_why_and_what_to_do() {
        let paused = PlanStatus::planned(at(0), "ada".into()).moved(PlanState::Paused, at(1), "x");
        let refused = paused.wished(PlanWish::Start, at(2), "bob").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a plan that is paused cannot be started (hint: resume it)"
        );
    }

    #[test]
    fn a_plan_remembers_who_made_it_however_often_it_changes() {
        let mut status = PlanStatus::planned(at(0), "ada".into());
        for second in 1..=500 {
            status = status.moved(PlanState::Running, at(second), "bob");
        }
        assert_eq!(status.changes.len(), limits::PLAN_CHANGES_MAX);
        assert_eq!(status.changes[0].by, "ada");
        assert_eq!(status.changes.last().unwrap().at, at(500));
    }

    #[test]
    fn only_a_running_plan_or_one_that_waits_for_outcomes_needs_a_worker() {
        let needs = |outstanding| STATES.map(|state| state.is_active(outstanding));
        assert_eq!(needs(false), [false, true, false, false, false, false]);
        assert_eq!(needs(true), [false, true, true, true, true, false]);
    }
}
