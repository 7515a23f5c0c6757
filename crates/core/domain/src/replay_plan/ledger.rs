//! What to do next with a plan: which entries go, which are asked after, when it stops itself and when it is done.

use super::{
    DeliveryStanding, EntryMark, PlanChunk, PlanCounts, PlanEntry, PlanProgress, PlanState,
    PlanStatus, PlanTerms, ReplayOrder, ReplayTarget,
};
use crate::{DestinationId, limits};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
    time::Duration,
};

/// How long a plan waits for what became of an entry while it hears of no other: the longest wait of any schedule, and a day.
pub const OUTCOME_PATIENCE: Duration = limits::DELAY_MAX.saturating_add(Duration::from_hours(24));

/// Which entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Where its chunk comes in the order of the plan.
    rank: u32,
    /// Its place in the chunk.
    place: usize,
}

/// What a plan does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanStep {
    /// Send what may go, and ask after what was sent.
    Send,
    /// Ask after what was sent.
    Watch,
    /// So long nothing was heard that nothing will be: see [`Ledger::give_up_watching`].
    GiveUpWatching,
    /// Too many of the newest entries failed.
    StopItself {
        /// So many failed …
        failed: u16,
        /// … of so many.
        of: u16,
    },
    /// Nothing is left to be sent or heard.
    Finish,
    /// Nothing to be done where the plan stands.
    Leave,
}

/// A running plan in the hands of a worker: the chunks it works on, and the decisions.
#[derive(Debug)]
pub struct Ledger {
    terms: PlanTerms,
    progress: PlanProgress,
    /// By rank.
    open: BTreeMap<u32, OpenChunk>,
    /// Numbers of the chunks that another worker left open, until they are open again or gone.
    to_reopen: BTreeSet<u32>,
    /// Places in `progress.by_destination`.
    named: HashMap<DestinationId, usize>,
    /// Of each destination, the entries whose outcome is open, and those in hand.
    outstanding: HashMap<DestinationId, u32>,
    unsaved: BTreeSet<u32>,
    watched_up_to: Position,
}

#[derive(Debug)]
struct OpenChunk {
    chunk: PlanChunk,
    waiting: usize,
    outstanding: usize,
    /// Taken to be sent, and not marked or put back since. These wait, too.
    in_hand: Vec<bool>,
    /// How many are.
    held: usize,
    /// On their way when the signs were forgotten: that one of them fails is no sign any more.
    sent_before: Vec<bool>,
}

impl OpenChunk {
    fn new(chunk: PlanChunk) -> Self {
        let count =
            |is: fn(EntryMark) -> bool| chunk.marks.iter().filter(|mark| is(**mark)).count();
        Self {
            waiting: count(|mark| mark == EntryMark::Waiting),
            outstanding: count(EntryMark::is_outstanding),
            in_hand: vec![false; chunk.marks.len()],
            held: 0,
            sent_before: vec![false; chunk.marks.len()],
            chunk,
        }
    }

    fn is_closed(&self) -> bool {
        self.waiting == 0 && self.outstanding == 0
    }

    /// Waiting, and in nobody's hand.
    fn free(&self) -> usize {
        self.waiting - self.held
    }

    fn take(&mut self, place: usize) {
        self.held += usize::from(!std::mem::replace(&mut self.in_hand[place], true));
    }

    /// Whether it was in hand.
    fn let_go(&mut self, place: usize) -> bool {
        let was_in_hand = std::mem::take(&mut self.in_hand[place]);
        self.held -= usize::from(was_in_hand);
        was_in_hand
    }
}

impl Ledger {
    /// Of a plan as it was stored. The chunks that were open have to be opened again: see [`Ledger::chunks_to_reopen`].
    pub fn new(terms: PlanTerms, progress: PlanProgress) -> Self {
        let named = progress.by_destination.iter().enumerate();
        let mut ledger = Self {
            to_reopen: progress.chunks_open.iter().copied().collect(),
            named: named
                .map(|(place, (destination, _))| (destination.clone(), place))
                .collect(),
            terms,
            progress,
            open: BTreeMap::new(),
            outstanding: HashMap::new(),
            unsaved: BTreeSet::new(),
            watched_up_to: Position { rank: 0, place: 0 },
        };
        ledger.count_lost();
        ledger
    }

