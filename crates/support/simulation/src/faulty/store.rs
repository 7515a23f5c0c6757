//! The store: steps that fail, take long, or happen without saying so.

mod plans;

use super::{Cause, Outages};
use crate::{
    dice::{Dice, Fault},
    plan::{Plan, Sabotage},
    witness::Witness,
};
use async_trait::async_trait;
use ringback_delivery::port::{
    BudgetStore, Claim, ClaimAnswer, ClaimRequest, ClaimStore, Cursor, DeadLetterFilter,
    DeadLetterStore, DeliveryFilter, DeliveryStore, DisposeAnswer, EventMark, EventStore,
    FencingToken, GroupFilter, GroupList, GroupStore, KeyStore, OldestDeadLetters, PaceStore, Page,
    ReservedTurn, SettleAnswer, SettledAs, Settlement, StoreError, StoreHealth, TrafficStore,
    WebhookStore, WriteAnswer,
};
use ringback_domain::{
    Acknowledgement, ApiKey, ApiKeyId, Breaker, DeadLetter, DeadLetterGroup, DeadLetterId,
    DeadLetterUsage, Delivery, DeliveryId, DeliveryRecord, DestinationId, Disposal, EventId,
    ProjectName, Timestamp, TrafficOf, TrafficPoint, TrafficStep, Webhook, WebhookId, WorkerId,
};
use ringback_testkit::simulation::{SimulatedStore, TokioClock};
use std::{
    future::Future,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The store, as workers get to know it.
pub(crate) struct FaultyStore {
    inner: Arc<SimulatedStore>,
    plan: Plan,
    dice: Arc<Dice>,
    witness: Arc<Witness>,
    away: Outages,
    /// [`Sabotage::KeepsOldWebhooks`]: what was read first.
    old_webhooks: Mutex<Option<Page<Webhook>>>,
}

/// The longest a slow step takes: longer than a lease.
const SLOW_MAX_MILLIS: u64 = 12_000;

impl FaultyStore {
    pub(crate) fn new(
        inner: Arc<SimulatedStore>,
        plan: &Plan,
        clock: &TokioClock,
        dice: Arc<Dice>,
        witness: Arc<Witness>,
    ) -> Self {
        Self {
            inner,
            plan: plan.clone(),
            away: Outages::draw(&dice, clock, Fault::StoreAway),
            dice,
            witness,
            old_webhooks: Mutex::default(),
        }
    }

    /// Does one step, with all that may go wrong before and after it.
    async fn step<T>(
        &self,
        name: &str,
        about: &str,
        act: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let about = format!("{name} {about}");
        self.travel("question", &about).await;
        if self.away.is_now() {
            return Err(self.failure(Fault::StoreAway));
        }
        if self.dice.strikes(Fault::StepFailed, &about).is_some() {
            return Err(self.failure(Fault::StepFailed));
        }
        let done = act.await;
        self.travel("answer", &about).await;
        if self.away.is_now() || self.dice.strikes(Fault::AnswerLost, &about).is_some() {
            return Err(self.failure(Fault::AnswerLost));
        }
        done
    }

    async fn travel(&self, way: &str, about: &str) {
        let slow = self
            .dice
            .strikes(Fault::AnswerSlow, about)
            .map(|size| Duration::from_millis(size % SLOW_MAX_MILLIS));
        if slow.is_some() {
            self.witness.troubled();
        }
        let usual = self.dice.millis(0..4, way, about);
        tokio::time::sleep(slow.unwrap_or(usual)).await;
    }

    fn failure(&self, fault: Fault) -> StoreError {
        self.witness.troubled();
        StoreError::Unreachable {
            store: "simulated store",
            address: "memory".into(),
            source: Box::new(Cause(fault)),
        }
    }

    async fn grant(&self, request: ClaimRequest<'_>) -> Result<ClaimAnswer, StoreError> {
        let mut request = request;
        match self.plan.sabotage {
            Some(Sabotage::LeasesTooShort) => request.lease /= 4,
            Some(Sabotage::LeasesForEver) => request.lease *= 1_000_000,
            _ => {}
        }
        let answer = match (self.inner.claim(request).await?, self.plan.sabotage) {
            (ClaimAnswer::Held { .. }, Some(Sabotage::GrantsEveryClaim))
            | (ClaimAnswer::Settled, Some(Sabotage::ForgetsSettlements)) => {
                self.grant_anyway(&request)
            }
            (answer, _) => answer,
        };
        self.witness
            .claim_answered(request.delivery, &answer, request.lease);
        Ok(answer)
    }

    fn grant_anyway(&self, request: &ClaimRequest<'_>) -> ClaimAnswer {
        let delivery = request.delivery;
        let above_all = 1 << 40;
        let token = above_all + self.dice.below(above_all, "token", delivery.id.as_str());
        ClaimAnswer::Granted {
            claim: Claim {
                delivery: delivery.id.clone(),
                generation: delivery.generation,
                attempt: delivery.attempt,
                token: FencingToken(token),
            },
            expired: None,
        }
    }

    async fn end(&self, settlement: Settlement<'_>) -> Result<SettleAnswer, StoreError> {
        if let SettledAs::DeadLettered(dead_letter) = settlement.settled_as
            && self.plan.breaks(Sabotage::StoresDeadLettersLater)
        {
            return self.end_then_bury(settlement, dead_letter).await;
        }
        let answer = self.inner.settle(settlement).await?;
        let as_what = match settlement.settled_as {
            SettledAs::Delivered => "delivered",
            SettledAs::Retrying { .. } => "retrying",
            SettledAs::DeadLettered(_) => "dead letter",
            SettledAs::Released => "released",
        };
        self.witness
            .claim_settled(settlement.claim, as_what, answer == SettleAnswer::Stale);
        if self.plan.breaks(Sabotage::AcknowledgesStale) {
            return Ok(SettleAnswer::Settled);
        }
        Ok(answer)
    }

    /// [`Sabotage::StoresDeadLettersLater`]: two steps where one was promised, and time between them.
    async fn end_then_bury(
        &self,
        settlement: Settlement<'_>,
        dead_letter: &DeadLetter,
    ) -> Result<SettleAnswer, StoreError> {
        let settled_as = SettledAs::Retrying {
            due_at: settlement.at,
        };
        let settlement = Settlement {
            settled_as: &settled_as,
            ..settlement
        };
        let answer = self.inner.settle(settlement).await?;
        self.witness
            .claim_settled(settlement.claim, "over", answer == SettleAnswer::Stale);
        let about = settlement.delivery.event.id.as_str();
        self.travel("second step", about).await;
        self.inner.put_dead_letter(dead_letter).await?;
        Ok(answer)
    }
}

/// What faults are drawn for: the delivery and its attempt, so that they stay where they are.
fn about(delivery: &Delivery) -> String {
    format!(
        "{}→{} {} of {}",
        delivery.event.id,
        delivery.destination.id(),
        delivery.attempt,
        delivery.generation.get()
    )
}

#[async_trait]
impl ClaimStore for FaultyStore {
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<ClaimAnswer, StoreError> {
        let about = about(request.delivery);
        self.step("claim", &about, self.grant(request)).await
    }

    /// The claim shows it in this store, so that there is no step to go wrong.
    async fn show_attempting(&self, delivery: &Delivery) -> Result<(), StoreError> {
        self.inner.show_attempting(delivery).await
    }

    async fn show_waiting(&self, delivery: &Delivery, until: Timestamp) -> Result<(), StoreError> {
        let about = about(delivery);
        let show = self.inner.show_waiting(delivery, until);
        self.step("show a wait", &about, show).await
    }

    async fn settle(&self, settlement: Settlement<'_>) -> Result<SettleAnswer, StoreError> {
        let about = about(settlement.delivery);
        self.step("settle", &about, self.end(settlement)).await
    }
}

#[async_trait]
impl KeyStore for FaultyStore {
    async fn put_key(&self, key: &ApiKey) -> Result<WriteAnswer, StoreError> {
        self.step("put key", key.id.as_str(), self.inner.put_key(key))
            .await
    }

    async fn key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.step("read key", id.as_str(), self.inner.key(id)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.step("read keys", "all", self.inner.keys()).await
    }

    async fn remove_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        self.step("remove key", id.as_str(), self.inner.remove_key(id))
            .await
    }
}

