//! What an exchange means, by the profile's rules.

use crate::port::{Exchange, SendFailure};
use ringback_domain::{
    AttemptOutcome, DeliveryRules, Excerpt, Timestamp, UnreachableCause, parse_retry_after,
};

/// Tells what an exchange means. `now` is the end of the exchange.
pub fn judge(exchange: &Exchange, rules: &DeliveryRules, now: Timestamp) -> AttemptOutcome {
    match &exchange.result {
        Ok(answer) if rules.success.contains(answer.status) => AttemptOutcome::Accepted {
            status: answer.status,
        },
        Ok(answer) => AttemptOutcome::Refused {
            status: answer.status,
            retry_after: answer
                .retry_after
                .as_deref()
                .and_then(|header| parse_retry_after(header, now)),
        },
        Err(SendFailure::Unreachable(cause)) => AttemptOutcome::Unreachable(*cause),
        // A delivery is put off, and never judged; who asks for a single request is told what it comes to.
        Err(SendFailure::NoRoom) => AttemptOutcome::Unreachable(UnreachableCause::NameLookup),
        Err(SendFailure::NotSent(reason)) => AttemptOutcome::NotSent(*reason),
    }
}

/// The beginning of the answer's body, empty when there was none.
pub(crate) fn excerpt_of(exchange: &Exchange) -> Excerpt {
    exchange
        .result
        .as_ref()
        .map(|answer| answer.excerpt.clone())
        .unwrap_or_default()
}
