//! Checks the model; `cargo xtask model` calls it.

use clap::Parser;
use ringback_model::{Bounds, Breakage, Protocol, check};
use std::{process::ExitCode, time::Instant};

/// The claim and retry protocol, in every order of events.
#[derive(Debug, Parser)]
#[command(
    name = "model",
    after_help = "Exit code: 0 when all invariants hold, 1 when one can fail."
)]
struct Args {
    /// Messages handled at the same time.
    #[arg(long, default_value_t = 3)]
    handlings: usize,
    /// Attempts in a generation.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=6))]
    attempts: u8,
    /// Generations: one more than there are replays.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    generations: u8,
    /// Crashes, lost connections, stalls, lost answers and doubled messages, all together.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=16))]
    faults: u8,
    /// The store may lose all claims, which is a fault, too.
    #[arg(long)]
    store_forgets: bool,
    /// Break something on purpose, to see it noticed.
    #[arg(long, value_parser = breakage)]
    breakage: Option<Breakage>,
}

fn breakage(name: &str) -> Result<Breakage, String> {
    let found = Breakage::ALL.into_iter().find(|known| known.name() == name);
    found.ok_or_else(|| {
        let names = Breakage::ALL.map(Breakage::name).join("`, `");
        format!("there are `{names}`")
    })
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn main() -> ExitCode {
    let args = Args::parse();
    let began_at = Instant::now();
    let report = check(Protocol {
        bounds: Bounds {
            handlings: args.handlings,
            attempts: args.attempts,
            generations: args.generations,
            faults: args.faults,
            store_forgets: args.store_forgets,
        },
        breakage: args.breakage,
    });
    let seconds = began_at.elapsed().as_secs_f64();
    let (states, depth) = (report.states, report.depth);
    println!("{states} states, up to {depth} steps deep, in {seconds:.1} s");
    let Some(found) = report.counterexample else {
        println!("all invariants hold");
        return ExitCode::SUCCESS;
    };
    println!("\nVIOLATED {}:", found.invariant);
    for (number, step) in (1..).zip(found.steps) {
        println!("{number:>4}  {step}");
    }
    ExitCode::FAILURE
}