#[async_trait]
impl WebhookStore for FaultyStore {
    async fn put_webhook(&self, webhook: &Webhook) -> Result<WriteAnswer, StoreError> {
        let put = async {
            let answer = self.inner.put_webhook(webhook).await?;
            if answer == WriteAnswer::Written {
                self.witness.webhook_written(webhook);
            }
            Ok(answer)
        };
        self.step("put webhook", webhook.id.as_str(), put).await
    }

    async fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        let read = self.inner.webhook(id);
        self.step("read webhook", id.as_str(), read).await
    }

    async fn webhooks(&self, project: &ProjectName) -> Result<Page<Webhook>, StoreError> {
        let read = async {
            let webhooks = self.inner.webhooks(project).await?;
            if !self.plan.breaks(Sabotage::KeepsOldWebhooks) {
                return Ok(webhooks);
            }
            let mut old = self
                .old_webhooks
                .lock()
                .expect("nothing panics while it holds the lock");
            Ok(old.get_or_insert(webhooks).clone())
        };
        self.step("read webhooks", project.as_str(), read).await
    }

    async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError> {
        let remove = async {
            let removed = self.inner.remove_webhook(id).await?;
            if removed {
                self.witness.webhook_removed(id);
            }
            Ok(removed)
        };
        self.step("remove webhook", id.as_str(), remove).await
    }
}

#[async_trait]
impl DeliveryStore for FaultyStore {
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.inner.delivery(id).await
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeliveryRecord>, StoreError> {
        self.inner.deliveries(filter, after, limit).await
    }
}

