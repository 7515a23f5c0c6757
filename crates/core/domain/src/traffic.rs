//! How much was sent where, counted by the minute and by the hour.

use crate::{Attempt, AttemptOutcome, Destination, DestinationId, ProjectName};
use jiff::Timestamp;
use std::{fmt, ops::AddAssign, time::Duration};

/// What became of attempts, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Deliveries that a destination accepted.
    pub delivered: u64,
    /// Attempts that were made and not accepted, those of unknown outcome included.
    pub failed_attempts: u64,
    /// Deliveries given up.
    pub dead_lettered: u64,
}

/// What traffic is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrafficOf {
    /// All there is.
    Everything,
    /// A project.
    Project(ProjectName),
    /// A webhook.
    Destination(DestinationId),
    /// The callbacks of a project together: each job may have its own.
    Callbacks(ProjectName),
}

/// How finely it is counted, and for how long that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrafficStep {
    /// Kept for two hours: what goes on now.
    Minute,
    /// Kept for eight days: this week beside the last.
    Hour,
}

/// The traffic of one step of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficPoint {
    /// When the step began.
    pub at: Timestamp,
    /// What was counted.
    pub traffic: Traffic,
}

impl Traffic {
    /// The failed ones among attempts. What was not sent is not counted: the destination saw nothing of it.
    pub fn of_attempts(attempts: &[Attempt]) -> Self {
        let failed = attempts.iter().filter(|attempt| {
            matches!(
                attempt.outcome,
                AttemptOutcome::Refused { .. }
                    | AttemptOutcome::Unreachable(_)
                    | AttemptOutcome::Unknown
            )
        });
        Self {
            failed_attempts: failed.count() as u64,
            ..Self::default()
        }
    }

    /// Deliveries that came to an end.
    pub fn ended(&self) -> u64 {
        self.delivered + self.dead_lettered
    }

    /// The share of the deliveries that came to an end which were delivered, 0 to 1; nothing while none came to an end.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of two counts far below 2^52"
    )]
    pub fn success_share(&self) -> Option<f64> {
        (self.ended() > 0).then(|| self.delivered as f64 / self.ended() as f64)
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed_attempts += other.failed_attempts;
        self.dead_lettered += other.dead_lettered;
    }
}

impl TrafficOf {
    /// All that a delivery of this project to this destination is counted for.
    pub fn all_of(project: &ProjectName, destination: &Destination) -> [Self; 3] {
        [
            Self::Everything,
            Self::Project(project.clone()),
            Self::at(project, destination),
        ]
    }

    /// What a destination's traffic is counted under.
    pub fn at(project: &ProjectName, destination: &Destination) -> Self {
        match destination {
            Destination::Webhook { .. } => Self::Destination(destination.id()),
            Destination::Callback { .. } => Self::Callbacks(project.clone()),
        }
    }
}

/// A word of its own for each, as stores name them.
impl fmt::Display for TrafficOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("all"),
            Self::Project(project) => write!(f, "project:{project}"),
            Self::Destination(destination) => write!(f, "destination:{destination}"),
            Self::Callbacks(project) => write!(f, "callbacks:{project}"),
        }
    }
}

impl TrafficStep {
    /// How long one is.
    pub fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
        }
    }

    /// How many are kept.
    pub fn count(self) -> u32 {
        match self {
            Self::Minute => 120,
            Self::Hour => 8 * 24,
        }
    }

    /// The number of the step that holds this moment, counted from 1970.
    pub fn number_of(self, moment: Timestamp) -> u32 {
        let seconds = u64::try_from(moment.as_second()).unwrap_or(0);
        u32::try_from(seconds / self.length().as_secs()).unwrap_or(u32::MAX)
    }

    /// When the step of this number begins.
    pub fn begin_of(self, number: u32) -> Timestamp {
        let seconds = u64::from(number) * self.length().as_secs();
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .unwrap_or(Timestamp::MAX)
    }

    /// The numbers of the steps kept when this moment is the last, oldest first.
    pub fn kept_until(self, moment: Timestamp) -> impl Iterator<Item = u32> + Clone {
        let last = self.number_of(moment);
        last.saturating_sub(self.count() - 1)..=last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_kept_end_with_the_moment_and_are_as_many_as_is_said() {
        let now: Timestamp = "2026-06-01T10:59:59.9Z".parse().unwrap();
        for (step, first, last) in [
            (
                TrafficStep::Minute,
                "2026-06-01T09:00:00Z",
                "2026-06-01T10:59:00Z",
            ),
            (
                TrafficStep::Hour,
                "2026-05-24T11:00:00Z",
                "2026-06-01T10:00:00Z",
            ),
        ] {
            let begins: Vec<_> = step
                .kept_until(now)
                .map(|number| step.begin_of(number))
                .collect();
            assert_eq!(begins.len(), step.count() as usize);
            assert_eq!(begins.first(), Some(&first.parse().unwrap()));
            assert_eq!(begins.last(), Some(&last.parse().unwrap()));
        }
    }

    #[test]
    fn a_share_of_nothing_is_not_told() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.success_share(), None);
        traffic += Traffic {
            delivered: 3,
            failed_attempts: 5,
            dead_lettered: 1,
        };
        assert_eq!(traffic.success_share(), Some(0.75));
    }
}
