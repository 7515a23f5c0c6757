//! A TOML text with places: members that can be asked for by kind, and the faults found while asking.

use crate::ProfileFault;
use std::{fmt::Display, ops::Range, str::FromStr, time::Duration};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The text, and what is wrong with it so far.
pub(super) struct Source<'t> {
    text: &'t str,
    faults: Vec<ProfileFault>,
}

/// A table of the text.
#[derive(Clone)]
pub(super) struct Section<'t> {
    /// Empty for the text itself.
    path: String,
    span: Range<usize>,
    table: &'t DeTable<'t>,
}

/// A member of a table.
pub(super) struct Member<'t> {
    pub(super) path: String,
    pub(super) span: Range<usize>,
    value: &'t DeValue<'t>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            faults: Vec::new(),
        }
    }

    /// Notes a fault at a byte of the text.
    pub(super) fn fault_at(&mut self, offset: usize, member: &str, problem: impl Display) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = 1 + before.matches('\n').count();
        self.faults.push(ProfileFault {
            line,
            member: member.to_owned(),
            problem: problem.to_string(),
        });
    }

    /// Notes a fault at a byte of a text that is a member's value.
    pub(super) fn fault_in_text(
        &mut self,
        member: &Member<'_>,
        text: &str,
        offset: usize,
        problem: impl Display,
    ) {
        // The value of a text over several lines begins behind three quotation marks and the line break that follows them.
        let literal = &self.text[member.span.clone()];
        let is_long = literal.starts_with("'''") || literal.starts_with("\"\"\"");
        let opening = match literal.get(3..) {
            Some(after) if is_long && after.starts_with("\r\n") => 5,
            Some(after) if is_long && after.starts_with('\n') => 4,
            _ => 0,
        };
        let lines_before = text[..offset].matches('\n').count();
        let from = member.span.start + opening;
        let line_starts = self.text[from..]
            .match_indices('\n')
            .map(|(at, _)| from + at + 1);
        let at = std::iter::once(from)
            .chain(line_starts)
            .nth(lines_before)
            .unwrap_or(from);
        self.fault_at(at, &member.path, problem);
    }

    /// All faults, in the order of lines. What both contracts share is read twice, so the same fault may come twice.
    pub(super) fn into_faults(mut self) -> Vec<ProfileFault> {
        self.faults.sort();
        self.faults.dedup();
        self.faults
    }
}

impl<'t> Section<'t> {
    pub(super) fn top(table: &'t Spanned<DeTable<'t>>) -> Self {
        Self {
            path: String::new(),
            span: table.span(),
            table: table.get_ref(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Member<'t>> {
        self.table.get(name).map(|value| Member {
            path: self.path_of(name),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    /// All members, in the order of the text, with where their names stand.
    pub(super) fn members(&self) -> Vec<(&'t str, usize, Member<'t>)> {
        let members = self.table.iter().map(|(name, value)| {
            let member = Member {
                path: self.path_of(name.get_ref()),
                span: value.span(),
                value: value.get_ref(),
            };
            (name.get_ref().as_ref(), name.span().start, member)
        });
        let mut members: Vec<_> = members.collect();
        members.sort_by_key(|(_, start, _)| *start);
        members
    }

    /// Refuses members of any other name.
    pub(super) fn expect_only(&self, source: &mut Source<'_>, known: &[&str]) {
        for (name, start, member) in self.members() {
            if !known.contains(&name) {
                let known = known.join("`, `");
                source.fault_at(
                    start,
                    &member.path,
                    format!("there is no such member; known here: `{known}`"),
                );
            }
        }
    }

    /// The member, or a fault that says what to write.
    pub(super) fn required(
        &self,
        source: &mut Source<'_>,
        name: &str,
        hint: &str,
    ) -> Option<Member<'t>> {
        let member = self.get(name);
        if member.is_none() {
            source.fault_at(
                self.span.start,
                &self.path_of(name),
                format!("is missing; {hint}"),
            );
        }
        member
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = if !name.is_empty() && name.chars().all(is_plain) {
            name.to_owned()
        } else {
            format!("{name:?}")
        };
        if self.path.is_empty() {
            name
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

impl<'t> Member<'t> {
    /// Notes a fault of this member.
    pub(super) fn fault(&self, source: &mut Source<'_>, problem: impl Display) {
        source.fault_at(self.span.start, &self.path, problem);
    }

    fn expected<T>(&self, source: &mut Source<'_>, what: &str) -> Option<T> {
        self.fault(
            source,
            format!("expected {what}, found {}", describe(self.value)),
        );
        None
    }

    pub(super) fn text(&self, source: &mut Source<'_>) -> Option<&'t str> {
        match self.value {
            DeValue::String(text) => Some(text),
            _ => self.expected(source, "a text"),
        }
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        self.value.as_str() == Some(text)
    }

    pub(super) fn flag(&self, source: &mut Source<'_>) -> Option<bool> {
        match self.value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => self.expected(source, "`true` or `false`"),
        }
    }

    pub(super) fn number(&self, source: &mut Source<'_>) -> Option<f64> {
        let number = match self.value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        match number.filter(|number: &f64| number.is_finite()) {
            Some(number) => Some(number),
            None => self.expected(source, "a number"),
        }
    }

    /// A text that means something: what it is not is told in the words of its own kind.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, source: &mut Source<'_>) -> Option<T> {
        match self.text(source)?.parse() {
            Ok(value) => Some(value),
            Err(refused) => {
                self.fault(source, refused);
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, source: &mut Source<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(source)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.fault(
                source,
                format!("`{text}` is not known; write {}", words.join(" or ")),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A duration such as `30s`, `5m`, `1h 30m` or `7d`.
    pub(super) fn duration(&self, source: &mut Source<'_>) -> Option<Duration> {
        let text = self.text(source)?;
        let span = text.parse::<jiff::Span>().ok();
        let duration = span
            .and_then(|span| {
                span.to_duration(jiff::SpanRelativeTo::days_are_24_hours())
                    .ok()
            })
            .and_then(|duration| Duration::try_from(duration).ok());
        if duration.is_none() {
            self.fault(
                source,
                format!("`{text}` is no duration; write `30s`, `5m`, `1h 30m` or `7d`"),
            );
        }
        duration
    }

    /// The items of a list.
    pub(super) fn items(&self, source: &mut Source<'_>) -> Option<Vec<Member<'t>>> {
        let DeValue::Array(items) = self.value else {
            return self.expected(source, "a list");
        };
        let items = items.iter().enumerate().map(|(index, item)| Member {
            path: format!("{}[{index}]", self.path),
            span: item.span(),
            value: item.get_ref(),
        });
        Some(items.collect())
    }

    pub(super) fn section(&self, source: &mut Source<'_>) -> Option<Section<'t>> {
        match self.value {
            DeValue::Table(table) => Some(Section {
                path: self.path.clone(),
                span: self.span.clone(),
                table,
            }),
            _ => self.expected(source, "a table"),
        }
    }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.len() <= 40 => format!("the text `{}`", text.escape_debug()),
        DeValue::String(_) => "a text".into(),
        DeValue::Integer(number) => format!("the number `{}`", number.as_str()),
        DeValue::Float(number) => format!("the number `{}`", number.as_str()),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
