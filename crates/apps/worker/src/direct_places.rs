//! Where dispatch makes direct attempts in this worker.

use crate::{
    destination_limits::{Lanes, Permit},
    precedence::Precedence,
};
use async_trait::async_trait;
use ringback_delivery::{Entry, Places, Share, port::Lane};
use ringback_domain::Delivery;
use std::{future::Future, num::NonZeroUsize, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Deliveries of dispatched events at once, an event of more than that alone: what a worker is through with in a quarter of a
/// second, so that deliveries to quick destinations find a place before they give up waiting for one.
const DISPATCHED_DELIVERIES_MAX: u32 = 512;

/// The places for direct attempts: as many as the main lane has, apart from its own, so that an event finds one whatever fills
/// the lane.
pub(crate) struct DirectPlaces {
    lanes: Arc<Lanes>,
    precedence: Arc<Precedence>,
    places: Arc<Semaphore>,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

/// A place, and the share of the destination.
struct DirectPlace {
    permit: Permit,
    _place: OwnedSemaphorePermit,
}

impl Share for DirectPlace {
    fn used_from_now(&mut self) {
        self.permit.used_from_now();
    }
}

impl DirectPlaces {
    /// So many at once, within the limits of the main lane; none after the wish to stop.
    pub(crate) fn new(
        lanes: Arc<Lanes>,
        precedence: Arc<Precedence>,
        at_once: NonZeroUsize,
        stop: CancellationToken,
    ) -> Self {
        Self {
            lanes,
            precedence,
            places: Arc::new(Semaphore::new(at_once.get())),
            room: Arc::new(Semaphore::new(DISPATCHED_DELIVERIES_MAX as usize)),
            stop,
        }
    }

    /// To the main lane, unless it would stand there behind all that is due.
    fn to_main_lane(&self, delivery: &Delivery) -> Entry {
        if self.lanes.slow_is_quicker() {
            return self.to_slow_lane(delivery);
        }
        Entry::Refused(Lane::Main, None)
    }

    fn to_slow_lane(&self, delivery: &Delivery) -> Entry {
        Entry::Refused(Lane::Slow, self.lanes.before_slow(delivery))
    }
}

#[async_trait]
impl Places for DirectPlaces {
    async fn room(&self, deliveries: usize) -> Box<dyn Send> {
        let wanted = u32::try_from(deliveries).unwrap_or(u32::MAX);
        let wanted = wanted.min(DISPATCHED_DELIVERIES_MAX);
        let room = self.room.clone().acquire_many_owned(wanted).await;
        Box::new(room.expect("the semaphore is never closed"))
    }

    async fn enter(&self, delivery: &Delivery) -> Entry {
        self.precedence.fresh_delivery_came();
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return self.to_main_lane(delivery);
        };
        let entering = self.lanes.main.enter_directly(delivery);
        match unless_stopped(&self.stop, entering).await {
            Some(Ok(permit)) => Entry::Granted(Box::new(DirectPlace {
                permit,
                _place: place,
            })),
            Some(Err(Lane::Slow)) => self.to_slow_lane(delivery),
            Some(Err(Lane::Main)) | None => self.to_main_lane(delivery),
        }
    }
}

/// Waits for a turn; none comes after the wish to stop, nor together with it.
pub(crate) async fn unless_stopped<T>(
    stop: &CancellationToken,
    turn: impl Future<Output = T>,
) -> Option<T> {
    let turn = stop.run_until_cancelled(turn).await?;
    (!stop.is_cancelled()).then_some(turn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use ringback_testkit::samples;
    use std::{pin::pin, time::Duration};

    fn places(at_once: usize) -> (DirectPlaces, CancellationToken) {
        let many = NonZeroUsize::new(at_once).unwrap();
        let stop = CancellationToken::new();
        let lanes = Arc::new(Lanes::new(many, many, many));
        let precedence = Arc::new(Precedence::new(None));
        (
            DirectPlaces::new(lanes, precedence, many, stop.clone()),
            stop,
        )
    }

    fn refused_to(entry: &Entry) -> Option<Lane> {
        match entry {
            Entry::Granted(_) => None,
            Entry::Refused(lane, _) => Some(*lane),
        }
    }

    #[tokio::test]
    async fn where_all_places_are_taken_deliveries_go_to_the_main_lane_at_once() {
        let (places, _) = places(1);
        let one = samples::delivery();
        let held = places.enter(&one).await;
        let other = samples::delivery();
        assert_eq!(refused_to(&places.enter(&other).await), Some(Lane::Main));
        drop(held);
        assert_eq!(refused_to(&places.enter(&other).await), None);
    }

    #[tokio::test]
    async fn after_the_wish_to_stop_no_attempt_begins() {
        let (places, stop) = places(8);
        stop.cancel();
        let entry = places.enter(&samples::delivery()).await;
        assert_eq!(refused_to(&entry), Some(Lane::Main));
    }

    #[tokio::test]
    async fn events_wait_for_room_and_one_of_very_many_deliveries_for_all_of_it() {
        let (places, _) = places(8);
        let most = usize::try_from(DISPATCHED_DELIVERIES_MAX).unwrap();
        let first = places.room(1).await;
        assert!(places.room(most - 1).now_or_never().is_some());
        assert!(places.room(10 * most).now_or_never().is_none());
        drop(first);
        assert!(places.room(10 * most).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_fresh_delivery_goes_around_a_main_lane_that_is_full() {
        let (places, _) = places(2);
        let _places = (
            places.enter(&samples::delivery()).await,
            places.enter(&samples::delivery()).await,
        );
        let other = samples::delivery();
        let in_hand = |lane| places.lanes.slots(lane).free.clone().acquire_owned();
        let one = in_hand(Lane::Main).await;
        assert_eq!(refused_to(&places.enter(&other).await), Some(Lane::Main));
        let also = in_hand(Lane::Main).await;
        assert_eq!(refused_to(&places.enter(&other).await), Some(Lane::Slow));
        let slow = in_hand(Lane::Slow).await;
        assert_eq!(
            refused_to(&places.enter(&other).await),
            Some(Lane::Main),
            "destinations over their share keep a half"
        );
        drop((one, also, slow));
        assert_eq!(refused_to(&places.enter(&other).await), Some(Lane::Main));
    }

    #[tokio::test(start_paused = true)]
    async fn where_both_lanes_are_full_for_long_a_delivery_waits_in_the_ladder() {
        let (places, _) = places(2);
        let slow = samples::delivery();
        let lanes = places.lanes.clone();
        let _main = (lanes.main.enter(&slow).await, lanes.main.enter(&slow).await);
        let _slow = (lanes.slow.enter(&slow).await, lanes.slow.enter(&slow).await);
        tokio::time::advance(Duration::from_secs(8)).await;
        let entry = places.enter(&slow).await;
        assert!(
            matches!(entry, Entry::Refused(Lane::Slow, None)),
            "one waits there"
        );
        let mut waits = pin!(lanes.slow.enter_or_return(&slow));
        assert!((&mut waits).now_or_never().is_none());
        let entry = places.enter(&slow).await;
        assert!(matches!(entry, Entry::Refused(Lane::Slow, Some(_))));
    }
}
