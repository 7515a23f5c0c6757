//! Replay plans: what one would do, how far it came, and the buttons to start, pause, resume and cancel it.

use super::{
    Answer, PAGE_ENTRIES, Path, Question, cursor_asked, damaged_records, dead_letters::cause_path,
    dead_letters_asked, id, pager, project_asked, project_filter, span_filter, text_filter,
    word_filter,
};
use crate::{
    Desk,
    form::{Faults, Fields},
    refusal::Refusal,
    view::{
        Column, Control, Field, Page, Part, Section, Table, Tone, badge, button, card, copy, count,
        counted, distance, empty, facts, fault_summary, form, get_form, head, moment, moments,
        note, shares, short_id, short_url, tile,
    },
    visitor::{Manager, Visitor},
};
use axum::{Router, extract::State, response::Response, routing::get};
use http::StatusCode;
use maud::{Markup, html};
use ringback_api::problem::Problem;
use ringback_delivery::{PlanError, PlanRequest};
use ringback_domain::{
    DeadLetterReason, DestinationId, PlanId, Timestamp, harmless_text,
    replay_plan::{
        AgeBand, EntryMark, Pacing, PlanCounts, PlanState, PlanWish, ReplayOrder, ReplayPlan,
        ReplayTarget, SkipReason, StopRule,
    },
};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// Seconds between two looks at a plan that moves.
const REFRESH: u32 = 2;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/replays", get(list).post(create))
        .route("/replays/new", get(new))
        .route("/replays/{id}", get(show))
        .route("/replays/{id}/{wish}", get(confirm).post(change))
}

async fn list(visitor: Visitor, State(desk): State<Arc<Desk>>, asked: Fields) -> Answer {
    let project = project_asked(&visitor, &asked)?;
    let cursor = cursor_asked(&asked);
    let store = &desk.services.context.store;
    let page = store
        .plans(project.as_ref(), cursor.as_ref(), PAGE_ENTRIES)
        .await?;
    let rows = page
        .entries
        .iter()
        .map(|plan| plan_row(plan, visitor.now))
        .collect();
    let columns = [
        Column::wide("Plan"),
        Column::tight("State"),
        Column::wide("Progress"),
        Column::number("Delivered"),
        Column::tight("Planned"),
    ];
    let actions = html! { @if visitor.may_manage() { a.button.main href="/replays/new" { "Plan a replay" } } };
    let content = html! {
        (head(None, &html! { "Replays" }, &html! { "Many dead letters sent again: planned, looked at, started, paced, and stopped when it does not help." }, &actions))
        section.card aria-label="Replay plans" {
            @if visitor.is_operator() {
                div.pad { (get_form("/replays", "Filter plans", asked.without_filters(&[]).as_deref(), &project_filter(&desk, &visitor, &asked))) }
            }
            @if page.entries.is_empty() {
                (empty("No replay plan yet", &html! { "Once what was broken is repaired, choose " a href="/dead-letters" { "a group of dead letters" } " and plan its replay. Nothing is sent before you start it." }))
            } @else { (Table { caption: "Replay plans, newest first", columns: &columns, rows }) }
            (damaged_records("Replay plan", &page.damaged))
            (pager(&asked, page.next.as_ref()))
        }
    };
    Ok(Page::new(&visitor, Section::Replays, "Replays").respond(&content))
}

fn plan_row(plan: &ReplayPlan, now: Timestamp) -> Vec<Markup> {
    let counts = &plan.progress.counts;
    vec![
        html! {
            a href={ "/replays/" (plan.id()) } { (said(&plan.terms.reason)) }
            span.under { (said(&plan.terms.selection)) }
        },
        state_badge(plan.status.state),
        html! {
            (shares(&parts(counts), false))
            span.under { (count(counts.done().into())) " of " (count(counts.total().into())) " done" }
        },
        html! { (count(counts.get(EntryMark::Delivered).into())) },
        html! { (moments(plan.terms.planned_at, now)) span.under { (said(&plan.terms.by)) } },
    ]
}

/// Words that somebody wrote.
fn said(text: &str) -> String {
    harmless_text(text.as_bytes())
}

