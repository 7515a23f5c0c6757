//! Counts of traffic: each shard counts what it settles.

use crate::{RedisStore, script::READ_TRAFFIC};
use async_trait::async_trait;
use futures_util::future::try_join_all;
use ringback_delivery::port::{Settlement, StoreError, TrafficStore};
use ringback_domain::{Timestamp, Traffic, TrafficOf, TrafficPoint, TrafficStep};
use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
};

/// Steps of one key.
fn steps_per_chunk(step: TrafficStep) -> u32 {
    match step {
        TrafficStep::Minute => 60,
        TrafficStep::Hour => 96,
    }
}

fn letter(step: TrafficStep) -> char {
    match step {
        TrafficStep::Minute => 'm',
        TrafficStep::Hour => 'h',
    }
}

#[async_trait]
impl TrafficStore for RedisStore {
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: TrafficStep,
        until: Timestamp,
    ) -> Result<Vec<TrafficPoint>, StoreError> {
        let per_chunk = steps_per_chunk(step);
        let numbers = step.kept_until(until);
        let chunks: BTreeSet<_> = numbers.clone().map(|number| number / per_chunk).collect();
        let asked = self.keys.shards().map(|shard| {
            let keys: Vec<_> = chunks
                .iter()
                .map(|chunk| shard.traffic(letter(step), *chunk, of))
                .collect();
            async move {
                let mut is_first = true;
                loop {
                    let mut script = READ_TRAFFIC.key(keys.as_slice());
                    if self.connection.is_cluster() {
                        script.key(shard.never());
                    }
                    script.arg(shard.as_str()).arg(keys.len());
                    script.arg(u8::from(is_first));
                    let run = self.connection.run("read traffic", &script);
                    if let Some(answer) = run.await? {
                        return Ok::<Vec<Vec<String>>, StoreError>(answer);
                    }
                    is_first = false;
                }
            }
        });
        let mut counted: HashMap<u32, Traffic> = HashMap::new();
        for answer in try_join_all(asked).await? {
            for (chunk, fields) in chunks.iter().zip(answer) {
                for field in fields.chunks_exact(2) {
                    // What a later release counts is none of ours.
                    if let Some((offset, traffic)) = read_field(&field[0], &field[1]) {
                        *counted.entry(chunk * per_chunk + offset).or_default() += traffic;
                    }
                }
            }
        }
        let points = numbers.map(|number| TrafficPoint {
            at: step.begin_of(number),
            traffic: counted.get(&number).copied().unwrap_or_default(),
        });
        Ok(points.collect())
    }
}

fn read_field(field: &str, count: &str) -> Option<(u32, Traffic)> {
    let (offset, kind) = field.split_at_checked(field.len().checked_sub(1)?)?;
    let (offset, count) = (offset.parse().ok()?, count.parse().ok()?);
    let mut traffic = Traffic::default();
    match kind {
        "d" => traffic.delivered = count,
        "f" => traffic.failed_attempts = count,
        "x" => traffic.dead_lettered = count,
        _ => return None,
    }
    Some((offset, traffic))
}

/// What a settlement adds, as a line for `note_traffic`; empty for nothing.
pub(crate) fn traffic_line(settlement: &Settlement<'_>) -> String {
    let delivery = settlement.delivery;
    let targets = TrafficOf::all_of(&delivery.event.project, &delivery.destination);
    let counted = settlement.traffic();
    if counted == Traffic::default() {
        return String::new();
    }
    let mut line = String::new();
    for step in [TrafficStep::Minute, TrafficStep::Hour] {
        let (number, per_chunk) = (step.number_of(settlement.at), steps_per_chunk(step));
        let (chunk, offset) = (number / per_chunk, number % per_chunk);
        let _ = write!(line, "{}{chunk} {offset} ", letter(step));
    }
    let mut before = '|';
    for of in targets {
        let _ = write!(line, "{before}{of}");
        before = ' ';
    }
    let Traffic {
        delivered,
        failed_attempts,
        dead_lettered,
    } = counted;
    let _ = write!(line, "|{delivered} {failed_attempts} {dead_lettered}");
    line
}
