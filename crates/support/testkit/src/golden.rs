//! A store as it was filled once, and what must be found in it ever after.
//!
//! An upgrade reads what the release before it wrote. Each edge keeps a store that [`fill`] filled, as a file of its own
//! kind, made once per version of the wire format and never again; its test opens it and asks [`assert_holds`]. The records
//! are those of the wire format's golden files.

use crate::samples;
use bytes::Bytes;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimNonce, ClaimRequest, DeadLetterFilter, DeliveryFilter, EventMark,
    SettledAs, Settlement, Store,
};
use ringback_domain::{
    ApiKey, DeadLetter, DeadLetterId, DeadLetterReason, Delivery, EventId, ProjectName, Webhook,
    WorkerId,
};
use ringback_wire::{api_key, delivery, record};
use std::time::Duration;

/// How long everything in a golden store is kept, by the settings it is filled and opened with.
pub const KEPT_FOR: Duration = Duration::from_hours(24 * 365 * 100);

/// The lease of the one claim that nobody settled.
const LEASE: Duration = Duration::from_millis(1);

fn webhook() -> Webhook {
    let bytes = include_bytes!("../../../edge/wire/tests/golden/v1.webhook");
    record::decode_webhook(bytes).expect("a golden file")
}

fn key() -> ApiKey {
    let bytes = include_bytes!("../../../edge/wire/tests/golden/v1.api_key");
    api_key::decode(bytes).expect("a golden file")
}

fn dead_letter() -> DeadLetter {
    let bytes = include_bytes!("../../../edge/wire/tests/golden/v1.dead_letter");
    record::decode_dead_letter(&Bytes::from_static(bytes)).expect("a golden file")
}

/// A delivery whose fate its number decides.
fn numbered(number: u8) -> Delivery {
    let bytes = include_bytes!("../../../edge/wire/tests/golden/v1.delivery");
    let delivery = delivery::decode(&Bytes::from_static(bytes)).expect("a golden file");
    let id = format!("dlv_{number:032x}");
    Delivery {
        id: id.parse().expect("a delivery id"),
        ..delivery
    }
}

fn delivered() -> Delivery {
    numbered(1)
}

fn waiting() -> Delivery {
    numbered(2)
}

fn given_up() -> Delivery {
    numbered(3)
}

fn abandoned() -> Delivery {
    numbered(4)
}

fn given_up_letter() -> DeadLetter {
    let reason = DeadLetterReason::AttemptsExhausted;
    DeadLetter::of_delivery(given_up(), reason, samples::moment(20))
}

fn worker() -> WorkerId {
    "wrk_golden".parse().expect("a worker id")
}

fn marked() -> (ProjectName, EventId) {
    let event = delivered().event;
    (event.project, event.id)
}

fn mark() -> EventMark {
    EventMark {
        dispatched_at: samples::moment(5),
        deliveries: 4,
    }
}

async fn claim(store: &dyn Store, delivery: &Delivery) -> ClaimAnswer {
    let request = ClaimRequest {
        delivery,
        worker: &worker(),
        nonce: ClaimNonce(7),
        lease: LEASE,
    };
    store.claim(request).await.expect("the store answers")
}

async fn granted(store: &dyn Store, delivery: &Delivery) -> Claim {
    match claim(store, delivery).await {
        ClaimAnswer::Granted { claim, .. } => claim,
        answer => panic!("{} is not granted: {answer:?}", delivery.id),
    }
}

/// Fills an empty store.
///
/// # Panics
///
/// When the store refuses something.
pub async fn fill(store: &dyn Store) {
    let (webhook, key) = (webhook(), key());
    for revision in 1..=webhook.revision {
        let earlier = Webhook {
            revision,
            ..webhook.clone()
        };
        store.put_webhook(&earlier).await.expect("a webhook");
    }
    for revision in 1..=key.revision {
        let earlier = ApiKey {
            revision,
            ..key.clone()
        };
        store.put_key(&earlier).await.expect("a key");
    }
    let fates = [
        (delivered(), SettledAs::Delivered),
        (
            waiting(),
            SettledAs::Retrying {
                due_at: samples::moment(90),
            },
        ),
        (
            given_up(),
            SettledAs::DeadLettered(Box::new(given_up_letter())),
        ),
    ];
    for (delivery, settled_as) in fates {
        let claim = granted(store, &delivery).await;
        let settlement = Settlement {
            claim: &claim,
            delivery: &delivery,
            attempts: &delivery.history,
            settled_as: &settled_as,
            at: samples::moment(30),
        };
        store.settle(settlement).await.expect("a settlement");
    }
    granted(store, &abandoned()).await;
    let shown = store.show_attempting(&abandoned()).await;
    shown.expect("it can be shown");
    let dead_letter = dead_letter();
    store
        .put_dead_letter(&dead_letter)
        .await
        .expect("a dead letter");
    let (project, event) = marked();
    store
        .mark_event(&project, &event, mark(), mark().dispatched_at)
        .await
        .expect("a mark");
}

