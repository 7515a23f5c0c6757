//! A world in memory for the use cases: clock, randomness, queue, store, sender, observer.
//!
//! All of it runs on tokio's clock and on nothing else, so that a test with a paused clock is over at once and repeats
//! exactly. The queue and the store keep the same contracts as the real ones.

mod environment;
mod queue;
mod sender;
mod store;

pub use environment::{Recorder, SeededEntropy, TokioClock};
pub use queue::SimulatedQueue;
pub use sender::{Script, ScriptedSender, accepts, answers, unreachable};
pub use store::SimulatedStore;
