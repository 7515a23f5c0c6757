//! Looks for replay plans that need a worker and runs them.

use ringback_delivery::{Context, PlanRunner};
use ringback_domain::PlanId;
use std::{
    collections::{HashMap, HashSet},
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a plan could not go on, before it is taken up again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Plans that one process runs at once. Others are run elsewhere, or wait.
const PLANS_MAX: usize = 8;
/// For how long a plan is run at least before it makes room for one that waits: plans last for hours, most of it spent with hearing
/// what became of their entries.
const ROOM_AFTER: Duration = Duration::from_secs(30);

/// Runs plans until the wish to stop, and then gives them back in order.
pub(crate) async fn run(context: Arc<Context>, lease_margin: Duration, stop: CancellationToken) {
    let desk = Arc::new(Desk {
        runner: PlanRunner::new(context, lease_margin),
        book: Mutex::default(),
    });
    let tasks = TaskTracker::new();
    loop {
        // A store that does not answer is complained of by everybody else.
        if let Some(Ok(active)) = stop.run_until_cancelled(desk.runner.active()).await {
            for (id, leave) in desk.book().take(active, &stop) {
                tasks.spawn(desk.clone().run(id, leave));
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
    book: Mutex<Book>,
}

/// Which plans are in hand, and whose turn it is.
#[derive(Default)]
struct Book {
    in_hand: HashMap<PlanId, Held>,
    /// When those that are not in hand were it last, and from when on they may be again.
    left: HashMap<PlanId, Left>,
}

struct Left {
    at: Instant,
    rests_until: Instant,
}

struct Held {
    since: Instant,
    /// The wish that it makes room, or that everything stops.
    leave: CancellationToken,
}

impl Book {
    /// The plans to take up now: those first that were in hand longest ago, or never.
    ///
    /// One more than there is room for is tried once the others have been in hand for a while. Another process may have it, and it is gone
    /// again by the next look; if it is not, the one in hand longest makes room.
    fn take(
        &mut self,
        active: Vec<PlanId>,
        stop: &CancellationToken,
    ) -> Vec<(PlanId, CancellationToken)> {
        let known: HashSet<_> = active.iter().collect();
        self.left.retain(|id, _| known.contains(id));
        let now = Instant::now();
        let mut waiting = active;
        waiting.retain(|id| {
            let rests = self.left.get(id).is_some_and(|left| now < left.rests_until);
            !self.in_hand.contains_key(id) && !rests
        });
        waiting.sort_by_key(|id| self.left.get(id).map(|left| left.at));
        let longest = self.in_hand.values().min_by_key(|held| held.since);
        let mut room = PLANS_MAX.saturating_sub(self.in_hand.len());
        if let Some(longest) = longest.filter(|held| held.since.elapsed() >= ROOM_AFTER) {
            match self.in_hand.len() {
                PLANS_MAX => room = 1,
                count if count > PLANS_MAX => longest.leave.cancel(),
                _ => {}
            }
        }
        let taken = waiting.into_iter().take(room).map(|id| {
            let leave = stop.child_token();
            let held = Held {
                since: Instant::now(),
                leave: leave.clone(),
            };
            self.in_hand.insert(id.clone(), held);
            (id, leave)
        });
        taken.collect()
    }

    /// One that failed rests, out of hand: nobody makes room for it meanwhile.
    fn left(&mut self, id: PlanId, rest: Duration) {
        self.in_hand.remove(&id);
        let at = Instant::now();
        let rests_until = at + rest;
        self.left.insert(id, Left { at, rests_until });
    }
}

impl Desk {
    /// Whoever panicked with it left it whole.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, id: PlanId, leave: CancellationToken) {
        let mut rest = Duration::ZERO;
        if let Err(failure) = self.runner.run(&id, &|| leave.is_cancelled()).await {
            tracing::warn!(
                ringback.plan.id = %id,
                error = &failure as &(dyn Error + 'static),
                "a replay plan could not go on, it is taken up again soon"
            );
            rest = AFTER_FAILURE;
        }
        self.book().left(id, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_delivery::{
        PlanRequest, Plans, ProfileBook, WebhookCache,
        port::{Clock, DeadLetterFilter, PlanStore, Store},
    };
    use ringback_domain::{
        Destination, ProjectName,
        replay_plan::{EntryMark, Pacing, PlanWish, ReplayTarget, StopRule},
    };
    use ringback_signing::KeyRing;
    use ringback_testkit::{
        samples,
        simulation::{
            Recorder, ScriptedSender, SeededEntropy, SimulatedQueue, SimulatedStore, TokioClock,
        },
    };
    use std::num::NonZeroU32;

    fn context(store: &Arc<SimulatedStore>, clock: TokioClock) -> Arc<Context> {
        let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (store.clone(), Arc::new(clock));
        Arc::new(Context {
            queue: Arc::new(SimulatedQueue::default()),
            store: store.clone(),
            sender: Arc::new(ScriptedSender::new([])),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
            observer: Arc::new(Recorder::new(TokioClock::begin())),
            profiles: Arc::new(ProfileBook::new([], [])),
            webhooks: WebhookCache::new(store, clock),
            keys: Arc::new(KeyRing::try_new(&[KeyRing::new_key("k1", &[7; 32])]).unwrap()),
            worker: samples::worker(),
        })
    }

    /// A plan of a project of its own that takes some minutes.
    async fn started_plan(context: &Context) -> PlanId {
        let project: ProjectName = samples::unique("p").parse().unwrap();
        let webhook = samples::webhook_of(&project);
        context.store.put_webhook(&webhook).await.unwrap();
        for _ in 0..300 {
            let destination = Destination::Webhook {
                id: webhook.id.clone(),
                url: webhook.url.clone(),
            };
            let delivery = samples::delivery_of(&samples::event_of(&project), destination);
            let letter = samples::dead_letter_of(delivery, samples::moment(-1));
            context.store.put_dead_letter(&letter).await.unwrap();
        }
        let plans = Plans {
            store: context.store.clone(),
            clock: context.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(samples::claim_nonce().0)),
            profiles: context.profiles.clone(),
        };
        let request = PlanRequest {
            filter: DeadLetterFilter {
                project: Some(project),
                ..DeadLetterFilter::default()
            },
            text: None,
            reason: "repaired".into(),
            by: "ada".into(),
            pacing: Pacing {
                rate: NonZeroU32::new(1),
                concurrency: None,
                ..Pacing::default()
            },
            target: ReplayTarget::Current,
            stop_rule: StopRule::default(),
            sends_stale: true,
        };
        let plan = plans.plan(&request, &|_| {}).await.unwrap();
        plans
            .change(plan.id(), PlanWish::Start, "ada")
            .await
            .unwrap();
        plan.id().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_makes_room_for_a_plan_that_cannot_go_on() {
        let (mut book, stop) = (Book::default(), CancellationToken::new());
        let plans: Vec<_> = (0..=PLANS_MAX)
            .map(|_| samples::unique("rpl_").parse::<PlanId>().unwrap())
            .collect();
        let (failing, running) = plans.split_last().unwrap();
        let held = book.take(running.to_vec(), &stop);
        assert_eq!(held.len(), PLANS_MAX);
        tokio::time::advance(ROOM_AFTER).await;
        for _ in 0..3 {
            let taken = book.take(plans.clone(), &stop);
            assert_eq!(taken.len(), 1);
            assert_eq!(taken[0].0, *failing);
            book.left(failing.clone(), AFTER_FAILURE);
            for _ in 0..4 {
                tokio::time::advance(LOOK_EVERY).await;
                assert!(book.take(plans.clone(), &stop).is_empty());
            }
            tokio::time::advance(LOOK_EVERY).await;
        }
        assert!(held.iter().all(|(_, leave)| !leave.is_cancelled()));
    }

    #[tokio::test(start_paused = true)]
    async fn plans_that_take_long_keep_no_other_from_its_turn() {
        let clock = TokioClock::begin();
        let store = Arc::new(SimulatedStore::new(clock));
        let context = context(&store, clock);
        let mut plans = Vec::new();
        for _ in 0..PLANS_MAX + 3 {
            plans.push(started_plan(&context).await);
        }
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(context, Duration::from_secs(10), stop.clone()));
        tokio::time::sleep(Duration::from_mins(3)).await;
        let mut waiting = Vec::new();
        for id in &plans {
            let plan = store.plan(id).await.unwrap().unwrap();
            waiting.push(plan.progress.counts.get(EntryMark::Waiting));
        }
        assert!(waiting.iter().all(|count| *count < 300), "{waiting:?}");
        stop.cancel();
        running.await.unwrap();
    }
}
