//! The metrics, each named once: what it is called, measured in, and told apart by.

use crate::attribute::Attribute;
use std::fmt::Write;

/// A metric we emit. The names are the standard ones where OpenTelemetry has one, and begin with `ringback.` where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Metric {
    // What goes through the queue.
    MessagesSent,
    MessagesConsumed,
    MessagingOperationDuration,
    MessageProcessDuration,
    // What goes over HTTP.
    HttpClientRequestDuration,
    HttpServerRequestDuration,
    // What became of events and deliveries.
    EventsDispatched,
    DeliveryAttempts,
    DeliveryDuration,
    DeliveryLateness,
    DeliveriesInFlight,
    DeliveriesPutOff,
    DuplicatesSuppressed,
    OldestDueAge,
    // What waits.
    Backlog,
    QueueMessages,
    QueueConsumers,
    QueuesStanding,
    // What was given up.
    DeadLetters,
    DeadLettersStored,
    DeadLettersReplayed,
    DeadLetterBudgetUsed,
    // Who may act, and who is spared.
    ClaimsOverdue,
    ClaimOverruns,
    Breakers,
    BreakerTransitions,
    // Broker and store.
    DependencyUp,
    StepRepeats,
    StoreClockSkew,
    BrokerFrameAge,
}

/// How a metric is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Instrument {
    /// Only grows.
    Counter,
    /// Grows and shrinks by steps.
    UpDownCounter,
    /// Is what it is now.
    Gauge,
    /// Is counted by size, between these bounds.
    Histogram(&'static [f64]),
}

/// How a process's value becomes that of the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// Every process counts its own: add them up.
    Sum,
    /// Every process reads the same from broker or store: take the greatest.
    Max,
}

/// Seconds that one step of ours takes: a publish, an HTTP request, a message.
const STEP_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Seconds that a delivery takes, from milliseconds to the days of a long schedule.
const DELIVERY_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
    3600.0, 21_600.0, 86_400.0, 259_200.0,
];

