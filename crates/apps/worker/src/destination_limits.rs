//! How many attempts one destination may have under way in this worker.

use dashmap::DashMap;
use ringback_domain::{Destination, DestinationId};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A share of the worker for every destination: the one that hangs uses up its own share and no more.
#[derive(Debug)]
pub(crate) struct DestinationLimits {
    each: NonZeroUsize,
    in_use: DashMap<DestinationId, Arc<Semaphore>>,
}

/// The right to one attempt at a destination; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// Destinations remembered before those without an attempt under way are forgotten.
const REMEMBERED_MAX: usize = 10_000;

impl DestinationLimits {
    pub(crate) fn new(each: NonZeroUsize) -> Self {
        Self {
            each,
            in_use: DashMap::new(),
        }
    }

    /// A permit, if one is free.
    pub(crate) fn try_enter(&self, destination: &Destination) -> Option<Permit> {
        self.semaphore(destination)
            .try_acquire_owned()
            .ok()
            .map(|permit| Permit { _permit: permit })
    }

    /// A permit, once one is free.
    pub(crate) async fn enter(&self, destination: &Destination) -> Permit {
        let permit = self
            .semaphore(destination)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        Permit { _permit: permit }
    }

    fn semaphore(&self, destination: &Destination) -> Arc<Semaphore> {
        if self.in_use.len() > REMEMBERED_MAX {
            self.in_use
                .retain(|_, semaphore| semaphore.available_permits() < self.each.get());
        }
        let new = || Arc::new(Semaphore::new(self.each.get()));
        self.in_use
            .entry(destination.id())
            .or_insert_with(new)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_testkit::samples;

    #[test]
    fn a_destination_has_its_share_and_no_more() {
        let limits = DestinationLimits::new(NonZeroUsize::new(2).unwrap());
        let (one, other) = (
            samples::webhook_destination(),
            samples::callback_destination(),
        );
        let held = (limits.try_enter(&one), limits.try_enter(&one));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(limits.try_enter(&one).is_none());
        assert!(limits.try_enter(&other).is_some());
        drop(held);
        assert!(limits.try_enter(&one).is_some());
    }
}
