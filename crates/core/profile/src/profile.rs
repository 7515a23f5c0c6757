//! A profile, read and checked.

use crate::{
    ProfileFault, RenderError,
    body::Filter,
    builtin::BUILTIN,
    header::{HeaderContext, Template, diagnostic_headers},
    reading,
};
use bytes::Bytes;
use ringback_domain::{
    Callback, DeliveryRules, Destination, Event, EventType, ProfileName,
    limits::{BODY_BYTES_MAX, BODY_BYTES_WARN, JSON_DEPTH_MAX},
};
use ringback_json::Limits;
use ringback_signing::SignatureScheme;
use std::{borrow::Cow, collections::BTreeSet, fmt, time::Duration};

/// A platform's contract with its receivers.
pub struct Profile {
    pub(crate) name: ProfileName,
    pub(crate) source: Cow<'static, str>,
    pub(crate) description: Option<String>,
    pub(crate) event_types: Option<BTreeSet<EventType>>,
    pub(crate) payload_age_max: Option<Duration>,
    pub(crate) webhook: Contract,
    pub(crate) callback: Contract,
}

/// Which of a profile's two contracts applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DestinationKind {
    /// A registered destination of a project.
    Webhook,
    /// A destination named by the job itself.
    Callback,
}

/// What holds for one kind of destination.
pub(crate) struct Contract {
    pub(crate) body: Filter,
    pub(crate) body_form: BodyForm,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) signature: Option<SignatureScheme>,
    /// Webhooks with a signature always have one.
    pub(crate) requires_secret: bool,
    pub(crate) rules: DeliveryRules,
    pub(crate) sends_diagnostics: bool,
}

/// How the body is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyForm {
    /// Numbers, strings and the order of members are those of the event.
    #[default]
    AsGiven,
    /// `JSON.stringify(JSON.parse(body))` returns the same bytes; what that would change in value is refused.
    EcmascriptFixedPoint,
}

/// A body, ready to be signed and sent in every attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The bytes.
    pub body: Bytes,
    /// Longer than [`BODY_BYTES_WARN`]: many receivers refuse it.
    pub large: bool,
}

impl Profile {
    /// Reads a profile. `name` is what projects and webhooks call it by.
    ///
    /// # Errors
    ///
    /// Every fault of the text, in the order of its lines.
    pub fn from_toml(name: ProfileName, text: &str) -> Result<Self, Vec<ProfileFault>> {
        reading::read(name, Cow::Owned(text.to_owned()))
    }

    /// A profile that comes along; nothing for any other name.
    ///
    /// # Panics
    ///
    /// Never: the tests read them all.
    pub fn builtin(name: &str) -> Option<Self> {
        let (name, source) = BUILTIN.into_iter().find(|(builtin, _)| *builtin == name)?;
        let name = name.parse().expect("a built-in name");
        Some(
            reading::read(name, Cow::Borrowed(source))
                .expect("a built-in profile is free of faults"),
        )
    }

