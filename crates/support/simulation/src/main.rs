//! Runs seeds of the simulation; `cargo xtask simulate` calls it.

use clap::Parser;
use ringback_simulation::{Invariant, Plan, Report, Sabotage, Violation, run, search, shrink};
use std::process::ExitCode;
use tokio::time::Instant;

/// The use cases under seeded faults, on a stopped clock.
#[derive(Debug, Parser)]
#[command(
    name = "simulate",
    after_help = "Exit code: 0 when all invariants held, 1 when one did not."
)]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone and print what happens.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Print the whole run, instead of the smallest one that fails in the same way.
    #[arg(long, requires = "seed")]
    whole: bool,
    /// Break something on purpose, to see it noticed.
    #[arg(long, value_parser = sabotage)]
    sabotage: Option<Sabotage>,
}

fn sabotage(name: &str) -> Result<Sabotage, String> {
    let found = Sabotage::ALL.into_iter().find(|known| known.name() == name);
    found.ok_or_else(|| {
        let names = Sabotage::ALL.map(Sabotage::name).join("`, `");
        format!("there are `{names}`")
    })
}

fn main() -> ExitCode {
    let args = Args::parse();
    let plan_of = |seed| Plan {
        sabotage: args.sabotage,
        ..Plan::of_seed(seed)
    };
    if let Some(seed) = args.seed {
        return tell_seed(&plan_of(seed), args.whole);
    }
    let began_at = Instant::now();
    let report = search(args.from..args.from.saturating_add(args.seeds), plan_of);
    let seconds = began_at.elapsed().as_secs_f64();
    tell_report(&report, seconds, args.sabotage)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn tell_report(report: &Report, seconds: f64, sabotage: Option<Sabotage>) -> ExitCode {
    let Report {
        runs,
        requests,
        duplicates,
        ..
    } = report;
    let rate = *runs as f64 / seconds * 60.0;
    println!("{runs} seeds in {seconds:.1} s ({rate:.0} a minute)");
    println!("{requests} requests, {duplicates} of them duplicates that a fault explains\n");
    for (fault, count) in &report.faults {
        println!("{count:>9}  {fault}");
    }
    println!();
    for invariant in Invariant::ALL {
        let broken = report.failures.values();
        let broken = broken.filter(|violation| violation.invariant == invariant);
        println!("{:>9}  {invariant}: violations", broken.count());
    }
    let Some((seed, violation)) = report.failures.first_key_value() else {
        return ExitCode::SUCCESS;
    };
    let sabotage = sabotage.map_or_else(String::new, |sabotage| {
        format!(" --sabotage {}", sabotage.name())
    });
    println!("\nseed {seed}: {violation}");
    println!("hint: cargo xtask simulate --seed {seed}{sabotage}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn tell_seed(plan: &Plan, whole: bool) -> ExitCode {
    let outcome = run(plan, whole);
    let plan = match &outcome.violation {
        Some(Violation { invariant, .. }) if !whole => shrink(plan, *invariant),
        _ => plan.clone(),
    };
    let outcome = run(&plan, true);
    for line in &outcome.trace {
        println!("{line}");
    }
    let size = plan.size;
    println!(
        "\nseed {}: {} worker(s), {} event(s), {} webhook(s), {} fault(s), {} request(s)",
        plan.seed,
        size.workers,
        size.events,
        size.webhooks,
        outcome.struck.len(),
        outcome.requests
    );
    match &outcome.violation {
        None => {
            println!("all invariants held");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("VIOLATED {violation}");
            ExitCode::FAILURE
        }
    }
}
