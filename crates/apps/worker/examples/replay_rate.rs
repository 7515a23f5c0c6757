//! Measures what `docs/replay.md` says of a plan without a pace: on a private RabbitMQ and Redis, how fast dead letters become
//! messages in the queue again. Nobody takes them from there.
//!
//! `cargo run --release -p ringback-worker --example replay_rate -- 60000`
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use ringback_delivery::{
    PlanRequest, PlanRunner, Plans,
    port::{DeadLetterFilter, Lane, QueueName},
};
use ringback_domain::replay_plan::{
    EntryMark, Pacing, PlanWish, ReplayOrder, ReplayTarget, StopRule,
};
use ringback_signing::KeyRing;
use ringback_testkit::{
    load,
    servers::{Fsync, RabbitOptions, RabbitServer, RedisOptions, RedisServer},
};
use ringback_worker::{
    Backend, Opener, SystemEntropy, config::Config, context, observe::LogObserver,
};
use secrecy::ExposeSecret;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Nobody delivers, so no outcome is heard of, and a plan goes no further ahead than 64,000 entries.
const ENTRIES_DEFAULT: i64 = 60_000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let count = std::env::args().nth(1);
    let count = count.map_or(Ok(ENTRIES_DEFAULT), |count| count.parse())?;
    let rabbit = RabbitServer::start(&RabbitOptions::default())?;
    for fsync in [Fsync::EverySecond, Fsync::Always] {
        let redis = RedisServer::start(RedisOptions {
            fsync,
            ..RedisOptions::default()
        })?;
        let prefix = format!("replay-{fsync:?}").to_lowercase();
        measure(&rabbit.url(), &redis.url(), &prefix, count, fsync).await?;
    }
    Ok(())
}

async fn measure(
    broker: &str,
    store: &str,
    prefix: &str,
    count: i64,
    fsync: Fsync,
) -> Result<(), Failure> {
    let key = KeyRing::new_key("k1", &[7; 32]);
    let variables = [
        ("RINGBACK_BROKER", broker),
        ("RINGBACK_STORE", store),
        ("RINGBACK_PREFIX", prefix),
        ("RINGBACK_DEAD_LETTERS__RETENTION", "3650d"),
        ("RINGBACK_SECRETS__KEYS", key.expose_secret()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(None, variables)?;
    let backend = Backend::open(&config, Opener::Service).await?;
    let context = context(&config, &backend, Arc::new(LogObserver))?;
    load::fill(&*backend.store, count).await?;
    let plans = Plans {
        store: backend.store.clone(),
        clock: backend.clock.clone(),
        entropy: Arc::new(SystemEntropy),
        profiles: Arc::new(config.profile_book()),
    };
    let request = PlanRequest {
        filter: DeadLetterFilter::default(),
        text: None,
        reason: "to measure".to_owned(),
        by: "the measurement".to_owned(),
        pacing: Pacing {
            rate: None,
            concurrency: None,
            order: ReplayOrder::OldestFirst,
        },
        target: ReplayTarget::Current,
        stop_rule: StopRule::default(),
        sends_stale: true,
    };
    let began = Instant::now();
    let plan = plans.plan(&request, &|_| ()).await?;
    let id = plan.id().clone();
    println!(
        "{fsync:?}: {count} entries planned in {:.1?}",
        began.elapsed()
    );
    plans
        .change(&id, PlanWish::Start, "the measurement")
        .await?;

    let runner = PlanRunner::new(context, Duration::from_secs(10));
    let is_sent = AtomicBool::new(false);
    let began = Instant::now();
    let stops = || is_sent.load(Ordering::Relaxed);
    let running = runner.run(&id, &stops);
    let watching = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let plan = backend.store.plan(&id).await?.ok_or("the plan is gone")?;
            if plan.progress.counts.get(EntryMark::Waiting) == 0 {
                is_sent.store(true, Ordering::Relaxed);
                return Ok::<_, Failure>(began.elapsed());
            }
        }
    };
    let (ran, took) = tokio::join!(running, watching);
    ran?;
    let took = took?;
    let depths = backend.queue.depths().await?;
    let waiting: u64 = depths
        .iter()
        .filter(|depth| depth.queue == QueueName::Deliveries(Lane::Main))
        .map(|depth| depth.waiting)
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
    let rate = count as f64 / took.as_secs_f64();
    println!(
        "{fsync:?}: {count} entries sent in {took:.2?}, {rate:.0} a second; {waiting} messages in the queue"
    );
    backend.close().await;
    Ok(())
}
