//! How many attempts one destination may have under way in this worker.

use dashmap::DashMap;
use ringback_delivery::{Pulse, WAIT_FOR_SHARE_MAX, port::Lane};
use ringback_domain::{Delivery, Destination, ProjectName, Wait, WebhookId};
use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    ops::RangeInclusive,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use url::Position;

/// A share of the worker for every destination: the one that hangs uses up its own share and no more.
#[derive(Debug)]
pub(crate) struct DestinationLimits {
    each: NonZeroUsize,
    shares: DashMap<Place, Arc<Share>>,
}

/// Both lanes: how many are in hand, and how many of one destination.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) main: DestinationLimits,
    pub(crate) slow: DestinationLimits,
    main_slots: Slots,
    slow_slots: Slots,
}

/// The deliveries of a lane in hand.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    pub(crate) free: Arc<Semaphore>,
    pub(crate) all: NonZeroUsize,
}

impl Slots {
    pub(crate) fn new(all: NonZeroUsize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(all.get())),
            all,
        }
    }
}

impl Lanes {
    /// With so many places for each destination in each lane, and so many in hand of the main lane and of the slow one.
    pub(crate) fn new(each: NonZeroUsize, in_main: NonZeroUsize, in_slow: NonZeroUsize) -> Self {
        Self {
            main: DestinationLimits::new(each),
            slow: DestinationLimits::new(each),
            main_slots: Slots::new(in_main),
            slow_slots: Slots::new(in_slow),
        }
    }

    pub(crate) fn slots(&self, lane: Lane) -> &Slots {
        match lane {
            Lane::Main => &self.main_slots,
            Lane::Slow => &self.slow_slots,
        }
    }

    /// Whether a delivery would stand behind others in the main lane, and in the slow one behind none: of that, destinations over
    /// their share keep a half.
    pub(crate) fn slow_is_quicker(&self) -> bool {
        let slow = &self.slow_slots;
        self.main_slots.free.available_permits() == 0
            && slow.free.available_permits() > slow.all.get() / 2
    }

    /// How long one that moves to the slow lane waits in the ladder first, since it would be sent there as soon as it came.
    pub(crate) fn before_slow(&self, delivery: &Delivery) -> Option<Wait> {
        self.slow.return_after(delivery).map(about)
    }
}

/// With room for few rungs: it is an estimate anyway.
pub(crate) fn about(at_least: Duration) -> Wait {
    Wait {
        at_least,
        at_most: at_least + at_least / 4,
    }
}

/// Whose share it is. A callback mostly has a URL of its own, and what hangs is a server: all of a project's to one host share.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Place {
    Webhook(WebhookId),
    /// Scheme, host and port.
    Callbacks(ProjectName, Box<str>),
}

impl Place {
    fn of(delivery: &Delivery) -> Self {
        match &delivery.destination {
            Destination::Webhook { id, .. } => Self::Webhook(id.clone()),
            Destination::Callback { url, .. } => Self::Callbacks(
                delivery.event.project.clone(),
                url[..Position::BeforePath].into(),
            ),
        }
    }
}

/// The right to one attempt at a destination; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    share: Arc<Share>,
    /// Since when the request has been under way, if it has begun.
    used_from: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

/// The share of one destination.
#[derive(Debug)]
struct Share {
    places: Arc<Semaphore>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    pulse: Pulse,
    /// When the requests under way began: as many as there are places, at most.
    under_way: Vec<Instant>,
    /// The tickets of those that wait, in the order of their turns.
    waiting: VecDeque<u64>,
    next_ticket: u64,
    /// When the newest of those that wait elsewhere comes back.
    newest_returns_at: Option<Instant>,
}

/// Destinations remembered before those without an attempt under way are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Of the places of a destination, the part that as many may wait for in the slow lane.
const WAITING_PART: usize = 4;
/// Waiting elsewhere costs a publish, a confirm and a trip through the broker, so it is not for less; and not for more, since a
/// destination may be quick again.
const RETURN_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(1);