    /// The chunks that another worker left open.
    pub fn chunks_to_reopen(&self) -> Vec<u32> {
        self.progress.chunks_open.clone()
    }

    /// The chunk to be opened when what is open has too little that may go; nothing when all are begun, or so many are open
    /// that the plan has to wait for outcomes.
    pub fn next_chunk(&self) -> Option<u32> {
        let rank = self.progress.chunks_begun;
        let may = rank < self.chunks() && self.open.len() < limits::PLAN_CHUNKS_OPEN_MAX;
        may.then(|| self.number_of(rank))
    }

    /// Takes up a chunk: a new one, or one that another worker left open.
    pub fn open_chunk(&mut self, number: u32, chunk: PlanChunk) {
        let rank = self.number_of(number);
        for (entry, mark) in chunk.entries.iter().zip(&chunk.marks) {
            if mark.is_outstanding()
                && let Some(destination) = destination_of(&self.terms.target, entry)
            {
                *self.outstanding.entry(destination).or_default() += 1;
            }
        }
        self.progress.chunks_begun = self.progress.chunks_begun.max(rank + 1);
        self.open.insert(rank, OpenChunk::new(chunk));
        self.to_reopen.remove(&number);
        self.count_lost();
    }

    /// Takes note that a chunk is no longer kept. What was sent of it is unknown; the rest is counted as gone once the plan finishes.
    pub fn chunk_is_gone(&mut self, number: u32) {
        let rank = self.number_of(number);
        self.progress.chunks_begun = self.progress.chunks_begun.max(rank + 1);
        self.progress.chunks_open.retain(|open| *open != number);
        self.to_reopen.remove(&number);
        self.count_lost();
    }

    /// Counts what is outstanding of chunks that are gone as unknown: nobody can ask after it, and the plan would wait for it for ever.
    fn count_lost(&mut self) {
        let known = self.outstanding();
        if !self.to_reopen.is_empty() || self.progress.counts.outstanding() as usize <= known {
            return;
        }
        let mut kept = PlanCounts::default();
        let mut kept_of = vec![PlanCounts::default(); self.progress.by_destination.len()];
        for chunk in self.open.values().map(|open| &open.chunk) {
            for (entry, mark) in chunk.entries.iter().zip(&chunk.marks) {
                kept.add(*mark, 1);
                let delivery = entry.delivery.as_ref();
                if let Some(place) = delivery.and_then(|of| self.named.get(&of.destination)) {
                    kept_of[*place].add(*mark, 1);
                }
            }
        }
        count_lost(&mut self.progress.counts, &kept);
        for ((_, counts), kept) in self.progress.by_destination.iter_mut().zip(&kept_of) {
            count_lost(counts, kept);
        }
    }

    /// Decides.
    pub fn next_step(&self, status: &PlanStatus, now: Timestamp) -> PlanStep {
        let is_watching = self.open.values().any(|open| open.outstanding > 0);
        let quiet = now.duration_since(self.progress.changed_at);
        let is_hopeless =
            is_watching && Duration::try_from(quiet).is_ok_and(|quiet| quiet >= OUTCOME_PATIENCE);
        let signs = &self.progress.signs;
        let failed = signs.iter().filter(|failed| **failed).count();
        let is_through = !is_watching && !self.has_waiting();
        match status.state {
            PlanState::Planned | PlanState::Finished => PlanStep::Leave,
            // However it was stopped: there is nothing left to go on with.
            PlanState::Running | PlanState::Paused | PlanState::StoppedItself { .. }
                if is_through =>
            {
                PlanStep::Finish
            }
            _ if is_hopeless => PlanStep::GiveUpWatching,
            PlanState::Running
                if self.has_waiting() && self.terms.stop_rule.is_broken_by(failed, signs.len()) =>
            {
                let number = |count| u16::try_from(count).unwrap_or(u16::MAX);
                PlanStep::StopItself {
                    failed: number(failed),
                    of: number(signs.len()),
                }
            }
            PlanState::Running if self.has_waiting() => PlanStep::Send,
            PlanState::Running => PlanStep::Watch,
            PlanState::Paused | PlanState::StoppedItself { .. } | PlanState::Cancelled => {
                if is_watching {
                    PlanStep::Watch
                } else {
                    PlanStep::Leave
                }
            }
        }
    }

