//! What the calls work with: the same use cases as the commands, over the same queue and store.

use crate::{auth::Authenticator, body::BATCHES_MAX, server::Limits};
use ringback_delivery::{Context, Discards, Plans, Replay};
use ringback_domain::ProjectName;
use ringback_sender_http::UrlPolicy;
use ringback_worker::{Role, keys::Keys, publish::Publisher, webhooks::Webhooks};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What the calls of the API, and the dashboard, work with.
pub struct Services {
    /// Queue, store, sender, clock, entropy and profiles of this process.
    pub context: Arc<Context>,
    /// Registers, changes and tries webhooks.
    pub webhooks: Webhooks,
    /// Takes events in.
    pub publisher: Publisher,
    /// Sends dead letters again.
    pub replay: Replay,
    /// Plans to send many dead letters again.
    pub plans: Plans,
    /// Discards many dead letters.
    pub discards: Discards,
    /// Makes and revokes keys.
    pub keys: Arc<Keys>,
    /// Tells which key a text is.
    pub authenticator: Authenticator,
    /// What else this process does, and so needs consumers for.
    pub roles: BTreeSet<Role>,
    /// How much is taken on.
    pub limits: Limits,
    /// Room for batches.
    pub(crate) batches: Arc<Semaphore>,
    /// The wish to stop.
    pub stop: CancellationToken,
}

impl Services {
    /// The use cases over what a process works with.
    pub fn new(
        context: Arc<Context>,
        urls: UrlPolicy,
        roles: impl IntoIterator<Item = Role>,
        limits: Limits,
    ) -> Arc<Self> {
        let keys = Arc::new(Keys {
            store: context.store.clone(),
            profiles: context.profiles.clone(),
            clock: context.clock.clone(),
            entropy: context.entropy.clone(),
        });
        Arc::new(Self {
            webhooks: Webhooks {
                store: context.store.clone(),
                keys: context.keys.clone(),
                profiles: context.profiles.clone(),
                urls: urls.clone(),
                clock: context.clock.clone(),
                entropy: context.entropy.clone(),
            },
            publisher: Publisher {
                queue: context.queue.clone(),
                store: context.store.clone(),
                webhooks: context.webhooks.clone(),
                profiles: context.profiles.clone(),
                keys: context.keys.clone(),
                urls,
                clock: context.clock.clone(),
                entropy: context.entropy.clone(),
            },
            replay: Replay {
                queue: context.queue.clone(),
                store: context.store.clone(),
                profiles: context.profiles.clone(),
                clock: context.clock.clone(),
                observer: context.observer.clone(),
            },
            plans: Plans {
                store: context.store.clone(),
                clock: context.clock.clone(),
                entropy: context.entropy.clone(),
                profiles: context.profiles.clone(),
            },
            discards: Discards {
                store: context.store.clone(),
                clock: context.clock.clone(),
            },
            authenticator: Authenticator::new(
                keys.clone(),
                context.clock.clone(),
                limits.key_failures_max,
            ),
            keys,
            roles: roles.into_iter().collect(),
            limits,
            batches: Arc::new(Semaphore::new(BATCHES_MAX)),
            stop: CancellationToken::new(),
            context,
        })
    }

    /// To be told after each change of a webhook: it is in force at once in this process, in others within a second.
    pub fn webhooks_changed(&self, project: &ProjectName) {
        self.context.webhooks.forget(project);
    }
}
