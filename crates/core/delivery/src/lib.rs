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

/// Names a moment at which a worker may vanish. In a release build it names nothing and does nothing.
macro_rules! fault_point {
    ($point:ident) => {
        #[cfg(debug_assertions)]
        $crate::fault_point::reached($crate::fault_point::FaultPoint::$point);
    };
}

mod age;
mod attempts;
mod breaker_list;
mod callback_seal;
mod cause_counts;
mod context;
mod crowd;
mod deliver;
mod direct;
mod discard;
mod dispatch;
#[cfg(debug_assertions)]
mod fault_point;
mod group_shares;
mod judge;
mod moment;
mod pacing;
mod parked;
mod plan;
pub mod port;
mod prepare;
mod profiles;
mod replay;
mod search;
mod share;
mod unmarked;
mod webhook_cache;

pub use age::{Stale, occurred_at, stale};
pub use breaker_list::{
    ListedBreaker, breaker_before, lift_breakers, list_breakers, page_by_place,
};
pub use context::{Context, Handled};
pub use deliver::Deliver;
pub use direct::{DIRECT_MAX, Direct, Entry, GoOn, Places, UnderWay};
pub use discard::{
    DiscardError, DiscardPreview, DiscardSelection, DiscardStep, Discarded, Discards,
};
pub use dispatch::{Dispatch, PlainSecrets};
#[cfg(debug_assertions)]
pub use fault_point::{FaultPoint, on_fault_point};
pub use group_shares::{shares_of_traffic, traffic_since_groups};
pub use judge::judge;
pub use parked::Intake;
pub use plan::{PlanError, PlanRequest, PlanRunner, Plans, RunError};
pub use prepare::{Route, build_request, check_sealed};
pub use profiles::{ProfileBook, UnknownProject};
pub use replay::{Replay, ReplayError, ReplayRequest};
pub use search::{SearchText, SearchTextError, TooManyCauses, search_dead_letters};
pub use share::{Pulse, Share, WAIT_FOR_SHARE_MAX};
pub use webhook_cache::{CachedWebhook, WebhookCache};
