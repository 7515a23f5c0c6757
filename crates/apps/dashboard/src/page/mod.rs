//! The pages, one module for each part of the menu.

mod dead_letters;
mod deliveries;
mod find;
mod overview;
mod replays;
mod settings;
mod sign_in;
mod webhooks;

use crate::{
    Desk,
    form::{Faults, Fields},
    refusal::Refusal,
    view::{Control, Page, Section, Tone, button, filter, head, note},
    visitor::Visitor,
};
use axum::{
    Router,
    extract::FromRequestParts,
    response::{IntoResponse, Redirect, Response},
};
use http::request::Parts;
use maud::{Markup, html};
use ringback_api::problem::{Code, Problem};
use ringback_delivery::port::{Cursor, DamagedRecord, DeadLetterFilter};
use ringback_domain::{IdError, KeyOwner, ProjectName};
use std::{convert::Infallible, str::FromStr, sync::Arc};

/// Entries of a list on one page.
pub(crate) const PAGE_ENTRIES: usize = 50;

/// Seconds between two looks at what grows by itself.
const REFRESH: u32 = 10;

type Answer = Result<Response, Refusal>;

pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .merge(sign_in::routes())
        .merge(overview::routes())
        .merge(webhooks::routes())
        .merge(deliveries::routes())
        .merge(find::routes())
        .merge(dead_letters::routes())
        .merge(replays::routes())
        .merge(settings::routes())
}

/// The guard has read them.
impl<S: Sync> FromRequestParts<S> for Fields {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.remove().unwrap_or_default())
    }
}

/// What a path holds. What is no text leads to nothing.
struct Path<T>(T);

impl<S: Sync, T> FromRequestParts<S> for Path<T>
where
    axum::extract::Path<T>: FromRequestParts<S>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        found
            .map(|axum::extract::Path(found)| Self(found))
            .map_err(|_| Problem::new(Code::NoSuchRoute).into())
    }
}

/// An id out of an address: what cannot be one leads to nothing.
fn id<T: FromStr<Err = IdError>>(text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::not_found("there is nothing at this address"))
}

/// Whose things a list shows, by what its address asks for.
fn project_asked(visitor: &Visitor, asked: &Fields) -> Result<Option<ProjectName>, Refusal> {
    let project = asked.get("project").map(id::<ProjectName>).transpose()?;
    Ok(visitor.project_of_list(project)?)
}

/// All projects that the visitor may choose from.
fn projects(desk: &Desk, visitor: &Visitor) -> Vec<ProjectName> {
    match &visitor.key().owner {
        KeyOwner::Project(own) => vec![own.clone()],
        KeyOwner::Operator => {
            let all = desk.services.context.profiles.projects();
            all.map(|(project, _)| project.clone()).collect()
        }
    }
}

/// The choice among projects, for those who see several.
fn project_filter(desk: &Desk, visitor: &Visitor, asked: &Fields) -> Markup {
    if !visitor.is_operator() {
        return html! {};
    }
    let all = (String::new(), "All projects".to_owned());
    let each = projects(desk, visitor)
        .into_iter()
        .map(|project| (project.to_string(), project.to_string()));
    let options = std::iter::once(all).chain(each).collect();
    filter(
        "project",
        "Project",
        asked.written("project"),
        Control::Choice(options),
    )
}

/// The choice of a word, or of any.
fn word_filter<'a>(
    name: &'static str,
    label: &'static str,
    asked: &Fields,
    words: impl IntoIterator<Item = &'a str>,
) -> Markup {
    let any = (String::new(), "Any".to_owned());
    let each = words
        .into_iter()
        .map(|word| (word.to_owned(), word.replace('_', " ")));
    let options = std::iter::once(any).chain(each).collect();
    filter(name, label, asked.written(name), Control::Choice(options))
}

/// How far back a list reaches.
const SPANS: [(&str, &str, u64); 4] = [
    ("1h", "The last hour", 3_600),
    ("24h", "The last 24 hours", 86_400),
    ("7d", "The last 7 days", 604_800),
    ("30d", "The last 30 days", 2_592_000),
];

fn span_filter(asked: &Fields) -> Markup {
    let any = (String::new(), "Any time".to_owned());
    let each = SPANS
        .iter()
        .map(|(word, words, _)| ((*word).to_owned(), (*words).to_owned()));
    let options = std::iter::once(any).chain(each).collect();
    filter(
        "within",
        "Within",
        asked.written("within"),
        Control::Choice(options),
    )
}

