//! Dead letters.

use crate::{
    RedisStore,
    claims::{micros, millis},
    error::{STORE, corrupt, unreadable},
    groups::group_args,
    key::{Shard, Suffix, term},
    list::{Entry, Found, Query},
    script::{COUNT, DISPOSE, PUT_LETTER},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Cmd, ScriptInvocation};
use ringback_delivery::port::{
    Cursor, DeadLetterFilter, DeadLetterMark, DeadLetterStore, DisposeAnswer, Page, StoreError,
};
use ringback_domain::{DeadLetter, DeadLetterId, Disposal, ProjectName};
use ringback_wire::record;
use std::time::Duration;

/// How much longer than its retention a record may stay when nobody comes by to remove it.
pub(crate) const BACKSTOP: Duration = Duration::from_hours(24);

#[async_trait]
impl DeadLetterStore for RedisStore {
    async fn put_dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), StoreError> {
        let shard = self.home_of(dead_letter);
        let mut script = PUT_LETTER.key(letter_keys(&shard, dead_letter).as_slice());
        script.arg(shard.as_str());
        letter_args(
            &mut script,
            dead_letter,
            self.settings.dead_letter_retention,
        )?;
        let _: String = self.connection.run("store a dead letter", &script).await?;
        self.wait_for_disk(&shard).await
    }

    async fn dead_letter(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
        let reads = self
            .keys
            .shards()
            .map(|shard| async move { self.read_letter(&shard, id.as_str()).await });
        Ok(try_join_all(reads).await?.into_iter().flatten().next())
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let none = filter.any_of.as_ref().is_some_and(Vec::is_empty);
        if none {
            return Ok(Page::new(Vec::new(), None));
        }
        let query = self.query(filter);
        let fetch = |entry: Entry| async move {
            Ok(
                match self.read_letter(&entry.shard, entry.suffix.id()).await? {
                    None => Found::Gone,
                    Some(dead_letter) if filter.wants(&dead_letter) => Found::Match(dead_letter),
                    Some(_) => Found::Other,
                },
            )
        };
        self.page(&query, after, limit, fetch).await
    }

    async fn dead_letter_count(&self, project: Option<&ProjectName>) -> Result<u64, StoreError> {
        let term = project.map_or_else(|| "a".to_owned(), |project| term('p', project.as_str()));
        let counts = self.keys.shards().map(|shard| {
            let mut script = COUNT.key(shard.open());
            script
                .arg(&term)
                .arg(micros(self.settings.dead_letter_retention));
            async move { self.connection.run::<u64>("count", &script).await }
        });
        Ok(try_join_all(counts).await?.into_iter().sum())
    }

    async fn dispose(
        &self,
        id: &DeadLetterId,
        disposal: &Disposal,
        again: bool,
    ) -> Result<DisposeAnswer, StoreError> {
        // Whoever joins a group again may be its first, and brings what it needs.
        let reopened = match disposal {
            Disposal::Open => self.dead_letter(id).await?,
            Disposal::Replayed(_) | Disposal::Discarded { .. } => None,
        };
        let disposal = record::encode_disposal(disposal);
        let attempts = self.keys.shards().map(|shard| {
            let mut script =
                DISPOSE.key([shard.letter(id.as_str()), shard.open(), shard.disposed()].as_slice());
            script
                .arg(&disposal)
                .arg(u8::from(again))
                .arg(shard.as_str());
            if let Some(dead_letter) = &reopened {
                group_args(&mut script, dead_letter);
            }
            async move { self.connection.run::<Vec<Bytes>>("dispose", &script).await }
        });
        for answer in try_join_all(attempts).await? {
            if let Some(answer) = read_disposed(id, &answer)? {
                return Ok(answer);
            }
        }
        Ok(DisposeAnswer::NotFound)
    }
}

impl RedisStore {
    /// With its delivery, so that giving up is one step; what has none lies by its own id.
    ///
    /// An id therefore does not tell the shard: whoever has only the id asks all of them at once.
    fn home_of(&self, dead_letter: &DeadLetter) -> Shard {
        let id = match dead_letter.delivery() {
            Some(delivery) => delivery.id.as_str(),
            None => dead_letter.id.as_str(),
        };
        self.keys.shard_of(id)
    }

    pub(crate) async fn read_letter(
        &self,
        shard: &Shard,
        id: &str,
    ) -> Result<Option<DeadLetter>, StoreError> {
        let command = letter_command(shard, id);
        let stored = self.connection.send(READ_LETTER, &command).await?;
        letter_of(id, stored)
    }