fn state_badge(state: PlanState) -> Markup {
    match state {
        PlanState::Planned => badge(Tone::Quiet, "○", "planned"),
        PlanState::Running => html! { span.pulse { (badge(Tone::Accent, "▶", "running")) } },
        PlanState::Paused => badge(Tone::Warn, "‖", "paused"),
        PlanState::StoppedItself { .. } => badge(Tone::Bad, "■", "stopped itself"),
        PlanState::Cancelled => badge(Tone::Quiet, "–", "cancelled"),
        PlanState::Finished => badge(Tone::Good, "✓", "finished"),
    }
}

/// The entries by what became of them, in the order of the bar.
fn parts(counts: &PlanCounts) -> [Part; 5] {
    let of = |mark| u64::from(counts.get(mark));
    [
        Part {
            class: "delivered",
            name: "delivered",
            count: of(EntryMark::Delivered) + of(EntryMark::Republished),
        },
        Part {
            class: "under-way",
            name: "under way",
            count: counts.outstanding().into(),
        },
        Part {
            class: "dead",
            name: "failed again",
            count: of(EntryMark::FailedAgain) + of(EntryMark::Unknown),
        },
        Part {
            class: "skipped",
            name: "skipped",
            count: counts.skipped().into(),
        },
        Part {
            class: "none",
            name: "waiting",
            count: of(EntryMark::Waiting),
        },
    ]
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
    let fields = &fields
        .clone()
        .or("rate", Pacing::RATE_DEFAULT.to_string())
        .or("concurrency", Pacing::CONCURRENCY_DEFAULT.to_string())
        .or(
            "stop_share",
            StopRule::default().share_percent().to_string(),
        )
        .or("target", ReplayTarget::Current.to_string());
    let orders = [ReplayOrder::OldestFirst, ReplayOrder::NewestFirst];
    let orders = orders.map(|order| (order.to_string(), format!("{order} first")));
    let whole = html! { "Empty: as fast as it goes." };
    let content = html! {
        (head(Some(("/replays", "Replays")), &html! { "Plan a replay" }, &html! {
            "A plan freezes the list of the dead letters that match now, and shows what it would do. Nothing is sent before you start it."
        }, &html! {}))
        (form("/replays", &visitor.token, &html! { div.stack {
            (fault_summary(faults))
            (card("Which dead letters", &html! { "empty fields take any" }, &html! { div.pad.filters {
                (project_filter(desk, visitor, fields))
                (word_filter("reason", "Reason", fields, DeadLetterReason::ALL.map(DeadLetterReason::class)))
                (span_filter(fields))
                (text_filter("destination", "Destination", fields, "whk_… or cbk_…"))
                (text_filter("type", "Event type", fields, "task.completed"))
                (text_filter("job", "Job", fields, "task_…"))
                (text_filter("cause", "Cause", fields, "a fingerprint"))
                (text_filter("q", "Search", fields, "an id, a status, words of the answer"))
            } }))
            (card("How", &html! {}, &html! { div.pad { div.form {
                (Field::text("why", "Why", fields.written("why"))
                    .hint(html! { "For the record: what was repaired, and who says so." })
                    .control(Control::Text { kind: "text", placeholder: "The receiver was restored at 14:00" })
                    .required()
                    .show(faults))
                div.pair {
                    (Field::text("rate", "Sent a second, at most", fields.written("rate")).hint(whole).show(faults))
                    (Field::text("concurrency", "Under way to one destination, at most", fields.written("concurrency"))
                        .hint(html! { "A destination that has its share under way holds up no other." })
                        .show(faults))
                }
                div.pair {
                    (Field::text("stop_share", "Stops itself above, in percent", fields.written("stop_share"))
                        .hint(html! { "Failures among the newest " (StopRule::default().window()) ". 100 never stops." })
                        .show(faults))
                    (Field::text("order", "Order", fields.written("order")).control(Control::Choice(orders.to_vec())).show(faults))
                }
                (Field::text("target", "Where to", fields.written("target"))
                    .hint(html! { code { "current" } ": the webhook as it is now. " code { "original" } ": the URL it had then. Or the id of another webhook: what that one accepts does not count as delivered." })
                    .show(faults))
                label.check {
                    input type="checkbox" name="stale" value="yes" checked[fields.has("stale", "yes")];
                    "Also send what is stale: events older than their profile says a body is of use"
                }
                div.actions { button.main type="submit" { "Make the plan" } a.button href="/replays" { "Cancel" } }
            } } }))
        } }))
    };
    Page::new(visitor, Section::Replays, "Plan a replay").respond_with(status, &content)
}

