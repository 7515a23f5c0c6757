//! Destinations in trouble are told where one would look for why nothing arrives; webhooks are found among many.

use crate::{MANAGE, scene::Scene, visit::Visit};
use http::StatusCode;
use ringback_delivery::port::{ClaimAnswer, ClaimRequest, SettledAs, Settlement, WriteAnswer};
use ringback_domain::{
    Breaker, BreakerRules, BreakerState, Delivery, Destination, DestinationId, Timestamp, Webhook,
};
use ringback_testkit::{
    on_store, samples,
    simulation::{SimulatedStore, TokioClock},
};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// Nothing is sent to this webhook but probes.
async fn spare(scene: &Scene, webhook: &Webhook) -> Breaker {
    open_breaker(scene, DestinationId::webhook(&webhook.id)).await
}

async fn open_breaker(scene: &Scene, destination: DestinationId) -> Breaker {
    let rules = BreakerRules {
        failures: NonZeroU32::new(3).unwrap(),
        probe_first: Duration::from_mins(1),
        probe_max: Duration::from_mins(1),
    };
    let now = scene.services.context.clock.now();
    let breaker = Breaker::opened(destination, now, &rules);
    let store = &scene.services.context.store;
    assert_eq!(
        store.put_breaker(&breaker).await.unwrap(),
        WriteAnswer::Written
    );
    breaker
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_spared_is_told_to_those_whose_it_is() {
    let scene = Scene::begin().await;
    let webhook = scene.webhook("acme", "/spared").await;
    scene.webhook("umbra", "/well").await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    let page = format!("/webhooks/{}", webhook.id);
    let before = visit.get("/").await.body;
    assert!(
        before.contains("No destination is in trouble") && !before.contains("breaker open"),
        "{before}"
    );

    // Nothing waits for it, and nobody has looked at it yet.
    let breaker = spare(&scene, &webhook).await;
    let overview = visit.get("/").await.body;
    for shown in ["breaker open", "next probe in ", &page] {
        assert!(overview.contains(shown), "{shown}: {overview}");
    }
    let webhook_page = visit.get(&page).await.body;
    assert!(
        webhook_page.contains("nothing but probes goes there since"),
        "{webhook_page}"
    );
    let in_trouble = visit.get("/webhooks?state=in_trouble").await.body;
    assert!(in_trouble.contains(&page) && in_trouble.contains("breaker open"));

    // The operator sees it, another project does not.
    let mut operator = Visit::of(&scene);
    operator.sign_in(&scene.key(None, MANAGE).await, None).await;
    for path in ["/", "/?project=acme"] {
        let seen = operator.get(path).await.body;
        assert!(seen.contains("breaker open"), "{path}: {seen}");
    }
    let mut stranger = Visit::of(&scene);
    stranger
        .sign_in(&scene.key(Some("umbra"), MANAGE).await, None)
        .await;
    for path in ["/", "/webhooks"] {
        let seen = stranger.get(path).await.body;
        assert!(!seen.contains("breaker open"), "{path}: {seen}");
    }

    let store = &scene.services.context.store;
    let recovering = breaker.recovering(visit_now(&scene)).unwrap();
    assert!(matches!(recovering.state, BreakerState::Recovering { .. }));
    store.put_breaker(&recovering).await.unwrap();
    let webhook_page = visit.get(&page).await.body;
    assert!(webhook_page.contains("It recovers"), "{webhook_page}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_be_read_is_named_and_hides_no_other() {
    let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
    let scene = Scene::begin_with(|context| on_store(context, store.clone())).await;
    let damaged = scene.webhook("acme", "/damaged").await;
    let whole = scene.webhook("acme", "/whole").await;
    for webhook in [&damaged, &whole] {
        spare(&scene, webhook).await;
    }
    store.damage(&damaged.id);
    let mut visit = Visit::of(&scene);
    let key = scene.key(Some("acme"), MANAGE).await;
    visit.sign_in(&key, None).await;

    let list = visit.get("/webhooks").await.body;
    let why = format!("Webhook <code>{}</code> cannot be read", damaged.id);
    assert!(
        list.contains(&why) && list.contains(whole.id.as_str()),
        "{list}"
    );
    let overview = visit.get("/").await.body;
    assert!(overview.contains(whole.id.as_str()), "{overview}");
    scene.end().await;
}

/// A delivery to a callback waits for its retry.
async fn callback_that_waits(scene: &Scene, url: &str) -> Delivery {
    callback_due(scene, url, visit_now(scene) + Duration::from_hours(1)).await
}

async fn callback_due(scene: &Scene, url: &str, due_at: Timestamp) -> Delivery {
    let destination = Destination::Callback {
        url: url.parse().unwrap(),
        secret: None,
    };
    let event = samples::event_of(&"acme".parse().unwrap());
    let delivery = samples::delivery_of(&event, destination);
    let (store, now) = (&scene.services.context.store, visit_now(scene));
    let request = ClaimRequest {
        delivery: &delivery,
        worker: &samples::worker(),
        nonce: samples::claim_nonce(),
        lease: Duration::from_mins(1),
    };
    let ClaimAnswer::Granted { claim, .. } = store.claim(request).await.unwrap() else {
        panic!("nobody else claimed it");
    };
    let settlement = Settlement {
        claim: &claim,
        delivery: &delivery,
        attempts: &[samples::attempt_of(&delivery)],
        settled_as: &SettledAs::Retrying { due_at },
        at: now,
    };
    store.settle(settlement).await.unwrap();
    delivery
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_to_a_host_that_is_spared_are_told_so() {
    let scene = Scene::begin().await;
    let delivery = callback_that_waits(&scene, "https://jobs.example/done/1").await;
    callback_that_waits(&scene, "https://jobs.example/done/2").await;
    callback_that_waits(&scene, "https://well.example/done/1").await;
    let mut visit = Visit::of(&scene);
    visit.sign_in(&scene.key(None, MANAGE).await, None).await;
    let page = format!("/deliveries/{}", delivery.id);
    for path in ["/", &page] {
        let before = visit.get(path).await.body;
        assert!(!before.contains("breaker open"), "{path}: {before}");
    }
    let host = delivery.destination.host_id(&delivery.event.project);
    open_breaker(&scene, host.unwrap()).await;

    let overview = visit.get("/").await.body;
    assert_eq!(overview.matches("breaker open").count(), 2, "{overview}");
    assert!(
        !overview.contains("more</p>"),
        "it is counted with them: {overview}"
    );
    let delivery_page = visit.get(&page).await.body;
    assert!(
        delivery_page.contains("nothing but probes goes there since"),
        "{delivery_page}"
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_is_late_is_due_and_not_next() {
    let scene = Scene::begin().await;
    let now = visit_now(&scene);
    let late = now - Duration::from_secs(52);
    let late = callback_due(&scene, "https://late.example/", late).await;
    let early = callback_that_waits(&scene, "https://early.example/").await;
    let mut visit = Visit::of(&scene);
    visit.sign_in(&scene.key(None, MANAGE).await, None).await;
    let list = visit.get("/deliveries").await.body;
    for (shown, times) in [("due <time", 1), ("next <time", 1)] {
        assert_eq!(list.matches(shown).count(), times, "{shown}: {list}");
    }
    let page = visit.get(&format!("/deliveries/{}", late.id)).await.body;
    assert!(
        page.contains("due <time") && !page.contains("next attempt"),
        "{page}"
    );
    let page = visit.get(&format!("/deliveries/{}", early.id)).await.body;
    assert!(page.contains("next attempt <time"), "{page}");
    scene.end().await;
}

fn visit_now(scene: &Scene) -> ringback_domain::Timestamp {
    scene.services.context.clock.now()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_webhooks_is_found_by_words_and_state() {
    let scene = Scene::begin().await;
    for number in 0..30 {
        scene.webhook("acme", &format!("/Customer-{number}")).await;
    }
    let secret = scene.webhook("acme", "/last?token=hidden").await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    let all = visit.get("/webhooks").await.body;
    assert!(all.contains("31 webhooks, page 1 of 2"), "{all}");

    let found = visit.get("/webhooks?q=customer-1").await.body;
    assert!(!found.contains("page 1 of") && !found.contains("Customer-2"));
    assert_eq!(
        found.matches("href=\"/webhooks/whk_").count(),
        11,
        "{found}"
    );
    let one = visit.get("/webhooks?q=CUSTOMER-17+127.0.0.1").await.body;
    assert_eq!(one.matches("href=\"/webhooks/whk_").count(), 1, "{one}");
    let by_id = visit.get(&format!("/webhooks?q={}", secret.id)).await.body;
    assert_eq!(by_id.matches("href=\"/webhooks/whk_").count(), 1, "{by_id}");

    // The pages of what was found keep what was looked for.
    let pages = visit.get("/webhooks?q=customer&page=2").await.body;
    assert!(pages.contains("30 webhooks, page 2 of 2"), "{pages}");
    assert!(pages.contains("?q=customer&amp;page=1"), "{pages}");

    // What may be secret in a URL cannot be found out letter by letter.
    let none = visit.get("/webhooks?q=hidden").await.body;
    assert!(none.contains("No webhook matches"), "{none}");

    let path = format!("/webhooks/{}/disable", secret.id);
    visit.post(&path, &[]).await;
    let disabled = visit.get("/webhooks?state=disabled").await.body;
    assert_eq!(disabled.matches("href=\"/webhooks/whk_").count(), 1);
    let faulty = visit.get("/webhooks?state=lost").await;
    assert_eq!(faulty.status, StatusCode::OK);
    assert!(
        faulty.body.contains("The filter cannot be applied"),
        "{}",
        faulty.body
    );
    scene.end().await;
}
