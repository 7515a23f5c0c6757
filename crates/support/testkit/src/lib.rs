//! Private test servers, contract suites, fakes for the ports, receivers
#![expect(
    clippy::missing_panics_doc,
    reason = "panicking is how test helpers fail"
)]

pub mod contract;
pub mod golden;
pub mod load;
mod machine_clock;
pub mod receiver;
pub mod samples;
pub mod simulation;

pub use machine_clock::MachineClock;
pub use ringback_servers as servers;
pub use ringback_servers::proxy;
