//! From an id out of a log or a ticket to the page of what it names.

use super::{Answer, on_to, project_asked};
use crate::{Desk, form::Fields, view::escape_query, visitor::Visitor};
use axum::{Router, extract::State, routing::get};
use ringback_delivery::port::DeliveryFilter;
use std::sync::Arc;

/// Ids that name a page of their own, by how they begin.
const PAGES: [(&str, &str); 4] = [
    ("whk_", "/webhooks/"),
    ("dlv_", "/deliveries/"),
    ("dlt_", "/dead-letters/"),
    ("rpl_", "/replays/"),
];

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/find", get(find))
}

async fn find(visitor: Visitor, State(desk): State<Arc<Desk>>, asked: Fields) -> Answer {
    let Some(text) = asked.get("q") else {
        return on_to("/");
    };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.bytes().all(is_word)
        && let Some((_, path)) = PAGES.iter().find(|(begin, _)| text.starts_with(begin))
    {
        return on_to(&format!("{path}{text}"));
    }
    let query = escape_query(text);
    if text.starts_with("cbk_") {
        return on_to(&format!("/deliveries?destination={query}"));
    }
    // Events and jobs have the ids that their producers give them.
    let whose = DeliveryFilter {
        project: project_asked(&visitor, &Fields::default())?,
        ..DeliveryFilter::default()
    };
    let of_event = DeliveryFilter {
        event: text.parse().ok(),
        ..whose.clone()
    };
    let of_job = DeliveryFilter {
        job: text.parse().ok(),
        ..whose
    };
    let store = &desk.services.context.store;
    if of_event.event.is_some()
        && !store
            .deliveries(&of_event, None, 1)
            .await?
            .entries
            .is_empty()
    {
        return on_to(&format!("/deliveries?event={query}"));
    }
    if of_job.job.is_some() && !store.deliveries(&of_job, None, 1).await?.entries.is_empty() {
        return on_to(&format!("/deliveries?job={query}"));
    }
    // Dead letters are kept for longer than the log of deliveries goes back.
    on_to(&format!("/dead-letters/list?disposed=yes&q={query}"))
}
