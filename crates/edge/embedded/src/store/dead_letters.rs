//! Dead letters.

use super::{
    EmbeddedStore, corrupt, cursor_to, groups, index, read_cursor,
    terms::{Terms, encode_terms_of},
};
use crate::tables::{
    DEAD_LETTER_INDEX, DEAD_LETTER_KEYS, DEAD_LETTER_TERMS, DEAD_LETTERS, DeadLetterKey,
    OPEN_DEAD_LETTERS, Tables,
};
use async_trait::async_trait;
use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};
use ringback_delivery::port::{
    Cursor, DeadLetterFilter, DeadLetterStore, DisposeAnswer, Page, StoreError,
};
use ringback_domain::{DeadLetter, DeadLetterId, Disposal, GroupHead, ProjectName, Timestamp};
use ringback_wire::{group, record as wire};
use std::ops::Bound;

const WHAT: &str = "dead letter";
const LIST: &str = "dead";
/// All projects together, in the table of counts.
const ALL: &str = "";

/// In the table of what the file is about.
pub(super) const BYTES: &str = "dead_letter_bytes";

/// A dead letter on its way into the file.
pub(super) struct Burial {
    id: DeadLetterId,
    key: DeadLetterKey,
    terms: Vec<u8>,
    head: Vec<u8>,
    whole: Bytes,
}

impl Burial {
    pub(super) fn of(dead_letter: &DeadLetter, number: u64) -> Result<Self, StoreError> {
        let whole = wire::encode_dead_letter(dead_letter)
            .map_err(|fault| EmbeddedStore::refused("store a dead letter", fault))?;
        Ok(Self {
            id: dead_letter.id.clone(),
            key: (dead_letter.died_at.as_nanosecond(), number),
            terms: encode_terms_of(dead_letter),
            head: group::encode_head(&GroupHead::of(dead_letter)),
            whole,
        })
    }

    /// Giving up twice is giving up once.
    pub(super) fn bury_in(self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        let keys = tables.dead_letter_keys()?;
        if keys.get(self.id.as_str())?.is_some() {
            return Ok(());
        }
        keys.insert(self.id.as_str(), self.key)?;
        tables.dead_letter_terms()?.insert(self.key, &*self.terms)?;
        tables.dead_letters()?.insert(self.key, &*self.whole)?;
        weigh(tables, i64::try_from(self.whole.len()).unwrap_or(i64::MAX))?;
        let terms = Terms::decode(&self.terms).expect("they were just encoded");
        index::enter(tables, self.key, &terms)?;
        if terms.is_open() {
            count(tables, terms.project, 1)?;
            groups::join(tables, self.key, terms.group(), || self.head)?;
        }
        Ok(())
    }
}

/// Removes one for good.
pub(super) fn forget(tables: &mut Tables<'_>, key: DeadLetterKey) -> Result<(), redb::Error> {
    let bytes = tables
        .dead_letter_terms()?
        .remove(key)?
        .map(|terms| terms.value().to_vec());
    let weight = tables
        .dead_letters()?
        .remove(key)?
        .map_or(0, |whole| whole.value().len());
    weigh(
        tables,
        i64::try_from(weight).map_or(i64::MIN, |weight| -weight),
    )?;
    if let Some(terms) = bytes.as_deref().and_then(Terms::decode) {
        tables.dead_letter_keys()?.remove(terms.id)?;
        index::take_out(tables, key, &terms)?;
        if terms.is_open() {
            count(tables, terms.project, -1)?;
            groups::leave(tables, key, terms.group())?;
        }
    }
    Ok(())
}

/// Counts bytes that are kept, or no longer.
fn weigh(tables: &mut Tables<'_>, by: i64) -> Result<(), redb::Error> {
    let about = tables.about()?;
    let before = about.get(BYTES)?.map_or(0, |bytes| bytes.value());
    about.insert(BYTES, before.saturating_add_signed(by))?;
    Ok(())
}

/// Enters what a release before the index stored: once, when its file is opened.
pub(crate) fn index_dead_letters(tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    /// Looked at together; the file may hold more than memory.
    const BATCH: usize = 1_000;
    let mut after = None;
    loop {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut batch = Vec::with_capacity(BATCH);
        for entry in tables
            .dead_letters()?
            .range::<DeadLetterKey>((start, Bound::Unbounded))?
            .take(BATCH)
        {
            let (key, whole) = entry?;
            batch.push((key.value(), Bytes::copy_from_slice(whole.value())));
        }
        let Some((last, _)) = batch.last() else {
            return Ok(());
        };
        after = Some(*last);
        for (key, whole) in batch {
            enter_again(tables, key, &whole)?;
        }
    }
}

