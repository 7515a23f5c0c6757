//! What was asked for when a plan was made, and what was found.

use crate::{DestinationId, IdError, PlanId, ProjectName, WebhookId, limits};
use jiff::Timestamp;
use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

/// What was asked for when a plan was made, and what was found. Never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanTerms {
    /// Random.
    pub id: PlanId,
    /// Whose dead letters; nothing when of all projects.
    pub project: Option<ProjectName>,
    /// The filter, in words for people. The frozen list is what counts.
    pub selection: String,
    /// Why, in the words of whoever made it.
    pub reason: String,
    /// Who made it.
    pub by: String,
    /// When.
    pub planned_at: Timestamp,
    /// How fast, and in which order.
    pub pacing: Pacing,
    /// Where to.
    pub target: ReplayTarget,
    /// When it stops itself.
    pub stop_rule: StopRule,
    /// Whether those are sent, too, whose body is too old to be of use.
    pub sends_stale: bool,
    /// What was found.
    pub preview: PlanPreview,
}

/// How fast a plan goes, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// The most entries sent a second; nothing: as fast as it goes.
    pub rate: Option<NonZeroU32>,
    /// The most entries sent to one destination of which nothing final was heard; nothing: any number.
    pub concurrency: Option<NonZeroU32>,
    /// Which first.
    pub order: ReplayOrder,
}

impl Pacing {
    /// Entries a second, unless said otherwise.
    pub const RATE_DEFAULT: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
    /// Outstanding entries of one destination, unless said otherwise: what one worker attempts there at once.
    pub const CONCURRENCY_DEFAULT: NonZeroU32 = NonZeroU32::new(16).expect("not zero");
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            rate: Some(Self::RATE_DEFAULT),
            concurrency: Some(Self::CONCURRENCY_DEFAULT),
            order: ReplayOrder::OldestFirst,
        }
    }
}

/// Which dead letters first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplayOrder {
    /// As they were given up.
    #[default]
    OldestFirst,
    /// The latest first.
    NewestFirst,
}

impl ReplayOrder {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OldestFirst => "oldest",
            Self::NewestFirst => "newest",
        }
    }
}

impl fmt::Display for ReplayOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ReplayOrder {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "oldest" => Ok(Self::OldestFirst),
            "newest" => Ok(Self::NewestFirst),
            _ => Err("an order is `oldest` or `newest`"),
        }
    }
}

/// Where replays go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReplayTarget {
    /// To the webhook as it is now; a callback's URL is what it was.
    #[default]
    Current,
    /// To the URL that was the webhook's when the event was dispatched, signed with its secret of now.
    Original,
    /// To another webhook of the same project. The dead letter stays open: what another accepted was not delivered.
    Webhook(WebhookId),
}

impl fmt::Display for ReplayTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.pad("current"),
            Self::Original => f.pad("original"),
            Self::Webhook(id) => f.pad(id.as_str()),
        }
    }
}

impl FromStr for ReplayTarget {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text {
            "current" => Ok(Self::Current),
            "original" => Ok(Self::Original),
            id => id.parse().map(Self::Webhook),
        }
    }
}

/// When a plan stops itself: more than `share_percent` of the newest `window` entries failed.
///
/// An entry fails when its first attempt does, not only when it is given up: schedules last for days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopRule {
    share_percent: u8,
    window: u16,
}

/// A rule for stopping that is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StopRuleError {
    /// A share above all.
    #[error("a share of `{0}` % is out of range; allowed: 0 to 100, which never stops")]
    Share(u8),
    /// A window of nothing, or too long.
    #[error("a window of `{0}` entries is out of range; allowed: 1 to {max}", max = limits::PLAN_WINDOW_MAX)]
    Window(u16),
}

/// Fewer signs than these tell nothing, unless the window is shorter still.
const SIGNS_MIN: usize = 10;

impl StopRule {
    /// Checks the two numbers.
    ///
    /// # Errors
    ///
    /// When one is out of range.
    pub fn try_new(share_percent: u8, window: u16) -> Result<Self, StopRuleError> {
        if share_percent > 100 {
            return Err(StopRuleError::Share(share_percent));
        }
        if window == 0 || window > limits::PLAN_WINDOW_MAX {
            return Err(StopRuleError::Window(window));
        }
        Ok(Self {
            share_percent,
            window,
        })
    }

