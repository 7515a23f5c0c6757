//! Webhooks in files: what goes into one, and what must be so of one that is brought back.

use super::{WebhookError, Webhooks, check_secret, event_filter};
use crate::archive::LineTooLong;
use ringback_delivery::{check_sealed, port::StoreError};
use ringback_domain::{
    EventFilter, ProjectName, SealedSecret, Timestamp, Webhook, WebhookId, WebhookState,
    limits::{DESCRIPTION_CHARS_MAX, WEBHOOKS_PER_PROJECT_MAX},
};
use ringback_profile::DestinationKind;
use ringback_sender_http::HeaderPolicy;
use ringback_signing::{OpenError, SealedFor};
use ringback_wire::{WireError, export};
use std::collections::HashMap;

/// Reads the lines of one file, in their order.
pub struct WebhookImport<'a> {
    webhooks: &'a Webhooks,
    /// Whether what is here and differs becomes what the file has.
    replaces: bool,
    /// The lines that had a webhook.
    lines: HashMap<WebhookId, u64>,
    /// How many each project has, those of the file included.
    counts: HashMap<ProjectName, usize>,
}

/// What a line comes to.
#[derive(Debug)]
pub enum ImportedWebhook {
    /// It is not here: to be stored.
    New(Webhook),
    /// It is here and differs: to be stored in its place.
    Replaces(Webhook),
    /// It is here, and the same.
    AlreadyThere,
}

/// Why a webhook is not brought back. Names no secret, and nothing of a URL but its host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum WebhookImportFault {
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
    #[error(transparent)]
    Line(#[from] WireError),
    #[error("webhook {id} is in line {line} already")]
    Twice { id: WebhookId, line: u64 },
    #[error(
        "webhook {id} is here and differs: revision {here}, changed at {here_at:.0}; the file has revision {there}, changed at {there_at:.0} (hint: --replace puts it back as the file has it)"
    )]
    Differs {
        id: WebhookId,
        here: u64,
        here_at: Timestamp,
        there: u64,
        there_at: Timestamp,
    },
    #[error("webhook {id} is here, and belongs to project `{project}`")]
    OfAnother { id: WebhookId, project: ProjectName },
    #[error(
        "webhook {id} has a secret or a header sealed with the key `{key}`, which `secrets.keys` lacks (hint: put `{key}` back there, behind the first)"
    )]
    KeyMissing { id: WebhookId, key: String },
    #[error(
        "a secret or a header of webhook {id} does not open: it was changed, or `secrets.keys` has another key under the name of the one that sealed it"
    )]
    Shut { id: WebhookId },
    #[error(
        "webhook {id} has {chars} characters of description, or of why it is disabled; allowed: {DESCRIPTION_CHARS_MAX}"
    )]
    LongText { id: WebhookId, chars: usize },
    #[error("webhook {id} would not be registered")]
    Refused {
        id: WebhookId,
        #[source]
        why: WebhookError,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WebhookImportFault {
    /// The member of the line that it is about.
    pub fn member(&self) -> Option<&'static str> {
        match self {
            Self::Line(WireError::Member { member, .. }) => Some(member),
            Self::TooLong(_) | Self::Line(_) | Self::Store(_) => None,
            _ => Some("webhook"),
        }
    }
}

impl<'a> WebhookImport<'a> {
    /// An import of which nothing was read yet.
    pub fn new(webhooks: &'a Webhooks, replaces: bool) -> Self {
        Self {
            webhooks,
            replaces,
            lines: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// The webhook of a line, under the rules by which webhooks are registered. What is here, and the same, lacks nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub async fn read(
        &mut self,
        number: u64,
        line: &[u8],
    ) -> Result<ImportedWebhook, WebhookImportFault> {
        let webhook = export::decode_webhook(line)?;
        let id = webhook.id.clone();
        if let Some(line) = self.lines.get(&id) {
            return Err(WebhookImportFault::Twice { id, line: *line });
        }
        let read = self.judge(webhook).await?;
        self.lines.insert(id, number);
        Ok(read)
    }

    async fn judge(&mut self, webhook: Webhook) -> Result<ImportedWebhook, WebhookImportFault> {
        let Some(stored) = self.webhooks.store.webhook(&webhook.id).await? else {
            let webhook = self.webhooks.accepted(webhook)?;
            self.make_room(&webhook).await?;
            // Its revision tells of changes made here: there was none.
            let webhook = Webhook {
                revision: 1,
                ..webhook
            };
            return Ok(ImportedWebhook::New(webhook));
        };
        if stored.project != webhook.project {
            return Err(WebhookImportFault::OfAnother {
                id: stored.id,
                project: stored.project,
            });
        }
        if self.webhooks.are_same(&stored, &webhook) {
            return Ok(ImportedWebhook::AlreadyThere);
        }
        if !self.replaces {
            return Err(WebhookImportFault::Differs {
                id: stored.id,
                here: stored.revision,
                here_at: stored.updated_at,
                there: webhook.revision,
                there_at: webhook.updated_at,
            });
        }
        let webhook = self.webhooks.accepted(webhook)?;
        Ok(ImportedWebhook::Replaces(Webhook {
            revision: stored.revision + 1,
            updated_at: self.webhooks.clock.now(),
            ..webhook
        }))
    }

    async fn make_room(&mut self, webhook: &Webhook) -> Result<(), WebhookImportFault> {
        let project = &webhook.project;
        let count = if let Some(count) = self.counts.get(project) {
            *count
        } else {
            let found = self.webhooks.store.webhooks(project).await?;
            found.entries.len() + found.damaged.len()
        };
        if count >= WEBHOOKS_PER_PROJECT_MAX {
            return Err(refused(webhook, WebhookError::TooMany(project.clone())));
        }
        self.counts.insert(project.clone(), count + 1);
        Ok(())
    }
}

impl Webhooks {
    /// A webhook as a file may have it: an early release stored values of headers as they are, and no file has them so.
    #[must_use]
    pub fn sealed_whole(&self, mut webhook: Webhook) -> Webhook {
        let sealed = |header: (String, String)| match SealedSecret::try_new(&header.1) {
            Some(_) => vec![header],
            None => self.seal_headers(vec![header], &webhook.project, &webhook.id),
        };
        let headers = std::mem::take(&mut webhook.headers);
        webhook.headers = headers.into_iter().flat_map(sealed).collect();
        webhook
    }

