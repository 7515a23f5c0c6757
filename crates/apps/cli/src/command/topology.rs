//! `ringback topology`: exchanges and queues, as they should be and as they are.

use crate::{
    args::TopologyCommand,
    failure::{Exit, Failure, Outcome},
    session::Session,
    view::ListView,
};
use ringback_queue_rabbitmq::{ConnectError, Drift, RabbitConfig, RabbitQueue, Scope, Topology};
use ringback_worker::config::{Broker, Config};
use serde::Serialize;

pub(crate) async fn run(session: &Session, command: TopologyCommand) -> Outcome {
    let config = session.config()?;
    match command {
        TopologyCommand::Show => show(session, &config),
        TopologyCommand::Apply => apply(session, &config).await,
        TopologyCommand::Check => check(session, &config).await,
    }
}

#[derive(Serialize)]
struct Shown {
    topology: Vec<String>,
}

fn show(session: &Session, config: &Config) -> Outcome {
    let lines = Topology::of(&config.rabbit_config()).show();
    let shown = Shown {
        topology: lines.lines().map(str::to_owned).collect(),
    };
    session.terminal.data(&shown, |_| lines)
}

async fn apply(session: &Session, config: &Config) -> Outcome {
    let queue = connect(session, config).await?;
    let drifts = queue.apply_topology().await;
    ringback_delivery::port::Queue::close(&queue).await;
    report(session, &drifts?, "everything is there")
}

async fn check(session: &Session, config: &Config) -> Outcome {
    let queue = connect(session, config).await?;
    let drifts = queue.check_topology().await;
    ringback_delivery::port::Queue::close(&queue).await;
    report(session, &drifts?, "everything is there, as it should be")
}

/// Connects without making anything on the way: `check` only looks.
async fn connect(session: &Session, config: &Config) -> Outcome<RabbitQueue> {
    session.log_quietly()?;
    let Broker::RabbitMq { urls, .. } = &config.broker else {
        return Err(
            Failure::usage("the broker is embedded, so there is no topology")
                .hint("set `broker` to the URL of a RabbitMQ, or RINGBACK_BROKER"),
        );
    };
    let quiet = RabbitConfig {
        declare: false,
        ..config.rabbit_config()
    };
    let connected = RabbitQueue::connect(urls.clone(), quiet, Scope::Whole).await;
    connected.map_err(|error| {
        let exit = match &error {
            ConnectError::CaFile { .. } => Exit::Usage,
            _ => Exit::Unreachable,
        };
        Failure::of(exit, &error)
    })
}

#[derive(Serialize)]
struct DriftView {
    kind: &'static str,
    name: String,
    problem: String,
    advice: &'static str,
}

impl From<&Drift> for DriftView {
    fn from(drift: &Drift) -> Self {
        Self {
            kind: drift.kind,
            name: drift.name.clone(),
            problem: drift.to_string(),
            advice: drift.advice(),
        }
    }
}

fn report(session: &Session, drifts: &[Drift], all_well: &str) -> Outcome {
    let list = ListView::whole(drifts.iter().map(DriftView::from).collect());
    session
        .terminal
        .data(&list, |list| match list.data.as_slice() {
            [] => all_well.to_owned(),
            drifts => with_advice(drifts),
        })?;
    match drifts.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("one thing is not as it should be")),
        many => Err(Failure::failed(format!(
            "{many} things are not as they should be"
        ))),
    }
}

/// What is wrong, a line each, and under each run of lines what to do about them.
fn with_advice(drifts: &[DriftView]) -> String {
    let mut lines = Vec::new();
    for alike in drifts.chunk_by(|a, b| a.advice == b.advice) {
        lines.extend(alike.iter().map(|drift| drift.problem.clone()));
        lines.extend(
            alike
                .first()
                .map(|drift| format!("  to do: {}", drift.advice)),
        );
    }
    lines.join("\n")
}
