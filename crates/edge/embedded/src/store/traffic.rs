//! Counts of traffic. What one transaction counts is added up before it is written: many settlements go to few destinations.

use super::EmbeddedStore;
use crate::tables::{TRAFFIC, Tables};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable};
use ringback_delivery::port::{Settlement, StoreError, TrafficStore};
use ringback_domain::{Timestamp, Traffic, TrafficOf, TrafficPoint, TrafficStep};

/// What a settlement adds.
pub(super) struct Counted {
    targets: [String; 3],
    at: Timestamp,
    traffic: Traffic,
}

impl Counted {
    pub(super) fn of(settlement: &Settlement<'_>) -> Self {
        let delivery = settlement.delivery;
        let targets = TrafficOf::all_of(&delivery.event.project, &delivery.destination);
        Self {
            targets: targets.map(|of| of.to_string()),
            at: settlement.at,
            traffic: settlement.traffic(),
        }
    }

    pub(super) fn count_in(self, tables: &mut Tables<'_>) {
        if self.traffic.is_zero() {
            return;
        }
        for target in self.targets {
            for step in [TrafficStep::Minute, TrafficStep::Hour] {
                let key = (code(step), step.number_of(self.at), target.clone());
                *tables.counted.entry(key).or_default() += self.traffic;
            }
        }
    }
}

fn code(step: TrafficStep) -> u8 {
    match step {
        TrafficStep::Minute => 0,
        TrafficStep::Hour => 1,
    }
}

/// Writes what the transaction counted.
pub(crate) fn write_counted(tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    let counted = std::mem::take(&mut tables.counted);
    if counted.is_empty() {
        return Ok(());
    }
    let table = tables.traffic()?;
    for ((step, number, target), more) in counted {
        let key = (step, number, target.as_str());
        let mut traffic = table
            .get(key)?
            .map_or_else(Traffic::default, |before| read(before.value()));
        traffic += more;
        let Traffic {
            delivered,
            failed_attempts,
            dead_lettered,
        } = traffic;
        table.insert(key, (delivered, failed_attempts, dead_lettered))?;
    }
    Ok(())
}

fn read((delivered, failed_attempts, dead_lettered): (u64, u64, u64)) -> Traffic {
    Traffic {
        delivered,
        failed_attempts,
        dead_lettered,
    }
}

/// Forgets steps that are no longer kept, at most so many entries. How many it forgot.
pub(super) fn sweep(
    tables: &mut Tables<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<usize, redb::Error> {
    let mut doomed = Vec::new();
    for step in [TrafficStep::Minute, TrafficStep::Hour] {
        let oldest = step.kept_until(now).next().unwrap_or(0);
        let code = code(step);
        for entry in tables
            .traffic()?
            .range((code, 0, "")..(code, oldest, ""))?
            .take(limit - doomed.len())
        {
            let (entry, _) = entry?;
            let (step, number, target) = entry.value();
            doomed.push((step, number, target.to_owned()));
        }
    }
    let table = tables.traffic()?;
    for (step, number, target) in &doomed {
        table.remove((*step, *number, target.as_str()))?;
    }
    Ok(doomed.len())
}

#[async_trait]
impl TrafficStore for EmbeddedStore {
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: TrafficStep,
        until: Timestamp,
    ) -> Result<Vec<TrafficPoint>, StoreError> {
        let of = of.to_string();
        let look = move |tx: &ReadTransaction| {
            let table = tx.open_table(TRAFFIC)?;
            let mut points = Vec::new();
            for number in step.kept_until(until) {
                let found = table.get((code(step), number, of.as_str()))?;
                points.push(TrafficPoint {
                    at: step.begin_of(number),
                    traffic: found.map(|counts| read(counts.value())).unwrap_or_default(),
                });
            }
            Ok(points)
        };
        self.engine
            .read_long(look)
            .await
            .map_err(|failure| self.error(failure))
    }
}
