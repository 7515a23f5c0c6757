//! What becomes of events that cannot go as they are, or not to all.

use crate::world::{SECRET, World};
use crate::{headers, modelhunter_event};
use ringback_delivery::{
    Handled, Intake,
    port::{
        Clock, DeadLetterFilter, DeadLetterStore, DisposeAnswer, ParkedContent, ParkedMessage,
        Queue, QueueName, WebhookStore,
    },
};
use ringback_domain::{
    Callback, CallbackSecret, DeadLetterContent, DeadLetterReason, DeliveryState, Disposal, limits,
};
use ringback_testkit::{
    samples,
    simulation::{accepts, answers},
};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn an_event_of_an_unknown_project_is_kept_with_the_way_out() {
    let world = World::new(None, []);
    world.publish(&world.event()).await;
    world.run().await;
    let why = why_kept(&world).await;
    assert!(
        why.contains("`acme` is not configured") && why.contains("[projects.acme]"),
        "{why}"
    );
}

/// The API was restarted with a new profile before this worker, say.
#[tokio::test(start_paused = true)]
async fn a_webhook_whose_profile_is_not_configured_keeps_nothing_from_the_others() {
    let world = World::new(Some("standard"), []);
    world.webhook(|_| {}).await;
    let of_tomorrow = "of_tomorrow".parse().unwrap();
    let left_out = world
        .webhook(|webhook| webhook.profile = Some(of_tomorrow))
        .await;
    let mut event = world.event();
    event.callback = Some(Callback {
        url: "https://callback.example/".parse().unwrap(),
        secret: None,
    });
    world.publish(&event).await;
    world.run().await;
    let why = why_kept(&world).await;
    let fault = format!("webhook {left_out} has profile `of_tomorrow`, which is not configured");
    assert_eq!(why, fault);
    assert_eq!(world.sender.with_requests(<[_]>::len), 2);

    let mut webhook = world.store.webhook(&left_out).await.unwrap().unwrap();
    webhook.profile = None;
    webhook.revision += 1;
    world.store_webhook(&webhook).await;
    let letter = world.dead_letters().await.remove(0).id;
    world.replay_of(letter, false).await.unwrap();
    world.run().await;
    world.sender.with_requests(|requests| {
        assert_eq!(requests.len(), 3, "the others have theirs");
        assert_eq!(requests[2].url, webhook.url);
    });
    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_cannot_be_read_keeps_no_event_from_the_others() {
    let world = World::new(Some("standard"), []);
    world.webhook(|_| {}).await;
    let damaged = world.webhook(|_| {}).await;
    world.store.damage(&damaged);
    world.publish(&world.event()).await;
    world.run().await;
    let why = why_kept(&world).await;
    assert_eq!(why, format!("webhook {damaged} cannot be read: it is cut"));
    assert_eq!(world.sender.with_requests(<[_]>::len), 1);

    world.store.repair(&damaged);
    let letter = world.dead_letters().await.remove(0).id;
    world.replay_of(letter, false).await.unwrap();
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 2);
    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_to_a_webhook_that_cannot_be_read_waits_for_as_long_as_that_is_so() {
    let world = World::new(Some("standard"), [answers(503), accepts()]);
    let webhook = world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    let workers = [world.spawn_dispatch().await, world.spawn_deliver().await];
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.store.damage(&webhook);
    // Far longer than a breaker would hold it.
    tokio::time::sleep(Duration::from_hours(100)).await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 1);
    assert!(world.dead_letters().await.is_empty());
    let record = world.only_record().await;
    assert_eq!(record.attempts.len(), 1, "waiting is no attempt");
    let DeliveryState::Waiting { until } = record.state else {
        panic!("it waits")
    };
    let told_ago = world.clock.now().duration_since(until);
    assert!(told_ago.as_secs().abs() <= 120, "{told_ago:?}");

    world.store.repair(&webhook);
    tokio::time::sleep(Duration::from_mins(1)).await;
    for worker in workers {
        worker.abort();
    }
    let record = world.only_record().await;
    assert!(matches!(record.state, DeliveryState::Delivered { .. }));
    assert_eq!(record.attempts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_a_re_serialising_receiver_would_change_is_refused_with_its_path() {
    let world = World::new(Some("modelhunter"), []);
    world.webhook(|_| {}).await;
    let mut event = modelhunter_event(&world);
    let text = String::from_utf8(event.document.to_vec()).unwrap();
    event.document = text
        .replace("\"user_id\":7", "\"user_id\":9007199254740993")
        .into();
    world.publish(&event).await;
    world.run().await;
    let why = why_kept(&world).await;
    assert!(
        why.contains("metadata.user_id") && why.contains("9007199254740992"),
        "{why}"
    );
    assert_eq!(world.sender.with_requests(<[_]>::len), 0);
}

#[tokio::test(start_paused = true)]
async fn a_secret_in_plain_text_is_sealed_before_it_is_kept() {
    let world = World::new(Some("hinto"), []);
    let mut event = world.event();
    let secret = Some(CallbackSecret::Plain("hush-hush-hush".to_owned().into()));
    event.callback = Some(Callback {
        url: "https://callback.example/".parse().unwrap(),
        secret,
    });
    world.publish(&event).await;
    world.run().await;
    assert!(
        why_kept(&world)
            .await
            .contains("`callback.secret` is in plain text")
    );
    let kept = world
        .store
        .dead_letters(&DeadLetterFilter::default(), None, 1)
        .await
        .unwrap()
        .entries
        .remove(0);
    let DeadLetterContent::Event { event, .. } = kept.content else {
        panic!("an event")
    };
    assert!(matches!(
        event.callback.unwrap().secret,
        Some(CallbackSecret::Sealed(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_moment_is_given_one_and_every_dispatch_makes_the_same_bytes_of_it() {
    let world = World::new(Some("standard"), []);
    world.webhook(|_| {}).await;
    // What is left out keeps the event from being marked, as the end of its worker does.
    let damaged = world.webhook(|_| {}).await;
    world.store.damage(&damaged);
    let mut bodies = Vec::new();
    for _ in 0..2 {
        publish_undated(&world).await;
        let dispatch = world.spawn_dispatch().await;
        bodies.push(world.peek().await.body);
        tokio::time::sleep(Duration::from_hours(1)).await;
        dispatch.abort();
    }
    assert_eq!(bodies[0], bodies[1]);
    let body = String::from_utf8(bodies[0].to_vec()).unwrap();
    let moment = format!(r#""timestamp":"{:.3}""#, samples::moment(0));
    assert!(body.contains(&moment), "{body}");
    let kept = world.dead_letters().await.remove(0);
    let DeadLetterContent::Event { event, .. } = kept.content else {
        panic!("an event")
    };
    assert_eq!(
        event.occurred_at,
        Some(samples::moment(0)),
        "it goes on with it"
    );
}

/// Only dispatch makes room there.
#[tokio::test(start_paused = true)]
async fn an_event_without_a_moment_needs_no_room_in_a_full_queue() {
    let world = World::new(Some("standard"), []);
    world.webhook(|_| {}).await;
    publish_undated(&world).await;
    world.queue.refuse_events();
    tokio::time::timeout(Duration::from_hours(1), world.run())
        .await
        .expect("it is dispatched");
    assert_eq!(world.sender.with_requests(<[_]>::len), 1);
}

async fn publish_undated(world: &World) {
    let undated = format!(
        r#"{{"id":"evt_1","project":"{}","type":"task.completed","job":{{"id":"task_1"}}}}"#,
        world.project
    );
    world.queue.publish_raw_event(undated.into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_that_no_worker_survived_is_kept_with_its_secret_sealed_and_can_be_replayed() {
    let world = World::new(Some("standard"), [accepts()]);
    let mut event = world.event();
    event.callback = Some(Callback {
        url: "https://callback.example/".parse().unwrap(),
        secret: Some(CallbackSecret::Plain(SECRET.to_owned().into())),
    });
    let parked = ParkedMessage {
        from: QueueName::Events,
        content: ParkedContent::Event(Box::new(event)),
    };
    let handled = Intake::new(world.context()).handle_parked(Ok(parked)).await;
    assert_eq!(handled, Handled::Acknowledge);
    let kept = world.dead_letters().await.remove(0);
    assert_eq!(kept.reason, DeadLetterReason::Poison);
    assert!(why_kept(&world).await.contains("`events`"));

    world.replay(false).await.unwrap();
    world.run().await;
    assert_eq!(
        headers(&world, "webhook-signature").len(),
        1,
        "{}",
        world.recorder.story()
    );
    assert!(world.recorder.story().ends_with("delivered"));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_fails_again_after_its_replay_is_a_new_open_dead_letter() {
    let world = World::new(None, []);
    world.publish(&world.event()).await;
    world.run().await;
    world.replay(false).await.unwrap();
    world.run().await;
    let kept = world.dead_letters().await;
    let [again, first] = kept.as_slice() else {
        panic!("two dead letters: {}", world.recorder.story())
    };
    assert_eq!(again.disposal, Disposal::Open);
    assert!(matches!(first.disposal, Disposal::Replayed(_)));
    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_come_again_after_they_were_discarded_are_a_new_open_dead_letter() {
    let world = World::new(Some("standard"), []);
    for expected in 1..=2 {
        let bytes = "{\"id\":".into();
        world.queue.publish_raw_event(bytes).await.unwrap();
        world.run().await;
        let kept = world.dead_letters().await;
        assert_eq!(kept.len(), expected);
        assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 1);
        let discarded = Disposal::Discarded {
            at: world.clock.now(),
            note: "not wanted".into(),
        };
        let dispose = world.store.dispose(&kept[0].id, &discarded, false);
        assert_eq!(dispose.await.unwrap(), DisposeAnswer::Disposed);
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_event_are_kept() {
    let world = World::new(Some("standard"), []);
    world
        .queue
        .publish_raw_event("{\"id\":".into())
        .await
        .unwrap();
    world.run().await;
    let kept = world
        .store
        .dead_letters(&DeadLetterFilter::default(), None, 1)
        .await
        .unwrap()
        .entries
        .remove(0);
    assert!(
        matches!(kept.content, DeadLetterContent::Raw { ref bytes, .. } if *bytes == "{\"id\":")
    );
}

#[tokio::test(start_paused = true)]
async fn of_bytes_without_end_the_beginning_is_kept_with_their_length() {
    let world = World::new(Some("standard"), []);
    let bytes = vec![b'['; 3 * limits::RAW_BYTES_MAX];
    world.queue.publish_raw_event(bytes.into()).await.unwrap();
    world.run().await;
    let kept = world.dead_letters().await.remove(0);
    let DeadLetterContent::Raw { bytes, .. } = kept.content else {
        panic!("no event")
    };
    assert_eq!(bytes.len(), limits::RAW_BYTES_MAX);
    let why = why_kept(&world).await;
    assert!(why.ends_with("of its 1572864 bytes are kept"), "{why}");
}

async fn why_kept(world: &World) -> String {
    let page = world
        .store
        .dead_letters(&DeadLetterFilter::default(), None, 10)
        .await
        .unwrap();
    let [kept] = page.entries.as_slice() else {
        panic!("one dead letter: {}", world.recorder.story())
    };
    match &kept.content {
        DeadLetterContent::Event { why, .. } | DeadLetterContent::Raw { why, .. } => why.clone(),
        DeadLetterContent::Delivery(_) => panic!("not an event"),
    }
}
