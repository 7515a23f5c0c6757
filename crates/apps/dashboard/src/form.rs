//! What a form or an address sends: names and values, read without trust.

use ringback_api::problem::Fault;
use std::{fmt, str::FromStr};
use url::form_urlencoded;

/// Bytes of a form. The largest holds a webhook with all its headers.
pub(crate) const FORM_BYTES_MAX: usize = 64 * 1024;

/// The members of a form or of an address, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// What was written there, without the white space around it; nothing when that leaves nothing.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// All that were written there, where there may be several.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.trim())
    }

    /// As it was written, for a form that is shown again.
    pub(crate) fn written(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Whether the member was sent, be it empty.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Whether a box was checked.
    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        let mut all = self.0.iter();
        all.any(|(known, written)| known == name && written == value)
    }

    /// What was written there as something; a fault when it cannot be that.
    pub(crate) fn read<T: FromStr<Err: fmt::Display>>(
        &self,
        name: &str,
        faults: &mut Faults,
    ) -> Option<T> {
        match self.get(name)?.parse() {
            Ok(value) => Some(value),
            Err(fault) => {
                faults.add(name, fault.to_string());
                None
            }
        }
    }

    /// Lines that are not empty.
    pub(crate) fn lines(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.written(name).lines().map(str::trim);
        lines.filter(|line| !line.is_empty())
    }

    /// The same with one member changed or taken away: the address of another piece of a list.
    pub(crate) fn with(&self, name: &str, value: Option<&str>) -> String {
        let mut address = form_urlencoded::Serializer::new(String::new());
        let others = self
            .0
            .iter()
            .filter(|(known, value)| known != name && !value.is_empty());
        address.extend_pairs(others);
        if let Some(value) = value {
            address.append_pair(name, value);
        }
        format!("?{}", address.finish())
    }

    /// The address of a list with only these members of this one, when this one has others that are not empty.
    pub(crate) fn without_filters(&self, kept: &[&str]) -> Option<String> {
        let (kept, others) = self.clone().split(kept);
        let is_filter = |(name, value): &(String, String)| {
            !value.trim().is_empty() && !matches!(name.as_str(), "cursor" | "page")
        };
        let address = || match kept.0.as_slice() {
            [] => String::new(),
            _ => kept.with("", None),
        };
        others.0.iter().any(is_filter).then(address)
    }

    /// Those that are named, and the others.
    pub(crate) fn split(self, names: &[&str]) -> (Self, Self) {
        let members = self.0.into_iter();
        let (found, others) = members.partition(|(known, _)| names.contains(&known.as_str()));
        (Self(found), Self(others))
    }

    /// Sets a member that is not there.
    pub(crate) fn or(mut self, name: &str, value: impl Into<String>) -> Self {
        if !self.holds(name) {
            self.0.push((name.to_owned(), value.into()));
        }
        self
    }
}

/// What is wrong with the members of a form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, member: &str, problem: impl Into<String>) {
        self.0.push(Fault::new(member, problem));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of<'a>(&'a self, member: &'a str) -> impl Iterator<Item = &'a str> {
        let of_member = self.0.iter().filter(move |fault| {
            // A list's entries are named `events[0]`, an object's `headers.name`.
            let rest = fault.member.strip_prefix(member);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        of_member.map(|fault| fault.problem.as_str())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(faults: Vec<Fault>) -> Self {
        Self(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_and_an_address_is_made_of_it_again() {
        let fields = Fields::parse(b"state=dead_lettered&job=&q=a+%26+b&cursor=x");
        assert_eq!(fields.get("q"), Some("a & b"));
        assert_eq!(fields.get("job"), None);
        assert_eq!(
            fields.with("cursor", Some("y/z")),
            "?state=dead_lettered&q=a+%26+b&cursor=y%2Fz"
        );
        assert_eq!(
            fields.with("cursor", None),
            "?state=dead_lettered&q=a+%26+b"
        );
    }

    #[test]
    fn filters_are_taken_away_where_there_are_any() {
        let fields = Fields::parse(b"cause=c&job=task_1&state=&cursor=x");
        assert_eq!(
            fields.without_filters(&["cause"]).as_deref(),
            Some("?cause=c")
        );
        assert_eq!(fields.without_filters(&[]).as_deref(), Some(""));
        assert_eq!(fields.without_filters(&["cause", "job"]), None);
    }

    #[test]
    fn faults_of_entries_are_those_of_their_list() {
        let mut faults = Faults::default();
        faults.add("events[1]", "no");
        faults.add("eventsx", "other");
        assert_eq!(faults.of("events").collect::<Vec<_>>(), ["no"]);
    }
}
