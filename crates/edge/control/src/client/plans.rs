//! Replay plans. A command makes, changes and shows them; they are run by the process that serves the directory.

use super::{ControlClient, PROCESS};
use crate::codec::{Answer, Call, Garbled};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{
    Advance, AdvanceAnswer, Cursor, Page, PlanLease, PlanStore, StoreError, WriteAnswer,
};
use ringback_domain::{
    DeliveryId, PlanId, ProjectName, WorkerId,
    replay_plan::{DeliveryStanding, PlanChunk, PlanEntry, PlanStatus, ReplayPlan},
};
use ringback_wire::replay_plan as wire;
use std::time::Duration;

#[async_trait]
impl PlanStore for ControlClient {
    async fn put_plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
        entries: &[PlanEntry],
    ) -> Result<(), StoreError> {
        let plan = plan.to_string();
        let entries = Some(wire::encode_entries(entries).into());
        let call = Call::PutPlanChunk { plan, number };
        self.store("store entries of a plan", call, entries).await?;
        Ok(())
    }

    async fn plan_chunk(
        &self,
        plan: &PlanId,
        number: u32,
    ) -> Result<Option<PlanChunk>, StoreError> {
        let step = "read entries of a plan";
        let plan = plan.to_string();
        let call = Call::PlanChunk { plan, number };
        let (_, parts) = self.store(step, call, None).await?;
        match parts.as_slice() {
            [] => Ok(None),
            [entries, marks] => read_chunk(entries, marks)
                .map(Some)
                .map_err(|garbled| self.store_error(step, garbled.into())),
            _ => Err(self.unexpected(step)),
        }
    }

    async fn create_plan(&self, plan: &ReplayPlan) -> Result<WriteAnswer, StoreError> {
        let record = wire::encode(plan).into();
        self.write_plan("store a plan", Call::CreatePlan, record)
            .await
    }

    async fn change_plan(
        &self,
        id: &PlanId,
        status: &PlanStatus,
    ) -> Result<WriteAnswer, StoreError> {
        let call = Call::ChangePlan { id: id.to_string() };
        let record = wire::encode_status(status).into();
        self.write_plan("change a plan", call, record).await
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<ReplayPlan>, StoreError> {
        let call = Call::Plan { id: id.to_string() };
        let read = |part: &Bytes| wire::decode(part);
        let page = self.records("read a plan", call, read).await?;
        Ok(page.entries.into_iter().next())
    }

    async fn plans(
        &self,
        project: Option<&ProjectName>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<ReplayPlan>, StoreError> {
        let call = Call::Plans {
            project: project.map(ToString::to_string),
            after: after.map(|Cursor(text)| text.clone()),
            limit,
        };
        let read = |part: &Bytes| wire::decode(part);
        self.records("list plans", call, read).await
    }

    async fn active_plans(&self) -> Result<Vec<PlanId>, StoreError> {
        Err(plans_stay("list active plans"))
    }

    async fn lease_plan(
        &self,
        _id: &PlanId,
        _worker: &WorkerId,
        _lease: Duration,
    ) -> Result<PlanLease, StoreError> {
        Err(plans_stay("lease a plan"))
    }

    async fn advance_plan(&self, _step: Advance<'_>) -> Result<AdvanceAnswer, StoreError> {
        Err(plans_stay("advance a plan"))
    }

    async fn standings(
        &self,
        _deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<DeliveryStanding>>, StoreError> {
        Err(plans_stay("read claims"))
    }
}

impl ControlClient {
    async fn write_plan(
        &self,
        step: &'static str,
        call: Call,
        record: Bytes,
    ) -> Result<WriteAnswer, StoreError> {
        match self.store(step, call, Some(record)).await? {
            (Answer::Yes, _) => Ok(WriteAnswer::Written),
            (Answer::No, _) => Ok(WriteAnswer::Conflict),
            _ => Err(self.unexpected(step)),
        }
    }
}

fn read_chunk(entries: &[u8], marks: &[u8]) -> Result<PlanChunk, Garbled> {
    let entries = wire::decode_entries(entries)?;
    let marks = std::str::from_utf8(marks).map_err(|error| Garbled(error.to_string()))?;
    let marks = wire::decode_marks(marks, entries.len())?;
    Ok(PlanChunk { entries, marks })
}

fn plans_stay(step: &'static str) -> StoreError {
    let why = "plans are run by the process that serves the directory".to_owned();
    StoreError::Refused {
        store: PROCESS,
        step,
        why,
    }
}
