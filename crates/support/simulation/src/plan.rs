//! What a seed stands for.

use crate::dice::Fault;
use ringback_domain::BreakerRules;
use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc, time::Duration};

/// One run: a seed, how much there is of everything, and what is left out or broken on purpose.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// How much there is.
    pub size: Size,
    /// Which of the seed's faults happen.
    pub faults: Faults,
    /// What is broken on purpose, to see that the invariants can fail.
    pub sabotage: Option<Sabotage>,
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Worker processes.
    pub workers: u64,
    /// Events published.
    pub events: u64,
    /// Webhooks registered.
    pub webhooks: u64,
}

/// Which of a seed's faults happen.
#[derive(Debug, Clone, Default)]
pub enum Faults {
    /// All that chance brings.
    #[default]
    All,
    /// Of those, only these, by their keys.
    Only(Arc<BTreeSet<u64>>),
}

impl Faults {
    pub(crate) fn may_happen(&self, key: u64) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => keys.contains(&key),
        }
    }
}

/// A deliberate breakage: what an implementation might get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sabotage {
    /// Workers acknowledge a message before they handle it.
    AcknowledgesFirst,
    /// The queue says yes to a publish that it has yet to make.
    ConfirmsEarly,
    /// Retries wait in memory: a queue that restarts has forgotten them.
    ForgetsRetries,
    /// Retries come after half their wait.
    HurriesRetries,
    /// Bodies are made anew for every retry.
    RendersAgain,
    /// A claim is granted while another is held.
    GrantsEveryClaim,
    /// Settled attempts are forgotten: claims to them are granted again.
    ForgetsSettlements,
    /// A settlement that came too late is taken for one that was kept.
    AcknowledgesStale,
    /// A claim is over before its request.
    LeasesTooShort,
    /// A claim is never over.
    LeasesForEver,
    /// A dead letter is stored after its settlement, by a second step.
    StoresDeadLettersLater,
    /// Workers go on with the webhooks they once read.
    KeepsOldWebhooks,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AcknowledgesFirst,
        Self::ConfirmsEarly,
        Self::ForgetsRetries,
        Self::HurriesRetries,
        Self::RendersAgain,
        Self::GrantsEveryClaim,
        Self::ForgetsSettlements,
        Self::AcknowledgesStale,
        Self::LeasesTooShort,
        Self::LeasesForEver,
        Self::StoresDeadLettersLater,
        Self::KeepsOldWebhooks,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcknowledgesFirst => "acknowledges-first",
            Self::ConfirmsEarly => "confirms-early",
            Self::ForgetsRetries => "forgets-retries",
            Self::HurriesRetries => "hurries-retries",
            Self::RendersAgain => "renders-again",
            Self::GrantsEveryClaim => "grants-every-claim",
            Self::ForgetsSettlements => "forgets-settlements",
            Self::AcknowledgesStale => "acknowledges-stale",
            Self::LeasesTooShort => "leases-too-short",
            Self::LeasesForEver => "leases-for-ever",
            Self::StoresDeadLettersLater => "stores-dead-letters-later",
            Self::KeepsOldWebhooks => "keeps-old-webhooks",
        }
    }
}

impl Plan {
    /// What the seed stands for.
    pub fn of_seed(seed: u64) -> Self {
        let mut hash = seed;
        let mut up_to = |most: u64| {
            hash = crate::dice::mix(hash);
            1 + hash % most
        };
        let size = Size {
            workers: up_to(4),
            events: up_to(6),
            webhooks: up_to(3),
        };
        Self {
            seed,
            size,
            faults: Faults::All,
            sabotage: None,
        }
    }

    /// The same, with something broken on purpose.
    #[must_use]
    pub fn with(self, sabotage: Sabotage) -> Self {
        Self {
            sabotage: Some(sabotage),
            ..self
        }
    }

    /// When workers spare a destination that is down; in every other run never, so that it is asked all the harder.
    pub(crate) fn breakers(&self) -> Option<BreakerRules> {
        let is_sparing = crate::dice::mix(self.seed ^ 0x0b5e).is_multiple_of(2);
        is_sparing.then_some(BREAKERS)
    }

    pub(crate) fn breaks(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    /// How rare a fault is in this run: one time in so many, 0 for never.
    ///
    /// Each seed has a selection of its own. Where everything fails all the time, much is never reached.
    pub(crate) fn one_in(&self, fault: Fault) -> u64 {
        let usual = match fault {
            Fault::Crash | Fault::Unwilling | Fault::WebhookChanged | Fault::Replay => 2,
            Fault::Stall | Fault::ClockJump | Fault::QueueAway | Fault::StoreAway => 3,
            Fault::Unroutable | Fault::PublishedAgain => 5,
            Fault::MessageLate => 8,
            Fault::PublishFailed
            | Fault::ConfirmLost
            | Fault::StepFailed
            | Fault::AnswerLost
            | Fault::AnswerSlow => 25,
            // These feed on themselves: what comes twice is put off twice.
            Fault::MessageDoubled | Fault::ConnectionCut => 40,
        };
        match crate::dice::mix(self.seed ^ (fault as u64 + 1).wrapping_mul(0x9e37_79b9)) % 5 {
            0 | 1 => 0,
            2 | 3 => usual,
            _ => usual.div_ceil(3),
        }
    }
}

/// From here on nothing goes wrong any more.
pub(crate) const HEALED_AFTER: Duration = Duration::from_mins(5);
/// What has not come to rest by then never will. Clocks jump by up to two hours, and retries are put off by as much.
pub(crate) const REST_WITHIN: Duration = Duration::from_hours(24);
/// The longest a clock jumps.
pub(crate) const CLOCK_JUMP_MAX: Duration = Duration::from_hours(2);
/// Few failures, and probes as often as retries: within the minutes of a run breakers open, are probed, and close again.
const BREAKERS: BreakerRules = BreakerRules {
    failures: NonZeroU32::new(2).expect("not zero"),
    probe_first: Duration::from_secs(3),
    probe_max: Duration::from_secs(30),
};
/// How much longer than an attempt's time limit its claim is held.
pub(crate) const LEASE_MARGIN: Duration = Duration::from_secs(2);
/// A webhook's change is what attempts go by after this.
pub(crate) const CHANGES_APPLY_WITHIN: Duration = Duration::from_secs(1);

/// The contract of most destinations.
pub(crate) const PROFILE: &str = r#"
body = 'if .data == null then error("no data") else {id, type, data} end'
success = ["2xx"]
refused_for_good = ["404"]
gone_disables = true
time_limit = "5s"
signature = "none"
retry = { delays = ["5s", "20s", "1m"], jitter = 0.2 }
"#;

/// The contract of destinations that would rather ask a person than get something twice.
pub(crate) const CAREFUL_PROFILE: &str = r#"
body = 'if .data == null then error("no data") else {id, type, data} end'
success = ["200"]
time_limit = "3s"
on_unknown = "dead-letter"
signature = "none"
retry = { delays = ["2s", "10s"], honours_retry_after = false }
"#;
