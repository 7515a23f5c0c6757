//! The values a filter works on. What it passes through keeps its number text, its spelling and its order.

use super::{
    fuel::{self, DEPTH_MAX, Exceeded, VALUES_MAX},
    number::Num,
};
use bytes::Bytes;
use indexmap::IndexMap;
use ringback_json::{DEPTH_SUPPORTED, Fault, Limits, Node, RawStr};
use std::{
    borrow::Borrow,
    cell::OnceCell,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
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

/// An array.
pub(super) type Arr = Held<Vec<Val>>;
/// An object, its members in order.
pub(super) type Obj = Held<Map>;

/// What an array or object holds. Most of an event only passes through a filter: what is not looked into stays text.
#[derive(Debug, Clone)]
pub(super) struct Held<T> {
    values: OnceCell<T>,
    text: Option<Text>,
    size: Size,
}

/// How large a value is; one that holds no others is 0 deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    depth: usize,
    /// It and all in it.
    values: usize,
}

/// A part of the event's text.
#[derive(Debug, Clone)]
struct Text {
    bytes: Bytes,
    has_space: bool,
}

/// A string: what it means, and how it was spelled where that is not how we would spell it.
#[derive(Debug, Clone)]
pub(super) struct Str {
    /// UTF-8, with lone surrogates in the same manner.
    text: Rc<[u8]>,
    spelled: Option<Rc<str>>,
}

impl Val {
    /// Reads a text, of which arrays and objects in its outermost one are only checked.
    pub(super) fn parse(text: &Bytes, limits: Limits) -> Result<Self, Fault> {
        // The array or object that ends last is the outermost one.
        let mut outermost = None;
        let whole = ringback_json::read(text, limits, |node, at| {
            let part = Part::of(&node, at);
            if let Node::Array(_) | Node::Object(_) = node {
                outermost = Some(node);
            }
            Ok(part)
        })?;
        Ok(match outermost {
            Some(Node::Array(items)) => {
                Self::array(items.into_iter().map(|item| item.value(text)).collect())
            }
            Some(Node::Object(members)) => {
                let members = members.into_iter();
                Self::object(
                    members
                        .map(|(name, member)| (Str::read(name), member.value(text)))
                        .collect(),
                )
            }
            _ => whole.value(text),
        })
    }

