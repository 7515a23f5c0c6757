//! The people around the workers: a producer, and an operator who changes webhooks and replays dead letters.

use crate::{dice::Fault, plan::HEALED_AFTER, worker::World};
use bytes::Bytes;
use ringback_delivery::{
    Replay, ReplayRequest,
    port::{DeadLetterFilter, DeadLetterStore, Queue, WebhookStore, WriteAnswer},
};
use ringback_domain::{
    Callback, Event, EventFilter, Job, ProjectName, Timestamp, Webhook, WebhookId, WebhookState,
};
use std::{sync::Arc, time::Duration};

pub(crate) fn project() -> ProjectName {
    "acme".parse().expect("a project name")
}

fn webhook_id(number: u64) -> WebhookId {
    format!("whk_{number}").parse().expect("a webhook id")
}

/// Every third webhook would rather ask a person than get something twice.
pub(crate) fn is_careful(host: &str) -> bool {
    host.starts_with("careful")
}

fn webhook(number: u64, now: Timestamp) -> Webhook {
    let host = if number.is_multiple_of(3) {
        "careful"
    } else {
        "webhook"
    };
    let profile = number.is_multiple_of(3).then_some("careful");
    let url = format!("https://{host}{number}.example/1");
    Webhook {
        id: webhook_id(number),
        project: project(),
        url: url.parse().expect("a URL"),
        events: EventFilter::All,
        profile: profile.map(|name| name.parse().expect("a profile name")),
        secrets: Vec::new(),
        headers: Vec::new(),
        description: None,
        rate_limit: None,
        state: WebhookState::Enabled,
        created_at: now,
        updated_at: now,
        revision: 1,
    }
}

/// Registers the webhooks that are there from the beginning.
pub(crate) async fn register(world: &World) {
    for number in 1..=world.plan.size.webhooks {
        let webhook = webhook(number, world.now());
        while world.store.put_webhook(&webhook).await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Publishes the events, each until it is accepted.
pub(crate) async fn produce(world: Arc<World>) {
    for number in 1..=world.plan.size.events {
        let about = format!("evt_{number}");
        let event = event(&world, number);
        tokio::time::sleep(world.dice.millis(0..30_000, "pause", &about)).await;
        let times = 1 + u64::from(world.dice.strikes(Fault::PublishedAgain, &about).is_some());
        for _ in 0..times {
            // A producer that got no confirm publishes again, with the same id.
            while world.queue.publish_event(&event, None).await.is_err() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            world.witness.event_accepted(&event.id);
        }
        if world.dice.below(8, "bytes", &about) == 0 {
            let bytes = Bytes::from(format!("{{\"id\": \"{about}\", \"project\""));
            let _ = world.queue.publish_raw_event(bytes).await;
        }
    }
}

fn event(world: &World, number: u64) -> Event {
    let id = format!("evt_{number}");
    // One that no body can be made of, now and then.
    let data = if world.dice.below(10, "data", &id) == 0 {
        "null"
    } else {
        r#"{"seconds":1.50,"name":"a\u00e9"}"#
    };
    let document = format!(
        r#"{{"id":"{id}","project":"acme","type":"task.completed","occurred_at":"2026-06-01T10:00:00Z","job":{{"id":"task_{number}"}},"data":{data}}}"#
    );
    let callback = (world.dice.below(3, "callback", &id) == 0).then(|| Callback {
        url: format!("https://callback.example/{number}")
            .parse()
            .expect("a URL"),
        secret: None,
    });
    Event {
        id: id.parse().expect("an event id"),
        project: project(),
        event_type: "task.completed".parse().expect("an event type"),
        occurred_at: Some(world.now()),
        accepted_at: None,
        job: Job {
            id: format!("task_{number}").parse().expect("a job id"),
            kind: None,
            status: None,
        },
        callback,
        document: document.into(),
    }
}

/// Changes webhooks and replays dead letters, a few times, until everything is healed.
pub(crate) async fn operate(world: Arc<World>) {
    for turn in 1..=8_u32 {
        let wait = world
            .dice
            .millis(1_000..HEALED_MILLIS / 9, "turn", "operator");
        tokio::time::sleep(wait).await;
        let about = format!("turn {turn}");
        if let Some(size) = world.dice.strikes(Fault::WebhookChanged, &about) {
            change_a_webhook(&world, size).await;
        }
        if let Some(size) = world.dice.strikes(Fault::Replay, &about) {
            // One who loses patience, or whose terminal dies, in the middle of it.
            let patience = Duration::from_millis(if size.is_multiple_of(3) {
                size % 60
            } else {
                60_000
            });
            let _ = tokio::time::timeout(patience, replay_some(&world, size)).await;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "five minutes")]
const HEALED_MILLIS: u64 = HEALED_AFTER.as_millis() as u64;

async fn change_a_webhook(world: &World, size: u64) {
    let id = webhook_id(1 + size % world.plan.size.webhooks);
    let Ok(found) = world.store.webhook(&id).await else {
        return;
    };
    let now = world.now();
    let Some(found) = found else {
        let anew = webhook(1 + size % world.plan.size.webhooks, now);
        let _ = world.store.put_webhook(&anew).await;
        return;
    };
    let mut changed = Webhook {
        revision: found.revision + 1,
        updated_at: now,
        ..found
    };
    match (size >> 8) % 4 {
        0 => {
            let _ = world.store.remove_webhook(&id).await;
            return;
        }
        1 if changed.is_enabled() => {
            changed.state = WebhookState::Disabled {
                at: now,
                reason: "by operator".into(),
            };
        }
        1 | 2 => changed.state = WebhookState::Enabled,
        _ => {
            let path = format!("/{}", changed.revision);
            changed.url.set_path(&path);
        }
    }
    match world.store.put_webhook(&changed).await {
        Ok(WriteAnswer::Written | WriteAnswer::Conflict) | Err(_) => {}
    }
}

async fn replay_some(world: &World, size: u64) {
    let replay = Replay {
        queue: Arc::new(world.queue.clone()),
        store: world.store.clone(),
        profiles: crate::run::profiles(),
        clock: Arc::new(world.clock),
        observer: world.witness.clone(),
    };
    let filter = DeadLetterFilter {
        include_disposed: size & 1 == 0,
        ..DeadLetterFilter::default()
    };
    let Ok(page) = world.store.dead_letters(&filter, None, 4).await else {
        return;
    };
    for dead_letter in page.entries {
        let request = ReplayRequest {
            id: dead_letter.id,
            by: "ada".into(),
            again: size & 2 == 0,
            sends_stale: false,
        };
        let _ = replay.replay(&request).await;
    }
}

impl World {
    fn now(&self) -> Timestamp {
        ringback_delivery::port::Clock::now(&self.clock)
    }
}
