//! What cannot go on becomes a dead letter, so that nothing rests where nobody looks.

use crate::{
    Context, Handled,
    port::{Occurrence, ParkedMessage, StoreError, Unreadable},
};
use ringback_domain::{DeadLetter, DeadLetterReason};
use std::sync::Arc;

/// Turns messages that cannot go on into dead letters.
pub struct Intake {
    context: Arc<Context>,
}

impl Intake {
    /// An intake in this context.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// A message the broker gave up on after its delivery limit: handling it killed or confused a worker every time.
    pub async fn handle_parked(&self, content: Result<ParkedMessage, Unreadable>) -> Handled {
        let now = self.context.clock.now();
        let why = |from: &str| format!("given back too often by consumers of `{from}`");
        let dead_letter = match content {
            Ok(ParkedMessage {
                delivery: Some(delivery),
                ..
            }) => DeadLetter::of_delivery(*delivery, DeadLetterReason::Poison, now),
            Ok(ParkedMessage { bytes, from, .. }) => {
                DeadLetter::of_raw(bytes, DeadLetterReason::Poison, why(from.as_str()), now)
            }
            Err(Unreadable { bytes, why }) => {
                DeadLetter::of_raw(bytes, DeadLetterReason::Poison, why, now)
            }
        };
        self.keep(&dead_letter).await
    }

    /// A message in a deliveries queue that is no delivery.
    pub async fn handle_unreadable(&self, unreadable: Unreadable) -> Handled {
        let Unreadable { bytes, why } = unreadable;
        let now = self.context.clock.now();
        self.keep(&DeadLetter::of_raw(
            bytes,
            DeadLetterReason::Malformed,
            why,
            now,
        ))
        .await
    }

    async fn keep(&self, dead_letter: &DeadLetter) -> Handled {
        match self.context.keep(dead_letter).await {
            Ok(()) => Handled::Acknowledge,
            Err(error) => {
                tracing::error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not keep a dead letter, giving its message back"
                );
                Handled::GiveBack
            }
        }
    }
}

impl Context {
    /// Stores a dead letter that belongs to no claim.
    pub(crate) async fn keep(&self, dead_letter: &DeadLetter) -> Result<(), StoreError> {
        self.until_done("keep dead letter", || {
            self.store.put_dead_letter(dead_letter)
        })
        .await?;
        self.observer.saw(&Occurrence::DeadLettered { dead_letter });
        Ok(())
    }
}