    /// The share of failures that is still borne, in percent.
    pub fn share_percent(self) -> u8 {
        self.share_percent
    }

    /// How many entries it looks back on.
    pub fn window(self) -> u16 {
        self.window
    }

    /// Whether so many failures among so many signs are too many.
    pub fn is_broken_by(self, failed: usize, signs: usize) -> bool {
        let enough = signs >= SIGNS_MIN.min(usize::from(self.window));
        enough && failed * 100 > usize::from(self.share_percent) * signs
    }
}

impl Default for StopRule {
    fn default() -> Self {
        Self {
            share_percent: 50,
            window: 50,
        }
    }
}

/// What was found when a plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanPreview {
    /// How many dead letters.
    pub entries: u32,
    /// By destination, the most first; at most [`limits::PLAN_GROUPS_MAX`].
    pub by_destination: Vec<DestinationCount>,
    /// By cause, the most first; at most [`limits::PLAN_GROUPS_MAX`].
    pub by_cause: Vec<CauseCount>,
    /// By the age of their events, in the order of [`AgeBand::ALL`].
    pub by_age: [u32; AgeBand::ALL.len()],
    /// Those whose event was older than their profile says a body is of use.
    pub stale: u32,
    /// Those that hold bytes that are no event, and will be skipped.
    pub not_events: u32,
}

/// A destination and how many dead letters it has in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationCount {
    /// Which.
    pub destination: DestinationId,
    /// Its URL as the newest of them knows it, without what may be secret.
    pub url: String,
    /// How many.
    pub entries: u32,
    /// How many of them are stale.
    pub stale: u32,
}

/// A cause and how many dead letters it has in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseCount {
    /// 16 hex digits.
    pub fingerprint: String,
    /// For people.
    pub summary: String,
    /// How many.
    pub entries: u32,
}

/// How old an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgeBand {
    /// Less than an hour.
    Hour,
    /// Less than a day.
    Day,
    /// Less than a week.
    Week,
    /// Less than thirty days.
    Month,
    /// More.
    Older,
}

impl AgeBand {
    /// All of them, youngest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Older];

    /// The band of an age.
    pub fn of(age: Duration) -> Self {
        const HOUR: u64 = 60 * 60;
        match age.as_secs() / HOUR {
            0 => Self::Hour,
            1..24 => Self::Day,
            24..168 => Self::Week,
            168..720 => Self::Month,
            _ => Self::Older,
        }
    }

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "under_1h",
            Self::Day => "1h_to_1d",
            Self::Week => "1d_to_7d",
            Self::Month => "7d_to_30d",
            Self::Older => "over_30d",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_broken_by_more_than_its_share_of_enough_signs() {
        let rule = StopRule::try_new(50, 50).unwrap();
        let table = [
            (0, 0, false),
            (9, 9, false), // too few to tell
            (5, 10, false),
            (6, 10, true),
            (25, 50, false),
            (26, 50, true),
        ];
        for (failed, signs, broken) in table {
            assert_eq!(
                rule.is_broken_by(failed, signs),
                broken,
                "{failed} of {signs}"
            );
        }
        assert!(StopRule::try_new(0, 3).unwrap().is_broken_by(1, 3));
        assert!(!StopRule::try_new(100, 50).unwrap().is_broken_by(50, 50));
        assert!(StopRule::try_new(101, 50).is_err());
        assert!(StopRule::try_new(50, 0).is_err());
        assert!(StopRule::try_new(50, 1_001).is_err());
    }

    #[test]
    fn targets_and_orders_are_read_as_they_are_written() {
        for text in ["current", "original", "whk_1"] {
            assert_eq!(text.parse::<ReplayTarget>().unwrap().to_string(), text);
        }
        assert!("https://example.com".parse::<ReplayTarget>().is_err());
        for text in ["oldest", "newest"] {
            assert_eq!(text.parse::<ReplayOrder>().unwrap().to_string(), text);
        }
        assert!("random".parse::<ReplayOrder>().is_err());
    }
}
