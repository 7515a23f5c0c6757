//! Deliveries whose events are not marked yet.
//!
//! A direct attempt is over before its event is marked, and what is not marked cannot be kept known. So until when it should be is
//! remembered until then.

use ringback_domain::{Delivery, DeliveryId, Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// How much longer than the window every event is known: of what goes on for a short while only the store need not be told.
pub(crate) const KNOWN_LONGER: Duration = Duration::from_mins(10);
/// What ends no later than this after its dispatch ends while its event is known, though another worker's clock be slow.
pub(crate) const KNOWN_ANYWAY: Duration = Duration::from_mins(9);

/// All of a worker, and until when the event of each is to be kept known.
#[derive(Default)]
pub(crate) struct Unmarked(Mutex<HashMap<DeliveryId, Option<Timestamp>>>);

/// Those of one event. Forgotten when dropped.
pub(crate) struct UnmarkedEvent<'a> {
    all: &'a Unmarked,
    ids: Vec<DeliveryId>,
}

impl Unmarked {
    /// The deliveries of an event that is about to be marked.
    pub(crate) fn event(&self, deliveries: &[Delivery]) -> UnmarkedEvent<'_> {
        let ids = deliveries.iter().map(|delivery| delivery.id.clone());
        let ids: Vec<_> = ids.collect();
        let mut all = self.lock();
        for id in &ids {
            // The event may be in hand twice.
            all.entry(id.clone()).or_insert(None);
        }
        drop(all);
        UnmarkedEvent { all: self, ids }
    }

    /// Remembers until when the event of this delivery is to be kept known, if it is not marked.
    pub(crate) fn remembers(&self, id: &DeliveryId, until: Timestamp) -> bool {
        let mut all = self.lock();
        let kept_until = all.get_mut(id);
        let is_unmarked = kept_until.is_some();
        if let Some(kept_until) = kept_until {
            *kept_until = Some(until).max(*kept_until);
        }
        is_unmarked
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeliveryId, Option<Timestamp>>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl UnmarkedEvent<'_> {
    /// The event is marked. Until when it is to be kept known, where that is for longer than its mark may last.
    pub(crate) fn marked(mut self) -> Option<Timestamp> {
        self.forget()
    }

    fn forget(&mut self) -> Option<Timestamp> {
        let mut all = self.all.lock();
        let ids = self.ids.drain(..);
        ids.filter_map(|id| all.remove(&id).flatten()).max()
    }
}

impl Drop for UnmarkedEvent<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}