/// A number, or nothing where nothing is written.
fn number(fields: &Fields, name: &str, faults: &mut Faults) -> Option<NonZeroU32> {
    let text = fields.get(name)?;
    let number = text.parse().ok();
    if number.is_none() {
        faults.add(name, "not a whole number of 1 or more");
    }
    number
}

/// What the form asks for.
async fn request(
    desk: &Desk,
    visitor: &Visitor,
    fields: &Fields,
    faults: &mut Faults,
) -> Result<PlanRequest, Refusal> {
    let filter = dead_letters_asked(visitor, fields, faults)?;
    let share = fields.read::<u8>("stop_share", faults).unwrap_or_default();
    let stop_rule = StopRule::try_new(share, StopRule::default().window());
    let target = fields.read::<ReplayTarget>("target", faults);
    if let Some(ReplayTarget::Webhook(id)) = &target {
        // What belongs to others is not there, not even its name.
        let found = desk.services.context.store.webhook(id).await?;
        let is_there = found.is_some_and(|webhook| visitor.key().reaches(&webhook.project));
        if !is_there {
            faults.add("target", format!("there is no webhook {id}"));
        }
    }
    Ok(PlanRequest {
        filter,
        text: fields.read("q", faults),
        reason: fields.get("why").unwrap_or_default().to_owned(),
        by: visitor.name(),
        pacing: Pacing {
            rate: number(fields, "rate", faults),
            concurrency: number(fields, "concurrency", faults),
            order: fields.read("order", faults).unwrap_or_default(),
        },
        target: target.unwrap_or_default(),
        stop_rule: stop_rule.unwrap_or_else(|fault| {
            faults.add("stop_share", fault.to_string());
            StopRule::default()
        }),
        sends_stale: fields.has("stale", "yes"),
    })
}

async fn create(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    fields: Fields,
) -> Answer {
    let mut faults = Faults::default();
    let request = request(&desk, &visitor, &fields, &mut faults).await?;
    if faults.is_empty() {
        match desk.services.plans.plan(&request, &|_| {}).await {
            Ok(plan) => return super::on_to(&format!("/replays/{}", plan.id())),
            Err(PlanError::Store(failure)) => return Err(failure.into()),
            Err(fault) => faults.add(member_of(&fault), fault.to_string()),
        }
    }
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(new_page(&desk, &visitor, &fields, &faults, status))
}

/// The field that a fault belongs to; none for what concerns all of them.
fn member_of(fault: &PlanError) -> &'static str {
    match fault {
        PlanError::NoReason | PlanError::ReasonTooLong { .. } => "why",
        PlanError::NoSuchWebhook(_) | PlanError::OtherProject { .. } => "target",
        _ => "",
    }
}

/// The plan, when it is the visitor's.
async fn find(desk: &Desk, visitor: &Visitor, text: &str) -> Result<ReplayPlan, Refusal> {
    let id: PlanId = id(text)?;
    let found = desk.services.context.store.plan(&id).await?;
    let what = format!("replay plan {id}");
    Ok(visitor.if_in_reach(found, |plan| plan.terms.project.as_ref(), &what)?)
}

async fn change(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path((text, wish)): Path<(String, String)>,
) -> Answer {
    let plan = find(&desk, &visitor, &text).await?;
    let wish = PlanWish::ALL
        .into_iter()
        .find(|known| known.as_str() == wish);
    let wish = wish.ok_or_else(|| Problem::not_found("there is nothing at this address"))?;
    let path = format!("/replays/{}", plan.id());
    match desk
        .services
        .plans
        .change(plan.id(), wish, &visitor.name())
        .await
    {
        Ok(_) => super::on_to(&path),
        // Somebody was faster, or it moved by itself: the page tells how.
        Err(PlanError::Refused(_) | PlanError::Conflict(_)) => {
            super::on_to(&format!("{path}?done=moved"))
        }
        Err(PlanError::NotFound(id)) => {
            Err(Problem::not_found(format!("there is no replay plan {id}")).into())
        }
        Err(PlanError::Store(failure)) => Err(failure.into()),
        Err(other) => Err(Problem::of_member("", other.to_string()).into()),
    }
}

