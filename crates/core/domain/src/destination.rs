//! Where deliveries go.

use crate::{DestinationId, ProjectName, WebhookId};
use secrecy::SecretString;
use std::fmt;
use url::Url;

/// A secret in its sealed form, `sealed:v1:<key id>:<base64>`; safe to store and to publish.
///
/// Opened by the key ring of `ringback-signing`, only for the project and destination it was sealed for.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(String);

impl SealedSecret {
    /// What every sealed secret begins with.
    pub const PREFIX: &'static str = "sealed:v1:";

    /// Takes a sealed text; `None` when it does not have the form.
    pub fn try_new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let (key_id, payload) = text.strip_prefix(Self::PREFIX)?.split_once(':')?;
        (!key_id.is_empty() && !payload.is_empty()).then_some(Self(text))
    }

    /// The sealed text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

/// A destination named by the job itself, frozen with the event.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Where to send.
    pub url: Url,
    /// What to sign with, when the job gave one.
    pub secret: Option<CallbackSecret>,
}

/// A callback's secret as it arrived.
#[derive(Debug, Clone)]
pub enum CallbackSecret {
    /// Sealed by the producer, the normal case.
    Sealed(SealedSecret),
    /// In plain text: refused over the broker unless the configuration allows it, and sealed before it goes any further.
    Plain(SecretString),
}

/// Where one delivery goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A registered webhook. Its URL and secret are read fresh for every attempt.
    Webhook {
        /// Which.
        id: WebhookId,
        /// Its URL when the event was dispatched; for display only.
        url: Url,
    },
    /// The job's callback, frozen with the event.
    Callback {
        /// Where to send.
        url: Url,
        /// What to sign with.
        secret: Option<SealedSecret>,
    },
}

impl Destination {
    /// The destination's id: what its deliveries have in common.
    pub fn id(&self) -> DestinationId {
        match self {
            Self::Webhook { id, .. } => DestinationId::webhook(id),
            Self::Callback { url, .. } => DestinationId::callback(url.as_str()),
        }
    }

    /// What a project's callbacks to one host have in common. A webhook shares its host with nobody: it is known by itself.
    pub fn host_id(&self, project: &ProjectName) -> Option<DestinationId> {
        match self {
            Self::Webhook { .. } => None,
            Self::Callback { url, .. } => Some(DestinationId::callbacks_to_host(project, url)),
        }
    }

    /// The URL as known to the delivery.
    pub fn url(&self) -> &Url {
        match self {
            Self::Webhook { url, .. } | Self::Callback { url, .. } => url,
        }
    }

    /// The URL without query, fragment and userinfo: tokens sit there, so this is what logs and lists show.
    pub fn display_url(&self) -> String {
        redact_url(self.url())
    }
}

/// Scheme, host, port and path of a URL.
pub(crate) fn redact_url(url: &Url) -> String {
    let mut shown = url.clone();
    let had_query = shown.query().is_some();
    shown.set_query(None);
    shown.set_fragment(None);
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    if had_query {
        format!("{shown}?…")
    } else {
        shown.into()
    }
}
