//! An event as JSON: the body of an AMQP message, and of a call to the API.
//!
//! Read strictly and without loss: what a body is made of later is the producer's own text.

pub use crate::redaction::redact;

use crate::WireError;
use bytes::Bytes;
use ringback_delivery::port::Unreadable;
use ringback_domain::{Callback, CallbackSecret, Event, Job, SealedSecret, Timestamp, limits};
use ringback_json::{FaultKind, Limits};
use secrecy::SecretString;
use std::{fmt, ops::Range, str::FromStr};
use url::Url;

/// Why a text is not an event: the member, and what is wrong with it. Free of the event's content, save for refused ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct EventFault {
    /// The path of the member, such as `job.id`; empty for the whole.
    pub member: String,
    /// What is wrong, and what is accepted.
    pub problem: String,
}

impl fmt::Display for EventFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member.as_str() {
            "" => write!(f, "the event {}", self.problem),
            member => write!(f, "member `{member}` {}", self.problem),
        }
    }
}

fn fault(member: &str, problem: impl Into<String>) -> EventFault {
    EventFault {
        member: member.to_owned(),
        problem: problem.into(),
    }
}

fn not_json(path: &str, found: &ringback_json::Fault) -> EventFault {
    let separator = if path.is_empty() || found.path.is_empty() {
        ""
    } else {
        "."
    };
    let member = format!("{path}{separator}{}", found.path);
    match found.kind {
        FaultKind::Syntax { .. } | FaultKind::NotUtf8 => fault(
            &member,
            format!("is not JSON: byte {}: {}", found.offset, found.kind),
        ),
        _ => fault(&member, format!("is not accepted: {}", found.kind)),
    }
}

/// The members of an event; others are refused, since a misspelt `callback` would silently send nothing.
const MEMBERS: [&str; 7] = [
    "id",
    "project",
    "type",
    "occurred_at",
    "job",
    "data",
    "callback",
];
/// The moments of a job: profiles show them to receivers.
const JOB_MOMENTS: [&str; 2] = ["created_at", "completed_at"];
const CALLBACK_MEMBERS: [&str; 2] = ["url", "secret"];

const LIMITS: Limits = Limits {
    bytes_max: limits::EVENT_BYTES_MAX,
    depth_max: limits::JSON_DEPTH_MAX,
};

/// Reads an event that is new to us. Everything is checked before anything is queued: size, depth, UTF-8, duplicate and unknown
/// members, the form of its moments.
///
/// # Errors
///
/// The first of [`parse_reporting_all`].
pub fn parse(text: &Bytes) -> Result<Event, EventFault> {
    parse_reporting_all(text).map_err(|mut faults| faults.swap_remove(0))
}

/// The same, for those who can show several faults.
///
/// # Errors
///
/// What is wrong with each member, at least one; only the first where the text is no JSON that we accept.
pub fn parse_reporting_all(text: &Bytes) -> Result<Event, Vec<EventFault>> {
    let (bytes, bytes_max) = (text.len(), limits::BODY_BYTES_MAX);
    if bytes > bytes_max {
        let kind = FaultKind::TooLong { bytes, bytes_max };
        return Err(vec![fault("", format!("is not accepted: {kind}"))]);
    }
    parse_members(text, Age::New)
}

/// Reads an event that was accepted before: by a release that took other moments than those of RFC 3339 and looked at none of the
/// job's, perhaps, and it may have grown since, up to [`limits::EVENT_BYTES_MAX`].
///
/// # Errors
///
/// The first of those of [`parse_reporting_all`].
pub fn parse_accepted(text: &Bytes) -> Result<Event, EventFault> {
    parse_members(text, Age::Accepted).map_err(|mut faults| faults.swap_remove(0))
}

/// How long an event is ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    New,
    Accepted,
}

fn parse_members(text: &Bytes, age: Age) -> Result<Event, Vec<EventFault>> {
    let mut faults = Faults(Vec::new());
    let members = match Object::read(text, 0..text.len(), "") {
        Ok(members) => members,
        Err(fault) => return Err(vec![fault]),
    };
    faults.of_unknown(&members, &MEMBERS);
    let job = faults.keep(
        members
            .object("job")
            .and_then(|job| job.ok_or_else(|| fault("job", "is missing"))),
    );
    let callback = faults.keep(members.object("callback")).flatten();
    let callback = callback.map(|callback| {
        faults.of_unknown(&callback, &CALLBACK_MEMBERS);
        read_callback(&callback, &mut faults)
    });
    let id = faults.keep(members.required("id"));
    let project = faults.keep(members.required("project"));
    let event_type = faults.keep(members.required("type"));
    let occurred_at = faults.keep(moment_of(&members, "occurred_at", age));
    let job = job.and_then(|job| {
        let id = faults.keep(job.required("id"));
        let kind = faults.keep(job.text("kind"));
        let status = faults.keep(job.text("status"));
        if age == Age::New {
            for member in JOB_MOMENTS {
                faults.keep(moment_of(&job, member, age));
            }
        }
        Some((id?, kind?, status?))
    });
    let (Some(id), Some(project), Some(event_type), Some(occurred_at), Some(job), []) = (
        id,
        project,
        event_type,
        occurred_at,
        job,
        faults.0.as_slice(),
    ) else {
        return Err(faults.0);
    };
    let (job_id, kind, status) = job;
    Ok(Event {
        id,
        project,
        event_type,
        occurred_at,
        accepted_at: None,
        job: Job {
            id: job_id,
            kind,
            status,
        },
        callback: callback.flatten(),
        // A moment that is null is as good as none, and makes room for one.
        document: match occurred_at {
            Some(_) => members.without(&["callback"]),
            None => members.without(&["callback", "occurred_at"]),
        },
    })
}

