//! The commands, one module for each group.

mod bench;
mod breakers;
mod config;
mod dead;
mod deliveries;
mod demo;
mod doctor;
mod drill;
mod explain;
mod files;
mod keys;
mod listen;
mod profiles;
mod publish;
mod receiver_check;
mod replays;
mod serve;
mod shell;
mod topology;
mod webhooks;

use crate::{args::Command, failure::Outcome, session::Session};

pub(crate) async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(session, args).await,
        Command::Bench(args) => bench::run(session, args).await,
        Command::BenchPart { told } => bench::run_part(session, &told).await,
        Command::Drill(args) => drill::run(session, args).await,
        Command::DrillReceiver(args) => drill::receive(&args),
        Command::Serve(args) => serve::run(session, args).await,
        Command::Publish(args) => publish::run(session, args).await,
        Command::Listen(args) => listen::run(session, args).await,
        Command::Webhooks(command) => webhooks::run(session, command).await,
        Command::Deliveries(command) => deliveries::run(session, command).await,
        Command::Breakers(command) => breakers::run(session, command).await,
        Command::Dead(command) => dead::run(session, command).await,
        Command::Keys(command) => keys::run(session, command).await,
        Command::Replays(command) => replays::run(session, command).await,
        Command::Topology(command) => topology::run(session, command).await,
        Command::Profiles(command) => profiles::run(session, command),
        Command::Config(command) => config::run(session, command),
        Command::ExplainSignature(args) => explain::run(session, &args),
        Command::Doctor => doctor::run(session).await,
        Command::Completions { shell } => shell::completions(session, shell),
        Command::Man { directory } => shell::man(session, &directory),
    }
}

/// Who asks, for the record.
fn operator() -> String {
    let name = std::env::var("USER").ok().filter(|name| !name.is_empty());
    name.map_or_else(
        || "an operator".to_owned(),
        |name| ringback_domain::harmless_text(name.as_bytes()),
    )
}
