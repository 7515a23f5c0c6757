//! Whether a request is what its profile promises, as its receiver would find.

use crate::{
    failure::{Failure, Outcome},
    receiver,
};
use http::HeaderMap;
use jiff::Timestamp;
use ringback_domain::AttemptNumber;
use ringback_profile::{DestinationKind, HeaderContext, Profile};
use ringback_signing::{Received, Secret, SignatureScheme, TimeWindow};
use std::fmt;

/// What most receivers allow a timestamp to be off.
const TOLERANCE_SECONDS: u32 = 300;

/// Verifies as a profile's receivers do.
pub(crate) struct Verifier {
    profile: String,
    kind: DestinationKind,
    scheme: Option<SignatureScheme>,
    secrets: Vec<Secret>,
    id_header: Option<String>,
    timestamp_header: Option<String>,
}

/// What a verifier found.
pub(crate) enum Verdict {
    /// The signature is right.
    Verified,
    /// Unsigned, as promised.
    Unsigned,
    /// Not what the receiver would accept, with the reason.
    Refused(String),
}

impl Verifier {
    pub(crate) fn try_new(
        profile: &Profile,
        callback: bool,
        secrets: Vec<Secret>,
    ) -> Outcome<Self> {
        let kind = if callback {
            DestinationKind::Callback
        } else {
            DestinationKind::Webhook
        };
        let scheme = profile.signature(kind).cloned();
        match (&scheme, secrets.is_empty()) {
            (Some(_), true) => {
                return Err(Failure::usage(format!(
                    "profile `{}` signs {kind}s, so a secret is needed to verify",
                    profile.name()
                ))
                .hint("--secret-file FILE"));
            }
            (None, false) => {
                return Err(Failure::usage(format!(
                    "profile `{}` does not sign {kind}s, so there is no use for a secret",
                    profile.name()
                )));
            }
            _ => {}
        }
        let (id_header, timestamp_header) = carriers(profile, kind);
        Ok(Self {
            profile: profile.name().to_string(),
            kind,
            scheme,
            secrets,
            id_header,
            timestamp_header,
        })
    }

    pub(crate) fn judge(&self, received: &receiver::Received, now: Timestamp) -> Verdict {
        self.judge_parts(&received.headers, &received.body, now)
    }

    fn judge_parts(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Verdict {
        let header =
            |name: &Option<String>| name.as_deref().and_then(|name| text_of(headers, name));
        let Some(scheme) = &self.scheme else {
            return Verdict::Unsigned;
        };
        let received = Received {
            signature: text_of(headers, scheme.header()),
            id: header(&self.id_header),
            timestamp: header(&self.timestamp_header),
            body,
        };
        let window = TimeWindow {
            now_seconds: now.as_second(),
            tolerance_seconds: TOLERANCE_SECONDS,
        };
        match scheme.verify(&self.secrets, received, Some(window)) {
            Ok(_) => Verdict::Verified,
            Err(why) => Verdict::Refused(why.to_string()),
        }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheme {
            Some(scheme) => write!(
                f,
                "{} of `{}` {}s",
                scheme.header(),
                self.profile,
                self.kind
            ),
            None => write!(f, "`{}` {}s, which are unsigned", self.profile, self.kind),
        }
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The headers that carry the event's id and the timestamp: those a made-up attempt fills with exactly these.
pub(crate) fn carriers(
    profile: &Profile,
    kind: DestinationKind,
) -> (Option<String>, Option<String>) {
    const SECONDS: i64 = 1_234_567_890;
    let context = HeaderContext {
        event_id: &"evt_made_up".parse().expect("an id"),
        event_type: &"made.up".parse().expect("a type"),
        job_id: &"job_made_up".parse().expect("an id"),
        delivery_id: &"dlv_made_up".parse().expect("an id"),
        attempt: AttemptNumber::FIRST,
        timestamp_seconds: SECONDS,
    };
    let headers = profile.headers(kind, &context);
    let carrier = |wanted: &str| {
        headers
            .iter()
            .find(|(_, value)| value == wanted)
            .map(|(name, _)| name.clone())
    };
    (
        carrier(context.event_id.as_str()),
        carrier(&SECONDS.to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_signing::Signable;

    fn profile(name: &str) -> Profile {
        Profile::builtin(name).unwrap()
    }

    #[test]
    fn the_headers_of_id_and_timestamp_are_found_in_the_profile() {
        let pair = |id: &str, timestamp: &str| (Some(id.to_owned()), Some(timestamp.to_owned()));
        assert_eq!(
            carriers(&profile("standard"), DestinationKind::Webhook),
            pair("webhook-id", "webhook-timestamp")
        );
        assert_eq!(
            carriers(&profile("modelhunter"), DestinationKind::Webhook),
            pair("X-Webhook-ID", "X-Webhook-Timestamp")
        );
    }

    #[test]
    fn what_we_sign_is_verified_and_what_was_changed_is_not() {
        let standard = profile("standard");
        let secret = standard
            .signature(DestinationKind::Webhook)
            .unwrap()
            .new_secret(&[7; 32]);
        let now: Timestamp = "2026-06-01T10:00:00Z".parse().unwrap();
        let signable = Signable {
            id: "evt_1",
            timestamp_seconds: now.as_second(),
            body: b"{}",
        };
        let scheme = standard.signature(DestinationKind::Webhook).unwrap();
        let signature = scheme
            .sign(std::slice::from_ref(&secret), signable)
            .unwrap();
        let verifier = Verifier::try_new(&standard, false, vec![secret]).unwrap();
        let (head, ()) = http::Request::builder()
            .header("webhook-id", "evt_1")
            .header("webhook-timestamp", now.as_second())
            .header("webhook-signature", signature)
            .body(())
            .unwrap()
            .into_parts();
        assert!(matches!(
            verifier.judge_parts(&head.headers, b"{}", now),
            Verdict::Verified
        ));
        let Verdict::Refused(why) = verifier.judge_parts(&head.headers, b"{ }", now) else {
            panic!("the body was changed")
        };
        assert!(why.starts_with("the signature does not match"), "{why}");
    }

    #[test]
    fn a_secret_is_asked_for_exactly_where_the_profile_signs() {
        let secret = || vec![Secret::try_new("s").unwrap()];
        for (name, callback, secrets, accepted) in [
            ("hinto", true, secret(), true),
            ("hinto", true, vec![], false),
            ("hinto", false, secret(), false),
            ("hooked", false, vec![], true),
        ] {
            assert_eq!(
                Verifier::try_new(&profile(name), callback, secrets).is_ok(),
                accepted,
                "{name} {callback}"
            );
        }
    }
}
