//! The long-running roles: consumers, the tasks they feed, and stopping in order.

use crate::{
    dead_letter_keeper::DeadLetterKeeper,
    destination_limits::{Lanes, Slots, about},
    direct_places::{DirectPlaces, unless_stopped},
    plans,
    precedence::{Begun, Precedence, QueuedShare},
};
use futures_util::FutureExt;
use ringback_delivery::{
    Context, Deliver, Direct, Dispatch, GoOn, Handled, Intake, PlainSecrets, UnderWay,
    lift_breakers,
    port::{Consumer, Lane, Occurrence, QueueError, Receipt, Store, Taken, Unreadable},
};
use ringback_domain::{BreakerRules, DeadLetterBudget, Delivery, TraceContext, Wait};
use std::{
    collections::BTreeSet,
    future::Future,
    num::{NonZeroU32, NonZeroUsize},
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Turns events into deliveries, and what the broker gave up on into dead letters.
    Dispatch,
    /// Makes attempts.
    Deliver,
    /// Runs replay plans.
    Replay,
}

/// How much a process takes on.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// What it does.
    pub roles: BTreeSet<Role>,
    /// Events handed out before the first is acknowledged.
    pub events_window: u16,
    /// Deliveries handed out before the first is acknowledged.
    pub deliveries_window: u16,
    /// The same in the slow lane.
    pub slow_window: u16,
    /// Attempts under way at once.
    pub concurrency: NonZeroUsize,
    /// Attempts under way at once in the slow lane.
    pub slow_concurrency: NonZeroUsize,
    /// Attempts under way at once at one destination, in each lane.
    pub per_destination_concurrency: NonZeroUsize,
    /// Deliveries of the main lane that begin in a second while events come, besides as many as are fresh; without bound when absent.
    pub beside_events_per_second: Option<NonZeroU32>,
    /// How much longer than an attempt's time limit its claim is held.
    pub lease_margin: Duration,
    /// When a destination that fails is spared; never, without.
    pub breaker: Option<BreakerRules>,
    /// How long open attempts may go on after the wish to stop.
    pub shutdown_grace: Duration,
    /// What dead letters may take before an alarm is raised.
    pub dead_letters: DeadLetterBudget,
    /// Where the oldest of them go beyond that; nowhere when absent.
    pub spill_dir: Option<PathBuf>,
    /// What to do with callbacks' secrets in plain text.
    pub plain_secrets: PlainSecrets,
}

/// Parked messages handed out before the first is acknowledged.
const PARKED_WINDOW: u16 = 16;
/// All of them at once.
const PARKED_MAX: NonZeroUsize = NonZeroUsize::new(PARKED_WINDOW as usize).expect("not zero");
/// Events dispatched at once: with their direct attempts, so that receivers of 50 ms allow for 5,000 a second.
const DISPATCHES_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// A running process.
#[derive(Debug)]
pub struct Service {
    stop: CancellationToken,
    consumers: TaskTracker,
    work: TaskTracker,
    grace: Duration,
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Everything under way was finished.
    Finished,
    /// The grace was over first. What was left comes again: unacknowledged, its claims running out.
    GraceOver {
        /// Attempts and dispatches cut off.
        left: usize,
    },
}

impl Service {
    /// Registers the consumers of the roles and begins to work.
    ///
    /// # Errors
    ///
    /// When a consumer cannot be registered.
    pub async fn start(
        context: Arc<Context>,
        settings: &ServiceSettings,
    ) -> Result<Self, QueueError> {
        let service = Self {
            stop: CancellationToken::new(),
            consumers: TaskTracker::new(),
            work: TaskTracker::new(),
            grace: settings.shutdown_grace,
        };
        let precedence = Arc::new(Precedence::new(settings.beside_events_per_second));
        let worker = settings.roles.contains(&Role::Deliver).then(|| {
            let precedence = precedence.clone();
            Arc::new(DeliverWorker::new(
                &context,
                settings,
                precedence,
                &service.stop,
            ))
        });
        if settings.roles.contains(&Role::Dispatch) {
            let direct = worker
                .as_ref()
                .map(|worker| worker.direct(settings, &service.work));
            service
                .start_dispatch(&context, settings, direct, precedence)
                .await?;
        }
        if let Some(worker) = worker {
            service.start_deliver(&worker, settings).await?;
            if settings.breaker.is_none() {
                let (store, stop) = (context.store.clone(), service.stop.clone());
                let lifting = async move { stop.run_until_cancelled(lift(&*store)).await };
                service.consumers.spawn(lifting);
            }
        }
        if settings.roles.contains(&Role::Replay) {
            let running = plans::run(context.clone(), settings.lease_margin, service.stop.clone());
            service.consumers.spawn(running);
        }
        let keeper = DeadLetterKeeper {
            store: context.store.clone(),
            clock: context.clock.clone(),
            worker: context.worker.clone(),
            budget: settings.dead_letters,
            spill_dir: settings.spill_dir.clone(),
        };
        let stop = service.stop.clone();
        service
            .consumers
            .spawn(async move { stop.run_until_cancelled(keeper.run()).await });
        service.consumers.close();
        Ok(service)
    }

