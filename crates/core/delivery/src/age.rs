//! How old that is which a dead letter tells of: links in a body may die.

use crate::profiles::ProfileBook;
use ringback_domain::{DeadLetter, DeadLetterContent, Timestamp};
use std::time::Duration;

/// A body that is older than its profile says one is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// Since the event.
    pub age: Duration,
    /// The profile's `payload_age_max`.
    pub age_max: Duration,
}

/// When that happened which a dead letter tells of, where it says so.
pub fn occurred_at(dead_letter: &DeadLetter) -> Option<Timestamp> {
    match &dead_letter.content {
        DeadLetterContent::Delivery(delivery) => Some(delivery.event.occurred_at),
        DeadLetterContent::Event { event, .. } => event.occurred_at,
        DeadLetterContent::Raw { .. } => None,
    }
}

/// Whether a dead letter's body is too old to be of use. One that is yet to be made of an event is not asked.
pub fn stale(dead_letter: &DeadLetter, profiles: &ProfileBook, now: Timestamp) -> Option<Stale> {
    let profile = profiles.profile(&dead_letter.delivery()?.profile)?;
    let age_max = profile.payload_age_max()?;
    let age = age_of(dead_letter, now);
    (age > age_max).then_some(Stale { age, age_max })
}

/// Nothing for what is yet to happen.
pub(crate) fn age_of(dead_letter: &DeadLetter, now: Timestamp) -> Duration {
    let since = occurred_at(dead_letter).unwrap_or(dead_letter.died_at);
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
