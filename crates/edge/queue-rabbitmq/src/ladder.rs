//! The delay ladder as arithmetic: which rungs a message climbs to wait a given time.
//!
//! A wait is a number in base 8, counted in units of 250 ms, seven digits long. Each non-zero digit is one rung: a queue
//! whose messages all wait equally long, so that none waits behind a longer one. Fewer non-zero digits are fewer hops
//! through the broker, and hops are what costs; so a wait is rounded up to as few leading digits as its room allows.

use ringback_delivery::port::Lane;
use ringback_domain::Wait;
use std::{fmt, time::Duration};

/// The shortest wait of a rung.
pub(crate) const UNIT: Duration = Duration::from_millis(250);
/// Digits of a wait, and exchanges of the ladder.
pub(crate) const POSITIONS: u8 = 7;
/// Digits from 0 to 7, and seven rungs a position.
pub(crate) const BASE: u32 = 8;
/// The longest wait the ladder can keep, in units: 6 days.
const UNITS_MAX: u32 = BASE.pow(POSITIONS as u32) - 1;
/// A wait may be longer than asked by this part of it: three digits of base 8 always come this close.
const LATENESS_PART: u32 = 64;

/// How long the rung for `digit` at `position` holds a message.
pub(crate) fn rung_wait(position: u8, digit: u8) -> Duration {
    UNIT * u32::from(digit) * BASE.pow(u32::from(position))
}

/// How many of a rung's messages leave it within a time, by how long it holds each: as many as their share of that, since
/// nobody tells when they came.
pub(crate) fn due_within(soon: Duration, position: u8, digit: u8, waiting: u64) -> u64 {
    let holds = rung_wait(position, digit).max(UNIT);
    if holds <= soon {
        return waiting;
    }
    let due = u128::from(waiting) * soon.as_millis() / holds.as_millis();
    u64::try_from(due).unwrap_or(waiting)
}

/// The rungs one message climbs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Climb {
    units: u32,
}

/// A wait longer than all rungs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a wait of {0:?} is longer than the delay ladder's {max:?}", max = UNIT * UNITS_MAX)]
pub(crate) struct TooLong(Duration);

impl Climb {
    /// The fewest rungs that wait at least `at_least` and, beyond it, no longer than `at_most` or a 64th of the wait;
    /// `None` when there is nothing to wait for.
    pub(crate) fn plan(wait: Wait) -> Result<Option<Self>, TooLong> {
        let least = u32::try_from(wait.at_least.as_nanos().div_ceil(UNIT.as_nanos()))
            .ok()
            .filter(|least| *least <= UNITS_MAX)
            .ok_or(TooLong(wait.at_least))?;
        if least == 0 {
            return Ok(None);
        }
        let room = u32::try_from(wait.at_most.as_nanos() / UNIT.as_nanos()).unwrap_or(UNITS_MAX);
        let most = room.max(least + least / LATENESS_PART).min(UNITS_MAX);
        let units = (1..=u32::from(POSITIONS))
            .map(|digits| round_up(least, digits))
            .find(|units| *units <= most)
            .expect("seven digits are exact, and exact is within any room");
        Ok(Some(Self { units }))
    }

    /// How long the climb takes, the broker's own time aside.
    pub(crate) fn wait(self) -> Duration {
        UNIT * self.units
    }

    /// How many queues the message passes.
    #[cfg(test)]
    pub(crate) fn hops(self) -> usize {
        self.rungs().count()
    }

    /// The position of the first rung; the message is published to the exchange of this position.
    pub(crate) fn start(self) -> u8 {
        let digits = u32::BITS - self.units.leading_zeros();
        u8::try_from((digits - 1) / 3).expect("at most seven digits of three bits")
    }

    /// The key that leads the message from exchange to exchange: a word a digit, then the lane it ends in.
    pub(crate) fn routing_key(self, lane: Lane) -> String {
        let mut key = String::with_capacity(20);
        for digit in self.digits() {
            key.push(char::from(b'0' + digit));
            key.push('.');
        }
        key.push_str(lane_word(lane));
        key
    }

    /// The rungs it passes, by position and digit, in this order.
    pub(crate) fn rungs(self) -> impl Iterator<Item = (u8, u8)> {
        (0..POSITIONS)
            .rev()
            .zip(self.digits())
            .filter(|(_, digit)| *digit > 0)
    }

    /// From the highest position down.
    fn digits(self) -> impl Iterator<Item = u8> {
        (0..POSITIONS)
            .rev()
            .map(move |position| ((self.units >> (3 * u32::from(position))) & 7) as u8)
    }
}

