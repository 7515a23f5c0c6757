//! Groups of open dead letters. A group is made when the first joins and counts whatever open ones of its cause the index
//! has, so that those which had no room before are in it, too.

use super::{
    EmbeddedStore, corrupt,
    index::{Half, List, terms_of_group},
    terms::Terms,
};
use crate::{
    bytes_of::{Reader, Writer},
    tables::{DEAD_LETTER_TERMS, DeadLetterKey, GROUPS, OPEN_DEAD_LETTERS, Tables},
};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable};
use ringback_delivery::port::{GroupFilter, GroupList, GroupStore, StoreError};
use ringback_domain::{
    Acknowledgement, DeadLetterGroup, DeadLetterId, ProjectName, Timestamp, limits,
};
use ringback_wire::group as wire;

const WHAT: &str = "dead letter group";

/// A group in the file.
struct Stored {
    open_count: u64,
    first: DeadLetterKey,
    last: DeadLetterKey,
    head: Vec<u8>,
    /// Empty when nobody did.
    acknowledgement: Vec<u8>,
}

impl Stored {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u64(self.open_count);
        for (died_at, number) in [self.first, self.last] {
            to.i128(died_at);
            to.u64(number);
        }
        to.bytes(&self.head);
        to.bytes(&self.acknowledgement);
        to.0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        Some(Self {
            open_count: from.u64()?,
            first: (from.i128()?, from.u64()?),
            last: (from.i128()?, from.u64()?),
            head: from.bytes()?.to_vec(),
            acknowledgement: from.bytes()?.to_vec(),
        })
    }
}

/// An open dead letter that is in the index joins its group.
pub(super) fn join(
    tables: &mut Tables<'_>,
    key: DeadLetterKey,
    (project, cause): (&str, &str),
    head: impl FnOnce() -> Vec<u8>,
) -> Result<(), redb::Error> {
    let name = (project, cause);
    let stored = tables
        .groups()?
        .get(name)?
        .and_then(|bytes| Stored::decode(bytes.value()));
    let joined = if let Some(stored) = stored {
        Stored {
            open_count: stored.open_count + 1,
            first: stored.first.min(key),
            last: stored.last.max(key),
            ..stored
        }
    } else {
        if !has_room(tables, project)? {
            return Ok(());
        }
        let list = List::new(Half::Open, &terms_of_group(project, cause));
        let index = tables.dead_letter_index()?;
        Stored {
            open_count: list.count(index)?,
            first: list.oldest(index)?.unwrap_or(key),
            last: list
                .newest(index, (i128::MIN, 0), (i128::MAX, u64::MAX))?
                .unwrap_or(key),
            head: head(),
            acknowledgement: Vec::new(),
        }
    };
    tables.groups()?.insert(name, &*joined.encode())?;
    Ok(())
}

fn has_room(tables: &mut Tables<'_>, project: &str) -> Result<bool, redb::Error> {
    let mut count = 0;
    for entry in tables.groups()?.range((project, "")..)? {
        if entry?.0.value().0 != project || count >= limits::GROUPS_PER_PROJECT_MAX {
            break;
        }
        count += 1;
    }
    Ok(count < limits::GROUPS_PER_PROJECT_MAX)
}

/// A dead letter that is no longer in the index's open half leaves its group, if that had room for it.
pub(super) fn leave(
    tables: &mut Tables<'_>,
    key: DeadLetterKey,
    (project, cause): (&str, &str),
) -> Result<(), redb::Error> {
    let name = (project, cause);
    let stored = tables
        .groups()?
        .get(name)?
        .and_then(|bytes| Stored::decode(bytes.value()));
    let Some(mut stored) = stored else {
        return Ok(());
    };
    stored.open_count = stored.open_count.saturating_sub(1);
    if stored.open_count == 0 {
        tables.groups()?.remove(name)?;
        return Ok(());
    }
    let list = List::new(Half::Open, &terms_of_group(project, cause));
    let index = tables.dead_letter_index()?;
    if stored.first == key {
        stored.first = list.oldest(index)?.unwrap_or(key);
    }
    if stored.last == key {
        stored.last = list
            .newest(index, (i128::MIN, 0), (i128::MAX, u64::MAX))?
            .unwrap_or(key);
    }
    tables.groups()?.insert(name, &*stored.encode())?;
    Ok(())
}

