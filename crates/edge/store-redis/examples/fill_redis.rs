//! Measures what `docs/store.md` says of memory, lists and settlements: fills a server with dead letters and asks for pages.
//!
//! `cargo run --release -p ringback-store-redis --example fill_redis -- redis://127.0.0.1:6379/ 1000000`; needs a server to itself.
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use ringback_delivery::port::{
    ClaimAnswer, ClaimRequest, ClaimStore, Clock, SettledAs, Settlement,
};
use ringback_domain::Timestamp;
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::{load, samples};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Deliveries claimed and settled to see what that costs the server.
const SETTLED: usize = 20_000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("say the server's URL and how many dead letters".into());
    };
    let count: i64 = count.parse()?;
    let settings = RedisStoreSettings {
        prefix: samples::unique("fill"),
        dead_letter_retention: Duration::from_hours(24 * 365 * 100),
        ..RedisStoreSettings::at(url.clone().into())
    };
    let store = RedisStore::try_new(settings, Arc::new(MachineClock))?;

    let before = info(&url, "used_cpu_user").await? + info(&url, "used_cpu_sys").await?;
    settle(&store).await?;
    let after = info(&url, "used_cpu_user").await? + info(&url, "used_cpu_sys").await?;
    println!(
        "{SETTLED} deliveries claimed and settled: {:.1} µs of the server's time each",
        (after - before) * 1e6 / f64::from(u32::try_from(SETTLED)?)
    );

    let before = info(&url, "used_memory").await?;
    let began = Instant::now();
    let projects = load::fill(&store, count).await?;
    let took = began.elapsed();
    let bytes = info(&url, "used_memory").await? - before;
    println!(
        "{count} dead letters stored in {took:.1?}, {:.0} MiB",
        bytes / f64::from(1 << 20)
    );
    for load::Measured {
        name,
        entries,
        took,
    } in load::measure(&store, &projects).await?
    {
        println!("{name}: {entries} in {took:.1?}");
    }
    Ok(())
}

async fn settle(store: &RedisStore) -> Result<(), Failure> {
    let worker = samples::worker();
    let webhooks = [(); 100].map(|()| (samples::project(), samples::webhook_destination()));
    let pass = async |number: usize| {
        let (project, webhook) = &webhooks[number % webhooks.len()];
        let delivery = samples::delivery_of(&samples::event_of(project), webhook.clone());
        let request = ClaimRequest {
            delivery: &delivery,
            worker: &worker,
            nonce: samples::claim_nonce(),
            lease: Duration::from_mins(1),
        };
        let ClaimAnswer::Granted { claim, .. } = store.claim(request).await? else {
            return Err("not granted".into());
        };
        let settlement = Settlement {
            claim: &claim,
            delivery: &delivery,
            attempts: &[samples::attempt_of(&delivery)],
            settled_as: &SettledAs::Delivered,
            at: samples::moment(i64::try_from(number / 100)?),
        };
        store.settle(settlement).await?;
        Ok::<_, Failure>(())
    };
    let mut passes = std::pin::pin!(stream::iter(0..SETTLED).map(pass).buffer_unordered(64));
    while let Some(passed) = passes.next().await {
        passed?;
    }
    Ok(())
}

async fn info(url: &str, what: &str) -> Result<f64, Failure> {
    let mut connection = redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    let info: redis::InfoDict = redis::cmd("INFO").query_async(&mut connection).await?;
    info.get(what)
        .ok_or_else(|| format!("the server does not tell `{what}`").into())
}

struct MachineClock;

#[async_trait]
impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        Timestamp::now()
    }

    async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}
