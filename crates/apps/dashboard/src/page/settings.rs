//! Settings: the project, its profile, how events are published, and its keys.

use super::{Answer, Path, Question, id, projects};
use crate::{
    Desk,
    form::{Faults, Fields},
    refusal::Refusal,
    view::{
        Column, Control, Field, Page, Section, Table, Tone, badge, card, count, facts,
        fault_summary, form, head, moments, note, short_url, webhook_state,
    },
    visitor::{Manager, Visitor},
};
use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use futures_util::future::try_join_all;
use http::{StatusCode, header};
use maud::{Markup, html};
use ringback_api::problem::{Code, Problem};
use ringback_delivery::port::StoreError;
use ringback_domain::{
    ApiKey, ApiKeyId, KeyOwner, KeyScope, ProjectName, Timestamp, Webhook, harmless_text,
};
use ringback_profile::{DestinationKind, Profile};
use ringback_worker::{config::show_duration, keys::NewKey};
use secrecy::ExposeSecret;
use std::{sync::Arc, time::Duration};

/// How long a new key opens anything.
const LIVES: [(&str, &str, u64); 4] = [
    ("", "Until it is revoked", 0),
    ("30d", "30 days", 2_592_000),
    ("90d", "90 days", 7_776_000),
    ("1y", "A year", 31_536_000),
];

/// Webhooks of a project that are named here; their own page has all.
const URLS_SHOWN: usize = 5;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/settings", get(show))
        .route("/settings/keys", post(create))
        .route(
            "/settings/keys/{id}/revoke",
            get(confirm_revoke).post(revoke),
        )
}

