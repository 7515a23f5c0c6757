//! Going through all states.

use crate::protocol::Protocol;
use ringback_simulation::Invariant;
use stateright::{Checker, HasDiscoveries, Model};

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Different states gone through.
    pub states: usize,
    /// Steps of the longest of the shortest ways to a state.
    pub depth: usize,
    /// The first thing found to go wrong, if anything can. By then not all states were gone through.
    pub counterexample: Option<Counterexample>,
}

/// How an invariant comes to fail, on a shortest way there.
#[derive(Debug)]
pub struct Counterexample {
    /// Which.
    pub invariant: Invariant,
    /// What happens, in order.
    pub steps: Vec<String>,
}

/// Goes through every state within the bounds, breadth first, until an invariant fails.
pub fn check(protocol: Protocol) -> Report {
    let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let discoveries = checker.discoveries();
    let mut failed = Invariant::ALL.into_iter().filter_map(|invariant| {
        let path = discoveries.get(invariant.name())?.clone();
        let steps = path
            .into_actions()
            .iter()
            .map(ToString::to_string)
            .collect();
        Some(Counterexample { invariant, steps })
    });
    Report {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        counterexample: failed.next(),
    }
}
