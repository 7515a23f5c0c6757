//! A worker that may vanish at any await, and its successor.

use crate::{
    dice::{Dice, Fault},
    faulty::{Destinations, FaultyQueue, FaultyStore, JumpingClock},
    plan::{LEASE_MARGIN, Plan, Sabotage},
    witness::{HandlerId, Witness},
};
use async_trait::async_trait;
use futures_util::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use ringback_delivery::{
    Context, Deliver, Direct, Dispatch, Entry, GoOn, Handled, Intake, Places, PlainSecrets,
    ProfileBook, UnderWay, WebhookCache,
    port::{Clock, Lane, Queue, Receipt, Store},
};
use ringback_domain::{Delivery, Wait, WorkerId};
use ringback_signing::KeyRing;
use ringback_testkit::simulation::{SeededEntropy, TokioClock};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::sync::mpsc;

/// What all workers share: the world on the far side of their ports.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) dice: Arc<Dice>,
    pub(crate) clock: TokioClock,
    pub(crate) witness: Arc<Witness>,
    pub(crate) queue: FaultyQueue,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) destinations: Arc<Destinations>,
    pub(crate) profiles: Arc<ProfileBook>,
    pub(crate) keys: Arc<KeyRing>,
}

/// Messages handed out before the first is acknowledged.
const WINDOW: u16 = 8;
/// Polls of its handlers within which a worker that will crash does so.
const CRASH_WITHIN_POLLS: u64 = 250;
/// The longest a worker stands still: longer than a lease.
const STALL_MAX_MILLIS: u64 = 15_000;

/// Lives, crashes and comes again, for ever.
pub(crate) async fn keep_alive(world: Arc<World>, number: u64) {
    for start in 1.. {
        let name = format!("w{number}.{start}");
        let fate = Arc::new(Fate::draw(&world.dice, &name));
        let life = Mortal {
            life: Box::pin(live(&world, &name, &fate)),
            fate: fate.clone(),
            polls: 0,
            standing: None,
            witness: &world.witness,
            name: &name,
        };
        life.await;
        world.witness.crashed(&name);
        let wait = world.dice.millis(10..5_000, "restart", &name);
        tokio::time::sleep(wait).await;
    }
}

/// One process, from its start to its end.
async fn live(world: &Arc<World>, name: &str, fate: &Arc<Fate>) {
    let queue: Arc<dyn Queue> = Arc::new(world.queue.clone());
    let store: Arc<dyn Store> = world.store.clone();
    let clock: Arc<dyn Clock> = Arc::new(JumpingClock::draw(world.clock, &world.dice, name));
    let worker: WorkerId = name.replace('.', "-").parse().expect("letters and digits");
    let context = Arc::new(Context {
        queue: queue.clone(),
        store: store.clone(),
        sender: world.destinations.clone(),
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(world.dice.draw("entropy", name))),
        observer: world.witness.clone(),
        profiles: world.profiles.clone(),
        webhooks: WebhookCache::new(store, clock),
        keys: world.keys.clone(),
        worker,
    });
    let deliver = Deliver::new(context.clone(), LEASE_MARGIN, world.plan.breakers());
    let deliver = Arc::new(deliver);
    let places = ChancePlaces {
        dice: world.dice.clone(),
        worker: name.to_owned(),
    };
    let (go_on, mut going_on) = mpsc::channel(GOING_ON_MAX);
    let direct = Direct::new(deliver.clone(), Arc::new(places), Arc::new(Handover(go_on)));
    let dispatch = Dispatch::new(context.clone(), PlainSecrets::Refuse, Some(direct));
    let intake = Intake::new(context);

    let consumed = "the simulated queue takes every consumer";
    let mut events = queue.consume_events(WINDOW).await.expect(consumed);
    let mut main = queue
        .consume_deliveries(Lane::Main, WINDOW)
        .await
        .expect(consumed);
    let mut slow = queue
        .consume_deliveries(Lane::Slow, 2)
        .await
        .expect(consumed);
    let mut parked = queue.consume_parked(2).await.expect(consumed);

    let desk = Desk { world, name, fate };
    let mut under_way = FuturesUnordered::new();
    loop {
        let (handling, receipt): (BoxFuture<'_, Handled>, Box<dyn Receipt>) = tokio::select! {
            biased;
            Some((handler, goes_on)) = going_on.recv() => {
                under_way.push(desk.act(handler, goes_on));
                continue;
            }
            Some(()) = under_way.next() => continue,
            Some(taken) = events.next() => {
                let handling = dispatch.handle(taken.content, taken.trace, taken.redelivered);
                (handling.boxed(), taken.receipt)
            }
            Some(taken) = parked.next() => {
                (intake.handle_parked(taken.content).boxed(), taken.receipt)
            }
            Some(taken) = main.next() => {
                let handling = match taken.content {
                    Err(unreadable) => intake.handle_unreadable(unreadable).boxed(),
                    Ok(delivery) if world.dice.below(10, "slow lane", name) == 0 => {
                        let deliver = &deliver;
                        async move { deliver.move_to(Lane::Slow, &delivery, None).await }.boxed()
                    }
                    Ok(delivery) => {
                        let deliver = &deliver;
                        async move { deliver.handle(&delivery).await }.boxed()
                    }
                };
                (handling, taken.receipt)
            }
            Some(taken) = slow.next() => {
                let handling = match taken.content {
                    Err(unreadable) => intake.handle_unreadable(unreadable).boxed(),
                    Ok(delivery) => {
                        let deliver = &deliver;
                        async move { deliver.handle(&delivery).await }.boxed()
                    }
                };
                (handling, taken.receipt)
            }
        };
        under_way.push(desk.finish(handling, receipt));
    }
}

