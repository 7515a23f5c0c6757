//! Replay plans: their lists, who may change them, and who runs them.

use super::{LONG, PATIENCE, SHORT, dead_lettered, granted, pass, retrying, settle};
use crate::samples;
use ringback_delivery::port::{
    Advance, AdvanceAnswer, Cursor, DisposeAnswer, FencingToken, PlanLease, SettledAs, Store,
    StoreError, WriteAnswer,
};
use ringback_domain::{
    DeadLetter, Disposal, Generation, PlanId, Replayed, WorkerId, limits,
    replay_plan::{
        DeliveryStanding, EntryMark, PlanChunk, PlanEntry, PlanProgress, PlanState, PlanStatus,
        PlanWish, ReplayPlan, Stage,
    },
};
use std::time::Duration;

fn plan() -> ReplayPlan {
    samples::replay_plan_of(&samples::project(), 3)
}

async fn create(store: &dyn Store, plan: &ReplayPlan) -> WriteAnswer {
    store.create_plan(plan).await.unwrap()
}

async fn read(store: &dyn Store, id: &PlanId) -> ReplayPlan {
    store.plan(id).await.unwrap().expect("it was stored")
}

/// A plan that was started.
async fn started(store: &dyn Store) -> ReplayPlan {
    let plan = plan();
    assert_eq!(create(store, &plan).await, WriteAnswer::Written);
    wish(store, &plan, PlanWish::Start).await
}

async fn wish(store: &dyn Store, plan: &ReplayPlan, wish: PlanWish) -> ReplayPlan {
    let status = plan.status.wished(wish, samples::moment(300), "bob");
    let status = status.unwrap();
    let answer = store.change_plan(plan.id(), &status).await.unwrap();
    assert_eq!(answer, WriteAnswer::Written);
    ReplayPlan {
        status,
        ..plan.clone()
    }
}

async fn lease(
    store: &dyn Store,
    plan: &ReplayPlan,
    worker: &WorkerId,
    long: Duration,
) -> PlanLease {
    store.lease_plan(plan.id(), worker, long).await.unwrap()
}

async fn granted_plan(store: &dyn Store, plan: &ReplayPlan) -> FencingToken {
    match lease(store, plan, &samples::worker(), LONG).await {
        PlanLease::Granted { token, .. } => token,
        other => panic!("not granted: {other:?}"),
    }
}

async fn advance(
    store: &dyn Store,
    plan: &ReplayPlan,
    token: FencingToken,
    progress: &PlanProgress,
    status: Option<&PlanStatus>,
) -> AdvanceAnswer {
    let step = Advance {
        plan: plan.id(),
        token,
        lease: LONG,
        progress,
        marks: &[],
        status,
    };
    store.advance_plan(step).await.unwrap()
}

/// One that a worker has sent an entry of.
fn with_one_sent(plan: &ReplayPlan) -> PlanProgress {
    let mut progress = plan.progress.clone();
    progress.counts.set(EntryMark::Waiting, 2);
    progress.counts.set(EntryMark::Sent, 1);
    progress.chunks_begun = 1;
    progress.chunks_open = vec![0];
    progress.signs.push_back(true);
    progress
}

async fn active(store: &dyn Store, plan: &ReplayPlan) -> bool {
    store.active_plans().await.unwrap().contains(plan.id())
}

pub async fn a_plan_is_written_once_and_read_back_whole(store: &dyn Store) {
    let plan = plan();
    assert_eq!(store.plan(plan.id()).await.unwrap(), None);
    assert_eq!(create(store, &plan).await, WriteAnswer::Written);
    assert_eq!(create(store, &plan).await, WriteAnswer::Conflict);
    assert_eq!(read(store, plan.id()).await, plan);
}

pub async fn a_plan_is_changed_only_from_the_revision_that_was_read(store: &dyn Store) {
    let plan = plan();
    create(store, &plan).await;
    let running = wish(store, &plan, PlanWish::Start).await;
    let late = plan
        .status
        .wished(PlanWish::Cancel, samples::moment(301), "eve");
    let answer = store.change_plan(plan.id(), &late.unwrap()).await.unwrap();
    assert_eq!(answer, WriteAnswer::Conflict);
    assert_eq!(read(store, plan.id()).await, running);
    let nobodys = samples::unique("rpl_").parse().unwrap();
    let answer = store.change_plan(&nobodys, &running.status).await.unwrap();
    assert_eq!(answer, WriteAnswer::Conflict);
}