    async fn start_dispatch(
        &self,
        context: &Arc<Context>,
        settings: &ServiceSettings,
        direct: Option<Direct>,
        precedence: Arc<Precedence>,
    ) -> Result<(), QueueError> {
        let dispatch = Dispatch::new(context.clone(), settings.plain_secrets, direct);
        let dispatch = Arc::new(dispatch);
        let intake = Arc::new(Intake::new(context.clone()));
        let events = context.queue.consume_events(settings.events_window).await?;
        self.take_from(events, Slots::new(DISPATCHES_MAX), move |taken| {
            let dispatch = dispatch.clone();
            precedence.event_came();
            async move {
                let handling = dispatch.handle(taken.content, taken.trace, taken.redelivered);
                Some(handling.await)
            }
        });
        let parked = context.queue.consume_parked(PARKED_WINDOW).await?;
        self.take_from(parked, Slots::new(PARKED_MAX), move |taken| {
            let intake = intake.clone();
            async move { Some(intake.handle_parked(taken.content).await) }
        });
        Ok(())
    }

    async fn start_deliver(
        &self,
        worker: &Arc<DeliverWorker>,
        settings: &ServiceSettings,
    ) -> Result<(), QueueError> {
        for (lane, window) in [
            (Lane::Main, settings.deliveries_window),
            (Lane::Slow, settings.slow_window),
        ] {
            let queue = &worker.context.queue;
            let deliveries = queue.consume_deliveries(lane, window).await?;
            let worker = worker.clone();
            let slots = worker.lanes.slots(lane).clone();
            self.take_from(deliveries, slots, move |taken| {
                let worker = worker.clone();
                async move { worker.handle(lane, &taken.content).await }
            });
        }
        Ok(())
    }

    /// Runs a task for every message, at most so many at once, until the wish to stop. The consumer lives until those
    /// tasks are done: their receipts are its.
    fn take_from<T, F>(
        &self,
        mut consumer: Box<dyn Consumer<T>>,
        slots: Slots,
        handle: impl Fn(Message<T>) -> F + Send + Sync + 'static,
    ) where
        T: Send + 'static,
        F: Future<Output = Option<Handled>> + Send + 'static,
    {
        let (stop, work) = (self.stop.clone(), self.work.clone());
        self.consumers.spawn(async move {
            loop {
                let slot = slots.free.clone().acquire_owned();
                let Some(slot) = stop.run_until_cancelled(slot).await else {
                    break;
                };
                let slot = slot.expect("the semaphore is never closed");
                let Some(Some(taken)) = stop.run_until_cancelled(consumer.next()).await else {
                    break;
                };
                let Taken {
                    content,
                    trace,
                    redelivered,
                    receipt,
                } = taken;
                // On the heap: each future that another is moved into keeps room for it twice, which are 10 KiB a request.
                let handling = handle(Message {
                    content,
                    trace,
                    redelivered,
                })
                .boxed();
                work.spawn(async move {
                    finish(handling, receipt).await;
                    drop(slot);
                });
            }
            consumer.stop().await;
            // All slots free: all receipts are used.
            let all = u32::try_from(slots.all.get()).unwrap_or(u32::MAX);
            let _ = slots.free.acquire_many(all).await;
            drop(consumer);
        });
    }

    /// Takes no more from now on, and begins nothing that waits for its turn.
    pub fn take_no_more(&self) {
        self.stop.cancel();
    }

    /// Takes no more and lets what is under way end within the grace. What is left goes back to the queue when that is closed.
    pub async fn stop(self) -> Stopped {
        self.take_no_more();
        self.work.close();
        // Attempts that outlast their events' messages are nobody's but the work's.
        let all = async {
            self.consumers.wait().await;
            self.work.wait().await;
        };
        let finished = timeout(self.grace, all).await.is_ok();
        if finished {
            Stopped::Finished
        } else {
            Stopped::GraceOver {
                left: self.work.len(),
            }
        }
    }
}

/// Removes what a worker with breakers left behind.
async fn lift(store: &dyn Store) {
    match lift_breakers(store).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "removed breakers, since none are configured"),
        Err(error) => tracing::warn!(
            error = &error as &(dyn std::error::Error + 'static),
            "could not remove breakers, which are listed and keep nothing back"
        ),
    }
}

