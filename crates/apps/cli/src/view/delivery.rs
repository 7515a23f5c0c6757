//! Deliveries as they are shown.

use super::{RecordListView, attempts_table, moment, none_of, round};
use crate::terminal::{Column, cut, facts, table, whole};
use ringback_api::view::DeliveryView;

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

pub(crate) fn delivery_facts(delivery: &DeliveryView) -> String {
    let state = match (delivery.state, delivery.state_at, &delivery.dead_letter) {
        ("waiting", Some(until), _) => format!("waiting until {}", moment(until)),
        (state, Some(at), _) => format!("{state} at {}", moment(at)),
        (_, _, Some(id)) => format!("dead letter {id}"),
        (state, None, None) => state.to_owned(),
    };
    let facts = facts([
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
        ("occurred", moment(delivery.occurred_at)),
        ("first taken", moment(delivery.created_at)),
    ]);
    format!("{facts}\n\n{}", attempts_table(&delivery.attempts))
}
