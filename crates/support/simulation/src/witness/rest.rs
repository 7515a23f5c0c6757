//! The end: everything has come to rest. Is it where it should be?

use super::{State, Witness};
use crate::{invariants::Invariant, plan::CHANGES_APPLY_WITHIN};
use ringback_domain::{DeliveryId, Destination, EventId};
use url::Url;

impl Witness {
    pub(crate) fn check_rest(&self) {
        let mut state = self.state();
        let deliveries = state.deliveries.iter();
        let lost = deliveries.filter_map(|(id, seen)| self.lost(&state, id, seen));
        let events = state.events.keys();
        let never = events.filter_map(|id| self.never_went(&state, id));
        if let Some(what) = lost.chain(never).next() {
            self.fails(&mut state, Invariant::NothingLost, what);
        }
    }

    /// What is wrong with an accepted event: nothing, if it went to its callback and to every webhook that was enabled
    /// from a second before it was published until it was dispatched, or is a dead letter.
    fn never_went(&self, state: &State, id: &EventId) -> Option<String> {
        let event = state.events.get(id).filter(|event| event.is_accepted)?;
        let Some(marked_at) = event.marked_at else {
            let is_dead = self.is_dead_event(id, &event.document);
            return (!is_dead).then(|| format!("{id} is neither dispatched nor a dead letter"));
        };
        let since = event.published_at?.saturating_sub(CHANGES_APPLY_WITHIN);
        let webhooks = state.webhooks.iter();
        let wanted = webhooks.filter(|(_, webhook)| webhook.was_enabled(since, marked_at));
        let wanted = wanted.map(|(webhook, _)| {
            let url = Url::parse("https://any.example/").expect("a URL");
            let id_of = Destination::Webhook {
                id: webhook.clone(),
                url,
            };
            DeliveryId::derive(&self.project, id, &id_of.id())
        });
        let mut wanted = wanted.chain(event.callback.clone());
        let missing = wanted.find(|delivery| !state.deliveries.contains_key(delivery));
        missing.map(|_| format!("{id} never went to one of its destinations"))
    }
}
