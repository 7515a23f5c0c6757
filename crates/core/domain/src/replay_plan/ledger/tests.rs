use super::*;
use crate::{
    DeadLetterId, DeliveryId, Generation,
    replay_plan::{
        DestinationCount, EntryDelivery, Pacing, PlanPreview, PlanWish, ReplayPlan, SkipReason,
        Stage, StopRule,
    },
};
use proptest::prelude::*;
use std::num::NonZeroU32;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn destination(number: usize) -> DestinationId {
    format!("whk_{number}").parse().unwrap()
}

fn entry(number: usize, destinations: usize) -> PlanEntry {
    let delivery: DeliveryId = format!("dlv_{number}").parse().unwrap();
    PlanEntry {
        dead_letter: DeadLetterId::derive(&delivery, Generation::FIRST),
        delivery: Some(EntryDelivery {
            id: delivery,
            generation: Generation::FIRST,
            destination: destination(number % destinations),
        }),
    }
}

/// A running plan of so many entries, and its chunks.
struct Scene {
    plan: ReplayPlan,
    chunks: Vec<PlanChunk>,
}

impl Scene {
    fn new(entries: usize, destinations: usize, pacing: Pacing, rule: StopRule) -> Self {
        let all: Vec<_> = (0..entries)
            .map(|number| entry(number, destinations))
            .collect();
        let by_destination = (0..destinations).map(|number| DestinationCount {
            destination: destination(number),
            url: String::new(),
            entries: u32::try_from(
                all.iter()
                    .enumerate()
                    .filter(|(n, _)| n % destinations == number)
                    .count(),
            )
            .unwrap(),
            stale: 0,
        });
        let terms = PlanTerms {
            id: "rpl_1".parse().unwrap(),
            project: None,
            selection: String::new(),
            reason: "a test".into(),
            by: "ada".into(),
            planned_at: at(0),
            pacing,
            target: ReplayTarget::Current,
            stop_rule: rule,
            sends_stale: false,
            preview: PlanPreview {
                entries: u32::try_from(entries).unwrap(),
                by_destination: by_destination.collect(),
                ..PlanPreview::default()
            },
        };
        let mut plan = ReplayPlan::new(terms);
        plan.status = plan.status.wished(PlanWish::Start, at(1), "ada").unwrap();
        let chunks = all.chunks(limits::PLAN_CHUNK_ENTRIES);
        Self {
            plan,
            chunks: chunks
                .map(|some| PlanChunk::waiting(some.to_vec()))
                .collect(),
        }
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new(self.plan.terms.clone(), self.plan.progress.clone());
        for number in ledger.chunks_to_reopen() {
            ledger.open_chunk(number, self.chunks[number as usize].clone());
        }
        ledger
    }

    /// What a worker stores, and another one finds; the marks that are then stored.
    fn store(&mut self, ledger: &Ledger) -> Vec<(u32, Vec<EntryMark>)> {
        self.plan.progress = ledger.progress();
        let stored = ledger.unsaved();
        for (number, marks) in &stored {
            self.chunks[*number as usize].marks.clone_from(marks);
        }
        stored
    }

    fn save(&mut self, ledger: &mut Ledger) {
        let stored = self.store(ledger);
        ledger.saved(&stored);
    }

    fn take(&self, ledger: &mut Ledger, most: usize) -> Vec<Position> {
        let mut taken = ledger.take(most);
        while taken.len() < most
            && let Some(number) = ledger.next_chunk()
        {
            ledger.open_chunk(number, self.chunks[number as usize].clone());
            taken.extend(ledger.take(most - taken.len()));
        }
        taken
    }
}

fn unlimited(order: ReplayOrder) -> Pacing {
    Pacing {
        rate: None,
        concurrency: None,
        order,
    }
}

fn standing(stage: Stage) -> DeliveryStanding {
    let generation = Generation::FIRST.next();
    DeliveryStanding { generation, stage }
}

fn numbers(ledger: &Ledger, taken: &[Position]) -> Vec<String> {
    let id = |position: &Position| {
        ledger
            .entry(*position)
            .delivery
            .as_ref()
            .unwrap()
            .id
            .clone()
    };
    taken
        .iter()
        .map(|position| id(position).to_string())
        .collect()
}