/// Hands attempts that go on to the loop that runs all of a worker's futures.
struct Handover(mpsc::Sender<(HandlerId, UnderWay)>);

impl GoOn for Handover {
    fn go_on(&self, under_way: UnderWay) {
        // One without room ends as that of a worker that vanished, and so does one whose worker did.
        let _ = self.0.try_send((HandlerId::current(), under_way));
    }
}

/// Attempts that wait to be run on; each is taken at the next turn.
const GOING_ON_MAX: usize = 1_024;

/// How long one waits in the ladder for which there is no place in the slow lane.
const SENT_AWAY_FOR: Duration = Duration::from_secs(7);

/// Places for direct attempts that are there or not as chance has it.
struct ChancePlaces {
    dice: Arc<Dice>,
    worker: String,
}

#[async_trait]
impl Places for ChancePlaces {
    async fn room(&self, _deliveries: usize) -> Box<dyn Send> {
        Box::new(())
    }

    async fn enter(&self, _delivery: &Delivery) -> Entry {
        match self.dice.below(10, "direct", &self.worker) {
            0 => Entry::Refused(Lane::Slow, None),
            1 => Entry::Refused(Lane::Slow, Some(Wait::exactly(SENT_AWAY_FOR))),
            2 => Entry::Refused(Lane::Main, None),
            _ => Entry::Granted(Box::new(())),
        }
    }
}

/// Where messages are handled.
struct Desk<'a> {
    world: &'a World,
    name: &'a str,
    fate: &'a Arc<Fate>,
}

impl<'a> Desk<'a> {
    fn finish(&self, handling: BoxFuture<'a, Handled>, receipt: Box<dyn Receipt>) -> Acting<'a> {
        let acknowledges_first = self.world.plan.breaks(Sabotage::AcknowledgesFirst);
        let work = async move {
            if acknowledges_first {
                receipt.acknowledge();
                handling.await;
                return;
            }
            match handling.await {
                Handled::Acknowledge => receipt.acknowledge(),
                Handled::GiveBack => receipt.give_back(),
            }
        };
        let handler = self.world.witness.handler_of(self.name);
        self.act(handler, work.boxed())
    }

    /// An attempt that goes on is its handler's still.
    fn act(&self, handler: HandlerId, work: BoxFuture<'a, ()>) -> Acting<'a> {
        Acting {
            handler,
            fate: self.fate.clone(),
            dice: self.world.dice.clone(),
            work,
        }
    }
}

/// When a worker will crash, and when it will stand still, counted in polls.
struct Fate {
    crash: Option<AtomicU64>,
    is_over: AtomicBool,
    stall: Option<(u64, Duration)>,
}

impl Fate {
    fn draw(dice: &Dice, name: &str) -> Self {
        let crash = dice.strikes(Fault::Crash, name);
        let stall = dice.strikes(Fault::Stall, name);
        Self {
            crash: crash.map(|size| AtomicU64::new(1 + size % CRASH_WITHIN_POLLS)),
            is_over: AtomicBool::new(false),
            stall: stall.map(|size| {
                let lasts = Duration::from_millis((size >> 16) % STALL_MAX_MILLIS);
                (size % CRASH_WITHIN_POLLS, lasts)
            }),
        }
    }
}

/// The handling of one message: its steps are its handler's, and each may be the worker's last.
struct Acting<'a> {
    handler: HandlerId,
    fate: Arc<Fate>,
    dice: Arc<Dice>,
    work: BoxFuture<'a, ()>,
}

impl Future for Acting<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        if let Some(crash) = &self.fate.crash
            && !self.dice.is_healed()
        {
            let left = crash.load(Ordering::Relaxed);
            crash.store(left.saturating_sub(1), Ordering::Relaxed);
            if left <= 1 {
                self.fate.is_over.store(true, Ordering::Relaxed);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.handler.acting(|| self.work.as_mut().poll(cx))
    }
}

/// A worker's life, dropped where its fate has it.
struct Mortal<'a, F> {
    life: Pin<Box<F>>,
    fate: Arc<Fate>,
    polls: u64,
    standing: Option<Pin<Box<tokio::time::Sleep>>>,
    witness: &'a Witness,
    name: &'a str,
}

impl<F: Future<Output = ()>> Future for Mortal<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        self.polls += 1;
        if let Some((_, lasts)) = self.fate.stall.filter(|(at, _)| *at == self.polls) {
            self.witness.stalled(self.name, lasts);
            self.standing = Some(Box::pin(tokio::time::sleep(lasts)));
        }
        if let Some(standing) = &mut self.standing {
            if standing.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.standing = None;
        }
        let polled = self.life.as_mut().poll(cx);
        if self.fate.is_over.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        polled
    }
}
