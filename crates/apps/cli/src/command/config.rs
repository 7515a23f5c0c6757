//! `ringback config`: the default, a check, a key.

use crate::{
    args::ConfigCommand,
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use ringback_signing::KeyRing;
use ringback_worker::config::{ConfigFault, DEFAULT_TOML, Place};
use secrecy::ExposeSecret;
use serde::Serialize;

pub(crate) fn run(session: &Session, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Default if session.terminal.is_json() => Err(Failure::usage(
            "the default is TOML with its comments, and nothing else",
        )
        .hint("leave `--output json` out")),
        ConfigCommand::Default => session.terminal.line(DEFAULT_TOML),
        ConfigCommand::Check => check(session),
        ConfigCommand::NewKey { id } => new_key(session, &id),
    }
}

/// What a check found.
#[derive(Serialize)]
struct Checked {
    file: Option<String>,
    faults: Vec<FaultView>,
}

/// A fault, for machines.
#[derive(Serialize)]
pub(crate) struct FaultView {
    place: String,
    line: Option<usize>,
    member: String,
    problem: String,
    hint: Option<String>,
}

impl From<&ConfigFault> for FaultView {
    fn from(fault: &ConfigFault) -> Self {
        let (place, line) = match &fault.place {
            Place::Line { file, line } => (file.display().to_string(), Some(*line)),
            other => (other.to_string(), None),
        };
        Self {
            place,
            line,
            member: fault.member.clone(),
            problem: fault.problem.clone(),
            hint: fault.hint.clone(),
        }
    }
}

fn check(session: &Session) -> Outcome {
    let (file, faults) = match session.try_config(&[]) {
        Ok(config) => (config.file, Vec::new()),
        Err(error) => (error.file, error.faults),
    };
    let checked = Checked {
        file: file.map(|file| file.display().to_string()),
        faults: faults.iter().map(FaultView::from).collect(),
    };
    session
        .terminal
        .data(&checked, |checked| match &checked.file {
            _ if !faults.is_empty() => {
                let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
                lines.join("\n")
            }
            Some(file) => format!("{file}: no fault"),
            None => "no file, the default applies: no fault".to_owned(),
        })?;
    match faults.len() {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "the configuration has a fault")),
        many => Err(Failure::new(
            Exit::Failed,
            format!("the configuration has {many} faults"),
        )),
    }
}

#[derive(Serialize)]
struct NewKey {
    key: String,
}

/// The key goes to the standard output, and nowhere else.
fn new_key(session: &Session, id: &str) -> Outcome {
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|failure| Failure::failed("could not draw random bytes").because(failure))?;
    let key = KeyRing::new_key(id, &random);
    KeyRing::try_new(std::slice::from_ref(&key))
        .map_err(|refused| Failure::usage(refused.to_string()))?;
    let key = NewKey {
        key: key.expose_secret().to_owned(),
    };
    session.terminal.data(&key, |key| key.key.clone())
}
