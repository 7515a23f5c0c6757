//! The overview: is all well, and if not, where to look.

use super::{Answer, REFRESH, dead_letters::group_path, project_asked, project_filter};
use crate::{
    Desk,
    form::Fields,
    view::{
        Page, Part, Section, ago, card, count, distance, empty, get_form, head, share, shares,
        short_url, throughput, tile,
    },
    visitor::Visitor,
};
use axum::{Router, extract::State, routing::get};
use futures_util::future::try_join_all;
use maud::{Markup, html};
use ringback_delivery::port::{
    Cursor, DeliveryFilter, GroupFilter, GroupList, GroupOrder, QueueName, Store, StoreError,
};
use ringback_domain::{
    DeliveryRecord, DestinationId, ProjectName, Timestamp, Traffic, TrafficOf, TrafficPoint,
    TrafficStep, limits::PAGE_ENTRIES_MAX,
};
use std::{collections::HashMap, sync::Arc};

/// Groups of dead letters shown.
const GROUPS: usize = 5;
/// Destinations in trouble shown.
const IN_TROUBLE: usize = 5;
/// Pages of waiting deliveries that are looked through for the oldest.
const WAITING_PAGES_MAX: usize = 4;

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/", get(show))
}

async fn show(visitor: Visitor, State(desk): State<Arc<Desk>>, asked: Fields) -> Answer {
    let project = project_asked(&visitor, &asked)?;
    let now = visitor.now;
    let store = &*desk.services.context.store;
    let of = project
        .clone()
        .map_or(TrafficOf::Everything, TrafficOf::Project);
    let groups = GroupFilter {
        project: project.clone(),
        order: GroupOrder::Count,
        ..GroupFilter::default()
    };
    let (minutes, hours, groups, dead, waiting) = tokio::try_join!(
        store.traffic(&of, TrafficStep::Minute, now),
        store.traffic(&of, TrafficStep::Hour, now),
        store.dead_letter_groups(&groups, GROUPS),
        store.dead_letter_count(project.as_ref()),
        Waiting::look(store, project.as_ref()),
    )?;
    let trouble = trouble(store, &waiting, now).await?;
    // How much others have under way is nobody else's business.
    let stages = if visitor.is_operator() {
        Some(desk.services.context.queue.depths().await)
    } else {
        None
    };
    let hour = sum(&minutes[minutes.len().saturating_sub(60)..]);
    let is_new = sum(&hours).is_zero() && dead == 0 && waiting.count == 0;
    let content = html! {
        (head(None, &html! { "Overview" }, &html! {}, &html! {}))
        @if visitor.is_operator() { (get_form("/", "Choose a project", asked.without_filters(&[]).as_deref(), &project_filter(&desk, &visitor, &asked))) }
        div.stack #overview data-live {
            dl.tiles { (tiles(&hour, &waiting, dead, now)) }
            @if is_new { section.card { (begin(&visitor)) } }
            @else {
                (card("The last two hours", &html! { "by the minute" }, &html! { div.pad { (throughput("The last two hours", &minutes, "%H:%M")) } }))
            }
            div.columns {
                (card("Dead letters by cause", &html! { a href="/dead-letters" { "all groups" } }, &causes(&groups)))
                (card("Destinations in trouble", &html! { "what waits for a retry" }, &troubled(&trouble)))
            }
            div.columns {
                @if !is_new {
                    (card("The last eight days", &html! { "by the hour" }, &html! { div.pad { (throughput("The last eight days", &hours, "%b %d %H:%M")) } }))
                }
                @if let Some(stages) = stages {
                    (card("Waiting by stage", &html! { "of all projects" }, &html! { div.pad {
                        @match stages {
                            Ok(depths) => {
                                dl.facts { @for depth in depths { dt { (stage(depth.queue)) } dd { (count(depth.waiting)) } } }
                            },
                            Err(failure) => { p { "The queue does not answer: " (failure) } },
                        }
                    } }))
                }
            }
        }
    };
    let mut page = Page::new(&visitor, Section::Overview, "Overview");
    page.refresh = Some(REFRESH);
    Ok(page.respond(&content))
}

fn sum(points: &[TrafficPoint]) -> Traffic {
    points.iter().fold(Traffic::default(), |mut sum, point| {
        sum += point.traffic;
        sum
    })
}

fn stage(queue: QueueName) -> &'static str {
    match queue {
        QueueName::Events => "events, to be dispatched",
        QueueName::Deliveries(ringback_delivery::port::Lane::Main) => "deliveries",
        QueueName::Deliveries(ringback_delivery::port::Lane::Slow) => {
            "deliveries to slow destinations"
        }
        QueueName::Delayed => "retries whose time has not come",
        QueueName::Parked => "given up by the broker",
    }
}

fn begin(visitor: &Visitor) -> Markup {
    let advice = html! {
        @if visitor.may_manage() {
            a href="/webhooks/new" { "Create a webhook" } ", send it a test event, and then publish a first event: "
        } @else { "As soon as an event is published, it shows here: " }
        a href="/settings" { "the settings" } " have a command to copy."
    };
    empty("Nothing was sent yet", &advice)
}

