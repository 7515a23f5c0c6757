//! One dead letter: all that is kept of it, and what to do about it.

use super::{cause_path, disposal_badge, note_of, title_of};
use crate::{
    Desk,
    form::{Faults, Fields},
    page::{Answer, Path, deliveries, id, on_to},
    refusal::Refusal,
    view::{
        Field, Page, Section, Tone, advise, button_with, card, copy, count, distance, empty,
        escape_query, explain_reason, facts, fault_of, form, head, marked, moment, moments, note,
        phase_legend, timeline,
    },
    visitor::{Manager, Visitor},
};
use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use maud::{Markup, html};
use ringback_api::problem::Problem;
use ringback_delivery::{
    ProfileBook, ReplayRequest, Stale, occurred_at, port::DisposeAnswer, stale,
};
use ringback_domain::{
    DeadLetter, DeadLetterContent, DeadLetterId, Disposal, Replayed, Timestamp, harmless_text,
};
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/dead-letters/{id}", get(show))
        .route("/dead-letters/{id}/replay", post(replay))
        .route("/dead-letters/{id}/discard", post(discard))
}

/// The dead letter, when it is the visitor's.
async fn find(desk: &Desk, visitor: &Visitor, text: &str) -> Result<DeadLetter, Refusal> {
    let id: DeadLetterId = id(text)?;
    let found = desk.services.context.store.dead_letter(&id).await?;
    let what = format!("dead letter {id}");
    Ok(visitor.if_in_reach(found, |letter| letter.project.as_ref(), &what)?)
}

async fn show(
    visitor: Visitor,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    asked: Fields,
) -> Answer {
    let letter = find(&desk, &visitor, &text).await?;
    let path = format!("/dead-letters/{}", letter.id);
    let is_raw = matches!(letter.content, DeadLetterContent::Raw { .. });
    let is_open = letter.disposal == Disposal::Open;
    let token = visitor.token.as_str();
    let replay = format!("{path}/replay");
    let stale = stale(&letter, &desk.services.context.profiles, visitor.now);
    let mut how = Vec::new();
    how.extend((!is_open).then_some(("again", "yes")));
    how.extend(stale.map(|_| ("stale", "yes")));
    let (rank, words) = match (is_open, stale) {
        (true, None) => ("main", "Replay it"),
        (true, Some(_)) => ("", "Replay it all the same"),
        (false, _) => ("", "Replay it once more"),
    };
    let actions = html! {
        @if visitor.may_manage() && !is_raw { (button_with(&replay, token, rank, words, &how)) }
    };
    let lead = html! { (explain_reason(letter.reason)) span.soft { " · " (fault_of(letter.reason.fault())) } };
    let news = html! {
        @match asked.get("done") {
            Some("replayed") => { (note(Tone::Good, "status", &html! { "It is on its way again, as a new round of attempts with the same id and body." })) },
            Some("discarded") => { (note(Tone::Good, "status", &html! { "Discarded. It is kept until its retention ends, and can still be replayed." })) },
            _ => {},
        }
        @if let Some(stale) = stale { (stale_note(stale)) }
    };
    let similar = cause_path(letter.project.as_ref(), &letter.cause.fingerprint);
    let title = title_of(&letter);
    let attempts = letter.delivery().map(|delivery| {
        let history = &delivery.history;
        html! {
            @if history.is_empty() { (empty("No attempt was made", &html! { (explain_reason(letter.reason)) })) }
            @else { div.pad { (phase_legend()) } (timeline(history, visitor.now)) }
        }
    });
    let content = html! {
        (head(Some((&similar, "Dead letters of this cause")), &html! { (title) }, &lead, &actions))
        (news)
        section.card aria-label="Facts" { div.pad { (letter_facts(&letter, &desk.services.context.profiles, visitor.now)) } }
        @if let Some(attempts) = attempts { (card("Attempts", &html! {}, &attempts)) }
        (content_part(&visitor, &letter, &path, asked.get("show") == Some("content")))
        @if visitor.may_manage() && is_open { (discard_part(&path, token)) }
    };
    let name = format!("{}, dead letter", title_of(&letter));
    Ok(Page::new(&visitor, Section::DeadLetters, &name).respond(&content))
}

fn stale_note(stale: Stale) -> Markup {
    note(
        Tone::Warn,
        "note",
        &html! { p {
            strong { "Its body may be of no use any more" }
            ": it tells of what happened " (distance(stale.age)) " ago, and its profile says " (distance(stale.age_max))
            ". Links in it may have died."
        } },
    )
}

