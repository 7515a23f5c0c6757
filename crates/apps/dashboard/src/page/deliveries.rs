//! Deliveries: the list, and one with every attempt.

use super::{
    Answer, PAGE_ENTRIES, Path, REFRESH, cursor_asked, damaged_records, faulty_filter, id, pager,
    project_asked, project_filter, since_asked, span_filter, text_filter, word_asked, word_filter,
};
use crate::{
    Desk,
    form::{Faults, Fields},
    view::{
        Column, Page, Section, Table, Tone, ago, badge, breaker_note, card, copy, counted,
        delivery_state, empty, facts, get_form, head, moment, moments, outcome, phase_legend,
        short_id, short_url, timeline,
    },
    visitor::Visitor,
};
use axum::{Router, extract::State, routing::get};
use maud::{Markup, html};
use ringback_delivery::{ProfileBook, breaker_before, port::DeliveryFilter};
use ringback_domain::{
    DeliveryId, DeliveryRecord, DeliveryState, Destination, Timestamp, harmless_text,
};
use ringback_profile::DestinationKind;
use std::{sync::Arc, time::Duration};

/// The words of [`DeliveryState::class`].
const STATES: [&str; 4] = ["attempting", "waiting", "delivered", "dead_lettered"];

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/deliveries", get(list))
        .route("/deliveries/{id}", get(show))
}

async fn list(visitor: Visitor, State(desk): State<Arc<Desk>>, asked: Fields) -> Answer {
    let mut faults = Faults::default();
    let filter = DeliveryFilter {
        project: project_asked(&visitor, &asked)?,
        event: asked.read("event", &mut faults),
        job: asked.read("job", &mut faults),
        destination: asked.read("destination", &mut faults),
        state: word_asked(&asked, "state", &STATES, &mut faults).map(ToOwned::to_owned),
        since: since_asked(&visitor, &asked, &mut faults),
        until: None,
    };
    let is_filtered = ["event", "job", "destination", "state", "within"]
        .iter()
        .any(|name| asked.get(name).is_some());
    let filters = html! {
        (project_filter(&desk, &visitor, &asked))
        (word_filter("state", "State", &asked, STATES))
        (span_filter(&asked))
        (text_filter("destination", "Destination", &asked, "whk_… or cbk_…"))
        (text_filter("job", "Job", &asked, "task_…"))
        (text_filter("event", "Event", &asked, "evt_…"))
    };
    let content = if faults.is_empty() {
        let cursor = cursor_asked(&asked);
        let store = &desk.services.context.store;
        let page = store
            .deliveries(&filter, cursor.as_ref(), PAGE_ENTRIES)
            .await?;
        html! {
            @if page.entries.is_empty() { (nothing(is_filtered)) }
            @else { (table("Deliveries, newest first", &page.entries, &visitor)) }
            (damaged_records("Delivery", &page.damaged))
            (pager(&asked, page.next.as_ref()))
        }
    } else {
        faulty_filter(&faults)
    };
    let lead = html! { "One event on its way to one destination, newest first. The log is bounded: the oldest that are final are forgotten first." };
    let whole = html! {
        (head(None, &html! { "Deliveries" }, &lead, &html! {}))
        section.card aria-label="Deliveries" {
            div.pad { (get_form("/deliveries", "Filter deliveries", asked.without_filters(&[]).as_deref(), &filters)) }
            div #list data-live { (content) }
        }
    };
    let mut page = Page::new(&visitor, Section::Deliveries, "Deliveries");
    page.refresh = cursor_asked(&asked).is_none().then_some(REFRESH);
    Ok(page.respond(&whole))
}

fn nothing(is_filtered: bool) -> Markup {
    if is_filtered {
        empty(
            "No delivery matches",
            &html! { "Take a filter away, or look further back." },
        )
    } else {
        let advice = html! {
            "An event that is published goes to every webhook that wants it. "
            a href="/webhooks/new" { "Create a webhook" } ", then publish an event: "
            a href="/settings" { "the settings" } " show how."
        };
        empty("Nothing was delivered yet", &advice)
    }
}

