//! Publishing events from outside: everything that can be told beforehand is told before anything is queued.

use bytes::Bytes;
use ringback_delivery::{
    ProfileBook, UnknownProject, WebhookCache,
    port::{Clock, Entropy, Queue, QueueError, Store, StoreError},
};
use ringback_domain::{
    Callback, CallbackSecret, Event, EventId, ProfileName, ProjectName, TraceContext,
};
use ringback_profile::{DestinationKind, Profile, RenderError};
use ringback_sender_http::{UrlFault, UrlPolicy};
use ringback_signing::{KeyRing, NONCE_BYTES, OpenError, SealedFor, Secret, SecretError};
use ringback_wire::event::{self, EventFault};
use std::{collections::BTreeSet, sync::Arc};

/// Takes events in.
pub struct Publisher {
    /// Where they go.
    pub queue: Arc<dyn Queue>,
    /// Which of them are known already.
    pub store: Arc<dyn Store>,
    /// Which webhooks, and so which profiles, an event will meet.
    pub webhooks: WebhookCache,
    /// The profiles, and which project has which.
    pub profiles: Arc<ProfileBook>,
    /// Seals callbacks' secrets.
    pub keys: Arc<KeyRing>,
    /// Which URLs may be destinations.
    pub urls: UrlPolicy,
    /// When an event happened that does not say so.
    pub clock: Arc<dyn Clock>,
    /// Nonces.
    pub entropy: Arc<dyn Entropy>,
}

/// An event that is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Which.
    pub id: EventId,
    /// Whether it was dispatched before; then nothing was published.
    pub is_known: bool,
}

/// Why an event was not published. Nothing was queued, save where [`QueueError::Unconfirmed`] says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum PublishError {
    #[error(transparent)]
    Event(#[from] EventFault),
    #[error(transparent)]
    Project(#[from] UnknownProject),
    #[error("member `callback.url` is not accepted")]
    CallbackUrl(#[source] UrlFault),
    #[error("member `callback.secret` is not accepted")]
    CallbackSecret(#[source] SecretError),
    #[error("member `callback.secret` is not accepted")]
    CallbackSeal(#[source] OpenError),
    #[error("no body can be made of it under profile `{profile}`")]
    Body {
        profile: ProfileName,
        #[source]
        source: RenderError,
    },
    #[error("could not look up whether event `{id}` is known")]
    Known {
        id: EventId,
        #[source]
        source: StoreError,
    },
    #[error("could not read the webhooks of project `{project}`")]
    Webhooks {
        project: ProjectName,
        #[source]
        source: StoreError,
    },
    #[error("could not publish event `{id}`")]
    Queue {
        id: EventId,
        #[source]
        source: QueueError,
    },
}

impl PublishError {
    /// The member of the event that is at fault, where it is one.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::Event(fault) => Some(fault.member.as_str()).filter(|member| !member.is_empty()),
            Self::Project(_) => Some("project"),
            Self::CallbackUrl(_) => Some("callback.url"),
            Self::CallbackSecret(_) | Self::CallbackSeal(_) => Some("callback.secret"),
            Self::Body { source, .. } => source.member(),
            Self::Known { .. } | Self::Webhooks { .. } | Self::Queue { .. } => None,
        }
    }

    /// Whether the event is not at fault: the same one may be published later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Known { source, .. } | Self::Webhooks { source, .. } => source.is_passing(),
            Self::Queue { source, .. } => source.is_passing(),
            _ => false,
        }
    }
}

impl Publisher {
    /// Reads, checks and publishes an event; returns once it is safe.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with the event, or that the queue or store did not answer.
    pub async fn publish(&self, text: &Bytes) -> Result<Published, PublishError> {
        let published = self.publish_event(event::parse(text)?, None).await;
        published.map_err(|mut faults| faults.swap_remove(0))
    }

