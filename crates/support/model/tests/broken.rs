//! The model can fail: each protocol broken on purpose is caught, and told by a short story.

use ringback_model::{Bounds, Breakage, Protocol, check};

const BOUNDS: Bounds = Bounds {
    handlings: 2,
    attempts: 2,
    generations: 1,
    faults: 3,
    store_forgets: false,
};

#[test]
fn every_breakage_is_caught_by_the_invariant_that_is_there_for_it() {
    for breakage in Breakage::ALL {
        let report = check(Protocol {
            bounds: BOUNDS,
            breakage: Some(breakage),
        });
        let found = report.counterexample;
        let found = found.unwrap_or_else(|| panic!("{breakage:?} is not caught"));
        assert_eq!(
            found.invariant,
            breakage.breaks(),
            "{breakage:?}: {found:#?}"
        );
        assert!(found.steps.len() <= 16, "{breakage:?}: {found:#?}");
    }
}
