//! Names of keys, terms of the indexes, cursors.
//!
//! A key is `{<prefix>:<shard>}:<what>:<id>`: what stands in braces decides the slot in a cluster. Ids are checked types of
//! a narrow alphabet; everything else a customer wrote appears in keys and index members only as a digest.

use crate::settings::SettingsError;
use ringback_delivery::port::{Cursor, StoreError};
use ringback_domain::{Timestamp, TrafficOf};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Parts the deliveries are spread over. Changing it would make everything stored unfindable.
pub(crate) const SHARDS: u8 = 16;

/// Names of keys under one prefix.
pub(crate) struct Keys {
    prefix: String,
    shards: Vec<Shard>,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    number: u8,
    /// What its keys begin with.
    prefix: Arc<str>,
}

impl Keys {
    pub(crate) fn try_new(prefix: &str) -> Result<Self, SettingsError> {
        let accepts = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if prefix.is_empty() || prefix.len() > 32 || !prefix.bytes().all(accepts) {
            return Err(SettingsError::Prefix(prefix.to_owned()));
        }
        let shard = |number| Shard {
            number,
            prefix: format!("{{{prefix}:{number:02}}}:").into(),
        };
        Ok(Self {
            prefix: prefix.to_owned(),
            shards: (0..SHARDS).map(shard).collect(),
        })
    }

    /// The shard where everything about this id lies.
    pub(crate) fn shard_of(&self, id: &str) -> Shard {
        self.shards[usize::from(Sha256::digest(id)[0] % SHARDS)].clone()
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = Shard> {
        self.shards.iter().cloned()
    }

    /// Webhooks are few and read together: they share one slot.
    pub(crate) fn webhooks(&self) -> String {
        format!("{{{}:webhooks}}:by_id", self.prefix)
    }

    /// Keys to the HTTP API are few and read together, too.
    pub(crate) fn api_keys(&self) -> String {
        format!("{{{}:api_keys}}:by_id", self.prefix)
    }

    /// Breakers are few and read together.
    pub(crate) fn breakers(&self) -> String {
        format!("{{{}:breakers}}:by_destination", self.prefix)
    }

    /// Acknowledgements of groups are few and read together, too.
    pub(crate) fn acknowledged(&self) -> String {
        format!("{{{}:groups}}:acknowledged", self.prefix)
    }

    /// Replay plans are few: they share one slot, each with its entries.
    pub(crate) fn plan(&self, id: &str) -> String {
        format!("{{{}:plans}}:plan:{id}", self.prefix)
    }

    pub(crate) fn plan_entries(&self, id: &str, chunk: u32) -> String {
        format!("{{{}:plans}}:entries:{id}:{chunk}", self.prefix)
    }

    pub(crate) fn plan_marks(&self, id: &str) -> String {
        format!("{{{}:plans}}:marks:{id}", self.prefix)
    }

    /// All plans, by the moment they were made.
    pub(crate) fn plan_list(&self) -> String {
        format!("{{{}:plans}}:list", self.prefix)
    }

    /// The plans that a worker should take up.
    pub(crate) fn active_plans(&self) -> String {
        format!("{{{}:plans}}:active", self.prefix)
    }

    /// Which worker makes room for dead letters.
    pub(crate) fn making_room(&self) -> String {
        format!("{{{}:groups}}:making_room", self.prefix)
    }

    pub(crate) fn webhooks_of(&self, project: &str) -> String {
        format!("{{{}:webhooks}}:of:{project}", self.prefix)
    }
}

impl Shard {
    /// Which one, from 0.
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// What every key of the shard begins with.
    pub(crate) fn as_str(&self) -> &str {
        &self.prefix
    }

    fn key(&self, parts: &[&str]) -> String {
        let mut key = String::with_capacity(
            self.prefix.len() + parts.iter().map(|part| part.len()).sum::<usize>(),
        );
        key.push_str(&self.prefix);
        key.extend(parts.iter().copied());
        key
    }

    pub(crate) fn claim(&self, id: &str) -> String {
        self.key(&["claim:", id])
    }

    pub(crate) fn record(&self, id: &str) -> String {
        self.key(&["record:", id])
    }

    pub(crate) fn attempts(&self, id: &str) -> String {
        self.key(&["attempts:", id])
    }

    /// A key that is never there. While a cluster moves the slot, a call that names one is refused as a whole, rather than done by half.
    pub(crate) fn never(&self) -> String {
        self.key(&["never"])
    }

    pub(crate) fn letter(&self, id: &str) -> String {
        self.key(&["letter:", id])
    }

    /// When the next turn at a destination is.
    pub(crate) fn turn(&self, id: &str) -> String {
        self.key(&["turn:", id])
    }

    pub(crate) fn event(&self, project: &str, id: &str) -> String {
        self.key(&["event:", project, ":", id])
    }

    pub(crate) fn event_moment(&self, project: &str, id: &str) -> String {
        self.key(&["moment:", project, ":", id])
    }

    pub(crate) fn barrier(&self) -> String {
        self.key(&["barrier"])
    }

