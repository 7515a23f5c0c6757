//! Webhooks as they are shown: without secrets, and without the values of added headers.

use super::AttemptView;
use jiff::Timestamp;
use ringback_domain::{AttemptOutcome, EventFilter, Webhook, WebhookState};
use ringback_worker::webhooks::{Tested, WithSecret};
use serde::Serialize;
use utoipa::ToSchema;

/// A registered destination of a project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    pub id: String,
    pub project: String,
    /// Without its query: tokens stand there.
    pub url: String,
    /// Null: every event.
    #[schema(required)]
    pub events: Option<Vec<String>>,
    /// Null: the project's.
    #[schema(required)]
    pub profile: Option<String>,
    /// Those that sign, and one that will; never the secrets themselves.
    pub secrets: Vec<SecretView>,
    /// Names only.
    pub headers: Vec<String>,
    #[schema(required)]
    pub description: Option<String>,
    /// Attempts a second; null: no limit.
    #[schema(required)]
    pub rate_limit: Option<u32>,
    pub enabled: bool,
    #[schema(required)]
    pub disabled_because: Option<String>,
    #[schema(required)]
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Raised by one with every change.
    pub revision: u64,
}

/// When a secret signs; never the secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub struct SecretView {
    pub signs_from: Timestamp,
    /// Once replaced, until when it signs beside its successor.
    #[schema(required)]
    pub overlaps_until: Option<Timestamp>,
}

/// A webhook, and its secret this once.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
pub struct WebhookWithSecretView {
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// Absent when the profile does not sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub secret: Option<String>,
    /// Advice about the secret, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub advice: Option<String>,
}

impl From<WithSecret> for WebhookWithSecretView {
    fn from(done: WithSecret) -> Self {
        Self {
            webhook: WebhookView::from(&done.webhook),
            secret: done.secret.map(|secret| secret.expose().to_owned()),
            advice: done.advice,
        }
    }
}

/// What a test event brought.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tested)]
pub struct TestedView {
    /// Whether the destination accepted it.
    pub accepted: bool,
    pub attempt: AttemptView,
    /// The body that was sent.
    pub body: String,
}

impl From<&Tested> for TestedView {
    fn from(tested: &Tested) -> Self {
        Self {
            accepted: matches!(tested.attempt.outcome, AttemptOutcome::Accepted { .. }),
            attempt: AttemptView::from(&tested.attempt),
            body: String::from_utf8_lossy(&tested.body).into_owned(),
        }
    }
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
