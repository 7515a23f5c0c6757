//! What the tests share: events from their text, and what a receiver would get.
#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test may")]

use ringback_domain::{AttemptNumber, Event, Job};
use ringback_json::Limits;
use ringback_profile::{DestinationKind, HeaderContext, Profile};
use ringback_signing::{Secret, Signable};
use std::{borrow::Cow, collections::HashMap};

/// The event that this text is.
pub(crate) fn event(text: &str) -> Event {
    let members = texts(text);
    let job = texts(&members["job"]);
    Event {
        id: members["id"].parse().unwrap(),
        project: members["project"].parse().unwrap(),
        event_type: members["type"].parse().unwrap(),
        occurred_at: Some(members["occurred_at"].parse().unwrap()),
        accepted_at: None,
        job: Job {
            id: job["id"].parse().unwrap(),
            kind: job.get("kind").cloned(),
            status: job.get("status").cloned(),
        },
        callback: None,
        document: text.to_owned().into(),
    }
}

/// The members of an object: what strings mean, and everything else as written.
fn texts(object: &str) -> HashMap<String, String> {
    let limits = Limits {
        bytes_max: usize::MAX,
        depth_max: 64,
    };
    let members = ringback_json::members(object.as_bytes(), limits).unwrap();
    let members = members.into_iter().map(|(name, span)| {
        let written = &object[span];
        let meant = ringback_json::decode_string(written.as_bytes());
        (
            name.into_owned(),
            meant.map_or(written.to_owned(), Cow::into_owned),
        )
    });
    members.collect()
}

pub(crate) fn profile(name: &str) -> Profile {
    Profile::builtin(name).unwrap()
}

/// The body of an event under a profile.
pub(crate) fn body(profile: &Profile, kind: DestinationKind, event_text: &str) -> String {
    let rendered = profile.render(kind, &event(event_text)).unwrap();
    String::from_utf8(rendered.body.to_vec()).unwrap()
}

/// The headers of an attempt, without the signature.
pub(crate) fn headers(
    profile: &Profile,
    kind: DestinationKind,
    event_text: &str,
    attempt: u16,
    at: i64,
) -> Vec<(String, String)> {
    let event = event(event_text);
    let context = HeaderContext {
        event_id: &event.id,
        event_type: &event.event_type,
        job_id: &event.job.id,
        delivery_id: &"dlv_0123456789abcdef0123456789abcdef".parse().unwrap(),
        attempt: AttemptNumber::try_new(attempt).unwrap(),
        timestamp_seconds: at,
    };
    profile.headers(kind, &context)
}

/// The value of a header, whatever the case of its name.
pub(crate) fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let mut found = headers
        .iter()
        .filter(|(it, _)| it.eq_ignore_ascii_case(name));
    let value = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

/// The signature header's name and value over the event's body.
pub(crate) fn signature(
    profile: &Profile,
    kind: DestinationKind,
    event_text: &str,
    secret: &str,
    at: i64,
) -> (String, String) {
    let scheme = profile.signature(kind).unwrap();
    let event = event(event_text);
    let body = profile.render(kind, &event).unwrap().body;
    let signable = Signable {
        id: event.id.as_str(),
        timestamp_seconds: at,
        body: &body,
    };
    let value = scheme
        .sign(&[Secret::try_new(secret.to_owned()).unwrap()], signable)
        .unwrap();
    (scheme.header().to_owned(), value)
}

/// An event with these members of `job` and this `data`, both as JSON text.
pub(crate) fn event_text(event_type: &str, job: &str, data: &str) -> String {
    format!(
        r#"{{"id":"evt_1","project":"acme","type":"{event_type}","occurred_at":"2026-06-01T10:01:30.250Z","job":{{"id":"job_1",{job}}},"data":{data}}}"#
    )
}
