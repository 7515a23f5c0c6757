//! Replay plans: paced, watched, stopped, and taken over.

mod ends;
mod losses;

use crate::world::{LEASE_MARGIN, World};
use insta::assert_snapshot;
use ringback_delivery::{
    PlanError, PlanRequest, PlanRunner, Plans, ReplayError,
    port::{DeadLetterFilter, DeadLetterStore, Lane, PlanLease, PlanStore, Queue, WebhookStore},
};
use ringback_domain::{
    DeadLetter, DeadLetterReason, Delivery, Destination, Disposal, EventSummary, PlanId, Timestamp,
    UnreachableCause, WebhookId,
    limits::SEARCH_GROUPS_MAX,
    replay_plan::{
        EntryMark, Pacing, PlanState, PlanWish, ReplayOrder, ReplayPlan, ReplayTarget, SkipReason,
        StopRule,
    },
};
use ringback_testkit::{
    samples,
    simulation::{SeededEntropy, answers, unreachable},
};
use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

const DAY: Duration = Duration::from_hours(24);

/// So many dead letters of a webhook, whose events happened so long ago; the oldest first.
pub(crate) async fn die(
    world: &World,
    webhook: &WebhookId,
    count: i64,
    ago: Duration,
) -> Vec<DeadLetter> {
    let mut died = Vec::new();
    for number in 0..count {
        let event = world.event();
        let url = format!("https://hooks.example.com/{webhook}");
        let destination = Destination::Webhook {
            id: webhook.clone(),
            url: url.parse().unwrap(),
        };
        let delivery = samples::delivery_of(&event, destination);
        let delivery = Delivery {
            // Signs nothing, retries three times within half an hour, and is of use for a week.
            profile: "hooked".parse().unwrap(),
            event: EventSummary {
                occurred_at: samples::moment(0) - ago,
                ..delivery.event.clone()
            },
            ..delivery
        };
        let letter = samples::dead_letter_of(delivery, samples::moment(number - count));
        world.store.put_dead_letter(&letter).await.unwrap();
        died.push(letter);
    }
    died
}

impl World {
    fn plans(&self) -> Plans {
        let context = self.context();
        Plans {
            store: self.store.clone(),
            clock: Arc::new(self.clock),
            // Two plans of one world have two ids.
            entropy: Arc::new(SeededEntropy::new(samples::claim_nonce().0)),
            profiles: context.profiles.clone(),
        }
    }

    async fn planned(&self, change: impl FnOnce(&mut PlanRequest)) -> ReplayPlan {
        let mut request = request();
        change(&mut request);
        self.plans().plan(&request, &|_| {}).await.unwrap()
    }

    async fn wish(&self, plan: &ReplayPlan, wish: PlanWish) -> ReplayPlan {
        self.plans().change(plan.id(), wish, "bob").await.unwrap()
    }

    async fn start(&self, plan: &ReplayPlan) {
        self.wish(plan, PlanWish::Start).await;
    }

    async fn now(&self, id: &PlanId) -> ReplayPlan {
        self.store.plan(id).await.unwrap().unwrap()
    }

    /// A worker that runs plans, and one that delivers, until the plan stands still.
    async fn run_plan(&self, plan: &ReplayPlan) -> ReplayPlan {
        let deliver = self.spawn_deliver().await;
        let runner = PlanRunner::new(self.context(), LEASE_MARGIN);
        runner.run(plan.id(), &|| false).await.unwrap();
        deliver.abort();
        self.now(plan.id()).await
    }

    fn requests(&self) -> Vec<String> {
        let url = |request: &ringback_delivery::port::Request| request.url.to_string();
        self.sender
            .with_requests(|requests| requests.iter().map(url).collect())
    }
}

fn request() -> PlanRequest {
    PlanRequest {
        filter: DeadLetterFilter::default(),
        text: None,
        reason: "receiver repaired".into(),
        by: "ada".into(),
        pacing: Pacing {
            rate: None,
            concurrency: None,
            ..Pacing::default()
        },
        target: ReplayTarget::Current,
        stop_rule: StopRule::default(),
        sends_stale: false,
    }
}