    /// Stores what [`WebhookImport::read`] answered.
    ///
    /// # Errors
    ///
    /// A change by somebody else at the same time, or the store's failure.
    pub async fn put_back(&self, webhook: &Webhook) -> Result<(), WebhookError> {
        self.put(webhook).await
    }

    /// A webhook of a file, when every rule for those that are registered holds.
    fn accepted(&self, mut webhook: Webhook) -> Result<Webhook, WebhookImportFault> {
        let (_, profile) = self
            .profile_of(&webhook)
            .map_err(|why| refused(&webhook, why))?;
        let mut faults = Vec::new();
        self.check_url(webhook.url.as_str(), &mut faults);
        let events = match &webhook.events {
            EventFilter::All => Ok(EventFilter::All),
            EventFilter::Only(types) => event_filter(&profile, types.clone()),
        };
        match events {
            Ok(events) => webhook.events = events,
            Err(fault) => faults.push(fault),
        }
        check_sealed(&webhook, &self.keys, self.clock.now()).map_err(|error| {
            let id = webhook.id.clone();
            match error {
                OpenError::UnknownKey(key) => WebhookImportFault::KeyMissing { id, key },
                OpenError::Malformed | OpenError::WrongPlace => WebhookImportFault::Shut { id },
            }
        })?;
        if let Some(scheme) = profile.signature(DestinationKind::Webhook) {
            let place = SealedFor::webhook(&webhook.project, &webhook.id);
            // One that signs no more may have been sealed with a key that is gone.
            let opened = webhook
                .secrets
                .iter()
                .filter_map(|secret| self.keys.open(&secret.sealed, &place).ok());
            for secret in opened {
                check_secret(scheme, &secret, &mut faults);
            }
        }
        let headers: Vec<_> = webhook
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), self.header_value(&webhook, value)))
            .collect();
        let headers = HeaderPolicy.check_all(&headers);
        faults.extend(headers.err().map(WebhookError::Header));
        if let Some(why) = faults.into_iter().next() {
            return Err(refused(&webhook, why));
        }
        let reason = match &webhook.state {
            WebhookState::Enabled => None,
            WebhookState::Disabled { reason, .. } => Some(reason),
        };
        for text in webhook.description.iter().chain(reason) {
            let chars = text.chars().count();
            if chars > DESCRIPTION_CHARS_MAX {
                let id = webhook.id.clone();
                return Err(WebhookImportFault::LongText { id, chars });
            }
        }
        Ok(self.sealed_whole(webhook))
    }

    /// A header's value, in the open where it can be.
    fn header_value(&self, webhook: &Webhook, value: &str) -> String {
        let place = SealedFor::webhook_header(&webhook.project, &webhook.id);
        let opened =
            SealedSecret::try_new(value).and_then(|sealed| self.keys.open(&sealed, &place).ok());
        opened.map_or_else(|| value.to_owned(), |secret| secret.expose().to_owned())
    }

    /// Whether two of one id are the same, whenever and how often they were changed, and however often sealed.
    fn are_same(&self, one: &Webhook, other: &Webhook) -> bool {
        let rest = |webhook: &Webhook| Webhook {
            secrets: Vec::new(),
            headers: Vec::new(),
            updated_at: Timestamp::UNIX_EPOCH,
            revision: 1,
            ..webhook.clone()
        };
        let place = SealedFor::webhook(&one.project, &one.id);
        let open = |sealed: &SealedSecret| self.keys.open(sealed, &place).ok();
        let is_same = |a: &SealedSecret, b: &SealedSecret| match (open(a), open(b)) {
            (Some(a), Some(b)) => a.expose() == b.expose(),
            _ => a == b,
        };
        rest(one) == rest(other)
            && one.secrets.len() == other.secrets.len()
            && one.secrets.iter().zip(&other.secrets).all(|(a, b)| {
                (a.signs_from, a.overlaps_until) == (b.signs_from, b.overlaps_until)
                    && is_same(&a.sealed, &b.sealed)
            })
            && one.headers.len() == other.headers.len()
            && one.headers.iter().zip(&other.headers).all(|(a, b)| {
                a.0 == b.0 && self.header_value(one, &a.1) == self.header_value(other, &b.1)
            })
    }
}

