//! Plans of which something is gone.

use super::numbers;
use crate::world::World;
use ringback_delivery::port::PlanStore;
use ringback_domain::replay_plan::{EntryMark, PlanState, PlanWish};
use ringback_testkit::samples;

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
