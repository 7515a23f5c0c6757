//! Private test servers, contract suites, fakes for the ports, receivers

pub mod contract;
pub mod samples;
pub mod servers;
