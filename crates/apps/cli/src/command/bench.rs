//! `ringback bench`: how much, how fast, at what cost, beside the floors of the machine.

use crate::{
    args::BenchArgs,
    failure::{Exit, Failure, Outcome},
    session::Session,
    terminal::{facts, table},
};
use ringback_bench::{
    BenchError, BenchOptions, Latency, Lateness, Measured, Report, Urls, scenarios,
};
use std::{fs, num::NonZeroU32};

/// Enough for floors that do not move; more take time only.
const FLOOR_COUNT_MAX: u64 = 30_000;

pub(crate) async fn run(session: &Session, args: BenchArgs) -> Outcome {
    session.log_quietly()?;
    let program = std::env::current_exe()
        .map_err(|failure| Failure::failed("could not find this program again").because(failure))?;
    let all = scenarios(args.events);
    let names: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
    if let Some(unknown) = args
        .scenarios
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        let unknown = ringback_domain::harmless_text(unknown.as_bytes());
        return Err(
            Failure::new(Exit::Usage, format!("there is no scenario `{unknown}`"))
                .hint(format!("there are: {}", names.join(", "))),
        );
    }
    let is_wanted = |name: &str| {
        args.scenarios.is_empty() || args.scenarios.iter().any(|wanted| wanted == name)
    };
    let options = BenchOptions {
        worker_program: args.worker_program.unwrap_or_else(|| program.clone()),
        program,
        scenarios: all
            .into_iter()
            .filter(|scenario| is_wanted(scenario.name))
            .collect(),
        workers: usize::from(args.workers),
        urls: args
            .broker
            .zip(args.store)
            .map(|(broker, store)| Urls { broker, store }),
        floors: floor_count(args.events).filter(|_| !args.no_floors),
    };
    if cfg!(debug_assertions) {
        session
            .terminal
            .say("this is a debug build: its figures mean nothing");
    }
    let tell = |words: &str| session.terminal.say(words);
    let measured = tokio::select! {
        measured = Box::pin(ringback_bench::run(&options, &tell)) => measured.map_err(Failure::from),
        _ = tokio::signal::ctrl_c() => Err(Failure::failed("stopped before the end")),
    };
    let report = measured?;
    if let Some(file) = &args.write {
        let text = serde_json::to_string_pretty(&report).expect("a report has text keys only");
        fs::write(file, text + "\n")
            .map_err(|failure| Failure::failed("could not write the report").because(failure))?;
    }
    session.terminal.data(&report, show)?;
    let lost: u64 = report.scenarios.iter().map(|measured| measured.lost).sum();
    if lost > 0 {
        return Err(Failure::failed(format!(
            "{lost} deliveries did not come while the bench looked on"
        )));
    }
    Ok(())
}

fn floor_count(events: u64) -> Option<NonZeroU32> {
    let count = u32::try_from(events.min(FLOOR_COUNT_MAX)).ok()?;
    NonZeroU32::new(count)
}

/// A process that `ringback bench` starts.
pub(crate) async fn run_part(session: &Session, told: &str) -> Outcome {
    session.log_quietly()?;
    Ok(ringback_bench::run_part(told).await?)
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        let exit = match &error {
            BenchError::Server(_)
            | BenchError::Open(_)
            | BenchError::Producer(_)
            | BenchError::Amqp(_)
            | BenchError::Store(_) => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

fn show(report: &Report) -> String {
    let rates = table(
        [
            "SCENARIO",
            "DELIVERIES",
            "PER SECOND",
            "CPU S PER 1000",
            "WORKERS",
            "BROKER",
            "STORE",
            "× FLOORS",
        ],
        report.scenarios.iter().map(|measured| {
            let cpu = &measured.cpu_s_per_1000;
            [
                measured.scenario.to_owned(),
                measured.deliveries.to_string(),
                format!("{:.0}", measured.per_second),
                format!("{:.3}", cpu.system),
                format!("{:.3}", cpu.workers),
                or_dash(cpu.broker, 3),
                or_dash(cpu.store, 3),
                or_dash(measured.times_floors, 2),
            ]
        }),
    );
    let latencies = table(
        [
            "SCENARIO",
            "TO POST P50",
            "P99",
            "P99.9",
            "TO SETTLED P50",
            "P99",
            "WORKER MIB",
            "TWICE",
            "LOST",
        ],
        report.scenarios.iter().map(latency_row),
    );
    let mut rows = Vec::new();
    if let Some(floors) = &report.floors {
        for (name, floor) in [
            ("floor: HTTP", &floors.http),
            ("floor: queue", &floors.queue),
        ] {
            let words = format!(
                "{:.0} per second, {:.3} CPU s per 1000",
                floor.per_second, floor.cpu_s_per_1000
            );
            rows.push((name, words));
        }
    }
    for measured in &report.scenarios {
        if let Some(Lateness { late, early }) = measured.retry_late {
            let words = format!(
                "{}: late by p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms; {early} early",
                measured.scenario, late.p50_ms, late.p99_ms, late.max_ms
            );
            rows.push(("retries", words));
        }
        if let Some(requests) = measured.troubled_requests {
            let words = format!("{}: {requests} requests", measured.scenario);
            rows.push(("in trouble", words));
        }
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    rows.push((
        "with",
        format!(
            "ringback {}, RabbitMQ {}, {}, {} worker(s), {} cores, {}",
            report.ringback,
            or_none(&report.rabbitmq),
            or_none(&report.store),
            report.workers,
            report.cores,
            or_none(&report.processor),
        ),
    ));
    format!("{rates}\n\n{latencies}\n\n{}", facts(rows))
}

#[expect(clippy::cast_precision_loss, reason = "mebibytes for people")]
fn latency_row(measured: &Measured) -> [String; 9] {
    let of = |latency: Option<Latency>, part: fn(Latency) -> f64| {
        latency.map_or_else(
            || "-".to_owned(),
            |latency| format!("{:.1} ms", part(latency)),
        )
    };
    let (post, settled) = (measured.to_post, measured.to_settled);
    [
        measured.scenario.to_owned(),
        of(post, |latency| latency.p50_ms),
        of(post, |latency| latency.p99_ms),
        of(post, |latency| latency.p999_ms),
        of(settled, |latency| latency.p50_ms),
        of(settled, |latency| latency.p99_ms),
        format!("{:.0}", measured.worker_memory_peak as f64 / 1_048_576.0),
        measured.duplicates.to_string(),
        measured.lost.to_string(),
    ]
}

fn or_dash(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
}
