//! `ringback bench`: how much, how fast, at what cost, beside the floors of the machine.

use crate::{
    args::BenchArgs,
    failure::{Exit, Failure, Outcome},
    session::Session,
    terminal::{facts, table},
};
use ringback_bench::{BenchError, BenchOptions, Figure, Middle, Report, Spread, Urls, scenarios};
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
        rounds: usize::from(args.rounds),
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
    let lost: u64 = report.scenarios.iter().map(|run| run.lost).sum();
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
    let mut tables = vec![
        table(
            [
                "SCENARIO",
                "RUNS",
                "PER SECOND",
                "CPU S PER 1000",
                "WORKERS",
                "BROKER",
                "STORE",
                "× FLOORS",
            ],
            report.middle.iter().map(|of| {
                [
                    of.scenario.to_owned(),
                    of.runs.to_string(),
                    middle(of, Figure::PerSecond, 0),
                    middle(of, Figure::CpuSPer1000, 3),
                    middle(of, Figure::WorkersCpuSPer1000, 3),
                    middle(of, Figure::BrokerCpuSPer1000, 3),
                    middle(of, Figure::StoreCpuSPer1000, 3),
                    spread(of, Figure::TimesFloors, 2),
                ]
            }),
        ),
        table(
            [
                "SCENARIO",
                "TO POST P50 MS",
                "P99",
                "P99.9",
                "TO SETTLED P50 MS",
                "P99",
                "WORKER MIB",
                "TWICE",
                "LOST",
            ],
            report.middle.iter().map(latency_row),
        ),
    ];
    let compared: Vec<_> = report.middle.iter().filter_map(compared_row).collect();
    if !compared.is_empty() {
        let titles = [
            "SCENARIO",
            "COMPARED WITH",
            "× TO POST P50",
            "× P99",
            "× PER SECOND",
        ];
        tables.push(table(titles, compared));
    }
    tables.push(facts(rows(report)));
    tables.join("\n\n")
}

fn rows(report: &Report) -> Vec<(&'static str, String)> {
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
    for of in &report.middle {
        if of.figures.contains_key(&Figure::RetryLateP99Ms) {
            let words = format!(
                "{}: late by p50 {} ms, p99 {} ms, at most {} ms; {} early",
                of.scenario,
                middle(of, Figure::RetryLateP50Ms, 0),
                spread(of, Figure::RetryLateP99Ms, 0),
                spread(of, Figure::RetryLateMaxMs, 0),
                of.early
            );
            rows.push(("retries", words));
        }
        if let Some(requests) = of.troubled_requests {
            let words = format!("{}: {requests} requests", of.scenario);
            rows.push(("in trouble", words));
        }
    }
    for run in &report.scenarios {
        if let (Some(first), Some(last)) = (run.worker_memory.first(), run.worker_memory.last()) {
            let middle = run.worker_memory[run.worker_memory.len() / 2];
            let words = format!(
                "{}: {:.0} MiB at first, {:.0} half-way, {:.0} in the end",
                run.scenario,
                mebibytes(*first),
                mebibytes(middle),
                mebibytes(*last)
            );
            rows.push(("worker memory", words));
        }
    }
    if report.middle.iter().any(|of| of.runs > 1) {
        let words = "of several runs the middle one, with the least and the most; of memory and requests in trouble the most";
        rows.push(("figures", words.to_owned()));
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
    rows
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

fn latency_row(of: &Middle) -> [String; 9] {
    [
        of.scenario.to_owned(),
        middle(of, Figure::ToPostP50Ms, 1),
        spread(of, Figure::ToPostP99Ms, 1),
        middle(of, Figure::ToPostP999Ms, 1),
        middle(of, Figure::ToSettledP50Ms, 1),
        spread(of, Figure::ToSettledP99Ms, 1),
        format!("{:.0}", mebibytes(of.worker_memory_peak)),
        of.duplicates.to_string(),
        of.lost.to_string(),
    ]
}

fn compared_row(of: &Middle) -> Option<[String; 5]> {
    Some([
        of.scenario.to_owned(),
        of.compared_with?.to_owned(),
        spread(of, Figure::ComparedToPostP50, 2),
        spread(of, Figure::ComparedToPostP99, 2),
        spread(of, Figure::ComparedPerSecond, 2),
    ])
}

fn middle(of: &Middle, figure: Figure, digits: usize) -> String {
    let found = of.figures.get(&figure);
    found.map_or_else(
        || "-".to_owned(),
        |Spread { middle, .. }| format!("{middle:.digits$}"),
    )
}

/// The middle, and how far the runs are apart.
fn spread(of: &Middle, figure: Figure, digits: usize) -> String {
    let middle = middle(of, figure, digits);
    match of.figures.get(&figure) {
        Some(Spread { least, most, .. }) if of.runs > 1 => {
            format!("{middle} ({least:.digits$} to {most:.digits$})")
        }
        _ => middle,
    }
}
