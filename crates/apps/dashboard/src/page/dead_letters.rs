//! Dead letters: their groups by cause, and the list.

mod chosen;
mod letter;

use super::{
    Answer, PAGE_ENTRIES, REFRESH, cursor_asked, damaged_records, dead_letters_asked,
    faulty_filter, pager, project_asked, project_filter, span_filter, text_filter, word_asked,
    word_filter,
};
use crate::{
    Desk,
    form::{Faults, Fields},
    refusal::Refusal,
    view::{
        Column, Control, Field, Page, Part, Section, Table, Tone, advise, badge, card, count,
        empty, escape_query, explain, explain_reason, facts, fault_of, form, get_form, head,
        marked, moment, moments, note, outcome, share, shares, short_id, short_url,
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
    DiscardSelection, DiscardStep, SearchText,
    port::{DeadLetterFilter, GroupFilter, GroupOrder, StoreError},
    search_dead_letters, shares_of_traffic, traffic_since_groups,
};
use ringback_domain::{
    Acknowledgement, DeadLetter, DeadLetterGroup, DeadLetterReason, Disposal, ProjectName,
    Timestamp, harmless_text,
    limits::{DISCARD_STEP_ENTRIES_MAX, NOTE_CHARS_MAX},
};
use std::sync::Arc;
use url::form_urlencoded;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/dead-letters", get(groups))
        .route("/dead-letters/acknowledge", post(acknowledge))
        .route("/dead-letters/discard", post(discard_group))
        .route("/dead-letters/list", get(list))
        .merge(chosen::routes())
        .merge(letter::routes())
}

async fn groups(visitor: Visitor, State(desk): State<Arc<Desk>>, asked: Fields) -> Answer {
    let project = project_asked(&visitor, &asked)?;
    let mut faults = Faults::default();
    let text: Option<SearchText> = asked.read("q", &mut faults);
    let filter = GroupFilter {
        project,
        order: match word_asked(&asked, "order", &["count"], &mut faults) {
            Some(_) => GroupOrder::Count,
            None => GroupOrder::LastDied,
        },
        words: text.map_or_else(Vec::new, |text| text.words()),
        after: cursor_asked(&asked),
        ..GroupFilter::default()
    };
    let orders = vec![
        (String::new(), "Newest first".to_owned()),
        ("count".to_owned(), "Most first".to_owned()),
    ];
    let filters = html! {
        (project_filter(&desk, &visitor, &asked))
        (text_filter("q", "Search", &asked, "503, a host, words of the answer"))
        (crate::view::filter("order", "Order", asked.written("order"), Control::Choice(orders)))
    };
    let (groups, any) = if faults.is_empty() {
        group_list(&desk, &visitor, &asked, &filter).await?
    } else {
        (faulty_filter(&faults), false)
    };
    let actions = html! {
        a.button href="/dead-letters/list" { "All dead letters" }
        @if any && visitor.may_manage() { a.button.main href=(plan_path(filter.project.as_ref())) { "Plan a replay" } }
    };
    let content = html! {
        (head(None, &html! { "Dead letters" }, &html! { "Deliveries that were given up, grouped by what went wrong: one cause, one thing to decide about." }, &actions))
        section.card aria-label="Groups by cause" {
            div.pad { (get_form("/dead-letters", "Filter groups", asked.without_filters(&[]).as_deref(), &filters)) }
            div #list data-live { (groups) }
        }
    };
    let mut page = Page::new(&visitor, Section::DeadLetters, "Dead letters");
    page.refresh = filter.after.is_none().then_some(REFRESH);
    Ok(page.respond(&content))
}

