//! Tasks of the workspace: `cargo xtask test`, `cargo xtask tidy`, and the long proofs.

mod install;
mod proofs;
mod receivers;
mod schemathesis;
mod test;
mod tidy;

use std::{path::PathBuf, process::ExitCode};

const USAGE: &str = "\
usage: cargo xtask <task>

  test [ARGS]   install what the tests need, start private servers, run `cargo test` with ARGS, stop the servers
                RINGBACK_TEST_SCHEMATHESIS_EXAMPLES=200 lets the HTTP API be tried for longer
  tidy          check the conventions that compilers do not know
  simulate ARGS run the use cases under seeded faults; --help tells more
  fuzz ARGS     look for inputs that break what reads them; --help tells more
  model ARGS    check the claim and retry protocol in every order of events; --help tells more
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("test") => test::run(&args.collect::<Vec<_>>()),
        Some("tidy") => tidy::run(),
        Some("fuzz") => proofs::run("ringback-fuzz", args),
        Some("simulate") => proofs::run("ringback-simulation", args),
        Some("model") => proofs::run("ringback-model", args),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
