//! The sender against receivers that mean harm, all of them on loopback.
//!
//! Nothing here ever connects to an address outside 127.0.0.0/8: what lies beyond is judged by the policy alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod hostile_receivers;
mod hostile_urls;
mod names;
mod receiver;
mod requests;
mod tls;
