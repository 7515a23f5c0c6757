//! The use cases under seeded faults, on a stopped clock.
mod chronicle;
mod dice;
mod faulty;
mod invariants;
mod people;
mod plan;
mod run;
mod search;
mod witness;
mod worker;

pub use dice::{Fault, Struck};
pub use invariants::{Invariant, Violation};
pub use plan::{Faults, Plan, Sabotage, Size};
pub use run::{Outcome, run};
pub use search::{Report, search, shrink};