fn enter_again(
    tables: &mut Tables<'_>,
    key: DeadLetterKey,
    whole: &Bytes,
) -> Result<(), redb::Error> {
    weigh(tables, i64::try_from(whole.len()).unwrap_or(i64::MAX))?;
    let stored = tables
        .dead_letter_terms()?
        .get(key)?
        .map(|terms| terms.value().to_vec());
    // What cannot be read is told of by whoever asks for it.
    let disposal = stored.as_deref().and_then(Terms::decode);
    let disposal = disposal.and_then(|terms| wire::decode_disposal(terms.disposal).ok());
    let (Ok(mut dead_letter), Some(disposal)) = (wire::decode_dead_letter(whole), disposal) else {
        return Ok(());
    };
    dead_letter.disposal = disposal;
    let bytes = encode_terms_of(&dead_letter);
    tables.dead_letter_terms()?.insert(key, &*bytes)?;
    let terms = Terms::decode(&bytes).expect("they were just encoded");
    index::enter(tables, key, &terms)?;
    if terms.is_open() {
        let head = || group::encode_head(&GroupHead::of(&dead_letter));
        groups::join(tables, key, terms.group(), head)?;
    }
    Ok(())
}

/// Counts an open dead letter of a project, or one less.
fn count(tables: &mut Tables<'_>, project: &str, by: i64) -> Result<(), redb::Error> {
    let counts = tables.open_dead_letters()?;
    let mut names = vec![ALL, project];
    names.dedup();
    for name in names {
        let before = counts.get(name)?.map_or(0, |count| count.value());
        match before.saturating_add_signed(by) {
            0 => counts.remove(name)?,
            after => counts.insert(name, after)?,
        };
    }
    Ok(())
}

#[async_trait]
impl DeadLetterStore for EmbeddedStore {
    async fn put_dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), StoreError> {
        let burial = Burial::of(dead_letter, self.engine.number())?;
        self.engine
            .write(move |tables| burial.bury_in(tables))
            .await
            .map_err(|failure| self.error(failure))
    }

    async fn dead_letter(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
        let look = |tx: &ReadTransaction| {
            let key = tx.open_table(DEAD_LETTER_KEYS)?.get(id.as_str())?;
            key.map_or(Ok(None), |key| read(tx, key.value()))
        };
        self.engine
            .read(look)
            .map_err(|failure| self.error(failure))?
            .transpose()
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let before = after.map(read_key).transpose()?;
        let filter = filter.clone();
        self.engine
            .read_long(move |tx| list(tx, &filter, before, limit))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn dead_letter_count(&self, project: Option<&ProjectName>) -> Result<u64, StoreError> {
        let name = project.map_or(ALL, ProjectName::as_str);
        let look = |tx: &ReadTransaction| {
            let found = tx.open_table(OPEN_DEAD_LETTERS)?.get(name)?;
            Ok(found.map_or(0, |count| count.value()))
        };
        self.engine
            .read(look)
            .map_err(|failure| self.error(failure))
    }

    async fn dispose(
        &self,
        id: &DeadLetterId,
        disposal: &Disposal,
        again: bool,
    ) -> Result<DisposeAnswer, StoreError> {
        let (id, disposal) = (id.clone(), wire::encode_disposal(disposal));
        self.engine
            .write(move |tables| dispose_in(tables, &id, &disposal, again))
            .await
            .map_err(|failure| self.error(failure))?
    }
}

