//! The functions a filter may call.
//!
//! Those of jq that compute, and a few of our own. What would read a clock, the environment or further input is not here,
//! and neither is what could run for ever.

use super::value::{Error, Map, Val, into_members};
use jaq_core::{
    DataT, RunPtr, ValR,
    load::{self, parse::Def},
    native::{Filter, Fun, bome, run, unary, v},
};
use jaq_std::ValT as _;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

/// Names and arities a filter may call, `$name` arguments counted; besides those it defines itself.
///
/// Every loop among them ends: it walks the parts of a value, or a range.
const CALLABLE: &[(&str, usize)] = &[
    // logic
    ("empty", 0),
    ("error", 0),
    ("error", 1),
    ("not", 0),
    ("true", 0),
    ("false", 0),
    ("null", 0),
    ("select", 1),
    ("all", 0),
    ("all", 1),
    ("all", 2),
    ("any", 0),
    ("any", 1),
    ("any", 2),
    ("isempty", 1),
    // kinds
    ("type", 0),
    ("values", 0),
    ("nulls", 0),
    ("booleans", 0),
    ("numbers", 0),
    ("strings", 0),
    ("arrays", 0),
    ("objects", 0),
    ("iterables", 0),
    ("scalars", 0),
    ("isboolean", 0),
    ("isnumber", 0),
    ("isstring", 0),
    ("isarray", 0),
    ("isobject", 0),
    // numbers
    ("abs", 0),
    ("floor", 0),
    ("round", 0),
    ("ceil", 0),
    ("range", 1),
    ("range", 2),
    ("range", 3),
    ("tonumber", 0),
    // strings
    ("tostring", 0),
    ("tojson", 0),
    ("ascii_downcase", 0),
    ("ascii_upcase", 0),
    ("startswith", 1),
    ("endswith", 1),
    ("ltrimstr", 1),
    ("rtrimstr", 1),
    ("trim", 0),
    ("ltrim", 0),
    ("rtrim", 0),
    ("split", 1),
    ("join", 1),
    ("explode", 0),
    ("implode", 0),
    ("utf8bytelength", 0),
    // arrays
    ("length", 0),
    ("first", 0),
    ("last", 0),
    ("first", 1),
    ("last", 1),
    ("nth", 1),
    ("nth", 2),
    ("limit", 2),
    ("skip", 2),
    ("map", 1),
    ("add", 0),
    ("add", 1),
    ("reverse", 0),
    ("sort", 0),
    ("sort_by", 1),
    ("group_by", 1),
    ("min", 0),
    ("max", 0),
    ("min_by", 1),
    ("max_by", 1),
    ("unique", 0),
    ("unique_by", 1),
    ("flatten", 0),
    ("contains_item", 1),
    // objects
    ("keys", 0),
    ("keys_unsorted", 0),
    ("has", 1),
    ("to_entries", 0),
    ("from_entries", 0),
    ("with_entries", 1),
    ("map_values", 1),
    ("del", 1),
    ("pick", 1),
    ("path", 1),
    ("getpath", 1),
    ("setpath", 2),
    ("delpaths", 1),
    ("paths", 0),
    // our own
    ("to_seconds", 0),
    ("to_milliseconds", 0),
    ("to_unix_seconds", 0),
    ("without_nulls", 0),
    ("message", 0),
];

/// Whether a filter may call it.
pub(super) fn is_callable(name: &str, arity: usize) -> bool {
    CALLABLE.contains(&(name, arity))
}

/// The definitions of the standard library that rest on functions which are here.
const STANDARD: &[&str] = &[
    "null",
    "isboolean",
    "isnumber",
    "isstring",
    "isarray",
    "isobject",
    "abs",
    "type",
    "values",
    "nulls",
    "booleans",
    "numbers",
    "strings",
    "arrays",
    "objects",
    "iterables",
    "scalars",
    "add",
    "min_by",
    "max_by",
    "min",
    "max",
    "unique_by",
    "unique",
    "pick",
    "keys",
];

/// Our own definitions.
const OWN: &str = r#"
def flatten: [recurse(arrays[]) | select(isarray | not)];
def split($separator): . / $separator;
def contains_item($item): any(.[]; . == $item);
def message:
  if isstring then .
  elif isobject and (.message | isstring) then .message
  elif . == null then "no reason given"
  else tojson end;
"#;

/// What filters find defined.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let own = load::parse(OWN, |parser| parser.defs()).expect("our own definitions parse");
    let standard = jaq_std::defs().filter(|def| STANDARD.contains(&def.name));
    jaq_core::defs().chain(standard).chain(own)
}

/// What those definitions, and filters, rest on.
pub(super) fn natives<D>() -> impl Iterator<Item = Fun<D>>
where
    D: for<'a> DataT<V<'a> = Val>,
{
    let standard = jaq_std::base_funs().filter(|(name, ..)| *name != "halt");
    jaq_core::funs().chain(standard).chain(own().map(run))
}

