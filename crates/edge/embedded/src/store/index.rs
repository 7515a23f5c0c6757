//! Where dead letters are listed: for each term, those that have it, in the order they were given up; the open ones apart.
//!
//! Lists of one or several terms are walked by seeking: a list jumps to where another one says that the next match can be
//! at best, so that a page costs what it holds and not what lies between.

use super::terms::Terms;
use crate::tables::{DeadLetterKey, IndexKey, Tables};
use redb::ReadableTable;
use ringback_delivery::port::{DeadLetterFilter, DeadLetterMark};
use ringback_domain::{DestinationId, EventType, JobId, ProjectName};
use sha2::{Digest, Sha256};

/// A member and its value, digested; what two values with one digest might mix up is sorted out on the terms themselves.
pub(super) type Term = u64;

/// What every dead letter has.
const ALL: Term = 0;

/// Which of the two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Open = 0,
    Disposed = 1,
}

impl Half {
    pub(super) fn of(terms: &Terms<'_>) -> Self {
        if terms.is_open() {
            Self::Open
        } else {
            Self::Disposed
        }
    }
}

fn term(member: char, value: &str) -> Term {
    let mut sha = Sha256::new();
    sha.update([member as u8]);
    sha.update(value);
    let digest = sha.finalize();
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*first).max(1)
}

/// The terms that tell a group's dead letters.
pub(super) fn terms_of_group(project: &str, cause: &str) -> [Term; 2] {
    [term('c', cause), term('p', project)]
}

fn terms_of(terms: &Terms<'_>) -> Vec<Term> {
    let always = [
        ALL,
        term('p', terms.project),
        term('c', terms.cause),
        term('r', terms.reason),
    ];
    let optional = [
        ('d', terms.destination),
        ('t', terms.event_type),
        ('e', terms.event),
        ('j', terms.job),
    ];
    let optional = optional
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(member, value)| term(member, value));
    always.into_iter().chain(optional).collect()
}

/// Enters a dead letter in the half its terms say.
pub(super) fn enter(
    tables: &mut Tables<'_>,
    key: DeadLetterKey,
    terms: &Terms<'_>,
) -> Result<(), redb::Error> {
    let half = Half::of(terms) as u8;
    let index = tables.dead_letter_index()?;
    for term in terms_of(terms) {
        index.insert((half, term, key.0, key.1), ())?;
    }
    Ok(())
}

/// Takes a dead letter out of the half its terms say.
pub(super) fn take_out(
    tables: &mut Tables<'_>,
    key: DeadLetterKey,
    terms: &Terms<'_>,
) -> Result<(), redb::Error> {
    let half = Half::of(terms) as u8;
    let index = tables.dead_letter_index()?;
    for term in terms_of(terms) {
        index.remove((half, term, key.0, key.1))?;
    }
    Ok(())
}

const FIRST: DeadLetterKey = (i128::MIN, 0);
const LAST: DeadLetterKey = (i128::MAX, u64::MAX);

/// Those of one half that have all of these terms.
#[derive(Debug, Clone)]
pub(super) struct List {
    half: Half,
    terms: Vec<Term>,
}

impl List {
    pub(super) fn new(half: Half, terms: &[Term]) -> Self {
        Self {
            half,
            terms: terms.to_vec(),
        }
    }

    /// The newest from `from` on, up to and with `to`.
    pub(super) fn newest(
        &self,
        index: &impl ReadableTable<IndexKey, ()>,
        from: DeadLetterKey,
        to: DeadLetterKey,
    ) -> Result<Option<DeadLetterKey>, redb::Error> {
        self.seek(to, |term, to| {
            let range = self.entry(term, from)..=self.entry(term, to);
            if range.is_empty() {
                return Ok(None);
            }
            let found = index.range(range)?.next_back().transpose()?;
            Ok(found.map(|(entry, _)| key_of(entry.value())))
        })
    }

    /// The oldest of all.
    pub(super) fn oldest(
        &self,
        index: &impl ReadableTable<IndexKey, ()>,
    ) -> Result<Option<DeadLetterKey>, redb::Error> {
        self.seek(FIRST, |term, from| {
            let range = self.entry(term, from)..=self.entry(term, LAST);
            let found = index.range(range)?.next().transpose()?;
            Ok(found.map(|(entry, _)| key_of(entry.value())))
        })
    }

