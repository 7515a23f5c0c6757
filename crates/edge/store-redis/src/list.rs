//! Lists over all shards, newest first.
//!
//! Each index answers up to a page of its newest matches and says how far it looked. What lies above the point that all
//! of them have reached is complete and can be merged; the rest is asked for again.

use crate::{
    RedisStore,
    claims::micros,
    error::unreadable,
    key::{Shard, Suffix, sortable},
    script::{LIST, PRUNE},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use ringback_delivery::port::{Cursor, Page, StoreError};
use ringback_domain::{Timestamp, limits};
use std::time::Duration;

/// Records fetched at the same time: a page of the largest dead letters must not fill the memory of both sides at once.
const FETCHED_AT_ONCE: usize = 32;

/// Which entries of which indexes.
pub(crate) struct Query {
    /// Keeps the cursors of two lists apart.
    pub(crate) list: &'static str,
    /// Indexes, each with its shard.
    pub(crate) indexes: Vec<(Shard, String)>,
    /// All of these terms.
    pub(crate) terms: Vec<String>,
    /// At least one of these, unless there is none.
    pub(crate) any_of: Vec<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// Older ones are gone, even if nobody has removed them yet. Of a log: those that were delivered at once.
    pub(crate) age_max: Option<Duration>,
}

/// An entry of an index.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) suffix: Suffix,
    pub(crate) shard: Shard,
    index: String,
}

impl RedisStore {
    /// A page of records. `fetch` reads one; `None` when it is gone, or does not match after all.
    pub(crate) async fn page<T, F>(
        &self,
        query: &Query,
        after: Option<&Cursor>,
        limit: usize,
        fetch: impl Fn(Entry) -> F,
    ) -> Result<Page<T>, StoreError>
    where
        F: Future<Output = Result<Found<T>, StoreError>>,
    {
        let limit = limit.clamp(1, limits::PAGE_ENTRIES_MAX);
        let after = after
            .map(|cursor| Suffix::of_cursor(cursor, query.list))
            .transpose()?;
        let mut to = query.upper_bound(after.as_ref());
        let mut entries: Vec<(Suffix, Result<T, StoreError>)> = Vec::with_capacity(limit);
        loop {
            // One more than the page holds tells whether there is another page.
            let (listed, reached) = self.newest(query, &to, limit + 1 - entries.len()).await?;
            let fetched: Vec<_> = stream::iter(listed)
                .map(|entry| {
                    let found = fetch(entry.clone());
                    async move {
                        let found = match found.await {
                            Err(damaged @ StoreError::Corrupt { .. }) => Found::Damaged(damaged),
                            found => found?,
                        };
                        Ok::<_, StoreError>((entry, found))
                    }
                })
                .buffered(FETCHED_AT_ONCE)
                .try_collect()
                .await?;
            for (entry, found) in fetched {
                match found {
                    Found::Match(record) => entries.push((entry.suffix, Ok(record))),
                    Found::Damaged(error) => entries.push((entry.suffix, Err(error))),
                    Found::Other => {}
                    Found::Gone => self.prune(&entry).await?,
                }
            }
            if entries.len() > limit {
                entries.truncate(limit);
                break;
            }
            match reached {
                Some(reached) => to = reached,
                None => return page_of(entries, None),
            }
        }
        let next = entries
            .last()
            .map(|(suffix, _)| suffix.to_cursor(query.list));
        page_of(entries, next)
    }

    /// The newest matches below `to`, and the point below which more may follow.
    async fn newest(
        &self,
        query: &Query,
        to: &str,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<String>), StoreError> {
        let from = query.since.map(sortable).unwrap_or_default();
        let age_max = query.age_max.map_or(0, micros);
        let (terms, any_of) = (query.terms.join(" "), query.any_of.join(" "));
        let ask = async |(shard, index): &(Shard, String)| {
            let mut script = LIST.prepare_invoke();
            if *index == shard.log() {
                script.key(shard.log_parts().as_slice());
            } else {
                script.key([index, &shard.all_letters()].as_slice());
            }
            script
                .arg(&from)
                .arg(to)
                .arg(age_max)
                .arg(limit)
                .arg(&terms)
                .arg(&any_of);
            let (suffixes, reached): (Vec<String>, String) =
                self.connection.run("list", &script).await?;
            let entries = suffixes.into_iter().map(|text| {
                let suffix = Suffix::read(text.clone()).ok_or_else(|| {
                    unreadable("index entry", &text, "is no moment and id".into())
                })?;
                Ok(Entry {
                    suffix,
                    shard: shard.clone(),
                    index: index.clone(),
                })
            });
            Ok::<_, StoreError>((entries.collect::<Result<Vec<_>, StoreError>>()?, reached))
        };
        let answers = futures_util::future::try_join_all(query.indexes.iter().map(ask)).await?;
        let reached = answers
            .iter()
            .map(|(_, reached)| reached)
            .max()
            .filter(|reached| !reached.is_empty())
            .cloned();
        let mut entries: Vec<_> = answers
            .into_iter()
            .flat_map(|(entries, _)| entries)
            .collect();
        entries.retain(|entry| {
            reached
                .as_deref()
                .is_none_or(|reached| entry.suffix.as_str() >= reached)
        });
        entries.sort_by(|a, b| b.suffix.cmp(&a.suffix));
        if entries.len() > limit {
            entries.truncate(limit);
            let last = entries.last().map(|entry| entry.suffix.as_str().to_owned());
            return Ok((entries, last));
        }
        Ok((entries, reached))
    }

    async fn prune(&self, entry: &Entry) -> Result<(), StoreError> {
        let id = entry.suffix.id();
        let record = if entry.index == entry.shard.log() {
            entry.shard.record(id)
        } else {
            entry.shard.letter(id)
        };
        let mut script = PRUNE.key([&entry.index, &record].as_slice());
        script.arg(entry.suffix.as_str()).arg(entry.shard.as_str());
        self.connection.run("list", &script).await
    }
}

/// What reading an entry's record came to.
pub(crate) enum Found<T> {
    Match(T),
    /// There, and cannot be read: by its terms it is what was asked for.
    Damaged(StoreError),
    /// There, but not what was asked for: two values may share a term.
    Other,
    /// Expired; its entry can go.
    Gone,
}

impl Query {
    /// Exclusive. `until` has more digits than we sort by: what it shares its microsecond with is looked at, and sorted out later.
    fn upper_bound(&self, after: Option<&Suffix>) -> String {
        let microsecond = jiff::SignedDuration::from_micros(1);
        let until = self
            .until
            .map(|until| sortable(until.checked_add(microsecond).unwrap_or(until)));
        let after = after.map(|suffix| suffix.as_str().to_owned());
        // `:` sorts after every digit.
        [until, after]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| ":".into())
    }
}

fn page_of<T>(
    entries: Vec<(Suffix, Result<T, StoreError>)>,
    next: Option<Cursor>,
) -> Result<Page<T>, StoreError> {
    let mut page = Page::new(Vec::with_capacity(entries.len()), next);
    for (_, read) in entries {
        page.take_in(read)?;
    }
    Ok(page)
}