pub async fn plans_are_listed_newest_first_page_by_page(store: &dyn Store) {
    let project = samples::project();
    let mut expected = Vec::new();
    for second in 0..7 {
        let mut plan = samples::replay_plan_of(&project, 3);
        plan.terms.planned_at = samples::moment(second / 2);
        create(store, &plan).await;
        create(store, &self::plan()).await;
        expected.push((plan.terms.planned_at, plan.id().clone()));
    }
    expected.sort();
    expected.reverse();
    let mut seen = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = store
            .plans(Some(&project), after.as_ref(), 3)
            .await
            .unwrap();
        assert!(page.entries.len() <= 3);
        let places = page
            .entries
            .iter()
            .map(|plan| (plan.terms.planned_at, plan.id().clone()));
        seen.extend(places);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
    let everyones = store
        .plans(None, None, limits::PAGE_ENTRIES_MAX)
        .await
        .unwrap();
    assert_eq!(everyones.entries.len(), 14);
    let wrong = Cursor("dead.1".into());
    let refused = store.plans(None, Some(&wrong), 3).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)));
}

pub async fn a_chunk_is_written_once_and_read_back_with_its_marks(store: &dyn Store) {
    let plan = started(store).await;
    let letters = [samples::dead_letter(), samples::raw_dead_letter()];
    let entries = letters.each_ref().map(samples::plan_entry_of);
    assert_eq!(store.plan_chunk(plan.id(), 0).await.unwrap(), None);
    store.put_plan_chunk(plan.id(), 0, &entries).await.unwrap();
    let fresh = PlanChunk::waiting(entries.to_vec());
    let found = store.plan_chunk(plan.id(), 0).await.unwrap();
    assert_eq!(found.as_ref(), Some(&fresh));

    let token = granted_plan(store, &plan).await;
    let marks = vec![EntryMark::Sent, EntryMark::Delivered];
    let step = Advance {
        plan: plan.id(),
        token,
        lease: LONG,
        progress: &plan.progress,
        marks: &[(0, marks.clone())],
        status: None,
    };
    store.advance_plan(step).await.unwrap();
    let other = [samples::plan_entry_of(&samples::dead_letter())];
    store.put_plan_chunk(plan.id(), 0, &other).await.unwrap();
    let found = store.plan_chunk(plan.id(), 0).await.unwrap();
    let entries = entries.to_vec();
    assert_eq!(found, Some(PlanChunk { entries, marks }));
}

pub async fn a_chunk_of_the_largest_size_fits(store: &dyn Store) {
    let plan = plan();
    let entry = samples::plan_entry_of(&samples::dead_letter());
    let entries: Vec<PlanEntry> = vec![entry; limits::PLAN_CHUNK_ENTRIES];
    store
        .put_plan_chunk(plan.id(), 999, &entries)
        .await
        .unwrap();
    let found = store.plan_chunk(plan.id(), 999).await.unwrap();
    assert_eq!(found, Some(PlanChunk::waiting(entries)));
}

pub async fn only_a_plan_with_something_to_do_is_leased(store: &dyn Store) {
    let plan = plan();
    let worker = samples::worker();
    assert_eq!(lease(store, &plan, &worker, LONG).await, PlanLease::Idle);
    create(store, &plan).await;
    assert!(!active(store, &plan).await);
    assert_eq!(lease(store, &plan, &worker, LONG).await, PlanLease::Idle);
    let running = wish(store, &plan, PlanWish::Start).await;
    assert!(active(store, &plan).await);
    let PlanLease::Granted { plan: found, .. } = lease(store, &plan, &worker, LONG).await else {
        panic!("it is running");
    };
    assert_eq!(*found, running);
    let paused = wish(store, &running, PlanWish::Pause).await;
    assert!(!active(store, &paused).await);
    assert_eq!(lease(store, &plan, &worker, LONG).await, PlanLease::Idle);
}

/// What was sent before a pause is heard of during it.
pub async fn a_paused_plan_is_leased_while_something_is_outstanding(store: &dyn Store) {
    let plan = started(store).await;
    let token = granted_plan(store, &plan).await;
    advance(store, &plan, token, &with_one_sent(&plan), None).await;
    let paused = wish(store, &plan, PlanWish::Pause).await;
    assert!(active(store, &plan).await);
    let answer = advance(store, &plan, token, &paused.progress, None).await;
    assert_eq!(answer, AdvanceAnswer::Advanced(paused.status.clone()));
    assert!(!active(store, &plan).await);
    wish(store, &paused, PlanWish::Resume).await;
    assert!(active(store, &plan).await);
}