impl DestinationLimits {
    pub(crate) fn new(each: NonZeroUsize) -> Self {
        Self {
            each,
            shares: DashMap::new(),
        }
    }

    /// A permit, if one is free or soon will be.
    pub(crate) async fn enter_soon(&self, delivery: &Delivery) -> Option<Permit> {
        let share = self.share(delivery);
        if let Ok(place) = share.places.clone().try_acquire_owned() {
            return Some(share.enter(place));
        }
        let _waiting = share.wait_if_short(self.each.get())?;
        let place = share.places.clone().acquire_owned();
        let place = timeout(WAIT_FOR_SHARE_MAX, place).await.ok()?;
        Some(share.enter(place.expect("the semaphore is never closed")))
    }

    /// A permit for a direct attempt, as in [`Self::enter_soon`], or the lane that the delivery goes to.
    pub(crate) async fn enter_directly(&self, delivery: &Delivery) -> Result<Permit, Lane> {
        let share = self.share(delivery);
        if !share.is_quick() {
            let soon = share.places.available_permits() > 0
                || share.wait_if_short(self.each.get()).is_some();
            return Err(if soon { Lane::Main } else { Lane::Slow });
        }
        self.enter_soon(delivery).await.ok_or(Lane::Slow)
    }

    /// A permit in the slow lane, once one is free; or how long the delivery is to wait elsewhere. A few of one destination wait
    /// here, so that it never lacks work; were it all of them, they would fill the lane. Who came because its turn seemed near is
    /// asked again after [`WAIT_FOR_SHARE_MAX`]: the destination may have begun to hang.
    pub(crate) async fn enter_or_return(&self, delivery: &Delivery) -> Result<Permit, Duration> {
        let share = self.share(delivery);
        if let Ok(place) = share.places.clone().try_acquire_owned() {
            return Ok(share.enter(place));
        }
        let waiting = share.wait_or_return(self.each.get())?;
        let mut place = pin!(share.places.clone().acquire_owned());
        loop {
            match timeout(WAIT_FOR_SHARE_MAX, &mut place).await {
                Ok(place) => return Ok(share.enter(place.expect("the semaphore is never closed"))),
                Err(_) => waiting.goes_on(self.each.get())?,
            }
        }
    }

    /// How long one that comes now would be told to wait elsewhere; nothing when it may wait here. Who knows spares it the way here.
    pub(crate) fn return_after(&self, delivery: &Delivery) -> Option<Duration> {
        let share = self.share(delivery);
        if share.places.available_permits() > 0 {
            return None;
        }
        share.wait_or_return(self.each.get()).err()
    }

    fn share(&self, delivery: &Delivery) -> Arc<Share> {
        if self.shares.len() > REMEMBERED_MAX {
            self.shares
                .retain(|_, share| share.places.available_permits() < self.each.get());
        }
        let new = || {
            Arc::new(Share {
                places: Arc::new(Semaphore::new(self.each.get())),
                book: Mutex::default(),
            })
        };
        self.shares
            .entry(Place::of(delivery))
            .or_insert_with(new)
            .clone()
    }
}

impl Share {
    fn enter(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Permit {
        Permit {
            share: self.clone(),
            used_from: None,
            _place: place,
        }
    }

    fn is_quick(&self) -> bool {
        let book = self.book();
        book.pulse.is_quick(book.oldest())
    }

    /// A place among those who wait, unless that would be for long.
    fn wait_if_short(&self, at_once: usize) -> Option<Waiting<'_>> {
        let mut book = self.book();
        let before = book.waiting.len();
        if !book.pulse.waits_here(at_once, book.oldest(), before) {
            return None;
        }
        Some(Waiting {
            share: self,
            ticket: book.ticket(),
        })
    }