    /// Reads a text and all in it.
    pub(super) fn read(text: &[u8]) -> Result<Self, Fault> {
        let limits = Limits {
            bytes_max: usize::MAX,
            depth_max: DEPTH_SUPPORTED,
        };
        ringback_json::read(text, limits, |node, _| {
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
        match Size::over(items.iter().map(Self::size)).within_limits() {
            Some(size) => Self::Arr(Rc::new(Held::of(items, size))),
            None => Self::Null,
        }
    }

    pub(super) fn object(members: Map) -> Self {
        match Size::over(members.values().map(Self::size)).within_limits() {
            Some(size) => Self::Obj(Rc::new(Held::of(members, size))),
            None => Self::Null,
        }
    }

    fn size(&self) -> Size {
        match self {
            Self::Arr(array) => array.size,
            Self::Obj(object) => object.size,
            _ => Size::ONE,
        }
    }

    /// How deep it is nested; a value that holds no others has depth 0.
    pub(super) fn depth(&self) -> usize {
        self.size().depth
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

impl Size {
    const ONE: Self = Self {
        depth: 0,
        values: 1,
    };

    /// Of what holds values of these sizes.
    fn over(inner: impl Iterator<Item = Self>) -> Self {
        let empty = Self {
            depth: 1,
            ..Self::ONE
        };
        inner.fold(empty, |whole, part| Self {
            depth: whole.depth.max(1 + part.depth),
            values: whole.values.saturating_add(part.values),
        })
    }

    /// The interpreter takes no error here; the run fails at its next step.
    fn within_limits(self) -> Option<Self> {
        let exceeded = if self.depth > DEPTH_MAX {
            Exceeded::Depth
        } else if self.values > VALUES_MAX {
            Exceeded::Values
        } else {
            return Some(self);
        };
        fuel::run_out(exceeded);
        None
    }
}

impl<T> Held<T> {
    fn of(values: T, size: Size) -> Self {
        Self {
            values: values.into(),
            text: None,
            size,
        }
    }

    fn unread(text: Text, size: Size) -> Rc<Self> {
        Rc::new(Self {
            values: OnceCell::new(),
            text: Some(text),
            size,
        })
    }

    /// Reads what is still text.
    fn values(&self, of: impl Fn(Val) -> Option<T>) -> &T {
        self.values.get_or_init(|| {
            let value = self.text.as_ref().map(|text| Val::read(&text.bytes));
            let value = value.expect("there are values or a text");
            of(value.expect("it was checked")).expect("it is what it begins with")
        })
    }
}

impl Arr {
    pub(super) fn items(&self) -> &Vec<Val> {
        self.values(|value| match value {
            Val::Arr(array) => Some(into_items(array)),
            _ => None,
        })
    }
}

impl Obj {
    pub(super) fn members(&self) -> &Map {
        self.values(|value| match value {
            Val::Obj(object) => Some(into_members(object)),
            _ => None,
        })
    }
}

/// The items, without copying them where nobody else holds them.
pub(super) fn into_items(array: Rc<Arr>) -> Vec<Val> {
    array.items();
    into_values(array)
}

/// The members, without copying them where nobody else holds them.
pub(super) fn into_members(object: Rc<Obj>) -> Map {
    object.members();
    into_values(object)
}

/// They are read before, so that whoever else holds them need not read them again.
fn into_values<T: Clone>(held: Rc<Held<T>>) -> T {
    let values = Rc::unwrap_or_clone(held).values.into_inner();
    values.expect("they were read a moment ago")
}

/// A value in a text, as long as nobody asks for more.
struct Part<'t> {
    kind: Kind<'t>,
    at: Range<usize>,
    /// How many bytes it takes without white space.
    bytes: usize,
    size: Size,
}

enum Kind<'t> {
    Null,
    Bool(bool),
    Number(&'t str),
    String(RawStr<'t>),
    Array,
    Object,
}

impl<'t> Part<'t> {
    fn of(node: &Node<'t, Self>, at: Range<usize>) -> Self {
        // The brackets, and what separates.
        let around = |count: usize| 2 + count.saturating_sub(1);
        let (kind, bytes, size) = match node {
            Node::Null => (Kind::Null, at.len(), Size::ONE),
            Node::Bool(value) => (Kind::Bool(*value), at.len(), Size::ONE),
            Node::Number(text) => (Kind::Number(text), at.len(), Size::ONE),
            Node::String(raw) => (Kind::String(*raw), at.len(), Size::ONE),
            Node::Array(items) => {
                let inside: usize = items.iter().map(|item| item.bytes).sum();
                let size = Size::over(items.iter().map(|item| item.size));
                (Kind::Array, around(items.len()) + inside, size)
            }
            Node::Object(members) => {
                let each = members
                    .iter()
                    .map(|(name, value)| name.as_spelled().len() + r#""":"#.len() + value.bytes);
                let inside: usize = each.sum();
                let size = Size::over(members.iter().map(|(_, value)| value.size));
                (Kind::Object, around(members.len()) + inside, size)
            }
        };
        Self {
            kind,
            at,
            bytes,
            size,
        }
    }

    fn value(self, text: &Bytes) -> Val {
        let size = self.size;
        let unread = || Text {
            has_space: self.bytes != self.at.len(),
            bytes: text.slice(self.at),
        };
        match self.kind {
            Kind::Null => Val::Null,
            Kind::Bool(value) => Val::Bool(value),
            Kind::Number(text) => Val::Num(Num::Text(text.into())),
            Kind::String(raw) => Val::Str(Str::read(raw)),
            Kind::Array => Val::Arr(Held::unread(unread(), size)),
            Kind::Object => Val::Obj(Held::unread(unread(), size)),
        }
    }
}

impl Text {
    /// Writes it without white space.
    fn write(&self, out: &mut Vec<u8>) {
        if !self.has_space {
            out.extend_from_slice(&self.bytes);
            return;
        }
        let (mut in_string, mut is_escaped) = (false, false);
        out.extend(self.bytes.iter().filter(|byte| {
            let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            let is_kept = in_string || !is_space;
            in_string ^= **byte == b'"' && !is_escaped;
            is_escaped = **byte == b'\\' && !is_escaped;
            is_kept
        }));
    }
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
    fn write(&self, out: &mut Written) {
        let bytes = &mut out.bytes;
        if let Some(spelled) = &self.spelled {
            bytes.push(b'"');
            bytes.extend_from_slice(spelled.as_bytes());
            bytes.push(b'"');
        } else if let Ok(text) = std::str::from_utf8(&self.text) {
            ringback_json::write_string(bytes, text);
        } else {
            // A filter took apart a string that held half of a surrogate pair.
            ringback_json::write_string(bytes, &self.to_text());
            out.has_replaced = true;
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

/// So that members are found by their name's text.
impl Borrow<[u8]> for Str {
    fn borrow(&self) -> &[u8] {
        &self.text
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
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl Eq for Val {}

/// What operators ask. Nothing, where the run must fail: a filter may go on asking without another step.
#[expect(
    clippy::non_canonical_partial_ord_impl,
    reason = "the operators of a run that is over are not worth their time"
)]
impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = || self.cmp(other);
        fuel::exceeded().is_none().then(order)
    }
}

/// What sorting asks, which has to be an order whatever happens; values are limited in number.
impl Ord for Val {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Arr(a), Self::Arr(b)) if Rc::ptr_eq(a, b) => Ordering::Equal,
            (Self::Obj(a), Self::Obj(b)) if Rc::ptr_eq(a, b) => Ordering::Equal,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Num(a), Self::Num(b)) => a.cmp(b),
            (Self::Str(a), Self::Str(b)) => a.cmp(b),
            (Self::Arr(a), Self::Arr(b)) => {
                fuel::spend_comparing(a.size.values.min(b.size.values));
                a.items().cmp(b.items())
            }
            (Self::Obj(a), Self::Obj(b)) => {
                fuel::spend_comparing(a.size.values.min(b.size.values));
                let (a, b) = (sorted(a.members()), sorted(b.members()));
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

/// What is written of a value.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// Whether something in a string was no text and was replaced, so that two names may have come out alike.
    pub(super) has_replaced: bool,
}

/// Writes a value without white space, as long as it fits.
pub(super) fn write(value: &Val, out: &mut Written, bytes_max: usize) -> Result<(), WriteFault> {
    match value {
        Val::Null => out.bytes.extend_from_slice(b"null"),
        Val::Bool(true) => out.bytes.extend_from_slice(b"true"),
        Val::Bool(false) => out.bytes.extend_from_slice(b"false"),
        Val::Num(number) => number.write(&mut out.bytes).ok_or(WriteFault::NotFinite)?,
        Val::Str(text) => text.write(out),
        Val::Arr(array) => {
            if let Some(text) = &array.text {
                text.write(&mut out.bytes);
            } else {
                let mut before = b'[';
                for item in array.items() {
                    out.bytes.push(before);
                    write(item, out, bytes_max)?;
                    before = b',';
                }
                let end: &[u8] = if before == b'[' { b"[]" } else { b"]" };
                out.bytes.extend_from_slice(end);
            }
        }
        Val::Obj(object) => {
            if let Some(text) = &object.text {
                text.write(&mut out.bytes);
            } else {
                let mut before = b'{';
                for (name, value) in object.members() {
                    out.bytes.push(before);
                    name.write(out);
                    out.bytes.push(b':');
                    write(value, out, bytes_max)?;
                    before = b',';
                }
                let end: &[u8] = if before == b'{' { b"{}" } else { b"}" };
                out.bytes.extend_from_slice(end);
            }
        }
    }
    if out.bytes.len() > bytes_max {
        return Err(WriteFault::TooLong);
    }
    Ok(())
}
