//! The drill behind `ringback drill`: everything real, everything made to fail, and a count of what was lost.
//!
//! Private servers and a network between that fails on command ([`ringback_servers`]), worker processes of the same binary,
//! producers in this process, and a receiver that shares no code with any of them. [`Schedule`] decides by the seed which
//! faults strike; `stage.rs` lets them; [`judge`](judge::judge) compares the logs of both sides afterwards. The figures are real
//! time's, so that a seed gives the same faults every time, and not the same moments.

pub mod judge;
mod load;
mod record;
mod report;
mod schedule;
mod stage;

pub use report::{ClassReport, Report};
pub use schedule::{Class, Planned, Schedule};

use judge::{Evidence, GivenUp, Millis, Struck, judge};
use load::{DESTINATIONS, Ledger, Load, STEADY, secret_of};
use record::ReceiverLog;
use ringback_delivery::port::{Clock, DeadLetterFilter, QueueError, StoreError};
use ringback_domain::{DeadLetter, DeadLetterContent, DestinationId};
use ringback_servers::ServerError;
use ringback_signing::Secret;
use ringback_worker::{
    Backend, OpenError, Opener, SystemClock, SystemEntropy,
    config::{Config, ConfigError},
    webhooks::{NewWebhook, WebhookError, Webhooks},
};
use stage::{PREFIX, Stage};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

/// Connections that publish.
const PRODUCERS: usize = 2;
/// How often the end is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a question to broker or store may go unanswered: they have just been through a lot.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
const PAGE: usize = 500;

/// What a drill is to be.
#[derive(Debug, Clone)]
pub struct DrillOptions {
    /// The binary that workers and the receiver run: `ringback`.
    pub program: PathBuf,
    /// Events to publish.
    pub events: u64,
    /// Faults to strike.
    pub faults: usize,
    /// Worker processes.
    pub workers: usize,
    /// Broker nodes.
    pub nodes: usize,
    /// What the faults are drawn from.
    pub seed: u64,
    /// Only faults of these classes; all when empty.
    pub only: Vec<Class>,
    /// Where the logs of both sides are kept.
    pub keep: Option<PathBuf>,
    /// When nothing has moved for so long, nothing will. Longer than any wait of the drill's schedules (ten seconds), a claim
    /// (four), and the broker's own patience with a confirm between queues (five).
    pub patience: Duration,
    /// Variables that workers are given: how tests break them.
    pub worker_env: Vec<(String, String)>,
}

impl DrillOptions {
    /// What will happen.
    ///
    /// Classes that take a cluster are left out on a single node.
    pub fn schedule(&self) -> Schedule {
        let is_possible = |class: &Class| self.nodes > 2 || !class.needs_cluster();
        let is_wanted = |class: &Class| self.only.is_empty() || self.only.contains(class);
        let classes = Class::ALL
            .into_iter()
            .filter(|class| is_possible(class) && is_wanted(class));
        Schedule::of_seed(
            self.seed,
            self.events,
            self.faults,
            &classes.collect::<Vec<_>>(),
        )
    }
}

/// What happens, for whoever looks on.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// A stage of the drill begins.
    Stage(&'a str),
    /// A fault strikes: the first is number 1.
    Strikes {
        /// Which.
        number: usize,
        /// What.
        fault: &'a Planned,
        /// Events published so far.
        published: u64,
    },
}

