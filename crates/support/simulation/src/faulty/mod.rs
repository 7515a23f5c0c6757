//! The simulated world with seeded faults in front of it.

mod clock;
mod destinations;
mod queue;
mod store;

pub(crate) use clock::JumpingClock;
pub(crate) use destinations::Destinations;
pub(crate) use queue::FaultyQueue;
pub(crate) use store::FaultyStore;

use crate::{
    dice::{Dice, Fault},
    plan::HEALED_AFTER,
};
use ringback_testkit::simulation::TokioClock;
use std::time::Duration;
use tokio::time::Instant;

/// When something shared by all is away.
#[derive(Debug, Clone, Default)]
struct Outages(Vec<(Instant, Instant)>);

impl Outages {
    /// The longest one.
    const LONGEST: Duration = Duration::from_secs(20);
    /// Within how long there may be one.
    const SLOT: Duration = Duration::from_mins(1);

    fn draw(dice: &Dice, clock: &TokioClock, fault: Fault) -> Self {
        let begin = Instant::now()
            .checked_sub(clock.elapsed())
            .expect("the clock began after the machine");
        let slots = u32::try_from(HEALED_AFTER.as_secs() / Self::SLOT.as_secs()).unwrap_or(1);
        let outage = |slot: u32| {
            let about = format!("minute {}", slot + 1);
            let size = dice.strikes(fault, &about)?;
            let start = begin + Self::SLOT * slot + Duration::from_millis(size % 35_000);
            let longest = u64::try_from(Self::LONGEST.as_millis()).unwrap_or(u64::MAX);
            let lasts = Duration::from_millis(100 + (size >> 20) % longest);
            Some((start, start + lasts))
        };
        Self((0..slots).filter_map(outage).collect())
    }

    fn is_now(&self) -> bool {
        let now = Instant::now();
        self.0
            .iter()
            .any(|(start, end)| *start <= now && now < *end)
    }

    /// The end of the one that is now.
    fn end(&self) -> Option<Instant> {
        let now = Instant::now();
        let current = self
            .0
            .iter()
            .find(|(start, end)| *start <= now && now < *end);
        current.map(|(_, end)| *end)
    }

    /// How many have begun.
    fn begun(&self) -> usize {
        let now = Instant::now();
        self.0.iter().filter(|(start, _)| *start <= now).count()
    }

    /// Waits for the next to begin.
    async fn next(&self) {
        let now = Instant::now();
        match self
            .0
            .iter()
            .map(|(start, _)| *start)
            .find(|start| *start > now)
        {
            Some(start) => tokio::time::sleep_until(start).await,
            None => std::future::pending().await,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Cause(Fault);
