//! Chance that repeats, and stays put: what one thing draws does not depend on what others drew before it.
//!
//! Each draw is a hash of the seed, what is drawn for, and how often that was drawn before. Taking a fault, an event or a
//! worker out of a failing run therefore leaves the others nearly as they were, which is what makes shrinking work.

use crate::{chronicle::Chronicle, plan::Plan};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A worker vanishes between two awaits.
    Crash,
    /// A worker stands still, its leases running out.
    Stall,
    /// A worker's clock jumps.
    ClockJump,
    /// A worker's consumer loses its connection: what it holds comes again, while it goes on handling it.
    ConnectionCut,
    /// The queue is away for a while, for everybody; like a restart.
    QueueAway,
    /// The queue has nowhere to put messages for a while.
    Unroutable,
    /// A publish did not happen.
    PublishFailed,
    /// A publish happened, its confirm got lost.
    ConfirmLost,
    /// A message is there twice.
    MessageDoubled,
    /// A message arrives late, behind others.
    MessageLate,
    /// The store is away for a while, for everybody.
    StoreAway,
    /// A step of the store did not happen.
    StepFailed,
    /// A step of the store happened, its answer got lost.
    AnswerLost,
    /// A step of the store takes long.
    AnswerSlow,
    /// The destination refuses, hangs, resets, or is gone.
    Unwilling,
    /// The producer publishes the same event again.
    PublishedAgain,
    /// A person changes a webhook.
    WebhookChanged,
    /// A person replays dead letters, and may vanish while at it.
    Replay,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Crash,
        Self::Stall,
        Self::ClockJump,
        Self::ConnectionCut,
        Self::QueueAway,
        Self::Unroutable,
        Self::PublishFailed,
        Self::ConfirmLost,
        Self::MessageDoubled,
        Self::MessageLate,
        Self::StoreAway,
        Self::StepFailed,
        Self::AnswerLost,
        Self::AnswerSlow,
        Self::Unwilling,
        Self::PublishedAgain,
        Self::WebhookChanged,
        Self::Replay,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A fault that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struck {
    /// By what it can be left out of another run of the seed.
    pub key: u64,
    /// Which kind.
    pub fault: Fault,
    /// To what.
    pub about: String,
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault, self.about)
    }
}

/// The dice of one run.
#[derive(Debug)]
pub(crate) struct Dice {
    plan: Plan,
    chronicle: Arc<Chronicle>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    drawn: HashMap<u64, u32>,
    struck: Vec<Struck>,
    is_healed: bool,
}

impl Dice {
    pub(crate) fn new(plan: Plan, chronicle: Arc<Chronicle>) -> Self {
        Self {
            plan,
            chronicle,
            state: Mutex::default(),
        }
    }

    /// A number for this purpose; the next one when asked again.
    pub(crate) fn draw(&self, purpose: &str, about: &str) -> u64 {
        self.key(purpose, about)
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64, purpose: &str, about: &str) -> u64 {
        self.draw(purpose, about) % bound
    }

    /// Milliseconds within a range.
    pub(crate) fn millis(
        &self,
        range: std::ops::Range<u64>,
        purpose: &str,
        about: &str,
    ) -> Duration {
        let span = range.end - range.start;
        Duration::from_millis(range.start + self.below(span, purpose, about))
    }

    /// Whether the fault happens here, as often as the plan has it; the number is for its size.
    pub(crate) fn strikes(&self, fault: Fault, about: &str) -> Option<u64> {
        self.strikes_one_in(self.plan.one_in(fault), fault, about)
    }

    /// Whether the fault happens here, one time in so many.
    pub(crate) fn strikes_one_in(&self, one_in: u64, fault: Fault, about: &str) -> Option<u64> {
        let key = self.key(fault.name(), about);
        let happens = one_in != 0 && key.is_multiple_of(one_in);
        if !happens || !self.plan.faults.may_happen(key) {
            return None;
        }
        let mut state = self.state();
        if state.is_healed {
            return None;
        }
        let struck = Struck {
            key,
            fault,
            about: about.to_owned(),
        };
        self.chronicle.note(|| format!("  fault: {struck}"));
        state.struck.push(struck);
        Some(mix(key ^ 0x5bd1_e995))
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.state().is_healed = true;
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.state().is_healed
    }

    /// What went wrong so far.
    pub(crate) fn struck(&self) -> Vec<Struck> {
        self.state().struck.clone()
    }

    fn key(&self, purpose: &str, about: &str) -> u64 {
        let mut hash = mix(self.plan.seed);
        for part in [purpose, about] {
            for byte in part.bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            hash = mix(hash);
        }
        let mut state = self.state();
        let drawn = state.drawn.entry(hash).or_default();
        *drawn += 1;
        mix(hash.wrapping_add(u64::from(*drawn)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl Fault {
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Stall => "stall",
            Self::ClockJump => "clock jump",
            Self::ConnectionCut => "connection cut",
            Self::QueueAway => "queue away",
            Self::Unroutable => "unroutable",
            Self::PublishFailed => "publish failed",
            Self::ConfirmLost => "confirm lost",
            Self::MessageDoubled => "message doubled",
            Self::MessageLate => "message late",
            Self::StoreAway => "store away",
            Self::StepFailed => "step failed",
            Self::AnswerLost => "answer lost",
            Self::AnswerSlow => "answer slow",
            Self::Unwilling => "unwilling",
            Self::PublishedAgain => "published again",
            Self::WebhookChanged => "webhook changed",
            Self::Replay => "replay",
        }
    }
}

/// The finalizer of `SplitMix64`.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
