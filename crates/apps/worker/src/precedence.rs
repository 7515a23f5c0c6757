//! Events go before what has waited.
//!
//! Whatever a busy worker has begun stands in one line for processor and store. Thousands of retries due together would fill that
//! line with as many as there are places, and an event that comes meanwhile would find the end of it. So while events come, only
//! a few deliveries from the queue are in the steps before their request at once. Requests under way are not counted: they wait for
//! their receivers, and hold up nobody.

use crate::destination_limits::Permit;
use ringback_delivery::Share;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Deliveries from the queue before their request, while events come. Of 4, 8, 16 and 512 beside 200 events a second, on two
/// cores with 70,000 due, the events' p50 was 4.7, 6.5, 10 and 28 ms; what was due cost and took as long with 4 as with 16.
const FEW: usize = 4;
/// But as many as so many a second need, by how long the quickest takes: with a store that is far away most of these steps is waiting, and
/// four at once of 20 ms would be 200 a second.
const PER_SECOND: u32 = 2_000;
/// However far away it is.
const MANY: usize = 64;
/// Deliveries of which the quickest counts: under load most take longer than they need, and a few of so many do not.
const ROUND: u32 = 256;
/// For how long after an event others are expected.
const EXPECTED_FOR: Duration = Duration::from_millis(100);
/// No event has come yet.
const NEVER: u64 = u64::MAX;

/// Knows whether events come, and who may go on beside them.
#[derive(Debug)]
pub(crate) struct Precedence {
    since: Instant,
    /// Milliseconds after `since`.
    last_event: AtomicU64,
    few: Arc<Semaphore>,
    pace: Mutex<Pace>,
}

/// What is known of the steps before a request.
#[derive(Debug)]
struct Pace {
    /// Turns there are.
    turns: usize,
    /// Deliveries of this round, and how long the quickest of them took.
    seen: u32,
    quickest: Duration,
}

/// What a delivery from the queue holds until its request: a share of its destination, and one of the few turns.
pub(crate) struct QueuedShare {
    permit: Permit,
    turn: Option<OwnedSemaphorePermit>,
    /// Since when it has its turn, and who asks how long it takes; nothing once it waited for something else.
    begun: Option<(Instant, Arc<Precedence>)>,
}

impl Share for QueuedShare {
    fn used_from_now(&mut self) {
        self.turn = None;
        self.permit.used_from_now();
        if let Some((begun, precedence)) = self.begun.take() {
            precedence.took(begun.elapsed());
        }
    }

    /// Or a destination with a rate limit would hold all turns while it sleeps.
    fn stands_aside(&mut self) {
        self.turn = None;
        self.begun = None;
    }
}

