//! Values to test with. Each call makes one with ids of its own, so that tests sharing a server stay out of each other's way.

use bytes::Bytes;
use ringback_delivery::port::ClaimNonce;
use ringback_domain::{
    ApiKey, Attempt, AttemptNumber, AttemptOutcome, DeadLetter, DeadLetterReason, Delivery,
    DeliveryId, Destination, Event, EventFilter, EventSummary, Excerpt, Generation, Job, KeyOwner,
    KeyScope, Phases, PlanId, ProjectName, SealedSecret, SecretDigest, Timestamp, TraceContext,
    Trigger, Webhook, WebhookId, WebhookSecret, WebhookState, WorkerId,
    replay_plan::{
        CauseCount, DestinationCount, EntryDelivery, Pacing, PlanEntry, PlanPreview, PlanTerms,
        ReplayPlan, ReplayTarget, StopRule,
    },
};
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Differs between two test processes on one server.
static PROCESS: LazyLock<u64> = LazyLock::new(|| {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(std::process::id())
});

/// A word no other call returns, in this process or another.
pub fn unique(prefix: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{:016x}{number:x}", *PROCESS)
}

/// So many seconds after a morning in June 2026.
pub fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_308_000 + seconds).expect("within the range of timestamps")
}

/// A project of its own.
pub fn project() -> ProjectName {
    unique("acme-")
        .parse()
        .expect("lower-case letters and digits")
}

/// A worker process of its own.
pub fn worker() -> WorkerId {
    unique("wrk_").parse().expect("letters and digits")
}

