//! The measuring behind `ringback bench`.
//!
//! Generator, workers and receiver are processes of the same binary, on servers of their own unless others are named. Begin
//! with `scenario.rs`, what is measured, and [`run`], how. What both sides wrote down is compared by `figures.rs`, which is
//! pure. The floors are measured beside it, in the same run: figures against them mean the same on every machine.

mod broker;
mod clearing;
mod figures;
mod floor;
mod generator;
mod part;
mod receiver;
mod replay;
mod report;
mod round;
mod scenario;
mod stage;
mod usage;

pub use figures::{Latency, Lateness};
pub use part::run_part;
pub use report::{Compared, Cpu, Figure, Floor, Floors, Measured, Middle, Report, Spread};
pub use scenario::{Scenario, scenarios};
pub use stage::Urls;

use broker::Broker;
use figures::{Arrived, Micros, compare, late};
use part::{Entrance, Generate, Part};
use report::middle;
use ringback_delivery::{
    PlanError,
    port::{Clock, StoreError},
};
use ringback_domain::{
    DeliveryId, DestinationId, EventId, KeyOwner, KeyScope, Timestamp, WebhookId,
};
use ringback_producer::ConnectError;
use ringback_servers::{ServerError, free_port};
use ringback_worker::{
    Backend, OpenError, Opener, SystemClock, SystemEntropy,
    config::{Config, ConfigError},
    keys::{KeyError, Keys, NewKey},
    webhooks::{NewWebhook, WebhookError, Webhooks},
};
use round::{Found, Round};
use scenario::{BODY_BYTES, Before, Course, Servers};
use secrecy::ExposeSecret;
use stage::{PREFIX, Place, Stage, Worker, until_ended};
use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    num::NonZeroU32,
    path::PathBuf,
    pin::pin,
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::block_in_place,
    time::{Instant, interval, sleep},
};
use usage::Usage;

/// What a run begins with, so that connections and caches are there.
const WARM_UP_EVENTS: u64 = 500;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a worker's memory is looked at, and how many looks are told.
const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_secs(1);
const MEMORY_LOOKS_MAX: usize = 60;
/// When nothing has arrived for so long after a retry was due, nothing will: longer than the waits that follow the first.
const PATIENCE: Duration = Duration::from_secs(10);
/// What was accepted last is settled and acknowledged within this.
const SETTLED_WITHIN: Duration = Duration::from_millis(500);

/// What a bench is to be.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// The binary that every process runs: `ringback`.
    pub program: PathBuf,
    /// The binary that workers run, which may be another release.
    pub worker_program: PathBuf,
    /// What is measured, in this order.
    pub scenarios: Vec<Scenario>,
    /// How often everything is measured.
    pub rounds: usize,
    /// Worker processes; on the embedded queue there is one.
    pub workers: usize,
    /// Servers of somebody else.
    pub urls: Option<Urls>,
    /// Requests and messages of each floor; without, floors are not measured.
    pub floors: Option<NonZeroU32>,
}