fn refused(webhook: &Webhook, why: WebhookError) -> WebhookImportFault {
    let id = webhook.id.clone();
    WebhookImportFault::Refused { id, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SystemEntropy, webhooks::NewWebhook};
    use ringback_delivery::{ProfileBook, port::WebhookStore};
    use ringback_domain::ProfileName;
    use ringback_profile::Profile;
    use ringback_sender_http::UrlPolicy;
    use ringback_signing::KeyRing;
    use ringback_testkit::{
        samples,
        simulation::{SimulatedStore, TokioClock},
    };
    use std::{collections::BTreeSet, sync::Arc};

    fn webhooks(project: &ProjectName) -> (Webhooks, Arc<SimulatedStore>) {
        let clock = TokioClock::begin();
        let store = Arc::new(SimulatedStore::new(clock));
        let profile: ProfileName = "standard".parse().unwrap();
        let standard = Arc::new(Profile::builtin("standard").unwrap());
        let webhooks = Webhooks {
            store: store.clone(),
            keys: Arc::new(KeyRing::try_new(&[KeyRing::new_key("k1", &[7; 32])]).unwrap()),
            profiles: Arc::new(ProfileBook::new(
                [(profile.clone(), standard)],
                [(project.clone(), profile)],
            )),
            urls: UrlPolicy::default(),
            clock: Arc::new(clock),
            entropy: Arc::new(SystemEntropy),
        };
        (webhooks, store)
    }

    async fn add(webhooks: &Webhooks, project: &ProjectName) -> Webhook {
        let new = NewWebhook {
            project: project.clone(),
            url: "https://hooks.example.com/".into(),
            events: BTreeSet::new(),
            profile: None,
            secret: None,
            headers: vec![
                ("X-Key".into(), "hush".into()),
                ("X-Empty".into(), String::new()),
                ("X-Team".into(), "video".into()),
            ],
            description: None,
            rate_limit: None,
        };
        webhooks.add(new).await.unwrap().webhook
    }

    #[tokio::test]
    async fn a_file_fills_a_project_and_does_not_overfill_it() {
        let project = samples::project();
        let (webhooks, store) = webhooks(&project);
        let mut moved = Vec::new();
        for _ in 0..2 {
            let webhook = add(&webhooks, &project).await;
            webhooks.remove(&webhook.id).await.unwrap();
            moved.push(export::encode_webhook(&webhook));
        }
        for _ in 1..WEBHOOKS_PER_PROJECT_MAX {
            let webhook = samples::webhook_of(&project);
            store.put_webhook(&webhook).await.unwrap();
        }
        let mut import = WebhookImport::new(&webhooks, false);
        let first = import.read(1, &moved[0]).await.unwrap();
        assert!(matches!(first, ImportedWebhook::New(_)), "{first:?}");
        let second = import.read(2, &moved[1]).await.unwrap_err();
        assert!(
            matches!(
                second,
                WebhookImportFault::Refused {
                    why: WebhookError::TooMany(_),
                    ..
                }
            ),
            "{second:?}"
        );
    }

    /// As a release before values of headers were sealed stored them.
    #[tokio::test]
    async fn a_header_in_the_open_is_sealed_in_a_file_and_still_the_same() {
        let project = samples::project();
        let (webhooks, store) = webhooks(&project);
        let mut early = add(&webhooks, &project).await;
        let sealed = early.headers.clone();
        early.headers[0].1 = "hush".into();
        early.revision += 1;
        store.put_webhook(&early).await.unwrap();

        let exported = webhooks.sealed_whole(early.clone());
        assert!(SealedSecret::try_new(&exported.headers[0].1).is_some());
        assert_eq!(exported.headers[1..], sealed[1..], "in their order");
        let line = export::encode_webhook(&exported);
        let mut import = WebhookImport::new(&webhooks, false);
        let read = import.read(1, &line).await.unwrap();
        assert!(matches!(read, ImportedWebhook::AlreadyThere), "{read:?}");
        early.headers[0].1 = "hash".into();
        let line = export::encode_webhook(&webhooks.sealed_whole(early));
        let mut import = WebhookImport::new(&webhooks, false);
        let fault = import.read(1, &line).await.unwrap_err();
        assert!(
            matches!(fault, WebhookImportFault::Differs { .. }),
            "{fault:?}"
        );
    }
}
