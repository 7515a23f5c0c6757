//! Why a page is not shown, as a page.

use crate::view::{bare_page, escape_query};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::html;
use ringback_api::problem::{Code, Problem};

/// Why a page is not shown.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody has signed in; this is shown afterwards.
    SignIn { next: String },
    /// What a call of the API would be answered with.
    Problem(Box<Problem>),
    /// The form did not come from a page of ours, as far as can be told.
    NotOurs(&'static str),
    /// The browser asked for a host that is not ours.
    Host(String),
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Problem(Box::new(error.into()))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn { next } => {
                let next = escape_query(&next);
                Redirect::to(&format!("/sign-in?next={next}")).into_response()
            }
            Self::Problem(problem) => of_problem(&problem),
            Self::NotOurs(why) => {
                let content = html! {
                    h1 { "Nothing was changed" }
                    p { (why) }
                    p.soft {
                        "Go back, reload the page, and try again. The cookie needs TLS, except on a loopback address: \
                         over plain HTTP from elsewhere nobody can sign in."
                    }
                    a.button href="/" { "To the overview" }
                };
                bare_page(StatusCode::FORBIDDEN, "Nothing was changed", &content)
            }
            Self::Host(host) => {
                let content = html! {
                    h1 { "This is not our name" }
                    p { "Your browser asked for the host " code { (host) } ", and the dashboard does not answer to it." }
                    p.soft { "If the name is yours, add it to " code { "api.hosts" } " in the configuration." }
                };
                bare_page(StatusCode::MISDIRECTED_REQUEST, "Not our name", &content)
            }
        }
    }
}

fn of_problem(problem: &Problem) -> Response {
    let title = match problem.code() {
        Code::NotFound => "There is no such thing",
        Code::NoSuchRoute | Code::MethodNotAllowed => "There is no page at this address",
        Code::ChangedMeanwhile => "Somebody else was faster",
        Code::ScopeMissing => "Your key may not do this",
        Code::Unavailable => "Broker or store does not answer",
        Code::Internal => "This is our mistake",
        _ => "This was not done",
    };
    let content = html! {
        h1 { (title) }
        @match problem.detail_text() {
            Some(detail) => p { (detail) "." },
            None => p { (problem.code().title()) "." },
        }
        @if !problem.faults().is_empty() {
            ul { @for fault in problem.faults() { li { code { (fault.member) } ": " (fault.problem) } } }
        }
        @if problem.code() == Code::NotFound { p.soft { "It may have been deleted, or be another project's." } }
        @if problem.code() == Code::ChangedMeanwhile { p.soft { "Nothing of yours was saved. Go back, reload the page, and change what is there now." } }
        @if problem.code() == Code::Unavailable { p.soft { "Nothing is lost. Reload in a moment; " code { "ringback doctor" } " says more." } }
        a.button href="/" { "To the overview" }
    };
    bare_page(problem.code().status(), title, &content)
}
