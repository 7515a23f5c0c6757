//! The use cases (dispatch, deliver, replay) and the ports they need.
//!
//! ```text
//! event ─▶ Dispatch ─▶ one delivery per destination ─▶ Deliver ─▶ delivered
//!                                    ▲                    │
//!                                    └── retry, later ────┼─▶ dead letter ─▶ Replay ─▶ (a new generation)
//! ```
//!
//! Sending, judging, recording and retrying are four things here: [`port::Sender`] sends, [`judge`] tells what the answer
//! means, [`ringback_domain::next_step`] decides, and [`Deliver`] makes the decision safe, in the order that
//! docs/protocol.md promises: nothing is acknowledged before its successor is safe.
//!
//! No I/O, no clock, no randomness: all of it comes through the ports, so that a simulation can run the same code.
#![warn(missing_docs)]

mod context;
mod deliver;
mod dispatch;
mod judge;
mod parked;
pub mod port;
mod prepare;
mod profiles;
mod replay;
mod webhook_cache;

pub use context::{Context, Handled};
pub use deliver::Deliver;
pub use dispatch::{Dispatch, PlainSecrets};
pub use judge::judge;
pub use parked::Intake;
pub use prepare::{Route, build_request};
pub use profiles::{ProfileBook, UnknownProject};
pub use replay::{Replay, ReplayError, ReplayRequest};
pub use webhook_cache::WebhookCache;
