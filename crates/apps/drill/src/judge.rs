//! The verdict: what the logs of both sides say, compared. No I/O, no clock: the same logs are judged alike for ever.
//!
//! The words are those of the checker that Jepsen has for queues (`total-queue`), with an event as the element:
//!
//! - *attempted*: a producer tried to publish it; *acknowledged*: and was told that it is safe;
//! - *delivered*: each of its destinations accepted it, verified and with the bytes it was published with;
//! - *lost*: taken in, and yet some destination has neither accepted it nor a dead letter that shows it;
//! - *unexpected*: something arrived that nobody sent there;
//! - *duplicated*: accepted, and sent again; *recovered*: not acknowledged, and there all the same.

use crate::schedule::Class;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Examples kept of each kind of finding.
const EXAMPLES_MAX: usize = 20;

/// A moment, in milliseconds since 1970.
pub type Millis = u64;

/// How long after a hold requests that were held may arrive: what an attempt may take (see the profiles in `stage.rs`).
const UNDER_WAY_MAX: Millis = 3_000;

/// SHA-256 of a body, in hexadecimal.
pub type Digest = String;

/// What a producer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The event.
    pub id: String,
    /// Where it has to go.
    pub destinations: &'static [&'static str],
    /// Of the body that has to arrive.
    pub digest: Digest,
    /// When the broker's confirm was there, if it ever was.
    pub acknowledged_at: Option<Millis>,
}

/// A line of the receiver's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// When.
    pub at: Millis,
    /// Where.
    pub destination: String,
    /// Under which id.
    pub id: String,
    /// Of the body that came.
    pub digest: Digest,
    /// Whether the signature was right.
    pub verified: bool,
    /// What was answered.
    pub status: u16,
}

/// A dead letter that an operator can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The event, if that can be told.
    pub id: Option<String>,
    /// The destination; nothing when the event as a whole was given up.
    pub destination: Option<String>,
}

/// A fault that struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struck {
    /// What.
    pub class: Class,
    /// From when.
    pub begun_at: Millis,
    /// Until all was in place again.
    pub over_at: Millis,
}

/// Everything there is to judge by.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The producers' side.
    pub published: Vec<Published>,
    /// The receiver's.
    pub received: Vec<Received>,
    /// The operator's.
    pub given_up: Vec<GivenUp>,
    /// What was done to them, in order.
    pub struck: Vec<Struck>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Events a producer tried to publish.
    pub attempted: u64,
    /// Those it was told are safe.
    pub acknowledged: u64,
    /// Those that each of their destinations accepted.
    pub delivered: u64,
    /// Those that did not reach every destination, and for which every such destination has a dead letter.
    pub dead_lettered: u64,
    /// Those not acknowledged, and taken in all the same.
    pub recovered: u64,
    /// Taken in, and neither delivered nor a dead letter.
    pub lost: u64,
    /// Requests and dead letters of nobody's events.
    pub unexpected: u64,
    /// Requests that arrived whole.
    pub requests: u64,
    /// Requests after one that was accepted.
    pub duplicated: u64,
    /// Of those, the ones that no fault explains.
    pub duplicated_unexplained: u64,
    /// Requests with other bytes than the event was published with.
    pub bodies_changed: u64,
    /// Requests whose signature does not hold.
    pub signatures_wrong: u64,
    /// Of each class of fault.
    pub classes: BTreeMap<Class, ClassVerdict>,
    /// Some of the events that were lost.
    pub lost_examples: Vec<String>,
    /// Some of the requests and dead letters that nobody expected.
    pub unexpected_examples: Vec<String>,
    /// Some of the requests that no fault explains.
    pub unexplained_examples: Vec<String>,
}

/// What one class of faults did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassVerdict {
    /// How often it struck.
    pub struck: u64,
    /// Requests that came again because of it.
    pub duplicated: u64,
    /// For each time, how long after its end the last event arrived that had been acknowledged before its end; sorted.
    pub recovery_ms: Vec<Millis>,
}

impl Verdict {
    /// Whether what is promised was kept.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.unexpected == 0
    }
}