/// The moment a list begins at.
fn since_asked(
    visitor: &Visitor,
    asked: &Fields,
    faults: &mut Faults,
) -> Option<ringback_domain::Timestamp> {
    let words = SPANS.map(|(word, _, _)| word);
    let asked = word_asked(asked, "within", &words, faults)?;
    let (_, _, seconds) = SPANS.into_iter().find(|(word, _, _)| *word == asked)?;
    let back = std::time::Duration::from_secs(seconds);
    visitor.now.saturating_sub(back).ok()
}

/// One of the words that a choice has; a fault when it is another, as in an address that somebody wrote.
fn word_asked<'a>(
    asked: &'a Fields,
    name: &str,
    words: &[&str],
    faults: &mut Faults,
) -> Option<&'a str> {
    let word = asked.get(name)?;
    let is_known = words.contains(&word);
    if !is_known {
        faults.add(name, format!("is none of {}", words.join(", ")));
    }
    is_known.then_some(word)
}

/// The open dead letters that an address or a form asks for: a plan is made of what the list shows.
fn dead_letters_asked(
    visitor: &Visitor,
    asked: &Fields,
    faults: &mut Faults,
) -> Result<DeadLetterFilter, Refusal> {
    Ok(DeadLetterFilter {
        project: project_asked(visitor, asked)?,
        destination: asked.read("destination", faults),
        event_type: asked.read("type", faults),
        job: asked.read("job", faults),
        cause: asked.get("cause").map(ToOwned::to_owned),
        reason: asked.read("reason", faults),
        since: since_asked(visitor, asked, faults),
        ..DeadLetterFilter::default()
    })
}

fn text_filter(
    name: &'static str,
    label: &'static str,
    asked: &Fields,
    placeholder: &str,
) -> Markup {
    let control = Control::Text {
        kind: "search",
        placeholder,
    };
    filter(name, label, asked.written(name), control)
}

fn cursor_asked(asked: &Fields) -> Option<Cursor> {
    asked.get("cursor").map(|text| Cursor(text.to_owned()))
}

/// What is below a list: the way to the rest of it.
fn pager(asked: &Fields, next: Option<&Cursor>) -> Markup {
    let is_first = asked.get("cursor").is_none();
    if is_first && next.is_none() {
        return html! {};
    }
    html! {
        footer {
            @if is_first { span {} } @else { a href=(asked.with("cursor", None)) { "↑ Newest" } }
            @if let Some(Cursor(next)) = next { a rel="next" href=(asked.with("cursor", Some(next))) { "Older ↓" } }
        }
    }
}

/// What is wrong with a filter, above the list that is not shown.
fn faulty_filter(faults: &Faults) -> Markup {
    html! {
        div.empty {
            strong { "The filter cannot be applied" }
            @for fault in faults.iter() { p { code { (fault.member) } ": " (fault.problem) } }
        }
    }
}

/// What of a list cannot be read, below what can.
fn damaged_records(what: &str, damaged: &[DamagedRecord]) -> Markup {
    html! {
        @if !damaged.is_empty() {
            div.pad { (note(Tone::Bad, "note", &html! {
                @for record in damaged { p { strong { (what) " " code { (record.id) } " cannot be read" } ": " (record.why) } }
            })) }
        }
    }
}

/// What somebody is asked before they do what cannot be undone, or what others notice.
struct Question<'a> {
    /// The page that it is about, and its name.
    about: (&'a str, &'a str),
    section: Section,
    title: &'a str,
    words: Markup,
    /// Where the form leads, and what its button says.
    action: String,
    yes: &'a str,
    no: &'a str,
}

impl Question<'_> {
    fn ask(&self, visitor: &Visitor) -> Response {
        let content = html! {
            (head(Some(self.about), &html! { (self.title) }, &html! {}, &html! {}))
            section.card aria-label=(self.title) {
                div.pad.stack {
                    (self.words)
                    div.actions {
                        (button(&self.action, &visitor.token, "danger", self.yes))
                        a.button href=(self.about.0) { (self.no) }
                    }
                }
            }
        };
        Page::new(visitor, self.section, self.title).respond(&content)
    }
}

/// Done: on to the page that shows it, so that a reload sends nothing again.
#[expect(clippy::unnecessary_wraps, reason = "it is what a page ends with")]
fn on_to(path: &str) -> Answer {
    Ok(Redirect::to(path).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named_as_text() {
        let record = DamagedRecord {
            id: "dlt_1".to_owned(),
            why: "it is <cut>".to_owned(),
        };
        let told = damaged_records("Dead letter", &[record]).into_string();
        assert!(
            told.contains(
                "<strong>Dead letter <code>dlt_1</code> cannot be read</strong>: it is &lt;cut&gt;"
            ),
            "{told}"
        );
        assert_eq!(damaged_records("Dead letter", &[]).into_string(), "");
    }
}