/// Why there was no bench.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum BenchError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("could not {step}")]
    Io {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("a process of the bench was told nonsense")]
    Told(#[source] serde_json::Error),
    #[error("{0} is garbled")]
    Garbled(&'static str),
    #[error("the {name} failed: {status}")]
    Part {
        name: &'static str,
        status: ExitStatus,
    },
    #[error("the bench's own configuration is not accepted")]
    Config(#[from] ConfigError),
    #[error("could not look into broker and store")]
    Open(#[from] OpenError),
    #[error("could not register a webhook")]
    Webhook(#[from] WebhookError),
    #[error("could not make a key")]
    Key(#[from] KeyError),
    #[error("could not use the store")]
    Store(#[from] StoreError),
    #[error("{due} of {wanted} deliveries are due, and no more come")]
    NotDue { due: u64, wanted: u64 },
    #[error("{given_up} of {wanted} deliveries are given up, and no more come")]
    NotGivenUp { given_up: u64, wanted: u64 },
    #[error("could not make or start the replay plan")]
    Plan(#[from] PlanError),
    #[error("could not connect the generator")]
    Producer(#[from] ConnectError),
    #[error("the bare HTTP client failed")]
    Http(#[source] reqwest::Error),
    #[error("the bare AMQP client failed")]
    Amqp(#[from] lapin::Error),
}

impl BenchError {
    pub(crate) fn io(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { step, source }
    }
}

/// Microseconds since 1970: all processes of a bench are on one machine and share its clock.
pub(crate) fn micros_now() -> Micros {
    Micros::try_from(SystemClock.now().as_microsecond()).unwrap_or(0)
}

/// Runs a bench. On a multi-threaded runtime only: starting servers blocks.
///
/// # Errors
///
/// When it could not be carried out. What was lost is no error, but the report's to tell.
///
/// # Cancel safety
///
/// Dropped in the middle, it ends everything it started.
pub async fn run(
    options: &BenchOptions,
    tell: &(dyn Fn(&str) + Send + Sync),
) -> Result<Report, BenchError> {
    let mut found = Found::default();
    for number in 1..=options.rounds {
        if options.rounds > 1 {
            tell(&format!("round {number} of {}", options.rounds));
        }
        tell("starting servers");
        let needs_servers = options.scenarios.iter().any(Scenario::is_on_servers);
        // Servers of its own for each round: none finds what another left in their files.
        let stage = block_in_place(|| Stage::build(options, needs_servers))?;
        found.rabbitmq = block_in_place(|| stage.broker_version());
        let mut round = Round::new(options, tell, stage, &mut found);
        for scenario in &options.scenarios {
            round.add(scenario).await?;
        }
    }
    Ok(Report {
        ringback: env!("CARGO_PKG_VERSION"),
        rabbitmq: found.rabbitmq,
        store: found.store,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        processor: processor(),
        workers: options.workers,
        rounds: options.rounds,
        floors: Floors::mean(&found.floors),
        middle: middle(&found.scenarios),
        scenarios: found.scenarios,
    })
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn difference(before: Option<Usage>, after: Option<Usage>) -> Option<f64> {
    Some(after?.cpu_s - before?.cpu_s)
}

/// The webhooks of a scenario: their ids by project.
type Registered = HashMap<String, Vec<WebhookId>>;

/// What has to be at hand from outside the workers.
struct Desk {
    backend: Backend,
    webhooks: Webhooks,
}

impl Desk {
    async fn open(config: &Config) -> Result<Self, BenchError> {
        let backend = Backend::open(config, Opener::Command).await?;
        let webhooks = Webhooks {
            store: backend.store.clone(),
            keys: backend.keys.clone(),
            profiles: Arc::new(config.profile_book()),
            urls: config.http.url_policy(),
            clock: backend.clock.clone(),
            entropy: Arc::new(SystemEntropy),
        };
        Ok(Self { backend, webhooks })
    }

    async fn close(self) {
        let Self { backend, webhooks } = self;
        drop(webhooks);
        backend.close().await;
    }

    async fn register(&self, scenario: &Scenario, stage: &Stage) -> Result<Registered, BenchError> {
        let mut registered = Registered::new();
        for project in scenario.all_projects() {
            if registered.contains_key(&project.name) {
                continue;
            }
            let mut ids = Vec::new();
            for number in 0..project.destinations {
                let path = format!("{}/{}", project.manner.word(), project.destination(number));
                let url = match project.manner {
                    scenario::Manner::Unreachable => {
                        format!("http://127.0.0.1:{}/{path}", free_port())
                    }
                    _ => stage.receiver_url(&path),
                };
                let new = NewWebhook {
                    project: project.name.parse().expect("a project's name"),
                    url,
                    events: BTreeSet::new(),
                    profile: None,
                    secret: None,
                    headers: Vec::new(),
                    description: None,
                    rate_limit: None,
                };
                ids.push(self.webhooks.add(new).await?.webhook.id);
            }
            registered.insert(project.name.clone(), ids);
        }
        Ok(registered)
    }

    async fn key(&self) -> Result<String, BenchError> {
        let keys = Keys {
            store: self.webhooks.store.clone(),
            profiles: self.webhooks.profiles.clone(),
            clock: self.webhooks.clock.clone(),
            entropy: self.webhooks.entropy.clone(),
        };
        let new = NewKey {
            owner: KeyOwner::Operator,
            scopes: BTreeSet::from([KeyScope::Publish]),
            description: None,
            expires_at: None,
        };
        Ok(keys.create(new).await?.text.expose_secret().to_owned())
    }
}

/// What everybody had used at a moment.
struct Reading {
    workers: f64,
    broker: Option<Usage>,
    store: Option<Usage>,
    receiver: Usage,
}

impl Reading {
    /// Servers that take no part cost a scenario nothing, though they run.
    fn take(stage: &Stage, workers: &[Worker], servers: Servers) -> Result<Self, BenchError> {
        let (broker, store) = match servers {
            Servers::RabbitAndRedis => (stage.broker_usage()?, stage.store_usage()?),
            Servers::Embedded => (None, None),
        };
        let mut used = 0.0;
        for worker in workers {
            used += worker.usage()?.cpu_s;
        }
        Ok(Self {
            workers: used,
            broker,
            store,
            receiver: stage.receiver_usage()?,
        })
    }
}

/// What a scenario finds when it begins.
struct Setting {
    config: Config,
    registered: Registered,
    entrance: Entrance,
}

impl Setting {
    async fn make(
        stage: &Stage,
        place: &Place,
        scenario: &Scenario,
        product: &mut Option<String>,
    ) -> Result<Self, BenchError> {
        let config = Config::load(Some(&place.config), [])?;
        let desk = Desk::open(&config).await?;
        let registered = desk.register(scenario, stage).await?;
        let entrance = match scenario.servers {
            Servers::Embedded => Entrance::Api {
                url: format!("http://127.0.0.1:{}", place.api_port),
                key: desk.key().await?,
            },
            Servers::RabbitAndRedis => {
                *product = Some(desk.backend.health.product.clone());
                Entrance::Broker {
                    urls: stage
                        .urls()
                        .map(|urls| urls.broker.clone())
                        .unwrap_or_default(),
                    prefix: PREFIX.to_owned(),
                }
            }
        };
        // An embedded directory has one holder, and that is the worker.
        desk.close().await;
        Ok(Self {
            config,
            registered,
            entrance,
        })
    }

    /// What the generator is told.
    fn events(
        &self,
        run: String,
        projects: Vec<String>,
        events: u64,
        per_second: Option<u32>,
        out: PathBuf,
    ) -> Part {
        Part::Generate(Generate {
            entrance: self.entrance.clone(),
            run,
            projects,
            events,
            per_second,
            body_bytes: BODY_BYTES,
            out,
        })
    }
}

async fn measure(
    stage: &mut Stage,
    place: &Place,
    scenario: &Scenario,
    options: &BenchOptions,
    product: &mut Option<String>,
) -> Result<Measured, BenchError> {
    let setting = Setting::make(stage, place, scenario, product).await?;
    match &scenario.course {
        Course::Deliver(before) => {
            let count = match scenario.servers {
                Servers::RabbitAndRedis => options.workers,
                Servers::Embedded => 1,
            };
            deliver(stage, place, scenario, before, &setting, count).await
        }
        Course::Replay => replay::measure(stage, place, scenario, &setting).await,
    }
}

async fn deliver(
    stage: &mut Stage,
    place: &Place,
    scenario: &Scenario,
    before: &Before,
    setting: &Setting,
    count: usize,
) -> Result<Measured, BenchError> {
    let mut workers = Vec::new();
    let storm_out = stage.file(&format!("{}.storm", scenario.name));
    let mut accepted_before = accepted(stage).await?;
    match before {
        Before::Published => {}
        Before::Due(storm) => {
            let names = storm.projects.iter().map(|project| project.name.clone());
            let run = format!("due-{}", place.run);
            let told = setting.events(run, names.collect(), storm.events, None, storm_out.clone());
            gather(stage, place, &told, storm.events).await?;
            start_workers(stage, place, &mut workers, count)?;
            // Or what is compared with a worker that is warm would be the first second of another.
            accepted_before += warm_up(stage, place, scenario, setting).await?;
        }
        Before::Warm => {
            start_workers(stage, place, &mut workers, count)?;
            accepted_before += warm_up(stage, place, scenario, setting).await?;
            until_quiet(stage).await?;
        }
    }
    let servers = scenario.servers;
    let at_first = Reading::take(stage, &workers, servers)?;
    let measured_from = micros_now();
    let out = stage.file(&format!("{}.sent", scenario.name));
    let all = scenario.projects.iter().map(|project| project.name.clone());
    let told = setting.events(
        place.run.clone(),
        all.collect(),
        scenario.events,
        scenario.per_second,
        out.clone(),
    );
    let mut generator = stage.start_part("generator", &told)?;
    let begun_at = if *before == Before::Published {
        until_ended(&mut generator, "generator").await?;
        start_workers(stage, place, &mut workers, count)?;
        Some(micros_now())
    } else {
        None
    };
    let patience = PATIENCE + Duration::from_secs(scenario.retry_after_s);
    let arriving = until_arrived(stage, accepted_before + wanted(scenario), patience);
    let worker_memory = if scenario.watches_memory {
        watch_memory(&workers, arriving).await?
    } else {
        arriving.await?;
        Vec::new()
    };
    until_ended(&mut generator, "generator").await?;
    sleep(SETTLED_WITHIN).await;
    let in_the_end = Reading::take(stage, &workers, servers)?;
    // Linux adds up a process's memory now and then, so that a look may have seen more than its own record.
    let seen = worker_memory.iter().copied().max().unwrap_or_default();
    let worker_memory_peak = memory_peak(&workers)?.max(seen);
    let mut logs = String::new();
    for worker in workers {
        logs.push_str(&worker.stop()?);
    }
    clearing::clear_up(stage, scenario, setting).await?;

    let mut generated = generator::read(&out)?;
    if let Some(begun_at) = begun_at {
        // What waited is measured from when somebody could take it.
        generated
            .sent
            .values_mut()
            .for_each(|sent| sent.at = begun_at);
    }
    let mut arrived = arrived(stage).await?;
    let destinations = |event: &str| destinations_of(&scenario.projects, event);
    let mut outcome = compare(&generated.sent, &arrived, destinations);
    let mut delivered = outcome.delivered;
    if let Some(storm) = scenario.storm() {
        let sent = generator::read(&storm_out)?.sent;
        let due = compare(&sent, &arrived, |event| {
            destinations_of(&storm.projects, event)
        });
        outcome.lost += due.lost;
        outcome.duplicates += due.duplicates;
        // As the worker was warmed up some of them were on their way already.
        let early = arrived.iter().filter(|request| {
            request.at < measured_from
                && request.was_accepted()
                && sent.contains_key(&request.event)
        });
        delivered += due.delivered.saturating_sub(early.count() as u64);
    }
    let to_settled = scenario
        .tells_settled
        .then(|| settled(scenario, &setting.registered, &generated.sent, &logs))
        .and_then(Latency::of);
    let requests_to = |project: &scenario::Project| {
        let destination = project.destination(0);
        outcome.requests.get(&destination).copied().unwrap_or(0)
    };
    let has_trouble = scenario.in_trouble().next().is_some();
    // The receiver remembers those of other scenarios, too.
    arrived.retain(|request| generated.sent.contains_key(&request.event));
    let retry_late = late(&arrived, Duration::from_secs(scenario.retry_after_s));
    Ok(Measured {
        scenario: scenario.name,
        events: scenario.events,
        deliveries: outcome.delivered,
        per_second: per_second(outcome.delivered, outcome.took_s),
        cpu_s_per_1000: cpu(&at_first, &in_the_end, generated.cpu_s, delivered),
        times_floors: None,
        compared: None,
        to_post: outcome.to_post,
        to_settled,
        worker_memory_peak,
        worker_memory,
        duplicates: outcome.duplicates,
        lost: outcome.lost,
        retry_late,
        troubled_requests: has_trouble.then(|| scenario.in_trouble().map(requests_to).sum()),
    })
}

fn memory_peak(workers: &[Worker]) -> Result<u64, BenchError> {
    let mut peak = 0;
    for worker in workers {
        peak = peak.max(worker.usage()?.memory_peak);
    }
    Ok(peak)
}

/// Looks at the workers' memory until then: what the largest one has resident, at equal distances.
async fn watch_memory(
    workers: &[Worker],
    until: impl Future<Output = Result<(), BenchError>>,
) -> Result<Vec<u64>, BenchError> {
    let mut until = pin!(until);
    let mut looks = interval(LOOK_AT_MEMORY_EVERY);
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            done = &mut until => {
                done?;
                return Ok(figures::thinned(&seen, MEMORY_LOOKS_MAX));
            }
            _ = looks.tick() => {
                let mut most = 0;
                for worker in workers {
                    most = most.max(worker.usage()?.memory);
                }
                seen.push(most);
            }
        }
    }
}

fn start_workers(
    stage: &mut Stage,
    place: &Place,
    workers: &mut Vec<Worker>,
    count: usize,
) -> Result<(), BenchError> {
    block_in_place(|| {
        for _ in 0..count {
            let api_port = match workers.len() {
                0 => place.api_port,
                _ => free_port(),
            };
            workers.push(stage.start_worker(place, "api,dispatch,deliver,replay", api_port)?);
        }
        Ok(())
    })
}

/// Has so many events dispatched and none of their deliveries attempted: they are due together for who comes next.
async fn gather(
    stage: &mut Stage,
    place: &Place,
    events: &Part,
    count: u64,
) -> Result<(), BenchError> {
    let dispatching = block_in_place(|| stage.start_worker(place, "dispatch", free_port()))?;
    stage.run_part("generator", events).await?;
    let broker = Broker::connect(stage).await?;
    until_due(&broker, count).await?;
    broker.close().await?;
    dispatching.stop()?;
    Ok(())
}

/// Waits until so many deliveries are due; how long it took from the first few seen, and how many came since.
async fn until_due(broker: &Broker, wanted: u64) -> Result<(Duration, u64), BenchError> {
    let (mut seen, mut moved_at) = (0, Instant::now());
    let mut first = None;
    let queue = format!("{PREFIX}.deliveries");
    loop {
        let due = broker.waiting(&queue).await?;
        if due != seen {
            (seen, moved_at) = (due, Instant::now());
            first.get_or_insert((moved_at, due));
        } else if moved_at.elapsed() > PATIENCE {
            return Err(BenchError::NotDue { due, wanted });
        }
        if seen >= wanted {
            let (began, before) = first.unwrap_or((moved_at, 0));
            return Ok((moved_at - began, seen - before));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Publishes the first events, which are not measured; how many deliveries of them have to be accepted.
async fn warm_up(
    stage: &mut Stage,
    place: &Place,
    scenario: &Scenario,
    setting: &Setting,
) -> Result<u64, BenchError> {
    let counted = scenario.projects.iter();
    let counted: Vec<_> = counted.filter(|project| project.manner.counts()).collect();
    let out = stage.file(&format!("{}.warm-up", scenario.name));
    let run = format!("warm-{}", place.run);
    let names = counted.iter().map(|project| project.name.clone()).collect();
    let told = setting.events(run, names, WARM_UP_EVENTS, Some(1_000), out);
    stage.run_part("generator", &told).await?;
    // Where a first attempt is refused, they may be accepted no sooner than what is measured.
    let deliveries = (0..WARM_UP_EVENTS)
        .zip(counted.iter().cycle())
        .map(|(_, project)| project.destinations as u64);
    Ok(deliveries.sum())
}

/// Deliveries that have to be accepted.
fn wanted(scenario: &Scenario) -> u64 {
    let storm = scenario.storm().map_or(0, |storm| storm.events);
    let measured: u64 = (0..scenario.events)
        .map(|number| {
            let at = usize::try_from(number).unwrap_or(0) % scenario.projects.len();
            let project = &scenario.projects[at];
            if project.manner.counts() {
                project.destinations as u64
            } else {
                0
            }
        })
        .sum();
    measured + storm
}

/// The destinations that have to accept an event.
fn destinations_of(projects: &[scenario::Project], event: &str) -> Vec<String> {
    let Some(number) = generator::number_of(event) else {
        return Vec::new();
    };
    let at = usize::try_from(number).unwrap_or(0) % projects.len();
    let project = &projects[at];
    if !project.manner.counts() {
        return Vec::new();
    }
    (0..project.destinations)
        .map(|number| project.destination(number))
        .collect()
}

async fn accepted(stage: &Stage) -> Result<u64, BenchError> {
    let text = stage.ask_receiver("count").await?;
    text.parse()
        .map_err(|_| BenchError::Garbled("what the receiver says"))
}

/// Waits until nothing has arrived for a while.
async fn until_quiet(stage: &Stage) -> Result<(), BenchError> {
    let mut seen = accepted(stage).await?;
    loop {
        sleep(SETTLED_WITHIN * 2).await;
        let now = accepted(stage).await?;
        if now == seen {
            return Ok(());
        }
        seen = now;
    }
}

/// Waits until so much was accepted, or nothing more comes.
async fn until_arrived(stage: &Stage, wanted: u64, patience: Duration) -> Result<(), BenchError> {
    let (mut seen, mut moved_at) = (0, Instant::now());
    loop {
        let now = accepted(stage).await?;
        if now >= wanted || moved_at.elapsed() > patience {
            return Ok(());
        }
        if now != seen {
            (seen, moved_at) = (now, Instant::now());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn arrived(stage: &Stage) -> Result<Vec<Arrived>, BenchError> {
    let text = stage.ask_receiver("log").await?;
    let read = |line: &str| {
        let [at, destination, event, status] =
            line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        Some(Arrived {
            at: at.parse().ok()?,
            destination: destination.to_owned(),
            event: event.to_owned(),
            status: status.parse().ok(),
        })
    };
    let lines = text.lines().map(read).collect::<Option<_>>();
    lines.ok_or(BenchError::Garbled("what the receiver says"))
}

/// From publishing to settled, as the workers' logs tell.
fn settled(
    scenario: &Scenario,
    registered: &Registered,
    sent: &HashMap<String, figures::Sent>,
    logs: &str,
) -> Vec<Micros> {
    let mut settled_at: HashMap<&str, Micros> = HashMap::new();
    for line in logs.lines().filter(|line| line.contains(": delivered ")) {
        let moment = line
            .split_whitespace()
            .next()
            .and_then(|word| word.parse::<Timestamp>().ok());
        let id = line
            .split_once("ringback.delivery.id=")
            .map(|(_, rest)| rest);
        let id = id.and_then(|rest| rest.split_whitespace().next());
        if let (Some(moment), Some(id)) = (moment, id) {
            settled_at.insert(id, Micros::try_from(moment.as_microsecond()).unwrap_or(0));
        }
    }
    let mut waits = Vec::new();
    for (event, sent) in sent {
        let Some(number) = generator::number_of(event) else {
            continue;
        };
        let at = usize::try_from(number).unwrap_or(0) % scenario.projects.len();
        let project = &scenario.projects[at].name;
        let (Ok(name), Ok(id)) = (project.parse(), event.parse::<EventId>()) else {
            continue;
        };
        for webhook in &registered[project] {
            let delivery = DeliveryId::derive(&name, &id, &DestinationId::webhook(webhook));
            if let Some(at) = settled_at.get(delivery.as_str()) {
                waits.push(at.saturating_sub(sent.at));
            }
        }
    }
    waits
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn cpu(before: &Reading, after: &Reading, generator_s: f64, deliveries: u64) -> Cpu {
    let thousands = deliveries.max(1) as f64 / 1000.0;
    let workers = (after.workers - before.workers) / thousands;
    let broker = difference(before.broker, after.broker).map(|used| used / thousands);
    let store = difference(before.store, after.store).map(|used| used / thousands);
    Cpu {
        workers,
        broker,
        store,
        system: workers + broker.unwrap_or(0.0) + store.unwrap_or(0.0),
        generator: generator_s / thousands,
        receiver: (after.receiver.cpu_s - before.receiver.cpu_s) / thousands,
    }
}
