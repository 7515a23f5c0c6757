//! Every input that was kept still does what it must; `cargo xtask fuzz` looks for more.

use ringback_fuzz::TARGETS;

#[test]
fn every_target_holds_for_every_input_kept() {
    for target in TARGETS {
        let inputs = target.corpus().expect("every target has inputs");
        assert!(inputs.len() >= 5, "{}: {}", target.name, inputs.len());
        for (path, input) in inputs {
            let held = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(held.is_ok(), "{} does not hold for {path:?}", target.name);
        }
    }
}
