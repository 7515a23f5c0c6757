//! End-to-end tests: from publish to POST