fn numbers(plan: &ReplayPlan) -> BTreeMap<&'static str, u32> {
    let all = EntryMark::ALL.into_iter();
    let all = all.map(|mark| (mark.class(), plan.progress.counts.get(mark)));
    all.filter(|(_, count)| *count > 0).collect()
}

fn history(plan: &ReplayPlan) -> String {
    let change = |change: &ringback_domain::replay_plan::PlanChange| {
        let by = if change.by.starts_with("wrk_") {
            "the worker"
        } else {
            &change.by
        };
        let after = change.at.duration_since(samples::moment(0)).as_secs();
        format!("at {after}s: {} by {by}", change.to)
    };
    plan.status
        .changes
        .iter()
        .map(change)
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(start_paused = true)]
async fn a_paced_plan_sends_the_oldest_first_and_ends_with_a_report() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let died = die(&world, &webhook, 10, Duration::ZERO).await;
    let plan = world
        .planned(|request| request.pacing.rate = NonZeroU32::new(2))
        .await;
    assert!(
        world.requests().is_empty(),
        "nothing goes before it is started"
    );
    let stranger = die(&world, &webhook, 1, Duration::ZERO).await;
    world.start(&plan).await;

    let plan = world.run_plan(&plan).await;
    assert_eq!(numbers(&plan), [("delivered", 10)].into());
    assert_eq!(numbers_of(&plan, &webhook), numbers(&plan));
    assert_snapshot!(history(&plan), @r"
    at 0s: planned by ada
    at 0s: running by bob
    at 4s: finished by the worker
    ");
    world.sender.with_requests(|requests| {
        let bodies = requests.iter().map(|request| &request.body);
        let expected = died.iter().map(|letter| &letter.delivery().unwrap().body);
        assert!(
            bodies.eq(expected),
            "the oldest first, each once, the same bytes"
        );
    });
    for letter in &died {
        let found = world.store.dead_letter(&letter.id).await.unwrap().unwrap();
        let Disposal::Replayed(replayed) = found.disposal else {
            panic!("{:?}", found.disposal)
        };
        assert_eq!(replayed.by, format!("ada ({})", plan.id()));
    }
    let stranger = world.store.dead_letter(&stranger[0].id).await.unwrap();
    assert_eq!(
        stranger.unwrap().disposal,
        Disposal::Open,
        "the list is frozen"
    );
}

fn numbers_of(plan: &ReplayPlan, webhook: &WebhookId) -> BTreeMap<&'static str, u32> {
    let mut all = plan.progress.by_destination.iter();
    let found = all.find(|(id, _)| id.as_str() == webhook.as_str());
    let mut of_one = plan.clone();
    of_one.progress.counts = found.unwrap().1;
    numbers(&of_one)
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_receiver_still_fails_stops_itself_and_goes_on_when_resumed() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    die(&world, &webhook, 40, Duration::ZERO).await;
    world.sender.answer_from("https://hooks.example.com/", 503);
    let plan = world
        .planned(|request| request.pacing.concurrency = NonZeroU32::new(4))
        .await;
    world.start(&plan).await;

    let stopped = world.run_plan(&plan).await;
    let PlanState::StoppedItself { failed, of } = stopped.status.state else {
        panic!("{:?}", stopped.status)
    };
    assert_eq!(failed, of);
    assert!(
        (10..14).contains(&of),
        "as soon as there are enough to judge by: {of}"
    );
    let counts = numbers(&stopped);
    let (dead, waiting) = (counts["failed_again"], counts["waiting"]);
    assert_eq!(
        dead + waiting,
        40,
        "what was under way was heard of to its end: {counts:?}"
    );
    assert!(dead < 20, "{counts:?}");

    world.sender.answer_from("https://hooks.example.com/", 200);
    world.wish(&stopped, PlanWish::Resume).await;
    let finished = world.run_plan(&plan).await;
    assert_eq!(finished.status.state, PlanState::Finished);
    assert_eq!(
        numbers(&finished),
        [("delivered", waiting), ("failed_again", dead)].into()
    );
    let open = world.store.dead_letter_count(None).await.unwrap();
    assert_eq!(open, u64::from(dead), "what failed again does not rejoin");
}

