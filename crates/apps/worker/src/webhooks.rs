//! Registering, changing and trying webhooks: what a command and an API call have in common.

mod import;

pub use import::{ImportedWebhook, WebhookImport, WebhookImportFault};

use bytes::Bytes;
use ringback_delivery::{
    ProfileBook, Route, build_request, judge,
    port::{Clock, Entropy, Sender, Store, StoreError, WriteAnswer},
};
use ringback_domain::{
    Attempt, AttemptNumber, AttemptOutcome, Delivery, DeliveryId, Destination, DestinationId,
    Event, EventFilter, EventId, EventSummary, EventType, Excerpt, Generation, Job, NotSentReason,
    Phases, ProfileName, ProjectName, SealedSecret, Timestamp, Trigger, Webhook, WebhookId,
    WebhookSecret, WebhookState, WorkerId,
    limits::{ROTATION_MAX, WEBHOOKS_PER_PROJECT_MAX},
};
use ringback_profile::{DestinationKind, Profile};
use ringback_sender_http::{HeaderFault, HeaderPolicy, UrlFault, UrlPolicy};
use ringback_signing::{KeyRing, NONCE_BYTES, SealedFor, Secret, SecretError, SignatureScheme};
use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc, time::Duration};

/// The webhooks of all projects, and the rules for them.
pub struct Webhooks {
    /// Where they are kept.
    pub store: Arc<dyn Store>,
    /// Seals and opens their secrets.
    pub keys: Arc<KeyRing>,
    /// The profiles, and which project has which.
    pub profiles: Arc<ProfileBook>,
    /// Which URLs may be destinations.
    pub urls: UrlPolicy,
    /// Moments of change.
    pub clock: Arc<dyn Clock>,
    /// New ids, secrets and nonces.
    pub entropy: Arc<dyn Entropy>,
}

/// A webhook to be registered.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    pub project: ProjectName,
    pub url: String,
    /// Empty: every event.
    pub events: BTreeSet<EventType>,
    pub profile: Option<ProfileName>,
    /// When the profile signs and there is none, one is made.
    pub secret: Option<Secret>,
    pub headers: Vec<(String, String)>,
    pub description: Option<String>,
    pub rate_limit: Option<NonZeroU32>,
}

/// Changes to a webhook. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WebhookChange {
    pub url: Option<String>,
    /// An empty set: every event.
    pub events: Option<BTreeSet<EventType>>,
    pub headers: Option<Vec<(String, String)>>,
    pub description: Option<String>,
    pub rate_limit: Option<Option<NonZeroU32>>,
    pub state: Option<WebhookState>,
    /// What it was when the change was thought of; one that is another by now is left alone.
    pub revision: Option<u64>,
}

/// A new secret for a webhook.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// When there is none, one is made.
    pub secret: Option<Secret>,
    /// From when it signs; from now when absent.
    pub activate_at: Option<Timestamp>,
    /// How long the replaced secret signs beside it; only where the profile allows several signatures.
    pub overlap: Option<Duration>,
}

/// A webhook with a secret that is shown this once.
#[derive(Debug)]
pub struct WithSecret {
    pub webhook: Webhook,
    /// `None` when the profile does not sign.
    pub secret: Option<Secret>,
    /// Advice about the secret, for people.
    pub advice: Option<String>,
}

/// What a test event brought.
#[derive(Debug)]
pub struct Tested {
    pub attempt: Attempt,
    /// The body that was sent.
    pub body: Bytes,
}