/// Why there was no drill.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum DrillError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("could not {step}")]
    Io {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the drill's own configuration is not accepted")]
    Config(#[from] ConfigError),
    #[error("could not look into broker and store")]
    Open(#[from] OpenError),
    #[error("could not register a webhook")]
    Webhook(#[from] WebhookError),
    #[error("could not connect the producers")]
    Producers(#[from] ringback_producer::ConnectError),
    #[error("could not look into the queues")]
    Queue(#[from] QueueError),
    #[error("could not read the dead letters")]
    Store(#[from] StoreError),
}

/// Runs a drill from starting the servers to the verdict. On a multi-threaded runtime only: starting servers blocks.
///
/// # Errors
///
/// When it could not be carried out. A promise that was not kept is no error, but the report's to tell.
///
/// # Cancel safety
///
/// Dropped in the middle, it ends everything it started.
pub async fn run(
    options: &DrillOptions,
    tell: &(dyn Fn(Progress<'_>) + Send + Sync),
) -> Result<Report, DrillError> {
    let started_at = Instant::now();
    let schedule = options.schedule();
    tell(Progress::Stage("starting servers"));
    let mut stage = Stage::build(options).await?;
    let config = Config::load(Some(&stage.direct_config()), [])?;
    let desk = Backend::open(&config, Opener::Command).await?;
    let names = register(&config, &desk, &stage, options.seed).await?;
    stage.start_workers(options.workers)?;

    tell(Progress::Stage("publishing under faults"));
    let ledger = Arc::new(Ledger::default());
    let pace = schedule.takes() / u32::try_from(options.events.max(1)).unwrap_or(u32::MAX);
    let load = Load::connect(&stage.broker_urls(), PREFIX, PRODUCERS, options.seed, pace).await?;
    let (allow, allowed) = watch::channel(0);
    let (done, mut published) = watch::channel(0);
    // Ends with this future.
    let mut publishing = JoinSet::new();
    publishing.spawn(load.run(options.events, allowed, done, ledger.clone()));
    let mut struck = Vec::new();
    for (index, fault) in schedule.faults().iter().enumerate() {
        // Under load: not before the events of the faults so far are on their way, and while those of this one are published.
        allow.send_replace(schedule.events_until(index + 1));
        let due = schedule.events_until(index);
        let _ = published.wait_for(|published| *published >= due).await;
        sleep(fault.after).await;
        tell(Progress::Strikes {
            number: index + 1,
            fault,
            published: *published.borrow(),
        });
        let begun_at = millis();
        stage.strike(fault).await?;
        struck.push(Struck {
            class: fault.class,
            begun_at,
            over_at: millis(),
        });
    }
    allow.send_replace(options.events);
    let refused = publishing.join_next().await.and_then(Result::ok).flatten();

    tell(Progress::Stage("waiting until all is delivered"));
    let mut log = ReceiverLog::new(stage.receiver_log());
    let mut evidence = Evidence {
        published: ledger.published(),
        struck,
        ..Evidence::default()
    };
    come_to_rest(&desk, &names, &mut log, &mut evidence, options.patience).await?;
    // Stopped in order, they give back what they hold: nothing is under way that could still arrive.
    stage.stop_workers();
    let waiting = waiting(&desk).await?;
    look(&desk, &names, &mut log, &mut evidence).await?;
    let (broker, store) = (stage.broker_version(), desk.health.product.clone());
    desk.close().await;
    if let Some(folder) = &options.keep {
        record::keep(folder, &evidence, log.path()).map_err(DrillError::io("keep the logs"))?;
    }
    let mut report = Report::of(judge(&evidence, STEADY), options);
    report.took_s = started_at.elapsed().as_secs();
    report.rabbitmq = broker;
    report.store = store;
    report.left_in_queues = waiting;
    report.workers_deserted = stage.deserted;
    report.publish_refused = refused.map(|error| error.to_string());
    Ok(report)
}

/// Milliseconds since 1970.
fn millis() -> Millis {
    u64::try_from(SystemClock.now().as_millisecond()).unwrap_or(0)
}

/// What the drill calls its destinations.
type Names = HashMap<DestinationId, &'static str>;

/// Registers a webhook for each destination; which is which.
async fn register(
    config: &Config,
    desk: &Backend,
    stage: &Stage,
    seed: u64,
) -> Result<Names, DrillError> {
    let webhooks = Webhooks {
        store: desk.store.clone(),
        keys: desk.keys.clone(),
        profiles: Arc::new(config.profile_book()),
        urls: config.http.url_policy(),
        clock: desk.clock.clone(),
        entropy: Arc::new(SystemEntropy),
    };
    let mut names = Names::new();
    for (index, destination) in DESTINATIONS.iter().enumerate() {
        let added = webhooks
            .add(NewWebhook {
                project: destination.project.parse().expect("a project's name"),
                url: stage.url_of(destination.name),
                events: BTreeSet::new(),
                profile: None,
                secret: Some(Secret::try_new(secret_of(seed, index)).expect("it is not empty")),
                headers: Vec::new(),
                description: None,
                rate_limit: None,
            })
            .await?;
        names.insert(DestinationId::webhook(&added.webhook.id), destination.name);
    }
    Ok(names)
}

/// Waits until everything has arrived or become a dead letter, or nothing moves any more.
async fn come_to_rest(
    desk: &Backend,
    names: &Names,
    log: &mut ReceiverLog,
    evidence: &mut Evidence,
    patience: Duration,
) -> Result<(), DrillError> {
    let mut seen = (0, 0, 0);
    let mut moved_at = Instant::now();
    loop {
        look(desk, names, log, evidence).await?;
        let waiting = waiting(desk).await?;
        if waiting == 0 && judge(evidence, STEADY).lost == 0 {
            return Ok(());
        }
        let now_seen = (evidence.received.len(), evidence.given_up.len(), waiting);
        if now_seen != seen {
            (seen, moved_at) = (now_seen, Instant::now());
        } else if moved_at.elapsed() > patience {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Messages in all queues, in nobody's hands.
async fn waiting(desk: &Backend) -> Result<u64, DrillError> {
    let depths = answered(|| desk.queue.depths(), QueueError::is_passing).await?;
    Ok(depths.iter().map(|depth| depth.waiting).sum())
}

/// Asks until there is an answer.
async fn answered<T, E>(
    ask: impl AsyncFn() -> Result<T, E>,
    is_passing: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let asked_at = Instant::now();
    loop {
        match ask().await {
            Err(error) if is_passing(&error) && asked_at.elapsed() < ANSWER_WITHIN => {
                sleep(LOOK_EVERY).await;
            }
            answer => return answer,
        }
    }
}

/// Reads what the receiver and the operator see now.
async fn look(
    desk: &Backend,
    names: &Names,
    log: &mut ReceiverLog,
    evidence: &mut Evidence,
) -> Result<(), DrillError> {
    log.read_on(&mut evidence.received)
        .map_err(DrillError::io("read the receiver's log"))?;
    evidence.given_up.clear();
    let (filter, mut cursor) = (DeadLetterFilter::default(), None);
    loop {
        let page = answered(
            || desk.store.dead_letters(&filter, cursor.as_ref(), PAGE),
            StoreError::is_passing,
        )
        .await?
        .whole()?;
        evidence
            .given_up
            .extend(page.entries.iter().map(|dead| given_up(dead, names)));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn given_up(dead: &DeadLetter, names: &Names) -> GivenUp {
    match &dead.content {
        DeadLetterContent::Delivery(delivery) => {
            let destination = names.get(&delivery.destination.id());
            GivenUp {
                id: Some(delivery.event.id.to_string()),
                // A webhook that is not ours is a destination nobody expects.
                destination: Some(destination.map_or("-", |name| *name).to_owned()),
            }
        }
        DeadLetterContent::Event { event, .. } => GivenUp {
            id: Some(event.id.to_string()),
            destination: None,
        },
        DeadLetterContent::Raw { .. } => GivenUp {
            id: None,
            destination: None,
        },
    }
}