    /// Checks and publishes an event that was read before, as a part of a trace; returns once it is safe. One that is known, which
    /// is one that was dispatched, goes out no second time.
    ///
    /// # Errors
    ///
    /// All that is wrong with the event, or, alone, that the queue or store did not answer.
    pub async fn publish_event(
        &self,
        event: Event,
        trace: Option<&TraceContext>,
    ) -> Result<Published, Vec<PublishError>> {
        let mark = self.store.event_mark(&event.project, &event.id).await;
        match mark {
            Ok(None) => {}
            Ok(Some(_)) => {
                return Ok(Published {
                    id: event.id,
                    is_known: true,
                });
            }
            Err(source) => {
                return Err(vec![PublishError::Known {
                    id: event.id,
                    source,
                }]);
            }
        }
        let now = self.clock.now();
        let mut event = event.dated(now);
        event.accepted_at = Some(now);
        let faults = self.faults_of(&event).await.map_err(|away| vec![away])?;
        if !faults.is_empty() {
            return Err(faults);
        }
        self.seal(&mut event).map_err(|fault| vec![fault])?;
        match self.queue.publish_event(&event, trace).await {
            Ok(()) => Ok(Published {
                id: event.id,
                is_known: false,
            }),
            Err(source) => Err(vec![PublishError::Queue {
                id: event.id,
                source,
            }]),
        }
    }

    /// What is wrong with an event.
    async fn faults_of(&self, event: &Event) -> Result<Vec<PublishError>, PublishError> {
        let mut faults = Vec::new();
        let (name, profile) = match self.profiles.of_project(&event.project) {
            Ok(own) => own,
            Err(unknown) => return Ok(vec![unknown.into()]),
        };
        if let Some(callback) = &event.callback {
            let url = self.urls.check(&callback.url);
            faults.extend(url.err().map(PublishError::CallbackUrl));
            faults.extend(check_body(name, profile, DestinationKind::Callback, event).err());
            faults.extend(self.check_secret(profile, &event.project, callback).err());
        }
        for name in self.webhook_profiles(event, name).await? {
            // A webhook's profile that is not configured here is the worker's business to report.
            if let Some(profile) = self.profiles.profile(&name) {
                faults.extend(check_body(&name, profile, DestinationKind::Webhook, event).err());
            }
        }
        Ok(faults)
    }

    /// The profiles of the webhooks that want the event; that of the project when none does, so that an event that could
    /// never be sent is noticed when the first is published.
    async fn webhook_profiles(
        &self,
        event: &Event,
        own: &ProfileName,
    ) -> Result<BTreeSet<ProfileName>, PublishError> {
        let webhooks = self.webhooks.of_project(&event.project).await;
        let webhooks = webhooks.map_err(|source| PublishError::Webhooks {
            project: event.project.clone(),
            source,
        })?;
        let wanting = webhooks
            .entries
            .iter()
            .filter(|webhook| self.profiles.reach(webhook, &event.event_type));
        let mut names: BTreeSet<_> = wanting
            .map(|webhook| webhook.profile.clone().unwrap_or_else(|| own.clone()))
            .collect();
        if names.is_empty() && event.callback.is_none() {
            names.insert(own.clone());
        }
        Ok(names)
    }

    /// A secret that cannot sign would be found out only by a dead letter.
    fn check_secret(
        &self,
        profile: &Profile,
        project: &ProjectName,
        callback: &Callback,
    ) -> Result<(), PublishError> {
        let secret = match &callback.secret {
            None => return Ok(()),
            Some(CallbackSecret::Plain(plain)) => {
                Secret::try_new(plain.clone()).map_err(PublishError::CallbackSecret)?
            }
            Some(CallbackSecret::Sealed(sealed)) => self
                .keys
                .open(sealed, &SealedFor::callback(project, &callback.url))
                .map_err(PublishError::CallbackSeal)?,
        };
        match profile.signature(DestinationKind::Callback) {
            Some(scheme) => scheme
                .check_secret(&secret)
                .map(drop)
                .map_err(PublishError::CallbackSecret),
            None => Ok(()),
        }
    }

    fn seal(&self, event: &mut Event) -> Result<(), PublishError> {
        let Some(callback) = &mut event.callback else {
            return Ok(());
        };
        let Some(CallbackSecret::Plain(plain)) = &callback.secret else {
            return Ok(());
        };
        let secret = Secret::try_new(plain.clone()).map_err(PublishError::CallbackSecret)?;
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let place = SealedFor::callback(&event.project, &callback.url);
        callback.secret = Some(CallbackSecret::Sealed(
            self.keys.seal(&secret, &place, nonce),
        ));
        Ok(())
    }
}

fn check_body(
    name: &ProfileName,
    profile: &Profile,
    kind: DestinationKind,
    event: &Event,
) -> Result<(), PublishError> {
    let rendered = profile.render(kind, event);
    rendered.map(drop).map_err(|source| PublishError::Body {
        profile: name.clone(),
        source,
    })
}
