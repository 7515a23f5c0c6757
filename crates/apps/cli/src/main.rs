//! The one binary: `ringback`.
fn main() {}
