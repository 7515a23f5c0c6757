//! A webhook's form, filled with what it is.

use super::{find, header_field, said};
use crate::{
    Desk,
    form::{Faults, Fields},
    page::{Answer, Path, on_to},
    view::{Control, Field, Page, Section, fault_summary, form, head},
    visitor::{Manager, Visitor},
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use maud::html;
use ringback_api::problem::{Code, Problem};
use ringback_domain::{EventFilter, EventType, Webhook};
use ringback_worker::webhooks::WebhookChange;
use std::sync::Arc;

pub(super) async fn ask(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    let events = match &webhook.events {
        EventFilter::All => String::new(),
        EventFilter::Only(types) => {
            let lines: Vec<_> = types.iter().map(EventType::as_str).collect();
            lines.join("\n")
        }
    };
    let rate = webhook
        .rate_limit
        .map_or(String::new(), |rate| rate.to_string());
    let fields = Fields::default()
        .or("revision", webhook.revision.to_string())
        .or("events", events)
        .or(
            "description",
            webhook.description.clone().unwrap_or_default(),
        )
        .or("rate_limit", rate);
    Ok(page(
        &visitor,
        &webhook,
        &fields,
        &Faults::default(),
        StatusCode::OK,
    ))
}

fn page(
    visitor: &Visitor,
    webhook: &Webhook,
    fields: &Fields,
    faults: &Faults,
    status: StatusCode,
) -> Response {
    let path = format!("/webhooks/{}", webhook.id);
    let shown = webhook.display_url();
    let url_hint = html! { "Now " code { (shown) } ". Leave it empty to keep it; what may be secret in it is not shown." };
    let header_hint = html! {
        @if webhook.headers.is_empty() { "One a line, sent besides the profile's own." }
        @else { "Now: " @for (name, _) in &webhook.headers { code { (name) } " " } ". Lines written here replace all of them; leave it empty to keep them." }
    };
    let content = html! {
        (head(Some((&path, &shown)), &html! { "Edit webhook" }, &html! {}, &html! {}))
        section.card aria-label="Edit webhook" {
            div.pad {
                (form(&format!("{path}/edit"), &visitor.token, &html! { div.form {
                    (fault_summary(faults))
                    input type="hidden" name="revision" value=(fields.written("revision"));
                    (Field::text("url", "URL", fields.written("url")).hint(url_hint).show(faults))
                    (Field::text("events", "Event types", fields.written("events"))
                        .hint(html! { "One a line. Empty: every event of the project." })
                        .control(Control::Lines { rows: 3, placeholder: "" })
                        .show(faults))
                    div.pair {
                        (Field::text("description", "Description", fields.written("description")).show(faults))
                        (Field::text("rate_limit", "Attempts a second, at most", fields.written("rate_limit"))
                            .hint(html! { "Over all workers. Empty: no limit of its own." })
                            .show(faults))
                    }
                    (header_field(fields, header_hint, faults))
                    @if !webhook.headers.is_empty() {
                        label.check { input type="checkbox" name="no_headers" value="yes" checked[fields.has("no_headers", "yes")]; "Send no headers of its own any more" }
                    }
                    div.actions { button.main type="submit" { "Save" } a.button href=(path) { "Cancel" } }
                } }))
            }
        }
    };
    Page::new(visitor, Section::Webhooks, "Edit webhook").respond_with(status, &content)
}

pub(super) async fn change(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    fields: Fields,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    let revision = fields.get("revision").and_then(|text| text.parse().ok());
    let revision = revision.ok_or_else(|| Problem::of_member("revision", "is no number"))?;
    let mut faults = Faults::default();
    let said = said(&fields, &mut faults);
    let again = |faults: &Faults| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Ok(page(&visitor, &webhook, &fields, faults, status))
    };
    if !faults.is_empty() {
        return again(&faults);
    }
    let replaces_headers = !said.headers.is_empty() || fields.has("no_headers", "yes");
    let change = WebhookChange {
        url: Some(said.url).filter(|url| !url.is_empty()),
        // One that was emptied means all or none; one that was not sent means nothing.
        events: fields.holds("events").then_some(said.events),
        headers: replaces_headers.then_some(said.headers),
        description: fields.holds("description").then_some(said.description),
        rate_limit: fields.holds("rate_limit").then_some(said.rate_limit),
        state: None,
        revision: Some(revision),
    };
    let changed = desk.services.webhooks.change(&webhook.id, change).await;
    match changed.map_err(Problem::from) {
        Ok(webhook) => {
            desk.services.webhooks_changed(&webhook.project);
            on_to(&format!("/webhooks/{}?done=changed", webhook.id))
        }
        Err(problem) if problem.code() == Code::MembersRefused => {
            again(&problem.faults().to_vec().into())
        }
        Err(problem) => Err(problem.into()),
    }
}
