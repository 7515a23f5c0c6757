//! Attempts made while the message of their event is still in a worker's hands.

use crate::world::World;
use async_trait::async_trait;
use ringback_delivery::{
    DIRECT_MAX, Direct, Dispatch, Entry, GoOn, Handled, Places, PlainSecrets, Share, UnderWay,
    port::{Clock, Lane, Queue, QueueName},
};
use ringback_domain::{Delivery, DeliveryState, EventSummary, UnreachableCause, Wait};
use ringback_testkit::simulation::{Script, accepts, answers, unreachable};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Grants every place, or sends every delivery to a lane; knows how many places are taken.
#[derive(Default)]
struct CountedPlaces {
    refused: Option<Lane>,
    wait: Option<Wait>,
    /// Whether there is one place, for which all others wait.
    is_one: bool,
    taken: Arc<AtomicUsize>,
}

struct Place(Arc<AtomicUsize>);

impl Share for Place {
    fn used_from_now(&mut self) {}
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Places for CountedPlaces {
    async fn room(&self, _deliveries: usize) -> Box<dyn Send> {
        Box::new(())
    }

    async fn enter(&self, _delivery: &Delivery) -> Entry {
        if let Some(lane) = self.refused {
            return Entry::Refused(lane, self.wait);
        }
        while self.is_one && self.taken.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Entry::Granted(Box::new(Place(self.taken.clone())))
    }
}

/// Runs attempts that go on, or ends them; knows how many there were.
#[derive(Default)]
struct GoingOn {
    vanishes: bool,
    count: AtomicUsize,
}

impl GoOn for GoingOn {
    fn go_on(&self, under_way: UnderWay) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if !self.vanishes {
            tokio::spawn(under_way);
        }
    }
}

/// A world with one webhook, one event in the queue, and a dispatch that makes direct attempts.
struct Scene {
    world: World,
    dispatch: Dispatch,
    taken: Arc<AtomicUsize>,
    going_on: Arc<GoingOn>,
}

impl Scene {
    async fn new(scripts: impl IntoIterator<Item = Script>, places: CountedPlaces) -> Self {
        Self::with(scripts, places, GoingOn::default()).await
    }

    async fn with(
        scripts: impl IntoIterator<Item = Script>,
        places: CountedPlaces,
        going_on: GoingOn,
    ) -> Self {
        let world = World::new(Some("standard"), scripts);
        world.webhook(|_| {}).await;
        world.publish(&world.event()).await;
        let (taken, going_on) = (places.taken.clone(), Arc::new(going_on));
        let deliver = Arc::new(world.deliver());
        let direct = Direct::new(deliver, Arc::new(places), going_on.clone());
        let dispatch = Dispatch::new(world.context(), PlainSecrets::Refuse, Some(direct));
        Self {
            world,
            dispatch,
            taken,
            going_on,
        }
    }

    /// Handles the event, handed out as it comes. How many attempts go on is the answer.
    async fn handle_event(&self) -> usize {
        let mut events = self.world.queue.consume_events(1).await.unwrap();
        let taken = events.next().await.unwrap();
        let handling = self
            .dispatch
            .handle(taken.content, taken.trace, taken.redelivered);
        assert_eq!(handling.await, Handled::Acknowledge);
        taken.receipt.acknowledge();
        self.going_on.count.load(Ordering::Relaxed)
    }

    async fn waiting(&self, queue: QueueName) -> u64 {
        let depths = self.world.queue.depths().await.unwrap();
        let depth = depths.iter().find(|depth| depth.queue == queue);
        depth.map_or(0, |depth| depth.waiting)
    }