/// The groups, and whether there is anything to replay.
async fn group_list(
    desk: &Desk,
    visitor: &Visitor,
    asked: &Fields,
    filter: &GroupFilter,
) -> Result<(Markup, bool), StoreError> {
    let store = &desk.services.context.store;
    let found = store.dead_letter_groups(filter, PAGE_ENTRIES).await?;
    let shares = shares_of_traffic(&**store, &found.groups, visitor.now).await?;
    let any = !found.groups.is_empty() || found.ungrouped_count > 0;
    let list = html! {
        @if found.groups.is_empty() { (no_group(!filter.words.is_empty())) }
        @else { (group_table(&found.groups, &shares, visitor)) }
        (pager(asked, found.next.as_ref()))
        @if found.ungrouped_count > 0 {
            footer { span { (count(found.ungrouped_count)) " more are in no group; " a href="/dead-letters/list" { "the list has them" } } }
        }
    };
    Ok((list, any))
}

/// Where a plan for what a page shows is made.
fn plan_path(project: Option<&ProjectName>) -> String {
    match project {
        Some(project) => format!("/replays/new?project={project}"),
        None => "/replays/new".to_owned(),
    }
}

fn no_group(is_filtered: bool) -> Markup {
    if is_filtered {
        empty(
            "No group has these words",
            &html! { "Search for a status, a host, or words of the answer." },
        )
    } else {
        let advice = html! { "A delivery becomes a dead letter when its retries are used up, or when its destination refuses it for good. It then waits here, with every attempt." };
        empty("No dead letters", &advice)
    }
}

const GROUP_COLUMNS: [Column; 6] = [
    Column::wide("Cause"),
    Column::wide("Destination"),
    Column::number("Open"),
    Column::number("Share"),
    Column::tight("First"),
    Column::tight("Last"),
];

/// The groups, each with its share of its destination's traffic.
fn group_table(groups: &[DeadLetterGroup], shares: &[Option<f64>], visitor: &Visitor) -> Markup {
    let rows = groups
        .iter()
        .zip(shares)
        .map(|(group, share)| group_row(group, *share, visitor))
        .collect();
    html! { (Table { caption: "Groups of dead letters", columns: &GROUP_COLUMNS, rows }) }
}

fn group_row(
    group: &DeadLetterGroup,
    share_of_traffic: Option<f64>,
    visitor: &Visitor,
) -> Vec<Markup> {
    let head = &group.head;
    let now = visitor.now;
    vec![
        html! {
            a href=(group_path(group)) { (head.cause.summary) }
            " " (known(group))
            @if !head.excerpt.is_empty() { span.under { (head.excerpt) } }
        },
        html! {
            (head.host.as_deref().unwrap_or("—"))
            @if visitor.is_operator() && let Some(project) = &head.project { span.under { (project) } }
        },
        html! { (count(group.open_count)) },
        html! {
            @if let Some(part) = share_of_traffic { span title="of them and what was delivered there since the first of them" { (share(part)) } }
        },
        moments(group.first_died_at, now),
        moments(group.last_died_at, now),
    ]
}

/// Whether somebody knows of the group.
fn known(group: &DeadLetterGroup) -> Markup {
    match &group.acknowledgement {
        None => html! {},
        Some(_) if group.is_again() => badge(Tone::Warn, "!", "again"),
        Some(known) => {
            html! { span title={ (known.by) ": " (known.note) } { (badge(Tone::Quiet, "✓", "known")) } }
        }
    }
}

/// Where the dead letters of a group are listed.
pub(super) fn group_path(group: &DeadLetterGroup) -> String {
    let head = &group.head;
    cause_path(head.project.as_ref(), &head.cause.fingerprint)
}