/// Why a webhook was not registered, changed or tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum WebhookError {
    #[error("there is no webhook {0}")]
    NotFound(WebhookId),
    #[error("project `{0}` is not configured (hint: add `[projects.{0}]` to the configuration)")]
    ProjectUnknown(ProjectName),
    #[error("there is no profile `{0}` (hint: see `ringback profiles list`)")]
    ProfileUnknown(ProfileName),
    #[error("profile `{profile}` has no event type `{event_type}`; it has {known}")]
    EventTypeUnknown {
        profile: ProfileName,
        event_type: EventType,
        known: String,
    },
    #[error("the URL is not accepted")]
    Url(#[source] UrlFault),
    #[error("the headers are not accepted")]
    Header(#[source] HeaderFault),
    #[error("the secret is not accepted")]
    Secret(#[source] SecretError),
    #[error("profile `{0}` does not sign webhooks, so there is no use for a secret")]
    NotSigned(ProfileName),
    #[error(
        "profile `{0}` sends one signature at a time (hint: leave the overlap out, and change the receiver at the moment of activation)"
    )]
    NoOverlap(ProfileName),
    #[error("the moment of activation, {0}, is over")]
    ActivationPast(Timestamp),
    #[error("the moment of activation, {0}, is further away than 90 days")]
    ActivationFar(Timestamp),
    #[error("the overlap is longer than 90 days")]
    OverlapLong,
    #[error(
        "webhook {id} already has a secret that begins to sign at {at} (hint: wait until then, or rotate at once, which takes its place)"
    )]
    RotationPending { id: WebhookId, at: Timestamp },
    #[error("project `{0}` has {WEBHOOKS_PER_PROJECT_MAX} webhooks, which is the limit")]
    TooMany(ProjectName),
    #[error(
        "webhook {0} was changed by somebody else at the same time (hint: look at it and try again)"
    )]
    Conflict(WebhookId),
    #[error("no body can be made of a test event under profile `{profile}`: {why}")]
    NoTestBody { profile: ProfileName, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Webhooks {
    /// Registers one. Every rule is checked before anything is stored.
    ///
    /// # Errors
    ///
    /// The rule that forbids it, or the store's failure.
    pub async fn add(&self, new: NewWebhook) -> Result<WithSecret, WebhookError> {
        let (name, profile) = self.profile_for(&new.project, new.profile.as_ref())?;
        let url = self.urls.parse(&new.url).map_err(WebhookError::Url)?;
        HeaderPolicy
            .check_all(&new.headers)
            .map_err(WebhookError::Header)?;
        let events = event_filter(&profile, new.events)?;
        let known = self.store.webhooks(&new.project).await?;
        if known.entries.len() + known.damaged.len() >= WEBHOOKS_PER_PROJECT_MAX {
            return Err(WebhookError::TooMany(new.project));
        }
        let id = WebhookId::from_random(self.random());
        let now = self.clock.now();
        let (secret, advice) = match (profile.signature(DestinationKind::Webhook), new.secret) {
            (Some(scheme), given) => {
                let (secret, advice) = self.secret_for(scheme, given)?;
                (Some(secret), advice)
            }
            (None, None) => (None, None),
            (None, Some(_)) => return Err(WebhookError::NotSigned(name)),
        };
        let secrets = secret.as_ref().map(|secret| WebhookSecret {
            sealed: self.seal(secret, &new.project, &id),
            signs_from: now,
            overlaps_until: None,
        });
        let headers = self.seal_headers(new.headers, &new.project, &id);
        let webhook = Webhook {
            id,
            project: new.project,
            url,
            events,
            profile: new.profile,
            secrets: secrets.into_iter().collect(),
            headers,
            description: new.description,
            rate_limit: new.rate_limit,
            state: WebhookState::Enabled,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        self.put(&webhook).await?;
        Ok(WithSecret {
            webhook,
            secret,
            advice,
        })
    }

    /// All that is wrong with a webhook to be registered, as far as it can be told without the store.
    pub fn faults_of(&self, new: &NewWebhook) -> Vec<WebhookError> {
        let mut faults = Vec::new();
        self.check_url(&new.url, &mut faults);
        check_headers(&new.headers, &mut faults);
        match self.profile_for(&new.project, new.profile.as_ref()) {
            Err(fault) => faults.push(fault),
            Ok((name, profile)) => {
                check_events(&profile, &new.events, &mut faults);
                match (profile.signature(DestinationKind::Webhook), &new.secret) {
                    (Some(scheme), Some(secret)) => check_secret(scheme, secret, &mut faults),
                    (None, Some(_)) => faults.push(WebhookError::NotSigned(name)),
                    (_, None) => {}
                }
            }
        }
        faults
    }

    /// All that is wrong with a change, as far as it can be told without the store.
    pub fn faults_of_change(&self, webhook: &Webhook, change: &WebhookChange) -> Vec<WebhookError> {
        let mut faults = Vec::new();
        if let Some(url) = &change.url {
            self.check_url(url, &mut faults);
        }
        if let Some(headers) = &change.headers {
            check_headers(headers, &mut faults);
        }
        if let Some(events) = &change.events {
            match self.profile_of(webhook) {
                Err(fault) => faults.push(fault),
                Ok((_, profile)) => check_events(&profile, events, &mut faults),
            }
        }
        faults
    }

    /// All that is wrong with a rotation, as far as it can be told without the store.
    pub fn faults_of_rotation(&self, webhook: &Webhook, rotation: &Rotation) -> Vec<WebhookError> {
        let mut faults = Vec::new();
        match self.profile_of(webhook) {
            Err(fault) => faults.push(fault),
            Ok((name, profile)) => match profile.signature(DestinationKind::Webhook) {
                None => faults.push(WebhookError::NotSigned(name)),
                Some(scheme) => {
                    if rotation.overlap.is_some() && !scheme.allows_several() {
                        faults.push(WebhookError::NoOverlap(name));
                    }
                    if let Some(secret) = &rotation.secret {
                        check_secret(scheme, secret, &mut faults);
                    }
                }
            },
        }
        faults.extend(self.check_moments(rotation).err());
        faults
    }

    fn check_moments(&self, rotation: &Rotation) -> Result<(), WebhookError> {
        let now = self.clock.now();
        match rotation.activate_at {
            Some(at) if at < now => return Err(WebhookError::ActivationPast(at)),
            Some(at) if at > now + ROTATION_MAX => return Err(WebhookError::ActivationFar(at)),
            _ => {}
        }
        if rotation
            .overlap
            .is_some_and(|overlap| overlap > ROTATION_MAX)
        {
            return Err(WebhookError::OverlapLong);
        }
        Ok(())
    }

    fn check_url(&self, url: &str, faults: &mut Vec<WebhookError>) {
        faults.extend(self.urls.parse(url).err().map(WebhookError::Url));
    }

    /// One webhook.
    ///
    /// # Errors
    ///
    /// When there is none, or the store failed.
    pub async fn get(&self, id: &WebhookId) -> Result<Webhook, WebhookError> {
        let found = self.store.webhook(id).await?;
        found.ok_or_else(|| WebhookError::NotFound(id.clone()))
    }

    /// Changes one, under the rules it was registered by.
    ///
    /// # Errors
    ///
    /// The rule that forbids it, a change by somebody else at the same time, or the store's failure.
    pub async fn change(
        &self,
        id: &WebhookId,
        change: WebhookChange,
    ) -> Result<Webhook, WebhookError> {
        let mut webhook = self.get(id).await?;
        let is_late = change
            .revision
            .is_some_and(|known| known != webhook.revision);
        if is_late {
            return Err(WebhookError::Conflict(id.clone()));
        }
        if let Some(url) = &change.url {
            webhook.url = self.urls.parse(url).map_err(WebhookError::Url)?;
        }
        if let Some(events) = change.events {
            let (_, profile) = self.profile_of(&webhook)?;
            webhook.events = event_filter(&profile, events)?;
        }
        if let Some(headers) = change.headers {
            HeaderPolicy
                .check_all(&headers)
                .map_err(WebhookError::Header)?;
            webhook.headers = self.seal_headers(headers, &webhook.project, &webhook.id);
        }
        if let Some(description) = change.description {
            webhook.description = Some(description).filter(|text| !text.is_empty());
        }
        if let Some(rate_limit) = change.rate_limit {
            webhook.rate_limit = rate_limit;
        }
        if let Some(state) = change.state {
            webhook.state = state;
        }
        self.put_changed(webhook).await
    }

    /// Gives one another secret, sealed beside the old one until the old one has no use any more. At once, it takes the place of one
    /// that waits for its moment.
    ///
    /// # Errors
    ///
    /// The rule that forbids it, a change by somebody else at the same time, or the store's failure.
    pub async fn rotate_secret(
        &self,
        id: &WebhookId,
        rotation: Rotation,
    ) -> Result<WithSecret, WebhookError> {
        let mut webhook = self.get(id).await?;
        let (name, profile) = self.profile_of(&webhook)?;
        let scheme = profile
            .signature(DestinationKind::Webhook)
            .ok_or_else(|| WebhookError::NotSigned(name.clone()))?;
        if rotation.overlap.is_some() && !scheme.allows_several() {
            return Err(WebhookError::NoOverlap(name));
        }
        self.check_moments(&rotation)?;
        let now = self.clock.now();
        let signs_from = rotation.activate_at.unwrap_or(now);
        let is_pending = |secret: &WebhookSecret| secret.signs_from > now;
        if rotation.activate_at.is_some()
            && let Some(pending) = webhook.secrets.iter().find(|secret| is_pending(secret))
        {
            let at = pending.signs_from;
            return Err(WebhookError::RotationPending { id: id.clone(), at });
        }
        // A secret that got out does not wait for the next one's moment.
        webhook.secrets.retain(|secret| !is_pending(secret));
        let (secret, advice) = self.secret_for(scheme, rotation.secret)?;
        let overlaps_until = rotation
            .overlap
            .map(|overlap| signs_from.saturating_add(overlap).unwrap_or(Timestamp::MAX));
        retire(&mut webhook.secrets, now, overlaps_until);
        webhook.secrets.push(WebhookSecret {
            sealed: self.seal(&secret, &webhook.project, &webhook.id),
            signs_from,
            overlaps_until: None,
        });
        let webhook = self.put_changed(webhook).await?;
        Ok(WithSecret {
            webhook,
            secret: Some(secret),
            advice,
        })
    }

    /// Removes one. Deliveries under way to it become dead letters.
    ///
    /// # Errors
    ///
    /// When there is none, or the store failed.
    pub async fn remove(&self, id: &WebhookId) -> Result<(), WebhookError> {
        if self.store.remove_webhook(id).await? {
            Ok(())
        } else {
            Err(WebhookError::NotFound(id.clone()))
        }
    }

    /// Sends a signed test event now. It is never retried and never becomes a dead letter.
    ///
    /// # Errors
    ///
    /// When there is no such webhook or no event to send. What the destination answered is no error.
    pub async fn test(
        &self,
        id: &WebhookId,
        sender: &dyn Sender,
        worker: WorkerId,
    ) -> Result<Tested, WebhookError> {
        let webhook = self.get(id).await?;
        let (name, profile) = self.profile_of(&webhook)?;
        let started_at = self.clock.now();
        let delivery = test_delivery(&webhook, name, &profile, self.random(), started_at)?;
        let attempt = Attempt {
            generation: Generation::FIRST,
            number: AttemptNumber::FIRST,
            trigger: Trigger::Test,
            started_at,
            worker,
            phases: Phases::default(),
            address: None,
            outcome: AttemptOutcome::NotSent(NotSentReason::SecretUnreadable),
            cut_off: None,
            excerpt: Excerpt::default(),
        };
        let attempt = match self.test_request(&delivery, &webhook, &profile) {
            Err(reason) => Attempt {
                outcome: AttemptOutcome::NotSent(reason),
                ..attempt
            },
            Ok(request) => {
                let exchange = sender.send(request).await;
                let rules = profile.rules(DestinationKind::Webhook);
                Attempt {
                    outcome: judge(&exchange, rules, self.clock.now()),
                    phases: exchange.phases,
                    address: exchange.address,
                    cut_off: exchange.cut_off,
                    excerpt: exchange
                        .result
                        .map(|answer| answer.excerpt)
                        .unwrap_or_default(),
                    ..attempt
                }
            }
        };
        Ok(Tested {
            attempt,
            body: delivery.body,
        })
    }

    fn test_request(
        &self,
        delivery: &Delivery,
        webhook: &Webhook,
        profile: &Profile,
    ) -> Result<ringback_delivery::port::Request, NotSentReason> {
        let now = self.clock.now();
        let route = Route::open(delivery, Some(webhook), profile, &self.keys, now)?;
        build_request(delivery, profile, &route, now)
    }

    /// The profile that applies to a webhook: its own, or its project's.
    ///
    /// # Errors
    ///
    /// Project or profile is not configured.
    pub fn profile_of(
        &self,
        webhook: &Webhook,
    ) -> Result<(ProfileName, Arc<Profile>), WebhookError> {
        self.profile_for(&webhook.project, webhook.profile.as_ref())
    }

    fn profile_for(
        &self,
        project: &ProjectName,
        overriding: Option<&ProfileName>,
    ) -> Result<(ProfileName, Arc<Profile>), WebhookError> {
        let own = self.profiles.of_project(project);
        let (name, profile) = own.map_err(|unknown| WebhookError::ProjectUnknown(unknown.0))?;
        let Some(name) = overriding else {
            return Ok((name.clone(), profile.clone()));
        };
        let profile = self.profiles.profile(name);
        let profile = profile.ok_or_else(|| WebhookError::ProfileUnknown(name.clone()))?;
        Ok((name.clone(), profile.clone()))
    }

    fn secret_for(
        &self,
        scheme: &SignatureScheme,
        given: Option<Secret>,
    ) -> Result<(Secret, Option<String>), WebhookError> {
        let secret = given.unwrap_or_else(|| scheme.new_secret(&self.random()));
        let advice = scheme.check_secret(&secret).map_err(WebhookError::Secret)?;
        Ok((secret, advice))
    }

    fn seal(&self, secret: &Secret, project: &ProjectName, id: &WebhookId) -> SealedSecret {
        let nonce: [u8; NONCE_BYTES] = self.random();
        self.keys
            .seal(secret, &SealedFor::webhook(project, id), nonce)
    }

    fn seal_headers(
        &self,
        headers: Vec<(String, String)>,
        project: &ProjectName,
        id: &WebhookId,
    ) -> Vec<(String, String)> {
        let place = SealedFor::webhook_header(project, id);
        let seal = |(name, value): (String, String)| {
            // An empty value is no secret, and the only text that cannot be one.
            let sealed =
                Secret::try_new(value).map(|value| self.keys.seal(&value, &place, self.random()));
            let kept = sealed.map_or_else(|_| String::new(), |sealed| sealed.as_str().to_owned());
            (name, kept)
        };
        headers.into_iter().map(seal).collect()
    }

    fn random<const BYTES: usize>(&self) -> [u8; BYTES] {
        let mut random = [0; BYTES];
        self.entropy.fill(&mut random);
        random
    }

    async fn put_changed(&self, mut webhook: Webhook) -> Result<Webhook, WebhookError> {
        webhook.updated_at = self.clock.now();
        webhook.revision += 1;
        self.put(&webhook).await?;
        Ok(webhook)
    }

    async fn put(&self, webhook: &Webhook) -> Result<(), WebhookError> {
        match self.store.put_webhook(webhook).await? {
            WriteAnswer::Written => Ok(()),
            WriteAnswer::Conflict => Err(WebhookError::Conflict(webhook.id.clone())),
        }
    }
}

/// A test event on its way to a webhook, with its body made.
///
/// # Errors
///
/// [`WebhookError::NoTestBody`].
pub fn test_delivery(
    webhook: &Webhook,
    name: ProfileName,
    profile: &Profile,
    random: [u8; 16],
    now: Timestamp,
) -> Result<Delivery, WebhookError> {
    let event = test_event(webhook, profile, random, now);
    let rendered = profile
        .render(DestinationKind::Webhook, &event)
        .map_err(|why| WebhookError::NoTestBody {
            profile: name.clone(),
            why: why.to_string(),
        })?;
    Ok(Delivery {
        id: DeliveryId::derive(
            &event.project,
            &event.id,
            &DestinationId::webhook(&webhook.id),
        ),
        event: EventSummary::of(&event, now),
        accepted_at: Some(now),
        destination: Destination::Webhook {
            id: webhook.id.clone(),
            url: webhook.url.clone(),
        },
        profile: name,
        generation: Generation::FIRST,
        attempt: AttemptNumber::FIRST,
        due_at: None,
        deferral: None,
        history: Vec::new(),
        detour: None,
        trace: None,
        body: rendered.body,
    })
}

/// An event such as the webhook's own, recognisable by its ids and `data.test`.
fn test_event(webhook: &Webhook, profile: &Profile, random: [u8; 16], now: Timestamp) -> Event {
    let wanted = match &webhook.events {
        EventFilter::Only(types) => types.first(),
        EventFilter::All => None,
    };
    let first_known = || profile.event_types().and_then(BTreeSet::first);
    let event_type = wanted.or_else(first_known).cloned();
    let event_type = event_type.unwrap_or_else(|| "webhook.test".parse().expect("a type"));
    let suffix = WebhookId::from_random(random);
    let suffix = suffix.as_str().trim_start_matches("whk_");
    let id = format!("evt_test_{suffix}");
    let job = format!("job_test_{suffix}");
    let document = format!(
        r#"{{"id":"{id}","project":"{project}","type":"{event_type}","occurred_at":"{now:.3}","job":{{"id":"{job}","kind":"test","status":"completed","output":{{}},"error":null,"created_at":"{now:.3}","completed_at":"{now:.3}"}},"data":{{"test":true}}}}"#,
        project = webhook.project,
    );
    let id: EventId = id.parse().expect("an id");
    Event {
        id,
        project: webhook.project.clone(),
        event_type,
        occurred_at: Some(now),
        accepted_at: None,
        job: Job {
            id: job.parse().expect("a job's id"),
            kind: Some("test".to_owned()),
            status: Some("completed".to_owned()),
        },
        callback: None,
        document: document.into(),
    }
}

/// Keeps of the old secrets what may still sign: the current one, until its successor begins, and those overlapping.
fn retire(secrets: &mut Vec<WebhookSecret>, now: Timestamp, overlaps_until: Option<Timestamp>) {
    let current = secrets.iter().map(|secret| secret.signs_from).max();
    secrets.retain(|secret| {
        Some(secret.signs_from) == current || secret.overlaps_until.is_some_and(|until| until > now)
    });
    for secret in secrets {
        if Some(secret.signs_from) == current {
            secret.overlaps_until = overlaps_until;
        }
    }
}

fn check_headers(headers: &[(String, String)], faults: &mut Vec<WebhookError>) {
    let each = headers
        .iter()
        .filter_map(|(name, value)| HeaderPolicy.check(name, value).err());
    let before = faults.len();
    faults.extend(each.map(WebhookError::Header));
    if faults.len() == before {
        // Each is accepted; all together may be too many.
        let all = HeaderPolicy.check_all(headers);
        faults.extend(all.err().map(WebhookError::Header));
    }
}

fn check_events(profile: &Profile, events: &BTreeSet<EventType>, faults: &mut Vec<WebhookError>) {
    let each = events
        .iter()
        .map(|event_type| event_filter(profile, BTreeSet::from([event_type.clone()])));
    faults.extend(each.filter_map(Result::err));
}

fn check_secret(scheme: &SignatureScheme, secret: &Secret, faults: &mut Vec<WebhookError>) {
    let checked = scheme.check_secret(secret);
    faults.extend(checked.err().map(WebhookError::Secret));
}

fn event_filter(
    profile: &Profile,
    events: BTreeSet<EventType>,
) -> Result<EventFilter, WebhookError> {
    if let Some(unknown) = events.iter().find(|event_type| !profile.knows(event_type)) {
        let known: Vec<_> = profile
            .event_types()
            .into_iter()
            .flatten()
            .map(EventType::as_str)
            .collect();
        return Err(WebhookError::EventTypeUnknown {
            profile: profile.name().clone(),
            event_type: unknown.clone(),
            known: known.join(", "),
        });
    }
    Ok(if events.is_empty() {
        EventFilter::All
    } else {
        EventFilter::Only(events)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(signs_from: &str, overlaps_until: Option<&str>) -> WebhookSecret {
        WebhookSecret {
            sealed: SealedSecret::try_new(format!("{}k1:{signs_from}", SealedSecret::PREFIX))
                .unwrap(),
            signs_from: signs_from.parse().unwrap(),
            overlaps_until: overlaps_until.map(|until| until.parse().unwrap()),
        }
    }

    #[test]
    fn of_the_old_secrets_only_those_stay_that_may_still_sign() {
        let now = "2026-06-01T10:00:00Z".parse().unwrap();
        let mut secrets = vec![
            secret("2026-01-01T00:00:00Z", Some("2026-06-01T09:00:00Z")),
            secret("2026-05-31T00:00:00Z", Some("2026-06-01T11:00:00Z")),
            secret("2026-06-01T09:30:00Z", None),
        ];
        let overlaps_until = "2026-06-01T12:00:00Z".parse().ok();
        retire(&mut secrets, now, overlaps_until);
        assert_eq!(
            secrets,
            [
                secret("2026-05-31T00:00:00Z", Some("2026-06-01T11:00:00Z")),
                secret("2026-06-01T09:30:00Z", Some("2026-06-01T12:00:00Z")),
            ]
        );
    }

    #[test]
    fn a_webhook_cannot_want_what_its_profile_never_sends() {
        let hooked = Profile::builtin("hooked").unwrap();
        let types = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        assert_eq!(
            event_filter(&hooked, BTreeSet::new()).unwrap(),
            EventFilter::All
        );
        assert!(event_filter(&hooked, types(&["project.failed"])).is_ok());
        let refused =
            event_filter(&hooked, types(&["project.failed", "task.completed"])).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "profile `hooked` has no event type `task.completed`; it has project.completed, project.failed"
        );
    }
}