#[tokio::test(start_paused = true)]
async fn what_was_on_its_way_when_a_plan_stopped_itself_does_not_stop_it_again() {
    let quick = (0..12).map(|_| answers(503));
    let hanging = || unreachable(Duration::from_secs(3), UnreachableCause::TimeLimit);
    let world = World::new(Some("hooked"), quick.chain((0..30).map(|_| hanging())));
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    die(&world, &webhook, 200, Duration::ZERO).await;
    world.sender.answer_from("https://hooks.example.com/", 503);
    let plan = world
        .planned(|request| request.pacing.rate = NonZeroU32::new(200))
        .await;
    world.start(&plan).await;
    let stopped = world.run_plan(&plan).await;
    let PlanState::StoppedItself { of, .. } = stopped.status.state else {
        panic!("{:?}", stopped.status)
    };
    let counts = numbers(&stopped);
    let (dead, waiting) = (counts["failed_again"], counts["waiting"]);
    assert!(dead >= u32::from(of) + 10, "enough to judge by: {counts:?}");

    world.sender.answer_from("https://hooks.example.com/", 200);
    world.wish(&stopped, PlanWish::Resume).await;
    let finished = world.run_plan(&plan).await;
    assert_eq!(finished.status.state, PlanState::Finished);
    assert_eq!(numbers(&finished)["delivered"], waiting);
}

/// Nor where somebody resumes it before that is through, and the same worker goes on.
#[tokio::test(start_paused = true)]
async fn a_plan_that_is_resumed_at_once_goes_on() {
    let quick = (0..12).map(|_| answers(503));
    let hanging = || unreachable(Duration::from_millis(500), UnreachableCause::TimeLimit);
    let world = World::new(Some("hooked"), quick.chain((0..5).map(|_| hanging())));
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    die(&world, &webhook, 400, Duration::ZERO).await;
    let plan = world
        .planned(|request| {
            request.pacing.rate = NonZeroU32::new(40);
            request.stop_rule = StopRule::try_new(2, 400).unwrap();
        })
        .await;
    world.start(&plan).await;
    let resume = async {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = world.now(plan.id()).await;
            if let PlanState::StoppedItself { .. } = now.status.state {
                break world.wish(&now, PlanWish::Resume).await;
            }
        }
    };
    let (finished, resumed) = tokio::join!(world.run_plan(&plan), resume);
    assert!(numbers(&resumed)["sent"] >= 5, "{:?}", numbers(&resumed));
    assert_eq!(finished.status.state, PlanState::Finished);
    let stops = finished.status.changes.iter();
    let stops = stops.filter(|change| matches!(change.to, PlanState::StoppedItself { .. }));
    assert_eq!(stops.count(), 1, "{}", history(&finished));
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_come_faster_than_they_are_asked_after_hold_up_nothing() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    die(&world, &webhook, 5_000, Duration::ZERO).await;
    let plan = world
        .planned(|request| {
            request.pacing.rate = None;
            request.pacing.concurrency = None;
        })
        .await;
    world.start(&plan).await;
    let began = world.clock.elapsed();
    let plan = world.run_plan(&plan).await;
    assert_eq!(numbers(&plan), [("delivered", 5_000)].into());
    let took = world.clock.elapsed().saturating_sub(began);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_down_holds_up_no_other() {
    let world = World::new(Some("hooked"), []);
    let up = world.webhook(|webhook| webhook.secrets.clear()).await;
    let down = world.webhook(|webhook| webhook.secrets.clear()).await;
    for _ in 0..30 {
        die(&world, &up, 1, Duration::ZERO).await;
        die(&world, &down, 1, Duration::ZERO).await;
    }
    world
        .sender
        .answer_from(&format!("https://hooks.example.com/{down}"), 503);
    let plan = world
        .planned(|request| {
            request.pacing.concurrency = NonZeroU32::new(2);
            request.stop_rule = StopRule::try_new(60, 10).unwrap();
        })
        .await;
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    assert!(matches!(plan.status.state, PlanState::StoppedItself { .. }));
    assert_eq!(numbers_of(&plan, &up), [("delivered", 30)].into());
    let down = numbers_of(&plan, &down);
    assert!(
        down["failed_again"] >= 2 && down["waiting"] >= 10,
        "{down:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_to_be_of_use_is_shown_before_and_skipped_unless_asked_for() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let old = die(&world, &webhook, 1, 8 * DAY).await;
    die(&world, &webhook, 1, 6 * DAY).await;
    let plans = world.plans();
    let preview = plans.preview(&request(), &|_| {}).await.unwrap();
    assert_eq!((preview.entries, preview.stale), (2, 1));
    assert_eq!(preview.by_age, [0, 0, 1, 1, 0]);
    assert_eq!(preview.by_destination[0].stale, 1);
    assert_eq!(preview.by_cause[0].summary, "refused 503");
    let none = plans_of(&world).await;
    assert_eq!(none, 0, "a look makes no plan");

    let refused = world.replay_of(old[0].id.clone(), false).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, ReplayError::Stale { .. }), "{refused}");

    let plan = world.planned(|_| {}).await;
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    assert_eq!(
        numbers(&plan),
        [("delivered", 1), ("skipped_stale", 1)].into()
    );
    let again = world.planned(|request| request.sends_stale = true).await;
    world.start(&again).await;
    let again = world.run_plan(&again).await;
    assert_eq!(numbers(&again), [("delivered", 1)].into());
}

