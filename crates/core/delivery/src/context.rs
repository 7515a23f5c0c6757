//! What every use case works with, and how it outlasts a store or queue that is away.

use crate::{
    ProfileBook, WebhookCache,
    port::{Clock, Entropy, Observer, Occurrence, Queue, QueueError, Sender, Store, StoreError},
};
use ringback_domain::{Delivery, EventId, ProjectName, Timestamp, WorkerId};
use ringback_signing::KeyRing;
use std::{error::Error, future::Future, sync::Arc, time::Duration};

/// What every use case works with.
pub struct Context {
    /// Where messages wait.
    pub queue: Arc<dyn Queue>,
    /// Where claims, webhooks and dead letters are kept.
    pub store: Arc<dyn Store>,
    /// What makes the request.
    pub sender: Arc<dyn Sender>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Nonces and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// The profiles, and which project has which.
    pub profiles: Arc<ProfileBook>,
    /// The webhooks, as fresh as promised.
    pub webhooks: WebhookCache,
    /// Opens and seals secrets.
    pub keys: Arc<KeyRing>,
    /// Who we are; unique to this start of the process.
    pub worker: WorkerId,
}

/// What the caller does with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// Its successor is safe, or it has none.
    Acknowledge,
    /// We could not handle it, and trying again now would not help: back to the queue, counted, until the broker parks it.
    GiveBack,
}

/// The first wait after a step failed.
const REPEAT_FIRST: Duration = Duration::from_millis(50);
/// The longest wait between two tries of a step.
const REPEAT_MAX: Duration = Duration::from_secs(2);

/// A failure that may pass.
pub(crate) trait MayPass: Error + 'static {
    fn is_passing(&self) -> bool;
}

impl MayPass for StoreError {
    fn is_passing(&self) -> bool {
        StoreError::is_passing(self)
    }
}

impl MayPass for QueueError {
    fn is_passing(&self) -> bool {
        QueueError::is_passing(self)
    }
}

impl Context {
    /// Longer than its mark lasts. What is safe already does not fail by it.
    pub(crate) async fn keep_event_known(
        &self,
        project: &ProjectName,
        id: &EventId,
        until: Timestamp,
    ) {
        if let Err(failure) = self.store.keep_event_known(project, id, until).await {
            tracing::warn!(
                ringback.event.id = %id,
                error = &failure as &(dyn Error + 'static),
                "could not keep an event known for longer"
            );
        }
    }

    /// Has the log show that a delivery waits. The log only informs: nobody waits for it longer, or fails by it.
    pub(crate) async fn show_waiting(&self, delivery: &Delivery, until: Timestamp) {
        if let Err(failure) = self.store.show_waiting(delivery, until).await {
            tracing::debug!(
                ringback.delivery.id = %delivery.id,
                error = &failure as &(dyn Error + 'static),
                "could not show in the log that a delivery waits"
            );
        }
    }

    /// Repeats a step until it is done or fails for good.
    ///
    /// A store or broker that is away costs time, never a delivery: the message stays unacknowledged meanwhile, and a
    /// request that was answered is not sent again because its bookkeeping failed.
    pub(crate) async fn until_done<T, E: MayPass, F: Future<Output = Result<T, E>>>(
        &self,
        step: &'static str,
        mut try_once: impl FnMut() -> F,
    ) -> Result<T, E> {
        let mut wait = REPEAT_FIRST;
        loop {
            match try_once().await {
                Err(failure) if failure.is_passing() => {
                    self.observer.saw(&Occurrence::StepRepeated {
                        step,
                        failure: &failure,
                    });
                    // Between half and the whole of it, so that workers do not come back all at once.
                    self.clock
                        .sleep(wait.mul_f64(0.5 + self.entropy.draw() / 2.0))
                        .await;
                    wait = (wait * 2).min(REPEAT_MAX);
                }
                done => return done,
            }
        }
    }
}
