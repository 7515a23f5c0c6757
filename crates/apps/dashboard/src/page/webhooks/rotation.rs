//! Another secret for a webhook.

use super::{find, shown_once};
use crate::{
    Desk,
    form::{Faults, Fields},
    page::{Answer, Path},
    view::{Control, Field, Page, Section, fault_summary, form, head},
    visitor::{Manager, Visitor},
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use maud::html;
use ringback_api::problem::{Code, Problem};
use ringback_domain::Webhook;
use ringback_profile::DestinationKind;
use ringback_signing::Secret;
use ringback_worker::webhooks::Rotation;
use std::{sync::Arc, time::Duration};

/// How long the replaced secret signs beside its successor, where the profile allows it.
const OVERLAPS: [(&str, &str, u64); 4] = [
    ("", "Not at all", 0),
    ("1h", "One hour", 3_600),
    ("24h", "One day", 86_400),
    ("7d", "A week", 604_800),
];

pub(super) async fn ask(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    Ok(page(
        &desk,
        &visitor,
        &webhook,
        &Fields::default(),
        &Faults::default(),
        StatusCode::OK,
    ))
}

fn allows_several(desk: &Desk, webhook: &Webhook) -> bool {
    let book = &desk.services.context.profiles;
    let profile = book.name_for(webhook).and_then(|name| book.profile(name));
    let scheme = profile.and_then(|profile| profile.signature(DestinationKind::Webhook));
    scheme.is_some_and(ringback_signing::SignatureScheme::allows_several)
}

fn page(
    desk: &Desk,
    visitor: &Visitor,
    webhook: &Webhook,
    fields: &Fields,
    faults: &Faults,
    status: StatusCode,
) -> Response {
    let path = format!("/webhooks/{}", webhook.id);
    let shown = webhook.display_url();
    let overlaps = OVERLAPS
        .iter()
        .map(|(value, words, _)| ((*value).to_owned(), (*words).to_owned()))
        .collect();
    let content = html! {
        (head(Some((&path, &shown)), &html! { "Rotate the secret" }, &html! {
            @if allows_several(desk, webhook) { "The profile allows several signatures: the old secret can sign beside the new one until the receiver has changed over." }
            @else { "The profile sends one signature at a time: the new secret signs from the moment of activation, the old one until then." }
        }, &html! {}))
        section.card aria-label="Rotate the secret" {
            div.pad {
                (form(&format!("{path}/rotate-secret"), &visitor.token, &html! { div.form {
                    (fault_summary(faults))
                    (Field::text("secret", "New secret", "")
                        .hint(html! { "Leave it empty to have a good one made." })
                        .control(Control::Text { kind: "password", placeholder: "" })
                        .show(faults))
                    (Field::text("activate_at", "Signs from", fields.written("activate_at"))
                        .hint(html! { "A moment in UTC, such as " code { "2026-06-01T10:00:00Z" } ". Empty: at once." })
                        .show(faults))
                    @if allows_several(desk, webhook) {
                        (Field::text("overlap", "The old secret signs beside it", fields.written("overlap"))
                            .control(Control::Choice(overlaps))
                            .show(faults))
                    }
                    div.actions { button.main type="submit" { "Rotate" } a.button href=(path) { "Cancel" } }
                } }))
            }
        }
    };
    Page::new(visitor, Section::Webhooks, "Rotate the secret").respond_with(status, &content)
}

pub(super) async fn rotate(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    fields: Fields,
) -> Answer {
    let webhook = find(&desk, &visitor, &text).await?;
    let mut faults = Faults::default();
    let secret = fields.get("secret").and_then(|text| {
        let secret = Secret::try_new(text.to_owned());
        secret
            .map_err(|fault| faults.add("secret", fault.to_string()))
            .ok()
    });
    let overlap = OVERLAPS
        .iter()
        .find(|(value, _, seconds)| *seconds > 0 && fields.get("overlap") == Some(value));
    let rotation = Rotation {
        secret,
        activate_at: fields.read("activate_at", &mut faults),
        overlap: overlap.map(|(_, _, seconds)| Duration::from_secs(*seconds)),
    };
    let again = |faults: &Faults| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Ok(page(&desk, &visitor, &webhook, &fields, faults, status))
    };
    if !faults.is_empty() {
        return again(&faults);
    }
    let rotated = desk
        .services
        .webhooks
        .rotate_secret(&webhook.id, rotation)
        .await;
    match rotated.map_err(Problem::from) {
        Ok(made) => {
            desk.services.webhooks_changed(&made.webhook.project);
            shown_once(&desk, &visitor, made, "Rotated. Keep the new secret now").await
        }
        Err(problem) if problem.code() == Code::MembersRefused => {
            again(&problem.faults().to_vec().into())
        }
        Err(problem) => Err(problem.into()),
    }
}