/// Of what may be wished, only what ends a plan is asked about first.
async fn confirm(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    Path((text, wish)): Path<(String, String)>,
) -> Answer {
    if wish != PlanWish::Cancel.as_str() {
        return Err(Problem::not_found("there is nothing at this address").into());
    }
    let plan = find(&desk, &visitor, &text).await?;
    let path = format!("/replays/{}", plan.id());
    let counts = &plan.progress.counts;
    let question = Question {
        about: (&path, "The replay plan"),
        section: Section::Replays,
        title: "Cancel this plan?",
        words: html! {
            p { (counted(counts.get(EntryMark::Waiting).into(), "that was not sent stays a dead letter", "that were not sent stay dead letters")) "; what is under way goes on." }
            p.soft { "A cancelled plan cannot be resumed. To stop for a while, pause it." }
        },
        action: format!("{path}/cancel"),
        yes: "Cancel the plan",
        no: "Let it be",
    };
    Ok(question.ask(&visitor))
}

async fn show(
    visitor: Visitor,
    State(desk): State<Arc<Desk>>,
    Path(text): Path<String>,
    asked: Fields,
) -> Answer {
    let plan = find(&desk, &visitor, &text).await?;
    let now = visitor.now;
    let terms = &plan.terms;
    let title = html! { "Replay of " (counted(terms.preview.entries.into(), "dead letter", "dead letters")) };
    let is_moving = plan.is_active();
    let content = html! {
        (head(Some(("/replays", "Replays")), &title, &html! { (said(&terms.reason)) }, &html! {}))
        @if asked.get("done") == Some("moved") {
            (note(Tone::Warn, "status", &html! { "The plan had moved on meanwhile, so that nothing was done. This is where it stands." }))
        }
        div.stack #plan data-live { (progress(&visitor, &plan)) }
        div.columns #contents data-live {
            (card("By destination", &html! {}, &by_destination(&plan)))
            div.stack {
                (card("By cause", &html! {}, &by_cause(&plan)))
                (card("By age of the event", &html! {}, &by_age(&plan)))
            }
        }
        div.columns {
            (card("Terms", &html! { "they do not change" }, &html! { div.pad { (terms_part(&plan)) } }))
            div #history data-live { (card("History", &html! {}, &html! { div.pad { (history(&plan, now)) } })) }
        }
    };
    let mut page = Page::new(&visitor, Section::Replays, "Replay plan");
    page.refresh = is_moving.then_some(REFRESH);
    Ok(page.respond(&content))
}

fn progress(visitor: &Visitor, plan: &ReplayPlan) -> Markup {
    let counts = &plan.progress.counts;
    let state = plan.status.state;
    let of = |mark| count(counts.get(mark).into());
    let parts = parts(counts);
    html! {
        section.card aria-label="Progress" {
            header {
                h2 { (state_badge(state)) }
                @if visitor.may_manage() { div.actions { (wishes(visitor, plan)) } }
            }
            div.pad.stack {
                p role="status" { (sentence(plan, visitor.now)) }
                (shares(&parts, true))
                ul.legend { @for part in parts { li { span class={ "swatch " (part.class) } aria-hidden="true" {} (count(part.count)) " " (part.name) } } }
                (warnings(plan))
            }
        }
        dl.tiles {
            (tile("Delivered", &html! { (of(EntryMark::Delivered)) }, &html! { "by this plan" }))
            (tile("Under way", &html! { (count(counts.outstanding().into())) }, &html! { (of(EntryMark::Retrying)) " of them retrying" }))
            (tile("Failed again", &html! { (of(EntryMark::FailedAgain)) }, &html! { "dead letters once more" }))
            (tile("Skipped", &html! { (count(counts.skipped().into())) }, &skipped(counts)))
            (tile("Waiting", &html! { (of(EntryMark::Waiting)) }, &html! { "for their turn" }))
        }
    }
}

