//! Many dead letters discarded: counted, step by step, interrupted and gone on with.

use crate::{
    plans::{die, plan_refused},
    world::World,
};
use ringback_delivery::{
    DiscardError, DiscardSelection, DiscardStep, Discards,
    port::{DeadLetterFilter, DeadLetterStore},
};
use ringback_domain::{DeadLetter, Disposal, limits::SEARCH_GROUPS_MAX};
use ringback_testkit::samples;
use std::{sync::Arc, time::Duration};

impl World {
    fn discards(&self) -> Discards {
        Discards {
            store: self.store.clone(),
            clock: Arc::new(self.clock),
        }
    }

    async fn is_open(&self, letter: &DeadLetter) -> bool {
        let found = self.store.dead_letter(&letter.id).await.unwrap();
        found.unwrap().disposal == Disposal::Open
    }

    async fn open(&self, letters: &[DeadLetter]) -> usize {
        let mut open = 0;
        for letter in letters {
            open += usize::from(self.is_open(letter).await);
        }
        open
    }
}

fn of_cause(letter: &DeadLetter) -> DiscardSelection {
    DiscardSelection {
        filter: DeadLetterFilter {
            cause: Some(letter.cause.fingerprint.clone()),
            ..DeadLetterFilter::default()
        },
        ..DiscardSelection::default()
    }
}

fn step_of(selection: DiscardSelection, entries_max: usize) -> DiscardStep {
    DiscardStep {
        selection,
        after: None,
        reason: "never wanted again".to_owned(),
        by: "ada".to_owned(),
        entries_max,
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_discarded_step_by_step_and_what_joins_it_meanwhile_is_not() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|_| {}).await;
    let other = world.webhook(|_| {}).await;
    let died = die(&world, &webhook, 7, Duration::ZERO).await;
    let others = die(&world, &other, 2, Duration::ZERO).await;
    let discards = world.discards();
    let preview = discards
        .preview(&of_cause(&died[0]), &|_| {})
        .await
        .unwrap();
    assert_eq!((preview.entries, preview.by_cause.len()), (7, 1));
    let until = preview.until.unwrap();
    assert!(died.iter().all(|letter| letter.died_at < until));

    let mut step = step_of(of_cause(&died[0]), 3);
    let first = discards.step(&step).await.unwrap();
    assert_eq!(first.discarded, 3);
    // Somebody is faster with one, and one more is given up: the newest.
    let disposal = Disposal::Discarded {
        at: samples::moment(1),
        note: "mine (bob)".to_owned(),
    };
    let taken = &died[0].id;
    world.store.dispose(taken, &disposal, false).await.unwrap();
    let mut late = samples::dead_letter_of(died[0].delivery().unwrap().clone(), samples::moment(9));
    late.id = samples::dead_letter().id;
    world.store.put_dead_letter(&late).await.unwrap();
    assert_eq!(late.cause, died[0].cause);

    let mut discarded = first.discarded;
    step.after = first.next;
    while step.after.is_some() {
        let done = discards.step(&step).await.unwrap();
        assert!(done.discarded <= 3, "{done:?}");
        discarded += done.discarded;
        step.after = done.next;
    }
    assert_eq!(discarded, 6, "one was somebody else's");
    assert_eq!(world.open(&died).await, 0);
    assert_eq!(world.open(&others).await, 2, "another cause");
    assert!(world.is_open(&late).await, "it was given up meanwhile");
    let found = world.store.dead_letter(&died[6].id).await.unwrap().unwrap();
    let Disposal::Discarded { note, .. } = found.disposal else {
        panic!("{found:?}");
    };
    assert_eq!(note, "never wanted again (ada)");
}

#[tokio::test(start_paused = true)]
async fn whoever_lost_the_answer_begins_again_and_ends_at_the_same() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|_| {}).await;
    let died = die(&world, &webhook, 5, Duration::ZERO).await;
    let step = step_of(of_cause(&died[0]), 2);
    let discards = world.discards();
    let mut each = Vec::new();
    loop {
        let done = discards.step(&step).await.unwrap();
        each.push(done.discarded);
        if done.next.is_none() {
            break;
        }
    }
    assert_eq!(each, [2, 2, 1]);
    assert_eq!(world.open(&died).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_a_project_takes_nothing_of_a_project_with_it() {
    let world = World::new(Some("hooked"), []);
    let raw = samples::raw_dead_letter();
    let mut of_project = samples::raw_dead_letter();
    of_project.project = Some(world.project.clone());
    for letter in [&raw, &of_project] {
        world.store.put_dead_letter(letter).await.unwrap();
    }
    assert_eq!(raw.cause, of_project.cause);
    let selection = DiscardSelection {
        of_no_project: true,
        ..of_cause(&raw)
    };
    let discards = world.discards();
    let preview = discards.preview(&selection, &|_| {}).await.unwrap();
    assert_eq!(preview.entries, 1);
    let done = discards.step(&step_of(selection, 10)).await.unwrap();
    assert_eq!((done.discarded, done.next), (1, None));
    assert!(!world.is_open(&raw).await);
    assert!(world.is_open(&of_project).await);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_discarded_without_a_reason_or_by_words_that_more_causes_have_than_are_listed() {
    let world = World::new(Some("hooked"), []);
    let mut died = Vec::new();
    for _ in 0..=SEARCH_GROUPS_MAX {
        let webhook = world.webhook(|_| {}).await;
        died.extend(die(&world, &webhook, 1, Duration::ZERO).await);
    }
    let discards = world.discards();
    let mut step = step_of(of_cause(&died[0]), 10);
    step.reason = " ".to_owned();
    let unsaid = discards.step(&step).await;
    assert!(matches!(unsaid, Err(DiscardError::NoReason)), "{unsaid:?}");

    let words = Some("refused 503".parse().unwrap());
    let mut step = step_of(DiscardSelection::default(), 10);
    step.selection.text.clone_from(&words);
    let refused = discards.step(&step).await;
    assert!(
        matches!(refused, Err(DiscardError::TooManyCauses(_))),
        "{refused:?}"
    );
    assert_eq!(world.open(&died).await, died.len());

    // One cause among them is no question.
    let mut step = step_of(of_cause(&died[0]), 10);
    step.selection.text = words;
    assert_eq!(discards.step(&step).await.unwrap().discarded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_dead_letter_is_not_passed_over_and_can_be_discarded_by_its_id() {
    let world = World::new(Some("hooked"), []);
    let webhook = world.webhook(|_| {}).await;
    let died = die(&world, &webhook, 3, Duration::ZERO).await;
    let damaged = &died[1].id;
    world.store.damage(damaged);
    let discards = world.discards();
    let of_cause = of_cause(&died[0]);
    let named = format!("stored dead letter `{damaged}` cannot be read: it is cut");
    let refused = discards.preview(&of_cause, &|_| {}).await.unwrap_err();
    assert_eq!(refused.to_string(), named);
    let step = step_of(of_cause, 10);
    let refused = discards.step(&step).await.unwrap_err();
    assert_eq!(refused.to_string(), named);
    assert_eq!(world.store.dead_letter_count(None).await.unwrap(), 3);
    assert_eq!(plan_refused(&world).await, named);

    discards
        .one(damaged, "cannot be read", "ada")
        .await
        .unwrap();
    assert_eq!(discards.step(&step).await.unwrap().discarded, 2);
}