async fn list(visitor: Visitor, State(desk): State<Arc<Desk>>, asked: Fields) -> Answer {
    // What was just discarded is told once, and no part of the filter.
    let (news, asked) = asked.split(&DISCARD_MEMBERS);
    let mut faults = Faults::default();
    let filter = DeadLetterFilter {
        include_disposed: asked.get("disposed").is_some(),
        ..dead_letters_asked(&visitor, &asked, &mut faults)?
    };
    let text: Option<SearchText> = asked.read("q", &mut faults);
    let group = match &filter.cause {
        Some(cause) => group_of(&desk, &filter, cause).await?,
        None => None,
    };
    let reasons = DeadLetterReason::ALL.map(DeadLetterReason::class);
    let disposed = vec![
        (String::new(), "Open".to_owned()),
        ("yes".to_owned(), "Also replayed and discarded".to_owned()),
    ];
    let filters = html! {
        @if let Some(cause) = &filter.cause { input type="hidden" name="cause" value=(cause); }
        @if group.is_none() { (project_filter(&desk, &visitor, &asked)) }
        @else if let Some(project) = &filter.project { input type="hidden" name="project" value=(project); }
        (word_filter("reason", "Reason", &asked, reasons))
        (span_filter(&asked))
        (text_filter("type", "Event type", &asked, "task.completed"))
        (text_filter("job", "Job", &asked, "task_…"))
        @if group.is_none() { (text_filter("q", "Search", &asked, "an id, a status, words of the answer")) }
        @if group.is_none() { (text_filter("destination", "Destination", &asked, "whk_… or cbk_…")) }
        (crate::view::filter("disposed", "State", asked.written("disposed"), Control::Choice(disposed)))
    };
    let kept: &[&str] = if group.is_some() {
        &["cause", "project"]
    } else {
        &[]
    };
    let mut may_be_planned = false;
    let entries = if faults.is_empty() {
        let cursor = cursor_asked(&asked);
        let store = &desk.services.context.store;
        let (cursor, limit) = (cursor.as_ref(), PAGE_ENTRIES);
        let page = match &text {
            Some(text) => search_dead_letters(&**store, &filter, text, cursor, limit).await?,
            None => store.dead_letters(&filter, cursor, limit).await?,
        };
        let is_open = |letter: &DeadLetter| letter.disposal == Disposal::Open;
        let has_more = cursor.is_some() || page.next.is_some();
        may_be_planned = has_more || page.entries.iter().any(is_open);
        let advice = if filter.include_disposed {
            "Nor is one among those that were replayed or discarded."
        } else {
            "Those that were replayed or discarded are shown when you ask for them."
        };
        html! {
            @if page.entries.is_empty() { (empty("No dead letter matches", &html! { (advice) })) }
            @else { (chosen::choice(&visitor, &letter_table(&page.entries, &visitor, true))) }
            (damaged_records("Dead letter", &page.damaged))
            (pager(&asked, page.next.as_ref()))
        }
    } else {
        faulty_filter(&faults)
    };
    let filter_words = asked.with("cursor", None);
    let actions = html! {
        @if may_be_planned && visitor.may_manage() { a.button.main href={ "/replays/new" (filter_words) } { "Plan a replay of these" } }
    };
    let known = if let Some(group) = &group {
        group_part(&desk, &visitor, group, &news).await?
    } else {
        html! {}
    };
    let title = if let Some(group) = &group {
        html! { (group.head.cause.summary) @if let Some(host) = &group.head.host { span.soft { " at " (host) } } }
    } else {
        html! { "All dead letters" }
    };
    let content = html! {
        (head(Some(("/dead-letters", "Dead letters by cause")), &title, &html! {}, &actions))
        (discard_news(&news))
        (known)
        section.card aria-label="Dead letters" {
            div.pad { (get_form("/dead-letters/list", "Filter dead letters", asked.without_filters(kept).as_deref(), &filters)) }
            (entries)
        }
    };
    let name = group.map_or_else(
        || "All dead letters".to_owned(),
        |group| format!("{}, dead letters", group.head.cause.summary),
    );
    Ok(Page::new(&visitor, Section::DeadLetters, &name).respond(&content))
}

async fn group_of(
    desk: &Desk,
    filter: &DeadLetterFilter,
    cause: &str,
) -> Result<Option<DeadLetterGroup>, StoreError> {
    let filter = GroupFilter {
        project: filter.project.clone(),
        cause: Some(cause.to_owned()),
        ..GroupFilter::default()
    };
    let store = &desk.services.context.store;
    let found = store.dead_letter_groups(&filter, 1).await?;
    Ok(found.groups.into_iter().next())
}