/// Why no plan of all dead letters is made.
pub(crate) async fn plan_refused(world: &World) -> String {
    let planning = world.plans();
    let refused = planning.plan(&request(), &|_| {}).await.unwrap_err();
    refused.to_string()
}

async fn plans_of(world: &World) -> usize {
    world
        .store
        .plans(None, None, 10)
        .await
        .unwrap()
        .entries
        .len()
}

#[tokio::test(start_paused = true)]
async fn what_somebody_dealt_with_since_or_is_no_event_is_skipped_with_its_reason() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let died = die(&world, &webhook, 4, Duration::ZERO).await;
    let raw = DeadLetter::of_raw(
        "{".into(),
        DeadLetterReason::Malformed,
        "it ends too early".into(),
        samples::moment(-1),
    );
    world.store.put_dead_letter(&raw).await.unwrap();
    let plan = world.planned(|_| {}).await;
    assert_eq!(plan.terms.preview.not_events, 1);
    world.replay_of(died[0].id.clone(), false).await.unwrap();
    let discarded = Disposal::Discarded {
        at: samples::moment(0),
        note: "not wanted".into(),
    };
    world
        .store
        .dispose(&died[1].id, &discarded, false)
        .await
        .unwrap();
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    let expected = [
        ("delivered", 2),
        ("skipped_discarded", 1),
        ("skipped_not_an_event", 1),
        ("skipped_replayed", 1),
    ];
    assert_eq!(numbers(&plan), expected.into());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_fails_again_after_a_plan_sent_it_is_a_new_open_dead_letter() {
    let world = World::new(None, []);
    world.publish(&world.event()).await;
    world.run().await;
    let plan = world.planned(|_| {}).await;
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    assert_eq!(numbers(&plan), [("republished", 1)].into());
    world.run().await;
    let kept = world.dead_letters().await;
    let [again, first] = kept.as_slice() else {
        panic!("two dead letters: {}", world.recorder.story())
    };
    assert_eq!(again.disposal, Disposal::Open);
    assert!(matches!(first.disposal, Disposal::Replayed(_)));
    let next = world.planned(|_| {}).await;
    assert_eq!(next.terms.preview.entries, 1);
}