    /// How many there are.
    pub(super) fn count(
        &self,
        index: &impl ReadableTable<IndexKey, ()>,
    ) -> Result<u64, redb::Error> {
        let mut count = 0;
        let mut next = self.newest(index, FIRST, LAST)?;
        while let Some(key) = next {
            count += 1;
            next = match before(key) {
                Some(to) => self.newest(index, FIRST, to)?,
                None => None,
            };
        }
        Ok(count)
    }

    /// Asks one list after the other for the first match from where the last one stopped, until all name the same.
    fn seek(
        &self,
        start: DeadLetterKey,
        first_from: impl Fn(Term, DeadLetterKey) -> Result<Option<DeadLetterKey>, redb::Error>,
    ) -> Result<Option<DeadLetterKey>, redb::Error> {
        let (mut at, mut agreed) = (start, 0);
        for term in self.terms.iter().cycle() {
            let Some(found) = first_from(*term, at)? else {
                return Ok(None);
            };
            agreed = if found == at { agreed + 1 } else { 1 };
            at = found;
            if agreed >= self.terms.len() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn entry(&self, term: Term, key: DeadLetterKey) -> (u8, u64, i128, u64) {
        (self.half as u8, term, key.0, key.1)
    }
}

fn key_of((_, _, died_at, number): (u8, u64, i128, u64)) -> DeadLetterKey {
    (died_at, number)
}

/// The largest key below this one.
fn before((died_at, number): DeadLetterKey) -> Option<DeadLetterKey> {
    match number.checked_sub(1) {
        Some(number) => Some((died_at, number)),
        None => Some((died_at.checked_sub(1)?, u64::MAX)),
    }
}

/// Several lists as one, newest first, each entry once.
pub(super) struct Merged {
    lists: Vec<(List, Option<DeadLetterKey>)>,
    from: DeadLetterKey,
}

impl Merged {
    /// What a filter asks for, from `from` on and below `below`.
    pub(super) fn of(
        filter: &DeadLetterFilter,
        index: &impl ReadableTable<IndexKey, ()>,
        from: Option<DeadLetterKey>,
        below: Option<DeadLetterKey>,
    ) -> Result<Self, redb::Error> {
        let from = from.unwrap_or(FIRST);
        let to = below.map_or(Some(LAST), before);
        let mut lists = Vec::new();
        for list in lists_of(filter) {
            let head = match to {
                Some(to) => list.newest(index, from, to)?,
                None => None,
            };
            lists.push((list, head));
        }
        Ok(Self { lists, from })
    }

    pub(super) fn next(
        &mut self,
        index: &impl ReadableTable<IndexKey, ()>,
    ) -> Result<Option<DeadLetterKey>, redb::Error> {
        let Some(newest) = self.lists.iter().filter_map(|(_, head)| *head).max() else {
            return Ok(None);
        };
        for (list, head) in &mut self.lists {
            if *head == Some(newest) {
                *head = match before(newest) {
                    Some(to) => list.newest(index, self.from, to)?,
                    None => None,
                };
            }
        }
        Ok(Some(newest))
    }
}

fn lists_of(filter: &DeadLetterFilter) -> Vec<List> {
    // The most telling first: it is asked most.
    let wanted = [
        ('j', filter.job.as_ref().map(JobId::as_str)),
        ('c', filter.cause.as_deref()),
        ('d', filter.destination.as_ref().map(DestinationId::as_str)),
        ('p', filter.project.as_ref().map(ProjectName::as_str)),
        ('t', filter.event_type.as_ref().map(EventType::as_str)),
        (
            'r',
            filter.reason.map(ringback_domain::DeadLetterReason::class),
        ),
    ];
    let all: Vec<_> = wanted
        .into_iter()
        .filter_map(|(member, value)| Some(term(member, value?)))
        .collect();
    let alternatives = match &filter.any_of {
        None if all.is_empty() => vec![vec![ALL]],
        None => vec![all],
        Some(marks) => marks
            .iter()
            .map(|mark| [&[term_of(mark)], &*all].concat())
            .collect(),
    };
    let halves: &[Half] = if filter.include_disposed {
        &[Half::Open, Half::Disposed]
    } else {
        &[Half::Open]
    };
    halves
        .iter()
        .flat_map(|half| alternatives.iter().map(|terms| List::new(*half, terms)))
        .collect()
}

fn term_of(mark: &DeadLetterMark) -> Term {
    match mark {
        DeadLetterMark::Cause(cause) => term('c', cause),
        DeadLetterMark::Event(event) => term('e', event.as_str()),
        DeadLetterMark::Job(job) => term('j', job.as_str()),
    }
}