#[async_trait]
impl DeadLetterStore for FaultyStore {
    async fn put_dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), StoreError> {
        let put = self.inner.put_dead_letter(dead_letter);
        // Its id tells when it died, which another fault may change.
        let event = dead_letter.event().map(EventId::as_str);
        let about = event.unwrap_or(dead_letter.id.as_str());
        self.step("put dead letter", about, put).await
    }

    async fn dead_letter(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
        let read = self.inner.dead_letter(id);
        self.step("read dead letter", id.as_str(), read).await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let read = self.inner.dead_letters(filter, after, limit);
        self.step("list dead letters", "all", read).await
    }

    async fn dead_letter_count(&self, project: Option<&ProjectName>) -> Result<u64, StoreError> {
        self.inner.dead_letter_count(project).await
    }

    async fn dispose(
        &self,
        id: &DeadLetterId,
        disposal: &Disposal,
        again: bool,
    ) -> Result<DisposeAnswer, StoreError> {
        let dispose = self.inner.dispose(id, disposal, again);
        self.step("dispose", id.as_str(), dispose).await
    }
}

/// For people only: nothing that is simulated depends on them.
#[async_trait]
impl GroupStore for FaultyStore {
    async fn dead_letter_groups(
        &self,
        filter: &GroupFilter,
        limit: usize,
    ) -> Result<GroupList, StoreError> {
        self.inner.dead_letter_groups(filter, limit).await
    }

    async fn acknowledge_group(
        &self,
        project: Option<&ProjectName>,
        fingerprint: &str,
        acknowledgement: &Acknowledgement,
    ) -> Result<Option<DeadLetterGroup>, StoreError> {
        self.inner
            .acknowledge_group(project, fingerprint, acknowledgement)
            .await
    }

    async fn regroup(&self, limit: usize) -> Result<u64, StoreError> {
        self.inner.regroup(limit).await
    }
}

#[async_trait]
impl BudgetStore for FaultyStore {
    async fn dead_letter_usage(&self) -> Result<DeadLetterUsage, StoreError> {
        self.inner.dead_letter_usage().await
    }

    async fn oldest_dead_letters(&self, limit: usize) -> Result<OldestDeadLetters, StoreError> {
        self.inner.oldest_dead_letters(limit).await
    }

    async fn forget_dead_letters(&self, ids: &[DeadLetterId]) -> Result<u64, StoreError> {
        self.inner.forget_dead_letters(ids).await
    }

    async fn claim_making_room(
        &self,
        worker: &WorkerId,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        self.inner.claim_making_room(worker, lease).await
    }
}

#[async_trait]
impl TrafficStore for FaultyStore {
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: TrafficStep,
        until: Timestamp,
    ) -> Result<Vec<TrafficPoint>, StoreError> {
        self.inner.traffic(of, step, until).await
    }
}

#[async_trait]
impl EventStore for FaultyStore {
    async fn event_mark(
        &self,
        project: &ProjectName,
        id: &EventId,
    ) -> Result<Option<EventMark>, StoreError> {
        let read = self.inner.event_mark(project, id);
        self.step("read mark", id.as_str(), read).await
    }

    async fn mark_event(
        &self,
        project: &ProjectName,
        id: &EventId,
        mark: EventMark,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let write = async {
            self.inner.mark_event(project, id, mark, until).await?;
            self.witness.event_marked(id);
            Ok(())
        };
        self.step("mark event", id.as_str(), write).await
    }

    async fn keep_event_known(
        &self,
        project: &ProjectName,
        id: &EventId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let keep = self.inner.keep_event_known(project, id, until);
        self.step("keep event known", id.as_str(), keep).await
    }

    async fn event_moment(
        &self,
        project: &ProjectName,
        id: &EventId,
        at: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let keep = self.inner.event_moment(project, id, at);
        self.step("keep event's moment", id.as_str(), keep).await
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        self.inner.health().await
    }
}

#[async_trait]
impl PaceStore for FaultyStore {
    async fn reserve_turn(
        &self,
        destination: &DestinationId,
        per_second: NonZeroU32,
        ahead_max: Duration,
    ) -> Result<ReservedTurn, StoreError> {
        let reserve = self.inner.reserve_turn(destination, per_second, ahead_max);
        self.step("reserve turn", destination.as_str(), reserve)
            .await
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        self.step("read breakers", "all", self.inner.breakers())
            .await
    }

    async fn put_breaker(&self, breaker: &Breaker) -> Result<WriteAnswer, StoreError> {
        let put = self.inner.put_breaker(breaker);
        self.step("put breaker", breaker.destination.as_str(), put)
            .await
    }

    async fn remove_breaker(&self, breaker: &Breaker) -> Result<bool, StoreError> {
        let remove = self.inner.remove_breaker(breaker);
        self.step("remove breaker", breaker.destination.as_str(), remove)
            .await
    }
}
