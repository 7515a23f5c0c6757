//! The load: which events there are, where each has to go, and the producers that publish them.

use crate::{
    judge::{Millis, Published},
    millis,
    schedule::Dice,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ringback_producer::{ConnectError, Producer, PublishError};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval},
};

/// How long a producer waits for a confirm. Shorter than some faults last, so that some events stay unacknowledged.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(8);
/// Publishes under way at once.
const IN_FLIGHT_MAX: usize = 512;
/// The fastest pace, and that of a drill without faults.
const PACE_MIN: Duration = Duration::from_millis(2);

/// A destination of the drill.
pub(crate) struct Destination {
    /// Its name: also the last part of its URL.
    pub(crate) name: &'static str,
    /// The project that it belongs to.
    pub(crate) project: &'static str,
    /// How it answers, in the receiver's words.
    pub(crate) manner: &'static str,
}

/// The destination by which recovery is measured.
pub(crate) const STEADY: &str = "steady";

pub(crate) const DESTINATIONS: [Destination; 5] = [
    Destination {
        name: STEADY,
        project: "steady",
        manner: "accepts",
    },
    Destination {
        name: "flaky",
        project: "flaky",
        manner: "fails-first",
    },
    Destination {
        name: "doomed",
        project: "doomed",
        manner: "refuses-half",
    },
    Destination {
        name: "left",
        project: "pair",
        manner: "accepts",
    },
    Destination {
        name: "right",
        project: "pair",
        manner: "accepts",
    },
];

/// What kind of event has which number, of each twenty: project and destinations.
fn kind_of(number: u64) -> (&'static str, &'static [&'static str]) {
    match number % 20 {
        0..14 => ("steady", &[STEADY]),
        14..17 => ("flaky", &["flaky"]),
        17 => ("doomed", &["doomed"]),
        _ => ("pair", &["left", "right"]),
    }
}

/// The secret that a destination's receiver knows, as the seed has it.
pub(crate) fn secret_of(seed: u64, destination: usize) -> String {
    let mut dice = Dice(seed ^ (destination as u64 + 1).rotate_left(32));
    let bytes: Vec<u8> = (0..4).flat_map(|_| dice.next().to_le_bytes()).collect();
    format!("whsec_{}", STANDARD.encode(bytes))
}

/// An event as a producer publishes it, and what has to arrive.
fn event_of(seed: u64, number: u64) -> (String, Published) {
    let (project, destinations) = kind_of(number);
    let id = format!("evt-{seed}-{number}");
    let filling = "x".repeat(usize::try_from(Dice(seed ^ number).next() % 400).unwrap_or(0));
    // Digits, escapes and order are the producer's own: a body is not rendered as these bytes by accident.
    let body = format!(
        r#"{{"event":"{id}","price":1.50,"name":"caf\u00e9 é","10":1,"9":[],"filling":"{filling}"}}"#
    );
    let text = format!(
        r#"{{"id":"{id}","project":"{project}","type":"job.completed","occurred_at":"2026-06-01T10:01:30Z","job":{{"id":"job-{number}"}},"data":{body}}}"#
    );
    let published = Published {
        id,
        destinations,
        digest: hex(&Sha256::digest(body.as_bytes())),
        acknowledged_at: None,
    };
    (text, published)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What the producers did so far.
#[derive(Default)]
pub(crate) struct Ledger {
    events: Mutex<Vec<Published>>,
}

impl Ledger {
    fn attempt(&self, event: Published) -> usize {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
        events.len() - 1
    }

    fn acknowledge(&self, index: usize, at: Millis) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)[index].acknowledged_at =
            Some(at);
    }

    pub(crate) fn published(&self) -> Vec<Published> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The producers: applications of the platform, each with a connection of its own.
pub(crate) struct Load {
    producers: Vec<Producer>,
    seed: u64,
    /// Between two events.
    pace: Duration,
}

impl Load {
    pub(crate) async fn connect(
        urls: &str,
        prefix: &str,
        count: usize,
        seed: u64,
        pace: Duration,
    ) -> Result<Self, ConnectError> {
        let mut producers = Vec::new();
        for _ in 0..count {
            let producer = Producer::builder(urls)
                .prefix(prefix)
                .confirm_timeout(CONFIRM_TIMEOUT);
            producers.push(producer.connect().await?);
        }
        Ok(Self {
            producers,
            seed,
            pace: pace.max(PACE_MIN),
        })
    }

    /// Publishes the events from `done` on, one after the other at the pace, as far as `allowed` goes; ends after the last.
    ///
    /// An event whose publish fails is not published again: it stays unacknowledged, which is a case of its own.
    pub(crate) async fn run(
        self,
        events: u64,
        mut allowed: watch::Receiver<u64>,
        done: watch::Sender<u64>,
        ledger: Arc<Ledger>,
    ) -> Option<PublishError> {
        let slots = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let refused = Arc::new(Mutex::new(None));
        let mut pace = interval(self.pace);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0..events {
            if allowed.wait_for(|allowed| *allowed > number).await.is_err() {
                break;
            }
            pace.tick().await;
            let slot = slots
                .clone()
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let producer =
                self.producers[usize::try_from(number).unwrap_or(0) % self.producers.len()].clone();
            let (text, event) = event_of(self.seed, number);
            let index = ledger.attempt(event);
            let (ledger, refused) = (ledger.clone(), refused.clone());
            tokio::spawn(async move {
                match producer.publish_json(text.into_bytes()).await {
                    Ok(_) => ledger.acknowledge(index, millis()),
                    Err(error) if error.is_passing() => {}
                    Err(error) => {
                        refused
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert(error);
                    }
                }
                drop(slot);
            });
            done.send_replace(number + 1);
        }
        let all = u32::try_from(IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        let _ = slots.acquire_many(all).await;
        for producer in &self.producers {
            producer.close().await;
        }
        refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_destination_gets_events_of_its_project_only() {
        let mut reached = BTreeSet::new();
        for number in 0..20 {
            let (project, destinations) = kind_of(number);
            for name in destinations {
                let destination = DESTINATIONS
                    .iter()
                    .find(|destination| destination.name == *name)
                    .unwrap();
                assert_eq!(destination.project, project);
                reached.insert(*name);
            }
            let of_project = DESTINATIONS
                .iter()
                .filter(|destination| destination.project == project)
                .count();
            assert_eq!(
                of_project,
                destinations.len(),
                "all webhooks of a project get its events"
            );
        }
        assert_eq!(
            reached,
            DESTINATIONS
                .iter()
                .map(|destination| destination.name)
                .collect()
        );
    }

    #[test]
    fn an_event_is_the_same_whenever_it_is_made_and_no_two_are_alike() {
        assert_eq!(event_of(1, 7), event_of(1, 7));
        assert_ne!(event_of(1, 7).1.digest, event_of(1, 8).1.digest);
        assert_ne!(event_of(1, 7).1.id, event_of(2, 7).1.id);
    }

    #[test]
    fn every_destination_has_a_secret_of_its_own() {
        let secrets: BTreeSet<_> = (0..DESTINATIONS.len())
            .map(|index| secret_of(1, index))
            .collect();
        assert_eq!(secrets.len(), DESTINATIONS.len());
        assert!(secrets.iter().all(|secret| secret.len() > 40));
    }
}