fn tiles(hour: &Traffic, waiting: &Waiting, dead: u64, now: Timestamp) -> Markup {
    let none = || "—".to_owned();
    let success = hour.success_share().map_or_else(none, share);
    let success = html! { (success) };
    let oldest = waiting
        .oldest
        .map_or_else(none, |at| distance(now.duration_since(at).unsigned_abs()));
    // The list begins with the newest: where it was not looked through to its end, there are older ones.
    let more = if waiting.is_whole { "" } else { "more than " };
    let oldest = html! { (more) (oldest) };
    html! {
        (tile("Delivered", &html! { (count(hour.delivered)) }, &html! { "in the last hour" }))
        (tile("Success", &success, &html! { "of " (count(hour.ended())) " that came to an end" }))
        (tile("Failed attempts", &html! { (count(hour.failed_attempts)) }, &html! { "in the last hour" }))
        (tile("Oldest waiting", &oldest, &html! { (more) (count(waiting.count)) " wait for a retry" }))
        (tile("Dead letters", &html! { a href="/dead-letters" { (count(dead)) } }, &html! { "open" }))
    }
}

/// What waits for a retry.
struct Waiting {
    count: u64,
    /// When the oldest of them was first taken.
    oldest: Option<Timestamp>,
    /// Whether all of them were looked at.
    is_whole: bool,
    by_destination: HashMap<DestinationId, Troubled>,
}

/// A destination and what waits for it.
#[derive(Clone)]
struct Troubled {
    id: DestinationId,
    url: String,
    count: u64,
    oldest: Timestamp,
    newest: DeliveryRecord,
    /// Of the last hour, for webhooks.
    traffic: Option<Traffic>,
}

impl Waiting {
    async fn look(store: &dyn Store, project: Option<&ProjectName>) -> Result<Self, StoreError> {
        let filter = DeliveryFilter {
            project: project.cloned(),
            state: Some("waiting".to_owned()),
            ..DeliveryFilter::default()
        };
        let mut waiting = Self {
            count: 0,
            oldest: None,
            is_whole: false,
            by_destination: HashMap::new(),
        };
        let mut cursor: Option<Cursor> = None;
        for _ in 0..WAITING_PAGES_MAX {
            let page = store
                .deliveries(&filter, cursor.as_ref(), PAGE_ENTRIES_MAX)
                .await?;
            for record in page.entries {
                waiting.add(record);
            }
            cursor = page.next;
            if cursor.is_none() {
                waiting.is_whole = true;
                break;
            }
        }
        Ok(waiting)
    }

    /// Newest first, as lists have them.
    fn add(&mut self, record: DeliveryRecord) {
        let at = record.created_at;
        self.count += 1;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        let id = record.destination.id();
        self.by_destination
            .entry(id.clone())
            .and_modify(|known| {
                known.count += 1;
                known.oldest = known.oldest.min(at);
            })
            .or_insert_with(|| Troubled {
                id,
                url: record.destination.display_url(),
                count: 1,
                oldest: at,
                newest: record,
                traffic: None,
            });
    }
}

/// The destinations that most waits for, with what they took in the last hour.
async fn trouble(
    store: &dyn Store,
    waiting: &Waiting,
    now: Timestamp,
) -> Result<Vec<Troubled>, StoreError> {
    let mut all: Vec<_> = waiting.by_destination.values().cloned().collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then(a.oldest.cmp(&b.oldest)));
    all.truncate(IN_TROUBLE);
    let look = all.into_iter().map(async |mut troubled: Troubled| {
        if troubled.id.as_str().starts_with("whk_") {
            let of = TrafficOf::Destination(troubled.id.clone());
            let points = store.traffic(&of, TrafficStep::Minute, now).await?;
            troubled.traffic = Some(sum(&points[points.len().saturating_sub(60)..]));
        }
        Ok::<_, StoreError>(troubled)
    });
    try_join_all(look).await
}

fn troubled(trouble: &[Troubled]) -> Markup {
    if trouble.is_empty() {
        return empty(
            "No destination is in trouble",
            &html! { "Nothing waits for a retry." },
        );
    }
    html! {
        div.pad {
            ul.ranked {
                @for troubled in trouble {
                    li {
                        div.line {
                            a href={ "/deliveries?state=waiting&destination=" (troubled.id) } { (short_url(&troubled.url)) }
                            strong { (count(troubled.count)) }
                        }
                        div.small.soft {
                            @if let Some(attempt) = troubled.newest.attempts.last() { "last: " (attempt.outcome) ", " (ago(attempt.started_at, troubled.newest.updated_at.max(attempt.started_at))) " · " }
                            "oldest waits since " (troubled.oldest.strftime("%H:%M UTC"))
                            @if let Some(part) = troubled.traffic.and_then(|traffic| traffic.success_share()) { " · " (share(part)) " delivered in the last hour" }
                        }
                    }
                }
            }
        }
    }
}

fn causes(list: &GroupList) -> Markup {
    if list.groups.is_empty() {
        return empty("No dead letters", &html! { "Nothing was given up." });
    }
    let most = list
        .groups
        .iter()
        .map(|group| group.open_count)
        .max()
        .unwrap_or(1);
    html! {
        div.pad {
            ul.ranked {
                @for group in &list.groups {
                    li {
                        div.line {
                            span {
                                a href=(group_path(group)) { (group.head.cause.summary) }
                                @if let Some(host) = &group.head.host { span.soft { " at " (host) } }
                            }
                            strong { (count(group.open_count)) }
                        }
                        (shares(&[
                            Part { class: "dead", name: "open", count: group.open_count },
                            Part { class: "none", name: "fewer than the largest group", count: most - group.open_count },
                        ], false))
                    }
                }
            }
            @if list.group_count > list.groups.len() as u64 {
                p.small.soft { "and " (count(list.group_count - list.groups.len() as u64)) " more groups" }
            }
        }
    }
}
