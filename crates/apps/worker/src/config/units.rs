//! Waits and sizes as people write them.

use std::{fmt::Write, time::Duration};

const WAIT_UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];
const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A wait such as `30s` or `1h30m`; `None` when it is not written so.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total_ms = 0u64;
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let unit_bytes = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_bytes);
        total_ms = total_ms.checked_add(number.checked_mul(unit_of(&WAIT_UNITS, unit)?)?)?;
        rest = after;
    }
    Some(Duration::from_millis(total_ms))
}

/// A wait in as few units as say it exactly, to the millisecond.
pub fn show_duration(wait: Duration) -> String {
    let mut left_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    if left_ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, unit_ms) in WAIT_UNITS {
        if left_ms >= unit_ms {
            let _ = write!(text, "{}{unit}", left_ms / unit_ms);
            left_ms %= unit_ms;
        }
    }
    text
}

/// A size such as `64KiB`; `None` when it is not written so.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = leading_number(text.trim())?;
    number.checked_mul(unit_of(&SIZE_UNITS, unit.trim_start())?)
}

/// A size in the largest unit that says it exactly.
pub fn show_size(bytes: u64) -> String {
    let (unit, unit_bytes) = SIZE_UNITS
        .into_iter()
        .find(|(_, unit_bytes)| bytes >= *unit_bytes && bytes.is_multiple_of(*unit_bytes))
        .unwrap_or(("B", 1));
    format!("{}{unit}", bytes / unit_bytes)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

fn unit_of(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units
        .iter()
        .find_map(|(name, factor)| (*name == unit).then_some(*factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_as_people_write_it() {
        for (text, expected_ms) in [
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("500ms", Some(500)),
            ("1h30m", Some(5_400_000)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("30 seconds", None),
            ("99999999999999999999s", None),
            ("999999999999999999d", None),
        ] {
            assert_eq!(
                parse_duration(text),
                expected_ms.map(Duration::from_millis),
                "{text}"
            );
        }
    }

    #[test]
    fn a_size_is_read_as_people_write_it() {
        for (text, expected) in [
            ("64KiB", Some(65_536)),
            ("1 MiB", Some(1 << 20)),
            ("0B", Some(0)),
            ("64", None),
            ("64kb", None),
            ("99999999999999999GiB", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["30s", "1h30m", "1d", "1m500ms"] {
            assert_eq!(
                show_duration(parse_duration(text).unwrap()),
                text,
                "shown as written"
            );
        }
        for text in ["64KiB", "1MiB", "1000B"] {
            assert_eq!(
                show_size(parse_size(text).unwrap()),
                text,
                "shown as written"
            );
        }
    }
}
