//! Webhooks as they are shown.

use super::{RecordListView, moment, none_of};
use crate::terminal::{Column, cut, facts, table, whole};
use ringback_api::view::WebhookView;

const WEBHOOK_COLUMNS: [Column; 7] = [
    whole("ID"),
    cut("PROJECT", 8).or_left_out(1),
    cut("URL", 12),
    cut("EVENTS", 12).or_left_out(2),
    whole("PROFILE").or_left_out(3),
    whole("STATE"),
    whole("CHANGED (UTC)").or_left_out(4),
];

fn events(webhook: &WebhookView) -> String {
    match &webhook.events {
        None => "all".to_owned(),
        Some(types) => types.join(", "),
    }
}

pub(crate) fn webhooks_table(list: &RecordListView<WebhookView>) -> String {
    if list.data.is_empty() {
        return none_of("webhooks", &list.damaged);
    }
    let rows = list.data.iter().map(|webhook| {
        [
            webhook.id.clone(),
            webhook.project.clone(),
            webhook.url.clone(),
            events(webhook),
            webhook.profile.clone().unwrap_or_default(),
            if webhook.enabled {
                "enabled"
            } else {
                "disabled"
            }
            .to_owned(),
            moment(webhook.updated_at),
        ]
    });
    table(WEBHOOK_COLUMNS, rows)
}

pub(crate) fn webhook_facts(webhook: &WebhookView) -> String {
    let state = match (&webhook.disabled_because, webhook.disabled_at) {
        (Some(reason), Some(at)) => format!("disabled since {}: {reason}", moment(at)),
        _ => "enabled".to_owned(),
    };
    let mut lines = vec![
        ("webhook", webhook.id.clone()),
        ("project", webhook.project.clone()),
        ("url", webhook.url.clone()),
        ("events", events(webhook)),
        (
            "profile",
            webhook
                .profile
                .clone()
                .unwrap_or_else(|| "the project's".to_owned()),
        ),
        ("state", state),
    ];
    for secret in &webhook.secrets {
        let overlap = secret
            .overlaps_until
            .map(|until| format!(", beside its successor until {}", moment(until)));
        lines.push((
            "secret",
            format!(
                "signs from {}{}",
                moment(secret.signs_from),
                overlap.unwrap_or_default()
            ),
        ));
    }
    if !webhook.headers.is_empty() {
        lines.push(("headers", webhook.headers.join(", ")));
    }
    lines.extend(
        webhook
            .description
            .clone()
            .map(|text| ("description", text)),
    );
    lines.extend(
        webhook
            .rate_limit
            .map(|limit| ("rate limit", format!("{limit} attempts a second"))),
    );
    lines.push(("created", moment(webhook.created_at)));
    lines.push((
        "changed",
        format!(
            "{}, revision {}",
            moment(webhook.updated_at),
            webhook.revision
        ),
    ));
    facts(lines)
}
