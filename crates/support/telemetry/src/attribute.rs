//! What values of a metric are told apart by. Each attribute has few values, known beforehand: ids, hosts and URLs are none.

use std::fmt::Write;

/// What values of a metric are told apart by. Those of one name differ in what they may be with one metric or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    System,
    Operation,
    Queue,
    PublishError,
    ProcessError,
    SendError,
    Method,
    Status,
    Route,
    EventOutcome,
    AttemptOutcome,
    FinalState,
    PutOffReason,
    DuplicateOf,
    BacklogPart,
    DeadLetterReason,
    BudgetLimit,
    BreakerState,
    ClaimOverrun,
    Dependency,
}

/// What an attribute may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// One of these.
    Words(&'static [&'static str]),
    /// A status code out of [`STATUSES`].
    Statuses,
    /// A path of the router, with its parameters unfilled: `/api/v1/webhooks/{id}`.
    Routes,
}

/// The status codes that are told apart. Any other counts as the first of its class, as RFC 9110, section 15, has clients
/// treat it: an answer cannot make a series of its own for each of a thousand codes.
pub const STATUSES: [u16; 44] = [
    100, 200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403,
    404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 421, 422, 423, 425, 426, 428, 429,
    431, 451, 500, 502, 503, 504,
];

/// The status as it is counted; see [`STATUSES`].
pub fn counted_status(status: u16) -> u16 {
    if STATUSES.binary_search(&status).is_ok() {
        return status;
    }
    match status / 100 {
        class @ 1..=5 => class * 100,
        _ => 500,
    }
}

