//! `ringback profiles`: what platforms promise their receivers.

use crate::{
    args::ProfilesCommand,
    failure::{Failure, Outcome},
    session::Session,
    terminal::table,
    view::ListView,
};
use ringback_domain::ProfileName;
use ringback_profile::{DestinationKind, Profile, ProfileFault};
use ringback_worker::config::show_duration;
use serde::Serialize;
use std::path::Path;

pub(crate) fn run(session: &Session, command: ProfilesCommand) -> Outcome {
    match command {
        ProfilesCommand::List => list(session),
        ProfilesCommand::Show { name } => show(session, &name),
        ProfilesCommand::Check { file } => check(session, &file),
    }
}

#[derive(Serialize)]
struct ProfileView {
    name: String,
    description: Option<String>,
    /// Absent: any.
    event_types: Option<Vec<String>>,
    webhook: ContractView,
    callback: ContractView,
}

#[derive(Serialize)]
struct ContractView {
    signature_header: Option<String>,
    success: String,
    time_limit_ms: u64,
    retry_delays_ms: Vec<u64>,
    #[serde(skip)]
    schedule: String,
}

impl ProfileView {
    fn of(profile: &Profile) -> Self {
        Self {
            name: profile.name().to_string(),
            description: profile.description().map(str::to_owned),
            event_types: profile
                .event_types()
                .map(|types| types.iter().map(ToString::to_string).collect()),
            webhook: ContractView::of(profile, DestinationKind::Webhook),
            callback: ContractView::of(profile, DestinationKind::Callback),
        }
    }
}

impl ContractView {
    fn of(profile: &Profile, kind: DestinationKind) -> Self {
        let rules = profile.rules(kind);
        let delays = rules.retry.delays();
        let ms = |wait: &std::time::Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self {
            signature_header: profile
                .signature(kind)
                .map(|scheme| scheme.header().to_owned()),
            success: rules.success.to_string(),
            time_limit_ms: ms(&rules.time_limit),
            retry_delays_ms: delays.iter().map(ms).collect(),
            schedule: delays
                .iter()
                .map(|wait| show_duration(*wait))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }
}

fn list(session: &Session) -> Outcome {
    let config = session.config()?;
    let list = ListView::whole(
        config
            .profiles
            .values()
            .map(|profile| ProfileView::of(profile))
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
                    if contract.schedule.is_empty() {
                        "none".to_owned()
                    } else {
                        contract.schedule.clone()
                    },
                ]
            })
        });
        table(
            ["PROFILE", "FOR", "SIGNATURE", "SUCCESS", "RETRIES AFTER"],
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
