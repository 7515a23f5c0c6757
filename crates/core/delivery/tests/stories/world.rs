//! The real use cases on a stopped clock: a simulated queue and store, a sender that answers as told.

use ringback_delivery::{
    Context, Deliver, Direct, Dispatch, Handled, Intake, PlainSecrets, ProfileBook, Replay,
    ReplayError, ReplayRequest, WebhookCache,
    port::{
        Clock, Consumer, DeadLetterFilter, DeadLetterStore, DeliveryFilter, DeliveryStore, Lane,
        Observer, Queue, Store, WebhookStore, WriteAnswer,
    },
};
use ringback_domain::{
    BreakerRules, DeadLetter, DeadLetterId, Delivery, DeliveryRecord, Event, EventFilter,
    Generation, ProfileName, ProjectName, SealedSecret, Timestamp, Webhook, WebhookId,
    WebhookSecret,
};
use ringback_profile::Profile;
use ringback_signing::{KeyRing, SealedFor, Secret};
use ringback_testkit::{
    samples,
    simulation::{
        Recorder, Script, ScriptedSender, SeededEntropy, SimulatedQueue, SimulatedStore, TokioClock,
    },
};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

pub(crate) const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// Far more failures than the stories of anything else have.
pub(crate) const BREAKER_RULES: BreakerRules = BreakerRules {
    failures: NonZeroU32::new(20).unwrap(),
    probe_first: Duration::from_secs(5),
    probe_max: Duration::from_mins(1),
};
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) struct World {
    pub(crate) clock: TokioClock,
    pub(crate) queue: SimulatedQueue,
    pub(crate) store: Arc<SimulatedStore>,
    pub(crate) sender: Arc<ScriptedSender>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) project: ProjectName,
    keys: Arc<KeyRing>,
    profiles: Arc<ProfileBook>,
}

impl World {
    /// A world whose one project has this profile, or is not configured at all.
    pub(crate) fn new(profile: Option<&str>, scripts: impl IntoIterator<Item = Script>) -> Self {
        let clock = TokioClock::begin();
        let project: ProjectName = "acme".parse().unwrap();
        let profiles = ringback_profile::builtin_names().filter_map(Profile::builtin);
        let profiles = profiles.map(|profile| (profile.name().clone(), Arc::new(profile)));
        let projects = profile.map(|name| (project.clone(), name.parse::<ProfileName>().unwrap()));
        Self {
            clock,
            queue: SimulatedQueue::default(),
            store: Arc::new(SimulatedStore::new(clock)),
            sender: Arc::new(ScriptedSender::new(scripts)),
            recorder: Arc::new(Recorder::new(clock)),
            keys: Arc::new(KeyRing::try_new(&[KeyRing::new_key("k1", &[7; 32])]).unwrap()),
            profiles: Arc::new(ProfileBook::new(profiles, projects)),
            project,
        }
    }

