//! Replay plans.

use super::{EmbeddedStore, corrupt, cursor_to, read_cursor, record::Record};
use crate::{
    bytes_of::{Reader, Writer},
    tables::{DELIVERIES, DELIVERY_NUMBERS, PLAN_CHUNKS, PLAN_MARKS, PLANS, Tables},
};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable};
use ringback_delivery::port::{
    Advance, AdvanceAnswer, Cursor, FencingToken, Page, PlanLease, PlanStore, StoreError,
    WriteAnswer,
};
use ringback_domain::{
    AttemptNumber, DeliveryId, DeliveryState, PlanId, ProjectName, Timestamp, WorkerId,
    replay_plan::{DeliveryStanding, PlanChunk, PlanEntry, PlanStatus, ReplayPlan, Stage},
};
use ringback_wire::{WireError, replay_plan as wire};
use std::time::Duration;

const WHAT: &str = "replay plan";
const CHUNK: &str = "chunk of replay plan";
const LIST: &str = "plans";

/// A plan in the file, its three parts as the wire has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlanRecord {
    is_active: bool,
    planned_at: Timestamp,
    pub(super) updated_at: Timestamp,
    token: u64,
    lease: Option<(WorkerId, Timestamp)>,
    terms: Vec<u8>,
    status: Vec<u8>,
    progress: Vec<u8>,
}

impl PlanRecord {
    fn new(plan: &ReplayPlan, now: Timestamp) -> Self {
        Self {
            is_active: plan.is_active(),
            planned_at: plan.terms.planned_at,
            updated_at: now,
            token: 0,
            lease: None,
            terms: wire::encode_terms(&plan.terms),
            status: wire::encode_status(&plan.status),
            progress: wire::encode_progress(&plan.progress),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u8(u8::from(self.is_active));
        to.moment(self.planned_at);
        to.moment(self.updated_at);
        to.u64(self.token);
        match &self.lease {
            None => to.text(""),
            Some((worker, ends_at)) => {
                to.text(worker.as_str());
                to.moment(*ends_at);
            }
        }
        to.bytes(&self.terms);
        to.bytes(&self.status);
        to.bytes(&self.progress);
        to.0
    }

    /// `None` when it is not what [`PlanRecord::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        Some(Self {
            is_active: from.u8()? == 1,
            planned_at: from.moment()?,
            updated_at: from.moment()?,
            token: from.u64()?,
            lease: match from.text()? {
                "" => None,
                worker => Some((worker.parse().ok()?, from.moment()?)),
            },
            terms: from.bytes()?.to_vec(),
            status: from.bytes()?.to_vec(),
            progress: from.bytes()?.to_vec(),
        })
    }

    fn read(&self, id: &str) -> Result<ReplayPlan, StoreError> {
        let read = || {
            Ok(ReplayPlan {
                terms: wire::decode_terms(&self.terms)?,
                status: wire::decode_status(&self.status)?,
                progress: wire::decode_progress(&self.progress)?,
            })
        };
        read().map_err(|fault: WireError| corrupt(WHAT, id, fault))
    }
}

fn damaged(id: &str) -> StoreError {
    corrupt(WHAT, id, "it is cut or of another form")
}

/// What a change comes to, and what the file says of it.
type Changed<T> = Result<Result<T, StoreError>, redb::Error>;

fn find(tables: &mut Tables<'_>, id: &PlanId) -> Changed<Option<(PlanRecord, ReplayPlan)>> {
    let found = tables.plans()?.get(id.as_str())?;
    let Some(bytes) = found.map(|bytes| bytes.value().to_vec()) else {
        return Ok(Ok(None));
    };
    let Some(record) = PlanRecord::decode(&bytes) else {
        return Ok(Err(damaged(id.as_str())));
    };
    Ok(record.read(id.as_str()).map(|plan| Some((record, plan))))
}

fn keep(tables: &mut Tables<'_>, id: &PlanId, record: &PlanRecord) -> Result<(), redb::Error> {
    tables.plans()?.insert(id.as_str(), &*record.encode())?;
    Ok(())
}

