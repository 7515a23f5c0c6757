//! The quick part of the search: `cargo xtask simulate --seeds N` is the long one.

use ringback_simulation::{Fault, Plan, run, search};

#[test]
fn every_invariant_holds_for_a_hundred_and_fifty_seeds() {
    let report = search(0..150, Plan::of_seed);
    let failed = report.failures.first_key_value();
    assert!(
        failed.is_none(),
        "hint: cargo xtask simulate --seed {}\n{failed:?}",
        failed.map_or(0, |(seed, _)| *seed)
    );
    assert_eq!(report.runs, 150);
    // Seen to happen, every one: a fault that never strikes proves nothing.
    for fault in Fault::ALL {
        assert!(report.faults.contains_key(&fault), "{fault} never struck");
    }
    assert!(report.duplicates > 0, "crashes cost duplicates");
}

#[test]
fn a_seed_runs_the_same_every_time() {
    for seed in [3, 17, 40] {
        let plan = Plan::of_seed(seed);
        let (one, other) = (run(&plan, true), run(&plan, true));
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert!(one.trace.len() > 10, "something happened: {:?}", one.trace);
    }
}