/// What a group is, beside its list.
async fn group_part(
    desk: &Desk,
    visitor: &Visitor,
    group: &DeadLetterGroup,
    news: &Fields,
) -> Result<Markup, Refusal> {
    let now = visitor.now;
    let store = &*desk.services.context.store;
    let traffic = traffic_since_groups(store, std::slice::from_ref(group), now).await?;
    let traffic = traffic.into_iter().next().flatten();
    let (head, sample) = (&group.head, &group.sample);
    let letter = match store.dead_letter(sample).await {
        // The list below tells of it.
        Err(StoreError::Corrupt { .. }) => None,
        letter => letter?,
    };
    let last = letter.as_ref().and_then(DeadLetter::last_attempt);
    let last = last.map(|attempt| &attempt.outcome);
    let of_traffic = html! {
        @if let Some(traffic) = traffic && let Some(part) = group.share_of(traffic) {
            div.stack {
                span {
                    (share(part)) ": "
                    @match traffic.delivered {
                        0 => "nothing was delivered there since the first of them",
                        delivered => { "beside " (count(delivered)) " delivered there since the first of them" },
                    }
                }
                (shares(&[
                    Part { class: "dead", name: "open dead letters of this group", count: group.open_count },
                    Part { class: "delivered", name: "delivered", count: traffic.delivered },
                ], false))
            }
        }
    };
    let destination = html! {
        @match &head.destination {
            Some(id) => { a href={ "/webhooks/" (id) } { (short_id(id.as_str())) } @if let Some(host) = &head.host { span.soft { " · " (host) } } },
            None => { @if let Some(host) = &head.host { "callbacks to " (host) } },
        }
    };
    let facts = facts(&[
        ("Open", html! { strong { (count(group.open_count)) } }),
        ("Share", of_traffic),
        (
            "Why",
            html! {
                (explain_reason(head.reason)) " "
                @if let Some(last) = last { (marked(explain(last))) }
                span.soft { " · " (fault_of(head.reason.fault())) }
            },
        ),
        ("Next", html! { (marked(advise(head.reason, last))) }),
        ("Destination", destination),
        (
            "First",
            html! { (moment(group.first_died_at)) span.soft { " · " (moments(group.first_died_at, now)) } },
        ),
        (
            "Last",
            html! { (moment(group.last_died_at)) span.soft { " · " (moments(group.last_died_at, now)) " · " a href={ "/dead-letters/" (sample) } { "look at it" } } },
        ),
    ]);
    Ok(html! {
        div.columns.wide-left {
            section.card aria-label="The group" {
                div.pad.stack {
                    (facts)
                    @if !head.excerpt.is_empty() { div.answer aria-label="The beginning of the answer" { (head.excerpt) } }
                }
            }
            (card("Does somebody know?", &html! {}, &html! { div.pad.stack { (acknowledgement(visitor, group)) } }))
        }
        @if visitor.may_manage() { (discard_group_part(visitor, group, news)) }
    })
}

fn acknowledgement(visitor: &Visitor, group: &DeadLetterGroup) -> Markup {
    let head = &group.head;
    let mine = html! {
        input type="hidden" name="cause" value=(head.cause.fingerprint);
        @if let Some(project) = &head.project { input type="hidden" name="project" value=(project); }
        (Field::text("note", "Note", "")
            .hint(html! { "For the others: who looks after it, where it is tracked." })
            .required()
            .show(&Faults::default()))
        div { button type="submit" { @if group.acknowledgement.is_some() { "Note it again" } @else { "I know of it" } } }
    };
    html! {
        @match &group.acknowledgement {
            Some(known) => {
                p { (badge(Tone::Quiet, "✓", "known")) " " (moments(known.at, visitor.now)) span.soft { " by " (known.by) } }
                p { (harmless_text(known.note.as_bytes())) }
                @if group.is_again() { p { (badge(Tone::Warn, "!", "again")) " more joined since then" } }
            },
            None => { p.soft { "Nobody has said so yet." } },
        }
        @if visitor.may_manage() { (form("/dead-letters/acknowledge", &visitor.token, &html! { div.stack { (mine) } })) }
    }
}