    fn query(&self, filter: &DeadLetterFilter) -> Query {
        let mut indexes: Vec<_> = self
            .keys
            .shards()
            .map(|shard| (shard.clone(), shard.open()))
            .collect();
        if filter.include_disposed {
            indexes.extend(
                self.keys
                    .shards()
                    .map(|shard| (shard.clone(), shard.disposed())),
            );
        }
        let terms = [
            filter
                .project
                .as_ref()
                .map(|project| term('p', project.as_str())),
            filter
                .destination
                .as_ref()
                .map(|destination| term('d', destination.as_str())),
            filter
                .event_type
                .as_ref()
                .map(|event_type| term('t', event_type.as_str())),
            filter.job.as_ref().map(|job| term('j', job.as_str())),
            filter.cause.as_ref().map(|cause| term('c', cause)),
            filter.reason.map(|reason| term('r', reason.class())),
        ];
        Query {
            list: "dead",
            indexes,
            terms: terms.into_iter().flatten().collect(),
            any_of: filter.any_of.iter().flatten().map(term_of).collect(),
            since: filter.since,
            until: filter.until,
            age_max: Some(self.settings.dead_letter_retention),
        }
    }
}

pub(crate) const READ_LETTER: &str = "read a dead letter";

/// The command that reads one, as [`letter_of`] takes it.
pub(crate) fn letter_command(shard: &Shard, id: &str) -> Cmd {
    let mut command = redis::cmd("HMGET");
    command.arg(shard.letter(id)).arg(&["record", "disposal"]);
    command
}

/// A record and its disposal.
pub(crate) type StoredLetter = (Option<Bytes>, Option<Bytes>);

/// The dead letter that is stored; nothing where none is.
pub(crate) fn letter_of(id: &str, stored: StoredLetter) -> Result<Option<DeadLetter>, StoreError> {
    let (Some(stored), Some(disposal)) = stored else {
        return Ok(None);
    };
    let read = || {
        let mut dead_letter = record::decode_dead_letter(&stored)?;
        dead_letter.disposal = record::decode_disposal(&disposal)?;
        Ok(dead_letter)
    };
    let dead_letter = read().map_err(|why| corrupt("dead letter", &id, &why))?;
    if dead_letter.id.as_str() == id {
        Ok(Some(dead_letter))
    } else {
        Err(unreadable(
            "dead letter",
            &id,
            "it holds another one".into(),
        ))
    }
}

/// What came of disposing of one; nothing where it is not.
pub(crate) fn read_disposed(
    id: &DeadLetterId,
    answer: &[Bytes],
) -> Result<Option<DisposeAnswer>, StoreError> {
    Ok(match answer {
        [word] if word == "disposed" => Some(DisposeAnswer::Disposed),
        [word, earlier] if word == "already" => {
            let earlier = record::decode_disposal(earlier);
            let earlier = earlier.map_err(|why| corrupt("disposal", id, &why))?;
            Some(DisposeAnswer::Already(earlier))
        }
        _ => None,
    })
}

/// What a dead letter is written to.
pub(crate) fn letter_keys(shard: &Shard, dead_letter: &DeadLetter) -> [String; 3] {
    let letter = shard.letter(dead_letter.id.as_str());
    [letter, shard.open(), shard.disposed()]
}

/// What `letter_of` reads, in its order.
pub(crate) fn letter_args(
    script: &mut ScriptInvocation<'_>,
    dead_letter: &DeadLetter,
    retention: Duration,
) -> Result<(), StoreError> {
    let record = record::encode_dead_letter(dead_letter).map_err(|why| StoreError::Refused {
        store: STORE,
        step: "store a dead letter",
        why: why.to_string(),
    })?;
    script
        .arg(Suffix::new(dead_letter.died_at, dead_letter.id.as_str()).as_str())
        .arg(terms(dead_letter).join(" "))
        .arg(record.as_ref())
        .arg(record::encode_disposal(&dead_letter.disposal))
        .arg(micros(retention))
        .arg(millis(retention + BACKSTOP));
    group_args(script, dead_letter);
    Ok(())
}

fn term_of(mark: &DeadLetterMark) -> String {
    match mark {
        DeadLetterMark::Cause(cause) => term('c', cause),
        DeadLetterMark::Event(event) => term('e', event.as_str()),
        DeadLetterMark::Job(job) => term('j', job.as_str()),
    }
}

fn terms(dead_letter: &DeadLetter) -> Vec<String> {
    let destination = dead_letter
        .delivery()
        .map(|delivery| delivery.destination.id());
    let optional = [
        dead_letter
            .project
            .as_ref()
            .map(|project| term('p', project.as_str())),
        destination.map(|destination| term('d', destination.as_str())),
        dead_letter
            .event_type()
            .map(|event_type| term('t', event_type.as_str())),
    ];
    let always = [
        term('c', &dead_letter.cause.fingerprint),
        term('r', dead_letter.reason.class()),
    ];
    // Notes, which come after the terms: by these it is found in the index of all.
    let notes = [
        dead_letter.event().map(|event| term('E', event.as_str())),
        dead_letter.job().map(|job| term('J', job.as_str())),
    ];
    let terms = optional.into_iter().flatten().chain(always);
    terms.chain(notes.into_iter().flatten()).collect()
}
