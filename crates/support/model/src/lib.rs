//! The claim and retry protocol of docs/protocol.md, small enough to be checked in every order of events.
//!
//! The simulation runs the real code under some of the things that can happen; the model goes through *all* of them, for one
//! delivery and small bounds. Both hold the same invariants, by the same names. The model has no clock and no bytes: a
//! lease is alive or over, a message waits for the end of a lease or does not. What needs moments or bodies ("never early",
//! "same bytes", "changes apply") is the simulation's alone.
//!
//! Begin with `protocol.rs`: the steps of a handling, and what may happen between them.
mod breakage;
mod check;
mod claims;
mod ledger;
mod protocol;

pub use breakage::Breakage;
pub use check::{Counterexample, Report, check};
pub use claims::{Claims, End, Position, SettledAs, Told};
pub use protocol::{Bounds, Protocol};
