//! Measures what `docs/store.md` says of memory and lists: fills a server with dead letters and asks for pages.
//!
//! `cargo run --release -p ringback-store-redis --example fill -- redis://127.0.0.1:6379/ 100000`; needs a server to itself.
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use ringback_delivery::port::{Clock, DeadLetterFilter, DeadLetterStore};
use ringback_domain::{DeadLetterReason, ProjectName, Timestamp};
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::samples;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Webhooks that fail, each of a project of its own.
const PROJECTS: i64 = 500;

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

    let before = used_memory(&url).await?;
    let began = Instant::now();
    let projects = fill(&store, count).await?;
    let took = began.elapsed();
    let each = (used_memory(&url).await? - before) / count;
    println!("{count} dead letters stored in {took:?}, {each} bytes each");

    let one = &projects[7];
    let of_project = DeadLetterFilter {
        project: Some(one.clone()),
        ..DeadLetterFilter::default()
    };
    let of_reason = DeadLetterFilter {
        reason: Some(DeadLetterReason::AttemptsExhausted),
        event_type: Some("task.completed".parse()?),
        ..DeadLetterFilter::default()
    };
    let impossible = DeadLetterFilter {
        reason: Some(DeadLetterReason::Poison),
        ..of_project.clone()
    };
    let oldest = DeadLetterFilter {
        until: Some(samples::moment(100)),
        ..DeadLetterFilter::default()
    };
    for (name, filter) in [
        ("all", DeadLetterFilter::default()),
        ("one project", of_project),
        ("two members that match everything", of_reason),
        ("members that match nothing", impossible),
        ("the oldest", oldest),
    ] {
        let began = Instant::now();
        let page = store.dead_letters(&filter, None, 50).await?;
        println!(
            "first page, {name}: {} in {:?}",
            page.entries.len(),
            began.elapsed()
        );
    }
    let began = Instant::now();
    let open = store.dead_letter_count(Some(one)).await?;
    println!(
        "{open} open of one project, counted in {:?}",
        began.elapsed()
    );
    Ok(())
}

async fn fill(store: &RedisStore, count: i64) -> Result<Vec<ProjectName>, Failure> {
    let destinations: Vec<_> = (0..PROJECTS)
        .map(|_| (samples::project(), samples::webhook_destination()))
        .collect();
    let mut writes = stream::iter(0..count)
        .map(|number| {
            let (project, destination) =
                &destinations[usize::try_from(number % PROJECTS).unwrap_or_default()];
            let delivery = samples::delivery_of(&samples::event_of(project), destination.clone());
            let dead_letter = samples::dead_letter_of(delivery, samples::moment(number));
            async move { store.put_dead_letter(&dead_letter).await }
        })
        .buffer_unordered(64);
    while writes.try_next().await?.is_some() {}
    drop(writes);
    Ok(destinations
        .into_iter()
        .map(|(project, _)| project)
        .collect())
}

async fn used_memory(url: &str) -> Result<i64, Failure> {
    let mut connection = redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    let info: redis::InfoDict = redis::cmd("INFO")
        .arg("memory")
        .query_async(&mut connection)
        .await?;
    info.get("used_memory")
        .ok_or_else(|| "the server does not tell its memory".into())
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
