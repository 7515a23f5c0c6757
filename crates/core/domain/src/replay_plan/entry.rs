//! The entries of a plan: which dead letters, and what became of each.

use crate::{DeadLetterId, DeliveryId, DestinationId, Generation};

/// One dead letter of a plan, as it was when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanEntry {
    /// Which.
    pub dead_letter: DeadLetterId,
    /// Its delivery, when it is one.
    pub delivery: Option<EntryDelivery>,
}

/// What is kept of the delivery beside the dead letter's id: enough to find it, to pace it and to hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDelivery {
    /// Which.
    pub id: DeliveryId,
    /// The generation that was given up.
    pub generation: Generation,
    /// Where it goes.
    pub destination: DestinationId,
}

/// Entries stored together, each with its mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanChunk {
    /// Newest dead letter first, as lists have them.
    pub entries: Vec<PlanEntry>,
    /// As many as there are entries.
    pub marks: Vec<EntryMark>,
}

impl PlanChunk {
    /// Entries of which none was begun.
    pub fn waiting(entries: Vec<PlanEntry>) -> Self {
        Self {
            marks: vec![EntryMark::Waiting; entries.len()],
            entries,
        }
    }
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryMark {
    /// Its turn has not come.
    Waiting,
    /// Published, confirmed and marked as replayed; nothing heard yet.
    Sent,
    /// Sent; the first attempt failed, and the schedule has more.
    Retrying,
    /// Its destination, or the webhook chosen instead, accepted it.
    Delivered,
    /// It became a dead letter again. It does not rejoin the plan.
    FailedAgain,
    /// Sent, and nothing was heard of it for so long that nothing will be.
    Unknown,
    /// An event that could not become a delivery, published as an event again: what follows is another story.
    Republished,
    /// Not sent.
    Skipped(SkipReason),
}

/// Why an entry was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// The dead letter is no longer kept.
    Gone,
    /// Its record cannot be read.
    Damaged,
    /// Somebody else replayed it since the plan was made.
    Replayed,
    /// Somebody discarded it since the plan was made.
    Discarded,
    /// Its delivery went on and was given up again since: the claim would let no further request through for this one.
    Newer,
    /// It holds bytes that are no event.
    NotAnEvent,
    /// Its event is older than its profile says a body is of use.
    Stale,
    /// The webhook that the plan names instead is not there, disabled, of another project, or has another profile: the
    /// body is of the old one, and would be signed by the wrong rules. Or the entry is an event, which goes to no single webhook.
    NoSuchWebhook,
}

impl EntryMark {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 15] = [
        Self::Waiting,
        Self::Sent,
        Self::Retrying,
        Self::Delivered,
        Self::FailedAgain,
        Self::Unknown,
        Self::Republished,
        Self::Skipped(SkipReason::Gone),
        Self::Skipped(SkipReason::Damaged),
        Self::Skipped(SkipReason::Replayed),
        Self::Skipped(SkipReason::Discarded),
        Self::Skipped(SkipReason::Newer),
        Self::Skipped(SkipReason::NotAnEvent),
        Self::Skipped(SkipReason::Stale),
        Self::Skipped(SkipReason::NoSuchWebhook),
    ];

    pub(super) fn place(self) -> usize {
        let same = |mark: &Self| *mark == self;
        Self::ALL
            .iter()
            .position(same)
            .expect("all are in the list")
    }

    /// One letter, for records.
    pub fn letter(self) -> char {
        match self {
            Self::Waiting => '.',
            Self::Sent => 's',
            Self::Retrying => 'r',
            Self::Delivered => 'd',
            Self::FailedAgain => 'f',
            Self::Unknown => 'u',
            Self::Republished => 'e',
            Self::Skipped(SkipReason::Gone) => 'G',
            Self::Skipped(SkipReason::Damaged) => 'X',
            Self::Skipped(SkipReason::Replayed) => 'R',
            Self::Skipped(SkipReason::Discarded) => 'D',
            Self::Skipped(SkipReason::Newer) => 'O',
            Self::Skipped(SkipReason::NotAnEvent) => 'N',
            Self::Skipped(SkipReason::Stale) => 'S',
            Self::Skipped(SkipReason::NoSuchWebhook) => 'W',
        }
    }

    /// The mark of a letter.
    pub fn of_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|mark| mark.letter() == letter)
    }

    /// A stable word for records, lists and metrics.
    pub fn class(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::FailedAgain => "failed_again",
            Self::Unknown => "unknown",
            Self::Republished => "republished",
            Self::Skipped(SkipReason::Gone) => "skipped_gone",
            Self::Skipped(SkipReason::Damaged) => "skipped_damaged",
            Self::Skipped(SkipReason::Replayed) => "skipped_replayed",
            Self::Skipped(SkipReason::Discarded) => "skipped_discarded",
            Self::Skipped(SkipReason::Newer) => "skipped_newer",
            Self::Skipped(SkipReason::NotAnEvent) => "skipped_not_an_event",
            Self::Skipped(SkipReason::Stale) => "skipped_stale",
            Self::Skipped(SkipReason::NoSuchWebhook) => "skipped_no_such_webhook",
        }
    }

    /// Whether it was sent and more is to be heard of it.
    pub fn is_outstanding(self) -> bool {
        matches!(self, Self::Sent | Self::Retrying)
    }

    /// Whether nothing more will be heard.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Sent | Self::Retrying)
    }

    /// Whether it was not sent, for a reason.
    pub fn is_skipped(self) -> bool {
        matches!(self, Self::Skipped(_))
    }
}

/// How far the newest generation of a delivery came, as its claim tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryStanding {
    /// Of which round.
    pub generation: Generation,
    /// How far.
    pub stage: Stage,
}

/// How far a generation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The first attempt is being made.
    FirstAttempt,
    /// At least one attempt failed, and there are more to come.
    Retrying,
    /// The destination accepted.
    Delivered,
    /// Given up.
    DeadLettered,
}

impl DeliveryStanding {
    /// Whether the dead letter of the generation `given_up` has a newer one: the generation that its replay would go out as was
    /// given up in its turn, or replayed since. While that generation is under way, the claim lets one through.
    pub fn has_newer(self, given_up: Generation) -> bool {
        let next = given_up.next();
        self.generation > next || (self.generation == next && self.stage == Stage::DeadLettered)
    }

    /// What it says of an entry whose generation `given_up` was replayed; nothing while only older rounds are known of.
    pub(super) fn mark(self, given_up: Generation) -> Option<EntryMark> {
        if self.generation <= given_up {
            return None;
        }
        match self.stage {
            Stage::FirstAttempt => None,
            Stage::Retrying => Some(EntryMark::Retrying),
            Stage::Delivered => Some(EntryMark::Delivered),
            Stage::DeadLettered => Some(EntryMark::FailedAgain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_a_letter_a_word_and_a_place_of_its_own() {
        for mark in EntryMark::ALL {
            assert_eq!(EntryMark::of_letter(mark.letter()), Some(mark));
            let words = EntryMark::ALL.map(EntryMark::class);
            let same = words.iter().filter(|word| **word == mark.class());
            assert_eq!(same.count(), 1, "{mark:?}");
            assert_eq!(EntryMark::ALL[mark.place()], mark);
        }
        assert_eq!(EntryMark::of_letter('?'), None);
    }
}