/// Everything about one metric.
struct Facts {
    name: &'static str,
    unit: &'static str,
    instrument: Instrument,
    across: Across,
    attributes: &'static [Attribute],
    description: &'static str,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::MessagesSent,
        Self::MessagesConsumed,
        Self::MessagingOperationDuration,
        Self::MessageProcessDuration,
        Self::HttpClientRequestDuration,
        Self::HttpServerRequestDuration,
        Self::EventsDispatched,
        Self::DeliveryAttempts,
        Self::DeliveryDuration,
        Self::DeliveryLateness,
        Self::DeliveriesInFlight,
        Self::DeliveriesPutOff,
        Self::DuplicatesSuppressed,
        Self::OldestDueAge,
        Self::Backlog,
        Self::QueueMessages,
        Self::QueueConsumers,
        Self::QueuesStanding,
        Self::DeadLetters,
        Self::DeadLettersStored,
        Self::DeadLettersReplayed,
        Self::DeadLetterBudgetUsed,
        Self::ClaimsOverdue,
        Self::ClaimOverruns,
        Self::Breakers,
        Self::BreakerTransitions,
        Self::DependencyUp,
        Self::StepRepeats,
        Self::StoreClockSkew,
        Self::BrokerFrameAge,
    ];

    /// The name; without its unit, which exporters add.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// What is counted or measured in, as UCUM writes it.
    pub fn unit(self) -> &'static str {
        self.facts().unit
    }

    /// How it is kept.
    pub fn instrument(self) -> Instrument {
        self.facts().instrument
    }

    /// How processes' values go together.
    pub fn across(self) -> Across {
        self.facts().across
    }

    /// What its values are told apart by. One that does not apply is left out.
    pub fn attributes(self) -> &'static [Attribute] {
        self.facts().attributes
    }

    /// What it tells, for operators.
    pub fn description(self) -> &'static str {
        self.facts().description
    }

    /// The name in Prometheus' text; a histogram's series end in `_bucket`, `_sum` and `_count` besides.
    pub fn prometheus_name(self) -> String {
        let mut name = self.name().replace('.', "_");
        match (self.unit(), self.instrument()) {
            ("s", _) => name.push_str("_seconds"),
            ("1", Instrument::Gauge) => name.push_str("_ratio"),
            _ => {}
        }
        if self.instrument() == Instrument::Counter {
            name.push_str("_total");
        }
        name
    }

    fn facts(self) -> Facts {
        use Attribute as A;
        use Instrument::{Counter, Gauge, Histogram, UpDownCounter};
        match self {
            Self::MessagesSent => Facts {
                name: "messaging.client.sent.messages",
                unit: "{message}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::System, A::Operation, A::Queue, A::PublishError],
                description: "Messages published; those without error.type were confirmed",
            },
            Self::MessagesConsumed => Facts {
                name: "messaging.client.consumed.messages",
                unit: "{message}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::System, A::Operation, A::Queue],
                description: "Messages taken from the queue to be handled",
            },
            Self::MessagingOperationDuration => Facts {
                name: "messaging.client.operation.duration",
                unit: "s",
                instrument: Histogram(STEP_SECONDS),
                across: Across::Sum,
                attributes: &[A::System, A::Operation, A::Queue, A::PublishError],
                description: "Time from publishing a message to its confirm",
            },
            Self::MessageProcessDuration => Facts {
                name: "messaging.process.duration",
                unit: "s",
                instrument: Histogram(STEP_SECONDS),
                across: Across::Sum,
                attributes: &[A::System, A::Operation, A::Queue, A::ProcessError],
                description: "Time from taking a message to acknowledging it",
            },
            Self::HttpClientRequestDuration => Facts {
                name: "http.client.request.duration",
                unit: "s",
                instrument: Histogram(STEP_SECONDS),
                across: Across::Sum,
                attributes: &[A::Method, A::Status, A::SendError],
                description: "Time of one request to a destination, from the name look-up to the end of the answer",
            },
            Self::HttpServerRequestDuration => Facts {
                name: "http.server.request.duration",
                unit: "s",
                instrument: Histogram(STEP_SECONDS),
                across: Across::Sum,
                attributes: &[A::Method, A::Route, A::Status],
                description: "Time of answering one call of the HTTP API or the dashboard",
            },
            Self::EventsDispatched => Facts {
                name: "ringback.event.dispatched",
                unit: "{event}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::EventOutcome],
                description: "Events dispatched to their destinations, or dropped as known already",
            },
            Self::DeliveryAttempts => Facts {
                name: "ringback.delivery.attempts",
                unit: "{attempt}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::AttemptOutcome],
                description: "Attempts made, by outcome",
            },
            Self::DeliveryDuration => Facts {
                name: "ringback.delivery.duration",
                unit: "s",
                instrument: Histogram(DELIVERY_SECONDS),
                across: Across::Sum,
                attributes: &[A::FinalState],
                description: "Time from accepting an event to a delivery's final state, retries included",
            },
            Self::DeliveryLateness => Facts {
                name: "ringback.delivery.lateness",
                unit: "s",
                instrument: Histogram(DELIVERY_SECONDS),
                across: Across::Sum,
                attributes: &[],
                description: "Time from the moment a delivery was due to a worker taking it",
            },
            Self::DeliveriesInFlight => Facts {
                name: "ringback.delivery.in_flight",
                unit: "{delivery}",
                instrument: UpDownCounter,
                across: Across::Sum,
                attributes: &[],
                description: "Deliveries whose request is under way",
            },
            Self::DeliveriesPutOff => Facts {
                name: "ringback.delivery.put_off",
                unit: "{delivery}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::PutOffReason],
                description: "Deliveries put off without counting an attempt",
            },
            Self::DuplicatesSuppressed => Facts {
                name: "ringback.duplicate.suppressed",
                unit: "{message}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::DuplicateOf],
                description: "Messages dropped because their event or delivery was done already",
            },
            Self::OldestDueAge => Facts {
                name: "ringback.delivery.oldest_due_age",
                unit: "s",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[],
                description: "How long the oldest delivery that is due has been waiting for an attempt: at most so long",
            },
            Self::Backlog => Facts {
                name: "ringback.backlog",
                unit: "{message}",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[A::Queue, A::BacklogPart],
                description: "Work for autoscaling: ready and due soon as the queue counts them (the greatest over processes), unacknowledged as this process holds them (the sum over processes)",
            },
            Self::QueueMessages => Facts {
                name: "ringback.queue.messages",
                unit: "{message}",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[A::Queue],
                description: "Messages waiting, by stage: ready to be taken, or waiting for their time",
            },
            Self::QueueConsumers => Facts {
                name: "ringback.queue.consumers",
                unit: "{consumer}",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[A::Queue],
                description: "Consumers registered at a queue, of all processes",
            },
            Self::QueuesStanding => Facts {
                name: "ringback.queue.standing",
                unit: "{queue}",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[],
                description: "Delay queues that hold on to retries past their time",
            },
            Self::DeadLetters => Facts {
                name: "ringback.dead_letter.count",
                unit: "{dead_letter}",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[A::DeadLetterReason],
                description: "Dead letters nobody has replayed or discarded, by the reason of their group",
            },
            Self::DeadLettersStored => Facts {
                name: "ringback.dead_letter.stored",
                unit: "{dead_letter}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::DeadLetterReason],
                description: "Dead letters stored, by reason",
            },
            Self::DeadLettersReplayed => Facts {
                name: "ringback.dead_letter.replayed",
                unit: "{dead_letter}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[],
                description: "Dead letters published again",
            },
            Self::DeadLetterBudgetUsed => Facts {
                name: "ringback.dead_letter.budget_used",
                unit: "1",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[A::BudgetLimit],
                description: "Share of the room for dead letters that is used; 1 is all of it",
            },
            Self::ClaimsOverdue => Facts {
                name: "ringback.claim.overdue",
                unit: "{claim}",
                instrument: Gauge,
                across: Across::Sum,
                attributes: &[],
                description: "Claims this process holds unsettled beyond their lease",
            },
            Self::ClaimOverruns => Facts {
                name: "ringback.claim.overruns",
                unit: "{claim}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::ClaimOverrun],
                description: "Claims that outlived their lease: found expired by the next worker, or settled too late",
            },
            Self::Breakers => Facts {
                name: "ringback.breaker.count",
                unit: "{breaker}",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[A::BreakerState],
                description: "Destinations that are spared because they kept failing, by the state of their breaker",
            },
            Self::BreakerTransitions => Facts {
                name: "ringback.breaker.transitions",
                unit: "{transition}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[A::BreakerState],
                description: "Breakers that changed into a state",
            },
            Self::DependencyUp => Facts {
                name: "ringback.dependency.up",
                unit: "{dependency}",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[A::Dependency],
                description: "Whether queue and store answered this process when last asked: 1 or 0",
            },
            Self::StepRepeats => Facts {
                name: "ringback.step.repeats",
                unit: "{step}",
                instrument: Counter,
                across: Across::Sum,
                attributes: &[],
                description: "Steps tried again because queue or store did not do them",
            },
            Self::StoreClockSkew => Facts {
                name: "ringback.store.clock_skew",
                unit: "s",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[],
                description: "How far the store's clock is ahead of this process's; negative when behind",
            },
            Self::BrokerFrameAge => Facts {
                name: "ringback.broker.frame_age",
                unit: "s",
                instrument: Gauge,
                across: Across::Max,
                attributes: &[],
                description: "Time since the broker last answered this process or sent it a message; it is asked every 15 s",
            },
        }
    }

    /// All of them as a table for the manual.
    pub fn manual() -> String {
        let mut text = String::from(
            "| metric, in Prometheus | kind, unit | labels | meaning |\n|---|---|---|---|\n",
        );
        for metric in Self::ALL {
            let kind = match metric.instrument() {
                Instrument::Counter => "counter",
                Instrument::UpDownCounter => "up-down counter",
                Instrument::Gauge => "gauge",
                Instrument::Histogram(_) => "histogram",
            };
            let across = match metric.across() {
                Across::Sum => "sum",
                Across::Max => "max",
            };
            let labels: Vec<_> = metric
                .attributes()
                .iter()
                .map(|attribute| format!("`{}`", attribute.prometheus_name()))
                .collect();
            let _ = writeln!(
                text,
                "| `{}`<br>`{}` | {kind}, `{}`, {across} | {} | {} |",
                metric.name(),
                metric.prometheus_name(),
                metric.unit(),
                labels.join(", "),
                metric.description()
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_follow_the_conventions() {
        let names: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for (place, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, place, "ALL is in the order of the enum");
            let name = metric.name();
            let word = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
            assert!(name.chars().all(word), "{name}");
            assert!(
                !name.ends_with("_total") && !name.ends_with("seconds"),
                "{name}"
            );
            if let Instrument::Histogram(bounds) = metric.instrument() {
                assert_eq!(metric.unit(), "s", "{name}");
                assert!(bounds.is_sorted(), "{name}");
            }
            assert!(metric.description().starts_with(char::is_uppercase));
        }
    }

    #[test]
    fn the_manual_has_every_metric_and_every_label_as_it_is() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../docs/observability.md"
        );
        let manual = std::fs::read_to_string(file).unwrap();
        for table in [Metric::manual(), Attribute::manual()] {
            assert!(
                manual.contains(&table),
                "put this into docs/observability.md:\n{table}"
            );
        }
    }
}
