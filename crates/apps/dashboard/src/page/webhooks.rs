//! Webhooks: the list, one with what can be done about it, and the forms.

mod edit;
mod list;
mod rotation;

use super::{Answer, Path, Question, REFRESH, deliveries, id, projects};
use crate::{
    Desk,
    form::{Faults, Fields},
    refusal::Refusal,
    view::{
        Control, Field, Page, Section, Tone, badge, breaker_note, button, card, copy, count, empty,
        facts, fault_summary, form, head, moment, moments, note, phase_legend, single_attempt,
        spark, webhook_state,
    },
    visitor::{Manager, Visitor},
};
use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use http::StatusCode;
use maud::{Markup, html};
use ringback_api::problem::{Code, Problem};
use ringback_delivery::port::{DeadLetterFilter, DeliveryFilter, StoreError};
use ringback_domain::{
    DestinationId, EventFilter, EventType, ProjectName, Timestamp, Traffic, TrafficOf,
    TrafficPoint, TrafficStep, Webhook, WebhookId, WebhookState, harmless_text,
    limits::DESCRIPTION_CHARS_MAX,
};
use ringback_profile::DestinationKind;
use ringback_signing::Secret;
use ringback_worker::webhooks::{NewWebhook, Tested, WebhookChange, WithSecret};
use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

/// Deliveries shown with their webhook.
const RECENT: usize = 10;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/webhooks", get(list::list).post(create))
        .route("/webhooks/new", get(new))
        .route("/webhooks/{id}", get(show))
        .route("/webhooks/{id}/edit", get(edit::ask).post(edit::change))
        .route("/webhooks/{id}/test", post(test))
        .route(
            "/webhooks/{id}/rotate-secret",
            get(rotation::ask).post(rotation::rotate),
        )
        .route("/webhooks/{id}/enable", post(enable))
        .route("/webhooks/{id}/disable", get(confirm_disable).post(disable))
        .route("/webhooks/{id}/delete", get(confirm_delete).post(delete))
}

/// The webhook, when it is the visitor's.
async fn find(desk: &Desk, visitor: &Visitor, text: &str) -> Result<Webhook, Refusal> {
    let id: WebhookId = id(text)?;
    let found = desk.services.context.store.webhook(&id).await?;
    let what = format!("webhook {id}");
    Ok(visitor.if_in_reach(found, |webhook| Some(&webhook.project), &what)?)
}

/// The last hour of a webhook, by the minute.
async fn last_hour(
    desk: &Desk,
    webhook: &Webhook,
    now: Timestamp,
) -> Result<Vec<TrafficPoint>, StoreError> {
    let of = TrafficOf::Destination(DestinationId::webhook(&webhook.id));
    let store = &desk.services.context.store;
    let mut points = store.traffic(&of, TrafficStep::Minute, now).await?;
    points.drain(..points.len().saturating_sub(60));
    Ok(points)
}

fn sum(points: &[TrafficPoint]) -> Traffic {
    points.iter().fold(Traffic::default(), |mut sum, point| {
        sum += point.traffic;
        sum
    })
}

fn profile(desk: &Desk, webhook: &Webhook) -> Markup {
    match desk.services.context.profiles.name_for(webhook) {
        Some(name) => html! { (name) },
        None => badge(Tone::Warn, "!", "not configured"),
    }
}

async fn show(
    visitor: Visitor,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    asked: Fields,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    let done = match asked.get("done") {
        Some("changed") => Some(
            "Changed. It holds for events published from now on, within a second in every worker.",
        ),
        Some("enabled") => Some("Enabled. Events published from now on are sent to it."),
        Some("disabled") => Some(
            "Disabled. What is under way to it becomes dead letters, which can be replayed later.",
        ),
        _ => None,
    };
    let news =
        html! { @if let Some(done) = done { (note(Tone::Good, "status", &html! { (done) })) } };
    page(&desk, &visitor, &webhook, &news, None).await
}