    /// Takes entries that may go now, in the order of the plan, at most so many. Each is in hand until it is marked or put back, and
    /// nobody gets it meanwhile. A destination that has its share outstanding holds up no other.
    pub fn take(&mut self, most: usize) -> Vec<Position> {
        let share = self.terms.pacing.concurrency.map(NonZeroU32::get);
        let mut taken = Vec::new();
        for (rank, open) in self.open.iter_mut().filter(|(_, open)| open.free() > 0) {
            for place in places(&self.terms, open.chunk.entries.len()) {
                if taken.len() == most {
                    return taken;
                }
                if open.chunk.marks[place] != EntryMark::Waiting || open.in_hand[place] {
                    continue;
                }
                if let Some(to) = destination_of(&self.terms.target, &open.chunk.entries[place]) {
                    let outstanding = self.outstanding.get(&to).copied().unwrap_or(0);
                    if share.is_some_and(|share| outstanding >= share) {
                        continue;
                    }
                    self.outstanding.insert(to, outstanding + 1);
                }
                open.take(place);
                taken.push(Position { rank: *rank, place });
            }
        }
        taken
    }

    /// Puts an entry back that was not sent.
    pub fn put_back(&mut self, position: Position) {
        let Some(open) = self.open.get_mut(&position.rank) else {
            return;
        };
        if open.let_go(position.place) {
            open.sent_before[position.place] = false;
            let to = destination_of(&self.terms.target, &open.chunk.entries[position.place]);
            count_outstanding(&mut self.outstanding, to, 1, 0);
        }
    }

    /// Entries to ask after, at most so many: going around, so that everyone's turn comes.
    pub fn watch(&mut self, most: usize) -> Vec<Position> {
        let from = self.watched_up_to;
        let outstanding = |(rank, open): (&u32, &OpenChunk)| {
            let rank = *rank;
            let marks = open.chunk.marks.iter().enumerate();
            let found = marks.filter(|(_, mark)| mark.is_outstanding());
            found
                .map(|(place, _)| Position { rank, place })
                .collect::<Vec<_>>()
        };
        let after = self.open.range(from.rank..).flat_map(outstanding);
        let after = after.filter(|position| *position > from);
        let before = self.open.range(..=from.rank).flat_map(outstanding);
        let before = before.filter(|position| *position <= from);
        let watched: Vec<_> = after.chain(before).take(most).collect();
        if let Some(last) = watched.last() {
            self.watched_up_to = *last;
        }
        watched
    }

    /// How many could be taken, whatever their destinations have outstanding.
    pub fn free(&self) -> usize {
        self.open.values().map(OpenChunk::free).sum()
    }

    /// How many are to be heard of.
    pub fn outstanding(&self) -> usize {
        self.open.values().map(|open| open.outstanding).sum()
    }

    /// The entry at a position.
    ///
    /// # Panics
    ///
    /// When the position is of another ledger, or its chunk was closed since.
    pub fn entry(&self, position: Position) -> &PlanEntry {
        &self.open[&position.rank].chunk.entries[position.place]
    }