impl fmt::Debug for Climb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Climb({:07o})", self.units)
    }
}

/// The last word of a routing key.
pub(crate) fn lane_word(lane: Lane) -> &'static str {
    match lane {
        Lane::Main => "main",
        Lane::Slow => "slow",
    }
}

/// The least number of at most so many leading digits, the rest zeros, that is not below `units`.
fn round_up(units: u32, digits: u32) -> u32 {
    let length = units.ilog(BASE) + 1;
    units.next_multiple_of(BASE.pow(length.saturating_sub(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ringback_domain::limits::DELAY_MAX;

    fn plan(at_least: Duration, at_most: Duration) -> Option<Climb> {
        Climb::plan(Wait { at_least, at_most }).unwrap()
    }

    #[test]
    fn waits_as_a_table() {
        let secs = Duration::from_secs;
        for (at_least, at_most, key, start, hops) in [
            (
                Duration::from_nanos(1),
                Duration::from_nanos(1),
                "0.0.0.0.0.0.1.main",
                0,
                1,
            ),
            (secs(5), secs(5), "0.0.0.0.0.2.4.main", 1, 2),
            (secs(60), secs(60), "0.0.0.0.3.6.0.main", 2, 2),
            (secs(60), secs(64), "0.0.0.0.4.0.0.main", 2, 1),
            (secs(1800), secs(1800), "0.0.1.6.1.0.0.main", 4, 3),
            (secs(1800), secs(2160), "0.0.2.0.0.0.0.main", 4, 1),
            (DELAY_MAX, DELAY_MAX, "6.5.0.0.0.0.0.main", 6, 2),
        ] {
            let climb = plan(at_least, at_most).unwrap();
            assert_eq!(
                (
                    climb.routing_key(Lane::Main).as_str(),
                    climb.start(),
                    climb.hops()
                ),
                (key, start, hops),
                "{at_least:?}"
            );
        }
        assert_eq!(plan(Duration::ZERO, secs(9)), None);
    }

    #[test]
    fn a_wait_beyond_the_top_is_refused_and_the_top_itself_is_not() {
        let top = UNIT * UNITS_MAX;
        assert_eq!(plan(top, top).unwrap().wait(), top);
        let beyond = top + Duration::from_nanos(1);
        assert_eq!(Climb::plan(Wait::exactly(beyond)), Err(TooLong(beyond)));
        assert_eq!(
            Climb::plan(Wait::exactly(Duration::MAX)),
            Err(TooLong(Duration::MAX))
        );
    }

    /// Waits of every magnitude, not only long ones.
    fn any_wait() -> impl Strategy<Value = Duration> {
        (0u32..39)
            .prop_flat_map(|bits| 1u64..=(1u64 << bits))
            .prop_map(|micros| Duration::from_micros(micros).min(DELAY_MAX))
    }

    proptest! {
        #[test]
        fn never_early_and_at_most_a_64th_and_a_unit_late(wait in any_wait()) {
            let climb = plan(wait, wait).unwrap();
            prop_assert!(climb.wait() >= wait);
            prop_assert!(climb.wait() <= wait.mul_f64(1.016) + UNIT, "{wait:?} became {:?}", climb.wait());
            prop_assert!(climb.hops() <= 3);
        }

        #[test]
        fn room_saves_hops_and_is_never_overstepped(wait in any_wait(), room in 0.0f64..1.0) {
            let at_most = wait.mul_f64(1.0 + room);
            let climb = plan(wait, at_most).unwrap();
            prop_assert!(climb.wait() >= wait);
            prop_assert!(climb.wait() <= at_most.max(wait.mul_f64(1.016) + UNIT));
            prop_assert!(climb.hops() <= plan(wait, wait).unwrap().hops());
            if room >= 0.125 {
                prop_assert!(climb.hops() <= 2, "an eighth of room saves the third hop");
            }
        }

        #[test]
        fn the_rungs_of_the_key_add_up_to_the_wait(wait in any_wait()) {
            let climb = plan(wait, wait).unwrap();
            let key = climb.routing_key(Lane::Slow);
            let words: Vec<_> = key.split('.').collect();
            prop_assert_eq!(words.len(), usize::from(POSITIONS) + 1);
            prop_assert_eq!(words[7], "slow");
            let total: Duration = (0..POSITIONS)
                .map(|position| rung_wait(position, words[usize::from(6 - position)].parse().unwrap()))
                .sum();
            prop_assert_eq!(total, climb.wait());
            prop_assert_eq!(words.iter().position(|word| *word != "0"), Some(usize::from(6 - climb.start())));
        }
    }
}
