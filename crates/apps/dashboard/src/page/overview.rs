//! The overview: is all well, and if not, where to look.

use super::{Answer, REFRESH, dead_letters::group_path, project_asked, project_filter};
use crate::{
    Desk,
    form::Fields,
    view::{
        Page, Part, Section, ago, breaker_badge, card, count, counted, distance, empty, get_form,
        head, next_probe, share, shares, short_url, throughput, tile,
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
    Breaker, BreakerState, DeliveryRecord, DestinationId, ProjectName, Timestamp, Traffic,
    TrafficOf, TrafficPoint, TrafficStep, Webhook, WebhookId, limits::PAGE_ENTRIES_MAX,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

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
    let (minutes, hours, groups, dead, waiting, breakers) = tokio::try_join!(
        store.traffic(&of, TrafficStep::Minute, now),
        store.traffic(&of, TrafficStep::Hour, now),
        store.dead_letter_groups(&groups, GROUPS),
        store.dead_letter_count(project.as_ref()),
        Waiting::look(store, project.as_ref()),
        store.breakers(),
    )?;
    let (trouble, in_trouble) = trouble(store, project.as_ref(), &waiting, breakers, now).await?;
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
            dl.tiles { (tiles(&visitor, &hour, &waiting, dead)) }
            @if is_new { section.card { (begin(&visitor)) } }
            @else {
                (card("The last two hours", &html! { "by the minute" }, &html! { div.pad { (throughput("The last two hours", &minutes, "%H:%M")) } }))
            }
            div.columns {
                (card("Dead letters by cause", &html! { a href={ "/dead-letters" (visitor.choice()) } { "all groups" } }, &causes(&groups)))
                (card("Destinations in trouble", &html! { "spared, or waited for" }, &troubled(&trouble, in_trouble, now)))
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

fn tiles(visitor: &Visitor, hour: &Traffic, waiting: &Waiting, dead: u64) -> Markup {
    let now = visitor.now;
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
        (tile("Oldest waiting", &oldest, &html! { (more) (counted(waiting.count, "waits for a retry", "wait for a retry")) }))
        (tile("Dead letters", &html! { a href={ "/dead-letters" (visitor.choice()) } { (count(dead)) } }, &html! { "open" }))
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

/// A destination, what waits for it, and whether it is spared.
#[derive(Clone)]
struct Troubled {
    id: DestinationId,
    url: String,
    count: u64,
    /// When the oldest of what waits was first taken.
    oldest: Option<Timestamp>,
    newest: Option<DeliveryRecord>,
    breaker: Option<Breaker>,
    /// Of the last hour, for webhooks.
    traffic: Option<Traffic>,
}

impl Troubled {
    fn new(id: DestinationId, url: String) -> Self {
        Self {
            id,
            url,
            count: 0,
            oldest: None,
            newest: None,
            breaker: None,
            traffic: None,
        }
    }

    /// Of a callback: many may have one in common, and a breaker with it.
    fn host(&self) -> Option<DestinationId> {
        let newest = self.newest.as_ref()?;
        newest.destination.host_id(&newest.event.project)
    }

    /// The newest come first, as lists have them.
    fn add(&mut self, record: DeliveryRecord) {
        let at = record.created_at;
        self.count += 1;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        self.newest.get_or_insert(record);
    }
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

    fn add(&mut self, record: DeliveryRecord) {
        let at = record.created_at;
        self.count += 1;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        let destination = &record.destination;
        self.by_destination
            .entry(destination.id())
            .or_insert_with(|| Troubled::new(destination.id(), destination.display_url()))
            .add(record);
    }
}

/// The destinations in trouble, and how many there are: those that are spared first, then those that most waits for.
async fn trouble(
    store: &dyn Store,
    project: Option<&ProjectName>,
    waiting: &Waiting,
    breakers: Vec<Breaker>,
    now: Timestamp,
) -> Result<(Vec<Troubled>, usize), StoreError> {
    let mut all = waiting.by_destination.clone();
    // Nothing need wait for one that is spared: what was never attempted is not in the log yet.
    let by_id = |breaker: Breaker| (breaker.destination.clone(), breaker);
    let mut unseen: HashMap<_, _> = breakers.into_iter().map(by_id).collect();
    let mut hosts = HashSet::new();
    for known in all.values_mut() {
        known.breaker = unseen.remove(&known.id).or_else(|| {
            let host = known.host()?;
            let breaker = unseen.get(&host).cloned()?;
            hosts.insert(host);
            Some(breaker)
        });
    }
    unseen.retain(|id, _| !hosts.contains(id));
    let count = match project {
        Some(project) if !unseen.is_empty() => {
            for webhook in store.webhooks(project).await?.entries {
                let id = DestinationId::webhook(&webhook.id);
                if let Some(breaker) = unseen.remove(&id) {
                    all.insert(id, spared(&webhook, breaker));
                }
            }
            all.len()
        }
        // Others' are nobody else's business.
        Some(_) => all.len(),
        None => {
            let count = all.len() + unseen.len();
            let mut unseen: Vec<_> = unseen.into_values().collect();
            unseen.sort_by_key(|breaker| breaker.opened_at);
            unseen.truncate(IN_TROUBLE);
            for breaker in unseen {
                // A callback has no record; what waits for it has its URL.
                let id: Option<WebhookId> = breaker.destination.as_str().parse().ok();
                let Some(id) = id else { continue };
                let found = match store.webhook(&id).await {
                    // The list of webhooks names it; what else is in trouble is shown all the same.
                    Err(failure) => failure.into_damaged().map(|_| None)?,
                    found => found?,
                };
                if let Some(webhook) = found {
                    all.insert(breaker.destination.clone(), spared(&webhook, breaker));
                }
            }
            count
        }
    };
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by(|a, b| {
        let is_well = |troubled: &Troubled| troubled.breaker.is_none();
        is_well(a)
            .cmp(&is_well(b))
            .then(b.count.cmp(&a.count))
            .then(a.oldest.cmp(&b.oldest))
    });
    all.truncate(IN_TROUBLE);
    let look = all.into_iter().map(async |mut troubled: Troubled| {
        if troubled.id.as_str().starts_with("whk_") {
            let of = TrafficOf::Destination(troubled.id.clone());
            let points = store.traffic(&of, TrafficStep::Minute, now).await?;
            troubled.traffic = Some(sum(&points[points.len().saturating_sub(60)..]));
        }
        Ok::<_, StoreError>(troubled)
    });
    Ok((try_join_all(look).await?, count))
}

fn spared(webhook: &Webhook, breaker: Breaker) -> Troubled {
    let id = DestinationId::webhook(&webhook.id);
    let mut spared = Troubled::new(id, webhook.display_url());
    spared.breaker = Some(breaker);
    spared
}

fn troubled(trouble: &[Troubled], count_of_all: usize, now: Timestamp) -> Markup {
    if trouble.is_empty() {
        return empty(
            "No destination is in trouble",
            &html! { "Nothing waits for a retry, and none is spared." },
        );
    }
    html! {
        div.pad {
            ul.ranked {
                @for troubled in trouble { li { (troubled_line(troubled, now)) } }
            }
            @if count_of_all > trouble.len() {
                p.small.soft { "and " (count((count_of_all - trouble.len()) as u64)) " more" }
            }
        }
    }
}

fn troubled_line(troubled: &Troubled, now: Timestamp) -> Markup {
    let id = &troubled.id;
    // What is in trouble with nothing waiting is looked at where it is told why.
    let path = if troubled.count > 0 {
        format!("/deliveries?state=waiting&destination={id}")
    } else {
        format!("/webhooks/{id}")
    };
    html! {
        div.line {
            a href=(path) { (short_url(&troubled.url)) }
            span.nowrap {
                @if let Some(breaker) = &troubled.breaker { (breaker_badge(breaker)) " " }
                @if troubled.count > 0 { strong { (count(troubled.count)) } }
            }
        }
        div.small.soft { (trouble_words(troubled, now).join(" · ")) }
    }
}

/// What there is to say of a destination in trouble.
fn trouble_words(troubled: &Troubled, now: Timestamp) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(breaker) = &troubled.breaker {
        let long = distance(now.duration_since(breaker.opened_at).unsigned_abs());
        words.push(match breaker.state {
            BreakerState::Open { next_probe_at, .. } => {
                format!("spared for {long}, {}", next_probe(next_probe_at, now))
            }
            BreakerState::Recovering { since } => {
                format!("was down, a probe was accepted {}", ago(since, now))
            }
        });
    }
    let newest = troubled.newest.as_ref();
    if let Some(last) = newest.and_then(|newest| newest.attempts.last()) {
        let when = ago(last.started_at, now);
        words.push(format!("last: {}, {when}", last.outcome));
    }
    if let Some(oldest) = troubled.oldest {
        words.push(format!(
            "oldest waits since {}",
            oldest.strftime("%H:%M UTC")
        ));
    }
    if let Some(traffic) = troubled.traffic {
        words.push(match traffic.success_share() {
            Some(part) => format!("{} delivered in the last hour", share(part)),
            None => "nothing came to an end in the last hour".to_owned(),
        });
    }
    words
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
                p.small.soft { "and " (counted(list.group_count - list.groups.len() as u64, "more group", "more groups")) }
            }
        }
    }
}
