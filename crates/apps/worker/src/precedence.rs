//! Events go before what has waited.
//!
//! Whatever a busy worker has begun stands in one line for processor and store. Thousands of retries due together would fill that
//! line with as many as there are places, and an event that comes meanwhile would find the end of it. So while events come, only
//! a few deliveries from the queue are in the steps before their request at once. Requests under way are not counted: they wait for
//! their receivers, and hold up nobody.
//!
//! Even a few at a time keep processors, store and broker busy without a pause, and an event takes its turn among all of them at
//! each of its steps. So while events come, requests for deliveries of the main lane begin at a bounded rate. One more may begin for
//! each delivery that dispatch sees: the first retries of these are no backlog, nor are those that found no place. What is put
//! off without a request is not counted, or whatever waits for a destination that is down would hold up the retries to all others.

use crate::destination_limits::Permit;
use ringback_delivery::Share;
use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

/// Deliveries from the queue before their request, while events come. Of 4, 8, 16 and 512 beside 200 events a second, on two
/// cores with 70,000 due, the events' p50 was 4.7, 6.5, 10 and 28 ms; what was due cost and took as long with 4 as with 16.
const FEW: usize = 4;
/// For how long after an event others are expected.
const EXPECTED_FOR: Duration = Duration::from_secs(1);
/// What was not begun in time may be made up for, so much of it: timers are late by up to a millisecond.
const LATE_MAX: Duration = Duration::from_millis(10);
/// How many may begin besides, at most: what came without one of them beginning, as where nothing is retried, is saved up no further.
const BESIDES_MAX: u32 = 1_024;
/// No event has come yet.
const NEVER: u64 = u64::MAX;

/// Knows whether events come, and who may go on beside them.
#[derive(Debug)]
pub(crate) struct Precedence {
    since: Instant,
    /// Milliseconds after `since`.
    last_event: AtomicU64,
    few: Arc<Semaphore>,
    /// Between two beginnings, if that is bounded.
    apart: Option<Duration>,
    /// When the next one begins at the earliest. Who is at the head of the line holds it.
    line: Mutex<Instant>,
    besides: Besides,
}

/// How many may begin besides.
#[derive(Debug, Clone, Default)]
struct Besides(Arc<AtomicU32>);

/// The right to begin beside events. Dropped before a request, it lets another one begin.
#[derive(Debug, Default)]
pub(crate) struct Begun(Option<Besides>);

/// What a delivery from the queue holds until its request: a share of its destination, and one of the few turns.
pub(crate) struct QueuedShare {
    permit: Permit,
    turn: Option<OwnedSemaphorePermit>,
    begun: Begun,
}

impl Besides {
    fn add(&self) {
        let one_more = |many: u32| (many < BESIDES_MAX).then_some(many + 1);
        let _ = self.0.fetch_update(Relaxed, Relaxed, one_more);
    }

    /// Takes one of them, if there is one.
    fn take(&self) -> bool {
        let one_less = |many: u32| many.checked_sub(1);
        self.0.fetch_update(Relaxed, Relaxed, one_less).is_ok()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(besides) = self.0.take() {
            besides.add();
        }
    }
}

impl Share for QueuedShare {
    fn used_from_now(&mut self) {
        self.turn = None;
        self.begun.0 = None;
        self.permit.used_from_now();
    }

    /// Or a destination with a rate limit would hold all turns while it sleeps.
    fn stands_aside(&mut self) {
        self.turn = None;
    }
}

impl Precedence {
    /// So many of the main lane begin in a second while events come, at least; without bound when absent.
    pub(crate) fn new(per_second: Option<NonZeroU32>) -> Self {
        let now = Instant::now();
        Self {
            since: now,
            last_event: AtomicU64::new(NEVER),
            few: Arc::new(Semaphore::new(FEW)),
            apart: per_second.map(|many| Duration::from_secs(1) / many.get()),
            line: Mutex::new(now),
            besides: Besides::default(),
        }
    }

    /// Takes note of an event.
    pub(crate) fn event_came(&self) {
        self.last_event.store(self.now(), Relaxed);
    }

    /// Takes note of a delivery that dispatch sees: one more may begin.
    pub(crate) fn fresh_delivery_came(&self) {
        self.besides.add();
    }

    /// Waits until a delivery of the main lane may begin, before it takes anything that others could want; at once, when no events come.
    pub(crate) async fn begin(&self) -> Begun {
        let Some(apart) = self.apart else {
            return Begun::default();
        };
        if !self.events_come() {
            self.besides.0.store(0, Relaxed);
            return Begun::default();
        }
        let mut next = self.line.lock().await;
        // While they stood in line the events may have ended.
        if !self.events_come() {
            return Begun::default();
        }
        if !self.besides.take() {
            let now = Instant::now();
            let earliest = now.checked_sub(LATE_MAX).unwrap_or(now);
            let at = earliest.max(*next);
            if at > now {
                sleep_until(at).await;
            }
            *next = at + apart;
        }
        Begun(Some(self.besides.clone()))
    }

