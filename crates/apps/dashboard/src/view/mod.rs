//! What pages are made of. Everything that is put into one is text: `maud` escapes it, and nothing here opts out.

mod component;
mod field;
mod plot;
mod timeline;
mod words;

pub(crate) use component::{
    Column, Table, Tone, badge, breaker_badge, breaker_note, card, copy, delivery_state, empty,
    facts, fault_of, marked, moment, moments, note, outcome, short_id, short_url, tile,
    webhook_state,
};
pub(crate) use field::{
    Control, Field, TOKEN_FIELD, button, button_with, fault_summary, filter, form, get_form,
};
pub(crate) use plot::{Part, shares, spark, throughput};
pub(crate) use timeline::{phase_legend, single_attempt, timeline};
pub(crate) use words::{
    advise, ago, count, counted, distance, explain, explain_reason, next_probe, share,
};

use crate::{
    assets::{ICON, SCRIPT, STYLE},
    visitor::Visitor,
};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use ringback_domain::Timestamp;

/// The parts of the dashboard, as the menu has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Webhooks,
    Deliveries,
    DeadLetters,
    Replays,
    Settings,
}

impl Section {
    const ALL: [Self; 6] = [
        Self::Overview,
        Self::Webhooks,
        Self::Deliveries,
        Self::DeadLetters,
        Self::Replays,
        Self::Settings,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Webhooks => "Webhooks",
            Self::Deliveries => "Deliveries",
            Self::DeadLetters => "Dead letters",
            Self::Replays => "Replays",
            Self::Settings => "Settings",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Webhooks => "/webhooks",
            Self::Deliveries => "/deliveries",
            Self::DeadLetters => "/dead-letters",
            Self::Replays => "/replays",
            Self::Settings => "/settings",
        }
    }
}

/// A page of somebody who has signed in.
pub(crate) struct Page<'a> {
    pub(crate) visitor: &'a Visitor,
    pub(crate) section: Section,
    pub(crate) title: &'a str,
    /// Seconds after which what is marked as live is asked for again; for ever fresh pages have none.
    pub(crate) refresh: Option<u32>,
    /// Where a reload should lead, when the page is the answer to a form.
    pub(crate) place: Option<&'a str>,
}

impl<'a> Page<'a> {
    pub(crate) fn new(visitor: &'a Visitor, section: Section, title: &'a str) -> Self {
        Self {
            visitor,
            section,
            title,
            refresh: None,
            place: None,
        }
    }

    pub(crate) fn respond(&self, content: &Markup) -> Response {
        self.respond_with(StatusCode::OK, content)
    }

    pub(crate) fn respond_with(&self, status: StatusCode, content: &Markup) -> Response {
        let visitor = self.visitor;
        let body = html! {
            div.frame {
                header.side {
                    a.brand href="/" { img src=(ICON.path) alt="" width="24" height="24"; "Ringback" }
                    nav aria-label="Main" {
                        ul {
                            @for section in Section::ALL {
                                li {
                                    a href={ (section.path()) (visitor.choice()) } aria-current=[(section == self.section).then_some("page")] {
                                        (section.title())
                                    }
                                    @if section == Section::DeadLetters { (open_count(visitor.dead_letters)) }
                                }
                            }
                        }
                    }
                    form.find method="get" action="/find" role="search" aria-label="Find by id" {
                        input type="search" name="q" aria-label="Id of a delivery, event, job, webhook, dead letter or plan"
                            placeholder="Find by id" autocomplete="off" spellcheck="false";
                    }
                    div.who {
                        div {
                            strong { (visitor.owner()) }
                            @if !visitor.may_manage() { " " span.badge.scope { "may look only" } }
                        }
                        (form("/sign-out", &visitor.token, &html! { button.link type="submit" { "Sign out" } }))
                    }
                }
                main #content tabindex="-1" {
                    @if self.refresh.is_some() { (as_of(visitor.now)) }
                    (content)
                }
            }
        };
        let whole = document(self.title, self.refresh, self.place, &body);
        html_response(status, &whole)
    }
}

/// How many dead letters are open, beside the way to them.
fn open_count(dead_letters: u64) -> Markup {
    html! {
        span #open-count data-live {
            @if dead_letters > 0 { span.count { (count(dead_letters)) span.unseen { " open" } } }
        }
    }
}

/// Of when a page is that does not stay as it is: told when looking again failed, and where no script looks again. A page that
/// loaded itself anew would take the place from those who read it.
fn as_of(now: Timestamp) -> Markup {
    let at = html! { time datetime=(now) { (now.strftime("%H:%M:%S UTC")) } };
    let words = html! {
        strong { "This page is not up to date" }
        ": it shows what was so at " (at) ", and looking again failed. "
        a href="" { "Reload it" } "; if your session has ended, you are asked to sign in."
    };
    html! {
        div #stale role="status" {}
        template #stale-words { div.note.warn { p { (words) } } }
        noscript { p.soft { "As of " (at) ". " a href="" { "Look again" } } }
    }
}

/// A page for one who has not signed in, or cannot be shown anything else.
pub(crate) fn bare_page(status: StatusCode, title: &str, content: &Markup) -> Response {
    let body = html! {
        div.door {
            main #content tabindex="-1" {
                div.card {
                    span.brand { img src=(ICON.path) alt="" width="28" height="28"; "Ringback" }
                    (content)
                }
            }
        }
    };
    html_response(status, &document(title, None, None, &body))
}

fn document(title: &str, refresh: Option<u32>, place: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " · Ringback" }
                link rel="stylesheet" href=(STYLE.path);
                link rel="icon" href=(ICON.path) type="image/svg+xml";
                script src=(SCRIPT.path) defer {}
            }
            body data-refresh=[refresh] data-place=[place] {
                a.skip.unseen href="#content" { "Skip to the content" }
                (body)
            }
        }
    }
}

pub(crate) fn html_response(status: StatusCode, page: &Markup) -> Response {
    let mut response = (status, page.0.clone()).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

/// The top of a page: where it is, what it is, and what can be done.
pub(crate) fn head(
    crumb: Option<(&str, &str)>,
    title: &Markup,
    lead: &Markup,
    actions: &Markup,
) -> Markup {
    html! {
        header.head {
            div {
                @if let Some((path, name)) = crumb {
                    nav.crumbs aria-label="Above this page" { a href=(path) { "← " (name) } }
                }
                h1 { (title) }
                @if !lead.0.is_empty() { p { (lead) } }
            }
            @if !actions.0.is_empty() { div.actions { (actions) } }
        }
    }
}

/// A text as the value of a parameter of an address.
pub(crate) fn escape_query(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
