//! The one binary: `ringback`.
//!
//! Each command reads its arguments, calls the library that does the work, and prints what came of it.

mod args;
mod command;
mod failure;
mod forward;
mod receiver;
mod session;
mod terminal;
mod verifier;
mod view;

use clap::Parser;
use failure::{Failure, Outcome};
use session::Session;
use std::{process::ExitCode, time::Duration};

/// A delivery is some hundred small allocations, made on one thread and freed on another: the system's allocator took a quarter of
/// a worker's time with them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long blocking work may hold up the end of the process.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args::Cli { global, command } = args::Cli::parse();
    let session = Session::new(global);
    match run(&session, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            session.terminal.say_report(&failure.report());
            failure.exit().into()
        }
    }
}

fn run(session: &Session, command: args::Command) -> Outcome {
    // One provider, chosen on purpose: libraries that look for one find ring, and none other is compiled in.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|failure| Failure::failed("could not start the runtime").because(failure))?;
    let done = runtime.block_on(command::run(session, command));
    // A thread that waits for the standard input ends with the process, not before it.
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    done
}
