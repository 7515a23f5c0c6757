//! Forgets what is too old, and of the log what is too much, a little at a time.

use super::{
    dead_letters,
    events::{Mark, Moment},
    plans::{PlanRecord, forget_entries},
    record::Record,
    traffic,
};
use crate::{Settings, tables::Tables};
use redb::{ReadableTable, ReadableTableMetadata};
use ringback_delivery::port::Clock;
use ringback_domain::Timestamp;
use std::{ops::Bound, sync::Arc, time::Duration};

/// Entries of each kind forgotten in one transaction: it must not hold up deliveries that anybody would notice.
const FORGET_MAX: usize = 500;
/// Entries of each kind looked at in one transaction.
const LOOK_AT_MAX: usize = 5_000;

/// Remembers how far it came.
pub(crate) struct Keeper {
    settings: Settings,
    clock: Arc<dyn Clock>,
    marks_after: Option<(String, String)>,
    moments_after: Option<(String, String)>,
    deliveries_after: u64,
}

/// What one sweep did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Entries changed or removed.
    pub(crate) forgotten: usize,
    /// Whether there is, or may be, more to do at once.
    pub(crate) more: bool,
}

impl Keeper {
    pub(crate) fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            settings,
            clock,
            marks_after: None,
            moments_after: None,
            deliveries_after: 0,
        }
    }

    pub(crate) fn sweep(&mut self, tables: &mut Tables<'_>) -> Result<Swept, redb::Error> {
        let now = self.clock.now();
        let sweeps = [
            self.sweep_dead_letters(tables, now)?,
            self.sweep_deliveries(tables, now)?,
            self.sweep_marks(tables, now)?,
            self.sweep_moments(tables, now)?,
            sweep_traffic(tables, now)?,
            self.sweep_plans(tables, now)?,
        ];
        Ok(Swept {
            forgotten: sweeps.iter().map(|swept| swept.forgotten).sum(),
            more: sweeps.iter().any(|swept| swept.more),
        })
    }

    /// Those past their retention, and no others: how many there are is for people to act on.
    fn sweep_dead_letters(
        &self,
        tables: &mut Tables<'_>,
        now: Timestamp,
    ) -> Result<Swept, redb::Error> {
        let kept_since = before(now, self.settings.dead_letter_retention).as_nanosecond();
        let mut doomed = Vec::new();
        for entry in tables
            .dead_letter_terms()?
            .range(..(kept_since, 0))?
            .take(FORGET_MAX)
        {
            doomed.push(entry?.0.value());
        }
        for key in &doomed {
            dead_letters::forget(tables, *key)?;
        }
        Ok(Swept {
            forgotten: doomed.len(),
            more: doomed.len() == FORGET_MAX,
        })
    }

    /// The oldest final ones beyond the limit. Within the idempotency window their claims are kept: what was delivered must not be
    /// delivered again.
    fn sweep_deliveries(
        &mut self,
        tables: &mut Tables<'_>,
        now: Timestamp,
    ) -> Result<Swept, redb::Error> {
        let deliveries = tables.deliveries()?;
        let too_many = deliveries
            .len()?
            .saturating_sub(self.settings.deliveries_max);
        if too_many == 0 {
            self.deliveries_after = 0;
            return Ok(Swept::default());
        }
        let window_began = before(now, self.settings.idempotency_window);
        let newest_kept = usize::try_from(self.settings.deliveries_max).unwrap_or(usize::MAX);
        let end = deliveries.iter()?.rev().nth(newest_kept).transpose()?;
        let end = end.map_or(0, |(number, _)| number.value());

        let mut looked_at = 0;
        let mut changes = Vec::new();
        for entry in
            deliveries.range((Bound::Excluded(self.deliveries_after), Bound::Included(end)))?
        {
            let (number, bytes) = entry?;
            looked_at += 1;
            self.deliveries_after = number.value();
            if let Some(record) = Record::decode(bytes.value())
                && record.now.state.is_final()
            {
                let is_past = record.updated_at < window_began;
                if is_past || !record.head.is_empty() {
                    changes.push((number.value(), record, is_past));
                }
            }
            if changes.len() == FORGET_MAX || looked_at == LOOK_AT_MAX {
                break;
            }
        }
        let is_through = looked_at < LOOK_AT_MAX && changes.len() < FORGET_MAX;
        let forgotten = changes.len();
        for (number, mut record, is_past) in changes {
            if is_past {
                tables.delivery_numbers()?.remove(record.id.as_str())?;
                tables.deliveries()?.remove(number)?;
            } else {
                record.forget_details();
                tables.deliveries()?.insert(number, &*record.encode())?;
            }
        }
        if is_through {
            self.deliveries_after = 0;
        }
        Ok(Swept {
            forgotten,
            more: !is_through,
        })
    }

    /// Plans are kept as long as dead letters, since they last changed; their chunks since they were written, for then all that
    /// they name is gone.
    fn sweep_plans(&self, tables: &mut Tables<'_>, now: Timestamp) -> Result<Swept, redb::Error> {
        let kept_since = before(now, self.settings.dead_letter_retention);
        let is_past = |moment: Option<Timestamp>| moment.is_none_or(|moment| moment < kept_since);
        let mut plans = Vec::new();
        for entry in tables.plans()?.iter()? {
            let (id, bytes) = entry?;
            let record = PlanRecord::decode(bytes.value());
            if is_past(record.map(|record| record.updated_at)) && plans.len() < FORGET_MAX {
                plans.push(id.value().to_owned());
            }
        }
        let mut lists = Vec::new();
        for entry in tables.plan_lists()?.iter()? {
            let (id, written_at) = entry?;
            if written_at.value() < kept_since.as_second() {
                lists.push(id.value().to_owned());
            }
        }
        for id in &plans {
            tables.plans()?.remove(id.as_str())?;
        }
        let mut forgotten = 0;
        for plan in &lists {
            forgotten += forget_entries(tables, plan, FORGET_MAX - forgotten)?;
            if forgotten == FORGET_MAX {
                break;
            }
        }
        Ok(Swept {
            forgotten: plans.len() + lists.len().max(forgotten),
            more: plans.len() == FORGET_MAX || forgotten == FORGET_MAX,
        })
    }

    /// Those past the window.
    fn sweep_marks(
        &mut self,
        tables: &mut Tables<'_>,
        now: Timestamp,
    ) -> Result<Swept, redb::Error> {
        let kept_since = before(now, self.settings.idempotency_window);
        let is_old =
            |bytes: &[u8]| Mark::decode(bytes).is_none_or(|mark| mark.marked_at <= kept_since);
        sweep_events(tables.event_marks()?, &mut self.marks_after, is_old)
    }

    /// The same.
    fn sweep_moments(
        &mut self,
        tables: &mut Tables<'_>,
        now: Timestamp,
    ) -> Result<Swept, redb::Error> {
        let kept_since = before(now, self.settings.idempotency_window);
        let is_old =
            |bytes: &[u8]| Moment::decode(bytes).is_none_or(|kept| kept.kept_at <= kept_since);
        sweep_events(tables.event_moments()?, &mut self.moments_after, is_old)
    }
}

