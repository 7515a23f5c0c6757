//! `ringback profiles`: what platforms promise their receivers.

use crate::{
    args::ProfilesCommand,
    failure::{Failure, Outcome},
    session::Session,
    terminal::{cut, table, whole},
    view::{ContractView, ListView, ProfileView},
};
use ringback_domain::ProfileName;
use ringback_profile::{Profile, ProfileFault};
use ringback_worker::config::show_duration;
use serde::Serialize;
use std::{path::Path, time::Duration};

pub(crate) fn run(session: &Session, command: ProfilesCommand) -> Outcome {
    match command {
        ProfilesCommand::List => list(session),
        ProfilesCommand::Show { name } => show(session, &name),
        ProfilesCommand::Check { file } => check(session, &file),
    }
}

fn schedule(contract: &ContractView) -> String {
    let waits = contract.retry_delays_ms.iter();
    let waits: Vec<_> = waits
        .map(|ms| show_duration(Duration::from_millis(*ms)))
        .collect();
    if waits.is_empty() {
        "none".to_owned()
    } else {
        waits.join(" ")
    }
}

fn list(session: &Session) -> Outcome {
    let config = session.config()?;
    let list = ListView::whole(
        config
            .profiles
            .values()
            .map(|profile| ProfileView::from(&**profile))
            .collect(),
    );
    session.terminal.data(&list, |list| {
        let rows = list.data.iter().flat_map(|profile| {
            [
                ("webhook", &profile.webhook),
                ("callback", &profile.callback),
            ]
            .map(|(kind, contract)| {
                [
                    profile.name.clone(),
                    kind.to_owned(),
                    contract
                        .signature_header
                        .clone()
                        .unwrap_or_else(|| "unsigned".to_owned()),
                    contract.success.clone(),
                    schedule(contract),
                ]
            })
        });
        table(
            [
                whole("PROFILE"),
                whole("FOR"),
                cut("SIGNATURE", 16),
                whole("SUCCESS").or_left_out(1),
                cut("RETRIES AFTER", 13),
            ],
            rows,
        )
    })
}

#[derive(Serialize)]
struct SourceView<'a> {
    name: &'a str,
    toml: &'a str,
}

fn show(session: &Session, name: &ProfileName) -> Outcome {
    let config = session.config()?;
    let profile = config.profiles.get(name).ok_or_else(|| {
        Failure::not_found(format!("there is no profile `{name}`"))
            .hint("`ringback profiles list` shows all")
    })?;
    let source = SourceView {
        name: name.as_str(),
        toml: profile.source(),
    };
    session
        .terminal
        .data(&source, |source| source.toml.to_owned())
}

#[derive(Serialize)]
struct Checked {
    file: String,
    faults: Vec<FaultView>,
}

#[derive(Serialize)]
struct FaultView {
    line: usize,
    member: String,
    problem: String,
}

fn check(session: &Session, file: &Path) -> Outcome {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|failure| Failure::usage(format!("could not read `{shown}`")).because(failure))?;
    let name = "checked".parse().expect("a name");
    let faults = Profile::from_toml(name, &text).err().unwrap_or_default();
    let view = |fault: &ProfileFault| FaultView {
        line: fault.line,
        member: fault.member.clone(),
        problem: fault.problem.clone(),
    };
    let checked = Checked {
        file: shown.to_string(),
        faults: faults.iter().map(view).collect(),
    };
    session
        .terminal
        .data(&checked, |checked| match checked.faults.as_slice() {
            [] => format!("{shown}: no fault"),
            faults => {
                let line = |fault: &FaultView| match fault.member.as_str() {
                    "" => format!("{shown}:{}: {}", fault.line, fault.problem),
                    member => format!("{shown}:{}: {member}: {}", fault.line, fault.problem),
                };
                faults.iter().map(line).collect::<Vec<_>>().join("\n")
            }
        })?;
    match faults.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("the profile has a fault")),
        many => Err(Failure::failed(format!("the profile has {many} faults"))),
    }
}