/// Handles a message and does what is to be done with it. One that was not begun stays with its consumer and goes back when
/// that ends. A panic is our failure: the message goes back, counted, so that one that panics every time is parked by the
/// broker.
async fn finish(handling: impl Future<Output = Option<Handled>>, receipt: Box<dyn Receipt>) {
    #[cfg(debug_assertions)]
    if crate::sabotage::acknowledges_first() {
        receipt.acknowledge();
        tokio::time::sleep(crate::sabotage::PAUSE).await;
        let _ = AssertUnwindSafe(handling).catch_unwind().await;
        return;
    }
    match AssertUnwindSafe(handling).catch_unwind().await {
        Ok(Some(Handled::Acknowledge)) => receipt.acknowledge(),
        Ok(Some(Handled::GiveBack)) => receipt.give_back(),
        Ok(None) => {}
        Err(_) => {
            tracing::error!("handling a message panicked, giving it back");
            receipt.give_back();
        }
    }
}

/// What handles the deliveries of both lanes.
struct DeliverWorker {
    deliver: Arc<Deliver>,
    intake: Intake,
    lanes: Arc<Lanes>,
    precedence: Arc<Precedence>,
    context: Arc<Context>,
    stop: CancellationToken,
}

/// What a message says, without the duty to acknowledge it.
struct Message<T> {
    content: Result<T, Unreadable>,
    trace: Option<TraceContext>,
    redelivered: bool,
}

/// Attempts that go on are work that stopping waits for.
struct Tracked(TaskTracker);

impl GoOn for Tracked {
    fn go_on(&self, under_way: UnderWay) {
        self.0.spawn(under_way);
    }
}

impl DeliverWorker {
    fn new(
        context: &Arc<Context>,
        settings: &ServiceSettings,
        precedence: Arc<Precedence>,
        stop: &CancellationToken,
    ) -> Self {
        let deliver = Deliver::new(context.clone(), settings.lease_margin, settings.breaker);
        Self {
            deliver: Arc::new(deliver),
            intake: Intake::new(context.clone()),
            lanes: Arc::new(Lanes::new(
                settings.per_destination_concurrency,
                settings.concurrency,
                settings.slow_concurrency,
            )),
            precedence,
            context: context.clone(),
            stop: stop.clone(),
        }
    }

    fn direct(&self, settings: &ServiceSettings, work: &TaskTracker) -> Direct {
        let (lanes, precedence) = (self.lanes.clone(), self.precedence.clone());
        let places = DirectPlaces::new(lanes, precedence, settings.concurrency, self.stop.clone());
        let go_on = Arc::new(Tracked(work.clone()));
        Direct::new(self.deliver.clone(), Arc::new(places), go_on)
    }

    /// What to do with the message; nothing, when the wish to stop came before its turn.
    async fn handle(&self, lane: Lane, content: &Result<Delivery, Unreadable>) -> Option<Handled> {
        match content {
            Ok(delivery) => self.deliver(lane, delivery).await,
            Err(unreadable) => Some(self.intake.handle_unreadable(unreadable.clone()).await),
        }
    }

    /// In the main lane a delivery waits for its destination only for a moment: what would wait for longer moves to the slow
    /// lane, which has a window of its own. Nor does it wait for long there, where others wait that would have their turn at once:
    /// it goes to the ladder, and comes back to the slow lane about when its turn comes.
    async fn deliver(&self, lane: Lane, delivery: &Delivery) -> Option<Handled> {
        let mut begun = Begun::default();
        let permit = match lane {
            Lane::Main => {
                begun = unless_stopped(&self.stop, self.precedence.begin()).await?;
                let turn = self.lanes.main.enter_soon(delivery);
                if let Some(permit) = unless_stopped(&self.stop, turn).await? {
                    permit
                } else {
                    let wait = self.lanes.before_slow(delivery);
                    return Some(self.move_to_slow_lane(delivery, wait).await);
                }
            }
            Lane::Slow => {
                let turn = self.lanes.slow.enter_or_return(delivery);
                match unless_stopped(&self.stop, turn).await? {
                    Ok(permit) => permit,
                    Err(at_least) => {
                        let wait = Some(about(at_least));
                        return Some(self.move_to_slow_lane(delivery, wait).await);
                    }
                }
            }
        };
        let turn = self.precedence.turn(permit, begun);
        let share: QueuedShare = unless_stopped(&self.stop, turn).await?;
        Some(self.deliver.handle_with_share(delivery, share).await)
    }

    async fn move_to_slow_lane(&self, delivery: &Delivery, wait: Option<Wait>) -> Handled {
        self.context
            .observer
            .saw(&Occurrence::MovedToSlowLane { delivery });
        self.deliver.move_to(Lane::Slow, delivery, wait).await
    }
}

#[cfg(test)]
mod tests;
