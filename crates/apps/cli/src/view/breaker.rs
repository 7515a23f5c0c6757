//! Breakers as they are shown.

use super::{ListView, moment};
use crate::terminal::{Column, cut, table, whole};
use ringback_api::view::BreakerView;

const BREAKER_COLUMNS: [Column; 6] = [
    whole("DESTINATION"),
    cut("PROJECT", 8).or_left_out(3),
    cut("URL", 12).or_left_out(1),
    whole("BREAKER"),
    whole("SINCE (UTC)").or_left_out(2),
    whole("NEXT PROBE (UTC)").or_left_out(4),
];

pub(crate) fn breakers_table(list: &ListView<BreakerView>) -> String {
    if list.data.is_empty() {
        return "no destination is spared".to_owned();
    }
    let rows = list.data.iter().map(|breaker| {
        [
            breaker.destination.clone(),
            breaker.project.clone().unwrap_or_default(),
            breaker.url.clone().unwrap_or_default(),
            breaker.state.to_owned(),
            moment(breaker.opened_at),
            breaker.next_probe_at.map_or_else(String::new, moment),
        ]
    });
    table(BREAKER_COLUMNS, rows)
}
