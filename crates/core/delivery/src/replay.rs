//! Replaying: sending a dead letter again, as a new generation.

use crate::{
    age::{Stale, stale},
    port::{
        Clock, DisposeAnswer, Lane, Observer, Occurrence, Queue, QueueError, Store, StoreError,
    },
    profiles::ProfileBook,
};
use ringback_domain::{
    AttemptNumber, DeadLetter, DeadLetterContent, DeadLetterId, Delivery, DeliveryRecord,
    DeliveryState, Detour, Disposal, Generation, Replayed, Timestamp,
    replay_plan::{DeliveryStanding, Stage},
};
use std::{sync::Arc, time::Duration};

/// Sends dead letters again.
pub struct Replay {
    /// Where the replay goes.
    pub queue: Arc<dyn Queue>,
    /// Where the dead letters are.
    pub store: Arc<dyn Store>,
    /// They say for how long a body is of use.
    pub profiles: Arc<ProfileBook>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// A wish to replay one dead letter.
#[derive(Debug, Clone)]
pub struct ReplayRequest {
    /// Which.
    pub id: DeadLetterId,
    /// Who asks, for the record.
    pub by: String,
    /// Also when it was replayed or discarded before.
    pub again: bool,
    /// Also when its body is too old to be of use, by its profile.
    pub sends_stale: bool,
}

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such dead letter.
    #[error("there is no dead letter {0}")]
    NotFound(DeadLetterId),
    /// It was dealt with before.
    #[error("dead letter {id} was already {}", describe(.disposal))]
    Already {
        /// Which.
        id: DeadLetterId,
        /// How.
        disposal: Disposal,
    },
    /// It was replayed before, and that time it was accepted. The claim would let no further request through.
    #[error(
        "dead letter {id} was replayed, and delivered at {at}; what was delivered is not sent again"
    )]
    Delivered {
        /// Which.
        id: DeadLetterId,
        /// When.
        at: Timestamp,
    },
    /// It was replayed before, without a mark, and failed again: the claim would let no further request through for this one.
    #[error(
        "the delivery of dead letter {id} went on and was given up again as dead letter {newer}"
    )]
    Newer {
        /// Which.
        id: DeadLetterId,
        /// What can be replayed instead.
        newer: DeadLetterId,
    },
    /// Its body is too old to be of use.
    #[error(
        "dead letter {id} tells of what happened {} ago; by its profile a body is of use for {}",
        in_words(.stale.age),
        in_words(.stale.age_max)
    )]
    Stale {
        /// Which.
        id: DeadLetterId,
        /// How old it is.
        stale: Stale,
    },
    /// It never was an event, and would not be one now.
    #[error("dead letter {id} holds bytes that are no event: {why}")]
    NotAnEvent {
        /// Which.
        id: DeadLetterId,
        /// What is wrong with the bytes.
        why: String,
    },
    /// The queue failed; nothing was changed.
    #[error("could not publish the replay")]
    Queue(#[from] QueueError),
    /// The store failed.
    #[error("could not read or mark the dead letter")]
    Store(#[from] StoreError),
}

fn describe(disposal: &Disposal) -> String {
    match disposal {
        Disposal::Open => "open".into(),
        Disposal::Replayed(Replayed { at, by, .. }) => format!("replayed at {at} by {by}"),
        Disposal::Discarded { at, note } => format!("discarded at {at}: {note}"),
    }
}

fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The delivery as it goes out again: same id, same event, same body.
pub(crate) fn replay_of(delivery: &Delivery, generation: Generation) -> Delivery {
    Delivery {
        generation,
        attempt: AttemptNumber::FIRST,
        due_at: None,
        deferral: None,
        detour: match &delivery.detour {
            Some(Detour::OriginalUrl) | None => None,
            instead @ Some(Detour::InsteadOf(_)) => instead.clone(),
        },
        ..Delivery::clone(delivery)
    }
}

impl Replay {
    /// Publishes the dead letter again, then marks it; the generation it went out as.
    ///
    /// A crash between the two leaves it open: replaying it again publishes the same generation, and the claim lets one through. Once
    /// that generation was given up, there is another dead letter to replay.
    pub async fn replay(&self, request: &ReplayRequest) -> Result<Generation, ReplayError> {
        let id = &request.id;
        let found = self
            .store
            .dead_letter(id)
            .await?
            .ok_or_else(|| ReplayError::NotFound(id.clone()))?;
        if !request.again && found.disposal != Disposal::Open {
            return Err(ReplayError::Already {
                id: id.clone(),
                disposal: found.disposal,
            });
        }
        let stale = stale(&found, &self.profiles, self.clock.now());
        if let Some(stale) = stale.filter(|_| !request.sends_stale) {
            return Err(ReplayError::Stale {
                id: id.clone(),
                stale,
            });
        }
        let generation = self.publish(&found).await?;
        fault_point!(ReplayPublished);
        let replayed = Disposal::Replayed(Replayed {
            at: self.clock.now(),
            by: request.by.clone(),
            generation,
        });
        let mut answer = self.store.dispose(id, &replayed, request.again).await?;
        if matches!(answer, DisposeAnswer::Already(Disposal::Discarded { .. })) {
            // Discarded this very moment, which is too late: it is on its way.
            answer = self.store.dispose(id, &replayed, true).await?;
        }
        match answer {
            DisposeAnswer::Disposed => Ok(generation),
            DisposeAnswer::Already(disposal) => Err(ReplayError::Already {
                id: id.clone(),
                disposal,
            }),
            DisposeAnswer::NotFound => Err(ReplayError::NotFound(id.clone())),
        }
    }

    async fn publish(&self, dead_letter: &DeadLetter) -> Result<Generation, ReplayError> {
        match &dead_letter.content {
            DeadLetterContent::Delivery(delivery) => {
                let newest = match &dead_letter.disposal {
                    // No newer one: after a crash before it was marked, the same generation must go out.
                    Disposal::Open => {
                        self.was_not_given_up_since(&dead_letter.id, delivery)
                            .await?;
                        delivery.generation
                    }
                    dealt_with => {
                        self.newest_generation(&dead_letter.id, dealt_with, delivery)
                            .await?
                    }
                };
                let generation = newest.next();
                let replay = replay_of(delivery, generation);
                self.queue
                    .publish_delivery(&replay, Lane::Main, None)
                    .await?;
                self.observer
                    .saw(&Occurrence::Replayed { delivery: &replay });
                Ok(generation)
            }
            DeadLetterContent::Event { event, .. } => {
                self.queue.publish_event(event, None).await?;
                Ok(Generation::FIRST)
            }
            DeadLetterContent::Raw { why, .. } => Err(ReplayError::NotAnEvent {
                id: dead_letter.id.clone(),
                why: why.clone(),
            }),
        }
    }

    async fn was_not_given_up_since(
        &self,
        id: &DeadLetterId,
        delivery: &Delivery,
    ) -> Result<(), ReplayError> {
        let Some(record) = self.store.delivery(&delivery.id).await? else {
            return Ok(());
        };
        let (stage, given_up) = match record.state {
            DeliveryState::DeadLettered { .. } => (Stage::DeadLettered, record.generation),
            // What goes on was a dead letter before.
            _ => (Stage::Retrying, record.generation.before()),
        };
        let standing = DeliveryStanding {
            generation: record.generation,
            stage,
        };
        if !standing.has_newer(delivery.generation) {
            return Ok(());
        }
        Err(ReplayError::Newer {
            id: id.clone(),
            newer: DeadLetterId::derive(&delivery.id, given_up),
        })
    }

    /// The newest generation known of: another dead letter of the delivery may have been replayed since, and a generation
    /// used before would be taken for a duplicate and dropped.
    async fn newest_generation(
        &self,
        id: &DeadLetterId,
        disposal: &Disposal,
        delivery: &Delivery,
    ) -> Result<Generation, ReplayError> {
        let published = match disposal {
            Disposal::Replayed(replayed) => replayed.generation,
            Disposal::Open | Disposal::Discarded { .. } => delivery.generation,
        };
        let record = self.store.delivery(&delivery.id).await?;
        let claimed = match record {
            Some(DeliveryRecord {
                state: DeliveryState::Delivered { at },
                ..
            }) => {
                return Err(ReplayError::Delivered { id: id.clone(), at });
            }
            Some(record) => record.generation,
            None => delivery.generation,
        };
        Ok(delivery.generation.max(published).max(claimed))
    }
}
