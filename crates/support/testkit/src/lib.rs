//! Private test servers, contract suites, fakes for the ports, receivers

pub mod servers;