#[tokio::test(start_paused = true)]
async fn a_person_pauses_resumes_and_cancels() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    die(&world, &webhook, 100, Duration::ZERO).await;
    let plan = world
        .planned(|request| request.pacing.rate = NonZeroU32::new(1))
        .await;
    world.start(&plan).await;
    let person = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let plan = world.now(plan.id()).await;
        world.wish(&plan, PlanWish::Pause).await;
    };
    let (paused, ()) = tokio::join!(world.run_plan(&plan), person);
    let sent = world.requests().len();
    assert!((9..=13).contains(&sent), "{sent} within about 10 s");
    assert_eq!(paused.status.state, PlanState::Paused);
    assert_eq!(numbers(&paused)["delivered"], u32::try_from(sent).unwrap());
    let idle = world
        .store
        .lease_plan(plan.id(), &samples::worker(), DAY)
        .await;
    assert_eq!(idle.unwrap(), PlanLease::Idle);

    let running = world.wish(&paused, PlanWish::Resume).await;
    let cancelled = world.wish(&running, PlanWish::Cancel).await;
    let end = world.run_plan(&cancelled).await;
    assert_eq!(end.status.state, PlanState::Cancelled);
    assert_eq!(world.requests().len(), sent);
    let refused = world
        .plans()
        .change(plan.id(), PlanWish::Resume, "bob")
        .await;
    assert!(matches!(refused, Err(PlanError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn what_goes_to_another_webhook_is_marked_as_such_and_never_counts_for_the_dead_letter() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let staging = world
        .webhook(|webhook| {
            webhook.secrets.clear();
            webhook.url = "https://staging.example.com/".parse().unwrap();
        })
        .await;
    let died = die(&world, &webhook, 3, Duration::ZERO).await;
    let target = ReplayTarget::Webhook(staging.clone());
    for _ in 0..2 {
        let plan = world
            .planned(|request| request.target = target.clone())
            .await;
        assert_eq!(plan.terms.project.as_ref(), Some(&world.project));
        world.start(&plan).await;
        let plan = world.run_plan(&plan).await;
        assert_eq!(numbers(&plan), [("delivered", 3)].into());
    }
    assert_eq!(
        world.requests(),
        ["https://staging.example.com/"; 6],
        "each plan, each once"
    );
    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 3);
    let delivery = died[0].delivery().unwrap();
    let standing = world
        .store
        .standings(std::slice::from_ref(&delivery.id))
        .await;
    assert_eq!(
        standing.unwrap(),
        [None],
        "nothing was claimed of the delivery itself"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_goes_to_no_webhook_of_another_profile() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let staging = world
        .webhook(|webhook| webhook.profile = Some("standard".parse().unwrap()))
        .await;
    die(&world, &webhook, 3, Duration::ZERO).await;
    let plan = world
        .planned(|request| request.target = ReplayTarget::Webhook(staging.clone()))
        .await;
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    assert_eq!(numbers(&plan), [("skipped_no_such_webhook", 3)].into());
    assert_eq!(world.requests(), Vec::<String>::new());
}

/// Dispatched anew, it would reach every webhook there is rather than the one.
#[tokio::test(start_paused = true)]
async fn an_event_goes_to_no_single_webhook() {
    let world = World::new(Some("hooked"), []);
    world.webhook(|webhook| webhook.secrets.clear()).await;
    let staging = world.webhook(|webhook| webhook.secrets.clear()).await;
    let why = "no body could be made of it".to_owned();
    let reason = DeadLetterReason::Malformed;
    let letter = DeadLetter::of_event(world.event(), reason, why, samples::moment(-1));
    world.store.put_dead_letter(&letter).await.unwrap();
    let plan = world
        .planned(|request| request.target = ReplayTarget::Webhook(staging))
        .await;
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    assert_eq!(numbers(&plan), [("skipped_no_such_webhook", 1)].into());
    assert!(world.queue.is_idle(), "nothing was published");
}

#[tokio::test(start_paused = true)]
async fn a_plan_goes_to_the_url_of_now_or_to_the_original_one() {
    let world = World::new(Some("hooked"), []);
    let webhook = world
        .webhook(|webhook| {
            webhook.secrets.clear();
            webhook.url = "https://moved.example.com/".parse().unwrap();
        })
        .await;
    die(&world, &webhook, 1, Duration::ZERO).await;
    let plan = world.planned(|_| {}).await;
    world.start(&plan).await;
    world.run_plan(&plan).await;
    die(&world, &webhook, 1, Duration::ZERO).await;
    let plan = world
        .planned(|request| request.target = ReplayTarget::Original)
        .await;
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    assert_eq!(numbers(&plan), [("delivered", 1)].into());
    let original = format!("https://hooks.example.com/{webhook}");
    assert_eq!(
        world.requests(),
        ["https://moved.example.com/".to_owned(), original]
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_makes_no_sense_is_refused_and_says_why() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let said = async |change: fn(&mut PlanRequest)| {
        let mut request = request();
        change(&mut request);
        let refused = world.plans().plan(&request, &|_| {}).await;
        refused.unwrap_err().to_string()
    };
    assert_eq!(said(|_| {}).await, "no open dead letter matches");
    die(&world, &webhook, 1, Duration::ZERO).await;
    assert_eq!(
        said(|request| request.reason = " ".into()).await,
        "a replay plan needs a reason"
    );
    let long = said(|request| request.reason = "x".repeat(501)).await;
    assert_eq!(long, "the reason has 501 characters; allowed: 500");
    let gone = said(|request| request.target = "whk_none".parse().unwrap()).await;
    assert_eq!(gone, "there is no enabled webhook whk_none to send to");
    assert_eq!(plans_of(&world).await, 0);

    let stranger = samples::webhook();
    world.store.put_webhook(&stranger).await.unwrap();
    let mut request = request();
    request.filter.project = Some(world.project.clone());
    request.target = ReplayTarget::Webhook(stranger.id.clone());
    let refused = world.plans().plan(&request, &|_| {}).await.unwrap_err();
    assert!(
        matches!(refused, PlanError::OtherProject { .. }),
        "{refused}"
    );
}

/// Whatever the moment at which a worker vanishes, another goes on and every entry is sent once.
#[tokio::test(start_paused = true)]
async fn a_worker_that_vanishes_is_followed_by_another_and_nothing_is_sent_twice() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    die(&world, &webhook, 60, Duration::ZERO).await;
    let plan = world
        .planned(|request| request.pacing.concurrency = NonZeroU32::new(7))
        .await;
    world.start(&plan).await;
    let deliver = world.spawn_deliver().await;
    let mut lives = 0;
    let plan = loop {
        lives += 1;
        let runner = PlanRunner::new(world.context(), LEASE_MARGIN);
        let life = Duration::from_millis(130 * lives);
        let _ = tokio::time::timeout(life, runner.run(plan.id(), &|| false)).await;
        let now = world.now(plan.id()).await;
        if now.status.state == PlanState::Finished {
            break now;
        }
        tokio::time::sleep(LEASE_MARGIN).await;
    };
    deliver.abort();
    assert!(lives > 3, "{lives} workers");
    assert_eq!(numbers(&plan), [("delivered", 60)].into());
    assert_eq!(world.requests().len(), 60);
}

/// A replay that was published and not marked leaves the older dead letter open, and was given up again as a newer one.
#[tokio::test(start_paused = true)]
async fn of_two_dead_letters_of_one_delivery_a_plan_sends_the_newer_and_skips_the_older() {
    for order in [ReplayOrder::OldestFirst, ReplayOrder::NewestFirst] {
        for diverts in [false, true] {
            let world = World::new(Some("hooked"), []);
            let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
            let died = die(&world, &webhook, 1, Duration::ZERO).await;
            let replay = samples::replay_of(died[0].delivery().unwrap());
            let publish = world.queue.publish_delivery(&replay, Lane::Main, None);
            publish.await.unwrap();
            let url = format!("https://hooks.example.com/{webhook}");
            world.sender.answer_from(&url, 503);
            world.run().await;
            world.sender.answer_from(&url, 200);
            let kept = world.dead_letters().await;
            assert_eq!(kept.len(), 2);
            let before = world.requests().len();

            let target = if diverts {
                ReplayTarget::Webhook(webhook.clone())
            } else {
                ReplayTarget::Current
            };
            let plan = world
                .planned(|request| {
                    request.pacing.order = order;
                    request.target = target;
                })
                .await;
            world.start(&plan).await;
            let plan = world.run_plan(&plan).await;
            assert_eq!(
                numbers(&plan),
                [("delivered", 1), ("skipped_newer", 1)].into(),
                "{order:?}, to another webhook: {diverts}"
            );
            assert_eq!(world.requests().len(), before + 1);
            let older = world.store.dead_letter(&died[0].id).await.unwrap();
            assert_eq!(older.unwrap().disposal, Disposal::Open);
        }
    }
}

/// Published and marked by a worker that vanished before it noted so.
#[tokio::test(start_paused = true)]
async fn what_was_marked_and_not_noted_is_recognised_and_not_sent_again() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let died = die(&world, &webhook, 2, Duration::ZERO).await;
    let plan = world.planned(|_| {}).await;
    world.start(&plan).await;
    let replay = samples::replay_of(died[0].delivery().unwrap());
    world
        .queue
        .publish_delivery(&replay, Lane::Main, None)
        .await
        .unwrap();
    let marked = Disposal::Replayed(ringback_domain::Replayed {
        at: Timestamp::UNIX_EPOCH,
        by: format!("ada ({})", plan.id()),
        generation: replay.generation,
    });
    world
        .store
        .dispose(&died[0].id, &marked, false)
        .await
        .unwrap();
    let plan = world.run_plan(&plan).await;
    assert_eq!(numbers(&plan), [("delivered", 2)].into());
    assert_eq!(world.requests().len(), 2);
    let skipped = EntryMark::Skipped(SkipReason::Replayed);
    assert_eq!(plan.progress.counts.get(skipped), 0);
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_what_a_text_finds_is_frozen_like_any_other() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|webhook| webhook.secrets.clear()).await;
    let other = world.webhook(|webhook| webhook.secrets.clear()).await;
    let died = die(&world, &webhook, 3, Duration::ZERO).await;
    die(&world, &other, 2, Duration::ZERO).await;
    let words = |text: &str| Some(text.parse().unwrap());
    let all = world.planned(|request| request.text = words("503 REFUSED"));
    assert_eq!(all.await.terms.preview.entries, 5);
    let nothing = PlanRequest {
        text: words("refused teapot"),
        ..request()
    };
    let refused = world.plans().plan(&nothing, &|_| {}).await;
    assert!(
        matches!(refused, Err(PlanError::NothingFound)),
        "{refused:?}"
    );

    let event = died[1].event().unwrap().to_string();
    let plan = world.planned(|request| request.text = words(&event)).await;
    let selection = &plan.terms.selection;
    assert!(
        selection.ends_with(&format!("text `{event}`")),
        "{selection}"
    );
    // What it would find later is not part of it.
    die(&world, &webhook, 1, Duration::ZERO).await;
    world.start(&plan).await;
    let plan = world.run_plan(&plan).await;
    assert_eq!(numbers(&plan), BTreeMap::from([("delivered", 1)]));
    assert_eq!(world.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_not_made_of_words_that_more_causes_have_than_a_search_lists() {
    let world = World::new(Some("hooked"), []);
    let mut last = Vec::new();
    for _ in 0..=SEARCH_GROUPS_MAX {
        let webhook = world.webhook(|_| {}).await;
        last = die(&world, &webhook, 1, Duration::ZERO).await;
    }
    let mut request = PlanRequest {
        text: Some("refused".parse().unwrap()),
        ..request()
    };
    let refused = world.plans().plan(&request, &|_| {}).await;
    assert!(
        matches!(refused, Err(PlanError::TooManyCauses(_))),
        "{refused:?}"
    );
    request.filter.cause = Some(last[0].cause.fingerprint.clone());
    let plan = world.plans().plan(&request, &|_| {}).await.unwrap();
    assert_eq!(plan.terms.preview.entries, 1);
}