async fn show(visitor: Visitor, State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Answer {
    let fields = Fields::default();
    page(
        &desk,
        &visitor,
        &headers,
        &fields,
        &Faults::default(),
        &html! {},
        None,
    )
    .await
}

async fn page(
    desk: &Desk,
    visitor: &Visitor,
    headers: &HeaderMap,
    fields: &Fields,
    faults: &Faults,
    news: &Markup,
    place: Option<&str>,
) -> Answer {
    // All keys of a project are its owner's; those of the operator show all.
    let owner = match &visitor.key().owner {
        KeyOwner::Operator => None,
        own @ KeyOwner::Project(_) => Some(own),
    };
    let keys = desk.services.keys.list(owner).await?;
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or("127.0.0.1:8080");
    let mut shown = projects(desk, visitor);
    shown.retain(|project| {
        visitor
            .chosen
            .as_ref()
            .is_none_or(|chosen| chosen == project)
    });
    let parts = shown
        .iter()
        .map(|project| project_part(desk, visitor, project));
    let parts = try_join_all(parts).await?;
    let lead = html! {
        @if let Some(chosen) = &visitor.chosen { "Of project " strong { (chosen) } ". " a href="/settings" { "All projects" } }
    };
    let content = html! {
        (head(None, &html! { "Settings" }, &lead, &html! {}))
        (news)
        @for part in &parts { (part) }
        (card("Publish an event", &html! { a href="/docs" { "all calls of the API" } }, &publishing(visitor, host)))
        (card("Keys", &html! { "to the API and to this dashboard" }, &keys_part(visitor, &keys, fields, faults)))
    };
    let mut page = Page::new(visitor, Section::Settings, "Settings");
    page.place = place;
    let status = if faults.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    Ok(page.respond_with(status, &content))
}

async fn project_part(
    desk: &Desk,
    visitor: &Visitor,
    project: &ProjectName,
) -> Result<Markup, StoreError> {
    let found = desk.services.context.profiles.of_project(project);
    let title = format!("Project {project}");
    let webhooks = desk.services.context.store.webhooks(project).await?.entries;
    let urls = webhook_urls(visitor, project, &webhooks);
    Ok(match found {
        Ok((name, profile)) => {
            let aside = html! { a href={ "/webhooks?project=" (project) } { "its webhooks" } };
            card(
                &title,
                &aside,
                &html! { div.pad { (profile_facts(name.as_str(), profile, urls)) } },
            )
        }
        Err(unknown) => card(&title, &html! {}, &html! { div.pad { p { (unknown) } } }),
    })
}

/// The URLs that get the project's events, each a way to what can be changed about it.
fn webhook_urls(visitor: &Visitor, project: &ProjectName, webhooks: &[Webhook]) -> Markup {
    let more = webhooks.len().saturating_sub(URLS_SHOWN);
    html! {
        @for webhook in webhooks.iter().take(URLS_SHOWN) {
            div { a href={ "/webhooks/" (webhook.id) } { (short_url(&webhook.display_url())) } " " (webhook_state(webhook)) }
        }
        @if more > 0 { div { a href={ "/webhooks?project=" (project) } { "and " (count(more as u64)) " more" } } }
        @if webhooks.is_empty() {
            span.soft { "none yet" }
            @if visitor.may_manage() { " · " a href={ "/webhooks/new?project=" (project) } { "set one" } }
        }
    }
}

fn profile_facts(name: &str, profile: &Profile, urls: Markup) -> Markup {
    let kind = DestinationKind::Webhook;
    let rules = profile.rules(kind);
    let signature = html! {
        @match profile.signature(kind) {
            Some(scheme) => { code { (scheme.header()) } @if scheme.allows_several() { span.soft { ", several at a time while a secret is rotated" } } },
            None => { "none: the profile does not sign webhooks" },
        }
    };
    facts(&[
        (
            "Profile",
            html! { strong { (name) } @if let Some(description) = profile.description() { span.soft { " · " (description) } } },
        ),
        ("Webhook URL", urls),
        ("Signature", signature),
        ("Counts as delivered", html! { (rules.success) }),
        ("Time limit", html! { (show_duration(rules.time_limit)) }),
        (
            "Event types",
            html! { @if let Some(types) = profile.event_types() { @for (index, event_type) in types.iter().enumerate() { @if index > 0 { ", " } code { (event_type) } } } },
        ),
    ])
}

fn publishing(visitor: &Visitor, host: &str) -> Markup {
    let scheme =
        if host.starts_with("127.") || host.starts_with("localhost") || host.starts_with('[') {
            "http"
        } else {
            "https"
        };
    let project = visitor.key().owner.project();
    let project = project.map_or("YOUR_PROJECT", |project| project.as_str());
    let command = format!(
        "curl {scheme}://{host}/api/v1/events \\\n  -H 'Authorization: Bearer YOUR_KEY' \\\n  -H 'Content-Type: application/json' \\\n  \
         -d '{{\"project\":\"{project}\",\"type\":\"task.completed\",\"job\":{{\"id\":\"task_1\",\"status\":\"completed\"}},\"data\":{{}}}}'"
    );
    html! {
        div.pad.stack {
            (facts(&[("Address", html! { code { (scheme) "://" (host) "/api/v1/events" } }), ("Key", html! { "one with scope " code { "publish" } })]))
            pre { (command) }
            button type="button" data-copy aria-live="polite" { "Copy" span.unseen { " the command" } }
        }
    }
}

fn keys_part(visitor: &Visitor, keys: &[ApiKey], fields: &Fields, faults: &Faults) -> Markup {
    let rows = keys.iter().map(|key| key_row(visitor, key)).collect();
    let columns = [
        Column::wide("Key"),
        Column::tight("Owner"),
        Column::tight("Scopes"),
        Column::tight("State"),
        Column::tight("Last used"),
        Column::tight(""),
    ];
    html! {
        (Table { caption: "Keys, oldest first", columns: &columns, rows })
        @if visitor.may_manage() {
            div.pad {
                details open[!faults.is_empty()] {
                    summary { "Make a key" }
                    (key_form(visitor, fields, faults))
                }
            }
        }
    }
}

fn key_row(visitor: &Visitor, key: &ApiKey) -> Vec<Markup> {
    let now = visitor.now;
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let is_own = key.id == visitor.key().id;
    let state = match (key.revoked_at, key.expires_at) {
        (Some(_), _) => badge(Tone::Quiet, "–", "revoked"),
        (None, Some(end)) if end <= now => badge(Tone::Quiet, "–", "expired"),
        (None, Some(end)) => {
            html! { (badge(Tone::Good, "●", "usable")) span.under { "until " (end.strftime("%Y-%m-%d")) } }
        }
        (None, None) => badge(Tone::Good, "●", "usable"),
    };
    vec![
        html! {
            @match &key.description { Some(description) => (harmless_text(description.as_bytes())), None => span.soft { "no description" } }
            span.under { code { "rb_" (key.id) "_…" } }
        },
        html! { @match &key.owner { KeyOwner::Operator => "operator", KeyOwner::Project(project) => (project) } },
        html! { (scopes.join(", ")) },
        state,
        html! { @match key.last_used_at { Some(at) => (moments(at, now)), None => span.soft { "never" } } },
        html! {
            @if is_own { span.soft { "you" } }
            @else if visitor.may_manage() && key.is_usable(now) {
                a.button.danger href={ "/settings/keys/" (key.id) "/revoke" } { "Revoke" span.unseen { " rb_" (key.id) } }
            }
        },
    ]
}

fn key_form(visitor: &Visitor, fields: &Fields, faults: &Faults) -> Markup {
    let lives = LIVES
        .iter()
        .map(|(value, words, _)| ((*value).to_owned(), (*words).to_owned()))
        .collect();
    let content = html! {
        div.form {
            (fault_summary(faults))
            @if visitor.is_operator() {
                (Field::text("project", "Project", fields.written("project"))
                    .hint(html! { "Empty: a key of the operator, which reaches every project." })
                    .show(faults))
            }
            (Field::text("description", "Description", fields.written("description")).hint(html! { "Who or what uses it." }).show(faults))
            fieldset.field {
                legend.label { "Scopes" }
                @for (scope, words) in [
                    (KeyScope::Publish, "publish: hand in events"),
                    (KeyScope::Read, "read: look at everything there is to see"),
                    (KeyScope::Manage, "manage: change webhooks, deal with dead letters, make and revoke keys"),
                ] {
                    label.check { input type="checkbox" name="scope" value=(scope) checked[fields.has("scope", scope.as_str())]; (words) }
                }
                @for problem in faults.of("scopes") { p.fault { (problem) } }
            }
            (Field::text("lives", "Usable", fields.written("lives")).control(Control::Choice(lives)).show(faults))
            div { button.main type="submit" { "Make the key" } }
        }
    };
    form("/settings/keys", &visitor.token, &content)
}

fn ends_at(fields: &Fields, now: Timestamp) -> Option<Timestamp> {
    let (_, _, seconds) = LIVES
        .iter()
        .find(|(value, _, seconds)| *seconds > 0 && fields.get("lives") == Some(value))?;
    now.saturating_add(Duration::from_secs(*seconds)).ok()
}

async fn create(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    fields: Fields,
) -> Answer {
    let mut faults = Faults::default();
    let owner = match (&visitor.key().owner, fields.get("project")) {
        (own @ KeyOwner::Project(_), _) => own.clone(),
        (KeyOwner::Operator, None) => KeyOwner::Operator,
        (KeyOwner::Operator, Some(_)) => match fields.read("project", &mut faults) {
            Some(project) => KeyOwner::Project(project),
            None => KeyOwner::Operator,
        },
    };
    let scopes = KeyScope::ALL.into_iter();
    let new = NewKey {
        owner,
        scopes: scopes
            .filter(|scope| fields.has("scope", scope.as_str()))
            .collect(),
        description: fields.get("description").map(ToOwned::to_owned),
        expires_at: ends_at(&fields, visitor.now),
    };
    let again = async |faults: &Faults| -> Result<Response, Refusal> {
        page(&desk, &visitor, &headers, &fields, faults, &html! {}, None).await
    };
    if !faults.is_empty() {
        return again(&faults).await;
    }
    match desk.services.keys.create(new).await.map_err(Problem::from) {
        Ok(made) => {
            let news = html! {
                strong { "Made. Keep this key now: it is not shown again." }
                div.secret {
                    code #secret { (made.text.expose_secret()) }
                    button type="button" data-copy aria-live="polite" { "Copy" }
                }
            };
            let news = note(Tone::Good, "status", &news);
            let none = Fields::default();
            page(
                &desk,
                &visitor,
                &headers,
                &none,
                &Faults::default(),
                &news,
                Some("/settings"),
            )
            .await
        }
        Err(problem) if problem.code() == Code::MembersRefused => {
            again(&problem.faults().to_vec().into()).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// The key, when it is the visitor's.
async fn find_key(desk: &Desk, visitor: &Visitor, text: &str) -> Result<ApiKey, Refusal> {
    let id: ApiKeyId = id(text)?;
    let found = desk.services.context.store.key(&id).await?;
    let what = format!("key {id}");
    Ok(visitor.if_in_reach(found, |key| key.owner.project(), &what)?)
}

async fn confirm_revoke(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let key = find_key(&desk, &visitor, &text).await?;
    let question = Question {
        about: ("/settings", "Settings"),
        section: Section::Settings,
        title: "Revoke this key?",
        words: html! {
            p {
                "Whoever uses " code { "rb_" (key.id) "_…" }
                @if let Some(description) = &key.description { " (" (harmless_text(description.as_bytes())) ")" }
                " is refused from now on, and who signed in here with it is signed out. This cannot be undone."
            }
            p.soft {
                @match key.last_used_at {
                    Some(at) => { "It was last used " (moments(at, visitor.now)) "." },
                    None => { "It was never used." },
                }
            }
        },
        action: format!("/settings/keys/{}/revoke", key.id),
        yes: "Revoke it",
        no: "Keep it",
    };
    Ok(question.ask(&visitor))
}

async fn revoke(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let key = find_key(&desk, &visitor, &text).await?;
    desk.services.keys.revoke(&key.id).await?;
    desk.services.authenticator.forget_accepted();
    super::on_to("/settings")
}
