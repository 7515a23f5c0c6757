//! The profiles a configuration brings along, and those built in.

use super::{
    fault::{ConfigFault, Place},
    read::unknown,
    tree::{Entry, Table, Value},
};
use ringback_domain::ProfileName;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The profiles that are there: those built in, and those of the configuration, which may replace one built in.
#[derive(Debug, Clone, Default)]
pub struct Profiles(BTreeMap<ProfileName, String>);

/// The names built in.
const BUILT_IN: [&str; 6] = [
    "github",
    "hinto",
    "hooked",
    "modelhunter",
    "standard",
    "videopilot",
];

impl Profiles {
    /// Whether there is one of this name.
    pub fn is_known(&self, name: &ProfileName) -> bool {
        self.0.contains_key(name) || BUILT_IN.contains(&name.as_str())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = String> {
        BUILT_IN
            .iter()
            .map(|name| (*name).to_owned())
            .chain(self.0.keys().map(ToString::to_string))
    }
}

/// Reads the tables under `[profiles]`.
pub(super) fn read_profiles(entries: Table, faults: &mut Vec<ConfigFault>) -> Profiles {
    let mut profiles = BTreeMap::new();
    for (name, entry) in entries {
        let member = format!("profiles.{name}");
        let name = match name.parse::<ProfileName>() {
            Ok(name) => name,
            Err(refused) => {
                faults.push(fault(entry.place, member, refused.to_string()));
                continue;
            }
        };
        let Value::Table(mut table) = entry.value else {
            let problem = format!("{} stands where a table is expected", entry.value.kind());
            faults.push(fault(entry.place, member, problem));
            continue;
        };
        let text = match table.remove("file") {
            Some(file) => {
                for (key, entry) in table {
                    let mut beside = unknown("", &key, entry, &["file"]);
                    beside.member = format!("{member}.{key}");
                    "a profile is written here or in its file, not both"
                        .clone_into(&mut beside.problem);
                    faults.push(beside);
                }
                read_file(file, &member, faults)
            }
            None => {
                Some(toml::to_string(&plain(table)).expect("a tree that was read can be written"))
            }
        };
        if let Some(text) = text {
            profiles.insert(name, text);
        }
    }
    Profiles(profiles)
}

fn fault(place: Place, member: String, problem: String) -> ConfigFault {
    ConfigFault {
        place,
        member,
        problem,
        hint: None,
    }
}

/// The text of a profile's file, found beside the file that names it.
fn read_file(entry: Entry, member: &str, faults: &mut Vec<ConfigFault>) -> Option<String> {
    let member = format!("{member}.file");
    let Value::Text(file) = &entry.value else {
        faults.push(fault(
            entry.place,
            member,
            format!("{} stands where a text is expected", entry.value.kind()),
        ));
        return None;
    };
    let file: PathBuf = entry.place.directory().unwrap_or(Path::new("")).join(file);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(failure) => {
            faults.push(fault(
                entry.place,
                member,
                format!("could not read `{}`: {failure}", file.display()),
            ));
            None
        }
    }
}

/// A table without its places.
fn plain(table: Table) -> toml::Table {
    let value = |entry: Entry| plain_value(entry.value);
    table
        .into_iter()
        .map(|(key, entry)| (key, value(entry)))
        .collect()
}

fn plain_value(value: Value) -> toml::Value {
    match value {
        Value::Text(text) => toml::Value::String(text),
        Value::Integer(number) => toml::Value::Integer(number),
        Value::Fraction(number) => toml::Value::Float(number),
        Value::Boolean(yes) => toml::Value::Boolean(yes),
        Value::List(list) => toml::Value::Array(
            list.into_iter()
                .map(|entry| plain_value(entry.value))
                .collect(),
        ),
        Value::Table(table) => toml::Value::Table(plain(table)),
        Value::Other(text) => toml::Value::String(text.to_owned()),
    }
}
