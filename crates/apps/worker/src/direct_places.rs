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

    fn to_main_lane(&self) -> Entry {
        self.precedence.put_in_queue();
        Entry::Refused(Lane::Main, None)
    }

    fn to_slow_lane(&self, delivery: &Delivery) -> Entry {
        let wait = self.lanes.before_slow(delivery);
        if wait.is_none() {
            self.precedence.put_in_queue();
        }
        Entry::Refused(Lane::Slow, wait)
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
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return self.to_main_lane();
        };
        let entering = self.lanes.main.enter_directly(delivery);
        match unless_stopped(&self.stop, entering).await {
            Some(Ok(permit)) => Entry::Granted(Box::new(DirectPlace {
                permit,
                _place: place,
            })),
            Some(Err(Lane::Slow)) => self.to_slow_lane(delivery),
            Some(Err(Lane::Main)) | None => self.to_main_lane(),
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

    fn places(at_once: usize) -> (DirectPlaces, CancellationToken) {
        let many = NonZeroUsize::new(at_once).unwrap();
        let stop = CancellationToken::new();
        let lanes = Arc::new(Lanes::new(many));
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
}
