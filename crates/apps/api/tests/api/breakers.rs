//! Breakers: who is spared is told to those whose it is.

use crate::{
    installation::{Ground, Installation},
    on_both_grounds,
};
use ringback_delivery::port::{
    ClaimAnswer, ClaimNonce, ClaimRequest, SettledAs, Settlement, WriteAnswer,
};
use ringback_domain::{
    Breaker, BreakerRules, BreakerState, Destination, DestinationId, Timestamp, Webhook,
};
use ringback_testkit::samples;
use serde_json::{Value, json};
use std::{num::NonZeroU32, time::Duration};

on_both_grounds! {
    who_is_spared_is_told_to_those_whose_it_is,
    a_callback_is_told_to_a_project_that_waits_for_it,
    a_breaker_that_says_nothing_any_more_is_not_listed,
}

const RULES: BreakerRules = BreakerRules {
    failures: NonZeroU32::new(3).unwrap(),
    probe_first: Duration::from_mins(1),
    probe_max: Duration::from_mins(1),
};

async fn webhook(installation: &Installation, project: &str) -> Webhook {
    let webhook = Webhook {
        url: "https://shop.example/hook?token=never-shown"
            .parse()
            .unwrap(),
        ..samples::webhook_of(&project.parse().unwrap())
    };
    let store = &installation.services.context.store;
    let written = store.put_webhook(&webhook).await.unwrap();
    assert_eq!(written, WriteAnswer::Written);
    webhook
}

async fn opened(installation: &Installation, destination: DestinationId, at: Timestamp) -> Breaker {
    let breaker = Breaker::opened(destination, at, &RULES);
    let store = &installation.services.context.store;
    let written = store.put_breaker(&breaker).await.unwrap();
    assert_eq!(written, WriteAnswer::Written);
    breaker
}

/// The destinations of a piece of the list, and its cursor.
async fn listed(
    installation: &Installation,
    query: &str,
    key: &str,
) -> (Vec<String>, Option<String>) {
    let path = format!("/api/v1/breakers{query}");
    let list = installation.get(&path, key).await.json(200);
    let entries = list["data"].as_array().unwrap().iter();
    let ids = entries.map(|entry| entry["destination"].as_str().unwrap().to_owned());
    let next = list["next_cursor"].as_str().map(ToOwned::to_owned);
    (ids.collect(), next)
}

async fn who_is_spared_is_told_to_those_whose_it_is(ground: Ground) {
    let installation = Installation::start_without_workers(ground, []).await;
    let now = installation.services.context.clock.now();
    let (ours, theirs) = (
        webhook(&installation, "acme").await,
        webhook(&installation, "hinto").await,
    );
    webhook(&installation, "acme").await;
    let destination = |webhook: &Webhook| DestinationId::webhook(&webhook.id);
    let breaker = opened(&installation, destination(&ours), now).await;
    let since = now - Duration::from_secs(1);
    opened(&installation, destination(&theirs), since).await;

    let acme = installation.project_key("acme").await;
    let list = installation.get("/api/v1/breakers", &acme).await.json(200);
    let mut expected = json!({
        "destination": ours.id.as_str(),
        "project": "acme",
        "url": ours.display_url(),
        "state": "open",
        "opened_at": list["data"][0]["opened_at"],
        "probes": 0,
        "next_probe_at": list["data"][0]["next_probe_at"],
        "recovering_since": null,
    });
    assert_eq!(list["data"], json!([expected]));
    assert!(!list.to_string().contains("never-shown"), "{list}");
    let moment = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let waits = moment(&expected["next_probe_at"]) - moment(&expected["opened_at"]);
    assert_eq!(waits.get_seconds(), 60);

    let recovering = breaker.recovering(now).unwrap();
    assert!(matches!(recovering.state, BreakerState::Recovering { .. }));
    let store = &installation.services.context.store;
    store.put_breaker(&recovering).await.unwrap();
    let list = installation.get("/api/v1/breakers", &acme).await.json(200);
    expected["state"] = json!("recovering");
    expected["probes"] = Value::Null;
    expected["next_probe_at"] = Value::Null;
    expected["recovering_since"] = list["data"][0]["recovering_since"].clone();
    assert!(expected["recovering_since"].is_string(), "{list}");
    assert_eq!(list["data"], json!([expected]));

    // The operator sees both, the one in trouble for longest first, in pieces too, or those of the project asked for.
    let operator = &installation.operator;
    let ids = [theirs.id.to_string(), ours.id.to_string()];
    assert_eq!(
        listed(&installation, "", operator).await,
        (ids.to_vec(), None)
    );
    let (first, cursor) = listed(&installation, "?limit=1", operator).await;
    assert_eq!(first, ids[..1]);
    let rest = format!("?limit=1&cursor={}", cursor.unwrap());
    let (second, end) = listed(&installation, &rest, operator).await;
    assert_eq!((&second[..], end), (&ids[1..], None));
    let (of_acme, _) = listed(&installation, "?project=acme", operator).await;
    assert_eq!(of_acme, ids[1..]);
    installation
        .get("/api/v1/breakers?cursor=nonsense", operator)
        .await
        .faulty();

    let removed = format!("/api/v1/webhooks/{}", ours.id);
    let answer = installation.call("DELETE", &removed, &acme, "").await;
    answer.nothing(204);
    assert_eq!(listed(&installation, "", &acme).await, (vec![], None));
    installation.stop().await;
}

