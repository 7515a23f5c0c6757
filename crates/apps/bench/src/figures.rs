//! From what the generator and the receiver wrote down to figures. Pure.

use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Microseconds since 1970.
pub(crate) type Micros = u64;

/// An event as the generator saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Right before it was published.
    pub(crate) at: Micros,
    /// Whether it was told that it is safe.
    pub(crate) acknowledged: bool,
}

/// A request as the receiver saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) at: Micros,
    pub(crate) destination: String,
    pub(crate) event: String,
    /// Nothing when it was never answered.
    pub(crate) status: Option<u16>,
}

impl Arrived {
    pub(crate) fn was_accepted(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }
}

/// Milliseconds that half, 99 % and 99.9 % of the deliveries took at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half.
    pub p50_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
    /// 999 of a thousand.
    pub p999_ms: f64,
    /// All.
    pub max_ms: f64,
}

impl Latency {
    /// Nothing of nothing.
    pub(crate) fn of(mut micros: Vec<Micros>) -> Option<Self> {
        micros.sort_unstable();
        let last = micros.len().checked_sub(1)?;
        // The smallest value that so many per mille are not above.
        let at = |per_mille: usize| {
            let index = (micros.len() * per_mille).div_ceil(1000).saturating_sub(1);
            millis(micros[index.min(last)])
        };
        Some(Self {
            p50_ms: at(500),
            p99_ms: at(990),
            p999_ms: at(999),
            max_ms: millis(micros[last]),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn millis(micros: Micros) -> f64 {
    micros as f64 / 1000.0
}

/// How punctual retries were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lateness {
    /// How late they came.
    #[serde(flatten)]
    pub late: Latency,
    /// Those that came before their time.
    pub early: u64,
}

/// How punctual the first retries were that had to wait for so long after an attempt was refused; nothing without any.
pub(crate) fn late(arrived: &[Arrived], wait: Duration) -> Option<Lateness> {
    let mut refused_at: HashMap<(&str, &str), Micros> = HashMap::new();
    let (mut waits, mut early) = (Vec::new(), 0);
    let mut in_order: Vec<_> = arrived.iter().collect();
    in_order.sort_by_key(|request| request.at);
    for request in in_order {
        let key = (request.event.as_str(), request.destination.as_str());
        if request.status.is_some() && !request.was_accepted() {
            refused_at.entry(key).or_insert(request.at);
        } else if let Some(refused_at) = refused_at.remove(&key) {
            let due = refused_at + u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
            early += u64::from(request.at < due);
            waits.push(request.at.saturating_sub(due));
        }
    }
    Latency::of(waits).map(|late| Lateness { late, early })
}

/// So many of them at most, at equal distances, the last one among them.
pub(crate) fn thinned(seen: &[u64], most: usize) -> Vec<u64> {
    let apart = seen.len().div_ceil(most.max(1)).max(1);
    let mut kept: Vec<u64> = seen.iter().rev().step_by(apart).copied().collect();
    kept.reverse();
    kept
}

/// What came of the events of a run.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Deliveries accepted, each counted once.
    pub(crate) delivered: u64,
    /// Requests accepted after the first of the same delivery.
    pub(crate) duplicates: u64,
    /// Deliveries of acknowledged events that never came.
    pub(crate) lost: u64,
    /// From the first publish to the last acceptance, seconds.
    pub(crate) took_s: f64,
    /// From publishing to the first accepted request.
    pub(crate) to_post: Option<Latency>,
    /// Requests by destination, accepted or not.
    pub(crate) requests: BTreeMap<String, u64>,
}

/// Compares both sides. `expected` says to which destinations an event has to come; the others are counted as requests only.
pub(crate) fn compare(
    sent: &HashMap<String, Sent>,
    arrived: &[Arrived],
    expected: impl Fn(&str) -> Vec<String>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut first: HashMap<(&str, &str), Micros> = HashMap::new();
    for request in arrived {
        *outcome
            .requests
            .entry(request.destination.clone())
            .or_default() += 1;
        if !request.was_accepted() || !sent.contains_key(&request.event) {
            continue;
        }
        let key = (request.event.as_str(), request.destination.as_str());
        first
            .entry(key)
            .and_modify(|at| {
                outcome.duplicates += 1;
                *at = (*at).min(request.at);
            })
            .or_insert(request.at);
    }
    let mut waits = Vec::new();
    let (mut begun, mut ended) = (Micros::MAX, 0);
    for (event, sent) in sent {
        for destination in expected(event) {
            match first.get(&(event.as_str(), destination.as_str())) {
                Some(at) => {
                    outcome.delivered += 1;
                    waits.push(at.saturating_sub(sent.at));
                    (begun, ended) = (begun.min(sent.at), ended.max(*at));
                }
                None if sent.acknowledged => outcome.lost += 1,
                None => {}
            }
        }
    }
    outcome.took_s = millis(ended.saturating_sub(begun)) / 1000.0;
    outcome.to_post = Latency::of(waits);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_looks_some_are_kept_and_the_last_one() {
        let seen: Vec<u64> = (1..=125).collect();
        let kept = thinned(&seen, 60);
        assert_eq!((kept.len(), kept.last()), (42, Some(&125)));
        assert_eq!(thinned(&seen[..60], 60), seen[..60]);
        assert!(thinned(&[], 60).is_empty());
    }

    #[test]
    fn half_and_nearly_all_are_at_most_so_late() {
        let latency = Latency::of((1..=1000).map(|ms| ms * 1000).rev().collect()).unwrap();
        let expected = Latency {
            p50_ms: 500.0,
            p99_ms: 990.0,
            p999_ms: 999.0,
            max_ms: 1000.0,
        };
        assert_eq!(latency, expected);
        assert_eq!(Latency::of(Vec::new()), None);
        assert_eq!(Latency::of(vec![7000]).map(|one| one.p50_ms), Some(7.0));
    }

    fn arrived(at: Micros, destination: &str, event: &str, status: Option<u16>) -> Arrived {
        Arrived {
            at,
            destination: destination.into(),
            event: event.into(),
            status,
        }
    }

    #[test]
    fn a_retry_is_late_by_what_it_took_beyond_its_wait() {
        let requests = [
            arrived(4_500_000, "x", "a", Some(200)),
            arrived(1_000_000, "x", "a", Some(503)),
            arrived(1_000_000, "x", "b", Some(503)),
            arrived(2_900_000, "x", "b", Some(200)),
            arrived(2_900_000, "x", "at once", Some(200)),
            arrived(2_900_000, "x", "never again", Some(503)),
        ];
        let lateness = late(&requests, Duration::from_secs(2)).unwrap();
        assert_eq!(lateness.early, 1);
        assert_eq!(lateness.late, Latency::of(vec![0, 1_500_000]).unwrap());
        assert_eq!(late(&requests[4..5], Duration::ZERO), None);
    }

    #[test]
    fn what_came_twice_or_never_is_counted_and_a_refusal_is_no_delivery() {
        let sent = |at, acknowledged| Sent { at, acknowledged };
        let events = HashMap::from([
            ("a".to_owned(), sent(1_000, true)),
            ("b".to_owned(), sent(2_000, true)),
            ("c".to_owned(), sent(3_000, false)),
        ]);
        let requests = [
            arrived(2_000, "x", "a", Some(503)),
            arrived(4_000, "x", "a", Some(200)),
            arrived(9_000, "x", "a", Some(200)),
            arrived(5_000, "x", "stranger", Some(200)),
            arrived(6_000, "hangs", "b", None),
        ];
        let outcome = compare(&events, &requests, |_| vec!["x".to_owned()]);
        assert_eq!(outcome.delivered, 1);
        assert_eq!(outcome.duplicates, 1);
        assert_eq!(outcome.lost, 1, "`b` was acknowledged, `c` was not");
        assert_eq!(outcome.to_post, Latency::of(vec![3000]));
        assert_eq!(outcome.requests["x"], 4);
        assert!((outcome.took_s - 0.003).abs() < 1e-9);
    }
}