pub async fn a_plan_is_run_by_one_worker_at_a_time(store: &dyn Store) {
    let plan = started(store).await;
    let (first, second) = (samples::worker(), samples::worker());
    let PlanLease::Granted { token, .. } = lease(store, &plan, &first, LONG).await else {
        panic!("nobody has it");
    };
    match lease(store, &plan, &second, LONG).await {
        PlanLease::Held { remaining } => assert!(remaining <= LONG && remaining > LONG / 2),
        other => panic!("two have it: {other:?}"),
    }
    match lease(store, &plan, &first, LONG).await {
        PlanLease::Granted { token: again, .. } => assert!(again > token),
        other => panic!("its own: {other:?}"),
    }
}

pub async fn a_plan_whose_lease_ran_out_goes_to_another_and_the_first_changes_nothing(
    store: &dyn Store,
) {
    let plan = started(store).await;
    let (first, second) = (samples::worker(), samples::worker());
    let PlanLease::Granted { token, .. } = lease(store, &plan, &first, SHORT).await else {
        panic!("nobody has it");
    };
    let take_over = async {
        loop {
            match lease(store, &plan, &second, LONG).await {
                PlanLease::Granted { token, .. } => return token,
                PlanLease::Held { remaining } => tokio::time::sleep(remaining).await,
                PlanLease::Idle => panic!("it is running"),
            }
        }
    };
    let newer = tokio::time::timeout(PATIENCE, take_over).await.unwrap();
    assert!(newer > token);
    let finished = plan
        .status
        .moved(PlanState::Finished, samples::moment(400), "wrk_1");
    let late = advance(store, &plan, token, &with_one_sent(&plan), Some(&finished)).await;
    assert_eq!(late, AdvanceAnswer::Stale);
    assert_eq!(read(store, plan.id()).await, plan);
    let answer = advance(store, &plan, newer, &with_one_sent(&plan), None).await;
    assert_eq!(answer, AdvanceAnswer::Advanced(plan.status.clone()));
}

pub async fn a_lease_that_is_given_back_is_anybodys(store: &dyn Store) {
    let plan = started(store).await;
    let token = granted_plan(store, &plan).await;
    let step = Advance {
        plan: plan.id(),
        token,
        lease: Duration::ZERO,
        progress: &with_one_sent(&plan),
        marks: &[],
        status: None,
    };
    store.advance_plan(step).await.unwrap();
    match lease(store, &plan, &samples::worker(), LONG).await {
        PlanLease::Granted { plan: found, .. } => {
            assert_eq!(found.progress, with_one_sent(&plan));
        }
        other => panic!("it was given back: {other:?}"),
    }
}

/// A person's word stands against what the plan itself wanted at the same time.
pub async fn a_step_changes_the_state_unless_somebody_did_since(store: &dyn Store) {
    let plan = started(store).await;
    let token = granted_plan(store, &plan).await;
    let stopped = PlanState::StoppedItself { failed: 6, of: 10 };
    let stopped = plan.status.moved(stopped, samples::moment(400), "wrk_1");
    let paused = wish(store, &plan, PlanWish::Pause).await;
    let answer = advance(store, &plan, token, &with_one_sent(&plan), Some(&stopped)).await;
    assert_eq!(answer, AdvanceAnswer::Advanced(paused.status.clone()));
    let after = read(store, plan.id()).await;
    assert_eq!(after.status, paused.status);
    assert_eq!(after.progress, with_one_sent(&plan));

    let running = wish(store, &after, PlanWish::Resume).await;
    let finished = PlanState::Finished;
    let finished = running
        .status
        .moved(finished, samples::moment(401), "wrk_1");
    let answer = advance(store, &plan, token, &with_one_sent(&plan), Some(&finished)).await;
    assert_eq!(answer, AdvanceAnswer::Advanced(finished));
    assert!(!active(store, &plan).await);
}