/// What may be wished where the plan stands.
fn wishes(visitor: &Visitor, plan: &ReplayPlan) -> Markup {
    let to = |wish: PlanWish, class: &str, words: &str| {
        let action = format!("/replays/{}/{}", plan.id(), wish.as_str());
        button(&action, &visitor.token, class, words)
    };
    // Of a plan that sent nothing, nothing is lost.
    let cancel =
        html! { a.button.danger href={ "/replays/" (plan.id()) "/cancel" } { "Cancel the plan" } };
    html! {
        @match plan.status.state {
            PlanState::Planned => { (to(PlanWish::Start, "main", "Start")) (to(PlanWish::Cancel, "", "Cancel the plan")) },
            PlanState::Running => { (to(PlanWish::Pause, "main", "Pause")) (cancel) },
            PlanState::Paused | PlanState::StoppedItself { .. } => { (to(PlanWish::Resume, "main", "Resume")) (cancel) },
            PlanState::Cancelled | PlanState::Finished => {},
        }
    }
}

/// Where the plan stands, in a sentence.
fn sentence(plan: &ReplayPlan, now: Timestamp) -> String {
    let counts = &plan.progress.counts;
    let (done, total) = (counts.done(), counts.total());
    let left = counts.get(EntryMark::Waiting);
    match plan.status.state {
        PlanState::Planned => match plan.terms.pacing.rate {
            Some(rate) => {
                let seconds = u64::from(total.div_ceil(rate.get()));
                let long = distance(Duration::from_secs(seconds));
                format!("Nothing was sent yet. At {rate} a second, sending takes about {long}.")
            }
            None => "Nothing was sent yet. It would be sent as fast as it goes.".to_owned(),
        },
        PlanState::Running => format!("{} of {} done.", count(done.into()), count(total.into())),
        PlanState::Paused => format!("Paused: {} wait for their turn.", count(left.into())),
        PlanState::StoppedItself { failed, of } => format!(
            "It stopped itself: {failed} of the newest {of} failed. See why, and resume it when it is repaired."
        ),
        PlanState::Cancelled => format!(
            "Cancelled: {} were not sent and stay dead letters.",
            count(left.into())
        ),
        PlanState::Finished => {
            let took = plan
                .progress
                .began_at
                .map(|began| plan.progress.changed_at.duration_since(began));
            let delivered = counts.get(EntryMark::Delivered);
            match took.and_then(|took| Duration::try_from(took).ok()) {
                Some(took) => format!(
                    "{} of {} delivered, within {}.",
                    count(delivered.into()),
                    count(total.into()),
                    distance(took)
                ),
                None => format!(
                    "Finished {}.",
                    crate::view::ago(plan.progress.changed_at, now)
                ),
            }
        }
    }
}

fn warnings(plan: &ReplayPlan) -> Markup {
    let preview = &plan.terms.preview;
    html! {
        @if preview.stale > 0 {
            (note(Tone::Warn, "note", &html! { p {
                strong { (counted(preview.stale.into(), "is stale", "are stale")) }
                ": their events are older than their profile says a body is of use, such as links that have died. "
                @if plan.terms.sends_stale { "They are sent all the same, as the plan says." } @else { "They are skipped." }
            } }))
        }
        @if preview.not_events > 0 {
            (note(Tone::Warn, "note", &html! { p { (counted(preview.not_events.into(), "holds bytes that are no event, and is skipped.", "hold bytes that are no event, and are skipped.")) } }))
        }
    }
}

fn skip_words(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Gone => "no longer kept",
        SkipReason::Damaged => "cannot be read",
        SkipReason::Replayed => "replayed by others",
        SkipReason::Discarded => "discarded",
        SkipReason::Newer => "given up again since",
        SkipReason::NotAnEvent => "no event",
        SkipReason::Stale => "stale",
        SkipReason::NoSuchWebhook => "no webhook for it",
    }
}

fn skipped(counts: &PlanCounts) -> Markup {
    let why: Vec<_> = EntryMark::ALL
        .into_iter()
        .filter_map(|mark| match mark {
            EntryMark::Skipped(reason) if counts.get(mark) > 0 => Some(format!(
                "{} {}",
                count(counts.get(mark).into()),
                skip_words(reason)
            )),
            _ => None,
        })
        .collect();
    html! { (why.join(", ")) }
}