    fn requests(&self) -> usize {
        self.world.sender.with_requests(<[_]>::len)
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_accepted_at_once_never_has_a_message_of_its_own() {
    let scene = Scene::new([accepts()], CountedPlaces::default()).await;
    assert_eq!(scene.handle_event().await, 0);
    assert!(scene.world.queue.is_idle(), "nothing was published");
    let record = scene.world.only_record().await;
    assert!(matches!(record.state, DeliveryState::Delivered { .. }));
    assert_eq!(record.attempts.len(), 1);
    assert_eq!(scene.taken.load(Ordering::Relaxed), 0, "the place is free");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_refused_at_once_waits_in_the_ladder_like_any_other() {
    let scene = Scene::new([answers(503), accepts()], CountedPlaces::default()).await;
    assert_eq!(scene.handle_event().await, 0);
    assert_eq!(scene.waiting(QueueName::Delayed).await, 1);
    scene.world.run().await;
    assert_eq!(scene.requests(), 2);
    assert!(scene.world.recorder.story().ends_with("delivered"));
}

/// What is not marked cannot be kept known, and the attempt is over before its event is marked.
#[tokio::test(start_paused = true)]
async fn an_event_is_kept_known_until_the_retry_of_a_direct_attempt() {
    let in_two_days = ringback_domain::Answer {
        retry_after: Some("172800".to_owned()),
        ..ringback_domain::Answer::bare(503)
    };
    let later = (Duration::ZERO, Ok(in_two_days));
    let scene = Scene::new([later], CountedPlaces::default()).await;
    assert_eq!(scene.handle_event().await, 0);
    let record = scene.world.only_record().await;
    let DeliveryState::Waiting { until } = record.state else {
        panic!("it waits for its retry")
    };
    let EventSummary { project, id, .. } = &record.event;
    assert_eq!(scene.world.store.known_until(project, id), Some(until));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_long_gets_a_message_of_its_own_and_goes_on() {
    let slow = (
        Duration::from_secs(3),
        Ok(ringback_domain::Answer::bare(200)),
    );
    let scene = Scene::new([slow], CountedPlaces::default()).await;
    let began = tokio::time::Instant::now();
    assert_eq!(scene.handle_event().await, 1);
    assert_eq!(began.elapsed(), DIRECT_MAX, "the event waits no longer");
    assert_eq!(scene.waiting(QueueName::Delayed).await, 1, "it is safe");
    scene.world.run().await;
    let story = scene.world.recorder.story();
    assert_eq!(scene.requests(), 1, "{story}");
    assert!(story.ends_with("duplicate suppressed"), "{story}");
    let record = scene.world.only_record().await;
    assert!(matches!(record.state, DeliveryState::Delivered { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_goes_on_while_the_rest_of_its_event_waits_for_it() {
    let takes = |seconds| {
        let answer = Ok(ringback_domain::Answer::bare(200));
        (Duration::from_secs(seconds), answer)
    };
    let places = CountedPlaces {
        is_one: true,
        ..CountedPlaces::default()
    };
    let scene = Scene::new([takes(3), accepts()], places).await;
    scene.world.webhook(|_| {}).await;
    let handled = tokio::time::timeout(Duration::from_mins(1), scene.handle_event()).await;
    assert_eq!(handled.expect("the other one waits for its place"), 1);
    assert_eq!(scene.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_worker_vanishes_after_its_event_is_done_with_is_made_again() {
    let hangs = unreachable(Duration::from_secs(9), UnreachableCause::TimeLimit);
    let vanishes = GoingOn {
        vanishes: true,
        ..GoingOn::default()
    };
    let scene = Scene::with([hangs, accepts()], CountedPlaces::default(), vanishes).await;
    assert_eq!(scene.handle_event().await, 1);
    scene.world.run().await;
    assert_eq!(scene.requests(), 2);
    let story = scene.world.recorder.story();
    assert!(story.contains("outcome of an attempt unknown"), "{story}");
    assert!(story.ends_with("delivered"), "{story}");
}

#[tokio::test(start_paused = true)]
async fn a_destination_without_a_place_gets_a_message_in_the_lane_it_belongs_to() {
    for (lane, moves) in [(Lane::Main, false), (Lane::Slow, true)] {
        let places = CountedPlaces {
            refused: Some(lane),
            ..CountedPlaces::default()
        };
        let scene = Scene::new([], places).await;
        assert_eq!(scene.handle_event().await, 0);
        assert_eq!(scene.waiting(QueueName::Deliveries(lane)).await, 1);
        assert_eq!(scene.requests(), 0);
        let story = scene.world.recorder.story();
        assert_eq!(story.contains("moved to the slow lane"), moves, "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_would_find_no_place_there_either_comes_to_the_slow_lane_after_a_wait() {
    let places = CountedPlaces {
        refused: Some(Lane::Slow),
        wait: Some(Wait::exactly(Duration::from_secs(5))),
        ..CountedPlaces::default()
    };
    let scene = Scene::new([], places).await;
    assert_eq!(scene.handle_event().await, 0);
    assert_eq!(scene.waiting(QueueName::Delayed).await, 1);
    let state = scene.world.only_record().await.state;
    let until = scene.world.clock.now() + Duration::from_secs(5);
    assert_eq!(state, DeliveryState::Waiting { until });
    let mut slow = scene
        .world
        .queue
        .consume_deliveries(Lane::Slow, 1)
        .await
        .unwrap();
    let asked_at = tokio::time::Instant::now();
    assert!(slow.next().await.unwrap().content.is_ok());
    assert!(asked_at.elapsed() >= Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_again_has_a_message_for_every_delivery() {
    let scene = Scene::new([], CountedPlaces::default()).await;
    let mut vanishes = scene.world.queue.consume_events(1).await.unwrap();
    let taken = vanishes.next().await.unwrap();
    drop((taken, vanishes));
    assert_eq!(scene.handle_event().await, 0);
    assert_eq!(scene.requests(), 0, "no direct attempt");
    assert_eq!(
        scene.waiting(QueueName::Deliveries(Lane::Main)).await,
        1,
        "it may have been this delivery that the worker died of"
    );
}