#[async_trait]
impl PlanStore for EmbeddedStore {
    async fn put_plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
        entries: &[PlanEntry],
    ) -> Result<(), StoreError> {
        let (entries, now) = (wire::encode_entries(entries), self.clock.now());
        let plan = plan.clone();
        self.engine
            .write(move |tables| {
                let key = (plan.as_str(), number);
                if tables.plan_lists()?.get(key.0)?.is_none() {
                    tables.plan_lists()?.insert(key.0, now.as_second())?;
                }
                if tables.plan_chunks()?.get(key)?.is_none() {
                    tables.plan_chunks()?.insert(key, &*entries)?;
                }
                Ok(())
            })
            .await
            .map_err(|failure| self.error(failure))
    }

    async fn plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
    ) -> Result<Option<PlanChunk>, StoreError> {
        let key = (plan.as_str(), number);
        let look = |tx: &ReadTransaction| {
            let Some(value) = tx.open_table(PLAN_CHUNKS)?.get(key)? else {
                return Ok(None);
            };
            let marks = tx.open_table(PLAN_MARKS)?.get(key)?;
            let marks = marks.map(|marks| marks.value().to_owned());
            Ok(Some(read_chunk(value.value(), &marks.unwrap_or_default())))
        };
        let found = self.engine.read(look);
        let found = found.map_err(|failure| self.error(failure))?;
        let named = |read: Result<_, WireError>| read.map_err(|fault| corrupt(CHUNK, plan, fault));
        found.map(named).transpose()
    }

    async fn create_plan(&self, plan: &ReplayPlan) -> Result<WriteAnswer, StoreError> {
        let record = PlanRecord::new(plan, self.clock.now());
        let id = plan.id().clone();
        self.engine
            .write(move |tables| {
                if tables.plans()?.get(id.as_str())?.is_some() {
                    return Ok(WriteAnswer::Conflict);
                }
                keep(tables, &id, &record)?;
                Ok(WriteAnswer::Written)
            })
            .await
            .map_err(|failure| self.error(failure))
    }

    async fn change_plan(
        &self,
        id: &PlanId,
        status: &PlanStatus,
    ) -> Result<WriteAnswer, StoreError> {
        let (id, status, now) = (id.clone(), status.clone(), self.clock.now());
        self.engine
            .write(move |tables| change(tables, &id, &status, now))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<ReplayPlan>, StoreError> {
        let id = id.as_str();
        let look = |tx: &ReadTransaction| {
            let found = tx.open_table(PLANS)?.get(id)?;
            Ok(found.map(|bytes| PlanRecord::decode(bytes.value())))
        };
        let found = self.engine.read(look);
        let found = found.map_err(|failure| self.error(failure))?;
        let read = |record: Option<PlanRecord>| match record {
            Some(record) => record.read(id),
            None => Err(damaged(id)),
        };
        found.map(read).transpose()
    }

    async fn plans(
        &self,
        project: Option<&ProjectName>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<ReplayPlan>, StoreError> {
        let after = after.map(read_place).transpose()?;
        let project = project.cloned();
        let found = self
            .engine
            .read_long(move |tx| Ok(list(&all(tx)?, project.as_ref(), after.as_ref(), limit)));
        found.await.map_err(|failure| self.error(failure))?
    }

    async fn active_plans(&self) -> Result<Vec<PlanId>, StoreError> {
        let found = self.engine.read(all);
        let found = found.map_err(|failure| self.error(failure))?;
        let active = found
            .into_iter()
            .filter(|(_, record)| record.as_ref().is_some_and(|record| record.is_active));
        active
            .map(|(id, _)| id.parse().map_err(|_| damaged(&id)))
            .collect()
    }

    async fn lease_plan(
        &self,
        id: &PlanId,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<PlanLease, StoreError> {
        let now = self.clock.now();
        let ends_at = now
            .checked_add(lease)
            .map_err(|_| Self::refused("lease a plan", "the lease never ends"))?;
        let (id, worker, token) = (id.clone(), worker.clone(), self.engine.number());
        self.engine
            .write(move |tables| grant(tables, &id, (worker, ends_at), token, now))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn advance_plan(&self, step: Advance<'_>) -> Result<AdvanceAnswer, StoreError> {
        let now = self.clock.now();
        let step = Step {
            plan: step.plan.clone(),
            token: step.token,
            ends_at: now
                .checked_add(step.lease)
                .map_err(|_| Self::refused("advance a plan", "the lease never ends"))?,
            has_outstanding: step.progress.counts.outstanding() > 0,
            progress: wire::encode_progress(step.progress),
            marks: step
                .marks
                .iter()
                .map(|(number, marks)| (*number, wire::encode_marks(marks)))
                .collect(),
            status: step.status.cloned(),
            now,
        };
        self.engine
            .write(move |tables| step.advance_in(tables))
            .await
            .map_err(|failure| self.error(failure))?
    }

    async fn standings(
        &self,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<DeliveryStanding>>, StoreError> {
        let look = |tx: &ReadTransaction| {
            let (numbers, records) = (tx.open_table(DELIVERY_NUMBERS)?, tx.open_table(DELIVERIES)?);
            let mut found = Vec::with_capacity(deliveries.len());
            for id in deliveries {
                let number = numbers.get(id.as_str())?.map(|number| number.value());
                let record = number.map(|number| records.get(number)).transpose()?;
                let record = record.flatten();
                let record = record.and_then(|bytes| Record::decode(bytes.value()));
                found.push(record.map(|record| standing_of(&record)));
            }
            Ok(found)
        };
        self.engine
            .read(look)
            .map_err(|failure| self.error(failure))
    }
}

fn standing_of(record: &Record) -> DeliveryStanding {
    let stage = match &record.now.state {
        DeliveryState::Delivered { .. } => Stage::Delivered,
        DeliveryState::DeadLettered { .. } => Stage::DeadLettered,
        DeliveryState::Attempting if record.now.at.attempt <= Some(AttemptNumber::FIRST) => {
            Stage::FirstAttempt
        }
        DeliveryState::Attempting | DeliveryState::Waiting { .. } => Stage::Retrying,
    };
    DeliveryStanding {
        generation: record.now.at.generation,
        stage,
    }
}

fn read_chunk(entries: &[u8], marks: &str) -> Result<PlanChunk, WireError> {
    let entries = wire::decode_entries(entries)?;
    let marks = wire::decode_marks(marks, entries.len())?;
    Ok(PlanChunk { entries, marks })
}

/// Forgets the entries of a plan, at most so many chunks; how many there were.
pub(super) fn forget_entries(
    tables: &mut Tables<'_>,
    plan: &str,
    most: usize,
) -> Result<usize, redb::Error> {
    let mut numbers = Vec::new();
    let chunks = tables.plan_chunks()?;
    for entry in chunks.range((plan, 0)..=(plan, u32::MAX))?.take(most) {
        numbers.push(entry?.0.value().1);
    }
    for number in &numbers {
        tables.plan_chunks()?.remove((plan, *number))?;
        tables.plan_marks()?.remove((plan, *number))?;
    }
    if numbers.len() < most {
        tables.plan_lists()?.remove(plan)?;
    }
    Ok(numbers.len())
}

fn change(
    tables: &mut Tables<'_>,
    id: &PlanId,
    status: &PlanStatus,
    now: Timestamp,
) -> Changed<WriteAnswer> {
    let (mut record, plan) = match find(tables, id)? {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Ok(WriteAnswer::Conflict)),
        Err(error) => return Ok(Err(error)),
    };
    if plan.status.revision + 1 != status.revision {
        return Ok(Ok(WriteAnswer::Conflict));
    }
    record.status = wire::encode_status(status);
    record.is_active = status
        .state
        .is_active(plan.progress.counts.outstanding() > 0);
    record.updated_at = now;
    keep(tables, id, &record)?;
    Ok(Ok(WriteAnswer::Written))
}

fn grant(
    tables: &mut Tables<'_>,
    id: &PlanId,
    lease: (WorkerId, Timestamp),
    token: u64,
    now: Timestamp,
) -> Changed<PlanLease> {
    let (mut record, plan) = match find(tables, id)? {
        Ok(Some((record, plan))) if record.is_active => (record, plan),
        Ok(_) => return Ok(Ok(PlanLease::Idle)),
        Err(error) => return Ok(Err(error)),
    };
    if let Some((holder, ends_at)) = &record.lease
        && *holder != lease.0
        && *ends_at > now
    {
        let remaining = Duration::try_from(ends_at.duration_since(now)).unwrap_or_default();
        return Ok(Ok(PlanLease::Held { remaining }));
    }
    record.token = token;
    record.lease = Some(lease);
    keep(tables, id, &record)?;
    Ok(Ok(PlanLease::Granted {
        token: FencingToken(token),
        plan: Box::new(plan),
    }))
}

struct Step {
    plan: PlanId,
    token: FencingToken,
    ends_at: Timestamp,
    has_outstanding: bool,
    progress: Vec<u8>,
    marks: Vec<(u32, String)>,
    status: Option<PlanStatus>,
    now: Timestamp,
}

impl Step {
    fn advance_in(self, tables: &mut Tables<'_>) -> Changed<AdvanceAnswer> {
        let (mut record, plan) = match find(tables, &self.plan)? {
            Ok(Some(found)) if FencingToken(found.0.token) == self.token => found,
            Ok(_) => return Ok(Ok(AdvanceAnswer::Stale)),
            Err(error) => return Ok(Err(error)),
        };
        let status = self
            .status
            .filter(|status| plan.status.revision + 1 == status.revision)
            .unwrap_or(plan.status);
        record.status = wire::encode_status(&status);
        record.is_active = status.state.is_active(self.has_outstanding);
        record.progress = self.progress;
        record.updated_at = self.now;
        record.lease = record
            .lease
            .map(|(worker, _)| (worker, self.ends_at))
            .filter(|(_, ends_at)| *ends_at > self.now);
        keep(tables, &self.plan, &record)?;
        for (number, marks) in &self.marks {
            let key = (self.plan.as_str(), *number);
            tables.plan_marks()?.insert(key, marks.as_str())?;
        }
        Ok(Ok(AdvanceAnswer::Advanced(status)))
    }
}

/// Every plan by its id; nothing where the record is damaged.
fn all(tx: &ReadTransaction) -> Result<Vec<(String, Option<PlanRecord>)>, redb::Error> {
    let mut found = Vec::new();
    for entry in tx.open_table(PLANS)?.iter()? {
        let (id, bytes) = entry?;
        found.push((id.value().to_owned(), PlanRecord::decode(bytes.value())));
    }
    Ok(found)
}

/// Where a plan is in the list.
type Place = (i128, String);

fn list(
    all: &[(String, Option<PlanRecord>)],
    project: Option<&ProjectName>,
    after: Option<&Place>,
    limit: usize,
) -> Result<Page<ReplayPlan>, StoreError> {
    let mut found = Vec::with_capacity(all.len());
    for (id, record) in all {
        // One that tells nothing of itself is told first.
        let planned_at = record.as_ref().map(|record| record.planned_at);
        let place = planned_at.map_or(i128::MAX, Timestamp::as_nanosecond);
        let place = (place, id.clone());
        if after.is_none_or(|after| place < *after) {
            found.push((place, record));
        }
    }
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    let mut page = Page::new(Vec::new(), None);
    let mut last = None;
    for (place, record) in found {
        let read = match record {
            Some(record) => record.read(&place.1),
            None => Err(damaged(&place.1)),
        };
        let is_asked_for = match (&read, project) {
            (_, None) => true,
            (Ok(plan), Some(_)) => project == plan.terms.project.as_ref(),
            // Whose it is nobody can tell, and no project is told of another's.
            (Err(_), Some(_)) => false,
        };
        if !is_asked_for {
            continue;
        }
        if page.entries.len() + page.damaged.len() == limit {
            page.next = last.map(|(at, id): Place| {
                let Cursor(text) = cursor_to(LIST, &[at]);
                Cursor(format!("{text}.{id}"))
            });
            break;
        }
        page.take_in(read)?;
        last = Some(place);
    }
    Ok(page)
}

fn read_place(Cursor(text): &Cursor) -> Result<Place, StoreError> {
    let (moment, id) = text.rsplit_once('.').ok_or(StoreError::BadCursor)?;
    let [moment] = read_cursor(LIST, &Cursor(moment.to_owned()))?;
    Ok((moment, id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_testkit::samples;

    #[test]
    fn damaged_plans_are_told_to_whoever_lists_all_and_hide_no_other() {
        let project = samples::project();
        let mut all: Vec<_> = (0..4)
            .map(|second| {
                let mut plan = samples::replay_plan_of(&project, 1);
                plan.terms.planned_at = samples::moment(second);
                let record = PlanRecord::new(&plan, samples::moment(9));
                (plan.id().to_string(), Some(record))
            })
            .collect();
        all[0].1 = None;
        all[2].1.as_mut().unwrap().status = b"{".to_vec();
        let names = |page: &Page<ReplayPlan>| {
            let damaged = page.damaged.iter().map(|record| record.id.clone());
            let plans = page.entries.iter().map(|plan| plan.id().to_string());
            (plans.collect::<Vec<_>>(), damaged.collect::<Vec<_>>())
        };
        let id = |number: usize| all[number].0.clone();

        let first = list(&all, None, None, 2).unwrap();
        assert_eq!(names(&first), (vec![id(3)], vec![id(0)]));
        let after = read_place(&first.next.unwrap()).unwrap();
        let second = list(&all, None, Some(&after), 2).unwrap();
        assert_eq!(names(&second), (vec![id(1)], vec![id(2)]));
        assert_eq!(second.next, None);

        let first = list(&all, None, None, 1).unwrap();
        assert_eq!(names(&first), (vec![], vec![id(0)]));
        let after = read_place(&first.next.unwrap()).unwrap();
        let second = list(&all, None, Some(&after), 1).unwrap();
        assert_eq!(names(&second), (vec![id(3)], vec![]));

        let of_project = list(&all, Some(&project), None, 9).unwrap();
        assert_eq!(names(&of_project), (vec![id(3), id(1)], vec![]));
    }

    #[test]
    fn a_plan_comes_back_as_it_was_written() {
        let plan = samples::replay_plan_of(&samples::project(), 7);
        let mut record = PlanRecord::new(&plan, samples::moment(1));
        assert_eq!(record.read("it").unwrap(), plan);
        for lease in [None, Some((samples::worker(), samples::moment(9)))] {
            record.lease = lease;
            let bytes = record.encode();
            assert_eq!(PlanRecord::decode(&bytes), Some(record.clone()));
            for end in 0..bytes.len() {
                assert_eq!(PlanRecord::decode(&bytes[..end]), None, "cut at {end}");
            }
        }
    }
}