fn letter_facts(letter: &DeadLetter, profiles: &ProfileBook, now: Timestamp) -> Markup {
    let delivery = letter.delivery();
    let last = letter.last_attempt().map(|attempt| &attempt.outcome);
    let signed = delivery.and_then(|delivery| profiles.signs(delivery));
    let event = match &letter.content {
        DeadLetterContent::Delivery(delivery) => Some(&delivery.event.id),
        DeadLetterContent::Event { event, .. } => Some(&event.id),
        DeadLetterContent::Raw { .. } => None,
    };
    let disposal = html! {
        (disposal_badge(&letter.disposal)) " "
        @match &letter.disposal {
            Disposal::Open => {},
            Disposal::Replayed(Replayed { at, by, generation }) => {
                (moments(*at, now)) " by " (harmless_text(by.as_bytes())) ", as round " (generation.round())
                @if let Some(delivery) = delivery { " · " a href={ "/deliveries/" (delivery.id) } { "what became of it" } }
            },
            Disposal::Discarded { at, note } => { (moments(*at, now)) ": " (harmless_text(note.as_bytes())) },
        }
    };
    facts(&[
        ("State", disposal),
        (
            "Dead letter",
            html! { code { (letter.id) } (copy("the id of the dead letter")) },
        ),
        (
            "Cause",
            html! { (harmless_text(letter.cause.summary.as_bytes())) },
        ),
        (
            "Next",
            html! { @if letter.disposal == Disposal::Open { (marked(advise(letter.reason, last))) } },
        ),
        (
            "Happened",
            html! { @if let Some(at) = occurred_at(letter) { (moments(at, now)) } @else { span.soft { "could not be told" } } },
        ),
        ("Given up", moment(letter.died_at)),
        (
            "Project",
            html! { @match &letter.project { Some(project) => (project), None => span.soft { "could not be told" } } },
        ),
        (
            "Event",
            html! { @if let Some(event) = event { code { (event) } (copy("the id of the event")) } },
        ),
        (
            "Job",
            html! { @if let Some(job) = letter.job() { a href={ "/deliveries?job=" (escape_query(job.as_str())) } { code { (job) } } (copy("the id of the job")) } },
        ),
        (
            "Destination",
            html! { @if let Some(delivery) = delivery { (deliveries::destination(&delivery.destination)) } },
        ),
        (
            "Profile",
            html! { @if let Some(delivery) = delivery { (delivery.profile) } },
        ),
        (
            "Signed",
            html! { @match signed {
                Some(true) => "yes",
                Some(false) => { "no" span.soft { " · a receiver that expects a signature answers 401, or fails with 500" } },
                None => {},
            } },
        ),
        (
            "Delivery",
            html! { @if let Some(delivery) = delivery { a href={ "/deliveries/" (delivery.id) } { code { (delivery.id) } } (copy("the id of the delivery")) } },
        ),
    ])
}

/// The bytes that are kept: data of other people's jobs. They are not in the page unless somebody who may manage asks.
fn content_part(visitor: &Visitor, letter: &DeadLetter, path: &str, is_asked: bool) -> Markup {
    let (name, bytes, why) = match &letter.content {
        DeadLetterContent::Delivery(delivery) => ("Body", &delivery.body, None),
        DeadLetterContent::Event { event, why } => ("Event document", &event.document, Some(why)),
        DeadLetterContent::Raw { bytes, why } => ("Bytes as they came", bytes, Some(why)),
    };
    let may = visitor.may_manage();
    if may && is_asked {
        tracing::info!(
            ringback.dead_letter.id = %letter.id,
            ringback.key.id = %visitor.key().id,
            "the content of a dead letter was looked at"
        );
    }
    let size = html! { (count(bytes.len() as u64)) " bytes" };
    let content = html! {
        div.pad.stack {
            @if let Some(why) = why { p { "What is wrong with it: " (harmless_text(why.as_bytes())) } }
            @if !may { p.soft { "It may hold data of other people's jobs. Seeing it needs a key with scope " code { "manage" } "." } }
            @else if is_asked { pre { (harmless_text(bytes)) } div { a href=(path) { "Hide it" } } }
            @else {
                p.soft { "It may hold data of other people's jobs, so it is not shown until you ask; that you did is written to the log." }
                div { a.button href={ (path) "?show=content" } { "Show it" } }
            }
        }
    };
    card(name, &size, &content)
}

fn discard_part(path: &str, token: &str) -> Markup {
    let fields = html! {
        div.form {
            (Field::text("note", "Why", "").required().show(&Faults::default()))
            div { button.danger type="submit" { "Discard it" } }
        }
    };
    html! {
        section.card aria-label="Discard" {
            div.pad {
                details {
                    summary { "Leave it: discard" }
                    p.soft { "It no longer counts as open, and joins no replay plan. It is kept until its retention ends." }
                    (form(&format!("{path}/discard"), token, &fields))
                }
            }
        }
    }
}

async fn replay(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    fields: Fields,
) -> Answer {
    let letter = find(&desk, &visitor, &text).await?;
    let request = ReplayRequest {
        id: letter.id.clone(),
        by: visitor.name(),
        again: fields.has("again", "yes"),
        sends_stale: fields.has("stale", "yes"),
    };
    desk.services.replay.replay(&request).await?;
    on_to(&format!("/dead-letters/{}?done=replayed", letter.id))
}

async fn discard(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    fields: Fields,
) -> Answer {
    let letter = find(&desk, &visitor, &text).await?;
    let (note, by) = (note_of(&fields)?, visitor.name());
    let discards = &desk.services.discards;
    match discards.one(&letter.id, &note, &by).await? {
        // Somebody was faster: the page tells how.
        DisposeAnswer::Disposed => on_to(&format!("/dead-letters/{}?done=discarded", letter.id)),
        DisposeAnswer::Already(_) => on_to(&format!("/dead-letters/{}", letter.id)),
        DisposeAnswer::NotFound => {
            Err(Problem::not_found(format!("there is no dead letter {}", letter.id)).into())
        }
    }
}
