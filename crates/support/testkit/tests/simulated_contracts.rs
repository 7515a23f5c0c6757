//! The simulated queue and store keep the contracts of the real ones.

#![expect(
    clippy::unused_async,
    reason = "the contracts open other stores and queues with waiting"
)]

mod store {
    use ringback_delivery::port::{DeadLetterStore, WebhookStore};
    use ringback_testkit::{
        contract, samples,
        simulation::{SimulatedStore, TokioClock},
    };

    ringback_testkit::store_contract!(open);

    #[tokio::test]
    async fn the_damaged_among_entries_are_told_in_their_places() {
        let (store, ()) = open().await;
        let letters = [(); 3].map(|()| samples::dead_letter());
        for letter in &letters {
            store.put_dead_letter(letter).await.unwrap();
        }
        store.damage(&letters[1].id);
        let tell = contract::store::the_damaged_among_entries_are_told_in_their_places;
        tell(&store, &letters, &[1]).await;
    }

    #[tokio::test]
    async fn a_damaged_webhook_keeps_no_other_from_being_read() {
        let (store, ()) = open().await;
        let webhooks = samples::webhooks_of(&samples::project(), 3);
        for webhook in &webhooks {
            store.put_webhook(webhook).await.unwrap();
        }
        store.damage(&webhooks[1].id);
        let tell = contract::store::a_damaged_webhook_keeps_no_other_from_being_read;
        tell(&store, &webhooks, 1).await;
    }

    async fn open() -> (SimulatedStore, ()) {
        (SimulatedStore::new(TokioClock::begin()), ())
    }
}

mod queue {
    use async_trait::async_trait;
    use ringback_delivery::port::Queue;
    use ringback_testkit::{contract::queue::QueueHome, simulation::SimulatedQueue};
    use std::sync::Arc;

    ringback_testkit::queue_contract!(open);

    struct Home(SimulatedQueue);

    #[async_trait]
    impl QueueHome for Home {
        async fn open(&self) -> Arc<dyn Queue> {
            Arc::new(self.0.reopen())
        }

        fn delivery_limit(&self) -> u32 {
            SimulatedQueue::DELIVERY_LIMIT
        }
    }

    async fn open() -> Home {
        Home(SimulatedQueue::default())
    }
}
