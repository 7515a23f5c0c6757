//! The list of webhooks, and what of it somebody looks for.

use super::{last_hour, profile, sum};
use crate::{
    Desk,
    form::{Faults, Fields},
    page::{
        Answer, damaged_records, faulty_filter, project_asked, project_filter, projects,
        text_filter, word_asked, word_filter,
    },
    view::{
        Column, Page, Section, Table, breaker_badge, count, empty, get_form, head, share,
        short_url, spark, webhook_state,
    },
    visitor::Visitor,
};
use axum::extract::State;
use futures_util::future::try_join_all;
use maud::{Markup, html};
use ringback_domain::{
    Breaker, DestinationId, EventFilter, EventType, TrafficPoint, Webhook, harmless_text,
};
use std::{collections::HashMap, sync::Arc};

/// Webhooks on one page of the list; each is shown with its traffic.
const WEBHOOKS_PER_PAGE: usize = 25;

/// What a list can be narrowed to. Those in trouble have a breaker.
const STATES: [&str; 3] = ["enabled", "disabled", "in_trouble"];

/// What a webhook has to be to be listed.
struct Wanted<'a> {
    state: Option<&'a str>,
    /// In lower case; each is somewhere in it.
    words: Vec<String>,
}

impl Wanted<'_> {
    fn holds(&self, webhook: &Webhook, is_in_trouble: bool) -> bool {
        let is_in_state = match self.state {
            Some("enabled") => webhook.is_enabled(),
            Some("disabled") => !webhook.is_enabled(),
            Some(_) => is_in_trouble,
            None => true,
        };
        is_in_state && (self.words.is_empty() || self.is_said_of(webhook))
    }

    fn is_said_of(&self, webhook: &Webhook) -> bool {
        let types = match &webhook.events {
            EventFilter::All => Vec::new(),
            EventFilter::Only(types) => types.iter().map(EventType::as_str).collect(),
        };
        // What may be secret in the URL is not searched, either: each hit would tell a little of it.
        let text = [
            webhook.display_url().as_str(),
            webhook.id.as_str(),
            webhook.project.as_str(),
            webhook.description.as_deref().unwrap_or_default(),
            types.join(" ").as_str(),
        ]
        .join("\n")
        .to_lowercase();
        self.words.iter().all(|word| text.contains(word))
    }
}

pub(super) async fn list(visitor: Visitor, State(desk): State<Arc<Desk>>, asked: Fields) -> Answer {
    let chosen = project_asked(&visitor, &asked)?;
    let mut faults = Faults::default();
    let words = asked.get("q").unwrap_or_default().to_lowercase();
    let wanted = Wanted {
        state: word_asked(&asked, "state", &STATES, &mut faults),
        words: words.split_whitespace().map(ToOwned::to_owned).collect(),
    };
    let of = match chosen {
        Some(project) => vec![project],
        None => projects(&desk, &visitor),
    };
    let store = &desk.services.context.store;
    let found = try_join_all(of.iter().map(|project| store.webhooks(project))).await?;
    let breakers: HashMap<_, _> = store
        .breakers()
        .await?
        .into_iter()
        .map(|breaker| (breaker.destination.clone(), breaker))
        .collect();
    let breaker_of = |webhook: &Webhook| breakers.get(&DestinationId::webhook(&webhook.id));
    let (mut webhooks, mut damaged) = (Vec::new(), Vec::new());
    for of_project in found {
        webhooks.extend(of_project.entries);
        damaged.extend(of_project.damaged);
    }
    let any = !webhooks.is_empty();
    webhooks.retain(|webhook| wanted.holds(webhook, breaker_of(webhook).is_some()));
    webhooks.sort_by(|a, b| {
        b.created_at
            .cmp(&a.created_at)
            .then_with(|| a.id.cmp(&b.id))
    });
    let pages = webhooks.len().div_ceil(WEBHOOKS_PER_PAGE).max(1);
    let number = asked.get("page").and_then(|page| page.parse().ok());
    let number = number.unwrap_or(1_usize).clamp(1, pages);
    let shown = webhooks
        .chunks(WEBHOOKS_PER_PAGE)
        .nth(number - 1)
        .unwrap_or_default();
    let hours = shown
        .iter()
        .map(|webhook| last_hour(&desk, webhook, visitor.now));
    let hours = try_join_all(hours).await?;
    let rows = shown
        .iter()
        .zip(&hours)
        .map(|(webhook, hour)| row(&desk, &visitor, webhook, breaker_of(webhook), hour))
        .collect();
    let columns = [
        Column::wide("URL"),
        Column::tight("State"),
        Column::wide("Events"),
        Column::tight("Profile"),
        Column::tight("The last hour"),
        Column::number("Delivered"),
    ];
    let actions =
        html! { @if visitor.may_manage() { a.button.main href="/webhooks/new" { "New webhook" } } };
    let filters = html! {
        (project_filter(&desk, &visitor, &asked))
        (text_filter("q", "Search", &asked, "a host, a description, a type"))
        (word_filter("state", "State", &asked, STATES))
    };
    let unfiltered = asked.without_filters(&[]);
    let content = html! {
        (head(None, &html! { "Webhooks" }, &html! { "The registered destinations of a project: where its events are sent, and signed with which secret." }, &actions))
        section.card aria-label="Webhooks" {
            @if any || unfiltered.is_some() {
                div.pad { (get_form("/webhooks", "Filter webhooks", unfiltered.as_deref(), &filters)) }
            }
            (damaged_records("Webhook", &damaged))
            @if !faults.is_empty() { (faulty_filter(&faults)) }
            @else if webhooks.is_empty() && any { (empty("No webhook matches", &html! { "Take a filter away, or search for a part of the URL." })) }
            @else if webhooks.is_empty() { (none_yet(&visitor)) }
            @else {
                (Table { caption: "Webhooks, newest first", columns: &columns, rows })
                (footer(&asked, webhooks.len(), number, pages))
            }
        }
    };
    Ok(Page::new(&visitor, Section::Webhooks, "Webhooks").respond(&content))
}