    /// Some steps of what is counted.
    pub(crate) fn traffic(&self, step: char, chunk: u32, of: &TrafficOf) -> String {
        format!("{}traffic:{step}{chunk}:{of}", self.prefix)
    }

    /// The index of the log of deliveries.
    pub(crate) fn log(&self) -> String {
        self.key(&["log"])
    }

    /// The index, and the lines of those delivered at once: sorted, what is in them in short, and new.
    pub(crate) fn log_parts(&self) -> [String; 4] {
        let log = self.log();
        let part = |name: &str| format!("{log}:{name}");
        [log.clone(), part("blocks"), part("digests"), part("new")]
    }

    /// The index of dead letters nothing was done about.
    pub(crate) fn open(&self) -> String {
        self.key(&["letters:open"])
    }

    /// The index of all dead letters, by event and job.
    pub(crate) fn all_letters(&self) -> String {
        self.key(&["letters:all"])
    }

    /// The index of dead letters replayed or discarded.
    pub(crate) fn disposed(&self) -> String {
        self.key(&["letters:disposed"])
    }
}

/// What an entry can be found by: a letter for the member, 12 hex digits for its value.
pub(crate) fn term(member: char, value: &str) -> String {
    let mut term = String::with_capacity(TERM_BYTES);
    push_term(&mut term, member, value);
    term
}

const TERM_BYTES: usize = 13;

fn push_term(text: &mut String, member: char, value: &str) {
    text.push(member);
    for byte in &Sha256::digest(value)[..6] {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
}

/// Terms with a blank between each two.
pub(crate) fn terms<const N: usize>(of: [(char, &str); N]) -> String {
    let mut terms = String::with_capacity(N * (TERM_BYTES + 1));
    for (member, value) in of {
        if !terms.is_empty() {
            terms.push(' ');
        }
        push_term(&mut terms, member, value);
    }
    terms
}

/// Microseconds as text that sorts like the moments: 16 digits, good until 2286.
pub(crate) fn sortable(moment: Timestamp) -> String {
    format!("{:016}", moment.as_microsecond().max(0))
}

/// An entry's place in every list: its moment, then its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suffix(String);

/// Of a moment as text. The same as in `common.lua`.
pub(crate) const MOMENT_DIGITS: usize = 16;

impl Suffix {
    pub(crate) fn new(moment: Timestamp, id: &str) -> Self {
        Self(sortable(moment) + id)
    }

    /// As the server has it.
    pub(crate) fn read(text: String) -> Option<Self> {
        let (moment, id) = text.split_at_checked(MOMENT_DIGITS)?;
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let is_one =
            moment.bytes().all(|b| b.is_ascii_digit()) && !id.is_empty() && id.bytes().all(word);
        is_one.then_some(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn id(&self) -> &str {
        &self.0[MOMENT_DIGITS..]
    }

    pub(crate) fn moment(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.0[..MOMENT_DIGITS].parse().ok()?).ok()
    }

    /// Where a list goes on; `list` keeps the cursors of two lists apart.
    pub(crate) fn to_cursor(&self, list: &str) -> Cursor {
        Cursor(format!("{list}.{}", self.0))
    }

    pub(crate) fn of_cursor(cursor: &Cursor, list: &str) -> Result<Self, StoreError> {
        let suffix = cursor
            .0
            .strip_prefix(list)
            .and_then(|rest| rest.strip_prefix('.'));
        suffix
            .and_then(|text| Self::read(text.to_owned()))
            .ok_or(StoreError::BadCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_cannot_choose_the_slot() {
        assert!(Keys::try_new("ringback-1").is_ok());
        for prefix in ["", "a{b}", "a:b", "a b", &"x".repeat(33)] {
            assert!(Keys::try_new(prefix).is_err(), "{prefix}");
        }
    }

    #[test]
    fn ids_are_spread_over_all_shards() {
        let keys = Keys::try_new("r").unwrap();
        let mut used: Vec<_> = (0..500)
            .map(|number| keys.shard_of(&format!("dlv_{number}")).prefix)
            .collect();
        used.sort();
        used.dedup();
        assert_eq!(used.len(), usize::from(SHARDS));
        assert_eq!(&*used[3], "{r:03}:");
    }

    #[test]
    fn a_suffix_sorts_by_moment_and_survives_a_cursor() {
        let at = |second| Suffix::new(Timestamp::from_second(second).unwrap(), "dlt_1");
        assert!(at(9) < at(1_780_000_000));
        let cursor = at(9).to_cursor("dead");
        assert_eq!(Suffix::of_cursor(&cursor, "dead").unwrap(), at(9));
        assert!(Suffix::of_cursor(&cursor, "log").is_err());
        assert_eq!(at(9).id(), "dlt_1");
        assert_eq!(at(9).moment(), Timestamp::from_second(9).ok());
    }

    #[test]
    fn what_is_no_suffix_is_refused() {
        for text in [
            "",
            "12",
            "0000000000000001",
            "000000000000000xdlt_1",
            "0000000000000001dlt 1",
            "000000000000000ädlt",
        ] {
            assert_eq!(Suffix::read(text.to_owned()), None, "{text}");
        }
    }
}