/// The page of a webhook, with what is new about it at the top.
async fn page(
    desk: &Desk,
    visitor: &Visitor,
    webhook: &Webhook,
    news: &Markup,
    place: Option<&str>,
) -> Answer {
    let now = visitor.now;
    let filter = DeliveryFilter {
        project: Some(webhook.project.clone()),
        destination: Some(DestinationId::webhook(&webhook.id)),
        ..DeliveryFilter::default()
    };
    let store = &desk.services.context.store;
    let recent = store.deliveries(&filter, None, RECENT).await?;
    let hour = last_hour(desk, webhook, now).await?;
    let destination = DestinationId::webhook(&webhook.id);
    let breakers = store.breakers().await?;
    let mut breakers = breakers.into_iter();
    let breaker = breakers.find(|breaker| breaker.destination == destination);
    let open = DeadLetterFilter {
        project: Some(webhook.project.clone()),
        destination: Some(destination),
        ..DeadLetterFilter::default()
    };
    let found = store.dead_letters(&open, None, 1).await?;
    let has_open = !(found.entries.is_empty() && found.damaged.is_empty());
    let path = format!("/webhooks/{}", webhook.id);
    let token = visitor.token.as_str();
    let actions = html! {
        @if visitor.may_manage() {
            (button(&format!("{path}/test"), token, "main", "Send a test event"))
            a.button href={ (path) "/edit" } { "Edit" }
            @if webhook.is_enabled() { a.button href={ (path) "/disable" } { "Disable" } }
            @else { (button(&format!("{path}/enable"), token, "", "Enable")) }
        }
    };
    let all = html! { a href={ "/deliveries?destination=" (webhook.id) } { "all of them" } };
    let deliveries = html! {
        @if recent.entries.is_empty() { (empty("Nothing was sent to it yet", &html! { "Publish an event of a type it wants, or send a test event." })) }
        @else { (deliveries::table("Newest deliveries", &recent.entries, visitor)) }
    };
    let traffic = sum(&hour);
    let content = html! {
        (head(Some(("/webhooks", "Webhooks")), &html! { (webhook.display_url()) }, &html! {}, &actions))
        (news)
        div.stack #webhook data-live {
        @if let Some(breaker) = &breaker { (breaker_note(breaker, now)) }
        div.columns.wide-left {
            section.card aria-label="Facts" { div.pad { (webhook_facts(desk, webhook, now)) } }
            section.card aria-label="The last hour" {
                header { h2 { "The last hour" } }
                div.pad.stack {
                    (spark(&hour))
                    (facts(&[
                        ("Delivered", html! { (count(traffic.delivered)) }),
                        ("Failed attempts", html! { (count(traffic.failed_attempts)) }),
                        ("Dead letters", html! { (count(traffic.dead_lettered)) }),
                    ]))
                    @if has_open {
                        p { a href={ "/dead-letters/list?project=" (webhook.project) "&destination=" (webhook.id) } { "Its open dead letters" } }
                        @if visitor.may_manage() {
                            p { a href={ "/replays/new?project=" (webhook.project) "&destination=" (webhook.id) } { "Plan their replay" } }
                        }
                    }
                }
            }
        }
        (card("Newest deliveries", &all, &deliveries))
        }
        @if visitor.may_manage() {
            section.card aria-label="Secret and deletion" {
                div.pad.actions {
                    @if signs(desk, webhook) { a.button href={ (path) "/rotate-secret" } { "Rotate its secret" } }
                    a.button.danger href={ (path) "/delete" } { "Delete it" }
                }
            }
        }
    };
    let title = format!("{}, webhook", webhook.display_url());
    let mut page = Page::new(visitor, Section::Webhooks, &title);
    page.place = place;
    page.refresh = Some(REFRESH);
    Ok(page.respond(&content))
}

fn signs(desk: &Desk, webhook: &Webhook) -> bool {
    let book = &desk.services.context.profiles;
    let profile = book.name_for(webhook).and_then(|name| book.profile(name));
    profile.is_some_and(|profile| profile.signature(DestinationKind::Webhook).is_some())
}

