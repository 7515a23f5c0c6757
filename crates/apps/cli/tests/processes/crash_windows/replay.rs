//! Replay: from a dead letter to its delivery's next generation.

use super::scene::{Begins, DELIVERIES, Scene};
use crate::installation::{Ground, UNFORGIVING};
use ringback_domain::{DeadLetter, Disposal, Generation, replay_plan::EntryMark};
use ringback_testkit::receiver::Answer;

super::on_each_ground! {
    a_replay_published_and_not_marked_can_be_asked_for_again_and_is_sent_once
    entries_of_a_plan_published_and_not_marked_are_published_again_and_sent_once
    entries_of_a_plan_marked_and_not_noted_are_not_published_again
}

async fn a_replay_published_and_not_marked_can_be_asked_for_again_and_is_sent_once(ground: Ground) {
    let scene = Scene::with_delivery(
        ground,
        Begins::Queued,
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

async fn entries_of_a_plan_published_and_not_marked_are_published_again_and_sent_once(
    ground: Ground,
) {
    let scene = with_plan(ground).await;
    scene.vanishes("replay", "plan-published").await;
    assert_eq!(dead_letter(&scene).await.disposal, Disposal::Open);
    // Another worker publishes the same generation before anybody delivers the first one.
    let waiting = goes_on_alone(&scene).await;
    assert_eq!(waiting, 2, "the same generation twice");
    ends_well(&scene).await;
}

async fn entries_of_a_plan_marked_and_not_noted_are_not_published_again(ground: Ground) {
    let scene = with_plan(ground).await;
    scene.vanishes("replay", "plan-marked").await;
    let disposal = dead_letter(&scene).await.disposal;
    assert!(matches!(disposal, Disposal::Replayed(_)), "{disposal:?}");
    let waiting = goes_on_alone(&scene).await;
    assert_eq!(waiting, 1);
    ends_well(&scene).await;
}

/// One dead letter whose destination works again, and a plan of it that was started.
async fn with_plan(ground: Ground) -> Scene {
    let answers = [Answer::status(503), Answer::status(200)];
    let scene = Scene::with_delivery(ground, Begins::Queued, UNFORGIVING, answers).await;
    scene.goes_on("dead_lettered").await;
    let plan = [
        "replays", "plan", "--reason", "repaired", "--start", "--yes",
    ];
    let (status, said) = scene.runs(&plan).await;
    assert!(status.success(), "{said}");
    scene
}

/// A worker that only replays, until the entry is noted as sent; how many deliveries wait then.
async fn goes_on_alone(scene: &Scene) -> u64 {
    let replayer = scene.installation.serve_as("replay").await;
    let desk = scene.installation.desk().await;
    desk.wait_for_sent(1).await;
    desk.close().await;
    replayer.stop().await;
    scene
        .look(async |desk| desk.waiting(DELIVERIES).await)
        .await
}

async fn ends_well(scene: &Scene) {
    let healthy = scene.installation.serve().await;
    let desk = scene.installation.desk().await;
    let plan = desk.wait_for_plan("finished").await;
    desk.wait_for_empty_queues().await;
    desk.close().await;
    healthy.stop().await;
    assert_eq!(plan.progress.counts.get(EntryMark::Delivered), 1);
    assert_eq!(scene.request_count(), 2, "the attempt, and one replay");
    let generations = scene.delivery().await.attempts;
    let generations = generations.iter().map(|attempt| attempt.generation.get());
    assert_eq!(generations.collect::<Vec<_>>(), [0, 1]);
}