async fn acknowledge(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    fields: Fields,
) -> Answer {
    let project = project_asked(&visitor, &fields)?;
    let cause = fields.get("cause").unwrap_or_default();
    let said = note_of(&fields)?;
    let known = Acknowledgement {
        at: visitor.now,
        by: visitor.name(),
        note: said,
        // The store fills it in.
        seen_until: visitor.now,
    };
    let store = &desk.services.context.store;
    let group = store
        .acknowledge_group(project.as_ref(), cause, &known)
        .await?;
    let group = group.ok_or_else(|| Problem::not_found("there is no such group any more"))?;
    super::on_to(&group_path(&group))
}

/// What the address of a list says of a discard that led there.
const DISCARD_MEMBERS: [&str; 3] = ["discarded", "until", "because"];

/// The form that discards what a group holds now.
///
/// It asks for a reason and for a check, since they are as many as a group has; each is kept, and can still be replayed.
fn discard_group_part(visitor: &Visitor, group: &DeadLetterGroup, asked: &Fields) -> Markup {
    let head = &group.head;
    let is_begun = asked.get("discarded").is_some();
    // What joins the group while somebody thinks is not part of it.
    let now = visitor.now.to_string();
    let until = asked.get("until").unwrap_or(&now);
    let inner = html! {
        div.form {
            input type="hidden" name="cause" value=(head.cause.fingerprint);
            @if let Some(project) = &head.project { input type="hidden" name="project" value=(project); }
            input type="hidden" name="until" value=(until);
            (Field::text("why", "Why", asked.written("because"))
                .hint(html! { "Kept with each of them, beside your key." })
                .required()
                .show(&Faults::default()))
            label.check {
                input type="checkbox" name="sure" value="yes" required;
                "Yes, discard all " (count(group.open_count)) " that are open now"
            }
            div { button.danger type="submit" { "Discard the group" } }
        }
    };
    html! {
        section.card aria-label="Discard the group" {
            div.pad {
                details open[is_begun] {
                    summary { "Leave them all: discard the group" }
                    p.soft { "They no longer count as open, and join no replay plan. They are kept until their retention ends." }
                    (form("/dead-letters/discard", &visitor.token, &inner))
                }
            }
        }
    }
}

/// What a discard did that led to a list.
fn discard_news(asked: &Fields) -> Markup {
    let Some(discarded) = asked.get("discarded").and_then(|text| text.parse().ok()) else {
        return html! {};
    };
    let rest = asked.get("until").is_some();
    note(
        if rest { Tone::Warn } else { Tone::Good },
        "status",
        &html! {
            (count(discarded)) " discarded. "
            @if rest { "That is as many as one step takes: go on below with the rest." }
            @else { "They are kept until their retention ends, and can still be replayed." }
        },
    )
}

