//! What happens after an attempt: the schedule, and the one decision.

use crate::{AttemptNumber, AttemptOutcome, DeadLetterReason, StatusSet, limits};
use jiff::Timestamp;
use std::time::Duration;

/// What a profile says about deliveries of one kind of destination.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryRules {
    /// The statuses that count as delivered.
    pub success: StatusSet,
    /// The statuses after which there is no point in trying again.
    pub refused_for_good: StatusSet,
    /// Whether 410 disables the webhook.
    pub gone_disables: bool,
    /// From connecting to the end of the answer's body.
    pub time_limit: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// What to do when a worker vanished between sending and recording.
    pub on_unknown: OnUnknownOutcome,
}

/// What to do with an attempt that may or may not have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknownOutcome {
    /// Send it again: at least once.
    #[default]
    Resend,
    /// Keep it as a dead letter for a person to decide.
    DeadLetter,
}

/// The planned waits between attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    delays: Vec<Duration>,
    jitter: f64,
    honours_retry_after: bool,
}

/// A schedule that cannot be kept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RetryPolicyError {
    /// A wait outside what can be kept.
    #[error("retry delay {0:?} is out of range; allowed: 1ms to {max:?}", max = limits::DELAY_MAX)]
    Delay(Duration),
    /// More attempts than are allowed.
    #[error("{0} retries are too many; allowed: up to {max}", max = limits::ATTEMPTS_MAX - 1)]
    TooMany(usize),
    /// A share that is none.
    #[error("jitter {0} is out of range; allowed: 0 to 1")]
    Jitter(f64),
}

impl RetryPolicy {
    /// Waits in order; `jitter` is the largest share added to each, never taken away: a retry is never early.
    ///
    /// # Errors
    ///
    /// When a delay is zero or longer than [`limits::DELAY_MAX`], there are too many, or `jitter` is not within 0 to 1.
    pub fn try_new(
        delays: Vec<Duration>,
        jitter: f64,
        honours_retry_after: bool,
    ) -> Result<Self, RetryPolicyError> {
        if delays.len() >= usize::from(limits::ATTEMPTS_MAX) {
            return Err(RetryPolicyError::TooMany(delays.len()));
        }
        if let Some(delay) = delays
            .iter()
            .find(|delay| **delay < Duration::from_millis(1) || **delay > limits::DELAY_MAX)
        {
            return Err(RetryPolicyError::Delay(*delay));
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(RetryPolicyError::Jitter(jitter));
        }
        Ok(Self {
            delays,
            jitter,
            honours_retry_after,
        })
    }

    /// The exponential schedule `first`, `first × factor`, … of this many retries, each at most `max`.
    pub fn exponential(first: Duration, factor: f64, max: Duration, retries: u16) -> Vec<Duration> {
        (0..i32::from(retries))
            .map(|exponent| {
                Duration::try_from_secs_f64(first.as_secs_f64() * factor.powi(exponent))
                    .unwrap_or(max)
                    .min(max)
            })
            .collect()
    }

    /// The planned waits.
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// The largest share added to a wait.
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// Whether a destination's `Retry-After` counts.
    pub fn honours_retry_after(&self) -> bool {
        self.honours_retry_after
    }

    /// The same schedule with every wait multiplied; for demonstrations of long schedules.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let least = Duration::from_millis(1);
        Self {
            delays: self
                .delays
                .iter()
                .map(|delay| delay.mul_f64(factor).clamp(least, limits::DELAY_MAX))
                .collect(),
            ..self.clone()
        }
    }

    /// The wait after this attempt; `None` when it was the last.
    pub fn delay_after(&self, attempt: AttemptNumber) -> Option<Duration> {
        self.delays.get(usize::from(attempt.get() - 1)).copied()
    }
}

/// A wait before a retry: not shorter than `at_least`, and without reason not longer than `at_most`.
///
/// The room between the two is the schedule's jitter not used up by the draw; a queue whose delays come in steps may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Never earlier.
    pub at_least: Duration,
    /// Any moment up to here is as good.
    pub at_most: Duration,
}

