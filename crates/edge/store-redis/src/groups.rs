//! Groups of dead letters: each shard counts its own, and lists add them up.

use crate::{
    RedisStore,
    claims::{micros, millis},
    dead_letters::BACKSTOP,
    error::{corrupt, unreadable},
    key::{Shard, Suffix, term},
    script::{ACKNOWLEDGE, CHECK_GROUPS, LIST_GROUPS, RECOUNT, REGROUP, UNGROUPED},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::ScriptInvocation;
use ringback_delivery::port::{GroupFilter, GroupList, GroupStore, StoreError};
use ringback_domain::{
    Acknowledgement, DeadLetter, DeadLetterGroup, DeadLetterId, GroupHead, ProjectName, limits,
};
use ringback_wire::group;
use std::collections::{HashMap, hash_map::Entry};

const WHAT: &str = "dead letter group";
/// Where a shard counts what has no room in a group of its own.
const REST: &str = "-";
/// Entries one call looks at that searches for those without a group.
const LOOKED_AT_MAX: u64 = 1_000;

/// Project, empty for none; fingerprint.
type Name = (String, String);

/// A group as the shards have it, its head not yet read.
struct Counted {
    open_count: u64,
    first: Suffix,
    last: Suffix,
    head: Bytes,
}

#[async_trait]
impl GroupStore for RedisStore {
    async fn dead_letter_groups(
        &self,
        filter: &GroupFilter,
        limit: usize,
    ) -> Result<GroupList, StoreError> {
        let (mut acknowledged, (counted, ungrouped_count)) =
            tokio::try_join!(self.acknowledgements(), self.count_groups(filter))?;
        let mut groups = Vec::with_capacity(counted.len());
        for ((project, fingerprint), counted) in counted {
            let name = joined(&project, &fingerprint);
            let known = acknowledged
                .remove(&name)
                .map(|record| group::decode_acknowledgement(&record))
                .transpose()
                .map_err(|why| corrupt("acknowledgement", &name, &why))?;
            let group = counted.into_group()?.acknowledged(known);
            if filter.wants(&group) {
                groups.push(group);
            }
        }
        if filter.project.is_none() && filter.cause.is_none() {
            for (name, record) in acknowledged {
                self.forget_acknowledgement(&name, &record).await?;
            }
        }
        let limit = limit.min(limits::PAGE_ENTRIES_MAX);
        GroupList::of(groups, filter, limit, ungrouped_count)
    }

    async fn acknowledge_group(
        &self,
        project: Option<&ProjectName>,
        fingerprint: &str,
        acknowledgement: &Acknowledgement,
    ) -> Result<Option<DeadLetterGroup>, StoreError> {
        let filter = GroupFilter {
            project: project.cloned(),
            cause: Some(fingerprint.to_owned()),
            ..GroupFilter::default()
        };
        let found = self
            .dead_letter_groups(&filter, limits::PAGE_ENTRIES_MAX)
            .await?
            .groups
            .into_iter()
            .find(|group| group.head.project.as_ref() == project);
        let Some(found) = found else {
            return Ok(None);
        };
        let acknowledgement = Acknowledgement {
            seen_until: found.last_died_at,
            ..acknowledgement.clone()
        };
        let mut script = ACKNOWLEDGE.key(self.keys.acknowledged());
        script
            .arg(joined(project.map_or("", ProjectName::as_str), fingerprint))
            .arg(group::encode_acknowledgement(&acknowledgement))
            .arg("")
            .arg(millis(self.settings.dead_letter_retention + BACKSTOP));
        let _: String = self.connection.run("acknowledge a group", &script).await?;
        Ok(Some(found.acknowledged(Some(acknowledgement))))
    }

    async fn regroup(&self, limit: usize) -> Result<u64, StoreError> {
        let mut left = limit as u64;
        for shard in self.keys.shards() {
            let mut script = CHECK_GROUPS.key(shard.open());
            script.arg(shard.as_str());
            let (open, grouped): (u64, u64) = self.connection.run("regroup", &script).await?;
            if open > grouped {
                left -= self.regroup_shard(&shard, left).await?;
            } else if open < grouped {
                self.recount_shard(&shard).await?;
            }
            if left == 0 {
                break;
            }
        }
        Ok(limit as u64 - left)
    }
}

impl RedisStore {
    /// At most so many, or those of one look.
    async fn regroup_shard(&self, shard: &Shard, limit: u64) -> Result<u64, StoreError> {
        let mut done = 0;
        let mut from = String::new();
        while done < limit {
            let mut script = UNGROUPED.key(shard.open());
            script.arg(&from).arg(LOOKED_AT_MAX.min(limit - done));
            let (found, reached): (Vec<String>, String) =
                self.connection.run("regroup", &script).await?;
            let found = found.into_iter().filter_map(Suffix::read);
            let moves = found.map(|suffix| self.regroup_one(shard, suffix));
            done += try_join_all(moves).await?.into_iter().sum::<u64>();
            if reached.is_empty() {
                break;
            }
            from = reached;
        }
        Ok(done)
    }

    async fn recount_shard(&self, shard: &Shard) -> Result<(), StoreError> {
        let (counted, _) = self.count_groups(&GroupFilter::default()).await?;
        for (project, fingerprint) in counted.keys() {
            let mut script = RECOUNT.key(shard.open());
            script
                .arg(shard.as_str())
                .arg(project)
                .arg(fingerprint)
                .arg(term('c', fingerprint));
            let _: u64 = self.connection.run("regroup", &script).await?;
        }
        Ok(())
    }

    async fn regroup_one(&self, shard: &Shard, suffix: Suffix) -> Result<u64, StoreError> {
        // What cannot be read shows wherever it is listed.
        let Ok(Some(dead_letter)) = self.read_letter(shard, suffix.id()).await else {
            return Ok(0);
        };
        let mut script = REGROUP.key([shard.letter(suffix.id()), shard.open()].as_slice());
        script.arg(shard.as_str()).arg(suffix.as_str());
        group_args(&mut script, &dead_letter);
        self.connection.run("regroup", &script).await
    }

    /// What all shards count, added up; and how many open dead letters are in no group.
    async fn count_groups(
        &self,
        filter: &GroupFilter,
    ) -> Result<(HashMap<Name, Counted>, u64), StoreError> {
        let project = filter.project.as_ref().map(ProjectName::as_str);
        let term = project.map_or_else(|| "a".to_owned(), |project| term('p', project));
        let asked = self.keys.shards().map(|shard| {
            let mut script = LIST_GROUPS.key(shard.open());
            script
                .arg(shard.as_str())
                .arg(u8::from(project.is_some()))
                .arg(project.unwrap_or_default())
                .arg(&term)
                .arg(micros(self.settings.dead_letter_retention))
                .arg(filter.cause.as_deref().unwrap_or_default());
            async move {
                self.connection
                    .run::<(u64, Vec<(String, String, Bytes)>)>("list groups", &script)
                    .await
            }
        });
        let mut groups = HashMap::new();
        let (mut open, mut grouped) = (0, 0);
        for (open_in_shard, answer) in try_join_all(asked).await? {
            open += open_in_shard;
            for (project, fingerprint, packed) in answer {
                if fingerprint == REST {
                    continue;
                }
                let counted = Counted::read(&packed).ok_or_else(|| {
                    unreadable(WHAT, &fingerprint, "it is cut or of another form".into())
                })?;
                grouped += counted.open_count;
                match groups.entry((project, fingerprint)) {
                    Entry::Vacant(place) => {
                        place.insert(counted);
                    }
                    Entry::Occupied(mut place) => place.get_mut().add(counted),
                }
            }
        }
        let ungrouped = match filter.cause {
            Some(_) => 0,
            None => open.saturating_sub(grouped),
        };
        Ok((groups, ungrouped))
    }

    async fn acknowledgements(&self) -> Result<HashMap<String, Bytes>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.acknowledged());
        self.connection
            .send("read acknowledgements", &command)
            .await
    }

    /// Forgets one whose group is gone, unless somebody has acknowledged it anew.
    async fn forget_acknowledgement(&self, name: &str, read: &Bytes) -> Result<(), StoreError> {
        let mut script = ACKNOWLEDGE.key(self.keys.acknowledged());
        script.arg(name).arg("").arg(read.as_ref()).arg(0);
        self.connection.run("acknowledge a group", &script).await
    }
}