    /// Takes note of what became of an entry.
    pub fn mark(&mut self, position: Position, to: EntryMark, now: Timestamp) {
        let Some(open) = self.open.get_mut(&position.rank) else {
            return;
        };
        let was_in_hand = open.let_go(position.place);
        let from = std::mem::replace(&mut open.chunk.marks[position.place], to);
        let entry = &open.chunk.entries[position.place];
        open.waiting -= usize::from(from == EntryMark::Waiting);
        open.waiting += usize::from(to == EntryMark::Waiting);
        open.outstanding -= usize::from(from.is_outstanding());
        open.outstanding += usize::from(to.is_outstanding());
        let less = u32::from(from.is_outstanding()) + u32::from(was_in_hand);
        let more = u32::from(to.is_outstanding());
        let destination = destination_of(&self.terms.target, entry);
        count_outstanding(&mut self.outstanding, destination, less, more);
        if from == to {
            return;
        }
        let delivery = entry.delivery.as_ref();
        if let Some(place) = delivery.and_then(|delivery| self.named.get(&delivery.destination)) {
            self.progress.by_destination[*place].1.shift(from, to);
        }
        self.progress.counts.shift(from, to);
        self.progress.began_at.get_or_insert(now);
        self.progress.changed_at = now;
        let says_nothing = open.sent_before[position.place];
        if let Some(failed) = sign(from, to).filter(|failed| !(*failed && says_nothing)) {
            self.progress.signs.push_back(failed);
            let window = usize::from(self.terms.stop_rule.window());
            while self.progress.signs.len() > window {
                self.progress.signs.pop_front();
            }
        }
        self.unsaved.insert(position.rank);
    }

    /// Takes note of how far an entry's delivery came. What was given up meanwhile, or is of a chunk that was closed, stays as it is.
    pub fn observe(
        &mut self,
        position: Position,
        standing: Option<DeliveryStanding>,
        now: Timestamp,
    ) {
        let Some(open) = self.open.get(&position.rank) else {
            return;
        };
        if !open.chunk.marks[position.place].is_outstanding() {
            return;
        }
        let given_up = open.chunk.entries[position.place].delivery.as_ref();
        let given_up = given_up.map(|delivery| delivery.generation);
        let mark = standing
            .zip(given_up)
            .and_then(|(standing, given_up)| standing.mark(given_up));
        if let Some(mark) = mark {
            self.mark(position, mark, now);
        }
    }

    /// Counts everything outstanding as unknown.
    pub fn give_up_watching(&mut self, now: Timestamp) {
        let all = self.watch(usize::MAX);
        for position in all {
            self.mark(position, EntryMark::Unknown, now);
        }
    }

    /// Forgets the signs, and those to come of what is on its way: whoever resumes the plan begins with a clean slate.
    pub fn forget_signs(&mut self) {
        self.progress.signs.clear();
        for open in self.open.values_mut() {
            for (place, sent_before) in open.sent_before.iter_mut().enumerate() {
                *sent_before |= open.in_hand[place] || open.chunk.marks[place] == EntryMark::Sent;
            }
        }
    }

    /// Counts what is missing because its chunk is no longer kept.
    pub fn close(&mut self) {
        for counts in std::iter::once(&mut self.progress.counts).chain(
            self.progress
                .by_destination
                .iter_mut()
                .map(|(_, counts)| counts),
        ) {
            close_counts(counts);
        }
    }

    /// How far the plan came, as it is to be stored.
    pub fn progress(&self) -> PlanProgress {
        let still_open = self.open.iter().filter(|(_, open)| !open.is_closed());
        PlanProgress {
            chunks_open: still_open.map(|(rank, _)| self.number_of(*rank)).collect(),
            ..self.progress.clone()
        }
    }

    /// The marks that are not stored, by the number of their chunk.
    pub fn unsaved(&self) -> Vec<(u32, Vec<EntryMark>)> {
        let open = |rank: &u32| Some((*rank, self.open.get(rank)?));
        let unsaved = self.unsaved.iter().filter_map(open);
        unsaved
            .map(|(rank, open)| (self.number_of(rank), open.chunk.marks.clone()))
            .collect()
    }

