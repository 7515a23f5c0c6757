//! One member after the other, from the tree to its type. A faulty member is noted and the default stands in for it, so
//! that one reading finds every fault.

use super::{
    fault::{ConfigFault, Place},
    tree::{Entry, Table, Value},
    units::{parse_duration, parse_size, show_duration, show_size},
};
use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

/// What reads one member's value, or says what is wrong with it.
pub(super) trait Read<T>: Fn(&Value) -> Result<T, String> {}
impl<T, F: Fn(&Value) -> Result<T, String>> Read<T> for F {}

/// One table of the configuration, being emptied member by member.
pub(super) struct Section<'a> {
    /// Its name, or empty at the top.
    name: &'static str,
    table: Table,
    known: Vec<&'static str>,
    defaults: &'a Table,
    faults: &'a mut Vec<ConfigFault>,
}

impl<'a> Section<'a> {
    /// The whole configuration.
    pub(super) fn top(table: Table, defaults: &'a Table, faults: &'a mut Vec<ConfigFault>) -> Self {
        Self {
            name: "",
            table,
            known: Vec::new(),
            defaults,
            faults,
        }
    }

    /// Reads a member.
    pub(super) fn member<T>(&mut self, key: &'static str, read: impl Read<T>) -> T {
        self.known.push(key);
        let default = &self.defaults[key].value;
        let entry = self.table.remove(key);
        let found = match &entry {
            None => read(default),
            Some(entry) => read(&entry.value).or_else(|problem| {
                self.faults.push(ConfigFault {
                    place: entry.place.clone(),
                    member: member_name(self.name, key),
                    problem,
                    hint: None,
                });
                read(default)
            }),
        };
        found.expect("the built-in default is accepted; a test reads it")
    }

    /// Reads a member that names a file or a directory: one written in a file starts from that file's directory, one
    /// written elsewhere from where we are.
    pub(super) fn path<T: AsPath>(&mut self, key: &'static str, read: impl Read<T>) -> T {
        let place = self.table.get(key).map(|entry| entry.place.clone());
        let path = self.member(key, read);
        match place.as_ref().and_then(Place::directory) {
            Some(directory) => path.below(directory),
            None => path,
        }
    }

    /// A table within.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'_> {
        let Value::Table(defaults) = &self.defaults[name].value else {
            panic!("the built-in default has the table `{name}`")
        };
        Section {
            name,
            table: take_table(&mut self.table, &mut self.known, name, self.faults),
            known: Vec::new(),
            defaults,
            faults: self.faults,
        }
    }

    /// A table whose members the user names.
    pub(super) fn named_entries(&mut self, name: &'static str) -> Table {
        take_table(&mut self.table, &mut self.known, name, self.faults)
    }

    /// Every member that nobody asked for is a fault.
    pub(super) fn end(self) {
        for (key, entry) in self.table {
            self.faults
                .push(unknown(self.name, &key, entry, &self.known));
        }
    }
}

/// What a path member reads to.
pub(super) trait AsPath {
    fn below(self, directory: &Path) -> Self;
}

impl AsPath for PathBuf {
    fn below(self, directory: &Path) -> Self {
        directory.join(self)
    }
}

impl AsPath for Option<PathBuf> {
    fn below(self, directory: &Path) -> Self {
        self.map(|path| path.below(directory))
    }
}

fn take_table(
    table: &mut Table,
    known: &mut Vec<&'static str>,
    name: &'static str,
    faults: &mut Vec<ConfigFault>,
) -> Table {
    known.push(name);
    match table.remove(name) {
        None => Table::new(),
        Some(Entry {
            value: Value::Table(table),
            ..
        }) => table,
        Some(entry) => {
            faults.push(ConfigFault {
                place: entry.place,
                member: name.to_owned(),
                problem: format!("{} stands where a table is expected", entry.value.kind()),
                hint: Some(format!("write `[{name}]`")),
            });
            Table::new()
        }
    }
}

/// The fault of a member that does not exist, with the one that may have been meant.
pub(super) fn unknown(section: &str, key: &str, entry: Entry, known: &[&str]) -> ConfigFault {
    let nearest = known
        .iter()
        .map(|name| (distance(name, key), name))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    ConfigFault {
        hint: Some(match nearest {
            Some((_, name)) => format!("did you mean `{name}`?"),
            None => format!("known here: {}", known.join(", ")),
        }),
        place: entry.place,
        member: member_name(section, key),
        problem: "there is no such member".to_owned(),
    }
}

