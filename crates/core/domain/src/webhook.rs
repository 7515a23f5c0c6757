//! A registered destination of a project.

use crate::{EventType, ProfileName, ProjectName, SealedSecret, WebhookId};
use jiff::Timestamp;
use std::collections::BTreeSet;
use url::Url;

/// A registered destination of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `whk_…`
    pub id: WebhookId,
    /// Its owner.
    pub project: ProjectName,
    /// Where to send; has passed the URL policy.
    pub url: Url,
    /// Which events it wants.
    pub events: EventFilter,
    /// Overrides the project's profile.
    pub profile: Option<ProfileName>,
    /// What to sign with; empty when the profile does not sign webhooks. The order is that of arrival.
    pub secrets: Vec<WebhookSecret>,
    /// Headers sent besides the profile's own; names and values have passed the header policy. The values are kept sealed,
    /// since keys to the receiver's API stand there; an empty one, and one that an early release wrote, is kept as it is.
    pub headers: Vec<(String, String)>,
    /// For people.
    pub description: Option<String>,
    /// The most attempts a second, over all workers.
    pub rate_limit: Option<std::num::NonZeroU32>,
    /// Whether it gets anything.
    pub state: WebhookState,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Raised by one with every change; a change made against an older revision is refused.
    pub revision: u64,
}

/// Which events a webhook wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventFilter {
    /// Every event of the project.
    All,
    /// These types. Never empty.
    Only(BTreeSet<EventType>),
}

impl EventFilter {
    /// Whether an event of this type is wanted.
    pub fn wants(&self, event_type: &EventType) -> bool {
        match self {
            Self::All => true,
            Self::Only(types) => types.contains(event_type),
        }
    }
}

/// One secret of a webhook, sealed, with its place in the rotation.
///
/// The current secret is the one whose `signs_from` passed last; a secret with a later one is pending. Where the profile
/// allows several signatures, a replaced secret signs beside it until `overlaps_until`; everywhere else exactly one
/// signature is sent at any moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    /// The secret itself.
    pub sealed: SealedSecret,
    /// When it becomes the current secret.
    pub signs_from: Timestamp,
    /// Once replaced, until when it may sign beside its successor.
    pub overlaps_until: Option<Timestamp>,
}

/// Whether a webhook gets anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookState {
    /// It does.
    Enabled,
    /// It does not.
    Disabled {
        /// Since when.
        at: Timestamp,
        /// Why, for people: `by operator`, or `answered 410 Gone`.
        reason: String,
    },
}

impl Webhook {
    /// Whether an event of this type goes to this webhook.
    pub fn wants(&self, event_type: &EventType) -> bool {
        self.is_enabled() && self.events.wants(event_type)
    }

    /// Whether it gets anything at all.
    pub fn is_enabled(&self) -> bool {
        self.state == WebhookState::Enabled
    }

    /// The secrets to sign with now: the current one first, then, only when `several` are allowed, those replaced but overlapping.
    pub fn signing_secrets(&self, now: Timestamp, several: bool) -> Vec<&SealedSecret> {
        let begun = || {
            self.secrets
                .iter()
                .filter(|secret| secret.signs_from <= now)
        };
        // Registered by a clock ahead of ours, the first secret has yet to begin; there is none other to sign with.
        let first = || self.secrets.iter().min_by_key(|secret| secret.signs_from);
        let Some(current) = begun()
            .max_by_key(|secret| secret.signs_from)
            .or_else(first)
        else {
            return Vec::new();
        };
        let overlapping = begun()
            .filter(|secret| several && !std::ptr::eq(*secret, current))
            .filter(|secret| secret.overlaps_until.is_some_and(|until| now < until));
        std::iter::once(current)
            .chain(overlapping)
            .map(|secret| &secret.sealed)
            .collect()
    }

    /// The URL without what may be secret in it.
    pub fn display_url(&self) -> String {
        crate::destination::redact_url(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(secrets: &[(&str, Option<&str>)]) -> Webhook {
        let at = |moment: &str| format!("2026-06-01T{moment}:00Z").parse().unwrap();
        let secret = |(from, until): &(&str, Option<&str>)| WebhookSecret {
            sealed: SealedSecret::try_new(format!("sealed:v1:k1:{}", from.replace(':', "")))
                .unwrap(),
            signs_from: at(from),
            overlaps_until: until.map(at),
        };
        Webhook {
            id: "whk_1".parse().unwrap(),
            project: "acme".parse().unwrap(),
            url: "https://example.com/".parse().unwrap(),
            events: EventFilter::All,
            profile: None,
            secrets: secrets.iter().map(secret).collect(),
            headers: Vec::new(),
            description: None,
            rate_limit: None,
            state: WebhookState::Enabled,
            created_at: at("00:00"),
            updated_at: at("00:00"),
            revision: 1,
        }
    }

    fn signing(webhook: &Webhook, now: &str, several: bool) -> Vec<String> {
        let now = format!("2026-06-01T{now}:00Z").parse().unwrap();
        let secrets = webhook.signing_secrets(now, several);
        secrets
            .iter()
            .map(|sealed| {
                sealed
                    .as_str()
                    .trim_start_matches("sealed:v1:k1:")
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn one_secret_signs_at_any_moment_unless_several_may() {
        let rotated = webhook(&[("08:00", Some("11:00")), ("10:00", None)]);
        for (now, several, expected) in [
            ("09:59", false, &["0800"][..]),
            ("10:00", false, &["1000"]),
            ("10:00", true, &["1000", "0800"]),
            ("11:00", true, &["1000"]),
        ] {
            assert_eq!(signing(&rotated, now, several), expected, "{now} {several}");
        }
    }

    #[test]
    fn a_clock_behind_the_one_that_registered_still_signs() {
        assert_eq!(
            signing(&webhook(&[("10:00", None)]), "09:59", true),
            ["1000"]
        );
        assert!(signing(&webhook(&[]), "09:59", true).is_empty());
    }
}
