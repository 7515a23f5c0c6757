//! What people and their programs write: events, profiles, headers, URLs.

use bytes::Bytes;
use ringback_domain::{Event, Timestamp, limits, parse_retry_after};
use ringback_json::Limits;
use ringback_profile::{DestinationKind, Profile};
use ringback_sender_http::UrlPolicy;
use ringback_wire::event as wire;
use std::net::IpAddr;
use url::Host;

pub(crate) fn event(bytes: &[u8]) {
    let text = Bytes::copy_from_slice(bytes);
    match wire::read(&text, None) {
        Err(unreadable) => {
            assert!(!unreadable.why.is_empty());
            // What is kept of it is kept once: nothing in it is taken for a secret again.
            assert_eq!(wire::redact(&unreadable.bytes), unreadable.bytes);
        }
        Ok(event) => assert_event_survives(&event),
    }
}

fn assert_event_survives(event: &Event) {
    // A secret in plain text is refused, and only that.
    let Ok(written) = wire::encode(event) else {
        assert!(
            event
                .callback
                .as_ref()
                .is_some_and(|it| it.secret.is_some())
        );
        return;
    };
    let read = wire::parse(&written).expect("what was written can be read");
    assert_eq!(format!("{read:?}"), format!("{event:?}"));
    assert_eq!(read.document, event.document);
}

pub(crate) fn fixed_point(bytes: &[u8]) {
    let limits = Limits {
        bytes_max: limits::BODY_BYTES_MAX,
        depth_max: limits::JSON_DEPTH_MAX,
    };
    let is_accepted = ringback_json::check(bytes, limits).is_ok();
    if let Ok(point) = ringback_json::fixed_point(bytes, limits) {
        assert!(is_accepted, "only what is accepted has one");
        let again = ringback_json::fixed_point(&point, limits);
        assert_eq!(again.as_deref(), Ok(&point[..]));
    }
}

/// An event of a type that most profiles know.
const EVENT: &str = r#"{"id":"evt_1","project":"acme","type":"task.completed","occurred_at":"2026-06-01T10:00:00Z","job":{"id":"task_1"},"data":{"n":[1.50,null,"\u00e9"]}}"#;

pub(crate) fn profile(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let name = "fuzzed".parse().expect("a profile name");
    match Profile::from_toml(name, text) {
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(!fault.to_string().is_empty());
            }
        }
        Ok(profile) => {
            let event = wire::parse(&Bytes::from_static(EVENT.as_bytes()));
            let event = event.expect("an event");
            for kind in [DestinationKind::Webhook, DestinationKind::Callback] {
                let rendered = profile.render(kind, &event);
                let again = profile.render(kind, &event);
                assert_eq!(rendered.is_ok(), again.is_ok());
                if let (Ok(one), Ok(other)) = (rendered, again) {
                    assert_eq!(one.body, other.body, "a body depends on its event alone");
                }
                let _ = profile.rules(kind).retry.delays();
            }
        }
    }
}

pub(crate) fn retry_after(bytes: &[u8]) {
    let Ok(header) = str::from_utf8(bytes) else {
        return;
    };
    for now in [0, 1_780_000_000, 253_402_207_200] {
        let now = Timestamp::from_second(now).expect("within what timestamps hold");
        if let Some(wait) = parse_retry_after(header, now) {
            assert!(!wait.is_zero() && wait <= limits::DELAY_MAX, "{wait:?}");
        }
    }
}

pub(crate) fn url(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let policy = UrlPolicy::default();
    let Ok(url) = policy.parse(text) else {
        return;
    };
    policy.check(&url).expect("what was parsed is checked");
    let again = policy.parse(url.as_str());
    assert_eq!(again.as_ref(), Ok(&url), "what is kept is what was checked");
    assert!(url.username().is_empty() && url.password().is_none());
    let address = match url.host().expect("a destination has a host") {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address),
        Host::Domain(name) => {
            assert!(name.contains('.'), "{name} means something only inside");
            return;
        }
    };
    assert!(is_public(address), "{address} is inside somebody's network");
}

/// What anybody's list of inner addresses begins with; deliberately not the policy's own.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b)))
        }
        IpAddr::V6(address) => {
            let mapped = address.to_ipv4().is_some();
            !mapped && (0x2000..0x4000).contains(&address.segments()[0])
        }
    }
}
