//! Events go before what has waited.
//!
//! Whatever a busy worker has begun stands in one line for processor and store. Thousands of retries due together would fill that
//! line with as many as there are places, and an event that comes meanwhile would find the end of it. So while events come, only
//! a few deliveries from the queue are in the steps before their request at once. Requests under way are not counted: they wait for
//! their receivers, and hold up nobody.
//!
//! Even a few at a time keep processors, store and broker busy without a pause, and an event takes its turn among all of them at
//! each of its steps. So while events come, so many requests of deliveries from the queue begin in a second and no more. But as many as dispatch
//! puts there are no matter of waiting together: they begin besides, or the queue would grow for as long as events come. Nor is counted
//! what is put off without a request, or whatever waits for a destination that is down would hold up the retries to all others.

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
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

/// Deliveries from the queue before their request, while events come. Of 4, 8, 16 and 512 beside 200 events a second, on two
/// cores with 70,000 due, the events' p50 was 4.7, 6.5, 10 and 28 ms; what was due cost and took as long with 4 as with 16.
const FEW: usize = 4;
/// For how long after an event others are expected.
const EXPECTED_FOR: Duration = Duration::from_millis(100);
/// What was not begun in time may be made up for, so much of it: timers are late by up to a millisecond.
const LATE_MAX: Duration = Duration::from_millis(10);
/// Deliveries that dispatch put in the queue and that have not begun here: other workers may take them.
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
    /// Between two beginnings, in microseconds.
    apart: u64,
    /// When the next one begins at the earliest: microseconds after `since`.
    next: AtomicU64,
    besides: Besides,
}

/// How many may begin besides.
#[derive(Debug, Clone, Default)]
struct Besides(Arc<AtomicU32>);

/// What a delivery from the queue holds until its request: a share of its destination, and one of the few turns.
pub(crate) struct QueuedShare {
    permit: Permit,
    turn: Option<OwnedSemaphorePermit>,
    /// What is given back when no request begins.
    counted: Option<Besides>,
}

impl Drop for QueuedShare {
    fn drop(&mut self) {
        if let Some(besides) = self.counted.take() {
            besides.add();
        }
    }
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

impl Share for QueuedShare {
    fn used_from_now(&mut self) {
        self.turn = None;
        self.counted = None;
        self.permit.used_from_now();
    }

    /// Or a destination with a rate limit would hold all turns while it sleeps.
    fn stands_aside(&mut self) {
        self.turn = None;
    }
}

impl Precedence {
    /// So many deliveries from the queue a second while events come; without bound when absent.
    pub(crate) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self {
            since: Instant::now(),
            last_event: AtomicU64::new(NEVER),
            few: Arc::new(Semaphore::new(FEW)),
            apart: per_second.map_or(0, |many| 1_000_000 / u64::from(many.get())),
            next: AtomicU64::new(0),
            besides: Besides::default(),
        }
    }

    /// Takes note of an event.
    pub(crate) fn event_came(&self) {
        self.last_event.store(self.now(), Relaxed);
    }

    /// Takes note of a delivery that dispatch puts in the queue: one more may begin.
    pub(crate) fn put_in_queue(&self) {
        self.besides.add();
    }

    /// Waits for a turn beside events; at once, when none come.
    pub(crate) async fn turn(&self, permit: Permit) -> QueuedShare {
        if !self.events_come() {
            return QueuedShare {
                permit,
                turn: None,
                counted: None,
            };
        }
        let turn = self.few.clone().acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        // While they stood in line the events may have ended.
        let counts = self.events_come();
        if counts && !self.besides.take() {
            sleep_until(self.begins_at()).await;
        }
        QueuedShare {
            permit,
            turn: Some(turn),
            counted: counts.then(|| self.besides.clone()),
        }
    }

    /// When the next one may begin; that moment is taken then.
    fn begins_at(&self) -> Instant {
        let now = self.since.elapsed();
        let earliest = micros(now.saturating_sub(LATE_MAX));
        let after = |next: u64| Some(next.max(earliest) + self.apart);
        let before = self.next.fetch_update(Relaxed, Relaxed, after);
        let at = before.unwrap_or_else(|before| before).max(earliest);
        self.since + Duration::from_micros(at)
    }

    fn events_come(&self) -> bool {
        let last = self.last_event.load(Relaxed);
        last != NEVER && u128::from(self.now().saturating_sub(last)) < EXPECTED_FOR.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
        let precedence = Precedence::new(None);
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
        let precedence = Precedence::new(None);
        precedence.event_came();
        let mut shares = Vec::new();
        for _ in 0..FEW {
            shares.push(precedence.turn(permit().await).await);
        }
        tokio::time::advance(EXPECTED_FOR).await;
        let next = permit().await;
        assert!(precedence.turn(next).now_or_never().is_some());
    }

    /// How many of those that stand in line have begun their requests after so long.
    async fn begun_within(precedence: &Precedence, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut begun = 0;
        loop {
            precedence.event_came();
            let turn = precedence.turn(permit().await);
            let Ok(mut share) = tokio::time::timeout_at(end, turn).await else {
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
    async fn as_many_begin_besides_as_were_put_in() {
        let precedence = Precedence::new(NonZeroU32::MIN.into());
        for _ in 0..20 {
            precedence.put_in_queue();
        }
        let begun = begun_within(&precedence, Duration::from_millis(500)).await;
        assert_eq!(begun, 21, "one a second, and those put in");
        for _ in 0..2 * BESIDES_MAX {
            precedence.put_in_queue();
        }
        let begun = begun_within(&precedence, Duration::from_millis(400)).await;
        assert_eq!(begun, BESIDES_MAX as usize, "the rest is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_off_without_a_request_is_not_counted() {
        let precedence = Precedence::new(NonZeroU32::MIN.into());
        precedence.event_came();
        for _ in 0..100 {
            let turn = precedence.turn(permit().await).now_or_never();
            drop(turn.expect("the one before has begun no request"));
        }
        let mut begun = precedence.turn(permit().await).await;
        begun.used_from_now();
        assert!(precedence.turn(permit().await).now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn those_in_line_wait_no_longer_than_events_come() {
        let precedence = Precedence::new(NonZeroU32::MIN.into());
        precedence.event_came();
        let mut few = Vec::new();
        for _ in 0..FEW {
            precedence.put_in_queue();
            few.push(precedence.turn(permit().await).await);
        }
        let before = precedence.begins_at();
        assert!(
            before <= Instant::now(),
            "the next has to wait for a second"
        );
        let mut next = std::pin::pin!(precedence.turn(permit().await));
        assert!(next.as_mut().now_or_never().is_none());
        tokio::time::advance(EXPECTED_FOR).await;
        few.clear();
        assert!(next.now_or_never().is_some());
    }
}