/// Compares the logs.
///
/// `steady` is the destination by which recovery is measured: the one that accepts everything at once.
pub fn judge(evidence: &Evidence, steady: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for fault in &evidence.struck {
        verdict.classes.entry(fault.class).or_default().struck += 1;
    }
    let events: HashMap<&str, &Published> = evidence
        .published
        .iter()
        .map(|event| (event.id.as_str(), event))
        .collect();
    let accepted = judge_requests(evidence, &events, &mut verdict);
    let given_up = judge_dead_letters(evidence, &events, &mut verdict);
    judge_events(evidence, &accepted, &given_up, &mut verdict);
    measure_recovery(evidence, &accepted, steady, &mut verdict);
    verdict
}

/// An event's id and one of its destinations.
type Delivery<'a> = (&'a str, &'a str);

/// When each delivery was accepted first.
fn judge_requests<'a>(
    evidence: &'a Evidence,
    events: &HashMap<&str, &Published>,
    verdict: &mut Verdict,
) -> HashMap<Delivery<'a>, Millis> {
    let mut accepted: HashMap<Delivery<'a>, Millis> = HashMap::new();
    for request in &evidence.received {
        verdict.requests += 1;
        let delivery = (request.id.as_str(), request.destination.as_str());
        let event = events.get(request.id.as_str());
        let Some(event) = event.filter(|event| event.destinations.contains(&delivery.1)) else {
            verdict.unexpected += 1;
            note(&mut verdict.unexpected_examples, || {
                format!(
                    "request {} at {} at {}",
                    request.id, request.destination, request.at
                )
            });
            continue;
        };
        let is_changed = request.digest != event.digest;
        verdict.bodies_changed += u64::from(is_changed);
        verdict.signatures_wrong += u64::from(!request.verified);
        if let Some(first_at) = accepted.get(&delivery) {
            verdict.duplicated += 1;
            if let Some(class) = cause_of(&evidence.struck, *first_at, request.at) {
                verdict.classes.entry(class).or_default().duplicated += 1;
            } else {
                verdict.duplicated_unexplained += 1;
                note(&mut verdict.unexplained_examples, || {
                    format!(
                        "{} at {} at {first_at} and at {}",
                        request.id, request.destination, request.at
                    )
                });
            }
        } else if request.status == 200 && request.verified && !is_changed {
            accepted.insert(delivery, request.at);
        }
    }
    accepted
}

/// The fault that kept the first request from being recorded: the first that was not yet over then, and had begun before the
/// second.
fn cause_of(struck: &[Struck], first_at: Millis, again_at: Millis) -> Option<Class> {
    let cause = struck
        .iter()
        .find(|fault| felt_until(fault) >= first_at && fault.begun_at <= again_at);
    cause.map(|fault| fault.class)
}

/// Until when requests arrive that the fault was on for when they were made.
fn felt_until(fault: &Struck) -> Millis {
    match fault.class {
        // What was written into connections that carried nothing arrives when they carry again, whether or not its sender still
        // waits for the answer.
        Class::ReceiverHeld => fault.over_at + UNDER_WAY_MAX,
        _ => fault.over_at,
    }
}

/// What was given up: deliveries, and events as a whole.
fn judge_dead_letters<'a>(
    evidence: &'a Evidence,
    events: &HashMap<&str, &Published>,
    verdict: &mut Verdict,
) -> HashSet<(&'a str, Option<&'a str>)> {
    let mut given_up = HashSet::new();
    for dead in &evidence.given_up {
        let destination = dead.destination.as_deref();
        let event = dead.id.as_deref().and_then(|id| events.get(id));
        let is_expected = event
            .is_some_and(|event| destination.is_none_or(|name| event.destinations.contains(&name)));
        match &dead.id {
            Some(id) if is_expected => {
                given_up.insert((id.as_str(), destination));
            }
            id => {
                verdict.unexpected += 1;
                note(&mut verdict.unexpected_examples, || {
                    format!(
                        "dead letter of {} for {}",
                        id.as_deref().unwrap_or("-"),
                        destination.unwrap_or("-")
                    )
                });
            }
        }
    }
    given_up
}