    /// The text of a profile that comes along.
    pub fn builtin_source(name: &str) -> Option<&'static str> {
        BUILTIN
            .into_iter()
            .find(|(builtin, _)| *builtin == name)
            .map(|(_, source)| source)
    }

    /// The same contract with every wait before a retry multiplied: for demonstrations of long schedules.
    #[must_use]
    pub fn with_waits_scaled(mut self, factor: f64) -> Self {
        for contract in [&mut self.webhook, &mut self.callback] {
            contract.rules.retry = contract.rules.retry.scaled(factor);
        }
        self
    }

    /// What projects and webhooks call it by.
    pub fn name(&self) -> &ProfileName {
        &self.name
    }

    /// For people.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The text it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The event types it knows; nothing when it takes all.
    pub fn event_types(&self) -> Option<&BTreeSet<EventType>> {
        self.event_types.as_ref()
    }

    /// Whether there can be events of this type: a webhook for any other would never get one.
    pub fn knows(&self, event_type: &EventType) -> bool {
        self.event_types
            .as_ref()
            .is_none_or(|types| types.contains(event_type))
    }

    /// How long after the event its body is of any use: links in it may die. A replay later than that deserves a warning.
    pub fn payload_age_max(&self) -> Option<Duration> {
        self.payload_age_max
    }

    /// What counts as delivered, and when to try again.
    pub fn rules(&self, kind: DestinationKind) -> &DeliveryRules {
        &self.contract(kind).rules
    }

    /// How requests are signed; nothing when they are not.
    pub fn signature(&self, kind: DestinationKind) -> Option<&SignatureScheme> {
        self.contract(kind).signature.as_ref()
    }

    /// Whether a callback without a secret is refused rather than sent unsigned.
    pub fn requires_secret(&self) -> bool {
        self.contract(DestinationKind::Callback).requires_secret
    }

    /// How the body is spelled.
    pub fn body_form(&self, kind: DestinationKind) -> BodyForm {
        self.contract(kind).body_form
    }

    /// Whether receivers get headers that no platform promises: which attempt it is, and its trace.
    pub fn sends_diagnostics(&self, kind: DestinationKind) -> bool {
        self.contract(kind).sends_diagnostics
    }

    /// Makes the body of an event, once for all attempts.
    ///
    /// # Errors
    ///
    /// [`RenderError`] names the member and the limit; the event cannot be delivered under this profile.
    pub fn render(&self, kind: DestinationKind, event: &Event) -> Result<Rendered, RenderError> {
        if !self.knows(&event.event_type) {
            let known: Vec<_> = self
                .event_types
                .iter()
                .flatten()
                .map(EventType::as_str)
                .collect();
            return Err(RenderError::EventType {
                event_type: event.event_type.clone(),
                known: known.join(", "),
            });
        }
        let contract = self.contract(kind);
        if let (DestinationKind::Callback, Some(Callback { secret: None, .. })) =
            (kind, &event.callback)
            && contract.requires_secret
        {
            return Err(RenderError::NoSecret);
        }
        let mut body = contract.body.run(&event.document)?;
        if contract.body_form == BodyForm::EcmascriptFixedPoint {
            let limits = Limits {
                bytes_max: BODY_BYTES_MAX,
                depth_max: JSON_DEPTH_MAX,
            };
            body = ringback_json::fixed_point(&body, limits).map_err(RenderError::of_body)?;
            if body.len() > BODY_BYTES_MAX {
                return Err(RenderError::TooLong);
            }
        }
        Ok(Rendered {
            large: body.len() > BODY_BYTES_WARN,
            body: body.into(),
        })
    }

    /// The headers of one attempt, besides the signature and those that every request has.
    pub fn headers(
        &self,
        kind: DestinationKind,
        context: &HeaderContext<'_>,
    ) -> Vec<(String, String)> {
        let contract = self.contract(kind);
        let own = contract.headers.iter();
        let mut headers: Vec<_> = own
            .map(|(name, value)| (name.clone(), value.fill(context)))
            .collect();
        if contract.sends_diagnostics {
            for (name, value) in diagnostic_headers() {
                // A profile may promise one of them under its own terms.
                if !headers
                    .iter()
                    .any(|(taken, _)| taken.eq_ignore_ascii_case(name))
                {
                    headers.push((name.to_owned(), value.fill(context)));
                }
            }
        }
        headers
    }

    fn contract(&self, kind: DestinationKind) -> &Contract {
        match kind {
            DestinationKind::Webhook => &self.webhook,
            DestinationKind::Callback => &self.callback,
        }
    }
}

impl DestinationKind {
    /// The kind of a destination.
    pub fn of(destination: &Destination) -> Self {
        match destination {
            Destination::Webhook { .. } => Self::Webhook,
            Destination::Callback { .. } => Self::Callback,
        }
    }

    /// `webhook` or `callback`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Callback => "callback",
        }
    }
}

impl fmt::Display for DestinationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_a_profile() {
        fn shared<T: Send + Sync>() {}
        shared::<Profile>();
    }
}
