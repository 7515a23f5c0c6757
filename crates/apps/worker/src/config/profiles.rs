//! The profiles a configuration brings along, beside those built in.

use super::{
    fault::{ConfigFault, Place},
    read::unknown,
    tree::{Entry, Table, Value},
};
use ringback_domain::ProfileName;
use ringback_profile::{Profile, ProfileFault};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// All profiles at hand: those built in, and those of the configuration, which may replace one built in.
pub(super) type Profiles = BTreeMap<ProfileName, Arc<Profile>>;

/// Reads the tables under `[profiles]`.
pub(super) fn read_profiles(entries: Table, faults: &mut Vec<ConfigFault>) -> Profiles {
    let built_in = ringback_profile::builtin_names().filter_map(Profile::builtin);
    let mut profiles: Profiles = built_in
        .map(|profile| (profile.name().clone(), Arc::new(profile)))
        .collect();
    for (name, entry) in entries {
        let member = format!("profiles.{name}");
        match read_profile(&name, &member, entry) {
            Ok(profile) => {
                profiles.insert(profile.name().clone(), Arc::new(profile));
            }
            Err(found) => faults.extend(found),
        }
    }
    profiles
}

fn read_profile(name: &str, member: &str, entry: Entry) -> Result<Profile, Vec<ConfigFault>> {
    let fault = |place, problem| {
        vec![ConfigFault {
            place,
            member: member.to_owned(),
            problem,
            hint: None,
        }]
    };
    let name: ProfileName = name.parse().map_err(|refused: ringback_domain::IdError| {
        fault(entry.place.clone(), refused.to_string())
    })?;
    let Value::Table(mut table) = entry.value else {
        let problem = format!("{} stands where a table is expected", entry.value.kind());
        return Err(fault(entry.place, problem));
    };
    match table.remove("file") {
        Some(file) if table.is_empty() => read_file(name, member, file),
        Some(_) => {
            let beside = table.into_iter().map(|(key, entry)| ConfigFault {
                problem: "a profile is written here or in its file, not both".to_owned(),
                ..unknown(member, &key, entry, &["file"])
            });
            Err(beside.collect())
        }
        None => read_inline(name, member, &table, &entry.place),
    }
}

/// A profile in a file beside the one that names it.
fn read_file(name: ProfileName, member: &str, entry: Entry) -> Result<Profile, Vec<ConfigFault>> {
    let fault = |place, member: String, problem| ConfigFault {
        place,
        member,
        problem,
        hint: None,
    };
    let file_member = format!("{member}.file");
    let Value::Text(file) = &entry.value else {
        let problem = format!("{} stands where a text is expected", entry.value.kind());
        return Err(vec![fault(entry.place, file_member, problem)]);
    };
    let file: PathBuf = entry.place.directory().unwrap_or(Path::new("")).join(file);
    let text = std::fs::read_to_string(&file).map_err(|failure| {
        let problem = format!("could not read `{}`: {failure}", file.display());
        vec![fault(entry.place.clone(), file_member, problem)]
    })?;
    Profile::from_toml(name, &text).map_err(|found| {
        let in_file = |found: ProfileFault| {
            let place = Place::Line {
                file: file.clone(),
                line: found.line,
            };
            fault(place, found.member, found.problem)
        };
        found.into_iter().map(in_file).collect()
    })
}

/// A profile in the configuration itself. It is handed on as text of its own; faults are led back to their lines here.
fn read_inline(
    name: ProfileName,
    member: &str,
    table: &Table,
    place: &Place,
) -> Result<Profile, Vec<ConfigFault>> {
    let text = toml::to_string(&plain(table)).expect("a tree that was read can be written");
    Profile::from_toml(name, &text).map_err(|found| {
        let here = |found: ProfileFault| ConfigFault {
            place: place_of(table, &found.member).unwrap_or(place).clone(),
            member: match found.member.as_str() {
                "" => member.to_owned(),
                within => format!("{member}.{within}"),
            },
            problem: found.problem,
            hint: None,
        };
        found.into_iter().map(here).collect()
    })
}

/// Where a member such as `webhook.retry.delays[2]` was written, or what is nearest to it.
fn place_of<'a>(table: &'a Table, member: &str) -> Option<&'a Place> {
    let (key, rest) = member.split_once('.').unwrap_or((member, ""));
    let key = key.split_once('[').map_or(key, |(key, _)| key);
    let entry = table.get(key)?;
    let below = match &entry.value {
        Value::Table(table) => place_of(table, rest),
        _ => None,
    };
    Some(below.unwrap_or(&entry.place))
}

/// A table without its places.
fn plain(table: &Table) -> toml::Table {
    table
        .iter()
        .map(|(key, entry)| (key.clone(), plain_value(&entry.value)))
        .collect()
}

fn plain_value(value: &Value) -> toml::Value {
    match value {
        Value::Text(text) => toml::Value::String(text.clone()),
        Value::Integer(number) => toml::Value::Integer(*number),
        Value::Fraction(number) => toml::Value::Float(*number),
        Value::Boolean(yes) => toml::Value::Boolean(*yes),
        Value::List(list) => {
            toml::Value::Array(list.iter().map(|entry| plain_value(&entry.value)).collect())
        }
        Value::Table(table) => toml::Value::Table(plain(table)),
        Value::Other(kind) => toml::Value::String((*kind).to_owned()),
    }
}
