//! What an implementation might get wrong.

use ringback_simulation::Invariant;

/// A protocol broken on purpose, to see that the invariants can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// Every claim is granted, whoever holds it: no claim at all.
    NoClaim,
    /// A message is acknowledged before it is handled.
    AcknowledgesFirst,
    /// A dead letter is stored after its message was acknowledged.
    BuriesAfterAcknowledging,
    /// An attempt is settled as retrying before the retry is in the queue.
    SettlesBeforePublishing,
    /// A message is acknowledged although its settlement came too late and nothing else is safe.
    AcknowledgesStale,
    /// A request is begun although the lease may be over.
    SendsAfterLease,
    /// A lease is never over.
    LeasesForEver,
}

impl Breakage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoClaim,
        Self::AcknowledgesFirst,
        Self::BuriesAfterAcknowledging,
        Self::SettlesBeforePublishing,
        Self::AcknowledgesStale,
        Self::SendsAfterLease,
        Self::LeasesForEver,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoClaim => "no-claim",
            Self::AcknowledgesFirst => "acknowledges-first",
            Self::BuriesAfterAcknowledging => "buries-after-acknowledging",
            Self::SettlesBeforePublishing => "settles-before-publishing",
            Self::AcknowledgesStale => "acknowledges-stale",
            Self::SendsAfterLease => "sends-after-lease",
            Self::LeasesForEver => "leases-for-ever",
        }
    }

    /// The invariant that is there for it.
    pub fn breaks(self) -> Invariant {
        match self {
            Self::NoClaim | Self::SendsAfterLease => Invariant::OneHolder,
            Self::AcknowledgesFirst
            | Self::BuriesAfterAcknowledging
            | Self::SettlesBeforePublishing
            | Self::AcknowledgesStale => Invariant::NothingLost,
            Self::LeasesForEver => Invariant::ComesToRest,
        }
    }
}
