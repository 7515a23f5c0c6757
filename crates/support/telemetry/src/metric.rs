//! The metrics, each named once.

/// A metric we emit. The names are the standard ones where OpenTelemetry has one, and begin with `ringback.` where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    MessagesSent,
    MessagesConsumed,
    MessagingOperationDuration,
    MessageProcessDuration,
    HttpRequestDuration,
    DeliveryAttempts,
    DeliveryDuration,
    DeliveriesInFlight,
    DeadLetters,
}

/// How a metric is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instrument {
    /// Only grows.
    Counter,
    /// Grows and shrinks by steps.
    UpDownCounter,
    /// Is what it is now.
    Gauge,
    /// Is counted by size.
    Histogram,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::MessagesSent,
        Self::MessagesConsumed,
        Self::MessagingOperationDuration,
        Self::MessageProcessDuration,
        Self::HttpRequestDuration,
        Self::DeliveryAttempts,
        Self::DeliveryDuration,
        Self::DeliveriesInFlight,
        Self::DeadLetters,
    ];

    /// The name; without its unit, which exporters add.
    pub fn name(self) -> &'static str {
        match self {
            Self::MessagesSent => "messaging.client.sent.messages",
            Self::MessagesConsumed => "messaging.client.consumed.messages",
            Self::MessagingOperationDuration => "messaging.client.operation.duration",
            Self::MessageProcessDuration => "messaging.process.duration",
            Self::HttpRequestDuration => "http.client.request.duration",
            Self::DeliveryAttempts => "ringback.delivery.attempts",
            Self::DeliveryDuration => "ringback.delivery.duration",
            Self::DeliveriesInFlight => "ringback.delivery.in_flight",
            Self::DeadLetters => "ringback.dead_letter.count",
        }
    }

    /// What is counted or measured in, as UCUM writes it.
    pub fn unit(self) -> &'static str {
        match self {
            Self::MessagesSent | Self::MessagesConsumed => "{message}",
            Self::MessagingOperationDuration
            | Self::MessageProcessDuration
            | Self::HttpRequestDuration
            | Self::DeliveryDuration => "s",
            Self::DeliveryAttempts => "{attempt}",
            Self::DeliveriesInFlight => "{delivery}",
            Self::DeadLetters => "{dead_letter}",
        }
    }

    /// How it is kept.
    pub fn instrument(self) -> Instrument {
        match self {
            Self::MessagesSent | Self::MessagesConsumed | Self::DeliveryAttempts => {
                Instrument::Counter
            }
            Self::MessagingOperationDuration
            | Self::MessageProcessDuration
            | Self::HttpRequestDuration
            | Self::DeliveryDuration => Instrument::Histogram,
            Self::DeliveriesInFlight => Instrument::UpDownCounter,
            Self::DeadLetters => Instrument::Gauge,
        }
    }

    /// What it tells, for operators.
    pub fn description(self) -> &'static str {
        match self {
            Self::MessagesSent => "messages published to the broker and confirmed",
            Self::MessagesConsumed => "messages taken from the broker",
            Self::MessagingOperationDuration => "time from publishing to the broker's confirm",
            Self::MessageProcessDuration => "time from taking a message to acknowledging it",
            Self::HttpRequestDuration => {
                "time of one POST, from the name look-up to the end of the answer"
            }
            Self::DeliveryAttempts => "attempts made, by outcome",
            Self::DeliveryDuration => "time from accepting an event to a delivery's final state",
            Self::DeliveriesInFlight => "deliveries whose attempt is under way",
            Self::DeadLetters => "dead letters nobody has replayed or discarded",
        }
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
        for metric in Metric::ALL {
            let name = metric.name();
            let word = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
            assert!(name.chars().all(word), "{name}");
            assert!(
                !name.ends_with("_total") && !name.ends_with("seconds"),
                "{name}"
            );
            let is_time = metric.unit() == "s";
            assert_eq!(
                is_time,
                metric.instrument() == Instrument::Histogram,
                "{name}"
            );
        }
    }
}
