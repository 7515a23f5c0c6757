//! The configuration as it was written: values with their places, the file over the built-in default, variables over both.

use super::fault::{ConfigFault, Place};
use std::{collections::BTreeMap, path::Path};
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

/// A value and where it was written. Has no `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) place: Place,
}

#[derive(Clone)]
pub(super) enum Value {
    /// A text; in a variable, whatever the member asks for.
    Text(String),
    Integer(i64),
    Fraction(f64),
    Boolean(bool),
    List(Vec<Entry>),
    Table(Table),
    /// Something no member takes: a date, a number beyond 64 bits.
    Other(&'static str),
}

pub(super) type Table = BTreeMap<String, Entry>;

impl Value {
    /// What it is, for the reader of a fault.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads TOML as far as it goes; what cannot be read is a fault.
pub(super) fn of_toml(text: &str, file: Option<&Path>, faults: &mut Vec<ConfigFault>) -> Table {
    let places = Places { text, file };
    let (table, errors) = DeTable::parse_recoverable(text);
    faults.extend(errors.iter().map(|error| ConfigFault {
        place: places.at(error.span().map_or(0, |span| span.start)),
        member: String::new(),
        problem: error.message().replace('\n', ", "),
        hint: None,
    }));
    places.table(table.get_ref())
}

struct Places<'a> {
    text: &'a str,
    file: Option<&'a Path>,
}

impl Places<'_> {
    fn at(&self, offset: usize) -> Place {
        let Some(file) = self.file else {
            return Place::BuiltIn;
        };
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = 1 + before.matches('\n').count();
        Place::Line {
            file: file.to_owned(),
            line,
        }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let place = self.at(key.span().start);
            let value = self.value(value.get_ref());
            (key.get_ref().to_string(), Entry { value, place })
        };
        table.iter().map(entry).collect()
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number beyond 64 bits"), Value::Integer),
            DeValue::Boolean(yes) => Value::Boolean(*yes),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or(Value::Other("a number beyond 64 bits"), Value::Fraction),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(list) => Value::List(
                list.iter()
                    .map(|entry| Entry {
                        value: self.value(entry.get_ref()),
                        place: self.at(entry.span().start),
                    })
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }
}

/// Lays one table over another: tables are merged, anything else is replaced.
pub(super) fn lay_over(lower: &mut Table, upper: Table) {
    for (key, entry) in upper {
        match (lower.get_mut(&key), entry) {
            (
                Some(Entry {
                    value: Value::Table(below),
                    place,
                }),
                Entry {
                    value: Value::Table(above),
                    place: above_place,
                },
            ) => {
                lay_over(below, above);
                *place = above_place;
            }
            (_, entry) => {
                lower.insert(key, entry);
            }
        }
    }
}

/// Puts a text at a path, making tables on the way. Whether there was room: a value that is no table is not entered.
pub(super) fn set(table: &mut Table, path: &[String], text: String, place: &Place) -> bool {
    let Some((key, rest)) = path.split_first() else {
        return false;
    };
    if rest.is_empty() {
        let value = Value::Text(text);
        let place = place.clone();
        table.insert(key.clone(), Entry { value, place });
        return true;
    }
    let below = table.entry(key.clone()).or_insert_with(|| Entry {
        value: Value::Table(Table::new()),
        place: place.clone(),
    });
    match &mut below.value {
        Value::Table(below) => set(below, rest, text, place),
        _ => false,
    }
}