impl Attribute {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::System,
        Self::Operation,
        Self::Queue,
        Self::PublishError,
        Self::ProcessError,
        Self::SendError,
        Self::Method,
        Self::Status,
        Self::Route,
        Self::EventOutcome,
        Self::AttemptOutcome,
        Self::FinalState,
        Self::PutOffReason,
        Self::DuplicateOf,
        Self::BacklogPart,
        Self::DeadLetterReason,
        Self::BudgetLimit,
        Self::BreakerState,
        Self::ClaimOverrun,
        Self::Dependency,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "messaging.system",
            Self::Operation => "messaging.operation.name",
            Self::Queue => "messaging.destination.name",
            Self::PublishError | Self::ProcessError | Self::SendError => "error.type",
            Self::Method => "http.request.method",
            Self::Status => "http.response.status_code",
            Self::Route => "http.route",
            Self::EventOutcome => "ringback.event.outcome",
            Self::AttemptOutcome => "ringback.attempt.outcome",
            Self::FinalState => "ringback.delivery.final_state",
            Self::PutOffReason => "ringback.put_off.reason",
            Self::DuplicateOf => "ringback.duplicate.of",
            Self::BacklogPart => "ringback.backlog.part",
            Self::DeadLetterReason => "ringback.dead_letter.reason",
            Self::BudgetLimit => "ringback.budget.limit",
            Self::BreakerState => "ringback.breaker.state",
            Self::ClaimOverrun => "ringback.claim.overrun",
            Self::Dependency => "ringback.dependency",
        }
    }

    /// The name in Prometheus' text.
    pub fn prometheus_name(self) -> String {
        self.name().replace('.', "_")
    }

    /// What it may be.
    pub fn values(self) -> Values {
        Values::Words(match self {
            Self::System => &["rabbitmq", "embedded"],
            Self::Operation => &["publish", "consume", "process"],
            Self::Queue => &[
                "events",
                "deliveries",
                "deliveries_slow",
                "delayed",
                "parked",
            ],
            Self::PublishError => &[
                "unreachable",
                "unconfirmed",
                "refused",
                "unroutable",
                "topology",
                "closed",
            ],
            Self::ProcessError => &["given_back"],
            Self::SendError => &[
                "name_lookup",
                "connection_refused",
                "connect_timeout",
                "tls",
                "time_limit",
                "connection_lost",
                "not_http",
            ],
            Self::Method => &[
                "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "_OTHER",
            ],
            Self::Status => return Values::Statuses,
            Self::Route => return Values::Routes,
            Self::EventOutcome => &["dispatched", "no_destination", "duplicate"],
            Self::AttemptOutcome => &[
                "accepted",
                "refused",
                "name_lookup",
                "connection_refused",
                "connect_timeout",
                "tls",
                "time_limit",
                "connection_lost",
                "not_http",
                "address_forbidden",
                "url_forbidden",
                "secret_unreadable",
                "profile_unknown",
                "destination_gone",
                "outcome_unknown",
            ],
            Self::FinalState => &["delivered", "dead_lettered"],
            Self::PutOffReason => &["destination", "slow_lane", "claim_held"],
            Self::DuplicateOf => &["event", "delivery"],
            Self::BacklogPart => &["ready", "unacknowledged", "due_soon"],
            Self::DeadLetterReason => &[
                "attempts_exhausted",
                "refused_for_good",
                "not_allowed",
                "outcome_unknown",
                "destination_gone",
                "destination_down",
                "could_not_prepare",
                "malformed",
                "poison",
                "other",
            ],
            Self::BudgetLimit => &["entries", "bytes"],
            Self::BreakerState => &["open", "recovering"],
            Self::ClaimOverrun => &["expired", "settled_late"],
            Self::Dependency => &["queue", "store"],
        })
    }

    /// What it tells apart.
    pub fn description(self) -> &'static str {
        match self {
            Self::System => "what the queue is",
            Self::Operation => "what was done with the message",
            Self::Queue => {
                "the queue, by what it holds; `deliveries_slow` is for destinations over their share and what goes around a full main lane, `delayed` waits for its time, `parked` is what the broker gave up on"
            }
            Self::PublishError => "publishing: why there is no confirm; absent when there is one",
            Self::ProcessError => {
                "handling: the message went back; absent when it was acknowledged"
            }
            Self::SendError => "sending: why there is no answer; absent when there is one",
            Self::Method => "the method",
            Self::Status => "the status; a rare one counts as the first of its class",
            Self::Route => "the path, its parameters unfilled; absent where there is no such path",
            Self::EventOutcome => "what became of an event",
            Self::AttemptOutcome => {
                "what came of an attempt; `refused` is any status that does not count as success"
            }
            Self::FinalState => "how a delivery ended",
            Self::PutOffReason => {
                "`destination`: its breaker is open or it is over its rate limit; `slow_lane`: it is over its share of the worker, or the main lane is full; `claim_held`: another worker is at it"
            }
            Self::DuplicateOf => "what came again",
            Self::BacklogPart => {
                "`ready` to be taken; `unacknowledged`, in this process's hands; `due_soon`, within a minute"
            }
            Self::DeadLetterReason => {
                "why it was given up; `other`, of the gauge alone, where its group is not among the largest"
            }
            Self::BudgetLimit => "which limit of `[dead_letters]`",
            Self::BreakerState => {
                "`open`: only probes go there; `recovering`: deliveries return step by step"
            }
            Self::ClaimOverrun => {
                "how it showed: the next worker found it `expired`, or its holder `settled_late`"
            }
            Self::Dependency => "who was asked",
        }
    }

    /// All of them as a table for the manual.
    pub fn manual() -> String {
        let mut text =
            String::from("| label, in Prometheus | values | tells apart |\n|---|---|---|\n");
        for attribute in Self::ALL {
            let values = match attribute.values() {
                Values::Words(words) => format!("`{}`", words.join("`, `")),
                Values::Statuses => "a status code".to_owned(),
                Values::Routes => "a path such as `/api/v1/webhooks/{id}`".to_owned(),
            };
            let _ = writeln!(
                text,
                "| `{}` | {values} | {} |",
                attribute.prometheus_name(),
                attribute.description()
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_not_told_apart_counts_as_the_first_of_its_class() {
        assert!(STATUSES.is_sorted());
        for (status, counted) in [
            (200, 200),
            (299, 200),
            (418, 400),
            (503, 503),
            (599, 500),
            (999, 500),
            (0, 500),
        ] {
            assert_eq!(counted_status(status), counted, "{status}");
            assert!(STATUSES.contains(&counted_status(status)));
        }
    }
}