/// The standing of the newest generation, at every stage of it.
pub async fn a_claim_tells_how_far_a_replay_came(store: &dyn Store) {
    let delivery = samples::delivery();
    let of = async |id: &ringback_domain::DeliveryId| {
        let found = store.standings(&[samples::delivery().id, id.clone()]).await;
        let found = found.unwrap();
        assert_eq!(found[0], None);
        found[1]
    };
    let standing = |generation: u32, stage| {
        let generation = Generation::new(generation);
        Some(DeliveryStanding { generation, stage })
    };
    assert_eq!(of(&delivery.id).await, None);
    pass(store, &delivery, &dead_lettered(&delivery)).await;
    assert_eq!(of(&delivery.id).await, standing(0, Stage::DeadLettered));
    let replay = samples::replay_of(&delivery);
    let claim = granted(store, &replay).await;
    assert_eq!(of(&delivery.id).await, standing(1, Stage::FirstAttempt));
    let attempts = [samples::attempt_of(&replay)];
    settle(store, &claim, &replay, &attempts, &retrying()).await;
    assert_eq!(of(&delivery.id).await, standing(1, Stage::Retrying));
    let retry = samples::retry_of(&replay);
    let claim = granted(store, &retry).await;
    assert_eq!(of(&delivery.id).await, standing(1, Stage::Retrying));
    let attempts = [samples::attempt_of(&retry)];
    settle(store, &claim, &retry, &attempts, &SettledAs::Delivered).await;
    assert_eq!(of(&delivery.id).await, standing(1, Stage::Delivered));
}

/// More than a store reads together; one of them was never stored.
pub async fn the_dead_letters_of_entries_come_in_their_order(store: &dyn Store) {
    let mut letters = vec![
        samples::dead_letter(),
        samples::raw_dead_letter(),
        samples::event_dead_letter(),
    ];
    letters.extend((0..150).map(|_| samples::dead_letter()));
    let missing = 77;
    for (place, letter) in letters.iter().enumerate() {
        if place != missing {
            store.put_dead_letter(letter).await.unwrap();
        }
    }
    let entries: Vec<_> = letters.iter().rev().map(samples::plan_entry_of).collect();
    let found = store.letters_of(&entries).await.unwrap();
    let found = found.into_iter().map(|letter| Some(letter.unwrap()?.id));
    let expected = letters.into_iter().enumerate().rev();
    let expected = expected.map(|(place, letter)| (place != missing).then_some(letter.id));
    assert!(found.eq(expected));
}

/// For stores whose records a test can damage: those at these places are.
pub async fn the_damaged_among_entries_are_told_in_their_places(
    store: &dyn Store,
    letters: &[DeadLetter],
    damaged: &[usize],
) {
    let entries: Vec<_> = letters.iter().map(samples::plan_entry_of).collect();
    let found = store.letters_of(&entries).await.unwrap();
    assert_eq!(found.len(), letters.len());
    for (place, (found, letter)) in found.into_iter().zip(letters).enumerate() {
        let expected = Some(letter.id.to_string());
        let found = if damaged.contains(&place) {
            found.err().map(|record| record.id)
        } else {
            found.unwrap().map(|letter| letter.id.to_string())
        };
        assert_eq!(found, expected, "{place}");
    }
}

pub async fn many_dead_letters_are_marked_as_replayed_each_once(store: &dyn Store) {
    let project = samples::project();
    let mut marks = Vec::new();
    for _ in 0..20 {
        let event = samples::event_of(&project);
        let delivery = samples::delivery_of(&event, samples::webhook_destination());
        let letter = samples::dead_letter_of(delivery, samples::moment(100));
        store.put_dead_letter(&letter).await.unwrap();
        let replayed = Replayed {
            at: samples::moment(200),
            by: "plan".into(),
            generation: Generation::FIRST.next(),
        };
        marks.push((samples::plan_entry_of(&letter), replayed));
    }
    let discarded = Disposal::Discarded {
        at: samples::moment(150),
        note: "not wanted".into(),
    };
    let (early, missing) = (&marks[3].0.dead_letter, samples::dead_letter());
    store.dispose(early, &discarded, false).await.unwrap();
    marks[5].0 = samples::plan_entry_of(&missing);

    let answers = store.mark_replayed(&marks).await.unwrap();
    for (place, answer) in answers.iter().enumerate() {
        let expected = match place {
            3 => DisposeAnswer::Already(discarded.clone()),
            5 => DisposeAnswer::NotFound,
            _ => DisposeAnswer::Disposed,
        };
        assert_eq!(*answer, expected, "{place}");
    }
    assert_eq!(store.dead_letter_count(Some(&project)).await.unwrap(), 1);
    let again = store.mark_replayed(&marks).await.unwrap();
    let replayed = Disposal::Replayed(marks[0].1.clone());
    assert_eq!(again[0], DisposeAnswer::Already(replayed.clone()));
    let found = store.dead_letter(&marks[0].0.dead_letter).await.unwrap();
    assert_eq!(found.unwrap().disposal, replayed);
}
