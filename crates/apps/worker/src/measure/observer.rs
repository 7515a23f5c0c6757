//! What happened, counted.

use dashmap::DashMap;
use ringback_delivery::port::{Claim, Observer, Occurrence};
use ringback_domain::{AttemptOutcome, DeadLetter, Delivery, Generation, Timestamp};
use ringback_telemetry::{Attribute, Counter, Histogram, Meters, Metric, Values};
use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Counters of one metric, by the words of one attribute.
struct ByWord(Vec<(&'static str, Counter)>);

impl ByWord {
    fn new(meters: &Meters, metric: Metric, attribute: Attribute) -> Self {
        let Values::Words(words) = attribute.values() else {
            return Self(Vec::new());
        };
        let bound = words
            .iter()
            .map(|word| (*word, meters.counter(metric, &[(attribute, word)])));
        Self(bound.collect())
    }

    fn count(&self, word: &str) {
        let found = self.0.iter().find(|(of, _)| *of == word);
        debug_assert!(found.is_some(), "`{word}` is not in the list of words");
        if let Some((_, counter)) = found {
            counter.count();
        }
    }
}

pub(super) struct MeteredObserver {
    events: ByWord,
    attempts: ByWord,
    delivered: Histogram,
    dead_lettered: Histogram,
    put_off: ByWord,
    duplicates: ByWord,
    stored: ByWord,
    replayed: Counter,
    overruns: ByWord,
    transitions: ByWord,
    repeats: Counter,
    claims: Arc<Claims>,
}

impl MeteredObserver {
    pub(super) fn new(meters: &Meters, claims: Arc<Claims>) -> Self {
        let by_word = |metric, attribute| ByWord::new(meters, metric, attribute);
        let ended =
            |state| meters.histogram(Metric::DeliveryDuration, &[(Attribute::FinalState, state)]);
        Self {
            events: by_word(Metric::EventsDispatched, Attribute::EventOutcome),
            attempts: by_word(Metric::DeliveryAttempts, Attribute::AttemptOutcome),
            delivered: ended("delivered"),
            dead_lettered: ended("dead_lettered"),
            put_off: by_word(Metric::DeliveriesPutOff, Attribute::PutOffReason),
            duplicates: by_word(Metric::DuplicatesSuppressed, Attribute::DuplicateOf),
            stored: by_word(Metric::DeadLettersStored, Attribute::DeadLetterReason),
            replayed: meters.counter(Metric::DeadLettersReplayed, &[]),
            overruns: by_word(Metric::ClaimOverruns, Attribute::ClaimOverrun),
            transitions: by_word(Metric::BreakerTransitions, Attribute::BreakerState),
            repeats: meters.counter(Metric::StepRepeats, &[]),
            claims,
        }
    }

    fn dead_lettered(&self, dead_letter: &DeadLetter) {
        self.stored.count(dead_letter.reason.class());
        if let Some(delivery) = dead_letter.delivery() {
            record_end(&self.dead_lettered, delivery, dead_letter.died_at);
        }
    }
}

/// A replay's event is as old as its dead letter: how long that lay says nothing about us.
fn record_end(histogram: &Histogram, delivery: &Delivery, ended_at: Timestamp) {
    if delivery.generation == Generation::FIRST {
        let began_at = delivery.accepted_at.unwrap_or(delivery.event.dispatched_at);
        let took = ended_at.duration_since(began_at);
        histogram.record(Duration::try_from(took).unwrap_or_default());
    }
}

impl Observer for MeteredObserver {
    fn saw(&self, occurrence: &Occurrence<'_>) {
        match occurrence {
            Occurrence::EventDispatched { deliveries: 0, .. } => {
                self.events.count("no_destination");
            }
            Occurrence::EventDispatched { .. } => self.events.count("dispatched"),
            Occurrence::EventSuppressed { .. } => {
                self.events.count("duplicate");
                self.duplicates.count("event");
            }
            Occurrence::AttemptMade { attempt, .. } => self.attempts.count(attempt.outcome.class()),
            Occurrence::Delivered { delivery, attempt } => {
                let ended_at = attempt.started_at + attempt.phases.total;
                record_end(&self.delivered, delivery, ended_at);
            }
            Occurrence::DeadLettered { dead_letter } => self.dead_lettered(dead_letter),
            Occurrence::DuplicateSuppressed { .. } => self.duplicates.count("delivery"),
            Occurrence::ClaimGranted { claim, lease } => self.claims.granted(claim, *lease),
            Occurrence::ClaimSettled { claim } => self.claims.settled(claim),
            Occurrence::ClaimHeld { .. } => self.put_off.count("claim_held"),
            Occurrence::Deferred { .. } => self.put_off.count("destination"),
            Occurrence::MovedToSlowLane { .. } => self.put_off.count("slow_lane"),
            Occurrence::OutcomeUnknown { .. } => {
                self.attempts.count(AttemptOutcome::Unknown.class());
                self.overruns.count("expired");
            }
            Occurrence::SettledTooLate { .. } => self.overruns.count("settled_late"),
            Occurrence::BreakerOpened { .. } => self.transitions.count("open"),
            Occurrence::BreakerRecovering { .. } => self.transitions.count("recovering"),
            Occurrence::Replayed { .. } => self.replayed.count(),
            Occurrence::StepRepeated { .. } => self.repeats.count(),
            _ => {}
        }
    }
}

/// The claims this process holds, and until when.
#[derive(Default)]
pub(super) struct Claims {
    /// By a digest of the delivery and the token.
    until: DashMap<u64, Instant>,
    digest: RandomState,
}

/// After this long beyond its lease a claim is taken to be somebody else's: whoever gave up on it never said so.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

impl Claims {
    fn key(&self, claim: &Claim) -> u64 {
        self.digest.hash_one((&claim.delivery, claim.token.0))
    }

    fn granted(&self, claim: &Claim, lease: Duration) {
        self.until.insert(self.key(claim), Instant::now() + lease);
    }

    fn settled(&self, claim: &Claim) {
        self.until.remove(&self.key(claim));
    }

    /// How many are held beyond their lease.
    pub(super) fn overdue(&self) -> u64 {
        let now = Instant::now();
        self.until.retain(|_, until| now < *until + FORGOTTEN_AFTER);
        self.until.iter().filter(|until| **until < now).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_domain::{DeadLetterReason, NotSentReason, UnreachableCause};
    use ringback_telemetry::{Telemetry, TelemetrySettings};
    use ringback_testkit::samples;

    /// The words of the domain are those of the metrics.
    #[test]
    fn every_outcome_and_reason_is_a_word_of_its_metric() {
        let words = |attribute: Attribute| match attribute.values() {
            Values::Words(words) => words,
            other => panic!("{other:?}"),
        };
        let outcomes = [
            AttemptOutcome::Accepted { status: 200 },
            AttemptOutcome::Refused {
                status: 500,
                retry_after: None,
            },
            AttemptOutcome::Unreachable(UnreachableCause::NameLookup),
            AttemptOutcome::Unreachable(UnreachableCause::ConnectionRefused),
            AttemptOutcome::Unreachable(UnreachableCause::ConnectTimeout),
            AttemptOutcome::Unreachable(UnreachableCause::Tls),
            AttemptOutcome::Unreachable(UnreachableCause::TimeLimit),
            AttemptOutcome::Unreachable(UnreachableCause::ConnectionLost),
            AttemptOutcome::Unreachable(UnreachableCause::NotHttp),
            AttemptOutcome::NotSent(NotSentReason::AddressForbidden),
            AttemptOutcome::NotSent(NotSentReason::UrlForbidden),
            AttemptOutcome::NotSent(NotSentReason::SecretUnreadable),
            AttemptOutcome::NotSent(NotSentReason::ProfileUnknown),
            AttemptOutcome::NotSent(NotSentReason::DestinationGone),
            AttemptOutcome::Unknown,
        ];
        let outcomes: Vec<_> = outcomes.iter().map(AttemptOutcome::class).collect();
        assert_eq!(outcomes, words(Attribute::AttemptOutcome));
        let mut reasons: Vec<_> = DeadLetterReason::ALL.map(DeadLetterReason::class).to_vec();
        reasons.push("other");
        assert_eq!(reasons, words(Attribute::DeadLetterReason));
    }

    #[test]
    fn a_delivery_lasts_from_the_acceptance_of_its_event_or_else_from_its_dispatch() {
        let telemetry = Telemetry::start(&TelemetrySettings {
            otlp: None,
            push_interval: Duration::from_mins(1),
            trace_ratio: 0.0,
            version: "0",
            instance: "i".to_owned(),
        });
        let telemetry = telemetry.unwrap();
        let observer = MeteredObserver::new(&telemetry.meters, Arc::default());
        let untold = samples::delivery();
        let mut told = untold.clone();
        told.accepted_at = Some(samples::moment(0));
        let replayed = samples::replay_of(&told);
        // Given up 60 s after what the samples call the beginning, dispatched after 1 s, accepted at once.
        for delivery in [told, untold, replayed] {
            let dead_letter = &samples::dead_letter_of(delivery, samples::moment(60));
            observer.saw(&Occurrence::DeadLettered { dead_letter });
        }
        let text = telemetry.prometheus_text();
        let of = |part: &str| {
            let name = format!("{}_{part}", Metric::DeliveryDuration.prometheus_name());
            let line = text.lines().find(|line| line.starts_with(&name));
            let (_, value) = line.unwrap().rsplit_once(' ').unwrap();
            value.to_owned()
        };
        assert_eq!((of("sum"), of("count")), ("119".into(), "2".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_overdue_from_the_end_of_its_lease_until_it_is_settled() {
        let claims = Claims::default();
        let claim = Claim {
            delivery: "dlv_0123456789abcdef0123456789abcdef".parse().unwrap(),
            generation: Generation::FIRST,
            attempt: ringback_domain::AttemptNumber::FIRST,
            token: ringback_delivery::port::FencingToken(7),
        };
        claims.granted(&claim, Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(claims.overdue(), 0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(claims.overdue(), 1);
        claims.settled(&claim);
        assert_eq!(claims.overdue(), 0);
    }
}
