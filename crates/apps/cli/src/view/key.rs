//! Keys as they are shown.

use super::{ListView, moment};
use crate::terminal::{Column, cut, facts, table, whole};
use ringback_api::view::KeyView;

fn owner(key: &KeyView) -> String {
    key.project
        .clone()
        .unwrap_or_else(|| "the operator".to_owned())
}

fn state(key: &KeyView) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked at {}", moment(at)),
        (None, Some(end)) => format!("until {}", moment(end)),
        (None, None) => "for good".to_owned(),
    }
}

fn last_used(key: &KeyView) -> String {
    key.last_used_at.map_or_else(|| "never".to_owned(), moment)
}

/// The same, as short as a table wants it.
fn state_in_short(key: &KeyView) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(end)) => format!("until {}", end.strftime("%Y-%m-%d")),
        (None, None) => state(key),
    }
}

const KEY_COLUMNS: [Column; 6] = [
    whole("ID"),
    cut("OF", 8),
    whole("MAY").or_left_out(1),
    whole("VALID"),
    whole("LAST USED (UTC)").or_left_out(3),
    cut("DESCRIPTION", 12).or_left_out(2),
];

pub(crate) fn keys_table(list: &ListView<KeyView>) -> String {
    if list.data.is_empty() {
        return "no keys".to_owned();
    }
    let rows = list.data.iter().map(|key| {
        [
            key.id.clone(),
            owner(key),
            key.scopes.join(", "),
            state_in_short(key),
            last_used(key),
            key.description.clone().unwrap_or_default(),
        ]
    });
    table(KEY_COLUMNS, rows)
}

pub(crate) fn key_facts(key: &KeyView) -> String {
    let mut lines = vec![
        ("key", key.id.clone()),
        ("of", owner(key)),
        ("may", key.scopes.join(", ")),
        ("opens", state(key)),
    ];
    lines.extend(key.description.clone().map(|text| ("description", text)));
    lines.push(("created", moment(key.created_at)));
    lines.push(("last used", last_used(key)));
    facts(lines)
}