/// The faults found so far.
struct Faults(Vec<EventFault>);

impl Faults {
    fn keep<T>(&mut self, read: Result<T, EventFault>) -> Option<T> {
        read.map_err(|fault| self.0.push(fault)).ok()
    }

    fn of_unknown(&mut self, object: &Object<'_>, known: &[&str]) {
        for (key, _) in &object.members {
            if !known.contains(&key.as_str()) {
                let shown: String = key.chars().take(40).flat_map(char::escape_debug).collect();
                let problem = format!("is not known; known are {}", known.join(", "));
                self.0.push(fault(&object.path_of(&shown), problem));
            }
        }
    }
}

/// The event as it was read, with its callback.
///
/// # Errors
///
/// When the callback's secret is not sealed: plain text never reaches a broker or a store.
pub fn encode(event: &Event) -> Result<Bytes, WireError> {
    let Some(callback) = &event.callback else {
        return Ok(event.document.clone());
    };
    let mut members = serde_json::Map::new();
    members.insert("url".into(), callback.url.as_str().into());
    match &callback.secret {
        None => {}
        Some(CallbackSecret::Sealed(sealed)) => {
            members.insert("secret".into(), sealed.as_str().into());
        }
        Some(CallbackSecret::Plain(_)) => {
            let problem = "is in plain text (hint: seal it first)".to_owned();
            return Err(WireError::Member {
                what: "event",
                member: "callback.secret",
                problem,
            });
        }
    }
    let end = event.document.iter().rposition(|byte| *byte == b'}');
    let mut text = event.document[..end.unwrap_or(0)].to_vec();
    let callback = serde_json::Value::Object(members);
    text.extend_from_slice(format!(",\"callback\":{callback}}}").as_bytes());
    Ok(text.into())
}

/// Reads an event as a queue does: what cannot be read is handed on, free of what looks like a secret.
///
/// One that does not say when it happened, happened when its message was sent, where the message says that.
pub fn read(bytes: &Bytes, sent_at: Option<Timestamp>) -> Result<Event, Unreadable> {
    let event = parse_accepted(bytes).map_err(|fault| Unreadable {
        why: fault.to_string(),
        bytes: redact(bytes),
    })?;
    Ok(match sent_at {
        Some(moment) => event.dated(moment),
        None => event,
    })
}

/// The members of one JSON object, as ranges of the event's text.
struct Object<'a> {
    text: &'a Bytes,
    path: &'a str,
    members: Vec<(String, Range<usize>)>,
}

impl<'a> Object<'a> {
    fn read(text: &'a Bytes, range: Range<usize>, path: &'a str) -> Result<Self, EventFault> {
        let start = range.start;
        let found =
            ringback_json::members(&text[range], LIMITS).map_err(|found| not_json(path, &found))?;
        Ok(Self {
            text,
            path,
            members: found
                .into_iter()
                .map(|(key, value)| (key.into_owned(), value.start + start..value.end + start))
                .collect(),
        })
    }

    fn path_of(&self, member: &str) -> String {
        if self.path.is_empty() {
            member.to_owned()
        } else {
            format!("{}.{member}", self.path)
        }
    }