fn footer(asked: &Fields, webhooks: usize, number: usize, pages: usize) -> Markup {
    let address = |page: usize| asked.with("page", Some(&page.to_string()));
    html! {
        @if pages > 1 {
            footer {
                @if number > 1 { a rel="prev" href=(address(number - 1)) { "← Newer" } } @else { span {} }
                span { (count(webhooks as u64)) " webhooks, page " (number) " of " (pages) }
                @if number < pages { a rel="next" href=(address(number + 1)) { "Older →" } } @else { span {} }
            }
        }
    }
}

fn none_yet(visitor: &Visitor) -> Markup {
    let advice = html! {
        "A webhook is a URL that your events are sent to. "
        @if visitor.may_manage() {
            a href="/webhooks/new" { "Create the first one" } ", send it a test event, and look at what came back."
        } @else {
            "Your key may look only; one with scope " code { "manage" } " can create a webhook."
        }
    };
    empty("No webhook yet", &advice)
}

fn row(
    desk: &Desk,
    visitor: &Visitor,
    webhook: &Webhook,
    breaker: Option<&Breaker>,
    hour: &[TrafficPoint],
) -> Vec<Markup> {
    let traffic = sum(hour);
    vec![
        html! {
            a href={ "/webhooks/" (webhook.id) } { (short_url(&webhook.display_url())) }
            @if let Some(description) = &webhook.description { span.under { (harmless_text(description.as_bytes())) } }
            @if visitor.is_operator() { span.under { (webhook.project) } }
        },
        html! {
            (webhook_state(webhook))
            @if let Some(breaker) = breaker { span.under { (breaker_badge(breaker)) } }
        },
        events_short(&webhook.events),
        profile(desk, webhook),
        spark(hour),
        html! {
            @match traffic.success_share() {
                Some(part) => { (share(part)) },
                None => { span.soft { "no traffic" } },
            }
        },
    ]
}

fn events_short(events: &EventFilter) -> Markup {
    const SHOWN: usize = 2;
    html! {
        @match events {
            EventFilter::All => { span.soft { "every event" } },
            EventFilter::Only(types) => {
                @for (index, event_type) in types.iter().take(SHOWN).enumerate() { @if index > 0 { ", " } (event_type) }
                @if types.len() > SHOWN { span.soft { " and " (types.len() - SHOWN) " more" } }
            },
        }
    }
}
