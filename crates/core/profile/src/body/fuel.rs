//! What one run of a filter may use up.
//!
//! The filter language has no endless loop (see `allowed`), but a few nested ones over a large event are as good as endless,
//! and a dozen doublings of a text fill any memory. So every operation on values costs fuel in proportion to its work. The
//! interpreter hands its values no context, hence the thread's own tank; a run never leaves its thread.

use super::value::{Error, Val};
use std::cell::Cell;

/// Steps of one run: some ten for each value of the largest event.
const STEPS_MAX: u64 = 2_000_000;

/// Bytes of text that cost as much as one step.
const BYTES_PER_STEP: usize = 64;

/// Arrays and objects within each other, in any value of a run: values are walked and dropped by recursion.
pub(super) const DEPTH_MAX: usize = 256;

/// Values within each other, those that it has several times counted each time: parts that are shared cost no memory, but time whenever
/// something goes through all of them. Eight times what fits into the largest event.
pub(super) const VALUES_MAX: usize = 1 << 20;

/// Values that are compared for one step.
const COMPARED_PER_STEP: usize = 16;

/// What ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    Steps,
    Depth,
    Values,
}

impl Exceeded {
    pub(super) fn describe(self) -> String {
        match self {
            Self::Steps => format!("the filter takes more than {STEPS_MAX} steps"),
            Self::Depth => format!("the filter nests values more than {DEPTH_MAX} deep"),
            Self::Values => format!("the filter makes a value of more than {VALUES_MAX} values"),
        }
    }
}

thread_local! {
    static STEPS_LEFT: Cell<u64> = const { Cell::new(STEPS_MAX) };
    static EXCEEDED: Cell<Option<Exceeded>> = const { Cell::new(None) };
}

/// Fills the tank for a new run.
pub(super) fn refill() {
    STEPS_LEFT.set(STEPS_MAX);
    EXCEEDED.set(None);
}

/// What ran out in this run, if anything did. A filter may catch the error, so this is asked at the end.
pub(super) fn exceeded() -> Option<Exceeded> {
    EXCEEDED.get()
}

/// Uses up some steps.
pub(super) fn spend(steps: usize) -> Result<(), Error> {
    let left = STEPS_LEFT.get().checked_sub(steps as u64 + 1);
    STEPS_LEFT.set(left.unwrap_or(0));
    match left {
        Some(_) => Ok(()),
        None => Err(run_out(Exceeded::Steps)),
    }
}

/// Uses up what making a text of this length costs.
pub(super) fn spend_text(bytes: usize) -> Result<(), Error> {
    spend(bytes / BYTES_PER_STEP)
}

/// Uses up what comparing so many values costs. Comparing cannot fail: the run does at its next step, or in the end.
pub(super) fn spend_comparing(values: usize) {
    let _ = spend(values / COMPARED_PER_STEP);
}

/// Notes that the run must fail.
pub(super) fn run_out(what: Exceeded) -> Error {
    if EXCEEDED.get().is_none() {
        EXCEEDED.set(Some(what));
    }
    STEPS_LEFT.set(0);
    Error::new(Val::from(what.describe()))
}
