//! Dead letters sent again, one at a time: what goes out, what is marked, and what is refused.

use crate::{hooked_event, world::World};
use futures_util::FutureExt;
use ringback_delivery::{
    ReplayError,
    port::{DeadLetterFilter, DeadLetterStore, DisposeAnswer, Lane, Observer, Occurrence, Queue},
};
use ringback_domain::Disposal;
use ringback_testkit::{
    samples,
    simulation::{SimulatedStore, answers},
};
use std::sync::Arc;

/// Somebody discards it between its publishing and its mark.
#[tokio::test(start_paused = true)]
async fn what_was_replayed_before_it_was_discarded_is_told_as_replayed() {
    struct Discards(Arc<SimulatedStore>);
    impl Observer for Discards {
        fn saw(&self, occurrence: &Occurrence<'_>) {
            let Occurrence::Replayed { .. } = occurrence else {
                return;
            };
            let any = DeadLetterFilter::default();
            let letters = self.0.dead_letters(&any, None, 1);
            let letter = letters.now_or_never().unwrap().unwrap().entries.remove(0);
            let discarded = Disposal::Discarded {
                at: samples::moment(0),
                note: "not needed".into(),
            };
            let discard = self.0.dispose(&letter.id, &discarded, false);
            let answer = discard.now_or_never().unwrap().unwrap();
            assert_eq!(answer, DisposeAnswer::Disposed);
        }
    }

    let world = World::new(Some("hooked"), [500, 500, 500, 500].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world.publish(&hooked_event(&world)).await;
    world.run().await;
    let id = world.dead_letters().await.remove(0).id;
    let discards = Arc::new(Discards(world.store.clone()));
    let replayed = world.replay_seen_by(id.clone(), false, discards).await;
    assert_eq!(replayed.unwrap().get(), 1);
    let letter = world.store.dead_letter(&id).await.unwrap().unwrap();
    assert!(matches!(letter.disposal, Disposal::Replayed(_)));
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 5);
}

#[tokio::test(start_paused = true)]
async fn two_replays_of_one_generation_are_one() {
    let world = World::new(Some("hooked"), [500, 500, 500, 500].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world.publish(&hooked_event(&world)).await;
    world.run().await;
    world.replay(false).await.unwrap();
    let replayed = world.peek().await;
    // A crash between publishing and marking: the same generation is published again.
    world
        .queue
        .publish_delivery(&replayed, Lane::Main, None)
        .await
        .unwrap();
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 5);
    assert!(world.recorder.story().contains("duplicate suppressed"));
}

/// A worker died after it published the replay and before it marked the dead letter.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_whose_delivery_was_given_up_again_since_names_the_newer_one() {
    let world = World::new(Some("hooked"), [500; 8].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world.publish(&hooked_event(&world)).await;
    world.run().await;
    let older = world.dead_letters().await.remove(0);
    let unmarked = samples::replay_of(older.delivery().unwrap());
    let publish = world.queue.publish_delivery(&unmarked, Lane::Main, None);
    publish.await.unwrap();
    world.run().await;
    let newer = world.dead_letters().await.remove(0);
    assert_ne!(newer.id, older.id);

    let refused = world.replay_of(older.id.clone(), false).await.unwrap_err();
    assert!(
        matches!(&refused, ReplayError::Newer { newer: named, .. } if *named == newer.id),
        "{refused}"
    );
    assert!(world.queue.is_idle(), "nothing was published");
    let older = world.store.dead_letter(&older.id).await.unwrap().unwrap();
    assert_eq!(older.disposal, Disposal::Open);
    let replayed = world.replay_of(newer.id.clone(), false).await;
    assert_eq!(replayed.unwrap().get(), 2);
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 9);

    // The newer one was replayed and delivered; the claim would drop the older one's next generation all the same.
    let refused = world.replay_of(older.id, false).await.unwrap_err();
    assert!(
        matches!(&refused, ReplayError::Newer { newer: named, .. } if *named == newer.id),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_replayed_without_a_mark_is_marked_when_it_is_replayed_again() {
    let world = World::new(Some("hooked"), [500; 4].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world.publish(&hooked_event(&world)).await;
    world.run().await;
    let letter = world.dead_letters().await.remove(0);
    let unmarked = samples::replay_of(letter.delivery().unwrap());
    let publish = world.queue.publish_delivery(&unmarked, Lane::Main, None);
    publish.await.unwrap();
    world.run().await;
    assert_eq!(world.replay(false).await.unwrap().get(), 1);
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 5, "delivered once");
    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_replayed_again_goes_out_although_a_later_one_was_replayed_in_between() {
    let world = World::new(Some("hooked"), [500; 12].map(answers));
    world.webhook(|webhook| webhook.secrets.clear()).await;
    world.publish(&hooked_event(&world)).await;
    world.run().await;
    assert_eq!(world.replay(false).await.unwrap().get(), 1);
    world.run().await;
    let second = world.dead_letters().await.swap_remove(0);
    assert_eq!(world.replay_of(second.id, false).await.unwrap().get(), 2);
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 12);

    assert_eq!(world.replay(true).await.unwrap().get(), 3);
    world.run().await;
    assert_eq!(
        world.sender.with_requests(<[_]>::len),
        13,
        "{}",
        world.recorder.story()
    );
}