fn dispose_in(
    tables: &mut Tables<'_>,
    id: &DeadLetterId,
    disposal: &[u8],
    again: bool,
) -> Result<Result<DisposeAnswer, StoreError>, redb::Error> {
    let key = tables
        .dead_letter_keys()?
        .get(id.as_str())?
        .map(|key| key.value());
    let Some(key) = key else {
        return Ok(Ok(DisposeAnswer::NotFound));
    };
    let bytes = tables
        .dead_letter_terms()?
        .get(key)?
        .map(|terms| terms.value().to_vec());
    let Some(mut terms) = bytes.as_deref().and_then(Terms::decode) else {
        return Ok(Err(damaged(id)));
    };
    let was_open = terms.is_open();
    if !was_open && !again {
        let earlier = wire::decode_disposal(terms.disposal);
        return Ok(earlier
            .map(DisposeAnswer::Already)
            .map_err(|fault| corrupt(WHAT, id, fault)));
    }
    index::take_out(tables, key, &terms)?;
    terms.disposal = disposal;
    tables.dead_letter_terms()?.insert(key, &*terms.encode())?;
    index::enter(tables, key, &terms)?;
    match (was_open, terms.is_open()) {
        (true, false) => {
            count(tables, terms.project, -1)?;
            groups::leave(tables, key, terms.group())?;
        }
        (false, true) => {
            count(tables, terms.project, 1)?;
            let whole = tables
                .dead_letters()?
                .get(key)?
                .map(|whole| Bytes::copy_from_slice(whole.value()));
            let decoded = whole
                .map(|whole| wire::decode_dead_letter(&whole))
                .transpose();
            let head = match decoded {
                Ok(Some(dead_letter)) => group::encode_head(&GroupHead::of(&dead_letter)),
                Ok(None) => return Ok(Err(damaged(id))),
                Err(fault) => return Ok(Err(corrupt(WHAT, id, fault))),
            };
            groups::join(tables, key, terms.group(), || head)?;
        }
        _ => {}
    }
    Ok(Ok(DisposeAnswer::Disposed))
}

fn damaged(id: impl std::fmt::Display) -> StoreError {
    corrupt(WHAT, id, "it is cut or of another form")
}

/// One dead letter; `None` when there is none under the key.
pub(super) fn read(
    tx: &ReadTransaction,
    key: DeadLetterKey,
) -> Result<Option<Result<DeadLetter, StoreError>>, redb::Error> {
    let terms = tx.open_table(DEAD_LETTER_TERMS)?.get(key)?;
    let whole = tx.open_table(DEAD_LETTERS)?.get(key)?;
    let (Some(terms), Some(whole)) = (terms, whole) else {
        return Ok(None);
    };
    let whole = wire::decode_dead_letter(&Bytes::copy_from_slice(whole.value()));
    let Some(terms) = Terms::decode(terms.value()) else {
        let id = whole.map_or_else(|_| key.1.to_string(), |whole| whole.id.to_string());
        return Ok(Some(Err(damaged(id))));
    };
    let decoded = whole
        .and_then(|mut dead_letter| {
            dead_letter.disposal = wire::decode_disposal(terms.disposal)?;
            Ok(dead_letter)
        })
        .map_err(|fault| corrupt(WHAT, terms.id, fault));
    Ok(Some(decoded))
}

fn list(
    tx: &ReadTransaction,
    filter: &DeadLetterFilter,
    before: Option<DeadLetterKey>,
    limit: usize,
) -> Result<Result<Page<DeadLetter>, StoreError>, redb::Error> {
    let first_at = |moment: Timestamp| (moment.as_nanosecond(), 0);
    let until = filter.until.map(first_at);
    let below = match (before, until) {
        (Some(before), Some(until)) => Some(before.min(until)),
        (before, until) => before.or(until),
    };
    let index = tx.open_table(DEAD_LETTER_INDEX)?;
    let mut found = index::Merged::of(filter, &index, filter.since.map(first_at), below)?;
    let mut keys = Vec::new();
    let mut more = false;
    while let Some(key) = found.next(&index)? {
        if keys.len() == limit {
            more = true;
            break;
        }
        keys.push(key);
    }
    let last = keys.last().filter(|_| more);
    let next = last.map(|(died_at, number)| cursor_to(LIST, &[*died_at, i128::from(*number)]));
    let mut page = Page::new(Vec::with_capacity(keys.len()), next);
    for key in &keys {
        let taken_in = match read(tx, *key)? {
            // Two values may share a term.
            Some(Ok(dead_letter)) if !filter.wants(&dead_letter) => Ok(()),
            Some(found) => page.take_in(found),
            None => Ok(()),
        };
        if let Err(error) = taken_in {
            return Ok(Err(error));
        }
    }
    Ok(Ok(page))
}

fn read_key(cursor: &Cursor) -> Result<DeadLetterKey, StoreError> {
    let [died_at, number] = read_cursor(LIST, cursor)?;
    let number = u64::try_from(number).map_err(|_| StoreError::BadCursor)?;
    Ok((died_at, number))
}
