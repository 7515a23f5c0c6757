//! Webhooks as they are shown: without secrets, and without the values of added headers.

use super::{ListView, moment};
use crate::terminal::{facts, table};
use jiff::Timestamp;
use ringback_domain::{EventFilter, Webhook, WebhookState};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct WebhookView {
    pub(crate) id: String,
    pub(crate) project: String,
    pub(crate) url: String,
    /// Absent: every event.
    pub(crate) events: Option<Vec<String>>,
    pub(crate) profile: Option<String>,
    pub(crate) secrets: Vec<SecretView>,
    /// Names only.
    pub(crate) headers: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) rate_limit: Option<u32>,
    pub(crate) enabled: bool,
    pub(crate) disabled_because: Option<String>,
    pub(crate) disabled_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) revision: u64,
}

/// When a secret signs; never the secret.
#[derive(Serialize)]
pub(crate) struct SecretView {
    signs_from: Timestamp,
    overlaps_until: Option<Timestamp>,
}

impl From<&Webhook> for WebhookView {
    fn from(webhook: &Webhook) -> Self {
        let (disabled_at, disabled_because) = match &webhook.state {
            WebhookState::Enabled => (None, None),
            WebhookState::Disabled { at, reason } => (Some(*at), Some(reason.clone())),
        };
        Self {
            id: webhook.id.to_string(),
            project: webhook.project.to_string(),
            url: webhook.display_url(),
            events: match &webhook.events {
                EventFilter::All => None,
                EventFilter::Only(types) => Some(types.iter().map(ToString::to_string).collect()),
            },
            profile: webhook.profile.as_ref().map(ToString::to_string),
            secrets: webhook
                .secrets
                .iter()
                .map(|secret| SecretView {
                    signs_from: secret.signs_from,
                    overlaps_until: secret.overlaps_until,
                })
                .collect(),
            headers: webhook
                .headers
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            description: webhook.description.clone(),
            rate_limit: webhook.rate_limit.map(std::num::NonZeroU32::get),
            enabled: webhook.is_enabled(),
            disabled_because,
            disabled_at,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
            revision: webhook.revision,
        }
    }
}

fn events(webhook: &WebhookView) -> String {
    match &webhook.events {
        None => "all".to_owned(),
        Some(types) => types.join(", "),
    }
}

pub(crate) fn webhooks_table(list: &ListView<WebhookView>) -> String {
    if list.data.is_empty() {
        return "no webhooks".to_owned();
    }
    let rows = list.data.iter().map(|webhook| {
        [
            webhook.id.clone(),
            webhook.project.clone(),
            webhook.url.clone(),
            events(webhook),
            webhook.profile.clone().unwrap_or_default(),
            if webhook.enabled {
                "enabled"
            } else {
                "disabled"
            }
            .to_owned(),
            moment(webhook.updated_at),
        ]
    });
    table(
        [
            "ID",
            "PROJECT",
            "URL",
            "EVENTS",
            "PROFILE",
            "STATE",
            "CHANGED (UTC)",
        ],
        rows,
    )
}

pub(crate) fn webhook_facts(webhook: &WebhookView) -> String {
    let state = match (&webhook.disabled_because, webhook.disabled_at) {
        (Some(reason), Some(at)) => format!("disabled since {}: {reason}", moment(at)),
        _ => "enabled".to_owned(),
    };
    let mut lines = vec![
        ("webhook", webhook.id.clone()),
        ("project", webhook.project.clone()),
        ("url", webhook.url.clone()),
        ("events", events(webhook)),
        (
            "profile",
            webhook
                .profile
                .clone()
                .unwrap_or_else(|| "the project's".to_owned()),
        ),
        ("state", state),
    ];
    for secret in &webhook.secrets {
        let overlap = secret
            .overlaps_until
            .map(|until| format!(", beside its successor until {}", moment(until)));
        lines.push((
            "secret",
            format!(
                "signs from {}{}",
                moment(secret.signs_from),
                overlap.unwrap_or_default()
            ),
        ));
    }
    if !webhook.headers.is_empty() {
        lines.push(("headers", webhook.headers.join(", ")));
    }
    lines.extend(
        webhook
            .description
            .clone()
            .map(|text| ("description", text)),
    );
    lines.extend(
        webhook
            .rate_limit
            .map(|limit| ("rate limit", format!("{limit} attempts a second"))),
    );
    lines.push(("created", moment(webhook.created_at)));
    lines.push((
        "changed",
        format!(
            "{}, revision {}",
            moment(webhook.updated_at),
            webhook.revision
        ),
    ));
    facts(lines)
}