fn webhook_facts(desk: &Desk, webhook: &Webhook, now: Timestamp) -> Markup {
    let state = html! {
        (webhook_state(webhook))
        @if let WebhookState::Disabled { at, reason } = &webhook.state {
            span.soft { " " (moments(*at, now)) ": " (harmless_text(reason.as_bytes())) }
        }
    };
    let events = html! {
        @match &webhook.events {
            EventFilter::All => { "every event of the project" },
            EventFilter::Only(types) => { @for (index, event_type) in types.iter().enumerate() { @if index > 0 { ", " } code { (event_type) } } },
        }
    };
    let secrets = html! {
        @if webhook.secrets.is_empty() { span.soft { "none: the profile does not sign" } }
        @else {
            ul { @for secret in &webhook.secrets { li {
                @if secret.signs_from > now { "signs " (moments(secret.signs_from, now)) }
                @else if let Some(until) = secret.overlaps_until { "replaced, signs beside the new one until " (moment(until)) }
                @else { "signs since " (moment(secret.signs_from)) }
            } } }
        }
    };
    let headers = html! {
        @for (index, (name, _)) in webhook.headers.iter().enumerate() { @if index > 0 { ", " } code { (name) } }
        @if !webhook.headers.is_empty() { span.soft { " (the values are kept sealed)" } }
    };
    facts(&[
        ("State", state),
        ("URL", html! { (webhook.display_url()) }),
        (
            "Description",
            html! { @if let Some(description) = &webhook.description { (harmless_text(description.as_bytes())) } },
        ),
        ("Id", html! { code { (webhook.id) } (copy("the id")) }),
        ("Project", html! { (webhook.project) }),
        (
            "Profile",
            html! { (profile(desk, webhook)) @if webhook.profile.is_none() { span.soft { ", as the project has it" } } },
        ),
        ("Events", events),
        ("Secret", secrets),
        ("Headers", headers),
        (
            "At most",
            html! { @if let Some(rate) = webhook.rate_limit { (rate) " attempts a second" } },
        ),
        ("Created", moment(webhook.created_at)),
        (
            "Changed",
            html! { @if webhook.revision > 1 { (moment(webhook.updated_at)) } },
        ),
    ])
}

async fn new(Manager(visitor): Manager, State(desk): State<Arc<Desk>>, asked: Fields) -> Answer {
    Ok(new_page(
        &desk,
        &visitor,
        &asked,
        &Faults::default(),
        StatusCode::OK,
    ))
}

fn new_page(
    desk: &Desk,
    visitor: &Visitor,
    fields: &Fields,
    faults: &Faults,
    status: StatusCode,
) -> Response {
    let content = html! {
        (head(Some(("/webhooks", "Webhooks")), &html! { "New webhook" }, &html! {}, &html! {}))
        section.card aria-label="New webhook" {
            div.pad {
                (form("/webhooks", &visitor.token, &html! { div.form {
                    (fault_summary(faults))
                    @if visitor.is_operator() { (project_field(desk, visitor, fields, faults)) }
                    (common_fields(fields, faults))
                    (profile_field(desk, visitor, fields, faults))
                    (Field::text("secret", "Secret", "")
                        .hint(html! { "What requests are signed with. Leave it empty to have a good one made." })
                        .control(Control::Text { kind: "password", placeholder: "" })
                        .show(faults))
                    (header_field(fields, html! { "One a line, sent besides the profile's own. Their values are kept sealed and not shown again." }, faults))
                    div.actions { button.main type="submit" { "Create webhook" } a.button href="/webhooks" { "Cancel" } }
                } }))
            }
        }
    };
    Page::new(visitor, Section::Webhooks, "New webhook").respond_with(status, &content)
}

fn project_field(desk: &Desk, visitor: &Visitor, fields: &Fields, faults: &Faults) -> Markup {
    let options = projects(desk, visitor)
        .into_iter()
        .map(|project| (project.to_string(), project.to_string()))
        .collect();
    Field::text("project", "Project", fields.written("project"))
        .control(Control::Choice(options))
        .show(faults)
}

fn common_fields(fields: &Fields, faults: &Faults) -> Markup {
    html! {
        (Field::text("url", "URL", fields.written("url"))
            .hint(html! { "Where to send: a public " code { "https" } " or " code { "http" } " address." })
            .control(Control::Text { kind: "text", placeholder: "https://example.com/webhooks" })
            .required()
            .show(faults))
        (Field::text("events", "Event types", fields.written("events"))
            .hint(html! { "One a line. Empty: every event of the project." })
            .control(Control::Lines { rows: 3, placeholder: "task.completed" })
            .show(faults))
        div.pair {
            (Field::text("description", "Description", fields.written("description")).hint(html! { "For people." }).show(faults))
            (Field::text("rate_limit", "Attempts a second, at most", fields.written("rate_limit"))
                .hint(html! { "Over all workers. Empty: no limit of its own." })
                .control(Control::Text { kind: "text", placeholder: "" })
                .show(faults))
        }
    }
}

