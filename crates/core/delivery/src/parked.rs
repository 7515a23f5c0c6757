//! What cannot go on becomes a dead letter, so that nothing rests where nobody looks.

use crate::{
    Context, Handled,
    callback_seal::CallbackSeal,
    port::{Occurrence, ParkedContent, ParkedMessage, StoreError, Unreadable},
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
        let reason = DeadLetterReason::Poison;
        let dead_letter = match content {
            Ok(ParkedMessage { from, content }) => {
                let why = format!("given back too often by consumers of `{}`", from.as_str());
                match content {
                    ParkedContent::Delivery(delivery) => {
                        DeadLetter::of_delivery(*delivery, reason, now)
                    }
                    ParkedContent::Event(event) => {
                        let (event, seal) = self.context.seal_callback(*event);
                        let why = match seal {
                            CallbackSeal::Impossible(fault) => format!("{why}; {fault}"),
                            CallbackSeal::Unneeded | CallbackSeal::Sealed => why,
                        };
                        DeadLetter::of_event(event, reason, why, now)
                    }
                    ParkedContent::Raw(bytes) => DeadLetter::of_raw(bytes, reason, why, now),
                }
            }
            Err(Unreadable { bytes, why }) => DeadLetter::of_raw(bytes, reason, why, now),
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
