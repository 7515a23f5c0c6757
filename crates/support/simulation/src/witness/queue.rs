//! The queue, as it really is: how many messages of what it holds.

use super::{DeliverySeen, Witness};
use crate::invariants::Invariant;
use ringback_domain::{Delivery, DeliveryId, Destination, Event, EventId};

impl Witness {
    pub(crate) fn event_queued(&self, event: &Event) {
        let now = self.now();
        let mut state = self.state();
        let seen = state.events.entry(event.id.clone()).or_default();
        seen.copies += 1;
        seen.published_at.get_or_insert(now);
        seen.document = event.document.clone();
        seen.callback = event.callback.as_ref().map(|callback| {
            let destination = Destination::Callback {
                url: callback.url.clone(),
                secret: None,
            };
            DeliveryId::derive(&event.project, &event.id, &destination.id())
        });
    }

    pub(crate) fn event_accepted(&self, id: &EventId) {
        self.note(|| format!("producer has {id} accepted"));
        let mut state = self.state();
        state.events.entry(id.clone()).or_default().is_accepted = true;
    }

    /// A message of an event is gone for good.
    pub(crate) fn event_acknowledged(&self, id: &EventId) {
        let mut state = self.state();
        let seen = state.events.entry(id.clone()).or_default();
        seen.copies = seen.copies.saturating_sub(1);
        if seen.copies > 0 {
            return;
        }
        if !self.is_marked(id) && !self.is_dead_event(id, &seen.document) {
            let what = format!("{id} is in no queue, and neither dispatched nor a dead letter");
            self.fails(&mut state, Invariant::NothingLost, what);
        }
        // Its message stood for those that have none of their own.
        let mut left = state
            .deliveries
            .iter()
            .filter(|(_, seen)| seen.event == *id && seen.copies == 0);
        if let Some(what) = left.find_map(|(delivery, seen)| self.lost(&state, delivery, seen)) {
            self.fails(&mut state, Invariant::NothingLost, what);
        }
    }

    pub(crate) fn delivery_queued(&self, delivery: &Delivery) {
        let mut state = self.state();
        let seen = state
            .deliveries
            .entry(delivery.id.clone())
            .or_insert_with(|| DeliverySeen::of(delivery));
        seen.copies += 1;
        seen.was_queued = true;
        seen.newest = seen.newest.max(delivery.generation);
        if seen.body != delivery.body || seen.event != delivery.event.id {
            let what = format!("{} is published with another body or id", seen.label);
            self.fails(&mut state, Invariant::SameBytes, what);
        }
    }

    /// A message of a delivery is gone for good.
    pub(crate) fn delivery_acknowledged(&self, id: &DeliveryId) {
        let mut state = self.state();
        let Some(seen) = state.deliveries.get_mut(id) else {
            return;
        };
        seen.copies = seen.copies.saturating_sub(1);
        let seen = &state.deliveries[id];
        if seen.copies == 0
            && let Some(what) = self.lost(&state, id, seen)
        {
            self.fails(&mut state, Invariant::NothingLost, what);
        }
    }
}