    pub(crate) fn context(&self) -> Arc<Context> {
        let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) =
            (self.store.clone(), Arc::new(self.clock));
        Arc::new(Context {
            queue: Arc::new(self.queue.clone()),
            store: store.clone(),
            sender: self.sender.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
            observer: self.recorder.clone(),
            profiles: self.profiles.clone(),
            webhooks: WebhookCache::new(store, clock),
            keys: self.keys.clone(),
            worker: samples::worker(),
        })
    }

    pub(crate) fn deliver(&self) -> Deliver {
        Deliver::new(self.context(), LEASE_MARGIN, Some(BREAKER_RULES))
    }

    /// Registers a webhook that signs with the known secret.
    pub(crate) async fn webhook(&self, change: impl FnOnce(&mut Webhook)) -> WebhookId {
        let mut webhook = Webhook {
            profile: None,
            events: EventFilter::All,
            headers: Vec::new(),
            rate_limit: None,
            ..samples::webhook_of(&self.project)
        };
        webhook.secrets = vec![self.sealed(&webhook, SECRET, samples::moment(0))];
        change(&mut webhook);
        self.store_webhook(&webhook).await;
        webhook.id
    }

    pub(crate) async fn store_webhook(&self, webhook: &Webhook) {
        assert_eq!(
            self.store.put_webhook(webhook).await.unwrap(),
            WriteAnswer::Written
        );
    }

    pub(crate) fn sealed(
        &self,
        webhook: &Webhook,
        secret: &str,
        signs_from: Timestamp,
    ) -> WebhookSecret {
        let secret = Secret::try_new(secret.to_owned()).unwrap();
        let sealed = self.keys.seal(
            &secret,
            &SealedFor::webhook(&webhook.project, &webhook.id),
            [9; 24],
        );
        WebhookSecret {
            sealed,
            signs_from,
            overlaps_until: None,
        }
    }

    pub(crate) fn sealed_callback(&self, url: &str, secret: &str) -> SealedSecret {
        let (url, secret) = (
            url.parse().unwrap(),
            Secret::try_new(secret.to_owned()).unwrap(),
        );
        self.keys
            .seal(&secret, &SealedFor::callback(&self.project, &url), [8; 24])
    }

    pub(crate) fn event(&self) -> Event {
        samples::event_of(&self.project)
    }

    pub(crate) async fn publish(&self, event: &Event) {
        self.queue.publish_event(event, None).await.unwrap();
    }

    /// Works until nothing is left to do.
    pub(crate) async fn run(&self) {
        let workers = [self.spawn_dispatch().await, self.spawn_deliver().await];
        while !self.queue.is_idle() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for worker in workers {
            worker.abort();
        }
    }

    pub(crate) async fn spawn_dispatch(&self) -> tokio::task::JoinHandle<()> {
        self.spawn_dispatch_with(None).await
    }

    pub(crate) async fn spawn_dispatch_with(
        &self,
        direct: Option<Direct>,
    ) -> tokio::task::JoinHandle<()> {
        let dispatch = Dispatch::new(self.context(), PlainSecrets::Refuse, direct);
        let mut events = self.queue.consume_events(10).await.unwrap();
        tokio::spawn(async move {
            while let Some(taken) = events.next().await {
                let handling = dispatch.handle(taken.content, taken.trace, taken.redelivered);
                match handling.await {
                    Handled::Acknowledge => taken.receipt.acknowledge(),
                    Handled::GiveBack => taken.receipt.give_back(),
                }
            }
        })
    }

    pub(crate) async fn spawn_deliver(&self) -> tokio::task::JoinHandle<()> {
        let (deliver, intake) = (self.deliver(), Intake::new(self.context()));
        let mut deliveries = self.queue.consume_deliveries(Lane::Main, 10).await.unwrap();
        tokio::spawn(async move {
            while let Some(taken) = deliveries.next().await {
                let handled = match taken.content {
                    Ok(delivery) => deliver.handle(&delivery).await,
                    Err(unreadable) => intake.handle_unreadable(unreadable).await,
                };
                match handled {
                    Handled::Acknowledge => taken.receipt.acknowledge(),
                    Handled::GiveBack => taken.receipt.give_back(),
                }
            }
        })
    }

    pub(crate) async fn only_record(&self) -> DeliveryRecord {
        let page = self
            .store
            .deliveries(&DeliveryFilter::default(), None, 2)
            .await
            .unwrap();
        let [record] = page.entries.as_slice() else {
            panic!("one delivery: {}", self.recorder.story())
        };
        record.clone()
    }

    /// The next delivery in the queue, left there as if its worker had vanished.
    pub(crate) async fn peek(&self) -> Delivery {
        let mut deliveries: Box<dyn Consumer<Delivery>> =
            self.queue.consume_deliveries(Lane::Main, 1).await.unwrap();
        deliveries.next().await.unwrap().content.unwrap()
    }

    /// Replays the dead letter that died first.
    pub(crate) async fn replay(&self, again: bool) -> Result<Generation, ReplayError> {
        let first = self.dead_letters().await.pop();
        self.replay_of(first.expect("there is a dead letter").id, again)
            .await
    }

    pub(crate) async fn replay_of(
        &self,
        id: DeadLetterId,
        again: bool,
    ) -> Result<Generation, ReplayError> {
        self.replay_seen_by(id, again, self.recorder.clone()).await
    }

    pub(crate) async fn replay_seen_by(
        &self,
        id: DeadLetterId,
        again: bool,
        observer: Arc<dyn Observer>,
    ) -> Result<Generation, ReplayError> {
        let replay = Replay {
            queue: Arc::new(self.queue.clone()),
            store: self.store.clone(),
            profiles: self.profiles.clone(),
            clock: Arc::new(self.clock),
            observer,
        };
        replay
            .replay(&ReplayRequest {
                id,
                by: "ada".into(),
                again,
                sends_stale: false,
            })
            .await
    }

    /// All of them, the newest first.
    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        let filter = DeadLetterFilter {
            include_disposed: true,
            ..DeadLetterFilter::default()
        };
        let page = self.store.dead_letters(&filter, None, 10).await.unwrap();
        page.entries
    }
}