impl Precedence {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            last_event: AtomicU64::new(NEVER),
            few: Arc::new(Semaphore::new(FEW)),
            pace: Mutex::new(Pace {
                turns: FEW,
                seen: 0,
                quickest: Duration::MAX,
            }),
        }
    }

    /// Takes note of an event.
    pub(crate) fn event_came(&self) {
        self.last_event.store(self.now(), Ordering::Relaxed);
    }

    /// Waits for a turn beside events; at once, when none come.
    pub(crate) async fn turn(self: &Arc<Self>, permit: Permit) -> QueuedShare {
        let turn = if self.events_come() {
            let turn = self.few.clone().acquire_owned().await;
            Some(turn.expect("the semaphore is never closed"))
        } else {
            None
        };
        QueuedShare {
            permit,
            turn,
            begun: Some((Instant::now(), self.clone())),
        }
    }

    /// Takes note of how long the steps before a request took, and has as many turns as that asks for.
    fn took(&self, took: Duration) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.seen += 1;
        pace.quickest = pace.quickest.min(took);
        if pace.seen < ROUND {
            return;
        }
        let wanted = turns_for(pace.quickest);
        if wanted > pace.turns {
            self.few.add_permits(wanted - pace.turns);
            pace.turns = wanted;
        } else {
            // Those that are taken go in a later round.
            pace.turns -= self.few.forget_permits(pace.turns - wanted);
        }
        (pace.seen, pace.quickest) = (0, Duration::MAX);
    }

    fn events_come(&self) -> bool {
        let last = self.last_event.load(Ordering::Relaxed);
        last != NEVER && u128::from(self.now().saturating_sub(last)) < EXPECTED_FOR.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

fn turns_for(quickest: Duration) -> usize {
    let turns = (quickest * PER_SECOND).as_secs();
    usize::try_from(turns).map_or(MANY, |turns| turns.clamp(FEW, MANY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination_limits::DestinationLimits;
    use futures_util::FutureExt;
    use ringback_testkit::samples;
    use std::num::NonZeroUsize;

    async fn permit() -> Permit {
        let limits = DestinationLimits::new(NonZeroUsize::MIN);
        limits.enter(&samples::delivery()).await
    }

    #[tokio::test(start_paused = true)]
    async fn beside_events_few_deliveries_are_before_their_request() {
        let precedence = Arc::new(Precedence::new());
        let mut shares = Vec::new();
        for _ in 0..2 * FEW {
            shares.push(precedence.turn(permit().await).await);
        }
        precedence.event_came();
        let mut few = Vec::new();
        for _ in 0..FEW {
            few.push(precedence.turn(permit().await).await);
        }
        let next = permit().await;
        let mut next = std::pin::pin!(precedence.turn(next));
        assert!(next.as_mut().now_or_never().is_none());
        few[0].used_from_now();
        assert!(next.now_or_never().is_some(), "a request is under way");
        let after = permit().await;
        let mut after = std::pin::pin!(precedence.turn(after));
        few[1].stands_aside();
        assert!(
            after.as_mut().now_or_never().is_some(),
            "a rate limit's turn is near"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn once_no_more_events_come_nobody_waits() {
        let precedence = Arc::new(Precedence::new());
        precedence.event_came();
        let mut shares = Vec::new();
        for _ in 0..FEW {
            shares.push(precedence.turn(permit().await).await);
        }
        tokio::time::advance(EXPECTED_FOR).await;
        let next = permit().await;
        assert!(precedence.turn(next).now_or_never().is_some());
    }

    /// A round of deliveries, each of which takes so long before its request.
    async fn round(precedence: &Arc<Precedence>, takes: Duration) {
        for _ in 0..ROUND {
            let mut share = precedence.turn(permit().await).await;
            tokio::time::advance(takes).await;
            share.used_from_now();
        }
    }

    /// How many have a turn at once beside events.
    async fn turns(precedence: &Arc<Precedence>) -> usize {
        precedence.event_came();
        let mut shares = Vec::new();
        loop {
            let permit = permit().await;
            match precedence.turn(permit).now_or_never() {
                Some(share) => shares.push(share),
                None => return shares.len(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_farther_the_store_the_more_have_a_turn_at_once() {
        let precedence = Arc::new(Precedence::new());
        for (millis, expected) in [(1, FEW), (20, 40), (500, MANY), (3, 6), (1, FEW)] {
            round(&precedence, Duration::from_millis(millis)).await;
            assert_eq!(turns(&precedence).await, expected, "{millis} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_quickest_of_a_round_counts_and_no_wait_for_something_else() {
        let precedence = Arc::new(Precedence::new());
        for number in 0..ROUND {
            let mut share = precedence.turn(permit().await).await;
            let takes = if number == 7 { 2 } else { 300 };
            tokio::time::advance(Duration::from_millis(takes)).await;
            share.used_from_now();
        }
        assert_eq!(turns(&precedence).await, FEW);
        for _ in 0..2 * ROUND {
            let mut share = precedence.turn(permit().await).await;
            share.stands_aside();
            tokio::time::advance(Duration::from_millis(300)).await;
            share.used_from_now();
        }
        assert_eq!(turns(&precedence).await, FEW);
    }
}
