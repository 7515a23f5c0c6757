//! Private test servers, contract suites, fakes for the ports, receivers
