//! Measures what `docs/performance.md` says of the store: the server's processor time for a delivery, and for an entry of a replay.
//!
//! `cargo run -p ringback-store-redis --example cost_redis -- redis://127.0.0.1:6379/ 50000`; needs a server to itself. The log
//! is filled to its bound first, so that each delivery makes room, too.
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use futures_util::{StreamExt, TryStreamExt, stream};
use ringback_delivery::port::{
    Advance, ClaimAnswer, ClaimRequest, ClaimStore, DeadLetterStore, EventMark, EventStore,
    PlanLease, PlanStore, SettledAs, Settlement,
};
use ringback_domain::{
    AttemptOutcome, Destination, Excerpt, ProjectName, Replayed, WorkerId,
    replay_plan::{PlanEntry, PlanWish},
};
use ringback_store_redis::{RedisStore, RedisStoreSettings};
use ringback_testkit::{MachineClock, samples};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Each with a webhook.
const PROJECTS: usize = 100;
/// Deliveries under way at once: enough for full scripts.
const AT_ONCE: usize = 128;
/// Entries that a plan sends together, and how many such batches at once: as in a run.
const BATCH: usize = 256;
const BATCHES: usize = 4;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("say the server's URL and how many deliveries".into());
    };
    let count: usize = count.parse()?;
    let settings = RedisStoreSettings {
        prefix: samples::unique("cost"),
        dead_letter_retention: Duration::from_hours(24 * 365 * 100),
        log_entries_max: count as u64,
        ..RedisStoreSettings::at(url.clone().into())
    };
    let store = RedisStore::try_new(settings, Arc::new(MachineClock))?;
    let places: Vec<_> = (0..PROJECTS)
        .map(|_| (samples::project(), samples::webhook_destination()))
        .collect();

    let empty = Usage::of(&url).await?;
    deliver(&store, &places, 0..count).await?;
    let full = Usage::of(&url).await?;
    full.tell("a delivery, the log not full", &empty, count);
    full.tell_memory(&empty, count);
    deliver(&store, &places, count..2 * count).await?;
    let delivered = Usage::of(&url).await?;
    delivered.tell("a delivery, the log full", &full, count);

    let entries = give_up(&store, &places, count).await?;
    let given_up = Usage::of(&url).await?;
    given_up.tell("a dead letter", &delivered, count);
    given_up.tell_memory(&delivered, count);
    replay(&store, &entries).await?;
    let replayed = Usage::of(&url).await?;
    replayed.tell("an entry of a replay", &given_up, count);
    replayed.tell_memory(&delivered, count);
    Ok(())
}

/// As dispatching and delivering does: the event's mark is asked for, its delivery claimed and settled, the event marked.
async fn deliver(
    store: &RedisStore,
    places: &[(ProjectName, Destination)],
    numbers: std::ops::Range<usize>,
) -> Result<(), Failure> {
    let worker = samples::worker();
    let pass = async |number: usize| {
        let (project, webhook) = &places[number % places.len()];
        let event = samples::event_of(project);
        store.event_mark(project, &event.id).await?;
        let delivery = samples::delivery_of(&event, webhook.clone());
        let request = ClaimRequest {
            delivery: &delivery,
            worker: &worker,
            nonce: samples::claim_nonce(),
            lease: Duration::from_mins(1),
        };
        let ClaimAnswer::Granted { claim, .. } = store.claim(request).await? else {
            return Err("not granted".into());
        };
        let mut attempt = samples::attempt_of(&delivery);
        attempt.outcome = AttemptOutcome::Accepted { status: 204 };
        attempt.excerpt = Excerpt::new(b"", false);
        let settlement = Settlement {
            claim: &claim,
            delivery: &delivery,
            attempts: &[attempt],
            settled_as: &SettledAs::Delivered,
            // A thousand a second.
            at: samples::moment(i64::try_from(number / 1000)?),
        };
        store.settle(settlement).await?;
        let mark = EventMark {
            dispatched_at: samples::moment(1),
            deliveries: 1,
        };
        store
            .mark_event(project, &event.id, mark, mark.dispatched_at)
            .await?;
        Ok::<_, Failure>(())
    };
    let passes = stream::iter(numbers).map(pass).buffer_unordered(AT_ONCE);
    passes.try_for_each(async |()| Ok(())).await
}