impl Wait {
    /// Exactly this long.
    pub fn exactly(wait: Duration) -> Self {
        Self {
            at_least: wait,
            at_most: wait,
        }
    }
}

/// What happens after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// The delivery is done.
    Complete,
    /// Try again.
    RetryAfter(Wait),
    /// Keep it as a dead letter.
    GiveUp {
        /// Why.
        reason: DeadLetterReason,
        /// Whether the webhook gets nothing more.
        disable_webhook: bool,
    },
}

/// Chooses what happens after an attempt. `draw` is a random number within 0 to 1.
pub fn next_step(
    outcome: &AttemptOutcome,
    attempt: AttemptNumber,
    rules: &DeliveryRules,
    draw: f64,
) -> NextStep {
    let asked = match outcome {
        AttemptOutcome::Accepted { .. } => return NextStep::Complete,
        AttemptOutcome::NotSent(reason) => {
            return NextStep::GiveUp {
                reason: DeadLetterReason::of_not_sent(*reason),
                disable_webhook: false,
            };
        }
        AttemptOutcome::Refused { status: 410, .. } if rules.gone_disables => {
            return NextStep::GiveUp {
                reason: DeadLetterReason::RefusedForGood,
                disable_webhook: true,
            };
        }
        AttemptOutcome::Refused { status, .. } if rules.refused_for_good.contains(*status) => {
            return NextStep::GiveUp {
                reason: DeadLetterReason::RefusedForGood,
                disable_webhook: false,
            };
        }
        AttemptOutcome::Refused { retry_after, .. } => *retry_after,
        AttemptOutcome::Unknown if rules.on_unknown == OnUnknownOutcome::DeadLetter => {
            return NextStep::GiveUp {
                reason: DeadLetterReason::OutcomeUnknown,
                disable_webhook: false,
            };
        }
        AttemptOutcome::Unreachable(_) | AttemptOutcome::Unknown => None,
    };
    let Some(planned) = rules.retry.delay_after(attempt) else {
        return NextStep::GiveUp {
            reason: DeadLetterReason::AttemptsExhausted,
            disable_webhook: false,
        };
    };
    // Never below what is planned, which is no longer than that.
    let jittered = |share: f64| planned.mul_f64(1.0 + share).min(limits::DELAY_MAX);
    let longest = jittered(rules.retry.jitter);
    let drawn = jittered(rules.retry.jitter * draw.clamp(0.0, 1.0)).min(longest);
    match asked.filter(|asked| rules.retry.honours_retry_after && *asked > drawn) {
        Some(asked) => NextStep::RetryAfter(Wait::exactly(asked.min(limits::DELAY_MAX))),
        None => NextStep::RetryAfter(Wait {
            at_least: drawn,
            at_most: longest,
        }),
    }
}

