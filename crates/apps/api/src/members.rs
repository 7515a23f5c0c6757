//! Reading the members of a body and the parameters of a query: every fault is collected, and what is not known is one.

use crate::problem::{Code, Fault, Problem};
use jiff::Timestamp;
use ringback_domain::{
    DestinationId, WebhookId,
    limits::{BODY_BYTES_MAX, JSON_DEPTH_MAX},
};
use ringback_json::{FaultKind, Limits, Node, RawStr, Value};
use std::{fmt::Display, num::NonZeroU32, ops::RangeInclusive, str::FromStr, time::Duration};

const LIMITS: Limits = Limits {
    bytes_max: BODY_BYTES_MAX,
    depth_max: JSON_DEPTH_MAX,
};

/// The most faults that are told of one body.
const FAULTS_MAX: usize = 50;
/// Characters of a name that are shown.
const NAME_SHOWN_MAX: usize = 40;

/// The members of a JSON object, taken out one by one; what is left at the end is not known.
pub(crate) struct Members<'t> {
    left: Vec<(String, Value<'t>)>,
    asked: Vec<&'static str>,
    faults: Vec<Fault>,
    /// What the path of each member begins with.
    prefix: String,
}

impl<'t> Members<'t> {
    /// Reads a body. One that is empty or null has no members.
    pub(crate) fn read(body: &'t [u8]) -> Result<Self, Problem> {
        let members = if body.is_empty() {
            Vec::new()
        } else {
            let value = Value::parse(body, LIMITS).map_err(|fault| malformed(&fault))?;
            match value.0 {
                Node::Object(members) => members,
                Node::Null => Vec::new(),
                _ => {
                    let fault = Fault::new("", FaultKind::NotAnObject.to_string());
                    return Err(Problem::new(Code::MalformedBody).with_errors(vec![fault]));
                }
            }
        };
        Ok(Self::of(members, String::new()))
    }

    fn of(members: Vec<(RawStr<'t>, Value<'t>)>, prefix: String) -> Self {
        let mut read = Self {
            left: Vec::new(),
            asked: Vec::new(),
            faults: Vec::new(),
            prefix,
        };
        for (name, value) in members {
            match name.decode() {
                Some(name) => read.left.push((name.into_owned(), value)),
                None => read.fault("", "a name holds half of a surrogate pair"),
            }
        }
        read
    }

    /// The members of a member that must be there; give them back by [`Members::close`].
    pub(crate) fn object(&mut self, name: &'static str) -> Self {
        let members = match self.value(name) {
            Given::Absent | Given::Null => {
                self.missing(name);
                Vec::new()
            }
            Given::Value(Value(Node::Object(members))) => members,
            Given::Value(other) => {
                self.fault(name, format!("is {}, not an object", kind(&other)));
                Vec::new()
            }
        };
        Self::of(members, format!("{}{name}.", self.prefix))
    }

    /// Nothing more is asked for of a member's members.
    pub(crate) fn close(&mut self, mut inner: Self) {
        inner.note_unknown();
        self.faults.append(&mut inner.faults);
    }

    fn take(&mut self, name: &'static str) -> Option<Value<'t>> {
        self.asked.push(name);
        let at = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.swap_remove(at).1)
    }

    pub(crate) fn fault(&mut self, member: impl Into<String>, problem: impl Into<String>) {
        let name: String = member.into();
        let member = format!("{}{name}", self.prefix);
        self.faults.push(Fault::new(member, problem));
    }

    /// Adds what the rules say, except of members whose fault is known: it would be told twice.
    pub(crate) fn add_faults(&mut self, faults: impl Iterator<Item = Fault>) {
        let known = self.faults.len();
        for fault in faults {
            if self.faults[..known]
                .iter()
                .all(|told| told.member != fault.member)
            {
                self.faults.push(fault);
            }
        }
    }

