//! The four platforms' promises that concern sending, by their numbers: who gets what, how often, and signed how.
//! Those that concern bodies and headers are tests of `ringback-profile`.

use crate::{
    modelhunter_event,
    world::{SECRET, World},
};
use ringback_domain::{Callback, CallbackSecret, Event, EventFilter};
use ringback_signing::{Received, Secret, SignatureScheme};
use ringback_testkit::simulation::{accepts, answers};

const CALLBACK_URL: &str = "https://yourapp.example/webhook?job=7&sig=a%2Fb";

fn hinto_event(world: &World, secret: Option<&str>) -> Event {
    let text = format!(
        r#"{{"id":"evt_1","project":"{}","type":"job.completed","occurred_at":"2026-06-01T10:01:30Z","job":{{"id":"5f0c2c1e-6d7b-4b7a-9a51-2f1d0c9b8a77","kind":"generate","status":"completed","output":{{"a":1}},"error":null,"created_at":"2026-06-01T10:00:00Z","completed_at":"2026-06-01T10:01:30Z"}}}}"#,
        world.project
    );
    let mut event = ringback_wire::event::parse(&text.into()).unwrap();
    let secret =
        secret.map(|secret| CallbackSecret::Sealed(world.sealed_callback(CALLBACK_URL, secret)));
    event.callback = Some(Callback {
        url: CALLBACK_URL.parse().unwrap(),
        secret,
    });
    event
}

