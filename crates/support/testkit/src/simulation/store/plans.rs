//! Replay plans in memory.

use super::{ClaimState, End, SimulatedStore, met};
use async_trait::async_trait;
use ringback_delivery::port::{
    Advance, AdvanceAnswer, Clock, Cursor, FencingToken, Page, PlanLease, PlanStore, StoreError,
    WriteAnswer,
};
use ringback_domain::{
    AttemptNumber, DeliveryId, PlanId, ProjectName, Timestamp, WorkerId,
    replay_plan::{DeliveryStanding, PlanChunk, PlanEntry, PlanStatus, ReplayPlan, Stage},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

#[derive(Debug, Default)]
pub(super) struct Plans {
    plans: BTreeMap<PlanId, Held>,
    chunks: HashMap<(PlanId, u32), PlanChunk>,
}

#[derive(Debug)]
struct Held {
    plan: ReplayPlan,
    token: u64,
    lease: Option<(WorkerId, Timestamp)>,
}

#[async_trait]
impl PlanStore for SimulatedStore {
    async fn put_plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
        entries: &[PlanEntry],
    ) -> Result<(), StoreError> {
        let chunks = &mut self.state().plans.chunks;
        chunks
            .entry((plan.clone(), number))
            .or_insert_with(|| PlanChunk::waiting(entries.to_vec()));
        Ok(())
    }

    async fn plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
    ) -> Result<Option<PlanChunk>, StoreError> {
        let state = self.state();
        Ok(state.plans.chunks.get(&(plan.clone(), number)).cloned())
    }

    async fn create_plan(&self, plan: &ReplayPlan) -> Result<WriteAnswer, StoreError> {
        let plans = &mut self.state().plans.plans;
        if plans.contains_key(plan.id()) {
            return Ok(WriteAnswer::Conflict);
        }
        let held = Held {
            plan: plan.clone(),
            token: 0,
            lease: None,
        };
        plans.insert(plan.id().clone(), held);
        Ok(WriteAnswer::Written)
    }

    async fn change_plan(
        &self,
        id: &PlanId,
        status: &PlanStatus,
    ) -> Result<WriteAnswer, StoreError> {
        let plans = &mut self.state().plans.plans;
        let held = plans.get_mut(id);
        Ok(match held {
            Some(held) if held.plan.status.revision + 1 == status.revision => {
                held.plan.status = status.clone();
                WriteAnswer::Written
            }
            _ => WriteAnswer::Conflict,
        })
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<ReplayPlan>, StoreError> {
        let state = self.state();
        Ok(state.plans.plans.get(id).map(|held| held.plan.clone()))
    }

    async fn plans(
        &self,
        project: Option<&ProjectName>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<ReplayPlan>, StoreError> {
        let state = self.state();
        let plans = state.plans.plans.values().map(|held| &held.plan);
        let read = |plan: &ReplayPlan| state.if_whole("replay plan", plan.id().as_str());
        let mut found: Vec<_> = plans
            .filter(|plan| met(project, plan.terms.project.as_ref()))
            .filter(|plan| project.is_none() || read(plan).is_ok())
            .collect();
        let place = |plan: &ReplayPlan| {
            let at = plan.terms.planned_at.as_microsecond();
            format!("plans.{at:016}{}", plan.id())
        };
        found.sort_by_key(|plan| std::cmp::Reverse(place(plan)));
        if let Some(Cursor(after)) = after {
            if !after.starts_with("plans.") {
                return Err(StoreError::BadCursor);
            }
            found.retain(|plan| place(plan) < *after);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next = last.map(|plan| Cursor(place(plan)));
        let mut page = Page::new(Vec::new(), next);
        for plan in found {
            page.take_in(read(plan).map(|()| plan.clone()))?;
        }
        Ok(page)
    }

    async fn active_plans(&self) -> Result<Vec<PlanId>, StoreError> {
        let state = self.state();
        let plans = state.plans.plans.values().map(|held| &held.plan);
        let active = plans.filter(|plan| plan.is_active());
        Ok(active.map(|plan| plan.id().clone()).collect())
    }

    async fn lease_plan(
        &self,
        id: &PlanId,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<PlanLease, StoreError> {
        let now = self.clock.now();
        let plans = &mut self.state().plans.plans;
        let Some(held) = plans.get_mut(id).filter(|held| held.plan.is_active()) else {
            return Ok(PlanLease::Idle);
        };
        if let Some((holder, until)) = &held.lease
            && holder != worker
            && *until > now
        {
            let remaining = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Ok(PlanLease::Held { remaining });
        }
        held.token += 1;
        held.lease = Some((worker.clone(), now + lease));
        Ok(PlanLease::Granted {
            token: FencingToken(held.token),
            plan: Box::new(held.plan.clone()),
        })
    }

    async fn advance_plan(&self, step: Advance<'_>) -> Result<AdvanceAnswer, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let plans = &mut state.plans;
        let held = plans.plans.get_mut(step.plan);
        let Some(held) = held.filter(|held| FencingToken(held.token) == step.token) else {
            return Ok(AdvanceAnswer::Stale);
        };
        held.plan.progress = step.progress.clone();
        if let Some(status) = step.status
            && held.plan.status.revision + 1 == status.revision
        {
            held.plan.status = status.clone();
        }
        let worker = held.lease.take().map(|(worker, _)| worker);
        held.lease = worker
            .filter(|_| !step.lease.is_zero())
            .map(|worker| (worker, now + step.lease));
        let status = held.plan.status.clone();
        for (number, marks) in step.marks {
            if let Some(chunk) = plans.chunks.get_mut(&(step.plan.clone(), *number)) {
                chunk.marks.clone_from(marks);
            }
        }
        Ok(AdvanceAnswer::Advanced(status))
    }

    async fn standings(
        &self,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<DeliveryStanding>>, StoreError> {
        let state = self.state();
        let standing = |id: &DeliveryId| state.claims.get(id).and_then(ClaimState::standing);
        Ok(deliveries.iter().map(standing).collect())
    }
}

impl ClaimState {
    fn standing(&self) -> Option<DeliveryStanding> {
        let settled = self.settled.map(|settled| settled.position);
        let holder = self.under_way.as_ref().map(|holder| holder.position);
        let (generation, attempt) = settled.max(holder)?;
        let is_settled = settled == Some((generation, attempt));
        let end = self.settled.and_then(|settled| settled.end);
        let stage = match end.filter(|_| is_settled) {
            Some(End::Delivered) => Stage::Delivered,
            Some(End::DeadLettered) => Stage::DeadLettered,
            None if is_settled || attempt > AttemptNumber::FIRST => Stage::Retrying,
            None => Stage::FirstAttempt,
        };
        Some(DeliveryStanding { generation, stage })
    }
}
