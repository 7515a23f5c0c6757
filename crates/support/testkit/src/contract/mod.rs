//! What every edge must keep, written once: each case is a function over the port, and a macro makes each a test.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a contract is made of tests"
)]

pub mod queue;
pub mod store;