/// A handling of its own.
pub fn claim_nonce() -> ClaimNonce {
    ClaimNonce(*PROCESS ^ NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A finished job of a project of its own.
pub fn event() -> Event {
    event_of(&project())
}

/// A finished job of this project.
pub fn event_of(project: &ProjectName) -> Event {
    let (id, job) = (unique("evt_"), unique("task_"));
    let document = format!(
        r#"{{"id":"{id}","project":"{project}","type":"task.completed","occurred_at":"2026-06-01T10:00:00Z","job":{{"id":"{job}","kind":"video","status":"completed"}},"data":{{"url":"https://cdn.example.com/v.mp4","seconds":1.50}}}}"#
    );
    Event {
        id: id.parse().expect("letters and digits"),
        project: project.clone(),
        event_type: "task.completed".parse().expect("letters and a full stop"),
        occurred_at: Some(moment(0)),
        accepted_at: None,
        job: Job {
            id: job.parse().expect("letters and digits"),
            kind: Some("video".into()),
            status: Some("completed".into()),
        },
        callback: None,
        document: Bytes::from(document),
    }
}

/// The first attempt of a fresh event's delivery to a webhook.
pub fn delivery() -> Delivery {
    delivery_of(&event(), webhook_destination())
}

/// The first attempt of this event's delivery to this destination.
pub fn delivery_of(event: &Event, destination: Destination) -> Delivery {
    Delivery {
        id: DeliveryId::derive(&event.project, &event.id, &destination.id()),
        event: EventSummary::of(event, moment(1)),
        accepted_at: None,
        destination,
        profile: "standard".parse().expect("a profile name"),
        generation: Generation::FIRST,
        attempt: AttemptNumber::FIRST,
        due_at: None,
        deferral: None,
        history: Vec::new(),
        detour: None,
        trace: Some(TraceContext {
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            tracestate: None,
        }),
        body: event.document.clone(),
    }
}

/// The same delivery, at its next attempt.
#[must_use]
pub fn retry_of(delivery: &Delivery) -> Delivery {
    let mut retry = delivery.clone();
    retry.history.push(attempt_of(delivery));
    retry.attempt = delivery.attempt.next();
    retry.due_at = Some(moment(60));
    retry
}

/// The same delivery, replayed.
#[must_use]
pub fn replay_of(delivery: &Delivery) -> Delivery {
    let mut replay = delivery.clone();
    replay.generation = delivery.generation.next();
    replay.attempt = AttemptNumber::FIRST;
    replay.due_at = None;
    replay
}

/// A registered webhook's side of a delivery.
pub fn webhook_destination() -> Destination {
    let webhook = webhook();
    Destination::Webhook {
        id: webhook.id,
        url: webhook.url,
    }
}

/// A callback's side of a delivery, with a sealed secret.
pub fn callback_destination() -> Destination {
    Destination::Callback {
        url: format!("https://jobs.example.com/{}?token=x", unique(""))
            .parse()
            .expect("a URL"),
        secret: Some(sealed_secret()),
    }
}

/// Has the form of a sealed secret; opens with no key.
pub fn sealed_secret() -> SealedSecret {
    SealedSecret::try_new(format!("{}k1:{}", SealedSecret::PREFIX, unique("AAAA")))
        .expect("the form of a sealed secret")
}

/// An enabled webhook of a project of its own, at its first revision.
pub fn webhook() -> Webhook {
    webhook_of(&project())
}

/// An enabled webhook of this project, at its first revision.
pub fn webhook_of(project: &ProjectName) -> Webhook {
    let id: WebhookId = unique("whk_").parse().expect("letters and digits");
    Webhook {
        url: format!("https://hooks.example.com/{id}")
            .parse()
            .expect("a URL"),
        id,
        project: project.clone(),
        events: EventFilter::Only(["task.completed".parse().expect("an event type")].into()),
        profile: None,
        secrets: vec![WebhookSecret {
            sealed: sealed_secret(),
            signs_from: moment(0),
            overlaps_until: None,
        }],
        headers: vec![("X-Team".into(), "video".into())],
        description: Some("renders \"done\" → team".into()),
        rate_limit: None,
        state: WebhookState::Enabled,
        created_at: moment(0),
        updated_at: moment(0),
        revision: 1,
    }
}

/// So many webhooks of this project, the oldest first.
pub fn webhooks_of(project: &ProjectName, count: i64) -> Vec<Webhook> {
    let at = |second| Webhook {
        created_at: moment(second),
        ..webhook_of(project)
    };
    (0..count).map(at).collect()
}

/// A key of this owner with every member set, at its first revision.
pub fn api_key_of(owner: KeyOwner) -> ApiKey {
    ApiKey {
        id: unique("k").parse().expect("letters and digits"),
        owner,
        scopes: [KeyScope::Publish, KeyScope::Read].into(),
        digest: SecretDigest::of(b"secret"),
        description: Some("build \"main\" → production".into()),
        created_at: moment(0),
        expires_at: Some(moment(1_000)),
        revoked_at: Some(moment(900)),
        last_used_at: Some(moment(800)),
        revision: 1,
    }
}

/// The attempt this delivery is at, refused with 503.
pub fn attempt_of(delivery: &Delivery) -> Attempt {
    Attempt {
        generation: delivery.generation,
        number: delivery.attempt,
        trigger: Trigger::Schedule,
        started_at: moment(2 + i64::from(delivery.attempt.get())),
        worker: worker(),
        phases: Phases {
            connect: Some(Duration::from_millis(12)),
            first_byte: Some(Duration::from_millis(80)),
            total: Duration::from_millis(81),
            ..Phases::default()
        },
        address: Some(([192, 0, 2, 7], 443).into()),
        outcome: AttemptOutcome::Refused {
            status: 503,
            retry_after: Some(Duration::from_secs(30)),
        },
        cut_off: None,
        excerpt: Excerpt::new(b"upstream\xff timed \x1b[31mout", true),
    }
}

/// A first attempt, refused with 503.
pub fn attempt() -> Attempt {
    attempt_of(&delivery())
}

/// A delivery given up after its first attempt.
pub fn dead_letter() -> DeadLetter {
    dead_letter_of(delivery(), moment(100))
}

/// This delivery, given up now after the attempt it is at.
pub fn dead_letter_of(mut delivery: Delivery, died_at: Timestamp) -> DeadLetter {
    delivery.history.push(attempt_of(&delivery));
    DeadLetter::of_delivery(delivery, DeadLetterReason::AttemptsExhausted, died_at)
}

/// An event that no body could be made of.
pub fn event_dead_letter() -> DeadLetter {
    DeadLetter::of_event(
        event(),
        DeadLetterReason::Malformed,
        "`data.url` is missing".into(),
        moment(100),
    )
}

/// Bytes that are no event.
pub fn raw_dead_letter() -> DeadLetter {
    let mut bytes = unique("{\"id\": ").into_bytes();
    bytes.extend([0, 0xff, b'\r', b'\n', 0x80]);
    DeadLetter::of_raw(
        bytes.into(),
        DeadLetterReason::Malformed,
        "`id` is not text".into(),
        moment(100),
    )
}

/// What a plan keeps of this dead letter.
pub fn plan_entry_of(dead_letter: &DeadLetter) -> PlanEntry {
    let delivery = dead_letter.delivery();
    PlanEntry {
        dead_letter: dead_letter.id.clone(),
        delivery: delivery.map(|delivery| EntryDelivery {
            id: delivery.id.clone(),
            generation: delivery.generation,
            destination: delivery.destination.id(),
        }),
    }
}

/// A plan of this project and so many entries, at its first revision, with every member set.
pub fn replay_plan_of(project: &ProjectName, entries: u32) -> ReplayPlan {
    let id: PlanId = unique("rpl_").parse().expect("letters and digits");
    ReplayPlan::new(PlanTerms {
        id,
        project: Some(project.clone()),
        selection: format!("project {project}"),
        reason: "receiver fixed \"today\" → again".into(),
        by: "ada".into(),
        planned_at: moment(200),
        pacing: Pacing::default(),
        target: ReplayTarget::Current,
        stop_rule: StopRule::default(),
        sends_stale: false,
        preview: PlanPreview {
            entries,
            by_destination: vec![DestinationCount {
                destination: unique("whk_").parse().expect("letters and digits"),
                url: "https://hooks.example.com/1".into(),
                entries,
                stale: 1,
            }],
            by_cause: vec![CauseCount {
                fingerprint: "0123456789abcdef".into(),
                summary: "refused 503".into(),
                entries,
            }],
            by_age: [1, 2, 3, 4, 5],
            stale: 1,
            not_events: 0,
        },
    })
}