    /// The value's text; `None` when the member is missing or null.
    fn value(&self, member: &str) -> Option<&'a [u8]> {
        let (_, range) = self.members.iter().find(|(key, _)| key == member)?;
        Some(&self.text[range.clone()]).filter(|value| *value != b"null")
    }

    fn object(&self, member: &'a str) -> Result<Option<Self>, EventFault> {
        let Some((_, range)) = self.members.iter().find(|(key, _)| key == member) else {
            return Ok(None);
        };
        if &self.text[range.clone()] == b"null" {
            return Ok(None);
        }
        Self::read(self.text, range.clone(), member).map(Some)
    }

    fn text(&self, member: &str) -> Result<Option<String>, EventFault> {
        let Some(value) = self.value(member) else {
            return Ok(None);
        };
        if value.first() != Some(&b'"') {
            return Err(fault(&self.path_of(member), "is not a string"));
        }
        let text = ringback_json::decode_string(value)
            .map_err(|found| not_json(&self.path_of(member), &found))?;
        Ok(Some(text.into_owned()))
    }

    fn required<T: FromStr<Err: fmt::Display>>(&self, member: &str) -> Result<T, EventFault> {
        let text = self
            .text(member)?
            .ok_or_else(|| fault(&self.path_of(member), "is missing"))?;
        text.parse().map_err(|problem: T::Err| {
            fault(&self.path_of(member), format!("is not accepted: {problem}"))
        })
    }

    /// The object's text without some members.
    fn without(&self, dropped: &[&str]) -> Bytes {
        let is_kept = |key: &str| !dropped.contains(&key);
        if self.members.iter().all(|(key, _)| is_kept(key)) {
            return self.text.clone();
        }
        let mut text = vec![b'{'];
        for (key, range) in self.members.iter().filter(|(key, _)| is_kept(key)) {
            if text.len() > 1 {
                text.push(b',');
            }
            serde_json::to_writer(&mut text, key).expect("writing to memory");
            text.push(b':');
            text.extend_from_slice(&self.text[range.clone()]);
        }
        text.push(b'}');
        text.into()
    }
}

fn moment_of(
    members: &Object<'_>,
    member: &str,
    age: Age,
) -> Result<Option<Timestamp>, EventFault> {
    let not_a_moment = || {
        fault(
            &members.path_of(member),
            "is not a moment of RFC 3339, such as `2026-06-01T10:01:30.250Z`",
        )
    };
    let Some(text) = members.text(member)? else {
        return Ok(None);
    };
    let moment = match age {
        Age::New => rfc_3339(&text),
        Age::Accepted => text.parse().ok(),
    };
    moment.map(Some).ok_or_else(not_a_moment)
}

/// The form of RFC 3339, section 5.6, and no other: bodies hand the text on as it is, to receivers that may know no other.
fn rfc_3339(text: &str) -> Option<Timestamp> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let (moment, rest) = text.as_bytes().split_at_checked(SHAPE.len())?;
    let is_in_shape = moment.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => is_digit(byte),
        _ => byte.eq_ignore_ascii_case(shape),
    });
    let fraction_bytes = match rest {
        [b'.', digits @ ..] => 1 + digits.iter().take_while(|byte| is_digit(byte)).count(),
        _ => 0,
    };
    let has_offset = match &rest[fraction_bytes..] {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].into_iter().all(is_digit),
        _ => false,
    };
    let is_moment = is_in_shape && fraction_bytes != 1 && has_offset;
    is_moment.then(|| text.parse().ok()).flatten()
}

fn read_callback(callback: &Object<'_>, faults: &mut Faults) -> Option<Callback> {
    let url = faults.keep(read_url(callback));
    let secret = faults.keep(read_secret(callback));
    Some(Callback {
        url: url?,
        secret: secret?,
    })
}

fn read_url(callback: &Object<'_>) -> Result<Url, EventFault> {
    let url = callback
        .text("url")?
        .ok_or_else(|| fault("callback.url", "is missing"))?;
    if let Some(c) = url
        .chars()
        .find(|c| *c <= ' ' || *c == '\u{7f}' || *c == '\\')
    {
        return Err(fault(
            "callback.url",
            format!("holds {c:?}, which no URL may"),
        ));
    }
    let is_too_long = |url: &str| url.len() > limits::URL_BYTES_MAX;
    let too_long = || {
        let problem = format!("is longer than {} bytes", limits::URL_BYTES_MAX);
        fault("callback.url", problem)
    };
    if is_too_long(&url) {
        return Err(too_long());
    }
    let url = Url::parse(&url)
        .map_err(|problem| fault("callback.url", format!("is not a URL: {problem}")))?;
    // As it is kept and sent: what is no character of a URL takes three bytes there.
    if is_too_long(url.as_str()) {
        return Err(too_long());
    }
    // Here, and not only where URLs are judged: what is read is kept as it is, and a password is nothing to keep.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault(
            "callback.url",
            "contains a user name or password; put a token into the path or the query",
        ));
    }
    Ok(url)
}

fn read_secret(callback: &Object<'_>) -> Result<Option<CallbackSecret>, EventFault> {
    let secret = callback
        .text("secret")?
        .map(|text| match SealedSecret::try_new(&text) {
            Some(sealed) => Ok(CallbackSecret::Sealed(sealed)),
            // An empty secret would sign with an empty key, and the receiver would not know.
            None if text.is_empty() => Err(fault(
                "callback.secret",
                "is empty; leave it out to send unsigned",
            )),
            None => Ok(CallbackSecret::Plain(SecretString::from(text))),
        });
    secret.transpose()
}
