//! Keys as they are shown: without what they are recognised by.

use jiff::Timestamp;
use ringback_domain::ApiKey;
use ringback_worker::keys::WithText;
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

/// A key to the API.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyView {
    pub id: String,
    /// Null for a key of the operator.
    #[schema(required)]
    pub project: Option<String>,
    /// Of `publish`, `read` and `manage`.
    pub scopes: Vec<String>,
    #[schema(required)]
    pub description: Option<String>,
    pub created_at: Timestamp,
    #[schema(required)]
    pub expires_at: Option<Timestamp>,
    #[schema(required)]
    pub revoked_at: Option<Timestamp>,
    /// To the minute.
    #[schema(required)]
    pub last_used_at: Option<Timestamp>,
}

/// A key, and its text this once.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyWithText)]
pub struct KeyWithTextView {
    #[serde(flatten)]
    pub key: KeyView,
    /// `rb_<id>_<secret>`: what calls carry.
    pub text: String,
}

impl From<&WithText> for KeyWithTextView {
    fn from(made: &WithText) -> Self {
        Self {
            key: KeyView::from(&made.key),
            text: made.text.expose_secret().to_owned(),
        }
    }
}

impl From<&ApiKey> for KeyView {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            project: key.owner.project().map(ToString::to_string),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            description: key.description.clone(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
        }
    }
}