/// Discards a group, or as much of it as one step takes.
async fn discard_group(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    fields: Fields,
) -> Answer {
    let project = project_asked(&visitor, &fields)?;
    let cause = fields.get("cause");
    let cause = cause.ok_or_else(|| Problem::of_member("cause", "is missing"))?;
    if !fields.has("sure", "yes") {
        return Err(Problem::of_member("sure", "is not checked").into());
    }
    let mut faults = Faults::default();
    let until = fields.read::<Timestamp>("until", &mut faults);
    let until = until.ok_or_else(|| Problem::of_member("until", "is not a moment"))?;
    let why = fields.get("why").unwrap_or_default();
    let step = DiscardStep {
        selection: DiscardSelection {
            of_no_project: project.is_none(),
            filter: DeadLetterFilter {
                project: project.clone(),
                cause: Some(cause.to_owned()),
                until: Some(until.min(visitor.now)),
                ..DeadLetterFilter::default()
            },
            text: None,
        },
        after: None,
        reason: why.to_owned(),
        by: visitor.name(),
        entries_max: DISCARD_STEP_ENTRIES_MAX,
    };
    let done = desk.services.discards.step(&step).await?;
    let mut address = form_urlencoded::Serializer::new(String::new());
    if let Some(project) = &project {
        address.append_pair("project", project.as_str());
    }
    address.append_pair("cause", cause);
    address.append_pair("discarded", &done.discarded.to_string());
    if done.next.is_some() {
        address.append_pair("until", &until.to_string());
        address.append_pair("because", why);
    }
    super::on_to(&format!("/dead-letters/list?{}", address.finish()))
}

fn note_of(fields: &Fields) -> Result<String, Problem> {
    let note = fields.get("note").unwrap_or_default();
    match note.chars().count() {
        0 => Err(Problem::of_member("note", "is missing")),
        chars if chars > NOTE_CHARS_MAX => {
            let problem = format!("is longer than {NOTE_CHARS_MAX} characters");
            Err(Problem::of_member("note", problem))
        }
        _ => Ok(note.to_owned()),
    }
}

const LETTER_COLUMNS: [Column; 6] = [
    Column::wide("Event"),
    Column::wide("Destination"),
    Column::tight("Cause"),
    Column::number("Attempts"),
    Column::tight("State"),
    Column::tight("Given up"),
];

fn letter_table(letters: &[DeadLetter], visitor: &Visitor, is_choice: bool) -> Markup {
    let rows = letters
        .iter()
        .map(|letter| letter_row(letter, visitor, is_choice))
        .collect();
    html! { (Table { caption: "Dead letters, newest first", columns: &LETTER_COLUMNS, rows }) }
}

fn title_of(letter: &DeadLetter) -> String {
    letter
        .event_type()
        .map_or_else(|| "bytes that are no event".to_owned(), ToString::to_string)
}

fn letter_row(letter: &DeadLetter, visitor: &Visitor, is_choice: bool) -> Vec<Markup> {
    let title = title_of(letter);
    let delivery = letter.delivery();
    let project = letter.project.as_ref().filter(|_| visitor.is_operator());
    vec![
        html! {
            @if is_choice { (chosen::choose_box(visitor, letter, &title)) }
            a href={ "/dead-letters/" (letter.id) } { (title) }
            @if let Some(job) = letter.job() { span.under { "job " code { (job) } } }
            @if let Some(project) = project { span.under { (project) } }
        },
        html! { @if let Some(delivery) = delivery { (short_url(&delivery.destination.display_url())) } },
        html! {
            @match letter.last_attempt() {
                Some(attempt) => { (outcome(&attempt.outcome)) },
                None => { (letter.reason) },
            }
        },
        html! { @if let Some(delivery) = delivery { (delivery.history.len()) } },
        disposal_badge(&letter.disposal),
        moments(letter.died_at, visitor.now),
    ]
}

fn disposal_badge(disposal: &Disposal) -> Markup {
    match disposal {
        Disposal::Open => badge(Tone::Bad, "✕", "open"),
        Disposal::Replayed(_) => badge(Tone::Accent, "↻", "replayed"),
        Disposal::Discarded { .. } => badge(Tone::Quiet, "–", "discarded"),
    }
}

/// Where the dead letters of a cause are listed.
pub(super) fn cause_path(project: Option<&ProjectName>, fingerprint: &str) -> String {
    let cause = escape_query(fingerprint);
    match project {
        Some(project) => format!("/dead-letters/list?project={project}&cause={cause}"),
        None => format!("/dead-letters/list?cause={cause}"),
    }
}
