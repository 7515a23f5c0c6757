//! What is written down of attempts.

use crate::port::{Exchange, ExpiredClaim, SendFailure};
use ringback_domain::{
    Attempt, AttemptNumber, AttemptOutcome, Delivery, Excerpt, Generation, NotSentReason, Phases,
    Trigger, limits,
};

pub(crate) fn trigger_of(delivery: &Delivery) -> Trigger {
    let is_replay =
        delivery.generation > Generation::FIRST && delivery.attempt == AttemptNumber::FIRST;
    match &delivery.detour {
        Some(_) if is_replay => Trigger::ReplayElsewhere,
        None if is_replay => Trigger::Replay,
        _ => Trigger::Schedule,
    }
}

/// The history of what follows, the oldest forgotten beyond the limit.
pub(crate) fn history_with(delivery: &Delivery, attempts: &[Attempt]) -> Vec<Attempt> {
    let mut history: Vec<_> = delivery.history.iter().chain(attempts).cloned().collect();
    history.drain(..history.len().saturating_sub(limits::HISTORY_MAX));
    history
}

/// What is known of an attempt whose worker vanished.
pub(crate) fn unknown_attempt(delivery: &Delivery, expired: ExpiredClaim) -> Attempt {
    Attempt {
        generation: delivery.generation,
        number: delivery.attempt,
        trigger: trigger_of(delivery),
        started_at: expired.claimed_at,
        worker: expired.worker,
        phases: Phases::default(),
        address: None,
        outcome: AttemptOutcome::Unknown,
        cut_off: None,
        excerpt: Excerpt::default(),
    }
}

pub(crate) fn not_sent_exchange(reason: NotSentReason) -> Exchange {
    Exchange {
        phases: Phases::default(),
        address: None,
        result: Err(SendFailure::NotSent(reason)),
        cut_off: None,
    }
}