    fn value(&mut self, name: &'static str) -> Given<Value<'t>> {
        match self.take(name) {
            None => Given::Absent,
            Some(Value(Node::Null)) => Given::Null,
            Some(value) => Given::Value(value),
        }
    }

    /// A member, null or not; with a fault it counts as absent.
    pub(crate) fn given<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value<'t>) -> Result<T, String>,
    ) -> Given<T> {
        match self.value(name) {
            Given::Absent => Given::Absent,
            Given::Null => Given::Null,
            Given::Value(value) => match read(&value) {
                Ok(read) => Given::Value(read),
                Err(problem) => {
                    self.fault(name, problem);
                    Given::Absent
                }
            },
        }
    }

    /// A member that may be left out or null.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value<'t>) -> Result<T, String>,
    ) -> Option<T> {
        self.given(name, read).value()
    }

    /// A member that may be left out, and is not null.
    pub(crate) fn not_null<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value<'t>) -> Result<T, String>,
    ) -> Option<T> {
        match self.given(name, read) {
            Given::Value(value) => Some(value),
            Given::Absent => None,
            Given::Null => {
                self.fault(name, "is null; leave it out instead");
                None
            }
        }
    }

    /// A member that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value<'t>) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.optional(name, read);
        if found.is_none() {
            self.missing(name);
        }
        found
    }

    /// A member that was asked for and must be there is not; unless that is because of another fault of it.
    pub(crate) fn missing(&mut self, name: &'static str) {
        let path = format!("{}{name}", self.prefix);
        if self.faults.iter().all(|fault| fault.member != path) {
            self.fault(name, "is missing");
        }
    }

    /// A member that each entry is read of; a fault names the entry.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Value<'t>) -> Result<T, String>,
    ) -> Given<Vec<T>> {
        let items = match self.value(name) {
            Given::Absent => return Given::Absent,
            Given::Null => return Given::Null,
            Given::Value(Value(Node::Array(items))) => items,
            Given::Value(other) => {
                self.fault(name, format!("is {}, not an array", kind(&other)));
                return Given::Absent;
            }
        };
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match read(item) {
                Ok(item) => list.push(item),
                Err(problem) => self.fault(format!("{name}[{index}]"), problem),
            }
        }
        Given::Value(list)
    }

    /// A member that is an object of texts.
    pub(crate) fn texts(&mut self, name: &'static str) -> Given<Vec<(String, String)>> {
        let members = match self.value(name) {
            Given::Absent => return Given::Absent,
            Given::Null => return Given::Null,
            Given::Value(Value(Node::Object(members))) => members,
            Given::Value(other) => {
                self.fault(name, format!("is {}, not an object", kind(&other)));
                return Given::Absent;
            }
        };
        let mut texts = Vec::with_capacity(members.len());
        for (key, value) in members {
            let Some(key) = key.decode() else {
                self.fault(name, "a name holds half of a surrogate pair");
                continue;
            };
            match text(&value) {
                Ok(value) => texts.push((key.into_owned(), value)),
                Err(problem) => self.fault(format!("{name}.{}", shown(&key)), problem),
            }
        }
        Given::Value(texts)
    }

    /// A destination by its id, or by that of the webhook that it is.
    pub(crate) fn destination(&mut self) -> Option<DestinationId> {
        let webhook = self.optional("webhook", parsed_text);
        let destination = self.optional("destination", parsed_text);
        one_destination(webhook, destination).unwrap_or_else(|problem| {
            self.fault("webhook", problem);
            None
        })
    }

    /// Nothing more is asked for: what is left is not known.
    pub(crate) fn end(mut self) -> Result<(), Problem> {
        self.note_unknown();
        end(self.faults)
    }

    fn note_unknown(&mut self) {
        let problem = unknown(&self.asked, "members");
        for (name, _) in std::mem::take(&mut self.left) {
            self.fault(shown(&name), problem.clone());
        }
    }
}

/// A member that can be left out, be null, or have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given<T> {
    Absent,
    Null,
    Value(T),
}

