//! `ringback doctor`: configuration, broker and store against the promises, and what to change.

use crate::{
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use owo_colors::OwoColorize;
use ringback_delivery::port::{Queue, QueueName};
use ringback_profile::DestinationKind;
use ringback_queue_rabbitmq::{RabbitConfig, RabbitQueue, Scope};
use ringback_worker::{
    Backend, Opener,
    config::{Broker, Config, show_duration},
};
use serde::Serialize;

/// How far the store's clock may be off ours before leases and signatures suffer.
const CLOCK_SKEW_MS_MAX: i64 = 1000;

pub(crate) async fn run(session: &Session) -> Outcome {
    session.log_quietly()?;
    let mut checks = Vec::new();
    let reached = examine(session, &mut checks).await;
    session.terminal.data(&checks, |checks| {
        checks
            .iter()
            .map(Check::line)
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    reached?;
    let count = checks
        .iter()
        .filter(|check| check.state != State::Well)
        .count();
    match count {
        0 => Ok(()),
        1 => Err(Failure::failed("one thing should be changed")),
        many => Err(Failure::failed(format!("{many} things should be changed"))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Well,
    Weak,
    Broken,
}

#[derive(Serialize)]
struct Check {
    what: &'static str,
    state: State,
    finding: String,
}

impl Check {
    fn well(what: &'static str, finding: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Well,
            finding: finding.into(),
        }
    }

    fn weak(what: &'static str, finding: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Weak,
            finding: finding.into(),
        }
    }

    fn broken(what: &'static str, finding: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Broken,
            finding: finding.into(),
        }
    }

    fn line(&self) -> String {
        let mark = match self.state {
            State::Well => "ok    ".green().to_string(),
            State::Weak => "weak  ".yellow().to_string(),
            State::Broken => "broken".red().to_string(),
        };
        let finding = ringback_domain::harmless_text(self.finding.as_bytes())
            .replace('\n', "\n                      ");
        format!("{mark}  {:<12}  {finding}", self.what)
    }
}

/// Every check that can be made; an error when broker or store could not be reached at all.
async fn examine(session: &Session, checks: &mut Vec<Check>) -> Outcome {
    let config = match session.try_config(&[]) {
        Ok(config) => config,
        Err(error) => {
            checks.extend(
                error
                    .faults
                    .iter()
                    .map(|fault| Check::broken("config", fault.to_string())),
            );
            return Ok(());
        }
    };
    check_config(&config, checks);
    check_topology(&config, checks).await;
    let backend = match Backend::open(&config, Opener::Command).await {
        Ok(backend) => backend,
        Err(error) => {
            let failure = Failure::from(error);
            checks.push(Check::broken(
                "open",
                failure.report().trim_start_matches("error: ").to_owned(),
            ));
            return match failure.exit() {
                Exit::Unreachable => Err(Failure::new(
                    Exit::Unreachable,
                    "broker or store could not be reached",
                )),
                _ => Ok(()),
            };
        }
    };
    check_store(&config, &backend, checks);
    check_dead_letters(&config, &backend, checks).await;
    check_queue(&config, &*backend.queue, checks).await;
    backend.close().await;
    Ok(())
}

fn check_config(config: &Config, checks: &mut Vec<Check>) {
    let file = config.file.as_ref();
    checks.push(Check::well(
        "config",
        file.map_or("no file, the default applies".to_owned(), |file| {
            file.display().to_string()
        }),
    ));
    let used = config
        .projects
        .values()
        .filter_map(|project| config.profiles.get(&project.profile));
    let limits = used.flat_map(|profile| {
        [DestinationKind::Webhook, DestinationKind::Callback]
            .map(|kind| profile.rules(kind).time_limit)
    });
    let longest = limits.max().unwrap_or_default();
    if config.deliver.shutdown_grace < longest {
        checks.push(Check::weak(
            "grace",
            format!(
                "`deliver.shutdown_grace` ({}) is shorter than an attempt may take ({}): stopping may cut attempts off, which are then sent twice",
                show_duration(config.deliver.shutdown_grace),
                show_duration(longest)
            ),
        ));
    }
    if !config.http.allow_networks.is_empty() {
        checks.push(Check::weak(
            "networks",
            "`http.allow_networks` opens networks that customers' URLs could reach",
        ));
    }
    if config.secrets.allow_plain_callback_secrets {
        checks.push(Check::weak(
            "secrets",
            "`secrets.allow_plain_callback_secrets` lets secrets into the broker unsealed",
        ));
    }
}

async fn check_topology(config: &Config, checks: &mut Vec<Check>) {
    let Broker::RabbitMq { urls, .. } = &config.broker else {
        return;
    };
    let quiet = RabbitConfig {
        declare: false,
        ..config.rabbit_config()
    };
    let Ok(queue) = RabbitQueue::connect(urls.clone(), quiet, Scope::Whole).await else {
        // Opening it says why.
        return;
    };
    match queue.check_topology().await {
        Ok(drifts) if drifts.is_empty() => checks.push(Check::well("topology", "as it should be")),
        Ok(drifts) => {
            checks.extend(
                drifts
                    .iter()
                    .map(|drift| Check::broken("topology", format!("{drift}: {}", drift.advice()))),
            );
        }
        Err(error) => checks.push(Check::broken("topology", error.to_string())),
    }
    queue.close().await;
}

fn check_store(config: &Config, backend: &Backend, checks: &mut Vec<Check>) {
    checks.push(Check::well(
        "store",
        format!("{}, {}", config.store.describe(), backend.health.product),
    ));
    checks.extend(
        backend
            .health
            .findings
            .iter()
            .map(|finding| Check::weak("store", finding.clone())),
    );
    if let Some(skew) = backend
        .health
        .clock_skew_ms
        .filter(|skew| skew.abs() > CLOCK_SKEW_MS_MAX)
    {
        checks.push(Check::weak("clock", format!("the store's clock is {skew} ms off ours: set both by NTP, or leases end early and timestamps are refused")));
    }
}

async fn check_dead_letters(config: &Config, backend: &Backend, checks: &mut Vec<Check>) {
    let entries_max = config.dead_letters.entries_max;
    checks.push(match backend.store.dead_letter_count(None).await {
        Ok(count) if count > entries_max => Check::weak(
            "dead letters",
            format!(
                "{count} are open, more than `dead_letters.entries_max` ({entries_max}): replay or discard them; none is dropped to make room"
            ),
        ),
        Ok(count) => Check::well("dead letters", format!("{count} open")),
        Err(error) => Check::broken("dead letters", error.to_string()),
    });
}

async fn check_queue(config: &Config, queue: &dyn Queue, checks: &mut Vec<Check>) {
    if let Err(error) = queue.ping().await {
        checks.push(Check::broken("broker", error.to_string()));
        return;
    }
    checks.push(Check::well("broker", config.broker.describe()));
    let depths = match queue.depths().await {
        Ok(depths) => depths,
        Err(error) => {
            checks.push(Check::broken("queues", error.to_string()));
            return;
        }
    };
    for depth in depths {
        let name = depth.queue.as_str().replace('_', " ");
        let nobody = depth.consumers == Some(0) && depth.queue != QueueName::Delayed;
        if nobody && depth.waiting > 0 {
            checks.push(Check::weak(
                "queues",
                format!(
                    "{name}: {} waiting and nobody takes them; is `ringback serve` running?",
                    depth.waiting
                ),
            ));
        } else {
            checks.push(Check::well(
                "queues",
                format!("{name}: {} waiting", depth.waiting),
            ));
        }
    }
}