    /// A place among the few who wait however long that is, or when to come back.
    fn wait_or_return(&self, at_once: usize) -> Result<Waiting<'_>, Duration> {
        let mut book = self.book();
        let before = book.waiting.len();
        book.waits_or_returns(at_once, before)?;
        Ok(Waiting {
            share: self,
            ticket: book.ticket(),
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// For how long the oldest request has been under way.
    fn oldest(&self) -> Duration {
        let oldest = self.under_way.iter().map(Instant::elapsed).max();
        oldest.unwrap_or(Duration::ZERO)
    }

    /// A ticket to wait with, behind all others.
    fn ticket(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back(ticket);
        ticket
    }

    /// How many have their turn before this ticket.
    fn before(&self, ticket: u64) -> usize {
        self.waiting.partition_point(|other| *other < ticket)
    }

    /// Whether one waits in the slow lane, or when it is to come back: `before` have their turn before it.
    fn waits_or_returns(&mut self, at_once: usize, before: usize) -> Result<(), Duration> {
        if before < few(at_once) || self.pulse.waits_here(at_once, self.oldest(), before) {
            return Ok(());
        }
        Err(self.return_after(at_once))
    }

    /// Those that wait elsewhere come back one after the other, as fast as the destination takes them.
    fn return_after(&mut self, at_once: usize) -> Duration {
        let now = Instant::now();
        let after = self.newest_returns_at.map_or(now, |newest| newest.max(now));
        let apart = self.pulse.apart(at_once, self.oldest());
        let (least, most) = RETURN_AFTER.into_inner();
        let returns_at = (after + apart).clamp(now + least, now + most);
        self.newest_returns_at = Some(returns_at);
        returns_at - now
    }

    fn leaves(&mut self, since: Instant) {
        if let Some(at) = self.under_way.iter().position(|at| *at == since) {
            self.under_way.swap_remove(at);
        }
    }
}

/// What comes before the request, the claim above all, says nothing about the destination.
impl ringback_delivery::Share for Permit {
    fn used_from_now(&mut self) {
        let now = Instant::now();
        let mut book = self.share.book();
        self.used_from
            .into_iter()
            .for_each(|since| book.leaves(since));
        book.under_way.push(now);
        drop(book);
        self.used_from = Some(now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(since) = self.used_from {
            let mut book = self.share.book();
            book.pulse.ended(since.elapsed());
            book.leaves(since);
        }
    }
}

/// How many of one destination wait in the slow lane however long that is.
fn few(at_once: usize) -> usize {
    (at_once / WAITING_PART).max(1)
}

struct Waiting<'a> {
    share: &'a Share,
    ticket: u64,
}

impl Waiting<'_> {
    /// Whether it goes on waiting, or when it is to come back. Who came after it does not count: it is asked before them, and would
    /// go although its turn is near.
    fn goes_on(&self, at_once: usize) -> Result<(), Duration> {
        let mut book = self.share.book();
        let before = book.before(self.ticket);
        book.waits_or_returns(at_once, before)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut book = self.share.book();
        let at = book.before(self.ticket);
        book.waiting.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
    use ringback_testkit::samples;

    fn two() -> DestinationLimits {
        DestinationLimits::new(NonZeroUsize::new(2).unwrap())
    }

    impl DestinationLimits {
        /// A permit, its request begun.
        pub(crate) async fn enter(&self, delivery: &Delivery) -> Permit {
            let mut permit = self.enter_or_return(delivery).await.unwrap();
            ringback_delivery::Share::used_from_now(&mut permit);
            permit
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_slow_has_few_waiting_and_the_others_come_back_as_fast_as_it_takes_them() {
        let limits = two();
        let (slow, other) = (samples::delivery(), samples::delivery());
        let held = (limits.enter(&slow).await, limits.enter(&slow).await);
        tokio::time::advance(Duration::from_secs(8)).await;
        let mut first = pin!(limits.enter_or_return(&slow));
        assert!((&mut first).now_or_never().is_none(), "it waits here");
        // At two places, of which each takes 4 s and more.
        for expected in [2, 4, 6] {
            let after = limits.enter_or_return(&slow).await.unwrap_err();
            assert_eq!(after, Duration::from_secs(expected));
        }
        for _ in 0..100 {
            let after = limits.enter_or_return(&slow).await.unwrap_err();
            assert!(after <= *RETURN_AFTER.end());
        }
        let others = limits.enter_or_return(&other);
        assert!(others.now_or_never().unwrap().is_ok());
        drop(held);
        assert!(first.await.is_ok());
    }

    /// All of them came while it was quick, so that each had reason to expect its turn soon.
    #[tokio::test(start_paused = true)]
    async fn one_that_begins_to_hang_keeps_few_waiting_of_those_who_came_before_it_showed() {
        let limits = two();
        let slow = samples::delivery();
        let quick = limits.enter(&slow).await;
        tokio::time::advance(Duration::from_millis(5)).await;
        drop(quick);
        let held = (limits.enter(&slow).await, limits.enter(&slow).await);
        let waiting: FuturesUnordered<_> = (0..80).map(|_| limits.enter_or_return(&slow)).collect();
        let mut waiting = pin!(waiting);
        let mut went = 0;
        let all = async {
            while let Some(turn) = waiting.next().await {
                let after = turn.unwrap_err();
                assert!(RETURN_AFTER.contains(&after), "{after:?}");
                went += 1;
            }
        };
        let within = 4 * WAIT_FOR_SHARE_MAX;
        assert!(timeout(within, all).await.is_err(), "one is patient");
        assert_eq!(went, 79);
        drop(held);
        assert!(waiting.next().await.unwrap().is_ok());
        assert!(limits.share(&slow).book().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_slows_down_keeps_those_whose_turn_is_near() {
        let limits = DestinationLimits::new(NonZeroUsize::new(16).unwrap());
        let slow = samples::delivery();
        let quick = limits.enter(&slow).await;
        tokio::time::advance(Duration::from_millis(5)).await;
        drop(quick);
        let mut held = Vec::new();
        for _ in 0..16 {
            held.push(limits.enter(&slow).await);
        }
        let waiting: FuturesUnordered<_> = (0..400)
            .map(|number| {
                let turn = limits.enter_or_return(&slow);
                turn.map(move |turn| (number, turn))
            })
            .collect();
        let mut waiting = pin!(waiting);
        let mut went = Vec::new();
        let all = async {
            while let Some((number, turn)) = waiting.next().await {
                assert!(turn.is_err());
                went.push(number);
            }
        };
        let within = WAIT_FOR_SHARE_MAX * 3 / 2;
        assert!(timeout(within, all).await.is_err(), "some go on waiting");
        let kept = 400 - went.len();
        assert!((16..=32).contains(&kept), "{kept}: a turn or two");
        went.sort_unstable();
        assert!(went.into_iter().eq(kept..400), "the last in line go");
        drop(held);
        // Kept, since each place is given back only with the last of them.
        let mut entered = Vec::new();
        for expected in 0..16 {
            let (number, turn) = waiting.next().await.unwrap();
            assert_eq!(number, expected);
            entered.push(turn.unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_has_its_share_and_no_more() {
        let limits = two();
        let (one, other) = (samples::delivery(), samples::delivery());
        let held = (limits.enter(&one).await, limits.enter(&one).await);
        assert!(limits.enter_soon(&one).await.is_none(), "nobody leaves");
        assert!(limits.enter_soon(&other).await.is_some());
        drop(held);
        assert!(limits.enter_soon(&one).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn callbacks_to_one_host_share_whatever_their_urls_are() {
        let limits = two();
        let to = |project: &str, url: &str| {
            let destination = Destination::Callback {
                url: url.parse().unwrap(),
                secret: None,
            };
            let event = samples::event_of(&project.parse().unwrap());
            samples::delivery_of(&event, destination)
        };
        let jobs = ["https://a.example/job/1", "https://a.example/job/2?token=3"];
        let jobs = jobs.map(|url| to("acme", url));
        let _held = (limits.enter(&jobs[0]).await, limits.enter(&jobs[1]).await);
        let third = to("acme", "https://a.example:443/job/3");
        assert!(limits.enter_soon(&third).await.is_none());
        for (project, url) in [
            ("acme", "https://b.example/job/1"),
            ("acme", "https://a.example:8443/job/1"),
            ("umbrella", "https://a.example/job/1"),
        ] {
            let other = limits.enter_soon(&to(project, url)).await;
            assert!(other.is_some(), "{project}, {url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_it_hangs_does_not_wait_at_all() {
        let limits = two();
        let one = samples::delivery();
        let _held = (limits.enter(&one).await, limits.enter(&one).await);
        assert!(limits.enter_soon(&one).await.is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        let asked_at = Instant::now();
        assert!(limits.enter_soon(&one).await.is_none());
        assert_eq!(asked_at.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_comes_soon_is_waited_for() {
        let limits = two();
        let one = samples::delivery();
        let held = (limits.enter(&one).await, limits.enter(&one).await);
        let leave = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(held.0);
        };
        let (entered, ()) = tokio::join!(limits.enter_soon(&one), leave);
        assert!(entered.is_some());
        assert!(limits.share(&one).book().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_direct_attempt_is_for_who_is_quick_and_has_a_place() {
        let limits = two();
        let one = samples::delivery();
        let mut held = limits.enter_directly(&one).await.unwrap();
        ringback_delivery::Share::used_from_now(&mut held);
        let also = limits.enter_directly(&one).await.unwrap();
        let refused = limits.enter_directly(&one).await.unwrap_err();
        assert_eq!(refused, Lane::Slow, "nobody leaves in time");

        drop((held, also));
        let mut slow = limits.enter(&one).await;
        ringback_delivery::Share::used_from_now(&mut slow);
        tokio::time::advance(Duration::from_secs(2)).await;
        drop(slow);
        let refused = limits.enter_directly(&one).await.unwrap_err();
        assert_eq!(refused, Lane::Main, "it would outlast its event's patience");
        let _held = (limits.enter(&one).await, limits.enter(&one).await);
        let refused = limits.enter_directly(&one).await.unwrap_err();
        assert_eq!(refused, Lane::Slow, "nor is there a place soon");
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_be_sent_away_is_told_so_before_it_comes() {
        let limits = two();
        let slow = samples::delivery();
        let held = (limits.enter(&slow).await, limits.enter(&slow).await);
        tokio::time::advance(Duration::from_secs(8)).await;
        assert_eq!(limits.return_after(&slow), None, "one may wait");
        let mut first = pin!(limits.enter_or_return(&slow));
        assert!((&mut first).now_or_never().is_none());
        // One line with those that came, at two places, of which each takes 4 s and more.
        assert_eq!(limits.return_after(&slow), Some(Duration::from_secs(2)));
        let after = limits.enter_or_return(&slow).await.unwrap_err();
        assert_eq!(after, Duration::from_secs(4));
        drop(held);
        drop(first.await);
        assert_eq!(limits.return_after(&slow), None, "a place is free");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_before_the_request_does_not_make_a_destination_slow() {
        let limits = two();
        let one = samples::delivery();
        let mut permit = limits.enter_or_return(&one).await.unwrap();
        // The store takes its time to grant the claim.
        tokio::time::advance(Duration::from_secs(5)).await;
        let also = limits.enter_or_return(&one).await.unwrap();
        let mut waiting = pin!(limits.enter_or_return(&one));
        assert!((&mut waiting).now_or_never().is_none());
        let here = limits.enter_or_return(&one).now_or_never();
        assert!(here.is_none(), "it is not the destination that is slow");
        drop(also);
        assert!(waiting.await.is_ok());
        ringback_delivery::Share::used_from_now(&mut permit);
        tokio::time::advance(Duration::from_millis(5)).await;
        drop(permit);
        assert!(limits.enter_directly(&one).await.is_ok());
    }
}
