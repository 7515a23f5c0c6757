//! Measures what `docs/store.md` says of memory and lists: fills a server with dead letters and asks for pages.
//!
//! `cargo run --release -p ringback-store-redis --example fill_redis -- redis://127.0.0.1:6379/ 1000000`; needs a server to itself.
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::{MachineClock, load, samples};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

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

async fn info(url: &str, what: &str) -> Result<f64, Failure> {
    let mut connection = redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    let info: redis::InfoDict = redis::cmd("INFO").query_async(&mut connection).await?;
    info.get(what)
        .ok_or_else(|| format!("the server does not tell `{what}`").into())
}
