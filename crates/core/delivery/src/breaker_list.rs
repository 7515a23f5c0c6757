//! Breakers as a list: which destinations are spared, and whose they are.
//!
//! A breaker knows its destination only. A webhook's project and URL are the webhook's; a callback has no record, nor has the
//! host of a project's callbacks, and what waits there in the log of deliveries tells its URL.

use crate::port::{Cursor, DamagedRecord, DeliveryFilter, Page, Store, StoreError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ringback_domain::{
    Breaker, DeliveryRecord, DestinationId, ProjectName, Timestamp, WebhookId,
    limits::PAGE_ENTRIES_MAX,
};
use std::collections::{HashMap, HashSet};

/// Pages of waiting deliveries that are looked through for callbacks, the newest first.
const WAITING_PAGES_MAX: usize = 4;
/// Webhooks that are read at once.
const READS_MAX: usize = 16;

/// A breaker, and what is known of its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBreaker {
    /// The breaker.
    pub breaker: Breaker,
    /// Whose webhook it is, or whose callbacks go to the host; `None` for a callback, since several projects may have its URL.
    pub project: Option<ProjectName>,
    /// Without what may be secret in it; `None` for a callback or a host that nothing found waits for.
    pub url: Option<String>,
}

/// Breakers that say something now, those open for longest first: all, or those of a project's webhooks, and of callbacks and
/// hosts that something of the project waits for.
///
/// # Errors
///
/// When the store does not answer, or the cursor is not from this list.
pub async fn list_breakers(
    store: &dyn Store,
    project: Option<&ProjectName>,
    after: Option<&Cursor>,
    limit: usize,
    now: Timestamp,
) -> Result<Page<ListedBreaker>, StoreError> {
    let mut breakers = store.breakers().await?;
    breakers.retain(|breaker| says_something(breaker, now));
    let mut callbacks = None;
    if let Some(project) = project {
        let webhooks = store.webhooks(project).await?;
        let own: HashSet<_> = webhooks
            .entries
            .iter()
            .map(|webhook| DestinationId::webhook(&webhook.id))
            .collect();
        breakers.retain(|breaker| is_callback(breaker) || own.contains(&breaker.destination));
        let found = callbacks_waited_for(store, Some(project), &breakers).await?;
        breakers
            .retain(|breaker| !is_callback(breaker) || found.contains_key(&breaker.destination));
        callbacks = Some(found);
    }
    let page = page_by_place(breakers, after, limit, |breaker| {
        (breaker.opened_at, breaker.destination.as_str())
    })?;
    let callbacks = match callbacks {
        Some(found) => found,
        None => callbacks_waited_for(store, None, &page.entries).await?,
    };
    let listed = stream::iter(page.entries)
        .map(|breaker| listed(store, &callbacks, breaker))
        .buffered(READS_MAX)
        .try_collect();
    Ok(Page::new(listed.await?, page.next))
}

/// The breaker that a delivery meets on its way, with what is known of its place; an open one before one that recovers.
///
/// # Errors
///
/// When the store does not answer.
pub async fn breaker_before(
    store: &dyn Store,
    record: &DeliveryRecord,
    now: Timestamp,
) -> Result<Option<ListedBreaker>, StoreError> {
    let (destination, project) = (&record.destination, &record.event.project);
    let (own, host) = (destination.id(), destination.host_id(project));
    let mut breakers = store.breakers().await?;
    breakers.retain(|breaker| {
        let is_met = breaker.destination == own || Some(&breaker.destination) == host.as_ref();
        is_met && says_something(breaker, now)
    });
    let met = breakers.into_iter().max_by_key(Breaker::is_open);
    Ok(met.map(|breaker| {
        let is_of_host = breaker.destination != own;
        let is_of_project = is_of_host || !is_callback(&breaker);
        ListedBreaker {
            breaker,
            project: is_of_project.then(|| project.clone()),
            url: Some(if is_of_host {
                destination.url().origin().ascii_serialization()
            } else {
                destination.display_url()
            }),
        }
    }))
}

fn says_something(breaker: &Breaker, now: Timestamp) -> bool {
    !breaker.is_stale(now) && !breaker.is_over(now)
}