pub(super) fn member_name(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// How many letters to add, drop or change to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn expected(value: &Value, what: &str) -> String {
    format!("{} stands where {what} is expected", value.kind())
}

/// A whole number within the range.
pub(super) fn number<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Read<T> {
    move |value| {
        let number = match value {
            Value::Integer(number) => *number,
            Value::Text(text) => text
                .trim()
                .parse()
                .map_err(|_| format!("`{}` is not a whole number", shorten(text)))?,
            other => return Err(expected(other, "a whole number")),
        };
        let within = range.contains(&number).then_some(number);
        within
            .and_then(|number| number.try_into().ok())
            .ok_or_else(|| {
                format!(
                    "`{number}` is out of range; allowed: {} to {}",
                    range.start(),
                    range.end()
                )
            })
    }
}

/// `true` or `false`.
pub(super) fn yes_or_no(value: &Value) -> Result<bool, String> {
    match value {
        Value::Boolean(yes) => Ok(*yes),
        Value::Text(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("`{}` is neither true nor false", shorten(text))),
        other => Err(expected(other, "true or false")),
    }
}

/// A wait within the range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Read<Duration> {
    move |value| {
        let written = written(value, "a wait such as `30s`")?;
        let wait = parse_duration(&written).ok_or_else(|| {
            format!(
                "`{}` is not a wait; write `500ms`, `30s`, `5m`, `2h` or `1d`",
                shorten(&written)
            )
        })?;
        range.contains(&wait).then_some(wait).ok_or_else(|| {
            format!(
                "`{}` is out of range; allowed: {} to {}",
                show_duration(wait),
                show_duration(*range.start()),
                show_duration(*range.end())
            )
        })
    }
}

/// A size within the range.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Read<usize> {
    move |value| {
        let written = written(value, "a size such as `64KiB`")?;
        let bytes = parse_size(&written).ok_or_else(|| {
            format!(
                "`{}` is not a size; write `512B`, `64KiB` or `1MiB`",
                shorten(&written)
            )
        })?;
        let within = range.contains(&bytes).then_some(bytes);
        within
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| {
                format!(
                    "`{}` is out of range; allowed: {} to {}",
                    show_size(bytes),
                    show_size(*range.start()),
                    show_size(*range.end())
                )
            })
    }
}

/// The text of a unit-bearing value; a bare number is told what it lacks.
fn written(value: &Value, what: &str) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Integer(number) => Err(format!("`{number}` has no unit; write {what}")),
        other => Err(expected(other, what)),
    }
}

/// A text, read by the given function.
pub(super) fn text<T>(read: impl Fn(&str) -> Result<T, String>) -> impl Read<T> {
    move |value| match value {
        Value::Text(text) => read(text),
        other => Err(expected(other, "a text")),
    }
}

/// A text that may be empty, which means none.
pub(super) fn optional<T>(read: impl Fn(&str) -> Result<T, String>) -> impl Read<Option<T>> {
    text(move |text| match text.trim() {
        "" => Ok(None),
        text => read(text).map(Some),
    })
}

/// A list of texts, each read by the given function. In a variable, they are separated by commas.
pub(super) fn list<T>(read: impl Fn(&str) -> Result<T, String>) -> impl Read<Vec<T>> {
    move |value| {
        let read_entry = |entry: &Entry| match &entry.value {
            Value::Text(text) => read(text),
            other => Err(expected(other, "a text")),
        };
        let entries: Vec<_> = match value {
            Value::Text(texts) => texts
                .split([',', '\n'])
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(&read)
                .collect(),
            Value::List(entries) => entries.iter().map(read_entry).collect(),
            other => return Err(expected(other, "a list")),
        };
        let problems: Vec<&str> = entries
            .iter()
            .filter_map(|entry| entry.as_ref().err().map(String::as_str))
            .collect();
        if problems.is_empty() {
            entries.into_iter().collect()
        } else {
            Err(problems.join("; "))
        }
    }
}

/// What the reader typed, short and harmless.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}

impl Place {
    /// The directory that relative paths written here start from.
    pub(super) fn directory(&self) -> Option<&std::path::Path> {
        match self {
            Self::Line { file, .. } | Self::File(file) => file.parent(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        for (a, b, expected) in [
            ("", "", 0),
            ("concurrency", "concurency", 1),
            ("window", "windows", 1),
            ("abc", "xyz", 3),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