#[test]
fn the_oldest_go_first_from_the_end_of_the_list_across_chunks() {
    let scene = Scene::new(
        1_002,
        1,
        unlimited(ReplayOrder::OldestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, 4);
    assert_eq!(
        numbers(&ledger, &taken),
        ["dlv_1001", "dlv_1000", "dlv_999", "dlv_998"]
    );

    let scene = Scene::new(
        1_002,
        1,
        unlimited(ReplayOrder::NewestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, 2);
    assert_eq!(numbers(&ledger, &taken), ["dlv_0", "dlv_1"]);
}

#[test]
fn a_destination_with_its_share_outstanding_holds_up_no_other() {
    let pacing = Pacing {
        concurrency: NonZeroU32::new(2),
        ..unlimited(ReplayOrder::NewestFirst)
    };
    let scene = Scene::new(10, 2, pacing, StopRule::default());
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, 10);
    assert_eq!(
        numbers(&ledger, &taken),
        ["dlv_0", "dlv_1", "dlv_2", "dlv_3"]
    );
    for position in &taken {
        ledger.mark(*position, EntryMark::Sent, at(2));
    }
    assert!(ledger.take(10).is_empty());
    ledger.observe(taken[1], Some(standing(Stage::Delivered)), at(3));
    ledger.observe(taken[0], Some(standing(Stage::Retrying)), at(3));
    let next = ledger.take(10);
    assert_eq!(
        numbers(&ledger, &next),
        ["dlv_5"],
        "a retry keeps its place"
    );
}

#[test]
fn what_is_in_hand_counts_for_its_destination_and_is_not_taken_again() {
    let pacing = Pacing {
        concurrency: NonZeroU32::new(2),
        ..unlimited(ReplayOrder::NewestFirst)
    };
    let scene = Scene::new(5, 1, pacing, StopRule::default());
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, 10);
    assert_eq!(numbers(&ledger, &taken), ["dlv_0", "dlv_1"]);
    assert!(ledger.take(10).is_empty());
    ledger.mark(taken[0], EntryMark::Skipped(SkipReason::Gone), at(2));
    ledger.put_back(taken[1]);
    let next = ledger.take(10);
    assert_eq!(numbers(&ledger, &next), ["dlv_1", "dlv_2"]);
    for position in &next {
        ledger.mark(*position, EntryMark::Sent, at(3));
    }
    assert!(ledger.take(10).is_empty(), "sent, they are outstanding");
    ledger.put_back(next[0]);
    assert!(ledger.take(10).is_empty(), "what was sent is not put back");
}

