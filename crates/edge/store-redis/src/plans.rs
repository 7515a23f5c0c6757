//! Replay plans.
//!
//! Plans are few and run by one worker each: all of them share a slot, entries included. What a step changes is one script.

use crate::{
    RedisStore,
    claims::{micros, millis},
    dead_letters::{BACKSTOP, READ_LETTER, StoredLetter, letter_command, letter_of, read_disposed},
    error::{corrupt, unreadable},
    key::{Shard, Suffix},
    script::{ADVANCE_PLAN, CHANGE_PLAN, CREATE_PLAN, LEASE_PLAN, MARK_REPLAYED, STANDINGS},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::try_join, stream};
use redis::ScriptInvocation;
use ringback_delivery::port::{
    Advance, AdvanceAnswer, Cursor, DamagedRecord, DisposeAnswer, FencingToken, LetterRead, Page,
    PlanLease, PlanStore, StoreError, WriteAnswer,
};
use ringback_domain::{
    AttemptNumber, DeliveryId, Disposal, Generation, PlanId, ProjectName, Replayed, WorkerId,
    limits,
    replay_plan::{DeliveryStanding, PlanChunk, PlanEntry, PlanStatus, ReplayPlan, Stage},
};
use ringback_wire::{record, replay_plan as wire};
use std::time::Duration;

const WHAT: &str = "replay plan";
const LIST: &str = "plans";

/// Steps of one script, during which the server does nothing else, or commands of one message.
const TOGETHER_MAX: usize = 64;

/// Scripts and messages under way at once: the connection sends them as they come, without waiting for answers. What goes later waits behind
/// all that others have asked for meanwhile, so a batch of a plan goes whole.
const AT_ONCE: usize = 512;

