//! What groups of dead letters are of their destinations' traffic.

use crate::port::{Store, StoreError};
use futures_util::{StreamExt, TryStreamExt, stream};
use ringback_domain::{DeadLetterGroup, Timestamp, Traffic, TrafficOf, TrafficStep};
use std::collections::{HashMap, HashSet};

/// Destinations whose traffic is read at once.
const READS_MAX: usize = 16;

/// Each group's [share](DeadLetterGroup::share_of) of its destination's traffic, in their order; nothing where that is not
/// known.
///
/// # Errors
///
/// When the store does not answer.
pub async fn shares_of_traffic(
    store: &dyn Store,
    groups: &[DeadLetterGroup],
    now: Timestamp,
) -> Result<Vec<Option<f64>>, StoreError> {
    let traffic = traffic_since_groups(store, groups, now).await?;
    let both = groups.iter().zip(traffic);
    Ok(both
        .map(|(group, traffic)| group.share_of(traffic?))
        .collect())
}

/// What each group's destination was sent since the first of it was given up, in their order; nothing for what is no
/// delivery. The traffic of a destination is read once for each step, however many groups it has.
///
/// # Errors
///
/// When the store does not answer.
pub async fn traffic_since_groups(
    store: &dyn Store,
    groups: &[DeadLetterGroup],
    now: Timestamp,
) -> Result<Vec<Option<Traffic>>, StoreError> {
    let asked = |group: &DeadLetterGroup| Some((group.traffic_of()?, group.step_of_traffic(now)));
    let reads: HashSet<(TrafficOf, TrafficStep)> = groups.iter().filter_map(asked).collect();
    let read = |(of, step): (TrafficOf, TrafficStep)| async move {
        let traffic = store.traffic(&of, step, now).await?;
        Ok::<_, StoreError>(((of, step), traffic))
    };
    let known: HashMap<_, _> = stream::iter(reads)
        .map(read)
        .buffer_unordered(READS_MAX)
        .try_collect()
        .await?;
    let since = |group: &DeadLetterGroup| {
        let read = asked(group)?;
        Some(group.traffic_since(read.1, known.get(&read)?))
    };
    Ok(groups.iter().map(since).collect())
}