#[test]
fn an_entry_is_heard_of_only_through_its_new_generation() {
    let scene = Scene::new(
        1,
        1,
        unlimited(ReplayOrder::OldestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    let position = scene.take(&mut ledger, 1)[0];
    ledger.mark(position, EntryMark::Sent, at(2));
    let old = DeliveryStanding {
        generation: Generation::FIRST,
        stage: Stage::DeadLettered,
    };
    for nothing_new in [None, Some(old), Some(standing(Stage::FirstAttempt))] {
        ledger.observe(position, nothing_new, at(3));
        assert_eq!(
            ledger.progress().counts.get(EntryMark::Sent),
            1,
            "{nothing_new:?}"
        );
    }
    ledger.observe(position, Some(standing(Stage::DeadLettered)), at(4));
    let progress = ledger.progress();
    assert_eq!(progress.counts.get(EntryMark::FailedAgain), 1);
    assert_eq!(progress.by_destination[0].1, progress.counts);
    assert_eq!(
        (progress.began_at, progress.changed_at),
        (Some(at(2)), at(4))
    );
}

#[test]
fn the_next_step_is_what_the_table_says() {
    use PlanState::{Cancelled, Finished, Paused, Planned, Running, StoppedItself};
    let stopped = StoppedItself { failed: 1, of: 1 };
    let rule = StopRule::try_new(50, 1).unwrap();
    let broken = PlanStep::StopItself { failed: 1, of: 1 };
    let (send, watch, finish, leave) = (
        PlanStep::Send,
        PlanStep::Watch,
        PlanStep::Finish,
        PlanStep::Leave,
    );
    // What became of the two entries; then the step for each state.
    let states = [Planned, Running, Paused, stopped, Cancelled, Finished];
    let table: [(&[EntryMark], [PlanStep; 6]); 8] = [
        (&[], [leave, send, leave, leave, leave, leave]),
        (
            &[EntryMark::Sent],
            [leave, send, watch, watch, watch, leave],
        ),
        (
            &[EntryMark::Sent, EntryMark::Sent],
            [leave, watch, watch, watch, watch, leave],
        ),
        (
            &[EntryMark::Retrying],
            [leave, broken, watch, watch, watch, leave],
        ),
        (
            &[EntryMark::FailedAgain],
            [leave, broken, leave, leave, leave, leave],
        ),
        (
            &[EntryMark::Skipped(SkipReason::Stale), EntryMark::Delivered],
            [leave, finish, finish, finish, leave, leave],
        ),
        (
            &[EntryMark::FailedAgain, EntryMark::Sent],
            [leave, watch, watch, watch, watch, leave],
        ),
        (
            &[EntryMark::FailedAgain, EntryMark::FailedAgain],
            [leave, finish, finish, finish, leave, leave],
        ),
    ];
    for (marks, steps) in table {
        let scene = Scene::new(2, 1, unlimited(ReplayOrder::OldestFirst), rule);
        let mut ledger = scene.ledger();
        let taken = scene.take(&mut ledger, 2);
        for (position, mark) in taken.iter().zip(marks) {
            ledger.mark(*position, *mark, at(2));
        }
        for (state, step) in states.into_iter().zip(steps) {
            let moved = scene.plan.status.moved(state, at(3), "x");
            assert_eq!(
                ledger.next_step(&moved, at(4)),
                step,
                "{marks:?} when {state:?}"
            );
        }
    }
}

#[test]
fn an_entry_that_is_retried_counts_as_a_failure_once_and_as_a_success_when_it_recovers() {
    let scene = Scene::new(
        3,
        1,
        unlimited(ReplayOrder::OldestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, 3);
    for (position, end) in taken
        .iter()
        .zip([EntryMark::FailedAgain, EntryMark::Delivered])
    {
        ledger.mark(*position, EntryMark::Sent, at(2));
        ledger.mark(*position, EntryMark::Retrying, at(3));
        ledger.mark(*position, end, at(4));
    }
    assert_eq!(ledger.progress().signs, [true, true, false]);
}

#[test]
fn what_nothing_is_heard_of_for_days_is_unknown_and_the_plan_ends() {
    let scene = Scene::new(
        1,
        1,
        unlimited(ReplayOrder::OldestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    let position = scene.take(&mut ledger, 1)[0];
    ledger.mark(position, EntryMark::Sent, at(2));
    let status = &scene.plan.status;
    let late = at(2) + OUTCOME_PATIENCE;
    assert_eq!(
        ledger.next_step(status, late - Duration::from_secs(1)),
        PlanStep::Watch
    );
    assert_eq!(ledger.next_step(status, late), PlanStep::GiveUpWatching);
    ledger.give_up_watching(late);
    assert_eq!(ledger.progress().counts.get(EntryMark::Unknown), 1);
    // It was asked after before, and answered only now.
    ledger.observe(position, Some(standing(Stage::Retrying)), late);
    assert_eq!(ledger.progress().counts.get(EntryMark::Unknown), 1);
    assert_eq!(ledger.next_step(status, late), PlanStep::Finish);
}

#[test]
fn a_chunk_that_is_no_longer_kept_is_counted_as_gone() {
    let scene = Scene::new(
        1_500,
        1,
        unlimited(ReplayOrder::OldestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    ledger.chunk_is_gone(ledger.next_chunk().unwrap());
    let taken = scene.take(&mut ledger, 2_000);
    assert_eq!(taken.len(), 1_000);
    for position in taken {
        ledger.mark(position, EntryMark::Delivered, at(2));
    }
    assert_eq!(
        ledger.next_step(&scene.plan.status, at(3)),
        PlanStep::Finish
    );
    ledger.close();
    let counts = ledger.progress().counts;
    assert_eq!(counts.get(EntryMark::Skipped(SkipReason::Gone)), 500);
    assert_eq!(counts.done(), 1_500);
}

#[test]
fn what_was_sent_of_a_chunk_that_is_no_longer_kept_is_unknown_once_the_others_are_open_again() {
    let mut scene = Scene::new(
        2_500,
        2,
        unlimited(ReplayOrder::NewestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, 1_700);
    // Of the chunks 0 and 1: 8 and 4 are sent, 4 and 2 retried, 2 and 0 delivered; half of each goes to either destination.
    let marks = [(0..8, EntryMark::Sent), (8..12, EntryMark::Retrying)];
    let marks = marks.into_iter().chain([
        (12..14, EntryMark::Delivered),
        (1_000..1_004, EntryMark::Sent),
        (1_004..1_006, EntryMark::Retrying),
    ]);
    for (places, mark) in marks {
        for position in &taken[places] {
            ledger.mark(*position, mark, at(2));
        }
    }
    scene.save(&mut ledger);
    let cancelled = scene.plan.status.moved(PlanState::Cancelled, at(3), "x");
    let counts = |ledger: &Ledger| {
        let progress = ledger.progress();
        let of = |counts: &PlanCounts| {
            let marks = [EntryMark::Sent, EntryMark::Retrying, EntryMark::Unknown];
            marks.map(|mark| counts.get(mark))
        };
        assert_eq!(progress.counts.total(), 2_500);
        let mut halves = progress.by_destination.iter().map(|(_, counts)| of(counts));
        let (all, half) = (of(&progress.counts), halves.next().unwrap());
        assert_eq!(halves.next(), Some(half));
        assert_eq!(half.map(|count| 2 * count), all);
        all
    };

    let mut ledger = Ledger::new(scene.plan.terms.clone(), scene.plan.progress.clone());
    assert_eq!(ledger.chunks_to_reopen(), [0, 1]);
    ledger.chunk_is_gone(0);
    assert_eq!(counts(&ledger), [12, 6, 0], "the other may have them all");
    ledger.open_chunk(1, scene.chunks[1].clone());
    assert_eq!(counts(&ledger), [4, 2, 12]);
    assert_eq!(ledger.next_step(&cancelled, at(4)), PlanStep::Watch);

    // Whichever is missed first; and where both are, it waits for nothing.
    let mut ledger = Ledger::new(scene.plan.terms.clone(), scene.plan.progress.clone());
    ledger.open_chunk(1, scene.chunks[1].clone());
    ledger.chunk_is_gone(0);
    assert_eq!(counts(&ledger), [4, 2, 12]);
    let mut ledger = Ledger::new(scene.plan.terms.clone(), scene.plan.progress.clone());
    for number in ledger.chunks_to_reopen() {
        ledger.chunk_is_gone(number);
    }
    assert_eq!(counts(&ledger), [0, 0, 18]);
    assert_eq!(ledger.next_step(&cancelled, at(4)), PlanStep::Leave);

    // A release before noted that a chunk was gone, and went on to wait for it.
    scene.plan.progress.chunks_open.clear();
    let ledger = Ledger::new(scene.plan.terms.clone(), scene.plan.progress.clone());
    assert_eq!(counts(&ledger), [0, 0, 18]);
}

#[test]
fn only_so_many_chunks_are_open_at_once() {
    let entries = (limits::PLAN_CHUNKS_OPEN_MAX + 2) * limits::PLAN_CHUNK_ENTRIES;
    let scene = Scene::new(
        entries,
        7,
        unlimited(ReplayOrder::OldestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, entries);
    assert_eq!(
        taken.len(),
        limits::PLAN_CHUNKS_OPEN_MAX * limits::PLAN_CHUNK_ENTRIES
    );
    for position in &taken[..limits::PLAN_CHUNK_ENTRIES] {
        ledger.mark(*position, EntryMark::Delivered, at(2));
    }
    assert_eq!(ledger.next_chunk(), None);
    ledger.saved(&ledger.unsaved());
    assert!(
        ledger.next_chunk().is_some(),
        "a chunk that is done makes room"
    );
}

#[test]
fn what_was_on_its_way_when_the_signs_were_forgotten_gives_none() {
    let order = ReplayOrder::OldestFirst;
    let scene = Scene::new(60, 1, unlimited(order), StopRule::default());
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, 40);
    for position in &taken[..20] {
        ledger.mark(*position, EntryMark::Sent, at(2));
    }
    ledger.forget_signs();
    for position in &taken[20..] {
        ledger.mark(*position, EntryMark::Sent, at(3));
    }
    let fail = |ledger: &mut Ledger, positions: &[Position]| {
        for position in positions {
            ledger.mark(*position, EntryMark::FailedAgain, at(4));
        }
        ledger.next_step(&scene.plan.status, at(4))
    };
    assert_eq!(fail(&mut ledger, &taken), PlanStep::Send);
    let fresh = scene.take(&mut ledger, 10);
    for position in &fresh {
        ledger.mark(*position, EntryMark::Sent, at(4));
    }
    let stop = PlanStep::StopItself { failed: 10, of: 10 };
    assert_eq!(fail(&mut ledger, &fresh), stop);
}

#[test]
fn what_changes_while_it_is_stored_is_stored_with_the_next_step() {
    let mut scene = Scene::new(
        2,
        1,
        unlimited(ReplayOrder::OldestFirst),
        StopRule::default(),
    );
    let mut ledger = scene.ledger();
    let taken = scene.take(&mut ledger, 2);
    assert_eq!(ledger.free(), 0);
    ledger.mark(taken[0], EntryMark::Delivered, at(2));
    let stored = scene.store(&ledger);
    ledger.mark(taken[1], EntryMark::Delivered, at(3));
    ledger.saved(&stored);
    assert!(ledger.has_unsaved(), "the second mark came too late");
    // The chunk is done, but nobody else knows.
    assert_eq!(scene.chunks[0].marks[0], EntryMark::Waiting);
    scene.save(&mut ledger);
    assert!(!ledger.has_unsaved());
    assert!(scene.chunks[0].marks.iter().all(|mark| mark.is_final()));
    // Asked after before it was let go of, answered after: there is nothing more to know.
    ledger.observe(taken[0], Some(standing(Stage::DeadLettered)), at(4));
    assert_eq!(ledger.progress().counts.get(EntryMark::Delivered), 2);
}

/// What happens to a plan in a property test.
#[derive(Debug, Clone)]
enum Happening {
    Send(usize),
    TakeAndPutBack(usize),
    Hear(usize, Stage),
    CrashAndResume,
    /// Stored, and known to be only once something else has happened.
    Store,
    Save,
}

fn happening() -> impl Strategy<Value = Happening> {
    let stage = prop_oneof![
        Just(Stage::FirstAttempt),
        Just(Stage::Retrying),
        Just(Stage::Delivered),
        Just(Stage::DeadLettered),
    ];
    prop_oneof![
        3 => (1_usize..400).prop_map(Happening::Send),
        1 => (1_usize..400).prop_map(Happening::TakeAndPutBack),
        4 => ((1_usize..400), stage).prop_map(|(most, stage)| Happening::Hear(most, stage)),
        1 => Just(Happening::CrashAndResume),
        2 => Just(Happening::Store),
        2 => Just(Happening::Save),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_every_entry_ends_once_and_no_share_is_exceeded(
        entries in 1_usize..3_300,
        destinations in 1_usize..5,
        share in prop::option::of(1_u32..300),
        newest_first in any::<bool>(),
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let order = if newest_first { ReplayOrder::NewestFirst } else { ReplayOrder::OldestFirst };
        let pacing = Pacing {
            rate: None,
            concurrency: share.and_then(NonZeroU32::new),
            order,
        };
        // Never stops itself: that is another test's.
        let mut scene = Scene::new(entries, destinations, pacing, StopRule::try_new(100, 50).unwrap());
        let mut ledger = scene.ledger();
        let mut stored = None;
        let total = u32::try_from(entries).unwrap();
        let finish = std::iter::repeat_n([Happening::Send(400), Happening::Hear(usize::MAX, Stage::Delivered), Happening::Save], 4 * entries + 8).flatten();
        for (turn, happening) in happenings.into_iter().chain(finish).enumerate() {
            let now = at(10 + i64::try_from(turn).unwrap());
            match happening {
                Happening::Send(most) => for position in scene.take(&mut ledger, most) {
                    ledger.mark(position, EntryMark::Sent, now);
                },
                Happening::TakeAndPutBack(most) => for position in scene.take(&mut ledger, most) {
                    ledger.put_back(position);
                },
                Happening::Hear(most, stage) => for position in ledger.watch(most) {
                    ledger.observe(position, Some(standing(stage)), now);
                },
                Happening::CrashAndResume => {
                    stored = None;
                    ledger = scene.ledger();
                }
                Happening::Store => {
                    stored = Some(scene.store(&ledger));
                    continue;
                }
                Happening::Save => scene.save(&mut ledger),
            }
            if let Some(stored) = stored.take() {
                ledger.saved(&stored);
            }
            let progress = ledger.progress();
            prop_assert_eq!(progress.counts.total(), total);
            prop_assert_eq!(progress.counts.outstanding() as usize, ledger.outstanding());
            prop_assert_eq!(progress.counts.get(EntryMark::Unknown), 0);
            for (destination, counts) in &progress.by_destination {
                let most = share.unwrap_or(u32::MAX);
                prop_assert!(counts.outstanding() <= most, "{} has {:?}", destination, counts);
            }
            if ledger.next_step(&scene.plan.status, now) == PlanStep::Finish {
                break;
            }
        }
        scene.save(&mut ledger);
        prop_assert_eq!(ledger.next_step(&scene.plan.status, at(1_000_000)), PlanStep::Finish);
        prop_assert_eq!(scene.plan.progress.counts.done(), total);
        prop_assert!(scene.plan.progress.chunks_open.is_empty());
        let marks = scene.chunks.iter().flat_map(|chunk| &chunk.marks);
        prop_assert_eq!(marks.filter(|mark| mark.is_final()).count(), entries);
    }
}
