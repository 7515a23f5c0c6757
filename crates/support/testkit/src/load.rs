//! Many dead letters, and what lists of them cost: for the figures in `docs/store.md`.

use crate::samples;
use futures_util::{StreamExt, TryStreamExt, stream};
use ringback_delivery::{
    port::{DeadLetterFilter, DeadLetterMark, GroupFilter, GroupOrder, Store, StoreError},
    search_dead_letters,
};
use ringback_domain::{DeadLetterReason, ProjectName};
use std::time::Duration;
use tokio::time::Instant;

/// Webhooks that fail, each of a project of its own.
const PROJECTS: usize = 500;
/// Writes under way at once.
const WRITES_MAX: usize = 64;
/// How often each question is asked; the middle answer counts.
const ASKED: usize = 5;

/// A question and how long its answer took.
pub struct Measured {
    /// The question.
    pub name: &'static str,
    /// How many entries came.
    pub entries: usize,
    /// The time that the middle one of several answers took.
    pub took: Duration,
}

/// Stores so many dead letters, a second apart; returns their projects.
///
/// # Errors
///
/// When the store fails.
pub async fn fill(store: &dyn Store, count: i64) -> Result<Vec<ProjectName>, StoreError> {
    let destinations: Vec<_> = (0..PROJECTS)
        .map(|_| (samples::project(), samples::webhook_destination()))
        .collect();
    let mut places = destinations.iter().cycle();
    let writes = stream::iter(0..count).map(|number| {
        let (project, destination) = places.next().expect("it goes on for ever");
        let delivery = samples::delivery_of(&samples::event_of(project), destination.clone());
        let dead_letter = samples::dead_letter_of(delivery, samples::moment(number));
        async move { store.put_dead_letter(&dead_letter).await }
    });
    writes
        .buffer_unordered(WRITES_MAX)
        .try_for_each(async |()| Ok(()))
        .await?;
    Ok(destinations
        .into_iter()
        .map(|(project, _)| project)
        .collect())
}

/// Asks for pages of 50, of every kind that people ask for.
///
/// # Errors
///
/// When the store fails.
///
/// # Panics
///
/// When nothing was stored before.
pub async fn measure(
    store: &dyn Store,
    projects: &[ProjectName],
) -> Result<Vec<Measured>, StoreError> {
    let any = DeadLetterFilter::default;
    let of_project = DeadLetterFilter {
        project: Some(projects[7].clone()),
        ..any()
    };
    let newest = store.dead_letters(&of_project, None, 1).await?.entries;
    let one = newest.first().expect("there is one");
    let mut causes = Vec::new();
    for group in store
        .dead_letter_groups(&GroupFilter::default(), 50)
        .await?
        .groups
    {
        causes.push(DeadLetterMark::Cause(group.head.cause.fingerprint));
    }
    let filters = [
        ("first page of all", any()),
        ("of one project", of_project.clone()),
        (
            "of one webhook",
            DeadLetterFilter {
                destination: one.delivery().map(|delivery| delivery.destination.id()),
                ..any()
            },
        ),
        (
            "of one cause",
            DeadLetterFilter {
                cause: Some(one.cause.fingerprint.clone()),
                ..any()
            },
        ),
        (
            "of one job",
            DeadLetterFilter {
                job: one.job().cloned(),
                ..any()
            },
        ),
        (
            "of two members that match everything",
            DeadLetterFilter {
                reason: Some(DeadLetterReason::AttemptsExhausted),
                event_type: one.event_type().cloned(),
                ..any()
            },
        ),
        (
            "of members that match nothing",
            DeadLetterFilter {
                reason: Some(DeadLetterReason::Poison),
                ..of_project.clone()
            },
        ),
        (
            "of any of 50 causes",
            DeadLetterFilter {
                any_of: Some(causes),
                ..any()
            },
        ),
        (
            "the oldest",
            DeadLetterFilter {
                until: Some(samples::moment(100)),
                ..any()
            },
        ),
    ];
    let mut measured = Vec::new();
    for (name, filter) in filters {
        let ask = async || Ok(store.dead_letters(&filter, None, 50).await?.entries.len());
        measured.push(middle(name, ask).await?);
    }
    let text = "upstream timed".parse().expect("a text to search for");
    let ask = async || {
        let page = search_dead_letters(store, &any(), &text, None, 50).await?;
        Ok(page.entries.len())
    };
    measured.push(middle("where a text is found", ask).await?);
    for (name, project, order) in [
        ("groups of all, the last first", None, GroupOrder::LastDied),
        ("groups of all, by count", None, GroupOrder::Count),
        (
            "groups of one project",
            Some(projects[7].clone()),
            GroupOrder::LastDied,
        ),
    ] {
        let filter = GroupFilter {
            project,
            order,
            ..GroupFilter::default()
        };
        let ask = async || Ok(store.dead_letter_groups(&filter, 50).await?.groups.len());
        measured.push(middle(name, ask).await?);
    }
    let ask = async || {
        store.dead_letter_count(Some(&projects[7])).await?;
        Ok(1)
    };
    measured.push(middle("open ones of one project, counted", ask).await?);
    let ask = async || {
        store.dead_letter_usage().await?;
        Ok(1)
    };
    measured.push(middle("what all of them take", ask).await?);
    Ok(measured)
}

async fn middle(
    name: &'static str,
    mut ask: impl AsyncFnMut() -> Result<usize, StoreError>,
) -> Result<Measured, StoreError> {
    let mut times = Vec::new();
    let mut entries = 0;
    for _ in 0..ASKED {
        let began = Instant::now();
        entries = ask().await?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(Measured {
        name,
        entries,
        took: times[ASKED / 2],
    })
}
