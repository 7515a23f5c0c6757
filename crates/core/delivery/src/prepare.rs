//! From a delivery to a signed request.

use crate::port::{Request, Tracing};
use ringback_domain::{
    Delivery, Destination, Detour, NotSentReason, SealedSecret, Timestamp, Webhook,
};
use ringback_profile::{DestinationKind, HeaderContext, Profile};
use ringback_signing::{KeyRing, OpenError, SealedFor, Secret, Signable};
use url::Url;

/// Where an attempt goes and what it is signed with, as of now: a webhook's URL and secrets are read fresh, a callback's
/// are frozen with the event. A replay may take a detour.
pub struct Route<'a> {
    kind: DestinationKind,
    url: &'a Url,
    secrets: Vec<Secret>,
    /// Headers the webhook adds, after the profile's own.
    added_headers: Vec<(&'a str, String)>,
}

impl<'a> Route<'a> {
    /// Opens what is needed to send to the delivery's destination; `webhook` is the webhook as it is now, when it is one.
    pub fn open(
        delivery: &'a Delivery,
        webhook: Option<&'a Webhook>,
        profile: &Profile,
        keys: &KeyRing,
        now: Timestamp,
    ) -> Result<Self, NotSentReason> {
        let project = &delivery.event.project;
        match (&delivery.destination, webhook) {
            (Destination::Callback { url, secret }, _) => {
                let sealed: Vec<_> = secret.iter().collect();
                let secrets = open_all(keys, &sealed, &SealedFor::callback(project, url))?;
                Ok(Self {
                    kind: DestinationKind::Callback,
                    url,
                    secrets,
                    added_headers: Vec::new(),
                })
            }
            (Destination::Webhook { .. }, Some(webhook)) if webhook.project == *project => {
                let route = Self::to_webhook(webhook, profile, keys, now)?;
                Ok(match &delivery.detour {
                    Some(Detour::OriginalUrl) => Self {
                        url: delivery.destination.url(),
                        ..route
                    },
                    Some(Detour::InsteadOf(_)) | None => route,
                })
            }
            (Destination::Webhook { .. }, _) => Err(NotSentReason::DestinationGone),
        }
    }

    /// The way to a receiver that is not registered, with its secrets in the open: for trying it.
    pub fn unregistered(url: &'a Url, secrets: Vec<Secret>) -> Self {
        Self {
            kind: DestinationKind::Webhook,
            url,
            secrets,
            added_headers: Vec::new(),
        }
    }

    fn to_webhook(
        webhook: &'a Webhook,
        profile: &Profile,
        keys: &KeyRing,
        now: Timestamp,
    ) -> Result<Self, NotSentReason> {
        let kind = DestinationKind::Webhook;
        let several = profile
            .signature(kind)
            .is_some_and(ringback_signing::SignatureScheme::allows_several);
        let sealed = webhook.signing_secrets(now, several);
        let secrets = open_all(
            keys,
            &sealed,
            &SealedFor::webhook(&webhook.project, &webhook.id),
        )?;
        let place = SealedFor::webhook_header(&webhook.project, &webhook.id);
        let added_headers = webhook.headers.iter().map(|(name, value)| {
            let value = match SealedSecret::try_new(value) {
                Some(sealed) => open(keys, &sealed, &place)?.expose().to_owned(),
                None => value.clone(),
            };
            Ok((name.as_str(), value))
        });
        Ok(Self {
            kind,
            url: &webhook.url,
            secrets,
            added_headers: added_headers.collect::<Result<_, _>>()?,
        })
    }
}

/// Whether the keys open what is kept sealed with a webhook: the secrets that sign now or will, and the values of its headers.
///
/// # Errors
///
/// What keeps the first of them shut.
pub fn check_sealed(webhook: &Webhook, keys: &KeyRing, now: Timestamp) -> Result<(), OpenError> {
    let later = webhook
        .secrets
        .iter()
        .filter(|secret| secret.signs_from > now);
    let later = later.map(|secret| &secret.sealed);
    let place = SealedFor::webhook(&webhook.project, &webhook.id);
    for sealed in webhook.signing_secrets(now, true).into_iter().chain(later) {
        keys.open(sealed, &place)?;
    }
    let place = SealedFor::webhook_header(&webhook.project, &webhook.id);
    for (_, value) in &webhook.headers {
        if let Some(sealed) = SealedSecret::try_new(value) {
            keys.open(&sealed, &place)?;
        }
    }
    Ok(())
}

fn open_all(
    keys: &KeyRing,
    sealed: &[&SealedSecret],
    place: &SealedFor<'_>,
) -> Result<Vec<Secret>, NotSentReason> {
    sealed
        .iter()
        .map(|sealed| open(keys, sealed, place))
        .collect()
}

fn open(
    keys: &KeyRing,
    sealed: &SealedSecret,
    place: &SealedFor<'_>,
) -> Result<Secret, NotSentReason> {
    keys.open(sealed, place).map_err(|error| {
        tracing::warn!(
            error = &error as &(dyn std::error::Error + 'static),
            "could not open a secret"
        );
        NotSentReason::SecretUnreadable
    })
}

/// Builds the signed request of an attempt made now.
///
/// A webhook whose profile signs is never sent unsigned; a callback without a secret is, unless its profile requires one.
///
/// # Errors
///
/// When a signature is due and cannot be made.
pub fn build_request(
    delivery: &Delivery,
    profile: &Profile,
    route: &Route<'_>,
    now: Timestamp,
) -> Result<Request, NotSentReason> {
    let context = HeaderContext {
        event_id: &delivery.event.id,
        event_type: &delivery.event.event_type,
        job_id: &delivery.event.job.id,
        delivery_id: &delivery.id,
        attempt: delivery.attempt,
        timestamp_seconds: now.as_second(),
    };
    let mut headers = profile.headers(route.kind, &context);
    // One that needs a secret and has lost it, as by an export, is not sent: there is nothing to sign with.
    let unsigned_callback = route.kind == DestinationKind::Callback
        && route.secrets.is_empty()
        && !profile.requires_secret();
    if let Some(scheme) = profile.signature(route.kind).filter(|_| !unsigned_callback) {
        let signable = Signable {
            id: delivery.event.id.as_str(),
            timestamp_seconds: now.as_second(),
            body: &delivery.body,
        };
        let value = scheme
            .sign(&route.secrets, signable)
            .map_err(|_| NotSentReason::SecretUnreadable)?;
        headers.push((scheme.header().to_owned(), value));
    }
    // The profile's headers come last in effect: an added header never replaces one of ours.
    let ours = headers.len();
    for (name, value) in &route.added_headers {
        if !headers[..ours]
            .iter()
            .any(|(taken, _)| taken.eq_ignore_ascii_case(name))
        {
            headers.push(((*name).to_owned(), value.clone()));
        }
    }
    Ok(Request {
        url: route.url.clone(),
        headers,
        body: delivery.body.clone(),
        time_limit: profile.rules(route.kind).time_limit,
        tracing: Tracing {
            delivery: delivery.id.clone(),
            generation: delivery.generation,
            attempt: delivery.attempt,
            trace: delivery.trace.clone(),
            is_told: profile.sends_diagnostics(route.kind),
        },
    })
}