/// Removes all breakers, for a worker that goes by none: they would be listed as if they kept something back. How many there were.
///
/// # Errors
///
/// When the store does not answer.
pub async fn lift_breakers(store: &dyn Store) -> Result<usize, StoreError> {
    let breakers = store.breakers().await?;
    for breaker in &breakers {
        // One that has changed meanwhile is somebody's who goes by it.
        store.remove_breaker(breaker).await?;
    }
    Ok(breakers.len())
}

/// A piece of a list that is whole in memory, by the moment and id of its entries: one that is removed leaves its place
/// behind.
///
/// # Errors
///
/// When the cursor is not from such a list.
pub fn page_by_place<E>(
    mut entries: Vec<E>,
    after: Option<&Cursor>,
    limit: usize,
    place: impl Fn(&E) -> (Timestamp, &str),
) -> Result<Page<E>, StoreError> {
    if let Some(Cursor(text)) = after {
        let (moment, id) = read_place(text).ok_or(StoreError::BadCursor)?;
        entries.retain(|entry| place(entry) > (moment, id));
    }
    entries.sort_unstable_by(|one, other| place(one).cmp(&place(other)));
    let is_whole = entries.len() <= limit;
    entries.truncate(limit);
    let last = entries.last().filter(|_| !is_whole).map(&place);
    let next = last.map(|(moment, id)| Cursor(format!("{}_{id}", moment.as_nanosecond())));
    Ok(Page::new(entries, next))
}

fn read_place(cursor: &str) -> Option<(Timestamp, &str)> {
    let (moment, id) = cursor.split_once('_')?;
    let moment = Timestamp::from_nanosecond(moment.parse().ok()?).ok()?;
    Some((moment, id))
}

fn is_callback(breaker: &Breaker) -> bool {
    webhook_of(breaker).is_none()
}

/// The prefix tells them apart; any word may be an id.
fn webhook_of(breaker: &Breaker) -> Option<WebhookId> {
    let id = breaker.destination.as_str();
    id.starts_with("whk_").then(|| id.parse().ok())?
}

/// What waiting deliveries tell of a callback or a host.
struct Waited {
    project: Option<ProjectName>,
    url: String,
}

/// The callbacks and hosts of these breakers, as far as what waits for them tells of them.
async fn callbacks_waited_for(
    store: &dyn Store,
    project: Option<&ProjectName>,
    breakers: &[Breaker],
) -> Result<HashMap<DestinationId, Waited>, StoreError> {
    let mut unseen: HashSet<_> = breakers
        .iter()
        .filter(|breaker| is_callback(breaker))
        .map(|breaker| &breaker.destination)
        .collect();
    let filter = DeliveryFilter {
        project: project.cloned(),
        state: Some("waiting".to_owned()),
        ..DeliveryFilter::default()
    };
    let mut found = HashMap::new();
    let mut cursor = None;
    for _ in 0..WAITING_PAGES_MAX {
        if unseen.is_empty() {
            break;
        }
        let page = store
            .deliveries(&filter, cursor.as_ref(), PAGE_ENTRIES_MAX)
            .await?;
        for record in page.entries {
            let (destination, project) = (&record.destination, &record.event.project);
            let id = destination.id();
            if unseen.remove(&id) {
                let url = destination.display_url();
                found.insert(id, Waited { project: None, url });
            }
            if let Some(id) = destination.host_id(project)
                && unseen.remove(&id)
            {
                let url = destination.url().origin().ascii_serialization();
                let project = Some(project.clone());
                found.insert(id, Waited { project, url });
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn listed(
    store: &dyn Store,
    callbacks: &HashMap<DestinationId, Waited>,
    breaker: Breaker,
) -> Result<ListedBreaker, StoreError> {
    let webhook = match webhook_of(&breaker) {
        // Of one that is damaged there is still its id.
        Some(id) => DamagedRecord::apart(store.webhook(&id).await)?
            .ok()
            .flatten(),
        None => None,
    };
    let (project, url) = match (webhook, callbacks.get(&breaker.destination)) {
        (Some(webhook), _) => (Some(webhook.project.clone()), Some(webhook.display_url())),
        (None, Some(waited)) => (waited.project.clone(), Some(waited.url.clone())),
        (None, None) => (None, None),
    };
    Ok(ListedBreaker {
        breaker,
        project,
        url,
    })
}
