//! Direct attempts: the first attempt at a delivery, made while the message of its event is still in our hands.
//!
//! A message of its own costs a delivery a publish, a confirm and a trip through the broker, as much as all the rest. Most
//! deliveries are accepted at the first attempt, within milliseconds: for these the event's message stands, which is
//! acknowledged once they are settled. A delivery has its own message as soon as there is a reason: its destination is not
//! quick or has no place free, the attempt takes long, or the event came before, and perhaps took a worker with it.
//!
//! It also keeps what is new apart from what comes again: an event waits behind no retry and no replay.

use crate::{Deliver, Handled, Share, port::Lane, unmarked::UnmarkedEvent};
use async_trait::async_trait;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use ringback_domain::{Delivery, Wait};
use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

/// An attempt that takes no longer than this is made without a message of its own.
pub const DIRECT_MAX: Duration = Duration::from_millis(250);

/// Makes direct attempts.
pub struct Direct {
    deliver: Arc<Deliver>,
    places: Arc<dyn Places>,
    go_on: Arc<dyn GoOn>,
}

/// Runs attempts that go on although a message of their own stands for them, from the moment on at which it does.
///
/// Not when their event is done with: an attempt that nobody runs meanwhile may be the next in line for what the rest of its event, or
/// any other of this worker, waits for.
pub trait GoOn: Send + Sync {
    /// Runs it, and does not wait for it. Dropped, it ends as that of a worker that vanished.
    fn go_on(&self, under_way: UnderWay);
}

/// Where direct attempts are made: how many at once, and which had better not.
#[async_trait]
pub trait Places: Send + Sync {
    /// Room for so many deliveries of one event, once there is: held until each is seen off. An event that waits here costs
    /// nothing yet, while one whose deliveries find no place costs a message for each.
    async fn room(&self, deliveries: usize) -> Box<dyn Send>;

    /// A place for an attempt at this delivery, now or soon.
    async fn enter(&self, delivery: &Delivery) -> Entry;
}

/// The answer to who asks for a place.
pub enum Entry {
    /// It is there.
    Granted(Box<dyn Share>),
    /// The delivery goes to a lane, as a message of its own; after a wait, if it would not find a place there either.
    Refused(Lane, Option<Wait>),
}

/// An attempt that goes on, for which a message of its own stands.
pub type UnderWay = BoxFuture<'static, ()>;

/// What became of a delivery.
pub(crate) enum Tried {
    /// It is settled, or safe without its event's message.
    Done,
    /// It needs a message of its own in this lane, at once or after a wait.
    Publish(Lane, Option<Wait>),
}

impl Direct {
    /// Attempts by this `Deliver`, in these places.
    pub fn new(deliver: Arc<Deliver>, places: Arc<dyn Places>, go_on: Arc<dyn GoOn>) -> Self {
        Self {
            deliver,
            places,
            go_on,
        }
    }

    /// Reads what every attempt looks at, if what was read is fresh no more.
    pub(crate) async fn look_ahead(&self) {
        self.deliver.look_ahead().await;
    }

    /// The deliveries of an event that is about to be marked.
    pub(crate) fn unmarked(&self, deliveries: &[Delivery]) -> UnmarkedEvent<'_> {
        self.deliver.unmarked.event(deliveries)
    }

    pub(crate) async fn room(&self, deliveries: usize) -> Box<dyn Send> {
        self.places.room(deliveries).await
    }

    pub(crate) async fn attempt(&self, delivery: &Arc<Delivery>) -> Tried {
        let share = match self.places.enter(delivery).await {
            Entry::Granted(share) => share,
            Entry::Refused(lane, wait) => return Tried::Publish(lane, wait),
        };
        let attempt = self.begin(delivery.clone(), share);
        let guarded = pin!(self.deliver.guard(delivery, DIRECT_MAX));
        match select(attempt, guarded).await {
            Either::Left((handled, _)) => done(handled),
            Either::Right((Ok(()), attempt)) => {
                self.go_on.go_on(attempt.map(drop).boxed());
                Tried::Done
            }
            // No message stands for it: the event's has to.
            Either::Right((Err(_), attempt)) => done(attempt.await),
        }
    }

    /// A panic is our failure and this delivery's alone: its own message will tell the broker whom to park.
    fn begin(&self, delivery: Arc<Delivery>, share: Box<dyn Share>) -> BoxFuture<'static, Handled> {
        let deliver = self.deliver.clone();
        let handling = async move { deliver.handle_with_share(&delivery, share).await };
        let unwound = AssertUnwindSafe(handling).catch_unwind();
        unwound
            .map(|handled| {
                handled.unwrap_or_else(|_| {
                    tracing::error!("a direct attempt panicked, its delivery is queued");
                    Handled::GiveBack
                })
            })
            .boxed()
    }
}

fn done(handled: Handled) -> Tried {
    match handled {
        Handled::Acknowledge => Tried::Done,
        Handled::GiveBack => Tried::Publish(Lane::Main, None),
    }
}