#[async_trait]
impl GroupStore for EmbeddedStore {
    async fn dead_letter_groups(
        &self,
        filter: &GroupFilter,
        limit: usize,
    ) -> Result<GroupList, StoreError> {
        let filter = filter.clone();
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        self.engine
            .read_long(move |tx| list(tx, &filter, limit))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn acknowledge_group(
        &self,
        project: Option<&ProjectName>,
        fingerprint: &str,
        acknowledgement: &Acknowledgement,
    ) -> Result<Option<DeadLetterGroup>, StoreError> {
        let project = project.map_or("", ProjectName::as_str).to_owned();
        let (fingerprint, acknowledgement) = (fingerprint.to_owned(), acknowledgement.clone());
        self.engine
            .write(move |tables| acknowledge(tables, &project, &fingerprint, acknowledgement))
            .await
            .map_err(|failure| self.error(failure))?
    }

    /// What an earlier release stored is put into groups when the file is opened.
    async fn regroup(&self, _limit: usize) -> Result<u64, StoreError> {
        Ok(0)
    }
}

fn list(
    tx: &ReadTransaction,
    filter: &GroupFilter,
    limit: usize,
) -> Result<Result<GroupList, StoreError>, redb::Error> {
    let terms = tx.open_table(DEAD_LETTER_TERMS)?;
    let project = filter.project.as_ref().map(ProjectName::as_str);
    let mut groups = Vec::new();
    let mut grouped_count = 0;
    for entry in tx
        .open_table(GROUPS)?
        .range((project.unwrap_or_default(), "")..)?
    {
        let (name, bytes) = entry?;
        let (of, fingerprint) = name.value();
        if project.is_some_and(|project| project != of) {
            break;
        }
        let Some(stored) = Stored::decode(bytes.value()) else {
            return Ok(Err(damaged(fingerprint)));
        };
        grouped_count += stored.open_count;
        if filter
            .cause
            .as_ref()
            .is_none_or(|cause| cause == fingerprint)
        {
            match read(&terms, fingerprint, &stored)? {
                Ok(group) if filter.wants(&group) => groups.push(group),
                Ok(_) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    let open = tx.open_table(OPEN_DEAD_LETTERS)?;
    let open_count = open
        .get(project.unwrap_or_default())?
        .map_or(0, |count| count.value());
    let ungrouped_count = match filter.cause {
        Some(_) => 0,
        None => open_count.saturating_sub(grouped_count),
    };
    Ok(GroupList::of(groups, filter, limit, ungrouped_count))
}

fn acknowledge(
    tables: &mut Tables<'_>,
    project: &str,
    fingerprint: &str,
    acknowledgement: Acknowledgement,
) -> Result<Result<Option<DeadLetterGroup>, StoreError>, redb::Error> {
    let name = (project, fingerprint);
    let stored = tables
        .groups()?
        .get(name)?
        .map(|bytes| Stored::decode(bytes.value()));
    let mut stored = match stored {
        None => return Ok(Ok(None)),
        Some(None) => return Ok(Err(damaged(fingerprint))),
        Some(Some(stored)) => stored,
    };
    let Some(seen_until) = moment_of(stored.last) else {
        return Ok(Err(damaged(fingerprint)));
    };
    stored.acknowledgement = wire::encode_acknowledgement(&Acknowledgement {
        seen_until,
        ..acknowledgement
    });
    tables.groups()?.insert(name, &*stored.encode())?;
    let group = read(tables.dead_letter_terms()?, fingerprint, &stored)?;
    Ok(group.map(Some))
}

fn read(
    terms: &impl ReadableTable<DeadLetterKey, &'static [u8]>,
    fingerprint: &str,
    stored: &Stored,
) -> Result<Result<DeadLetterGroup, StoreError>, redb::Error> {
    let sample = terms.get(stored.last)?.and_then(|bytes| {
        let terms = Terms::decode(bytes.value())?;
        terms.id.parse::<DeadLetterId>().ok()
    });
    let moments = moment_of(stored.first).zip(moment_of(stored.last));
    let (Some(sample), Some((first_died_at, last_died_at))) = (sample, moments) else {
        return Ok(Err(damaged(fingerprint)));
    };
    let decoded = wire::decode_head(&stored.head).and_then(|head| {
        let known = match &*stored.acknowledgement {
            [] => None,
            record => Some(wire::decode_acknowledgement(record)?),
        };
        let group = DeadLetterGroup {
            head,
            open_count: stored.open_count,
            first_died_at,
            last_died_at,
            sample,
            acknowledgement: None,
        };
        Ok(group.acknowledged(known))
    });
    Ok(decoded.map_err(|fault| corrupt(WHAT, fingerprint, fault)))
}

fn moment_of((died_at, _): DeadLetterKey) -> Option<Timestamp> {
    Timestamp::from_nanosecond(died_at).ok()
}

fn damaged(fingerprint: &str) -> StoreError {
    corrupt(WHAT, fingerprint, "it is cut or of another form")
}
