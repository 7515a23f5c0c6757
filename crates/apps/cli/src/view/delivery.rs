//! Deliveries as they are shown.

use super::{RecordListView, attempts_table, moment, none_of, round};
use crate::terminal::{Column, cut, facts, table, whole};
use jiff::Timestamp;
use ringback_api::view::{BreakerView, DeliveryView};
use serde::Serialize;

const DELIVERY_COLUMNS: [Column; 7] = [
    whole("ID"),
    whole("EVENT").or_left_out(3),
    cut("TYPE", 12).or_left_out(4),
    cut("TO", 12).or_left_out(1),
    whole("STATE"),
    whole("ATTEMPTS").or_left_out(5),
    whole("CHANGED (UTC)").or_left_out(2),
];

pub(crate) fn deliveries_table(list: &RecordListView<DeliveryView>) -> String {
    if list.data.is_empty() {
        return none_of("deliveries", &list.damaged);
    }
    let rows = list.data.iter().map(|delivery| {
        [
            delivery.id.clone(),
            delivery.event.clone(),
            delivery.event_type.clone(),
            delivery.url.clone(),
            delivery.state.replace('_', " "),
            delivery.attempts.len().to_string(),
            moment(delivery.updated_at),
        ]
    });
    table(DELIVERY_COLUMNS, rows)
}

/// A delivery, and the breaker that it meets on its way.
#[derive(Serialize)]
pub(crate) struct ShownDelivery {
    #[serde(flatten)]
    pub(crate) delivery: DeliveryView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) breaker: Option<BreakerView>,
}

pub(crate) fn delivery_facts(shown: &ShownDelivery, now: Timestamp) -> String {
    let delivery = &shown.delivery;
    let state = match (delivery.state, delivery.state_at, &delivery.dead_letter) {
        ("waiting", Some(until), _) => waiting_words(until, now),
        (state, Some(at), _) => format!("{state} at {}", moment(at)),
        (_, _, Some(id)) => format!("dead letter {id}"),
        (state, None, None) => state.to_owned(),
    };
    let mut told = vec![
        ("delivery", delivery.id.clone()),
        ("project", delivery.project.clone()),
        (
            "event",
            format!("{} {}", delivery.event, delivery.event_type),
        ),
        ("job", delivery.job.clone()),
        ("to", format!("{} {}", delivery.destination, delivery.url)),
        ("profile", delivery.profile.clone()),
        ("round", round(delivery.generation).to_string()),
        ("state", state),
    ];
    if let Some(breaker) = &shown.breaker {
        told.push(("breaker", breaker_words(breaker, now)));
    }
    told.extend([
        ("occurred", moment(delivery.occurred_at)),
        ("first taken", moment(delivery.created_at)),
    ]);
    format!("{}\n\n{}", facts(told), attempts_table(&delivery.attempts))
}

/// Once it is due, it waits in a queue, or is put off for its destination's sake.
fn waiting_words(until: Timestamp, now: Timestamp) -> String {
    if until > now {
        format!("waiting until {}", moment(until))
    } else {
        format!("waiting, due since {}", moment(until))
    }
}

/// What a breaker makes of a delivery that comes to it.
fn breaker_words(breaker: &BreakerView, now: Timestamp) -> String {
    let since = moment(breaker.opened_at);
    match breaker.next_probe_at {
        Some(at) if at > now => format!(
            "open since {since}, next probe at {}: all else waits for it, and no attempt is counted",
            moment(at)
        ),
        Some(_) => format!(
            "open since {since}, the next that comes is a probe: all else waits for it, and no attempt is counted"
        ),
        None => "it accepts again, and deliveries return step by step".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_delivery::ListedBreaker;
    use ringback_domain::{Breaker, BreakerRules};
    use ringback_testkit::samples;
    use std::{num::NonZeroU32, time::Duration};

    #[test]
    fn a_retry_that_is_late_is_not_said_to_be_waited_for() {
        let due = samples::moment(0);
        assert_eq!(
            waiting_words(due, samples::moment(-1)),
            format!("waiting until {}", moment(due))
        );
        assert_eq!(
            waiting_words(due, samples::moment(1)),
            format!("waiting, due since {}", moment(due))
        );
    }

    #[test]
    fn an_open_breaker_tells_of_its_next_probe() {
        let rules = BreakerRules {
            failures: NonZeroU32::MIN,
            probe_first: Duration::from_secs(30),
            probe_max: Duration::from_mins(1),
        };
        let breaker = Breaker::opened("whk_1".parse().unwrap(), samples::moment(0), &rules);
        let view = BreakerView::from(&ListedBreaker {
            breaker,
            project: None,
            url: None,
        });
        let told = breaker_words(&view, samples::moment(1));
        let next = format!("next probe at {}", moment(samples::moment(30)));
        assert!(told.contains(&next), "{told}");
        let told = breaker_words(&view, samples::moment(31));
        assert!(told.contains("the next that comes is a probe"), "{told}");
    }
}