/// What is old of a table by project and event, found by walking around the whole of it.
fn sweep_events(
    table: &mut redb::Table<'_, (&'static str, &'static str), &'static [u8]>,
    after: &mut Option<(String, String)>,
    is_old: impl Fn(&[u8]) -> bool,
) -> Result<Swept, redb::Error> {
    let mut looked_at = 0;
    let mut doomed = Vec::new();
    let start = match &*after {
        Some((project, id)) => Bound::Excluded((project.as_str(), id.as_str())),
        None => Bound::Unbounded,
    };
    let mut last = None;
    for entry in table.range::<(&str, &str)>((start, Bound::Unbounded))? {
        let (key, bytes) = entry?;
        let key = (key.value().0.to_owned(), key.value().1.to_owned());
        looked_at += 1;
        if is_old(bytes.value()) {
            doomed.push(key.clone());
        }
        last = Some(key);
        if doomed.len() == FORGET_MAX || looked_at == LOOK_AT_MAX {
            break;
        }
    }
    let is_through = doomed.len() < FORGET_MAX && looked_at < LOOK_AT_MAX;
    *after = last.filter(|_| !is_through);
    for (project, id) in &doomed {
        table.remove((project.as_str(), id.as_str()))?;
    }
    Ok(Swept {
        forgotten: doomed.len(),
        more: doomed.len() == FORGET_MAX,
    })
}

/// Steps no longer kept.
fn sweep_traffic(tables: &mut Tables<'_>, now: Timestamp) -> Result<Swept, redb::Error> {
    let forgotten = traffic::sweep(tables, now, FORGET_MAX)?;
    Ok(Swept {
        forgotten,
        more: forgotten == FORGET_MAX,
    })
}

/// So long ago; the beginning of time when that is longer ago still.
pub(super) fn before(now: Timestamp, ago: Duration) -> Timestamp {
    now.checked_sub(ago).unwrap_or(Timestamp::MIN)
}