const COLUMNS: [Column; 6] = [
    Column::wide("Event"),
    Column::tight("State"),
    Column::wide("Destination"),
    Column::tight("Last outcome"),
    Column::number("Attempts"),
    Column::tight("Changed"),
];

/// Deliveries as rows; other pages show a few, too.
pub(super) fn table(caption: &str, records: &[DeliveryRecord], visitor: &Visitor) -> Markup {
    let rows = records.iter().map(|record| row(record, visitor)).collect();
    html! { (Table { caption, columns: &COLUMNS, rows }) }
}

fn row(record: &DeliveryRecord, visitor: &Visitor) -> Vec<Markup> {
    let (event, now) = (&record.event, visitor.now);
    vec![
        html! {
            a href={ "/deliveries/" (record.id) } { (event.event_type) }
            span.under { span.unseen { "job " } code { (event.job.id) } }
            @if visitor.is_operator() { span.under { (event.project) } }
        },
        html! { (delivery_state(&record.state)) (due(&record.state, now)) },
        html! { (short_url(&record.destination.display_url())) },
        html! { @if let Some(attempt) = record.attempts.last() { (outcome(&attempt.outcome)) } },
        html! { (record.attempts.len()) },
        moments(record.updated_at, now),
    ]
}

fn due(state: &DeliveryState, now: Timestamp) -> Markup {
    html! {
        @if let DeliveryState::Waiting { until } = state { span.under { (next_or_due("next", *until, now)) (moments(*until, now)) } }
    }
}

async fn show(visitor: Visitor, State(desk): State<Arc<Desk>>, Path(text): Path<String>) -> Answer {
    let id: DeliveryId = id(&text)?;
    let found = desk.services.context.store.delivery(&id).await?;
    let record = visitor.if_in_reach(
        found,
        |record| Some(&record.event.project),
        &format!("delivery {id}"),
    )?;
    let now = visitor.now;
    let actions = html! {
        @if let DeliveryState::DeadLettered { id } = &record.state {
            a.button.main href={ "/dead-letters/" (id) } { "Open its dead letter" }
        }
    };
    let lead = html! { "to " (record.destination.display_url()) };
    let is_moving = !record.state.is_final();
    let breaker = if is_moving {
        breaker_before(&*desk.services.context.store, &record, now).await?
    } else {
        None
    };
    let attempts = html! {
        @if record.attempts.is_empty() {
            (empty("No attempt has ended yet", &html! { "The first one is under way." }))
        } @else {
            div.pad { (phase_legend()) }
            (timeline(&record.attempts, now))
        }
    };
    let attempt_count = counted(record.attempts.len() as u64, "attempt", "attempts");
    let attempt_count = html! { (attempt_count) };
    let whole = html! {
        (head(Some(("/deliveries", "Deliveries")), &html! { (record.event.event_type) }, &lead, &actions))
        div.stack #delivery data-live {
            @if let Some(breaker) = &breaker { (breaker_note(&breaker.breaker, now)) }
            section.card aria-label="Facts" { div.pad { (delivery_facts(&record, now)) } }
            (card("Attempts", &attempt_count, &html! {
                (attempts)
                @if let Some(words) = rest_of_schedule(&record, &desk.services.context.profiles, now) { div.pause { (words) } }
            }))
        }
    };
    let title = format!("{}, delivery", record.event.event_type);
    let mut page = Page::new(&visitor, Section::Deliveries, &title);
    page.refresh = is_moving.then_some(3);
    Ok(page.respond(&whole))
}

/// What is yet to come of a delivery that waits, unless it is accepted.
fn rest_of_schedule(
    record: &DeliveryRecord,
    profiles: &ProfileBook,
    now: Timestamp,
) -> Option<String> {
    let DeliveryState::Waiting { until } = record.state else {
        return None;
    };
    let kind = DestinationKind::of(&record.destination);
    let delays = profiles
        .profile(&record.profile)?
        .rules(kind)
        .retry
        .delays();
    let made = record.attempts.last()?.number.get();
    schedule_words(usize::from(made), delays, until, now)
}