#[async_trait]
impl PlanStore for RedisStore {
    async fn put_plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
        entries: &[PlanEntry],
    ) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command
            .arg(self.keys.plan_entries(plan.as_str(), number))
            .arg(wire::encode_entries(entries))
            .arg("NX")
            .arg("PX")
            .arg(self.plan_ms());
        let _: Option<String> = self
            .connection
            .send("store entries of a plan", &command)
            .await?;
        Ok(())
    }

    async fn plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
    ) -> Result<Option<PlanChunk>, StoreError> {
        const STEP: &str = "read entries of a plan";
        let mut entries = redis::cmd("GET");
        entries.arg(self.keys.plan_entries(plan.as_str(), number));
        let mut marks = redis::cmd("HGET");
        marks.arg(self.keys.plan_marks(plan.as_str())).arg(number);
        let (entries, marks): (Option<Bytes>, Option<String>) = try_join(
            self.connection.send(STEP, &entries),
            self.connection.send(STEP, &marks),
        )
        .await?;
        let Some(entries) = entries else {
            return Ok(None);
        };
        let read = || {
            let entries = wire::decode_entries(&entries)?;
            let marks = wire::decode_marks(marks.as_deref().unwrap_or(""), entries.len())?;
            Ok(Some(PlanChunk { entries, marks }))
        };
        read().map_err(|why| corrupt("chunk of replay plan", plan, &why))
    }

    async fn create_plan(&self, plan: &ReplayPlan) -> Result<WriteAnswer, StoreError> {
        let id = plan.id().as_str();
        let keys = [
            self.keys.plan(id),
            self.keys.plan_list(),
            self.keys.active_plans(),
        ];
        let mut script = CREATE_PLAN.key(keys.as_slice());
        script
            .arg(Suffix::new(plan.terms.planned_at, id).as_str())
            .arg(self.keys.plan(""))
            .arg(wire::encode_terms(&plan.terms));
        status_args(&mut script, &plan.status);
        script
            .arg(wire::encode_progress(&plan.progress))
            .arg(self.plan_ms());
        let answer: String = self.connection.run("store a plan", &script).await?;
        Ok(written(&answer))
    }

    async fn change_plan(
        &self,
        id: &PlanId,
        status: &PlanStatus,
    ) -> Result<WriteAnswer, StoreError> {
        let keys = [self.keys.plan(id.as_str()), self.keys.active_plans()];
        let mut script = CHANGE_PLAN.key(keys.as_slice());
        script.arg(id.as_str()).arg(self.plan_ms());
        status_args(&mut script, status);
        let answer: String = self.connection.run("change a plan", &script).await?;
        Ok(written(&answer))
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<ReplayPlan>, StoreError> {
        let mut command = redis::cmd("HMGET");
        command
            .arg(self.keys.plan(id.as_str()))
            .arg(&["terms", "status", "progress"]);
        let parts: (Option<Bytes>, Option<Bytes>, Option<Bytes>) =
            self.connection.send("read a plan", &command).await?;
        let (Some(terms), Some(status), Some(progress)) = parts else {
            return Ok(None);
        };
        read(id, &terms, &status, &progress).map(Some)
    }

    async fn plans(
        &self,
        project: Option<&ProjectName>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<ReplayPlan>, StoreError> {
        let limit = limit.clamp(1, limits::PAGE_ENTRIES_MAX);
        let after = after
            .map(|cursor| Suffix::of_cursor(cursor, LIST))
            .transpose()?;
        let mut to = after.map_or_else(|| "+".to_owned(), |after| format!("({}", after.as_str()));
        let mut found: Vec<(Suffix, Result<ReplayPlan, StoreError>)> = Vec::new();
        while found.len() <= limit {
            let listed = self.newest_plans(&to, limit + 1).await?;
            let Some(last) = listed.last() else {
                break;
            };
            to = format!("({}", last.as_str());
            let is_last = listed.len() <= limit;
            let reads = listed.into_iter().map(async |suffix| {
                let read = match suffix.id().parse() {
                    Ok(id) => self.plan(&id).await,
                    Err(_) => Err(not_listed(suffix.id())),
                };
                (suffix, read)
            });
            let read: Vec<_> = stream::iter(reads).buffered(32).collect().await;
            let is_asked_for = |read: &Result<ReplayPlan, StoreError>| match (read, project) {
                (Ok(plan), Some(project)) => plan.terms.project.as_ref() == Some(project),
                // Whose it is nobody can tell, and no project is told of another's.
                (Err(StoreError::Corrupt { .. }), Some(_)) => false,
                (Ok(_), None) | (Err(_), _) => true,
            };
            // One that is gone has only its place in the list left.
            let there = read
                .into_iter()
                .filter_map(|(suffix, read)| Some((suffix, read.transpose()?)));
            found.extend(there.filter(|(_, read)| is_asked_for(read)));
            if is_last {
                break;
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next = last.map(|(suffix, _)| suffix.to_cursor(LIST));
        let mut page = Page::new(Vec::with_capacity(found.len()), next);
        for (_, read) in found {
            page.take_in(read)?;
        }
        Ok(page)
    }

    async fn active_plans(&self) -> Result<Vec<PlanId>, StoreError> {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.keys.active_plans());
        let ids: Vec<String> = self.connection.send("list active plans", &command).await?;
        ids.iter()
            .map(|id| id.parse().map_err(|_| not_listed(id)))
            .collect()
    }

    async fn lease_plan(
        &self,
        id: &PlanId,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<PlanLease, StoreError> {
        let keys = [self.keys.plan(id.as_str()), self.keys.active_plans()];
        let mut script = LEASE_PLAN.key(keys.as_slice());
        script
            .arg(id.as_str())
            .arg(worker.as_str())
            .arg(micros(lease));
        let answer: Vec<Bytes> = self.connection.run("lease a plan", &script).await?;
        match answer.as_slice() {
            [word] if word == "idle" => Ok(PlanLease::Idle),
            [word, remaining] if word == "held" => Ok(PlanLease::Held {
                remaining: Duration::from_micros(number(id, remaining)?),
            }),
            [word, token, terms, status, progress] if word == "granted" => Ok(PlanLease::Granted {
                token: FencingToken(number(id, token)?),
                plan: Box::new(read(id, terms, status, progress)?),
            }),
            _ => Err(unreadable(
                WHAT,
                id,
                "is not leased in any known way".into(),
            )),
        }
    }

    async fn advance_plan(&self, step: Advance<'_>) -> Result<AdvanceAnswer, StoreError> {
        let id = step.plan.as_str();
        let keys = [
            self.keys.plan(id),
            self.keys.active_plans(),
            self.keys.plan_marks(id),
        ];
        let mut script = ADVANCE_PLAN.key(keys.as_slice());
        script
            .arg(id)
            .arg(self.plan_ms())
            .arg(step.token.0)
            .arg(micros(step.lease))
            .arg(wire::encode_progress(step.progress))
            .arg(u8::from(step.progress.counts.outstanding() > 0))
            .arg(step.marks.len());
        for (number, marks) in step.marks {
            script.arg(number).arg(wire::encode_marks(marks));
        }
        if let Some(status) = step.status {
            status_args(&mut script, status);
        }
        let answer: Vec<Bytes> = self.connection.run("advance a plan", &script).await?;
        match answer.as_slice() {
            [_, status] => {
                let status = wire::decode_status(status);
                let status = status.map_err(|why| corrupt(WHAT, step.plan, &why))?;
                Ok(AdvanceAnswer::Advanced(status))
            }
            _ => Ok(AdvanceAnswer::Stale),
        }
    }

    async fn standings(
        &self,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<DeliveryStanding>>, StoreError> {
        let homes = deliveries.iter().map(|id| self.keys.shard_of(id.as_str()));
        let reads = self.shares(homes).into_iter();
        let reads = reads.map(|share| self.standings_of(deliveries, share));
        in_place(deliveries.len(), reads.collect()).await
    }

    async fn letters_of(&self, entries: &[PlanEntry]) -> Result<Vec<LetterRead>, StoreError> {
        let homes = entries.iter().map(|entry| self.home_of_entry(entry));
        let reads = self.shares(homes).into_iter();
        let reads = reads.map(|share| self.read_share(entries, share));
        let read = in_place(entries.len(), reads.collect()).await?;
        let read = read.into_iter();
        Ok(read.map(|letter| letter.unwrap_or(Ok(None))).collect())
    }

    async fn mark_replayed(
        &self,
        replayed: &[(PlanEntry, Replayed)],
    ) -> Result<Vec<DisposeAnswer>, StoreError> {
        let homes = replayed.iter().map(|(entry, _)| self.home_of_entry(entry));
        let marks = self.shares(homes).into_iter();
        let marks = marks.map(|share| self.mark_share(replayed, share));
        let answers = in_place(replayed.len(), marks.collect()).await?;
        let answers = answers.into_iter();
        Ok(answers
            .map(|answer| answer.unwrap_or(DisposeAnswer::NotFound))
            .collect())
    }
}

impl RedisStore {
    /// As long as dead letters.
    fn plan_ms(&self) -> u64 {
        millis(self.settings.dead_letter_retention + BACKSTOP)
    }

    /// What is to be done several to a script, by its places: in a cluster what lies in one shard, else any.
    fn shares(&self, homes: impl Iterator<Item = Shard>) -> Vec<Vec<(usize, Shard)>> {
        let mut homes: Vec<_> = homes.enumerate().collect();
        homes.sort_by_key(|(_, shard)| shard.number());
        let is_cluster = self.connection.is_cluster();
        homes
            .chunk_by(|(_, a), (_, b)| !is_cluster || a == b)
            .flat_map(|share| share.chunks(TOGETHER_MAX))
            .map(<[_]>::to_vec)
            .collect()
    }

    async fn standings_of(
        &self,
        deliveries: &[DeliveryId],
        share: Vec<(usize, Shard)>,
    ) -> Result<Vec<(usize, Option<DeliveryStanding>)>, StoreError> {
        let claim = |(at, shard): &(usize, Shard)| shard.claim(deliveries[*at].as_str());
        let keys: Vec<_> = share.iter().map(claim).collect();
        let script = STANDINGS.key(keys.as_slice());
        let answers: Vec<String> = self.connection.run("read claims", &script).await?;
        let standings = answers.iter().map(|answer| standing_of(answer));
        Ok(share.iter().map(|(at, _)| *at).zip(standings).collect())
    }

    async fn newest_plans(&self, to: &str, limit: usize) -> Result<Vec<Suffix>, StoreError> {
        let mut command = redis::cmd("ZREVRANGEBYLEX");
        command
            .arg(self.keys.plan_list())
            .arg(to)
            .arg("-")
            .arg("LIMIT")
            .arg(0)
            .arg(limit);
        let listed: Vec<String> = self.connection.send("list plans", &command).await?;
        let read = listed
            .into_iter()
            .map(|text| Suffix::read(text.clone()).ok_or_else(|| not_listed(&text)));
        read.collect()
    }

    /// An entry tells the shard of its dead letter.
    fn home_of_entry(&self, entry: &PlanEntry) -> Shard {
        let delivery = entry.delivery.as_ref();
        let home = delivery.map_or(entry.dead_letter.as_str(), |of| of.id.as_str());
        self.keys.shard_of(home)
    }

    /// Together, but not as one step: each is read when its turn comes.
    async fn read_share(
        &self,
        entries: &[PlanEntry],
        share: Vec<(usize, Shard)>,
    ) -> Result<Vec<(usize, Option<LetterRead>)>, StoreError> {
        let mut commands = redis::Pipeline::with_capacity(share.len());
        for (at, shard) in &share {
            let id = entries[*at].dead_letter.as_str();
            commands.add_command(letter_command(shard, id));
        }
        let connection = &self.connection;
        let stored: Vec<StoredLetter> = connection.send_all(READ_LETTER, &commands).await?;
        let letters = share.iter().zip(stored).map(|((at, _), stored)| {
            let letter = letter_of(entries[*at].dead_letter.as_str(), stored);
            Ok((*at, Some(DamagedRecord::apart(letter)?)))
        });
        letters.collect()
    }

    async fn mark_share(
        &self,
        replayed: &[(PlanEntry, Replayed)],
        share: Vec<(usize, Shard)>,
    ) -> Result<Vec<(usize, Option<DisposeAnswer>)>, StoreError> {
        let mut script = MARK_REPLAYED.prepare_invoke();
        for (at, shard) in &share {
            let (entry, replayed) = &replayed[*at];
            let disposal = Disposal::Replayed(replayed.clone());
            script
                .key(shard.letter(entry.dead_letter.as_str()))
                .arg(shard.as_str())
                .arg(record::encode_disposal(&disposal));
        }
        let answers: Vec<Vec<Bytes>> = self.connection.run("mark as replayed", &script).await?;
        let answers = share.iter().zip(answers).map(|((at, _), answer)| {
            let answer = read_disposed(&replayed[*at].0.dead_letter, &answer)?;
            Ok((*at, answer))
        });
        answers.collect()
    }
}

/// Runs what was shared out, and puts the answers in their places.
async fn in_place<T>(
    count: usize,
    runs: Vec<impl Future<Output = Result<Vec<(usize, Option<T>)>, StoreError>>>,
) -> Result<Vec<Option<T>>, StoreError> {
    let mut answers: Vec<_> = std::iter::repeat_with(|| None).take(count).collect();
    let mut runs = stream::iter(runs).buffered(AT_ONCE);
    while let Some(found) = runs.try_next().await? {
        for (at, answer) in found {
            answers[at] = answer;
        }
    }
    Ok(answers)
}

/// What the claim tells; nothing when there is none.
fn standing_of(answer: &str) -> Option<DeliveryStanding> {
    let mut words = answer.split(' ');
    let (word, generation, attempt) = (words.next()?, words.next()?, words.next()?);
    let attempt: u16 = attempt.parse().ok()?;
    let stage = match word {
        "delivered" => Stage::Delivered,
        "dead" => Stage::DeadLettered,
        "settled" => Stage::Retrying,
        _ if attempt > AttemptNumber::FIRST.get() => Stage::Retrying,
        _ => Stage::FirstAttempt,
    };
    let generation = Generation::new(generation.parse().ok()?);
    Some(DeliveryStanding { generation, stage })
}

/// What `keep_status` needs, in its order.
fn status_args(script: &mut ScriptInvocation<'_>, status: &PlanStatus) {
    script
        .arg(wire::encode_status(status))
        .arg(status.revision)
        .arg(u8::from(status.state.is_active(false)))
        .arg(u8::from(status.state.is_active(true)));
}

fn written(answer: &str) -> WriteAnswer {
    match answer {
        "written" => WriteAnswer::Written,
        _ => WriteAnswer::Conflict,
    }
}

fn read(
    id: &PlanId,
    terms: &[u8],
    status: &[u8],
    progress: &[u8],
) -> Result<ReplayPlan, StoreError> {
    let read = || {
        Ok(ReplayPlan {
            terms: wire::decode_terms(terms)?,
            status: wire::decode_status(status)?,
            progress: wire::decode_progress(progress)?,
        })
    };
    read().map_err(|why| corrupt(WHAT, id, &why))
}

fn number(id: &PlanId, bytes: &[u8]) -> Result<u64, StoreError> {
    let text = std::str::from_utf8(bytes).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| unreadable(WHAT, id, "is leased by no number".into()))
}

fn not_listed(text: &str) -> StoreError {
    unreadable("list of replay plans", &text, "is no moment and id".into())
}
