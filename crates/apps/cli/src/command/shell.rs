//! What shells and manuals are told about the command line.

use crate::{
    args::Cli,
    failure::{Failure, Outcome},
    session::Session,
};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::path::Path;

pub(crate) fn completions(session: &Session, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ringback", &mut script);
    session.terminal.line(&String::from_utf8_lossy(&script))
}

pub(crate) fn man(session: &Session, directory: &Path) -> Outcome {
    let could_not_write = |failure| {
        Failure::failed(format!("could not write to `{}`", directory.display())).because(failure)
    };
    std::fs::create_dir_all(directory).map_err(could_not_write)?;
    let mut command = without_help(Cli::command());
    command.build();
    clap_mangen::generate_to(command, directory).map_err(could_not_write)?;
    session
        .terminal
        .say(&format!("manual pages are in {}", directory.display()));
    Ok(())
}

/// Each page is a help, and one of `help` for each of them says nothing more.
fn without_help(command: Command) -> Command {
    command
        .disable_help_subcommand(true)
        .mut_subcommands(without_help)
}