fn judge_events(
    evidence: &Evidence,
    accepted: &HashMap<Delivery<'_>, Millis>,
    given_up: &HashSet<(&str, Option<&str>)>,
    verdict: &mut Verdict,
) {
    for event in &evidence.published {
        let id = event.id.as_str();
        let is_accepted = |name: &str| accepted.contains_key(&(id, name));
        let is_given_up =
            |name: &str| given_up.contains(&(id, Some(name))) || given_up.contains(&(id, None));
        let is_acknowledged = event.acknowledged_at.is_some();
        verdict.attempted += 1;
        verdict.acknowledged += u64::from(is_acknowledged);
        // Of what was not acknowledged, nothing need arrive; but if anything does, everything must.
        let is_taken_in = is_acknowledged
            || event
                .destinations
                .iter()
                .any(|name| is_accepted(name) || is_given_up(name));
        if !is_taken_in {
            continue;
        }
        if event.destinations.iter().all(|name| is_accepted(name)) {
            verdict.delivered += 1;
        } else if event
            .destinations
            .iter()
            .all(|name| is_accepted(name) || is_given_up(name))
        {
            verdict.dead_lettered += 1;
        } else {
            verdict.lost += 1;
            note(&mut verdict.lost_examples, || {
                let missing = event
                    .destinations
                    .iter()
                    .find(|name| !is_accepted(name) && !is_given_up(name));
                format!("{id} at {}", missing.expect("one is neither"))
            });
            continue;
        }
        verdict.recovered += u64::from(!is_acknowledged);
    }
}

fn measure_recovery(
    evidence: &Evidence,
    accepted: &HashMap<Delivery<'_>, Millis>,
    steady: &str,
    verdict: &mut Verdict,
) {
    let spans: Vec<(Millis, Millis)> = evidence
        .published
        .iter()
        .filter_map(|event| {
            Some((
                event.acknowledged_at?,
                *accepted.get(&(event.id.as_str(), steady))?,
            ))
        })
        .collect();
    for fault in &evidence.struck {
        let held_up = spans.iter().filter(|(acknowledged_at, arrived_at)| {
            *acknowledged_at <= fault.over_at && *arrived_at > fault.over_at
        });
        let last_at = held_up.map(|(_, arrived_at)| *arrived_at).max();
        let recovery = last_at.map_or(0, |last_at| last_at - fault.over_at);
        verdict
            .classes
            .entry(fault.class)
            .or_default()
            .recovery_ms
            .push(recovery);
    }
    for class in verdict.classes.values_mut() {
        class.recovery_ms.sort_unstable();
    }
}