/// The header's value in every request, in order; absent ones too.
fn header(world: &World, name: &str) -> Vec<Option<String>> {
    world.sender.with_requests(|requests| {
        let of = |request: &ringback_delivery::port::Request| {
            let found = request
                .headers
                .iter()
                .find(|(header, _)| header.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        requests.iter().map(of).collect()
    })
}

/// Verifies the signature of every request that has the scheme's header; how many did.
fn verified(world: &World, scheme: &SignatureScheme, secret: &str) -> usize {
    let secret = Secret::try_new(secret.to_owned()).unwrap();
    world.sender.with_requests(|requests| {
        let signed = requests.iter().filter(|request| {
            request
                .headers
                .iter()
                .any(|(header, _)| header.eq_ignore_ascii_case(scheme.header()))
        });
        signed
            .inspect(|request| {
                let find = |name: &str| {
                    let found = request
                        .headers
                        .iter()
                        .find(|(header, _)| header.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.as_str())
                };
                let received = Received {
                    signature: find(scheme.header()),
                    id: find("X-Webhook-ID"),
                    timestamp: find("X-Webhook-Timestamp"),
                    body: &request.body,
                };
                scheme
                    .verify(std::slice::from_ref(&secret), received, None)
                    .expect("the signature is right");
            })
            .count()
    })
}

fn scheme(profile: &str, kind: ringback_profile::DestinationKind) -> SignatureScheme {
    ringback_profile::Profile::builtin(profile)
        .unwrap()
        .signature(kind)
        .unwrap()
        .clone()
}

#[tokio::test(start_paused = true)]
async fn hi_4_a_callback_and_a_project_webhook_are_two_deliveries_with_a_fate_of_their_own() {
    let world = World::new(Some("hinto"), [answers(500), accepts(), accepts()]);
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world
        .publish(&hinto_event(&world, Some("cb-secret-1")))
        .await;
    world.run().await;
    let story = world.recorder.story();
    assert!(story.contains("event dispatched to 2"), "{story}");
    assert_eq!(story.matches("delivered").count(), 2, "{story}");
    assert_eq!(
        world.sender.with_requests(<[_]>::len),
        3,
        "one of them was tried twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_webhook_with_a_profile_of_its_own_gets_what_that_profile_knows() {
    let world = World::new(Some("modelhunter"), [accepts()]);
    world.webhook(|_| {}).await;
    let videopilot = "videopilot".parse().unwrap();
    world
        .webhook(|webhook| webhook.profile = Some(videopilot))
        .await;
    world.publish(&modelhunter_event(&world)).await;
    world.run().await;
    let story = world.recorder.story();
    assert!(story.contains("event dispatched to 1"), "{story}");
    assert!(world.dead_letters().await.is_empty(), "{story}");
}

#[tokio::test(start_paused = true)]
async fn hi_9_with_a_secret_every_retry_and_every_replay_is_signed() {
    let world = World::new(Some("hinto"), [500, 500, 500, 500].map(answers));
    world
        .publish(&hinto_event(&world, Some("cb-secret-1")))
        .await;
    world.run().await;
    world.replay(false).await.unwrap();
    world.run().await;
    let sent = world.sender.with_requests(<[_]>::len);
    assert!(sent >= 2);
    let scheme = scheme("hinto", ringback_profile::DestinationKind::Callback);
    assert_eq!(verified(&world, &scheme, "cb-secret-1"), sent);
}

#[tokio::test(start_paused = true)]
async fn hi_11_without_a_secret_there_is_no_signature_header() {
    let world = World::new(Some("hinto"), []);
    world.publish(&hinto_event(&world, None)).await;
    world.run().await;
    assert_eq!(header(&world, "X-Hinto-Signature"), [None]);
}

#[tokio::test(start_paused = true)]
async fn hi_12_the_project_webhook_is_unsigned_even_when_the_job_had_a_secret() {
    let world = World::new(Some("hinto"), []);
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world
        .publish(&hinto_event(&world, Some("cb-secret-1")))
        .await;
    world.run().await;
    let signed = header(&world, "X-Hinto-Signature")
        .into_iter()
        .flatten()
        .count();
    assert_eq!((signed, world.sender.with_requests(<[_]>::len)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn hi_14_the_post_goes_to_the_exact_url_query_included() {
    let world = World::new(Some("hinto"), []);
    world.publish(&hinto_event(&world, None)).await;
    world.run().await;
    world
        .sender
        .with_requests(|requests| assert_eq!(requests[0].url.as_str(), CALLBACK_URL));
}

#[tokio::test(start_paused = true)]
async fn mh_5_a_webhook_for_one_type_does_not_get_the_other() {
    let world = World::new(Some("modelhunter"), []);
    let failed = ["task.failed".parse().unwrap()].into();
    world
        .webhook(|webhook| webhook.events = EventFilter::Only(failed))
        .await;
    world.publish(&modelhunter_event(&world)).await;
    world.run().await;
    assert_eq!(world.recorder.story(), "at 0s: event dispatched to 0");
}

#[tokio::test(start_paused = true)]
async fn mh_15_four_requests_in_36_minutes_then_it_is_failed() {
    for (refusals, requests, dead) in [(3, 4, 0), (4, 4, 1)] {
        let world = World::new(
            Some("modelhunter"),
            std::iter::repeat_n(answers(500), refusals),
        );
        world.webhook(|_| {}).await;
        world.publish(&modelhunter_event(&world)).await;
        world.run().await;
        assert_eq!(
            world.sender.with_requests(<[_]>::len),
            requests,
            "{}",
            world.recorder.story()
        );
        assert_eq!(world.recorder.story().matches("dead letter").count(), dead);
        let minutes = world.clock.elapsed().as_secs() / 60;
        assert!((36..38).contains(&minutes), "{minutes} minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn mh_16_a_failed_delivery_is_replayed_under_the_same_id_with_a_fresh_signature() {
    let world = World::new(Some("modelhunter"), [500, 500, 500, 500].map(answers));
    world.webhook(|_| {}).await;
    world.publish(&modelhunter_event(&world)).await;
    world.run().await;
    world.replay(false).await.unwrap();
    world.run().await;
    let ids = header(&world, "X-Webhook-ID");
    assert_eq!(ids.len(), 5);
    assert!(
        ids.iter().all(|id| id.as_deref() == Some("evt_1")),
        "{ids:?}"
    );
    let timestamps = header(&world, "X-Webhook-Timestamp");
    assert!(timestamps[4] > timestamps[0]);
    assert_eq!(
        verified(
            &world,
            &scheme("modelhunter", ringback_profile::DestinationKind::Webhook),
            SECRET
        ),
        5
    );
}

#[tokio::test(start_paused = true)]
async fn hk_9_only_200_is_accepted_and_after_the_third_retry_nothing_more_is_sent() {
    let world = World::new(Some("hooked"), [201, 204, 301, 500].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world.publish(&crate::hooked_event(&world)).await;
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 4);
    let minutes = world.clock.elapsed().as_secs() / 60;
    assert_eq!(minutes, 21, "after 1, 5 and 15 minutes");
}
