//! What must hold after every step, by name. The simulation, the model and docs/reliability.md use these names.

use std::fmt;

/// Something that must hold after every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// An accepted event is, for each of its destinations, in the queue, delivered, or a dead letter.
    NothingLost,
    /// No attempt is made, or still under way, while somebody else holds the lease.
    OneHolder,
    /// The attempts of a delivery are made in the order of their generations and numbers.
    InOrder,
    /// What was answered is not sent again, unless a crash, a fault or an expired lease explains it.
    NoNeedlessDuplicate,
    /// The same id and the same bytes in every attempt and every replay.
    SameBytes,
    /// No retry before the schedule, or the destination's wish, allows it.
    NeverEarly,
    /// A changed webhook is what attempts a second later go by.
    ChangesApply,
    /// When all faults are over, everything comes to rest.
    ComesToRest,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NothingLost,
        Self::OneHolder,
        Self::InOrder,
        Self::NoNeedlessDuplicate,
        Self::SameBytes,
        Self::NeverEarly,
        Self::ChangesApply,
        Self::ComesToRest,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NothingLost => "nothing lost",
            Self::OneHolder => "one holder",
            Self::InOrder => "in order",
            Self::NoNeedlessDuplicate => "no needless duplicate",
            Self::SameBytes => "same bytes",
            Self::NeverEarly => "never early",
            Self::ChangesApply => "changes apply",
            Self::ComesToRest => "comes to rest",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {what}")]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen, in the words of the trace.
    pub what: String,
}