/// Our own functions without arguments that make one value of one; both evaluators know them.
macro_rules! own {
    ($(($name:literal, $function:expr)),+ $(,)?) => {
        fn own<D>() -> impl Iterator<Item = Filter<RunPtr<D>>>
        where
            D: for<'a> DataT<V<'a> = Val>,
        {
            let has: Filter<RunPtr<D>> = ("has", v(1), |cv| unary(cv, has));
            let of_one: [Filter<RunPtr<D>>; _] = [$(($name, v(0), |cv| bome($function(cv.1)))),+];
            of_one.into_iter().chain([has])
        }

        /// The function of this name, if it is one of these.
        pub(super) fn of_one_value(name: &str) -> Option<fn(Val) -> ValR<Val>> {
            Some(match name {
                $($name => $function,)+
                // Defined in the language for the interpreter, where it is a path, too.
                "message" => |value| Ok(message(value)),
                _ => return None,
            })
        }
    };
}

own![
    ("length", length),
    ("tojson", |value: Val| Ok(Val::from(value.to_json()))),
    ("tonumber", to_number),
    ("without_nulls", without_nulls),
    ("to_seconds", to_seconds),
    ("to_milliseconds", to_milliseconds),
    ("to_unix_seconds", to_unix_seconds),
];

/// The number of characters, items or members.
fn length(value: Val) -> ValR<Val> {
    match value {
        Val::Null => Ok(Val::from(0_usize)),
        Val::Str(text) => Ok(Val::from(text.to_text().chars().count())),
        Val::Arr(_) | Val::Obj(_) => Ok(Val::from(value.len())),
        Val::Num(_) | Val::Bool(_) => Err(Error::typ(value, "something with a length")),
    }
}

/// Whether an object has a member, be it null, or an array an item.
fn has(value: Val, key: Val) -> ValR<Val> {
    match (&value, &key) {
        (Val::Obj(object), Val::Str(name)) => Ok(Val::from(object.members().contains_key(name))),
        (Val::Arr(array), Val::Num(_)) => {
            let index = key.as_isize().and_then(|index| usize::try_from(index).ok());
            Ok(Val::from(
                index.is_some_and(|index| index < array.items().len()),
            ))
        }
        _ => Err(Error::index(value, key)),
    }
}

fn to_number(value: Val) -> ValR<Val> {
    match &value {
        Val::Num(_) => Ok(value),
        Val::Str(text) => {
            let text = text.to_text();
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => jaq_core::ValT::from_num(&text),
                _ => Err(Error::typ(value, "a number")),
            }
        }
        _ => Err(Error::typ(value, "a number")),
    }
}

/// An object without the members that are null: for receivers that look whether a member is there.
fn without_nulls(value: Val) -> ValR<Val> {
    match value {
        Val::Obj(object) => {
            let members = into_members(object).into_iter();
            Ok(Val::object(
                members
                    .filter(|(_, value)| *value != Val::Null)
                    .collect::<Map>(),
            ))
        }
        other => Err(Error::typ(other, "an object")),
    }
}

/// What went wrong, in words: jobs tell it as a text, as an object with a text, or not at all.
fn message(value: Val) -> Val {
    if let Val::Obj(_) = &value
        && let Some(text @ Val::Str(_)) = value.member("message")
    {
        return text;
    }
    match value {
        Val::Str(_) => value,
        Val::Null => Val::from("no reason given".to_owned()),
        other => Val::from(other.to_json()),
    }
}

/// Of what is no time, so much is told.
const SHOWN_CHARS_MAX: usize = 64;

/// A time of RFC 3339 in another form. What is null stays null, so that times which are not known yet need no care.
fn to_time(value: Val, form: impl Fn(Timestamp) -> Val) -> ValR<Val> {
    match &value {
        Val::Null => Ok(Val::Null),
        Val::Str(text) => {
            let text = text.to_text();
            text.parse().map(form).map_err(|_| {
                let found: String = text.chars().take(SHOWN_CHARS_MAX).collect();
                Error::str(format!(
                    "expected a time such as `2026-06-01T10:01:30.250Z`, found {found:?}"
                ))
            })
        }
        _ => Err(Error::typ(value, "a time")),
    }
}

/// `2026-06-01T10:01:30Z`: the second that a moment lies in.
fn to_seconds(value: Val) -> ValR<Val> {
    to_time(value, |at| Val::from(floored(at, Unit::Second).to_string()))
}

/// `2026-06-01T10:01:30.250Z`: the millisecond that a moment lies in, with all three digits.
fn to_milliseconds(value: Val) -> ValR<Val> {
    to_time(value, |at| {
        Val::from(format!("{:.3}", floored(at, Unit::Millisecond)))
    })
}

fn to_unix_seconds(value: Val) -> ValR<Val> {
    to_time(value, |at| {
        let seconds = floored(at, Unit::Second).as_second();
        Val::from(isize::try_from(seconds).unwrap_or_default())
    })
}

/// The beginning of the second or millisecond; never a moment that has not been yet.
fn floored(at: Timestamp, unit: Unit) -> Timestamp {
    let down = TimestampRound::new().smallest(unit).mode(RoundMode::Floor);
    at.round(down).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_callable_function_is_documented() {
        let page = include_str!("../../../../../docs/profiles.md");
        for (name, _) in CALLABLE {
            let is_named = page
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|word| word == *name);
            assert!(is_named, "{name}");
        }
    }
}
