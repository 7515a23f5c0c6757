//! Signing in with a key, and out.

use super::Answer;
use crate::{
    Desk,
    form::{Faults, Fields},
    guard::Browser,
    session::Session,
    view::{Control, Field, Tone, bare_page, form, note},
};
use axum::{
    Extension, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{StatusCode, header};
use maud::html;
use ringback_api::{
    Peer,
    auth::{Caller, Read},
    problem::Problem,
};
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/sign-in", get(show).post(sign_in))
        .route("/sign-out", post(sign_out))
}

async fn show(
    State(desk): State<Arc<Desk>>,
    Extension(browser): Extension<Browser>,
    session: Option<Extension<Session>>,
    asked: Fields,
) -> Response {
    // A form needs a session, though of nobody yet.
    let (session, is_new) = match session {
        Some(Extension(session)) => (session, false),
        None => (desk.sessions.begin(None), true),
    };
    let mut response = page(&desk, &session, asked.get("next"), None);
    if is_new {
        let cookie = browser.give(&desk, &session);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

async fn sign_in(
    State(desk): State<Arc<Desk>>,
    Extension(browser): Extension<Browser>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(session): Extension<Session>,
    fields: Fields,
) -> Response {
    let next = fields.get("next");
    let text = fields.get("key").unwrap_or_default();
    let checked = desk.services.authenticator.check(peer, text).await;
    let key = match checked.and_then(|key| Caller::<Read>::of(key.clone()).map(|_| key)) {
        Ok(key) => key,
        Err(problem) => return page(&desk, &session, next, Some(&problem)),
    };
    tracing::info!(ringback.key.id = %key.id, "signed in to the dashboard");
    let session = desk.sessions.begin(Some(key.id.clone()));
    let mut response = Redirect::to(place_of(next)).into_response();
    let cookie = browser.give(&desk, &session);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

async fn sign_out(Extension(browser): Extension<Browser>) -> Answer {
    let mut response = Redirect::to("/sign-in").into_response();
    response
        .headers_mut()
        .insert(header::SET_COOKIE, browser.take());
    Ok(response)
}

/// Where to go after signing in: a path of ours, whatever the address says.
fn place_of(next: Option<&str>) -> &str {
    let is_ours = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_ours).unwrap_or("/")
}

fn page(desk: &Desk, session: &Session, next: Option<&str>, problem: Option<&Problem>) -> Response {
    let status = problem.map_or(StatusCode::OK, |problem| problem.code().status());
    let mut faults = Faults::default();
    if let Some(problem) = problem {
        faults.add(
            "key",
            problem.detail_text().unwrap_or(problem.code().title()),
        );
    }
    let hint =
        html! { "Made with " code { "ringback keys create --project acme --scopes read,manage" } };
    let key = Field::text("key", "Key", "")
        .hint(hint)
        .control(Control::Text {
            kind: "password",
            placeholder: "rb_…",
        })
        .required();
    let fields = html! {
        div.stack {
            @if let Some(next) = next { input type="hidden" name="next" value=(next); }
            (key.show(&faults))
            button.main type="submit" { "Sign in" }
        }
    };
    let content = html! {
        h1 { "Sign in" }
        @if problem.is_some() { (note(Tone::Bad, "alert", &html! { strong { "You are not signed in." } })) }
        (form("/sign-in", &desk.sessions.form_token(session), &fields))
        p.soft.small { "A key shows what its project has. One with scope " code { "read" } " may look; " code { "manage" } " may change things." }
    };
    bare_page(status, "Sign in", &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_nowhere_else() {
        assert_eq!(
            place_of(Some("/deliveries?state=waiting")),
            "/deliveries?state=waiting"
        );
        for next in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "",
            "evil",
            "/a\r\nb",
        ] {
            assert_eq!(place_of(Some(next)), "/", "{next}");
        }
        assert_eq!(place_of(None), "/");
    }
}