async fn a_callback_is_told_to_a_project_that_waits_for_it(ground: Ground) {
    let installation = Installation::start_without_workers(ground, []).await;
    let now = installation.services.context.clock.now();
    let callback = |url: &str| Destination::Callback {
        url: url.parse().unwrap(),
        secret: None,
    };
    let (known, unknown) = (
        callback("https://jobs.example/done?token=never-shown"),
        callback("https://elsewhere.example/done"),
    );
    let event = samples::event_of(&"acme".parse().unwrap());
    let delivery = samples::delivery_of(&event, known.clone());
    let store = &installation.services.context.store;
    let worker = samples::worker();
    let request = ClaimRequest {
        delivery: &delivery,
        worker: &worker,
        nonce: ClaimNonce(1),
        lease: Duration::from_mins(1),
    };
    let ClaimAnswer::Granted { claim, .. } = store.claim(request).await.unwrap() else {
        panic!("nobody else is here")
    };
    let settlement = Settlement {
        claim: &claim,
        delivery: &delivery,
        attempts: &[samples::attempt_of(&delivery)],
        settled_as: &SettledAs::Retrying {
            due_at: now + Duration::from_mins(5),
        },
        at: now,
    };
    store.settle(settlement).await.unwrap();
    opened(&installation, known.id(), now).await;
    let since = now - Duration::from_secs(1);
    opened(&installation, unknown.id(), since).await;
    let host = known.host_id(&event.project).unwrap();
    let later = now + Duration::from_secs(1);
    opened(&installation, host.clone(), later).await;

    let acme = installation.project_key("acme").await;
    let list = installation.get("/api/v1/breakers", &acme).await.json(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "{list}");
    assert_eq!(list["data"][1]["destination"], host.as_str());
    assert_eq!(list["data"][1]["url"], "https://jobs.example");
    assert_eq!(list["data"][1]["project"], "acme");
    assert_eq!(list["data"][0]["destination"], known.id().as_str());
    assert_eq!(list["data"][0]["url"], known.display_url());
    assert!(list["data"][0]["project"].is_null(), "{list}");
    assert!(!list.to_string().contains("never-shown"), "{list}");

    let hinto = installation.project_key("hinto").await;
    assert_eq!(listed(&installation, "", &hinto).await, (vec![], None));
    let all = installation.get("/api/v1/breakers", &installation.operator);
    let all = all.await.json(200);
    assert_eq!(all["data"][0]["destination"], unknown.id().as_str());
    assert!(all["data"][0]["url"].is_null(), "{all}");
    assert_eq!(all["data"][1]["url"], known.display_url());
    installation.stop().await;
}

async fn a_breaker_that_says_nothing_any_more_is_not_listed(ground: Ground) {
    let installation = Installation::start_without_workers(ground, []).await;
    let now = installation.services.context.clock.now();
    let day = Duration::from_hours(24);
    let forgotten = webhook(&installation, "acme").await;
    let long_ago = now - day - Duration::from_mins(2);
    opened(
        &installation,
        DestinationId::webhook(&forgotten.id),
        long_ago,
    )
    .await;
    let recovered = webhook(&installation, "acme").await;
    let destination = DestinationId::webhook(&recovered.id);
    let breaker = opened(&installation, destination, now - Duration::from_mins(2)).await;
    let over = breaker.recovering(now - Duration::from_mins(1)).unwrap();
    let store = &installation.services.context.store;
    store.put_breaker(&over).await.unwrap();

    let operator = &installation.operator;
    assert_eq!(listed(&installation, "", operator).await, (vec![], None));
    let spared = webhook(&installation, "acme").await;
    opened(&installation, DestinationId::webhook(&spared.id), now).await;
    let (ids, _) = listed(&installation, "", operator).await;
    assert_eq!(ids, [spared.id.to_string()]);
    installation.stop().await;
}