async fn give_up(
    store: &RedisStore,
    places: &[(ProjectName, Destination)],
    count: usize,
) -> Result<Vec<PlanEntry>, Failure> {
    let writes = stream::iter(0..count).map(|number| async move {
        let (project, webhook) = &places[number % places.len()];
        let delivery = samples::delivery_of(&samples::event_of(project), webhook.clone());
        let dead_letter =
            samples::dead_letter_of(delivery, samples::moment(i64::try_from(number)?));
        store.put_dead_letter(&dead_letter).await?;
        Ok::<_, Failure>(samples::plan_entry_of(&dead_letter))
    });
    writes.buffered(AT_ONCE).try_collect().await
}

/// As a plan without a pace: dead letters are read and marked in batches, and after some the plan notes how far it came.
async fn replay(store: &RedisStore, entries: &[PlanEntry]) -> Result<(), Failure> {
    let worker: WorkerId = samples::worker();
    let plan = samples::replay_plan_of(&samples::project(), u32::try_from(entries.len())?);
    store.create_plan(&plan).await?;
    let status = plan
        .status
        .wished(PlanWish::Start, samples::moment(300), "ada")?;
    store.change_plan(plan.id(), &status).await?;
    let lease = Duration::from_mins(1);
    let granted = store.lease_plan(plan.id(), &worker, lease).await?;
    let PlanLease::Granted { token, .. } = granted else {
        return Err("not granted".into());
    };
    for batches in entries.chunks(BATCH * BATCHES) {
        let sends = batches.chunks(BATCH).map(async |batch| {
            store.letters_of(batch).await?;
            let replayed = Replayed {
                at: samples::moment(300),
                by: "rpl_1".into(),
                generation: ringback_domain::Generation::FIRST.next(),
            };
            let marks = batch.iter().map(|entry| (entry.clone(), replayed.clone()));
            let marks: Vec<_> = marks.collect();
            store.mark_replayed(&marks).await
        });
        let _: Vec<_> = stream::iter(sends).buffered(BATCHES).try_collect().await?;
        let step = Advance {
            plan: plan.id(),
            token,
            lease,
            progress: &plan.progress,
            marks: &[],
            status: None,
        };
        store.advance_plan(step).await?;
    }
    Ok(())
}

/// What the server used so far.
struct Usage {
    cpu_us: f64,
    memory: f64,
    /// By command: calls and microseconds. A script's are those of the commands in it, too.
    commands: BTreeMap<String, (f64, f64)>,
}

impl Usage {
    async fn of(url: &str) -> Result<Self, Failure> {
        let client = redis::Client::open(url)?;
        let mut server = client.get_multiplexed_async_connection().await?;
        let mut ask = redis::cmd("INFO");
        let info: String = ask.arg("everything").query_async(&mut server).await?;
        let lines: BTreeMap<_, _> = info
            .lines()
            .filter_map(|line| line.split_once(':'))
            .collect();
        let number = |name: &str| -> Result<f64, Failure> {
            let text = lines
                .get(name)
                .ok_or_else(|| format!("the server does not tell `{name}`"))?;
            Ok(text.trim().parse()?)
        };
        let mut commands = BTreeMap::new();
        for (name, told) in &lines {
            if let Some(command) = name.strip_prefix("cmdstat_") {
                let mut parts = told.split(',').filter_map(|part| part.split_once('='));
                let mut next = || {
                    parts
                        .next()
                        .map_or(Ok(0.0), |(_, value)| value.parse::<f64>())
                };
                commands.insert(command.to_owned(), (next()?, next()?));
            }
        }
        Ok(Self {
            cpu_us: (number("used_cpu_user")? + number("used_cpu_sys")?) * 1e6,
            memory: number("used_memory")?,
            commands,
        })
    }

    fn tell(&self, what: &str, before: &Self, count: usize) {
        let count = per(count);
        println!(
            "\n{what}: {:.1} µs of processor time",
            (self.cpu_us - before.cpu_us) / count
        );
        let mut used: Vec<_> = Vec::new();
        for (command, (calls, us)) in &self.commands {
            let (calls_before, us_before) =
                before.commands.get(command).copied().unwrap_or_default();
            used.push((us - us_before, calls - calls_before, command));
        }
        used.retain(|(us, ..)| us / count >= 0.1);
        used.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (us, calls, command) in used {
            println!(
                "  {command:<18} {:>7.1} µs {:>7.3} calls",
                us / count,
                calls / count
            );
        }
    }

    fn tell_memory(&self, before: &Self, count: usize) {
        println!("  {:.0} bytes", (self.memory - before.memory) / per(count));
    }
}

fn per(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
