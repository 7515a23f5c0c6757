//! What shells and manuals are told about the command line.

use crate::{
    args::Cli,
    failure::{Failure, Outcome},
    session::Session,
};
use clap::CommandFactory;
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
    let mut command = Cli::command();
    command.build();
    clap_mangen::generate_to(command, directory).map_err(could_not_write)?;
    session
        .terminal
        .say(&format!("manual pages are in {}", directory.display()));
    Ok(())
}
