//! The store on real servers: one shared by all tests, a cluster of three, and private ones that are killed, frozen and emptied.
#![expect(clippy::unwrap_used, reason = "tests")]

mod bounds;
mod cluster;
mod damaged;
mod disk;
mod faults;
mod golden;
mod lines;
mod replaying;
mod sentinel;
mod shared;
mod tls;
mod together;

use ringback_delivery::port::{ClaimAnswer, ClaimRequest, ClaimStore, StoreError};
use ringback_domain::Delivery;
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::{MachineClock, samples};
use std::{sync::Arc, time::Duration};

/// Keys nobody else uses.
fn settings(url: &str) -> RedisStoreSettings {
    RedisStoreSettings {
        prefix: samples::unique("t"),
        // The samples were given up in the summer of 2026, whenever the tests run.
        dead_letter_retention: Duration::from_hours(24 * 365 * 100),
        ..RedisStoreSettings::at(url.to_owned().into())
    }
}

fn store(settings: RedisStoreSettings) -> RedisStore {
    RedisStore::try_new(settings, Arc::new(MachineClock)).unwrap()
}

/// Claims the attempt, for a lease that outlasts the test.
async fn claim(store: &RedisStore, delivery: &Delivery) -> Result<ClaimAnswer, StoreError> {
    claim_for(store, delivery, Duration::from_mins(10)).await
}

async fn claim_for(
    store: &RedisStore,
    delivery: &Delivery,
    lease: Duration,
) -> Result<ClaimAnswer, StoreError> {
    let worker = samples::worker();
    let request = ClaimRequest {
        delivery,
        worker: &worker,
        nonce: samples::claim_nonce(),
        lease,
    };
    store.claim(request).await
}

/// A raw connection, to look behind the store.
async fn raw(url: &str) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}