fn by_destination(plan: &ReplayPlan) -> Markup {
    let progress = |destination: &DestinationId| {
        let mut known = plan.progress.by_destination.iter();
        let found = known.find(|(id, _)| id == destination);
        found.map(|(_, counts)| shares(&parts(counts), false))
    };
    let rows = plan.terms.preview.by_destination.iter().map(|group| {
        vec![
            html! {
                (short_url(&said(&group.url)))
                span.under { (short_id(group.destination.as_str())) @if group.stale > 0 { " · " (count(group.stale.into())) " stale" } }
            },
            html! { (count(group.entries.into())) },
            html! { @if let Some(bar) = progress(&group.destination) { (bar) } },
        ]
    });
    let columns = [
        Column::wide("Destination"),
        Column::number("Entries"),
        Column::wide("Progress"),
    ];
    html! { (Table { caption: "Entries by destination", columns: &columns, rows: rows.collect() }) }
}

fn by_cause(plan: &ReplayPlan) -> Markup {
    let preview = &plan.terms.preview;
    html! {
        div.pad { ul.ranked {
            @for group in &preview.by_cause {
                @let project = plan.terms.project.as_ref();
                li { div.line { a href=(cause_path(project, &group.fingerprint)) { (said(&group.summary)) } strong { (count(group.entries.into())) } } }
            }
        } }
    }
}

fn age_words(band: AgeBand) -> &'static str {
    match band {
        AgeBand::Hour => "less than an hour",
        AgeBand::Day => "an hour to a day",
        AgeBand::Week => "a day to a week",
        AgeBand::Month => "a week to thirty days",
        AgeBand::Older => "more than thirty days",
    }
}

fn by_age(plan: &ReplayPlan) -> Markup {
    let preview = &plan.terms.preview;
    html! {
        div.pad { ul.ranked {
            @for (band, entries) in AgeBand::ALL.into_iter().zip(preview.by_age) {
                @if entries > 0 {
                    li {
                        div.line { span { (age_words(band)) } strong { (count(entries.into())) } }
                        (shares(&[
                            Part { class: "under-way", name: "of this age", count: entries.into() },
                            Part { class: "none", name: "of another", count: u64::from(preview.entries.saturating_sub(entries)) },
                        ], false))
                    }
                }
            }
        } }
    }
}

fn terms_part(plan: &ReplayPlan) -> Markup {
    let terms = &plan.terms;
    let target = html! {
        @match &terms.target {
            ReplayTarget::Current => { "the webhook as it is now" },
            ReplayTarget::Original => { "the URL that the webhook had then" },
            ReplayTarget::Webhook(id) => { "another webhook, " a href={ "/webhooks/" (id) } { (short_id(id.as_str())) } ": what it accepts does not count as delivered" },
        }
    };
    facts(&[
        (
            "Plan",
            html! { code { (plan.id()) } (copy("the id of the plan")) },
        ),
        (
            "Project",
            html! { @match &terms.project { Some(project) => (project), None => "all" } },
        ),
        ("Which", html! { (said(&terms.selection)) }),
        ("Reason", html! { (said(&terms.reason)) }),
        ("Where to", target),
        (
            "Pace",
            html! { @match terms.pacing.rate { Some(rate) => { (rate) " a second" }, None => "as fast as it goes" } ", " (terms.pacing.order) " first" },
        ),
        (
            "Under way",
            html! { @match terms.pacing.concurrency { Some(share) => { "at most " (share) " to one destination" }, None => "any number" } },
        ),
        (
            "Stops itself",
            html! { @if terms.stop_rule.share_percent() >= 100 { "never" } @else { "when more than " (terms.stop_rule.share_percent()) " % of the newest " (terms.stop_rule.window()) " fail" } },
        ),
        (
            "Stale ones",
            html! { @if terms.sends_stale { "are sent" } @else { "are skipped" } },
        ),
    ])
}

fn history(plan: &ReplayPlan, now: Timestamp) -> Markup {
    html! {
        ol.ranked {
            @for change in &plan.status.changes {
                li {
                    div.line { (state_badge(change.to)) span title=(change.at) { (moments(change.at, now)) } }
                    span.small.soft { "by " (said(&change.by)) " · " (moment(change.at)) }
                }
            }
        }
    }
}
