//! Replay plans: steps like any other.

use super::FaultyStore;
use async_trait::async_trait;
use ringback_delivery::port::{
    Advance, AdvanceAnswer, Cursor, Page, PlanLease, PlanStore, StoreError, WriteAnswer,
};
use ringback_domain::{
    DeliveryId, PlanId, ProjectName, WorkerId,
    replay_plan::{DeliveryStanding, PlanChunk, PlanEntry, PlanStatus, ReplayPlan},
};
use std::time::Duration;

#[async_trait]
impl PlanStore for FaultyStore {
    async fn put_plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
        entries: &[PlanEntry],
    ) -> Result<(), StoreError> {
        let act = self.inner.put_plan_chunk(plan, number, entries);
        self.step("put plan chunk", plan.as_str(), act).await
    }

    async fn plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
    ) -> Result<Option<PlanChunk>, StoreError> {
        let act = self.inner.plan_chunk(plan, number);
        self.step("read plan chunk", plan.as_str(), act).await
    }

    async fn create_plan(&self, plan: &ReplayPlan) -> Result<WriteAnswer, StoreError> {
        let act = self.inner.create_plan(plan);
        self.step("create plan", plan.id().as_str(), act).await
    }

    async fn change_plan(
        &self,
        id: &PlanId,
        status: &PlanStatus,
    ) -> Result<WriteAnswer, StoreError> {
        let act = self.inner.change_plan(id, status);
        self.step("change plan", id.as_str(), act).await
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<ReplayPlan>, StoreError> {
        let act = self.inner.plan(id);
        self.step("read plan", id.as_str(), act).await
    }

    async fn plans(
        &self,
        project: Option<&ProjectName>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<ReplayPlan>, StoreError> {
        let act = self.inner.plans(project, after, limit);
        self.step("list plans", "all", act).await
    }

    async fn active_plans(&self) -> Result<Vec<PlanId>, StoreError> {
        let act = self.inner.active_plans();
        self.step("list active plans", "all", act).await
    }

    async fn lease_plan(
        &self,
        id: &PlanId,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<PlanLease, StoreError> {
        let act = self.inner.lease_plan(id, worker, lease);
        self.step("lease plan", id.as_str(), act).await
    }

    async fn advance_plan(&self, step: Advance<'_>) -> Result<AdvanceAnswer, StoreError> {
        let about = step.plan.as_str();
        let act = self.inner.advance_plan(step);
        self.step("advance plan", about, act).await
    }

    async fn standings(
        &self,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<DeliveryStanding>>, StoreError> {
        let act = self.inner.standings(deliveries);
        self.step("read standings", "plan", act).await
    }
}