    /// Waits for a turn beside events; at once, when none come.
    pub(crate) async fn turn(&self, permit: Permit, begun: Begun) -> QueuedShare {
        let turn = if self.events_come() {
            let turn = self.few.clone().acquire_owned().await;
            Some(turn.expect("the semaphore is never closed"))
        } else {
            None
        };
        QueuedShare {
            permit,
            turn,
            begun,
        }
    }

    fn events_come(&self) -> bool {
        let last = self.last_event.load(Relaxed);
        last != NEVER && u128::from(self.now().saturating_sub(last)) < EXPECTED_FOR.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination_limits::DestinationLimits;
    use futures_util::{FutureExt, StreamExt};
    use ringback_testkit::samples;
    use std::num::NonZeroUsize;

    async fn permit() -> Permit {
        let limits = DestinationLimits::new(NonZeroUsize::MIN);
        limits.enter(&samples::delivery()).await
    }

    #[tokio::test(start_paused = true)]
    async fn beside_events_few_deliveries_are_before_their_request() {
        let precedence = Precedence::new(None);
        let mut shares = Vec::new();
        for _ in 0..2 * FEW {
            shares.push(precedence.turn(permit().await, Begun::default()).await);
        }
        precedence.event_came();
        let mut few = Vec::new();
        for _ in 0..FEW {
            few.push(precedence.turn(permit().await, Begun::default()).await);
        }
        let next = permit().await;
        let mut next = std::pin::pin!(precedence.turn(next, Begun::default()));
        assert!(next.as_mut().now_or_never().is_none());
        few[0].used_from_now();
        assert!(next.now_or_never().is_some(), "a request is under way");
        let after = permit().await;
        let mut after = std::pin::pin!(precedence.turn(after, Begun::default()));
        few[1].stands_aside();
        assert!(
            after.as_mut().now_or_never().is_some(),
            "a rate limit's turn is near"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn once_no_more_events_come_nobody_waits() {
        let precedence = Precedence::new(None);
        precedence.event_came();
        let mut shares = Vec::new();
        for _ in 0..FEW {
            shares.push(precedence.turn(permit().await, Begun::default()).await);
        }
        tokio::time::advance(EXPECTED_FOR).await;
        let next = permit().await;
        assert!(
            precedence
                .turn(next, Begun::default())
                .now_or_never()
                .is_some()
        );
    }

    async fn share(precedence: &Precedence) -> QueuedShare {
        let begun = precedence.begin().await;
        precedence.turn(permit().await, begun).await
    }

    /// How many of those that stand in line have begun their requests after so long.
    async fn begun_within(precedence: &Precedence, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut begun = 0;
        loop {
            precedence.event_came();
            let Ok(mut share) = tokio::time::timeout_at(end, share(precedence)).await else {
                return begun;
            };
            share.used_from_now();
            begun += 1;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn beside_events_so_many_begin_in_a_second() {
        let precedence = Precedence::new(NonZeroU32::new(500));
        tokio::time::advance(Duration::from_mins(1)).await;
        let begun = begun_within(&precedence, Duration::from_secs(2)).await;
        assert!((995..=1_010).contains(&begun), "{begun} in two seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_begins_for_each_fresh_delivery() {
        let precedence = Precedence::new(NonZeroU32::MIN.into());
        let fresh = |many: u32| (0..many).for_each(|_| precedence.fresh_delivery_came());
        fresh(20);
        precedence.event_came();
        let begun = begun_within(&precedence, Duration::from_millis(500)).await;
        assert_eq!(begun, 21, "one a second, and as many as were fresh");
        fresh(2 * BESIDES_MAX);
        let begun = begun_within(&precedence, Duration::from_millis(400)).await;
        assert_eq!(begun, BESIDES_MAX as usize, "the rest is forgotten");
        fresh(20);
        tokio::time::advance(EXPECTED_FOR).await;
        drop(share(&precedence).await);
        let begun = begun_within(&precedence, Duration::from_millis(300)).await;
        assert!(begun <= 1, "{begun}: those before the pause are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_off_without_a_request_is_not_counted() {
        let precedence = Precedence::new(NonZeroU32::MIN.into());
        precedence.event_came();
        for _ in 0..20 {
            let begun = share(&precedence).now_or_never();
            drop(begun.expect("the one before has begun no request"));
        }
        let mut begun = share(&precedence).await;
        begun.used_from_now();
        assert!(share(&precedence).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn those_in_line_wait_no_longer_than_events_come() {
        let precedence = Precedence::new(NonZeroU32::MIN.into());
        precedence.event_came();
        share(&precedence).await.used_from_now();
        let mut line: futures_util::stream::FuturesUnordered<_> =
            (0..100).map(|_| precedence.begin()).collect();
        assert!(line.next().now_or_never().is_none());
        let asked_at = Instant::now();
        for _ in 0..100 {
            line.next().await.expect("each of them begins");
        }
        assert!(
            asked_at.elapsed() <= Duration::from_millis(1_001),
            "one sleeps"
        );
    }
}