fn note(examples: &mut Vec<String>, words: impl FnOnce() -> String) {
    if examples.len() < EXAMPLES_MAX {
        examples.push(words());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[&str] = &["steady"];
    const TWO: &[&str] = &["left", "right"];

    fn published(
        id: &str,
        destinations: &'static [&'static str],
        acknowledged_at: Option<Millis>,
    ) -> Published {
        Published {
            id: id.into(),
            destinations,
            digest: "d".into(),
            acknowledged_at,
        }
    }

    fn received(at: Millis, destination: &str, id: &str) -> Received {
        Received {
            at,
            destination: destination.into(),
            id: id.into(),
            digest: "d".into(),
            verified: true,
            status: 200,
        }
    }

    fn given_up(id: &str, destination: Option<&str>) -> GivenUp {
        GivenUp {
            id: Some(id.into()),
            destination: destination.map(Into::into),
        }
    }

    fn struck(class: Class, begun_at: Millis, over_at: Millis) -> Struck {
        Struck {
            class,
            begun_at,
            over_at,
        }
    }

    /// An event that was acknowledged, and what else there is.
    fn case(
        destinations: &'static [&'static str],
        received: Vec<Received>,
        given_up: Vec<GivenUp>,
    ) -> Verdict {
        let evidence = Evidence {
            published: vec![published("e", destinations, Some(10))],
            received,
            given_up,
            struck: vec![
                struck(Class::WorkerKilled, 30, 40),
                struck(Class::StoreCut, 60, 70),
            ],
        };
        judge(&evidence, "steady")
    }

    #[test]
    fn what_arrives_is_delivered_and_nothing_is_wrong() {
        let verdict = case(ONE, vec![received(20, "steady", "e")], vec![]);
        assert!(verdict.holds());
        let counts = (
            verdict.attempted,
            verdict.acknowledged,
            verdict.delivered,
            verdict.requests,
            verdict.recovered,
        );
        assert_eq!(counts, (1, 1, 1, 1, 0));
        assert_eq!(
            verdict.duplicated + verdict.bodies_changed + verdict.signatures_wrong,
            0
        );
    }

    #[test]
    fn acknowledged_and_neither_delivered_nor_a_dead_letter_is_lost() {
        for (destinations, received) in [
            (ONE, vec![]),
            (TWO, vec![received(20, "left", "e")]),
            (
                ONE,
                vec![Received {
                    status: 503,
                    ..received(20, "steady", "e")
                }],
            ),
            (
                ONE,
                vec![Received {
                    verified: false,
                    ..received(20, "steady", "e")
                }],
            ),
            (
                ONE,
                vec![Received {
                    digest: "x".into(),
                    ..received(20, "steady", "e")
                }],
            ),
        ] {
            let verdict = case(destinations, received.clone(), vec![]);
            assert_eq!((verdict.lost, verdict.delivered), (1, 0), "{received:?}");
            assert!(!verdict.holds());
            assert!(verdict.lost_examples[0].starts_with("e at "), "{verdict:?}");
        }
    }

    #[test]
    fn a_dead_letter_for_every_destination_that_did_not_accept_is_no_loss() {
        let left = || vec![received(20, "left", "e")];
        for (received, dead) in [
            (left(), vec![given_up("e", Some("right"))]),
            (left(), vec![given_up("e", None)]),
            (
                vec![],
                vec![given_up("e", Some("left")), given_up("e", Some("right"))],
            ),
        ] {
            let verdict = case(TWO, received, dead.clone());
            assert_eq!(
                (verdict.lost, verdict.dead_lettered, verdict.delivered),
                (0, 1, 0),
                "{dead:?}"
            );
        }
        let verdict = case(TWO, vec![], vec![given_up("e", Some("left"))]);
        assert_eq!(verdict.lost, 1, "one of two is not enough");
    }

    #[test]
    fn what_nobody_sent_there_is_unexpected() {
        let there = || received(20, "steady", "e");
        for (more, dead) in [
            (vec![received(25, "steady", "stranger")], vec![]),
            (vec![received(25, "left", "e")], vec![]),
            (vec![received(25, "-", "-")], vec![]),
            (vec![], vec![given_up("stranger", Some("steady"))]),
            (vec![], vec![given_up("e", Some("left"))]),
            (
                vec![],
                vec![GivenUp {
                    id: None,
                    destination: None,
                }],
            ),
        ] {
            let received = [vec![there()], more.clone()].concat();
            let verdict = case(ONE, received, dead.clone());
            assert_eq!(
                (verdict.unexpected, verdict.delivered),
                (1, 1),
                "{more:?} {dead:?}"
            );
            assert!(!verdict.holds());
            assert_eq!(verdict.unexpected_examples.len(), 1);
        }
    }

    #[test]
    fn changed_bytes_and_wrong_signatures_are_counted() {
        let changed = Received {
            digest: "x".into(),
            ..received(15, "steady", "e")
        };
        let forged = Received {
            verified: false,
            ..received(16, "steady", "e")
        };
        let verdict = case(
            ONE,
            vec![changed, forged, received(20, "steady", "e")],
            vec![],
        );
        assert_eq!((verdict.bodies_changed, verdict.signatures_wrong), (1, 1));
        assert_eq!((verdict.delivered, verdict.duplicated), (1, 0));
    }

    #[test]
    fn a_retry_is_no_duplicate_and_a_request_after_an_accepted_one_is() {
        let refused = Received {
            status: 503,
            ..received(15, "steady", "e")
        };
        let verdict = case(ONE, vec![refused, received(20, "steady", "e")], vec![]);
        assert_eq!((verdict.duplicated, verdict.requests), (0, 2));
    }

    #[test]
    fn a_duplicate_belongs_to_the_first_fault_that_can_have_caused_it() {
        for (first_at, again_at, cause) in [
            (20, 35, Some(Class::WorkerKilled)),
            (35, 50, Some(Class::WorkerKilled)),
            (20, 90, Some(Class::WorkerKilled)),
            (45, 65, Some(Class::StoreCut)),
            (20, 25, None),
            (45, 55, None),
            (75, 90, None),
        ] {
            let verdict = case(
                ONE,
                vec![
                    received(first_at, "steady", "e"),
                    received(again_at, "steady", "e"),
                ],
                vec![],
            );
            assert_eq!(verdict.duplicated, 1);
            assert_eq!(
                verdict.duplicated_unexplained,
                u64::from(cause.is_none()),
                "{first_at} {again_at}"
            );
            for (class, of_class) in &verdict.classes {
                assert_eq!(
                    of_class.duplicated,
                    u64::from(cause == Some(*class)),
                    "{first_at} {again_at} {class}"
                );
            }
            assert!(verdict.holds(), "duplicates are allowed, and counted");
        }
    }

    #[test]
    fn what_was_held_on_its_way_arrives_late_and_is_put_down_to_the_hold() {
        for (first_at, again_at, is_explained) in
            [(41, 45, true), (3_040, 3_045, true), (3_041, 3_045, false)]
        {
            let evidence = Evidence {
                published: vec![published("e", ONE, Some(10))],
                received: vec![
                    received(first_at, "steady", "e"),
                    received(again_at, "steady", "e"),
                ],
                given_up: vec![],
                struck: vec![struck(Class::ReceiverHeld, 30, 40)],
            };
            let verdict = judge(&evidence, "steady");
            let of_class = verdict.classes[&Class::ReceiverHeld].duplicated;
            assert_eq!(of_class, u64::from(is_explained), "{first_at}");
            assert_eq!(verdict.duplicated_unexplained, 1 - of_class);
        }
    }

    #[test]
    fn what_was_not_acknowledged_may_vanish_or_arrive_but_not_in_part() {
        for (received, expected) in [
            (vec![], (0, 0, 0)),
            (
                vec![received(20, "left", "e"), received(21, "right", "e")],
                (1, 1, 0),
            ),
            (vec![received(20, "left", "e")], (0, 0, 1)),
        ] {
            let evidence = Evidence {
                published: vec![published("e", TWO, None)],
                received,
                ..Evidence::default()
            };
            let verdict = judge(&evidence, "steady");
            assert_eq!((verdict.attempted, verdict.acknowledged), (1, 0));
            assert_eq!(
                (verdict.recovered, verdict.delivered, verdict.lost),
                expected,
                "{evidence:?}"
            );
        }
    }

    #[test]
    fn recovery_is_the_wait_after_a_fault_for_the_last_of_what_it_held_up() {
        let evidence = Evidence {
            published: vec![
                published("before", ONE, Some(5)),
                published("during", ONE, Some(35)),
                published("late", ONE, Some(38)),
                published("after", ONE, Some(41)),
            ],
            received: vec![
                received(10, "steady", "before"),
                received(300, "steady", "during"),
                received(45, "steady", "late"),
                received(900, "steady", "after"),
            ],
            given_up: vec![],
            struck: vec![
                struck(Class::WorkerKilled, 1, 4),
                struck(Class::WorkerKilled, 30, 40),
            ],
        };
        let verdict = judge(&evidence, "steady");
        let of_class = &verdict.classes[&Class::WorkerKilled];
        assert_eq!((of_class.struck, &of_class.recovery_ms), (2, &vec![0, 260]));
    }

    #[test]
    fn examples_are_few() {
        let received = (0..100)
            .map(|at| received(at, "steady", "stranger"))
            .collect();
        let verdict = judge(
            &Evidence {
                received,
                ..Evidence::default()
            },
            "steady",
        );
        assert_eq!(
            (verdict.unexpected, verdict.unexpected_examples.len()),
            (100, EXAMPLES_MAX)
        );
    }
}
