//! What really happened, for the invariants: requests, dead letters, what was replayed.

use crate::claims::Position;
use ringback_simulation::Invariant;

/// A set of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Positions(u32);

/// Attempts a generation has room for in [`Positions`].
const ROOM: u8 = 8;

impl Positions {
    fn bit(at: Position) -> u32 {
        1 << (at.generation * ROOM + at.attempt)
    }

    fn insert(&mut self, at: Position) {
        self.0 |= Self::bit(at);
    }

    fn contains(self, at: Position) -> bool {
        self.0 & Self::bit(at) != 0
    }

    fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Everything the invariants ask about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Ledger {
    sent: Positions,
    accepted: Positions,
    /// Attempts whose repetition a crash or a lease that ran out explains.
    explained: Positions,
    last_sent: Option<Position>,
    /// The newest generation there is a message of.
    newest: u8,
    /// By generation, a bit each.
    dead: u8,
    is_delivered: bool,
    /// By invariant, a bit each.
    broken: u8,
}

impl Ledger {
    pub(crate) fn break_invariant(&mut self, invariant: Invariant) {
        self.broken |= 1 << invariant as u8;
    }

    pub(crate) fn holds(&self, invariant: Invariant) -> bool {
        self.broken & (1 << invariant as u8) == 0
    }

    pub(crate) fn request_sent(&mut self, at: Position) {
        if self.last_sent.is_some_and(|last| at < last) {
            self.break_invariant(Invariant::InOrder);
        }
        let sent_again = self.sent.contains(at) && !self.explained.contains(at);
        if sent_again || !self.accepted.without(self.explained).is_empty() {
            self.break_invariant(Invariant::NoNeedlessDuplicate);
        }
        self.sent.insert(at);
        self.last_sent = self.last_sent.max(Some(at));
    }

    pub(crate) fn request_accepted(&mut self, at: Position) {
        self.accepted.insert(at);
    }

    /// Whoever made this attempt vanished, or lost the right to it, before it was settled.
    pub(crate) fn explain(&mut self, at: Position) {
        self.explained.insert(at);
    }

    pub(crate) fn recorded_as_delivered(&mut self) {
        self.is_delivered = true;
        if self.accepted.is_empty() {
            self.break_invariant(Invariant::NothingLost);
        }
    }

    pub(crate) fn dead_letter_stored(&mut self, generation: u8) {
        self.dead |= 1 << generation;
    }

    fn has_dead_letter(&self, generation: u8) -> bool {
        self.dead & (1 << generation) != 0
    }

    /// The generation that a replay would publish, if there is something to replay.
    pub(crate) fn next_generation(&self) -> Option<u8> {
        self.has_dead_letter(self.newest).then_some(self.newest + 1)
    }

    pub(crate) fn replayed_as(&mut self, generation: u8) {
        self.newest = generation;
    }

    /// Whether no message of it is needed any more.
    pub(crate) fn is_final(&self) -> bool {
        self.is_delivered || self.has_dead_letter(self.newest)
    }
}