fn profile_field(desk: &Desk, visitor: &Visitor, fields: &Fields, faults: &Faults) -> Markup {
    let book = &desk.services.context.profiles;
    let own = visitor
        .key()
        .owner
        .project()
        .and_then(|project| book.of_project(project).ok());
    let own_words = own.map_or_else(
        || "As the project has it".to_owned(),
        |(name, _)| format!("As the project has it ({name})"),
    );
    let first = (String::new(), own_words);
    let each = book
        .profiles()
        .map(|(name, _)| (name.to_string(), name.to_string()));
    let known = book
        .profiles()
        .filter_map(|(name, profile)| Some((name, profile.event_types()?)));
    html! {
        (Field::text("profile", "Profile", fields.written("profile"))
            .hint(html! { "The contract with the receiver: body, headers, signature, what counts as delivered, and when to try again." })
            .control(Control::Choice(std::iter::once(first).chain(each).collect()))
            .show(faults))
        details {
            summary { "Event types that profiles know" }
            dl.facts {
                @for (name, types) in known {
                    dt { (name) } dd { @for (index, event_type) in types.iter().enumerate() { @if index > 0 { ", " } code { (event_type) } } }
                }
            }
            p.soft { "Profiles that are not listed take every type." }
        }
    }
}

fn header_field(fields: &Fields, hint: Markup, faults: &Faults) -> Markup {
    Field::text("headers", "Headers", fields.written("headers"))
        .hint(hint)
        .control(Control::Lines {
            rows: 2,
            placeholder: "X-Environment: production",
        })
        .show(faults)
}

/// What a form says of a webhook, as far as new and changed ones have it in common.
struct Said {
    url: String,
    events: BTreeSet<EventType>,
    headers: Vec<(String, String)>,
    description: String,
    rate_limit: Option<NonZeroU32>,
}

fn said(fields: &Fields, faults: &mut Faults) -> Said {
    let mut events = BTreeSet::new();
    for line in fields.lines("events") {
        match line.parse() {
            Ok(event_type) => {
                events.insert(event_type);
            }
            Err(fault) => faults.add("events", ringback_domain::IdError::to_string(&fault)),
        }
    }
    let mut headers = Vec::new();
    for line in fields.lines("headers") {
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.trim().to_owned(), value.trim().to_owned())),
            None => faults.add("headers", "a line is a name, a colon and a value"),
        }
    }
    let rate_limit = fields.get("rate_limit").and_then(|text| {
        let rate = text.parse().ok();
        if rate.is_none() {
            faults.add("rate_limit", "not a whole number of 1 or more");
        }
        rate
    });
    let description = fields.get("description").unwrap_or_default().to_owned();
    if description.chars().count() > DESCRIPTION_CHARS_MAX {
        faults.add(
            "description",
            format!("longer than {DESCRIPTION_CHARS_MAX} characters"),
        );
    }
    Said {
        url: fields.get("url").unwrap_or_default().to_owned(),
        events,
        headers,
        description,
        rate_limit,
    }
}

async fn create(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    fields: Fields,
) -> Answer {
    let mut faults = Faults::default();
    let said = said(&fields, &mut faults);
    let secret = fields.get("secret").and_then(|text| {
        let secret = Secret::try_new(text.to_owned());
        secret
            .map_err(|fault| faults.add("secret", fault.to_string()))
            .ok()
    });
    let project: ProjectName = match visitor.key().owner.project() {
        Some(own) => own.clone(),
        None => id(fields.get("project").unwrap_or_default())?,
    };
    let new = NewWebhook {
        project,
        url: said.url,
        events: said.events,
        profile: fields.read("profile", &mut faults),
        secret,
        headers: said.headers,
        description: Some(said.description).filter(|text| !text.is_empty()),
        rate_limit: said.rate_limit,
    };
    let again = |faults: &Faults| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Ok(new_page(&desk, &visitor, &fields, faults, status))
    };
    if !faults.is_empty() {
        return again(&faults);
    }
    match desk.services.webhooks.add(new).await.map_err(Problem::from) {
        Ok(made) => {
            desk.services.webhooks_changed(&made.webhook.project);
            shown_once(&desk, &visitor, made, "Created. Keep this secret now").await
        }
        Err(problem) if problem.code() == Code::MembersRefused => {
            again(&problem.faults().to_vec().into())
        }
        Err(problem) => Err(problem.into()),
    }
}

