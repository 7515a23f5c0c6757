//! From publish to POST: real worker processes, real servers, receivers that others wrote.
#![expect(
    clippy::unwrap_used,
    reason = "panicking is how tests fail, also in what they share"
)]

mod difficult_receivers;
mod events;
mod installation;
mod nothing_lost;
mod published;
mod published_receivers;
mod thousand_events;