impl<T> Given<T> {
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// For a change: what is absent stays, null is another word for `nothing`.
    pub(crate) fn change_to<U>(self, nothing: U, into: impl FnOnce(T) -> U) -> Option<U> {
        match self {
            Self::Absent => None,
            Self::Null => Some(nothing),
            Self::Value(value) => Some(into(value)),
        }
    }
}

/// The parameters of a query, taken out one by one; what is left at the end is not known.
pub(crate) struct Parameters {
    left: Vec<(String, String)>,
    asked: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Parameters {
    pub(crate) fn read(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self {
            left: pairs.into_owned().collect(),
            asked: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// A parameter that may be left out.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.asked.push(name);
        let mut found = None;
        let mut count = 0;
        self.left.retain_mut(|(known, value)| {
            if known == name {
                found = Some(std::mem::take(value));
                count += 1;
            }
            known != name
        });
        if count > 1 {
            self.faults.push(Fault::new(
                name,
                format!("is given {count} times; once is enough"),
            ));
            return None;
        }
        match read(&found?) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.faults.push(Fault::new(name, problem));
                None
            }
        }
    }

    /// A parameter that is parsed.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Option<T> {
        self.optional(name, parsed)
    }

    /// A parameter that is `true` or `false`, and false when it is left out.
    pub(crate) fn yes_or_no(&mut self, name: &'static str) -> bool {
        let read = self.optional(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("is neither `true` nor `false`".to_owned()),
        });
        read.unwrap_or(false)
    }

    /// A parameter that is a moment.
    pub(crate) fn moment(&mut self, name: &'static str) -> Option<Timestamp> {
        self.optional(name, read_moment)
    }

    /// A destination by its id, or by that of the webhook that it is.
    pub(crate) fn destination(&mut self) -> Option<DestinationId> {
        let webhook = self.parsed("webhook");
        let destination = self.parsed("destination");
        one_destination(webhook, destination).unwrap_or_else(|problem| {
            self.faults.push(Fault::new("webhook", problem));
            None
        })
    }

    /// Nothing more is asked for: what is left is not known.
    pub(crate) fn end(mut self) -> Result<(), Problem> {
        let problem = unknown(&self.asked, "parameters");
        let unknown = self.left.iter();
        let unknown = unknown.map(|(name, _)| Fault::new(shown(name), problem.clone()));
        self.faults.extend(unknown);
        end(self.faults)
    }
}

/// Both name a destination: of two, which one is meant cannot be told.
fn one_destination(
    webhook: Option<WebhookId>,
    destination: Option<DestinationId>,
) -> Result<Option<DestinationId>, &'static str> {
    match (webhook, destination) {
        (Some(_), Some(_)) => Err("is given together with `destination`; one is enough"),
        (webhook, destination) => {
            Ok(destination.or_else(|| webhook.as_ref().map(DestinationId::webhook)))
        }
    }
}

fn end(mut faults: Vec<Fault>) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    if faults.len() > FAULTS_MAX {
        let more = faults.len() - FAULTS_MAX;
        faults.truncate(FAULTS_MAX);
        faults.push(Fault::new("", format!("and {more} more")));
    }
    Err(Problem::of_faults(faults))
}

/// What is wrong with what was not asked for.
fn unknown(asked: &[&str], what: &str) -> String {
    if asked.is_empty() {
        format!("is not known; this call takes no {what}")
    } else {
        format!("is not known; known are {}", asked.join(", "))
    }
}