    /// Whether there is anything to be stored.
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// When an entry last changed.
    pub fn changed_at(&self) -> Timestamp {
        self.progress.changed_at
    }

    /// Takes note that these marks are stored, and lets go of chunks that are done. What changed meanwhile stays to be stored.
    pub fn saved(&mut self, stored: &[(u32, Vec<EntryMark>)]) {
        for (number, marks) in stored {
            let rank = self.number_of(*number);
            let open = self.open.get(&rank);
            if open.is_none_or(|open| open.chunk.marks == *marks) {
                self.unsaved.remove(&rank);
            }
        }
        let unsaved = &self.unsaved;
        self.open
            .retain(|rank, open| !open.is_closed() || unsaved.contains(rank));
    }

    fn chunks(&self) -> u32 {
        let size = u32::try_from(limits::PLAN_CHUNK_ENTRIES).expect("a thousand");
        self.terms.preview.entries.div_ceil(size)
    }

    fn has_waiting(&self) -> bool {
        self.progress.chunks_begun < self.chunks()
            || self.open.values().any(|open| open.waiting > 0)
    }

    /// From rank to number, and back.
    fn number_of(&self, rank: u32) -> u32 {
        match self.terms.pacing.order {
            ReplayOrder::NewestFirst => rank,
            ReplayOrder::OldestFirst => self.chunks().saturating_sub(1).saturating_sub(rank),
        }
    }
}

/// The places of a chunk, in the order of the plan.
fn places(terms: &PlanTerms, count: usize) -> impl Iterator<Item = usize> + use<> {
    let backwards = terms.pacing.order == ReplayOrder::OldestFirst;
    (0..count).map(move |place| if backwards { count - 1 - place } else { place })
}

/// Callbacks are as many as jobs: only destinations that something is outstanding of are kept.
fn count_outstanding(
    outstanding: &mut HashMap<DestinationId, u32>,
    of: Option<DestinationId>,
    less: u32,
    more: u32,
) {
    let Some(of) = of.filter(|_| less != more) else {
        return;
    };
    let before = outstanding.get(&of).copied().unwrap_or(0);
    match before.saturating_sub(less) + more {
        0 => outstanding.remove(&of),
        after => outstanding.insert(of, after),
    };
}

/// Whether a change tells that an entry failed, or that it did not. Each entry gives one sign of failing at most.
fn sign(from: EntryMark, to: EntryMark) -> Option<bool> {
    match (from, to) {
        (EntryMark::Waiting | EntryMark::Sent, EntryMark::Retrying | EntryMark::FailedAgain) => {
            Some(true)
        }
        (_, EntryMark::Delivered) => Some(false),
        _ => None,
    }
}

/// Where an entry goes: what pacing goes by.
fn destination_of(target: &ReplayTarget, entry: &PlanEntry) -> Option<DestinationId> {
    match target {
        ReplayTarget::Current | ReplayTarget::Original => {
            Some(entry.delivery.as_ref()?.destination.clone())
        }
        ReplayTarget::Webhook(id) => Some(DestinationId::webhook(id)),
    }
}

fn close_counts(counts: &mut PlanCounts) {
    use super::SkipReason::Gone;
    counts.add(EntryMark::Skipped(Gone), counts.get(EntryMark::Waiting));
    counts.set(EntryMark::Waiting, 0);
    count_lost(counts, &PlanCounts::default());
}

/// Counts what is outstanding beyond what is kept as unknown.
fn count_lost(counts: &mut PlanCounts, kept: &PlanCounts) {
    for mark in [EntryMark::Sent, EntryMark::Retrying] {
        let lost = counts.get(mark).saturating_sub(kept.get(mark));
        counts.set(mark, counts.get(mark) - lost);
        counts.add(EntryMark::Unknown, lost);
    }
}

#[cfg(test)]
mod tests;
