//! The protocol within small bounds; `cargo xtask model` goes further.

use ringback_model::{Bounds, Protocol, check};

const SMALL: Bounds = Bounds {
    handlings: 2,
    attempts: 2,
    generations: 2,
    faults: 2,
    store_forgets: false,
};

#[track_caller]
fn assert_holds(bounds: Bounds, states_at_least: usize) {
    let report = check(Protocol {
        bounds,
        breakage: None,
    });
    let found = &report.counterexample;
    assert!(found.is_none(), "{bounds:?}: {found:#?}");
    // A model in which little can happen proves little.
    assert!(report.states >= states_at_least, "{}", report.states);
}

#[test]
fn every_invariant_holds_in_every_order_of_events() {
    assert_holds(SMALL, 10_000);
}

#[test]
fn nothing_is_lost_when_the_store_loses_all_claims() {
    let bounds = Bounds {
        attempts: 1,
        generations: 1,
        faults: 3,
        store_forgets: true,
        ..SMALL
    };
    assert_holds(bounds, 10_000);
}