/// The wait a `Retry-After` header asks for: whole seconds, or an HTTP date. Anything else, and a date in the past, is nothing.
pub fn parse_retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    let wait = if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than any number has still ask for a long wait.
        header.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let date = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
        Duration::try_from(date.duration_since(now)).ok()?
    };
    (!wait.is_zero()).then(|| wait.min(limits::DELAY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NotSentReason;
    use proptest::prelude::*;

    fn rules(delays: &[u64], jitter: f64) -> DeliveryRules {
        DeliveryRules {
            success: StatusSet::try_from_texts(["2xx"]).unwrap(),
            refused_for_good: StatusSet::try_from_texts(["404"]).unwrap(),
            gone_disables: true,
            time_limit: Duration::from_secs(30),
            retry: RetryPolicy::try_new(
                delays.iter().map(|s| Duration::from_secs(*s)).collect(),
                jitter,
                true,
            )
            .unwrap(),
            on_unknown: OnUnknownOutcome::Resend,
        }
    }

    fn refused(status: u16, retry_after: Option<u64>) -> AttemptOutcome {
        AttemptOutcome::Refused {
            status,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn give_up(reason: DeadLetterReason, disable_webhook: bool) -> NextStep {
        NextStep::GiveUp {
            reason,
            disable_webhook,
        }
    }

    #[test]
    fn the_decision_as_a_table() {
        let wait = |secs| NextStep::RetryAfter(Wait::exactly(Duration::from_secs(secs)));
        for (outcome, attempt, expected) in [
            (
                AttemptOutcome::Accepted { status: 200 },
                1,
                NextStep::Complete,
            ),
            (refused(500, None), 1, wait(60)),
            (refused(500, None), 2, wait(300)),
            (
                refused(500, None),
                3,
                give_up(DeadLetterReason::AttemptsExhausted, false),
            ),
            (refused(503, Some(120)), 1, wait(120)),
            (refused(503, Some(10)), 1, wait(60)),
            (
                refused(503, Some(u64::MAX)),
                1,
                NextStep::RetryAfter(Wait::exactly(limits::DELAY_MAX)),
            ),
            (
                refused(404, None),
                1,
                give_up(DeadLetterReason::RefusedForGood, false),
            ),
            (
                refused(410, None),
                1,
                give_up(DeadLetterReason::RefusedForGood, true),
            ),
            (
                AttemptOutcome::Unreachable(crate::UnreachableCause::TimeLimit),
                1,
                wait(60),
            ),
            (
                AttemptOutcome::NotSent(NotSentReason::AddressForbidden),
                1,
                give_up(DeadLetterReason::NotAllowed, false),
            ),
            (AttemptOutcome::Unknown, 1, wait(60)),
        ] {
            let attempt = AttemptNumber::try_new(attempt).unwrap();
            assert_eq!(
                next_step(&outcome, attempt, &rules(&[60, 300], 0.0), 0.5),
                expected,
                "{outcome:?} at {attempt}"
            );
        }
    }

    #[test]
    fn jitter_makes_no_wait_longer_than_the_longest() {
        let outcome = refused(500, None);
        let rules = rules(&[limits::DELAY_MAX.as_secs()], 1.0);
        for draw in [0.0, 0.5, 1.0] {
            assert_eq!(
                next_step(&outcome, AttemptNumber::FIRST, &rules, draw),
                NextStep::RetryAfter(Wait::exactly(limits::DELAY_MAX))
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_the_past() {
        let now: Timestamp = "2026-06-01T10:00:00Z".parse().unwrap();
        for (header, expected) in [
            ("120", Some(120)),
            (" 5 ", Some(5)),
            ("0", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", Some(limits::DELAY_MAX.as_secs())),
            ("Mon, 01 Jun 2026 10:02:00 GMT", Some(120)),
            ("Mon, 01 Jun 2026 09:00:00 GMT", None),
            ("86400000", Some(limits::DELAY_MAX.as_secs())),
        ] {
            assert_eq!(
                parse_retry_after(header, now),
                expected.map(Duration::from_secs),
                "{header}"
            );
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let secs = Duration::from_secs;
        assert!(RetryPolicy::try_new(vec![Duration::ZERO], 0.0, true).is_err());
        assert!(RetryPolicy::try_new(vec![limits::DELAY_MAX + secs(1)], 0.0, true).is_err());
        assert!(RetryPolicy::try_new(vec![secs(1); 32], 0.0, true).is_err());
        assert!(RetryPolicy::try_new(vec![secs(1)], 1.5, true).is_err());
        assert!(RetryPolicy::try_new(vec![secs(1)], f64::NAN, true).is_err());
        assert_eq!(
            RetryPolicy::exponential(secs(60), 5.0, secs(1800), 3),
            [secs(60), secs(300), secs(1500)]
        );
    }

    proptest! {
        #[test]
        fn a_retry_is_never_early_and_jitter_stays_in_its_share(delay in 1u64..=limits::DELAY_MAX.as_secs(), jitter in 0.0f64..=1.0, draw in -1.0f64..2.0) {
            let NextStep::RetryAfter(wait) = next_step(&refused(500, None), AttemptNumber::FIRST, &rules(&[delay], jitter), draw) else {
                panic!("one retry is planned")
            };
            let planned = Duration::from_secs(delay);
            prop_assert!(wait.at_least >= planned && wait.at_least <= wait.at_most);
            prop_assert!(wait.at_most <= planned.mul_f64(1.0 + jitter));
            prop_assert!(wait.at_most <= limits::DELAY_MAX);
        }
    }
}
