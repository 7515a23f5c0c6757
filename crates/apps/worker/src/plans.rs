//! Looks for replay plans that need a worker and runs them.

use ringback_delivery::{Context, PlanRunner};
use ringback_domain::PlanId;
use std::{
    collections::HashSet,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a plan could not go on, before it is taken up again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Plans that one process runs at once. Others wait, or are run elsewhere.
const PLANS_MAX: usize = 8;

/// Runs plans until the wish to stop, and then gives them back in order.
pub(crate) async fn run(context: Arc<Context>, lease_margin: Duration, stop: CancellationToken) {
    let desk = Arc::new(Desk {
        runner: PlanRunner::new(context, lease_margin),
        stop: stop.clone(),
        in_hand: Mutex::default(),
    });
    let tasks = TaskTracker::new();
    loop {
        // A store that does not answer is complained of by everybody else.
        if let Some(Ok(active)) = stop.run_until_cancelled(desk.runner.active()).await {
            for id in active {
                if desk.takes(&id) {
                    tasks.spawn(desk.clone().run(id));
                }
            }
        }
        let wait = tokio::time::sleep(LOOK_EVERY);
        if stop.run_until_cancelled(wait).await.is_none() {
            break;
        }
    }
    tasks.close();
    tasks.wait().await;
}

struct Desk {
    runner: PlanRunner,
    stop: CancellationToken,
    in_hand: Mutex<HashSet<PlanId>>,
}

impl Desk {
    /// Whether the plan is now in hand, and was not before.
    fn takes(&self, id: &PlanId) -> bool {
        let mut in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        in_hand.len() < PLANS_MAX && in_hand.insert(id.clone())
    }

    async fn run(self: Arc<Self>, id: PlanId) {
        if let Err(failure) = self.runner.run(&id, &|| self.stop.is_cancelled()).await {
            tracing::warn!(
                ringback.plan.id = %id,
                error = &failure as &(dyn Error + 'static),
                "a replay plan could not go on, it is taken up again soon"
            );
            let wait = tokio::time::sleep(AFTER_FAILURE);
            let _ = self.stop.run_until_cancelled(wait).await;
        }
        let mut in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        in_hand.remove(&id);
    }
}
