//! Plans of which something cannot be read, or is gone.

use super::{die, numbers};
use crate::world::World;
use ringback_delivery::port::{DeadLetterFilter, DeadLetterStore, PlanStore};
use ringback_domain::replay_plan::{EntryMark, PlanState, PlanWish};
use ringback_testkit::samples;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_read_is_left_out_and_named_and_holds_up_no_other() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let died = die(&world, &webhook, 3, Duration::ZERO).await;
    let plan = world.planned(|_| {}).await;
    let damaged = &died[1].id;
    world.store.damage(damaged);
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    assert_eq!(plan.status.state, PlanState::Finished);
    assert_eq!(
        numbers(&plan),
        [("delivered", 2), ("skipped_damaged", 1)].into()
    );
    let story = world.recorder.story();
    let told = format!("{damaged} left out: it is cut");
    assert_eq!(story.matches(&told).count(), 1, "{story}");
    let open = DeadLetterFilter::default();
    let open = world.store.dead_letters(&open, None, 10).await.unwrap();
    let left: Vec<_> = open.damaged.iter().map(|record| &*record.id).collect();
    assert_eq!((open.entries.len(), left), (0, vec![damaged.as_str()]));
}

/// Its list is forgotten some time after it was made, itself only some time after it last changed.
#[tokio::test(start_paused = true)]
async fn a_cancelled_plan_whose_list_is_no_longer_kept_waits_for_nothing() {
    let world = World::new(Some("hooked"), []);
    let mut plan = samples::replay_plan_of(&samples::project(), 10);
    plan.progress.chunks_begun = 1;
    plan.progress.chunks_open = vec![0];
    plan.progress.counts.set(EntryMark::Waiting, 6);
    plan.progress.counts.set(EntryMark::Sent, 3);
    plan.progress.counts.set(EntryMark::Retrying, 1);
    for wish in [PlanWish::Start, PlanWish::Cancel] {
        plan.status = plan.status.wished(wish, samples::moment(0), "ada").unwrap();
    }
    world.store.create_plan(&plan).await.unwrap();
    let active = async || world.store.active_plans().await.unwrap();
    assert_eq!(active().await, [plan.id().clone()]);
    let plan = world.run_plan(&plan).await;
    assert_eq!(plan.status.state, PlanState::Cancelled);
    assert_eq!(numbers(&plan), [("unknown", 4), ("waiting", 6)].into());
    assert_eq!(active().await, []);
}
