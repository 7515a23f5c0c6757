//! The tests can fail: each thing broken on purpose is noticed, and told in a short trace.

use ringback_simulation::{Invariant, Plan, Sabotage, run, shrink};
use std::collections::BTreeSet;

/// Seeds within which a breakage has to be noticed.
const SEEDS: u64 = 200;

/// Whether a seed finds the breakage by this invariant.
fn is_noticed(sabotage: Sabotage, by: Invariant) -> bool {
    (0..SEEDS).any(|seed| {
        let outcome = run(&Plan::of_seed(seed).with(sabotage), false);
        outcome
            .violation
            .is_some_and(|violation| violation.invariant == by)
    })
}

#[test]
fn every_breakage_is_noticed_by_the_invariant_that_is_there_for_it() {
    let mut noticed = BTreeSet::new();
    for (sabotage, invariant) in [
        (Sabotage::AcknowledgesFirst, Invariant::NothingLost),
        (Sabotage::ConfirmsEarly, Invariant::NothingLost),
        (Sabotage::ForgetsRetries, Invariant::NothingLost),
        (Sabotage::StoresDeadLettersLater, Invariant::NothingLost),
        (Sabotage::HurriesRetries, Invariant::NeverEarly),
        (Sabotage::RendersAgain, Invariant::SameBytes),
        (Sabotage::GrantsEveryClaim, Invariant::OneHolder),
        (Sabotage::LeasesTooShort, Invariant::OneHolder),
        (Sabotage::ForgetsSettlements, Invariant::InOrder),
        (Sabotage::ForgetsSettlements, Invariant::NoNeedlessDuplicate),
        (Sabotage::LeasesForEver, Invariant::ComesToRest),
        (Sabotage::KeepsOldWebhooks, Invariant::ChangesApply),
    ] {
        noticed.insert(invariant);
        assert!(is_noticed(sabotage, invariant), "{sabotage:?}, {invariant}");
    }
    assert_eq!(noticed, Invariant::ALL.into(), "every invariant can fail");
}

/// Two workers, a lost connection and a crash have to meet: about one seed in ten thousand.
#[test]
fn a_settlement_that_came_too_late_and_is_taken_for_kept_loses_an_event() {
    let plan = Plan::of_seed(26_276);
    assert!(run(&plan, false).violation.is_none());
    let violation = run(&plan.with(Sabotage::AcknowledgesStale), false).violation;
    assert_eq!(
        violation.map(|violation| violation.invariant),
        Some(Invariant::NothingLost),
        "hint: `cargo xtask simulate --seeds 40000 --sabotage acknowledges-stale` finds another seed"
    );
}

#[test]
fn a_failing_run_is_told_by_its_smallest_form() {
    let sabotage = Sabotage::ForgetsRetries;
    let mut failing = (0..SEEDS).map(|seed| Plan::of_seed(seed).with(sabotage));
    let (plan, violation) = failing
        .find_map(|plan| Some((plan.clone(), run(&plan, false).violation?)))
        .expect("the breakage is noticed");
    let smallest = shrink(&plan, violation.invariant);
    let outcome = run(&smallest, true);
    assert_eq!(
        outcome.violation.map(|violation| violation.invariant),
        Some(violation.invariant)
    );
    // One refusal, so that there is a retry, and one restart that forgets it.
    assert!(outcome.struck.len() <= 4, "{:?}", outcome.struck);
    assert_eq!(smallest.size.events, 1);
    assert!(outcome.trace.len() < 60, "{}", outcome.trace.join("\n"));
}