/// The page of a webhook with a secret that no other page will show.
async fn shown_once(desk: &Desk, visitor: &Visitor, made: WithSecret, title: &str) -> Answer {
    let place = format!("/webhooks/{}", made.webhook.id);
    let news = html! {
        @match &made.secret {
            Some(secret) => {
                strong { (title) ": it is not shown again." }
                div.secret {
                    code #secret { (secret.expose()) }
                    button type="button" data-copy aria-live="polite" { "Copy" }
                }
                @if let Some(advice) = &made.advice { p { (advice) } }
            },
            None => { strong { "Created." } p { "Its profile does not sign, so there is no secret." } },
        }
    };
    page(
        desk,
        visitor,
        &made.webhook,
        &note(Tone::Good, "status", &news),
        Some(&place),
    )
    .await
}

async fn enable(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    set_state(&desk, &webhook, WebhookState::Enabled, "enabled").await
}

async fn confirm_disable(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    let path = format!("/webhooks/{}", webhook.id);
    let shown = webhook.display_url();
    let question = Question {
        about: (&path, &shown),
        section: Section::Webhooks,
        title: "Disable this webhook?",
        words: html! {
            p { "Nothing more is sent to " strong { (shown) } " until somebody enables it again." }
            p.soft { "Deliveries under way to it become dead letters, which can be replayed later. What is published meanwhile is not kept for it." }
        },
        action: format!("{path}/disable"),
        yes: "Disable it",
        no: "Keep it enabled",
    };
    Ok(question.ask(&visitor))
}

async fn disable(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    let state = WebhookState::Disabled {
        at: visitor.now,
        reason: format!("by {}", visitor.name()),
    };
    set_state(&desk, &webhook, state, "disabled").await
}

async fn set_state(desk: &Desk, webhook: &Webhook, state: WebhookState, done: &str) -> Answer {
    let change = WebhookChange {
        state: Some(state),
        ..WebhookChange::default()
    };
    desk.services.webhooks.change(&webhook.id, change).await?;
    desk.services.webhooks_changed(&webhook.project);
    super::on_to(&format!("/webhooks/{}?done={done}", webhook.id))
}

async fn test(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    let context = &desk.services.context;
    let worker = context.worker.clone();
    let testing = desk
        .services
        .webhooks
        .test(&webhook.id, &*context.sender, worker);
    let tested = testing.await?;
    let place = format!("/webhooks/{}", webhook.id);
    let news = what_came_back(&tested, visitor.now);
    page(&desk, &visitor, &webhook, &news, Some(&place)).await
}

fn what_came_back(tested: &Tested, now: Timestamp) -> Markup {
    let aside = html! { "never retried, never a dead letter" };
    card(
        "What came back of the test event",
        &aside,
        &html! {
            div.pad { (phase_legend()) }
            (single_attempt(&tested.attempt, now))
            div.pad {
                details {
                    summary { "The body that was sent, " (count(tested.body.len() as u64)) " bytes" }
                    pre { (harmless_text(&tested.body)) }
                }
            }
        },
    )
}

async fn confirm_delete(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    let path = format!("/webhooks/{}", webhook.id);
    let shown = webhook.display_url();
    let question = Question {
        about: (&path, &shown),
        section: Section::Webhooks,
        title: "Delete this webhook?",
        words: html! {
            p { "Nothing more is sent to " strong { (shown) } ". Deliveries under way to it become dead letters. This cannot be undone." }
            p.soft { "To stop for a while, disable it instead: it keeps its secret, and what becomes a dead letter can be replayed." }
        },
        action: format!("{path}/delete"),
        yes: "Delete it",
        no: "Keep it",
    };
    Ok(question.ask(&visitor))
}

async fn delete(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    desk.services.webhooks.remove(&webhook.id).await?;
    desk.services.webhooks_changed(&webhook.project);
    super::on_to("/webhooks")
}
