//! Replay: from a dead letter to its delivery's next generation.

use super::scene::{DELIVERIES, Scene};
use crate::installation::{Ground, UNFORGIVING};
use ringback_domain::{DeadLetter, Disposal, Generation};
use ringback_testkit::receiver::Answer;

super::on_each_ground! {
    a_replay_published_and_not_marked_can_be_asked_for_again_and_is_sent_once
}

async fn a_replay_published_and_not_marked_can_be_asked_for_again_and_is_sent_once(ground: Ground) {
    let scene = Scene::with_delivery(
        ground,
        UNFORGIVING,
        [Answer::status(503), Answer::status(200)],
    )
    .await;
    scene.goes_on("dead_lettered").await;
    let dead = dead_letter(&scene).await;
    let replay = ["dead", "replay", dead.id.as_str(), "--yes"];

    scene.runs_until(&replay, "replay-published", 1).await;
    let published = scene
        .look(async |desk| desk.waiting(DELIVERIES).await)
        .await;
    assert_eq!(published, 1);
    assert_eq!(dead_letter(&scene).await.disposal, Disposal::Open);
    let (status, said) = scene.runs(&replay).await;
    assert!(status.success(), "{said}");
    let published = scene
        .look(async |desk| desk.waiting(DELIVERIES).await)
        .await;
    assert_eq!(published, 2, "the same generation twice");

    scene.goes_on("delivered").await;
    assert_eq!(scene.request_count(), 2, "the attempt, and one replay");
    let delivery = scene.delivery().await;
    let generations: Vec<_> = delivery
        .attempts
        .iter()
        .map(|attempt| attempt.generation.get())
        .collect();
    assert_eq!(generations, [0, 1]);
    let Disposal::Replayed(replayed) = dead_letter(&scene).await.disposal else {
        panic!("not marked as replayed")
    };
    assert_eq!(replayed.generation, Generation::FIRST.next());
}

async fn dead_letter(scene: &Scene) -> DeadLetter {
    let mut all = scene
        .look(async |desk| desk.dead_letters(UNFORGIVING).await)
        .await;
    assert_eq!(all.len(), 1);
    all.remove(0)
}
