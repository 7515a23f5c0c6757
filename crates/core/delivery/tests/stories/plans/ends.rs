//! A plan that cannot go on, while some of what it sent is still under way.

use super::die;
use crate::world::{LEASE_MARGIN, World};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::{
    Context, PlanRunner,
    port::{Consumer, Depth, Lane, ParkedMessage, PlanLease, PlanStore, Queue, QueueError},
};
use ringback_domain::{Delivery, Event, TraceContext, Wait};
use ringback_testkit::simulation::SimulatedQueue;
use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// How long the broker is silent about the second delivery.
const SILENCE: Duration = Duration::from_mins(2);

/// The second delivery is long on its way, and no queue takes the third.
struct Stuck {
    queue: SimulatedQueue,
    published: AtomicU32,
}

#[async_trait]
impl Queue for Stuck {
    async fn publish_event(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        self.queue.publish_event(event, trace).await
    }

    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError> {
        self.queue.publish_raw_event(bytes).await
    }

    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError> {
        match self.published.fetch_add(1, Ordering::Relaxed) {
            0 => {}
            1 => tokio::time::sleep(SILENCE).await,
            _ => {
                let id = delivery.id.to_string();
                return Err(QueueError::Unroutable { id });
            }
        }
        self.queue.publish_delivery(delivery, lane, wait).await
    }

    async fn consume_events(&self, window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError> {
        self.queue.consume_events(window).await
    }

    async fn consume_deliveries(
        &self,
        lane: Lane,
        window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError> {
        self.queue.consume_deliveries(lane, window).await
    }

    async fn consume_parked(
        &self,
        window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError> {
        self.queue.consume_parked(window).await
    }

    async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        self.queue.depths().await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.queue.ping().await
    }

    async fn close(&self) {
        self.queue.close().await;
    }
}

/// Whoever took it up meanwhile would publish the second one, too.
#[tokio::test(start_paused = true)]
async fn a_failing_plan_stays_with_its_worker_until_what_it_sent_is_through() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    die(&world, &webhook, 3, Duration::ZERO).await;
    let plan = world
        .planned(|request| request.pacing.rate = NonZeroU32::new(2))
        .await;
    world.start(&plan).await;
    let context = Arc::new(Context {
        queue: Arc::new(Stuck {
            queue: world.queue.clone(),
            published: AtomicU32::new(0),
        }),
        ..Arc::into_inner(world.context()).expect("nobody else has it")
    });
    let other = "wrk_other".parse().unwrap();
    let id = plan.id().clone();
    let runs = tokio::spawn(async move {
        let runner = PlanRunner::new(context, LEASE_MARGIN);
        runner.run(&id, &|| false).await
    });
    for _ in 0..3 {
        tokio::time::sleep(SILENCE / 4).await;
        let lease = world.store.lease_plan(plan.id(), &other, LEASE_MARGIN);
        let lease = lease.await.unwrap();
        assert!(matches!(lease, PlanLease::Held { .. }), "{lease:?}");
    }
    runs.await.unwrap().unwrap_err();
    let sent = world.now(plan.id()).await.progress.counts.outstanding();
    assert_eq!(sent, 2, "the second went out in the end");
}