/// What comes after so many attempts, of which the next is due at `until`.
fn schedule_words(
    made: usize,
    delays: &[Duration],
    until: Timestamp,
    now: Timestamp,
) -> Option<String> {
    let rest = delays.get(made..)?;
    let next = format!(
        "next: attempt {} of {}{} {}, at {}",
        made + 1,
        delays.len() + 1,
        if until > now { "" } else { ", due" },
        ago(until, now),
        until.strftime("%H:%M:%S UTC")
    );
    if rest.is_empty() {
        return Some(format!("{next}, the last one"));
    }
    let last_at = until.saturating_add(rest.iter().sum::<Duration>()).ok()?;
    let last_at = last_at.strftime("%Y-%m-%d %H:%M UTC");
    Some(format!("{next}; the last not before {last_at}"))
}

fn delivery_facts(record: &DeliveryRecord, now: Timestamp) -> Markup {
    let event = &record.event;
    let state = html! {
        (delivery_state(&record.state)) " "
        @match &record.state {
            DeliveryState::Waiting { until } => { (next_or_due("next attempt", *until, now)) (moments(*until, now)) },
            DeliveryState::Delivered { at } => { (moments(*at, now)) },
            DeliveryState::DeadLettered { id } => { a href={ "/dead-letters/" (id) } { "what is kept of it" } },
            DeliveryState::Attempting => {},
        }
    };
    facts(&[
        ("State", state),
        (
            "Delivery",
            html! { code { (record.id) } (copy("the id of the delivery")) },
        ),
        (
            "Event",
            html! { a href={ "/deliveries?event=" (event.id) } { code { (event.id) } } (copy("the id of the event")) },
        ),
        ("Project", html! { (event.project) }),
        ("Job", job(record)),
        ("Destination", destination(&record.destination)),
        ("Profile", html! { (record.profile) }),
        (
            "Rounds",
            html! { @if record.generation.get() > 0 { (record.generation.round()) ", the later ones by replay" } },
        ),
        ("Happened", moment(event.occurred_at)),
        ("Dispatched", moment(event.dispatched_at)),
    ])
}

fn job(record: &DeliveryRecord) -> Markup {
    let job = &record.event.job;
    // Kind and status are the producer's words.
    let words: Vec<_> = [&job.kind, &job.status]
        .into_iter()
        .flatten()
        .map(|word| harmless_text(word.as_bytes()))
        .collect();
    html! {
        a href={ "/deliveries?job=" (crate::view::escape_query(job.id.as_str())) } { code { (job.id) } } (copy("the id of the job"))
        @if !words.is_empty() { span.soft { " " (words.join(", ")) } }
    }
}

/// A destination, and the way to its webhook.
/// What is to come stands before its moment. Once that is past, the delivery waits in a queue, or for its destination's sake.
fn next_or_due(next: &str, until: Timestamp, now: Timestamp) -> String {
    if until > now {
        format!("{next} ")
    } else {
        "due ".to_owned()
    }
}

pub(super) fn destination(destination: &Destination) -> Markup {
    html! {
        @match destination {
            Destination::Webhook { id, .. } => {
                "webhook " a href={ "/webhooks/" (id) } { (short_id(id.as_str())) }
            }
            Destination::Callback { .. } => { (badge(Tone::Quiet, "↩", "callback")) " named by the job" }
        }
        span.soft { " · " (destination.display_url()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_schedule_is_told_to_its_end() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        let until: Timestamp = "2026-06-01T12:05:00Z".parse().unwrap();
        let delays = [300, 3_600, 36_000].map(Duration::from_secs);
        let words = |made| schedule_words(made, &delays, until, now);
        assert_eq!(
            words(1).as_deref(),
            Some(
                "next: attempt 2 of 4 in 5 min, at 12:05:00 UTC; the last not before 2026-06-01 23:05 UTC"
            )
        );
        assert_eq!(
            words(3).as_deref(),
            Some("next: attempt 4 of 4 in 5 min, at 12:05:00 UTC, the last one")
        );
        let late: Timestamp = "2026-06-01T12:05:50Z".parse().unwrap();
        assert_eq!(
            schedule_words(3, &delays, until, late).as_deref(),
            Some("next: attempt 4 of 4, due 50 s ago, at 12:05:00 UTC, the last one")
        );
        // The profile was changed since: there is nothing true to be said.
        assert_eq!(words(4), None);
    }
}