/// Everything is there that [`fill`] put there, and means the same.
///
/// # Panics
///
/// When it does not.
pub async fn assert_holds(store: &dyn Store) {
    let webhook = webhook();
    let found = store.webhook(&webhook.id).await.expect("it can be read");
    assert_eq!(found.as_ref(), Some(&webhook));
    let found = store
        .webhooks(&webhook.project)
        .await
        .map(|list| list.entries);
    assert_eq!(found.expect("they can be read"), [webhook]);
    let found = store.keys().await.expect("they can be read");
    assert_eq!(found, [key()]);
    let (project, event) = marked();
    let found = store.event_mark(&project, &event).await;
    assert_eq!(found.expect("it can be read"), Some(mark()));
    assert_holds_deliveries(store).await;
    assert_holds_dead_letters(store).await;
    assert_holds_claims(store).await;
}

async fn assert_holds_deliveries(store: &dyn Store) {
    let all = store.deliveries(&DeliveryFilter::default(), None, 10).await;
    assert_eq!(all.expect("they can be listed").entries.len(), 4);
    for (delivery, class, attempts) in [
        (delivered(), "delivered", true),
        (waiting(), "waiting", true),
        (given_up(), "dead_lettered", true),
        (abandoned(), "attempting", false),
    ] {
        let record = store.delivery(&delivery.id).await.expect("it can be read");
        let record = record.expect("it is there");
        assert_eq!(record.state.class(), class, "{}", delivery.id);
        assert_eq!(record.event, delivery.event);
        assert_eq!(record.profile, delivery.profile);
        assert_eq!(record.generation, delivery.generation);
        let made = if attempts {
            delivery.history
        } else {
            Vec::new()
        };
        assert_eq!(record.attempts, made, "{}", record.id);
    }
}

async fn assert_holds_dead_letters(store: &dyn Store) {
    let filter = DeadLetterFilter {
        include_disposed: true,
        ..DeadLetterFilter::default()
    };
    let all = store.dead_letters(&filter, None, 10).await;
    assert_eq!(all.expect("they can be listed").entries.len(), 2);
    for dead_letter in [dead_letter(), given_up_letter()] {
        let found = store.dead_letter(&dead_letter.id).await;
        let found = found.expect("it can be read").expect("it is there");
        assert_eq!(written(&found), written(&dead_letter));
    }
    let derived = DeadLetterId::derive(&given_up().id, given_up().generation);
    assert_eq!(given_up_letter().id, derived);
}

fn written(dead_letter: &DeadLetter) -> Bytes {
    record::encode_dead_letter(dead_letter).expect("it can be written")
}

/// The claims still do what they are for.
async fn assert_holds_claims(store: &dyn Store) {
    let next = |delivery: Delivery| samples::retry_of(&delivery);
    for past in [delivered(), next(delivered()), waiting(), given_up()] {
        let answer = claim(store, &past).await;
        assert_eq!(answer, ClaimAnswer::Settled, "{} {}", past.id, past.attempt);
    }
    granted(store, &next(waiting())).await;
    granted(store, &samples::replay_of(&given_up())).await;
    let ClaimAnswer::Granted {
        expired: Some(expired),
        ..
    } = claim_as_another(store, &abandoned()).await
    else {
        panic!("the claim that nobody settled is gone");
    };
    assert_eq!(expired.worker, worker());
}

async fn claim_as_another(store: &dyn Store, delivery: &Delivery) -> ClaimAnswer {
    let request = ClaimRequest {
        delivery,
        worker: &samples::worker(),
        nonce: samples::claim_nonce(),
        lease: LEASE,
    };
    store.claim(request).await.expect("the store answers")
}
