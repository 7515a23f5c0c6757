//! Many seeds, and the smallest run that still fails.

use crate::{
    dice::Fault,
    invariants::{Invariant, Violation},
    plan::{Faults, Plan, Size},
    run::{Outcome, run},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Report {
    /// Seeds run.
    pub runs: u64,
    /// Requests made.
    pub requests: u64,
    /// Of those, how many were made before, or may have been.
    pub duplicates: u64,
    /// How often each fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// The seeds that failed, and how.
    pub failures: BTreeMap<u64, Violation>,
}

impl Report {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.runs += 1;
        self.requests += outcome.requests;
        self.duplicates += outcome.duplicates;
        for struck in outcome.struck {
            *self.faults.entry(struck.fault).or_default() += 1;
        }
        if let Some(violation) = outcome.violation {
            self.failures.insert(seed, violation);
        }
    }
}

/// Runs every seed of a range, on all processors. `plan_of` says what a seed stands for.
///
/// # Panics
///
/// When a run panics.
pub fn search(seeds: Range<u64>, plan_of: impl Fn(u64) -> Plan + Sync) -> Report {
    let next = AtomicU64::new(seeds.start);
    let report = Mutex::new(Report::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let outcome = run(&plan_of(seed), false);
            report
                .lock()
                .expect("another run panicked")
                .add(seed, outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    report.into_inner().expect("a run panicked")
}

/// The smallest plan found that fails in the same way: fewer events, workers and webhooks, then fewer faults.
pub fn shrink(plan: &Plan, invariant: Invariant) -> Plan {
    let mut shrinking = Shrinking {
        smallest: plan.clone(),
        invariant,
        runs_left: RUNS_MAX,
    };
    shrinking.size();
    shrinking.faults();
    shrinking.size();
    shrinking.smallest
}

/// The most runs that shrinking takes.
const RUNS_MAX: u32 = 1_000;

struct Shrinking {
    smallest: Plan,
    invariant: Invariant,
    runs_left: u32,
}

impl Shrinking {
    /// Takes the plan over if it fails in the same way; what went wrong in it, if so.
    fn try_plan(&mut self, plan: Plan) -> Option<Outcome> {
        self.runs_left = self.runs_left.checked_sub(1)?;
        let outcome = run(&plan, false);
        let violation = outcome.violation.as_ref()?;
        if violation.invariant != self.invariant {
            return None;
        }
        self.smallest = plan;
        Some(outcome)
    }

    fn size(&mut self) {
        let members: [fn(&mut Size) -> &mut u64; 3] = [
            |size| &mut size.events,
            |size| &mut size.workers,
            |size| &mut size.webhooks,
        ];
        for member in members {
            let now = *member(&mut self.smallest.size.clone());
            for fewer in 1..now {
                let mut plan = self.smallest.clone();
                *member(&mut plan.size) = fewer;
                if self.try_plan(plan).is_some() {
                    break;
                }
            }
        }
    }

    /// Leaves out ever smaller parts of the faults, as long as that changes nothing.
    fn faults(&mut self) {
        let Some(outcome) = self.try_plan(self.smallest.clone()) else {
            return;
        };
        let mut keys: Vec<u64> = outcome.struck.iter().map(|struck| struck.key).collect();
        let mut part = keys.len().div_ceil(2);
        while part > 0 && !keys.is_empty() {
            let mut start = 0;
            while start < keys.len() {
                let end = (start + part).min(keys.len());
                let mut fewer = keys.clone();
                fewer.drain(start..end);
                let plan = Plan {
                    faults: only(&fewer),
                    ..self.smallest.clone()
                };
                match self.try_plan(plan) {
                    // What no longer comes up is left out as well.
                    Some(outcome) => {
                        let struck: BTreeSet<_> =
                            outcome.struck.iter().map(|struck| struck.key).collect();
                        keys = fewer;
                        keys.retain(|key| struck.contains(key));
                    }
                    None => start = end,
                }
            }
            part /= 2;
        }
    }
}

fn only(keys: &[u64]) -> Faults {
    let keys: BTreeSet<u64> = keys.iter().copied().collect();
    Faults::Only(keys.into())
}
