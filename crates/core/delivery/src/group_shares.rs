//! What groups of dead letters are of their destinations' traffic.

use crate::port::{Store, StoreError};
use futures_util::{StreamExt, TryStreamExt, stream};
use ringback_domain::{DeadLetterGroup, Timestamp, TrafficOf, TrafficStep};
use std::collections::{HashMap, HashSet};

/// Destinations whose traffic is read at once.
const READS_MAX: usize = 16;

/// Each group's [share](DeadLetterGroup::share_of) of its destination's traffic, in their order; nothing where that is not
/// known. The traffic of a destination is read once, however many groups it has.
///
/// # Errors
///
/// When the store does not answer.
pub async fn shares_of_traffic(
    store: &dyn Store,
    groups: &[DeadLetterGroup],
    now: Timestamp,
) -> Result<Vec<Option<f64>>, StoreError> {
    let asked: HashSet<TrafficOf> = groups
        .iter()
        .filter_map(DeadLetterGroup::traffic_of)
        .collect();
    let read = |of: TrafficOf| async move {
        let traffic = store.traffic(&of, TrafficStep::Hour, now).await?;
        Ok::<_, StoreError>((of, traffic))
    };
    let known: HashMap<_, _> = stream::iter(asked)
        .map(read)
        .buffer_unordered(READS_MAX)
        .try_collect()
        .await?;
    let share = |group: &DeadLetterGroup| group.share_of(known.get(&group.traffic_of()?)?);
    Ok(groups.iter().map(share).collect())
}
