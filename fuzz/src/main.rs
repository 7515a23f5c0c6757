//! Looks for inputs that break what reads them; `cargo xtask fuzz` calls it.

use clap::Parser;
use ringback_fuzz::{Mutator, TARGETS, Target};
use std::{
    fs, io, panic,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Runs the fuzz targets on inputs made of the kept ones.
#[derive(Debug, Parser)]
#[command(
    name = "fuzz",
    after_help = "Exit code: 0 when every input held, 1 when one did not; it is then in target/fuzz."
)]
struct Args {
    /// Only this target; else each in turn.
    #[arg(long)]
    target: Option<String>,
    /// How long each is run.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where chance begins.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// What came of running a target.
struct Run {
    executions: u64,
    slowest: Duration,
    broken: Option<Vec<u8>>,
}

fn main() -> io::Result<ExitCode> {
    let args = Args::parse();
    let is_chosen = |target: &Target| args.target.as_deref().is_none_or(|it| it == target.name);
    let mut chosen = TARGETS.into_iter().filter(is_chosen).peekable();
    if chosen.peek().is_none() {
        let names = TARGETS.map(|target| target.name).join("`, `");
        eprintln!("error: there is no such target; there are `{names}`");
        return Ok(ExitCode::from(2));
    }
    let mut code = ExitCode::SUCCESS;
    for target in chosen {
        let run = run(target, args.seed, Duration::from_secs(args.seconds))?;
        tell(target, &run);
        if let Some(input) = run.broken {
            let path = keep(target, &input)?;
            eprintln!("BROKEN: {} by {}", target.name, path.display());
            eprintln!(
                "hint: mend it, and keep the input in fuzz/corpus/{}",
                target.name
            );
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn run(target: Target, seed: u64, limit: Duration) -> io::Result<Run> {
    let corpus = target.corpus()?.into_iter().map(|(_, input)| input);
    let mut mutator = Mutator::new(seed, corpus.collect());
    let mut run = Run {
        executions: 0,
        slowest: Duration::ZERO,
        broken: None,
    };
    let began_at = Instant::now();
    while began_at.elapsed() < limit && run.broken.is_none() {
        let input = mutator.next_input();
        let before = Instant::now();
        let held = panic::catch_unwind(|| (target.run)(&input)).is_ok();
        run.slowest = run.slowest.max(before.elapsed());
        run.executions += 1;
        run.broken = (!held).then_some(input);
    }
    Ok(run)
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn tell(target: Target, run: &Run) {
    let Run {
        executions,
        slowest,
        ..
    } = run;
    let name = target.name;
    println!("{name:12} {executions:>10} executions, the slowest took {slowest:.1?}");
}

/// Writes an input to where it can be looked at.
fn keep(target: Target, input: &[u8]) -> io::Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}-broken", target.name));
    fs::write(&path, input)?;
    Ok(path)
}