/// A name from outside, fit to be shown.
fn shown(name: &str) -> String {
    let mut text: String = name
        .chars()
        .take(NAME_SHOWN_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(NAME_SHOWN_MAX).is_some() {
        text.push('…');
    }
    text
}

pub(crate) fn malformed(fault: &ringback_json::Fault) -> Problem {
    let code = match fault.kind {
        FaultKind::TooLong { .. } => Code::BodyTooLarge,
        _ => Code::MalformedBody,
    };
    let problem = match fault.kind {
        FaultKind::Syntax { .. } | FaultKind::NotUtf8 => {
            format!("byte {}: {}", fault.offset, fault.kind)
        }
        _ => fault.kind.to_string(),
    };
    Problem::new(code).with_errors(vec![Fault::new(fault.path.clone(), problem)])
}

fn kind(value: &Value<'_>) -> &'static str {
    match value.0 {
        Node::Null => "null",
        Node::Bool(_) => "a boolean",
        Node::Number(_) => "a number",
        Node::String(_) => "a string",
        Node::Array(_) => "an array",
        Node::Object(_) => "an object",
    }
}

/// Reads a string.
pub(crate) fn text(value: &Value<'_>) -> Result<String, String> {
    match &value.0 {
        Node::String(raw) => match raw.decode() {
            Some(text) => Ok(text.into_owned()),
            None => Err("holds half of a surrogate pair".to_owned()),
        },
        _ => Err(format!("is {}, not a string", kind(value))),
    }
}

/// Reads a string of so many characters at most.
pub(crate) fn short_text(chars_max: usize) -> impl Fn(&Value<'_>) -> Result<String, String> {
    move |value| short(&text(value)?, chars_max)
}

/// Reads a string that says something, in so many characters at most.
pub(crate) fn said_text(chars_max: usize) -> impl Fn(&Value<'_>) -> Result<String, String> {
    move |value| {
        let text = short(&text(value)?, chars_max)?;
        match text.trim() {
            "" => Err("is empty".to_owned()),
            _ => Ok(text),
        }
    }
}

/// A text for people, of so many characters at most.
pub(crate) fn short(text: &str, chars_max: usize) -> Result<String, String> {
    match text.chars().count() {
        chars if chars > chars_max => Err(format!(
            "has {chars} characters; allowed: up to {chars_max}"
        )),
        _ => Ok(text.to_owned()),
    }
}

/// Reads a string that means something.
pub(crate) fn parsed_text<T: FromStr<Err: Display>>(value: &Value<'_>) -> Result<T, String> {
    parsed(&text(value)?)
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|refused: T::Err| refused.to_string())
}

/// Reads a moment.
pub(crate) fn moment(value: &Value<'_>) -> Result<Timestamp, String> {
    read_moment(&text(value)?)
}

fn read_moment(text: &str) -> Result<Timestamp, String> {
    let not_one = |_| "is not a moment such as `2026-06-01T10:01:30.250Z`".to_owned();
    text.parse().map_err(not_one)
}

/// Reads a wait such as `24h`.
pub(crate) fn wait(value: &Value<'_>) -> Result<Duration, String> {
    ringback_worker::config::parse_duration(&text(value)?)
        .ok_or_else(|| "is not a wait such as `30s`, `5m` or `24h`".to_owned())
}

/// Reads `true` or `false`.
pub(crate) fn boolean(value: &Value<'_>) -> Result<bool, String> {
    match value.0 {
        Node::Bool(is) => Ok(is),
        _ => Err(format!("is {}, not a boolean", kind(value))),
    }
}

/// Reads a number within these bounds.
pub(crate) fn within(bounds: RangeInclusive<u16>) -> impl Fn(&Value<'_>) -> Result<u16, String> {
    move |value| {
        let number = match &value.0 {
            Node::Number(text) => text.parse::<u16>().ok(),
            _ => None,
        };
        number
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| {
                format!(
                    "is not a number from {} to {}",
                    bounds.start(),
                    bounds.end()
                )
            })
    }
}

/// Reads a whole number from 1 up.
pub(crate) fn count(value: &Value<'_>) -> Result<NonZeroU32, String> {
    match &value.0 {
        Node::Number(text) => text
            .parse()
            .map_err(|_| format!("is not a whole number from 1 to {}", u32::MAX)),
        _ => Err(format!("is {}, not a number", kind(value))),
    }
}