impl Counted {
    /// `<open> <oldest> <newest> <head>`, as `groups.lua` packs it.
    fn read(packed: &Bytes) -> Option<Self> {
        let mut parts = packed.splitn(4, |byte| *byte == b' ');
        let mut word = || std::str::from_utf8(parts.next()?).ok();
        let open_count = word()?.parse().ok()?;
        let first = Suffix::read(word()?.to_owned())?;
        let last = Suffix::read(word()?.to_owned())?;
        Some(Self {
            open_count,
            first,
            last,
            head: packed.slice_ref(parts.next()?),
        })
    }

    fn add(&mut self, other: Self) {
        self.open_count += other.open_count;
        if other.first < self.first {
            self.first = other.first;
            // Every shard has the head of its own first dead letter.
            self.head = other.head;
        }
        if other.last > self.last {
            self.last = other.last;
        }
    }

    fn into_group(self) -> Result<DeadLetterGroup, StoreError> {
        let id = self.last.id();
        let no_moment = || unreadable(WHAT, &id, "its moments are none".into());
        Ok(DeadLetterGroup {
            head: group::decode_head(&self.head).map_err(|why| corrupt(WHAT, &id, &why))?,
            open_count: self.open_count,
            first_died_at: self.first.moment().ok_or_else(no_moment)?,
            last_died_at: self.last.moment().ok_or_else(no_moment)?,
            sample: id
                .parse::<DeadLetterId>()
                .map_err(|why| unreadable(WHAT, &id, why.to_string()))?,
            acknowledgement: None,
        })
    }
}

/// What the field of an acknowledgement is called; the same as the note of a group in the index.
fn joined(project: &str, fingerprint: &str) -> String {
    format!("{project}/{fingerprint}")
}

/// What `join_group` needs, in its order.
pub(crate) fn group_args(script: &mut ScriptInvocation<'_>, dead_letter: &DeadLetter) {
    let project = dead_letter.project.as_ref().map_or("", ProjectName::as_str);
    script
        .arg(project)
        .arg(&dead_letter.cause.fingerprint)
        .arg(group::encode_head(&GroupHead::of(dead_letter)))
        .arg(limits::GROUPS_PER_PROJECT_MAX);
}
