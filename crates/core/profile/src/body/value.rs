//! The values a filter works on. What it passes through keeps its number text, its spelling and its order.

use super::{
    fuel::{self, DEPTH_MAX, Exceeded},
    number::Num,
};
use indexmap::IndexMap;
use ringback_json::{Fault, Limits, Node, RawStr};
use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    rc::Rc,
};

pub(super) type Error = jaq_core::Error<Val>;
pub(super) type Map = IndexMap<Str, Val>;

/// A JSON value.
#[derive(Debug, Clone)]
pub(super) enum Val {
    Null,
    Bool(bool),
    Num(Num),
    Str(Str),
    Arr(Rc<Arr>),
    Obj(Rc<Obj>),
}

/// The items of an array.
#[derive(Debug, Clone)]
pub(super) struct Arr {
    pub(super) items: Vec<Val>,
    depth: usize,
}

/// The members of an object, in order.
#[derive(Debug, Clone)]
pub(super) struct Obj {
    pub(super) members: Map,
    depth: usize,
}

/// A string: what it means, and how it was spelled where that is not how we would spell it.
#[derive(Debug, Clone)]
pub(super) struct Str {
    /// UTF-8, with lone surrogates in the same manner.
    text: Rc<[u8]>,
    spelled: Option<Rc<str>>,
}

impl Val {
    /// Reads a text.
    pub(super) fn parse(bytes: &[u8], limits: Limits) -> Result<Self, Fault> {
        ringback_json::read(bytes, limits, |node, _| {
            Ok(match node {
                Node::Null => Self::Null,
                Node::Bool(value) => Self::Bool(value),
                Node::Number(text) => Self::Num(Num::Text(text.into())),
                Node::String(raw) => Self::Str(Str::read(raw)),
                Node::Array(items) => Self::array(items),
                Node::Object(members) => {
                    let members = members.into_iter();
                    Self::object(
                        members
                            .map(|(name, value)| (Str::read(name), value))
                            .collect(),
                    )
                }
            })
        })
    }

    pub(super) fn array(items: Vec<Self>) -> Self {
        let depth = depth_over(items.iter());
        if depth > DEPTH_MAX {
            // The interpreter takes no error here; the run fails at its next step.
            fuel::run_out(Exceeded::Depth);
            return Self::Null;
        }
        Self::Arr(Rc::new(Arr { items, depth }))
    }

    pub(super) fn object(members: Map) -> Self {
        let depth = depth_over(members.values());
        if depth > DEPTH_MAX {
            fuel::run_out(Exceeded::Depth);
            return Self::Null;
        }
        Self::Obj(Rc::new(Obj { members, depth }))
    }

    /// How deep it is nested; a value that holds no others has depth 0.
    fn depth(&self) -> usize {
        match self {
            Self::Arr(array) => array.depth,
            Self::Obj(object) => object.depth,
            _ => 0,
        }
    }

    /// Its place in the order of kinds, which is that of jq.
    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Num(_) => 2,
            Self::Str(_) => 3,
            Self::Arr(_) => 4,
            Self::Obj(_) => 5,
        }
    }
}

fn depth_over<'a>(values: impl Iterator<Item = &'a Val>) -> usize {
    1 + values.map(Val::depth).max().unwrap_or(0)
}

/// The items, without copying them where nobody else holds them.
pub(super) fn into_items(array: Rc<Arr>) -> Vec<Val> {
    Rc::unwrap_or_clone(array).items
}

/// The members, without copying them where nobody else holds them.
pub(super) fn into_members(object: Rc<Obj>) -> Map {
    Rc::unwrap_or_clone(object).members
}

impl Str {
    fn read(raw: RawStr<'_>) -> Self {
        let spelled = raw.as_spelled();
        Self {
            text: Rc::from(raw.identity().as_ref()),
            spelled: spelled.contains('\\').then(|| spelled.into()),
        }
    }

    pub(super) fn from_bytes(text: &[u8]) -> Self {
        Self {
            text: text.into(),
            spelled: None,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// The text, with what is no text replaced.
    pub(super) fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Writes it between quotation marks.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(spelled) = &self.spelled {
            out.push(b'"');
            out.extend_from_slice(spelled.as_bytes());
            out.push(b'"');
        } else if let Ok(text) = std::str::from_utf8(&self.text) {
            ringback_json::write_string(out, text);
        } else {
            // A filter took apart a string that held half of a surrogate pair.
            ringback_json::write_string(out, &self.to_text());
        }
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Str {}

impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Str {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Val {}

impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Val {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Num(a), Self::Num(b)) => a.cmp(b),
            (Self::Str(a), Self::Str(b)) => a.cmp(b),
            (Self::Arr(a), Self::Arr(b)) => a.items.cmp(&b.items),
            (Self::Obj(a), Self::Obj(b)) => {
                let (a, b) = (sorted(&a.members), sorted(&b.members));
                let names = a
                    .iter()
                    .map(|(name, _)| name)
                    .cmp(b.iter().map(|(name, _)| name));
                names.then_with(|| {
                    a.iter()
                        .map(|(_, value)| value)
                        .cmp(b.iter().map(|(_, value)| value))
                })
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn sorted(members: &Map) -> Vec<(&Str, &Val)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    sorted
}

/// Only what kind of value it is: this is how values appear in messages, and data has no place there.
impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Num(_) => "a number",
            Self::Str(_) => "a string",
            Self::Arr(_) => "an array",
            Self::Obj(_) => "an object",
        })
    }
}

/// Why a value cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteFault {
    /// It is longer than allowed.
    TooLong,
    /// JSON has no such number.
    NotFinite,
}

/// Writes a value without white space, as long as it fits.
pub(super) fn write(value: &Val, out: &mut Vec<u8>, bytes_max: usize) -> Result<(), WriteFault> {
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(number) => number.write(out).ok_or(WriteFault::NotFinite)?,
        Val::Str(text) => text.write(out),
        Val::Arr(array) => {
            let mut before = b'[';
            for item in &array.items {
                out.push(before);
                write(item, out, bytes_max)?;
                before = b',';
            }
            out.extend_from_slice(if array.items.is_empty() { b"[]" } else { b"]" });
        }
        Val::Obj(object) => {
            let mut before = b'{';
            for (name, value) in &object.members {
                out.push(before);
                name.write(out);
                out.push(b':');
                write(value, out, bytes_max)?;
                before = b',';
            }
            out.extend_from_slice(if object.members.is_empty() {
                b"{}"
            } else {
                b"}"
            });
        }
    }
    if out.len() > bytes_max {
        return Err(WriteFault::TooLong);
    }
    Ok(())
}
