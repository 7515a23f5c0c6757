//! Publish job events to Ringback from a Rust application
