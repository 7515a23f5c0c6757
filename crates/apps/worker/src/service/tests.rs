//! A whole worker on a stopped clock: a simulated queue and store, a sender that answers as told.

use super::*;
use ringback_delivery::{
    ProfileBook, WebhookCache,
    port::{Clock, PaceStore, Queue, Store, WebhookStore},
};
use ringback_domain::{
    Breaker, Destination, EventFilter, ProfileName, ProjectName, Webhook, WebhookSecret,
};
use ringback_profile::Profile;
use ringback_signing::{KeyRing, SealedFor, Secret};
use ringback_testkit::{
    samples,
    simulation::{
        Recorder, Script, ScriptedSender, SeededEntropy, SimulatedQueue, SimulatedStore, TokioClock,
    },
};

const DUE: usize = 60;
/// Whose events webhooks want, if any, and whose events nobody wants.
const WANTED: &str = "wanted";
const OTHER: &str = "other";

struct Scene {
    queue: SimulatedQueue,
    store: Arc<SimulatedStore>,
    sender: Arc<ScriptedSender>,
    keys: Arc<KeyRing>,
    service: Service,
}

impl Scene {
    /// A worker that has seen an event already, which nobody wanted.
    async fn beside_events(
        per_second: u32,
        concurrency: usize,
        scripts: impl IntoIterator<Item = Script>,
    ) -> Self {
        let clock = TokioClock::begin();
        let store = Arc::new(SimulatedStore::new(clock));
        Self::over(store, clock, per_second, concurrency, scripts).await
    }

    /// The same, where the store holds something already.
    async fn over(
        store: Arc<SimulatedStore>,
        clock: TokioClock,
        per_second: u32,
        concurrency: usize,
        scripts: impl IntoIterator<Item = Script>,
    ) -> Self {
        let queue = SimulatedQueue::default();
        let sender = Arc::new(ScriptedSender::new(scripts));
        let keys = KeyRing::try_new(&[KeyRing::new_key("k1", &[7; 32])]).unwrap();
        let keys = Arc::new(keys);
        let profiles = ringback_profile::builtin_names().filter_map(Profile::builtin);
        let profiles = profiles.map(|profile| (profile.name().clone(), Arc::new(profile)));
        let projects = [WANTED, OTHER].map(|name| {
            let profile: ProfileName = "standard".parse().unwrap();
            (project(name), profile)
        });
        let (any_store, any_clock): (Arc<dyn Store>, Arc<dyn Clock>) =
            (store.clone(), Arc::new(clock));
        let context = Arc::new(Context {
            queue: Arc::new(queue.clone()),
            store: any_store.clone(),
            sender: sender.clone(),
            clock: any_clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
            observer: Arc::new(Recorder::new(clock)),
            profiles: Arc::new(ProfileBook::new(profiles, projects)),
            webhooks: WebhookCache::new(any_store, any_clock),
            keys: keys.clone(),
            worker: samples::worker(),
        });
        let many = NonZeroUsize::new(concurrency).unwrap();
        let settings = ServiceSettings {
            roles: BTreeSet::from([Role::Dispatch, Role::Deliver]),
            events_window: 100,
            deliveries_window: 100,
            slow_window: 100,
            concurrency: many,
            slow_concurrency: many,
            per_destination_concurrency: many,
            beside_events_per_second: NonZeroU32::new(per_second),
            lease_margin: Duration::from_secs(10),
            breaker: None,
            shutdown_grace: Duration::from_secs(1),
            dead_letters: DeadLetterBudget {
                entries_max: 1_000,
                bytes_max: 1_000_000,
            },
            spill_dir: None,
            plain_secrets: PlainSecrets::Refuse,
        };
        let service = Service::start(context, &settings).await.unwrap();
        let scene = Self {
            queue,
            store,
            sender,
            keys,
            service,
        };
        scene.event_comes(OTHER).await;
        scene
    }

    /// An event, and half a second.
    async fn event_comes(&self, name: &str) {
        let event = samples::event_of(&project(name));
        self.queue.publish_event(&event, None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// Deliveries that are due together, each to a destination of its own.
    async fn much_is_due(&self) {
        let project = project(OTHER);
        for number in 0..DUE {
            let destination = Destination::Callback {
                url: format!("https://due-{number}.example/").parse().unwrap(),
                secret: None,
            };
            let delivery = samples::delivery_of(&samples::event_of(&project), destination);
            let published = self.queue.publish_delivery(&delivery, Lane::Main, None);
            published.await.unwrap();
        }
    }

    async fn webhook(&self) {
        let mut webhook = Webhook {
            profile: None,
            events: EventFilter::All,
            headers: Vec::new(),
            rate_limit: None,
            ..samples::webhook_of(&project(WANTED))
        };
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        let place = SealedFor::webhook(&webhook.project, &webhook.id);
        let sealed = self
            .keys
            .seal(&Secret::try_new(secret).unwrap(), &place, [9; 24]);
        webhook.secrets = vec![WebhookSecret {
            sealed,
            signs_from: samples::moment(0),
            overlaps_until: None,
        }];
        self.store.put_webhook(&webhook).await.unwrap();
    }

    fn requests_to(&self, begins: &str) -> usize {
        self.sender.with_requests(|requests| {
            let urls = requests.iter().map(|request| request.url.as_str());
            urls.filter(|url| url.starts_with(begins)).count()
        })
    }
}

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn beside_events_what_is_due_begins_at_the_rate_that_is_set() {
    let scene = Scene::beside_events(2, 8, []).await;
    scene.much_is_due().await;
    for _ in 0..10 {
        scene.event_comes(OTHER).await;
    }
    let begun = scene.requests_to("https://due-");
    assert!((10..=12).contains(&begun), "{begun} in five seconds");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scene.requests_to("https://due-"), DUE, "no events come");
    assert_eq!(scene.service.stop().await, Stopped::Finished);
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_what_is_due_begins_at_once() {
    let scene = Scene::beside_events(0, 8, []).await;
    scene.much_is_due().await;
    scene.event_comes(OTHER).await;
    assert_eq!(scene.requests_to("https://due-"), DUE);
}

#[tokio::test(start_paused = true)]
async fn fresh_deliveries_without_a_direct_place_go_around_what_is_due() {
    let slow = || {
        (
            Duration::from_secs(3),
            ringback_testkit::simulation::accepts().1,
        )
    };
    let scene = Scene::beside_events(1, 4, (0..20).map(|_| slow())).await;
    for _ in 0..6 {
        scene.webhook().await;
    }
    scene.much_is_due().await;
    scene.event_comes(OTHER).await;
    scene.event_comes(WANTED).await;
    let fresh = scene.requests_to("https://") - scene.requests_to("https://due-");
    assert_eq!(fresh, 6, "four directly, and two by the slow lane");
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_breakers_leaves_none_of_those_before() {
    let clock = TokioClock::begin();
    let store = Arc::new(SimulatedStore::new(clock));
    let rules = BreakerRules {
        failures: NonZeroU32::MIN,
        probe_first: Duration::from_secs(5),
        probe_max: Duration::from_mins(1),
    };
    let breaker = Breaker::opened("whk_down".parse().unwrap(), clock.now(), &rules);
    store.put_breaker(&breaker).await.unwrap();
    let scene = Scene::over(store, clock, 0, 8, []).await;
    assert_eq!(scene.store.breakers().await.unwrap(), []);
}
