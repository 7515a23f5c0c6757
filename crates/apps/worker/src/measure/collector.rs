//! What nobody tells by itself: how much waits and for how long, dead letters, breakers, clocks.

use super::{
    observer::Claims,
    queue::{QueueMeters, TakenMeters},
};
use ringback_delivery::port::{
    Clock, Depth, GroupFilter, GroupOrder, Queue, QueueName, Store, StoreError,
};
use ringback_domain::{DeadLetterBudget, limits};
use ringback_telemetry::{Attribute, Meters, Metric, Reading};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Asks queue and store, and sets the gauges.
pub struct Collector {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) meters: Meters,
    pub(super) queue_meters: Arc<QueueMeters>,
    pub(super) claims: Arc<Claims>,
    pub(super) budget: DeadLetterBudget,
}

/// Between two rounds. Each asks the broker about some sixty queues, one by one.
const COLLECT_EVERY: Duration = Duration::from_secs(15);
/// Dead letters are grouped and counted in every so many rounds: they are read by all processes, and change slowly.
const DEAD_LETTERS_EVERY: u32 = 4;
/// How long queue or store may take to answer before it counts as away.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How the age of the oldest due delivery is known although no queue shows it: by order. What is at the head of a queue was
/// not due before what was last taken from it, nor before the queue was last seen empty.
#[derive(Debug, Clone, Copy)]
struct Head {
    empty_at_ms: i64,
}

impl Head {
    fn age_ms(&mut self, is_empty: bool, last_due_ms: Option<i64>, now_ms: i64) -> i64 {
        if is_empty {
            self.empty_at_ms = now_ms;
            return 0;
        }
        let due_ms = self.empty_at_ms.max(last_due_ms.unwrap_or(i64::MIN));
        (now_ms - due_ms).max(0)
    }
}

/// What is remembered between rounds.
pub struct Rounds {
    heads: [Head; 4],
    number: u32,
}

impl Collector {
    /// Asks again and again, for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        let mut rounds = self.rounds();
        loop {
            self.collect(&mut rounds).await;
            self.clock.sleep(COLLECT_EVERY).await;
        }
    }

    /// Before the first round.
    pub fn rounds(&self) -> Rounds {
        let head = Head {
            empty_at_ms: self.clock.now().as_millisecond(),
        };
        Rounds {
            heads: [head; 4],
            number: 0,
        }
    }

    /// One round.
    pub async fn collect(&self, rounds: &mut Rounds) {
        let (depths, store) = tokio::join!(
            timeout(ANSWER_WITHIN, self.queue.depths()),
            timeout(ANSWER_WITHIN, self.read_store())
        );
        let depths = depths.ok().and_then(Result::ok);
        self.meters
            .read("queue", self.of_queue(depths.as_deref(), rounds));
        let store = store.ok().and_then(Result::ok);
        let is_up = u64::from(store.is_some());
        let mut readings = store.unwrap_or_default();
        readings.push(dependency("store", is_up));
        self.meters.read("store", readings);
        if rounds.number.is_multiple_of(DEAD_LETTERS_EVERY) {
            let dead_letters = timeout(ANSWER_WITHIN, self.read_dead_letters()).await;
            let readings = dead_letters.ok().and_then(Result::ok).unwrap_or_default();
            self.meters.read("dead letters", readings);
        }
        let overdue = Reading::count(Metric::ClaimsOverdue, &[], self.claims.overdue());
        self.meters.read("process", vec![overdue]);
        rounds.number = rounds.number.wrapping_add(1);
    }

    fn of_queue(&self, depths: Option<&[Depth]>, rounds: &mut Rounds) -> Vec<Reading> {
        let mut readings = vec![dependency("queue", u64::from(depths.is_some()))];
        if let Some(silence) = self.queue.silence() {
            readings.push(seconds(Metric::BrokerFrameAge, silence));
        }
        if let Some(punctuality) = self.queue.punctuality() {
            let standing = punctuality.standing.len() as u64;
            readings.push(Reading::count(Metric::QueuesStanding, &[], standing));
        }
        let Some(depths) = depths else {
            return readings;
        };
        readings.extend(depths.iter().flat_map(of_depth));
        if let Some(age) = self.oldest_due_age(depths, rounds) {
            readings.push(seconds(Metric::OldestDueAge, age));
        }
        readings
    }

    /// Only a process that takes deliveries can tell.
    fn oldest_due_age(&self, depths: &[Depth], rounds: &mut Rounds) -> Option<Duration> {
        let now_ms = self.clock.now().as_millisecond();
        let taken = self.queue_meters.taken.iter().zip(&mut rounds.heads);
        let ages = taken
            .filter(|(meters, _)| matches!(meters.queue, QueueName::Deliveries(_)))
            .filter(|(meters, _)| meters.takes())
            .filter_map(|(meters, head)| {
                let depth = depths.iter().find(|depth| depth.queue == meters.queue)?;
                Some(head.age_ms(!has_waiting(depth, meters), meters.last_due_ms(), now_ms))
            });
        let age_ms = ages.max()?;
        Some(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)))
    }

    async fn read_store(&self) -> Result<Vec<Reading>, StoreError> {
        let health = self.store.health().await?;
        let breakers = self.store.breakers().await?;
        let usage = self.store.dead_letter_usage().await?;
        let mut readings = Vec::new();
        if let Some(skew_ms) = health.clock_skew_ms {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a skew are few")]
            let skew = skew_ms as f64 / 1000.0;
            readings.push(Reading::new(Metric::StoreClockSkew, &[], skew));
        }
        for (word, is_open) in [("open", true), ("recovering", false)] {
            let count = breakers
                .iter()
                .filter(|breaker| breaker.is_open() == is_open)
                .count();
            let labels = [(Attribute::BreakerState, word)];
            readings.push(Reading::count(Metric::Breakers, &labels, count as u64));
        }
        for (word, used, max) in [
            ("entries", usage.entry_count, self.budget.entries_max),
            ("bytes", usage.bytes, self.budget.bytes_max),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let share = used as f64 / max.max(1) as f64;
            let labels = [(Attribute::BudgetLimit, word)];
            readings.push(Reading::new(Metric::DeadLetterBudgetUsed, &labels, share));
        }
        Ok(readings)
    }

    /// By the reasons of the largest groups; what is in none of them has no reason of its own here.
    async fn read_dead_letters(&self) -> Result<Vec<Reading>, StoreError> {
        let filter = GroupFilter {
            order: GroupOrder::Count,
            ..GroupFilter::default()
        };
        let list = self
            .store
            .dead_letter_groups(&filter, limits::PAGE_ENTRIES_MAX)
            .await?;
        let open = self.store.dead_letter_count(None).await?;
        let mut by_reason: BTreeMap<&'static str, u64> = BTreeMap::new();
        for group in &list.groups {
            *by_reason.entry(group.head.reason.class()).or_default() += group.open_count;
        }
        let grouped: u64 = by_reason.values().sum();
        by_reason.insert("other", open.saturating_sub(grouped));
        let readings = by_reason.into_iter().map(|(reason, count)| {
            Reading::count(
                Metric::DeadLetters,
                &[(Attribute::DeadLetterReason, reason)],
                count,
            )
        });
        Ok(readings.collect())
    }
}

/// Whether anything waits, in the queue or buffered for this process.
fn has_waiting(depth: &Depth, meters: &TakenMeters) -> bool {
    depth.waiting > 0 || depth.unacknowledged > meters.in_hand()
}

fn of_depth(depth: &Depth) -> Vec<Reading> {
    let queue = (Attribute::Queue, depth.queue.as_str());
    let mut readings = vec![Reading::count(
        Metric::QueueMessages,
        &[queue],
        depth.waiting,
    )];
    if let Some(consumers) = depth.consumers {
        readings.push(Reading::count(
            Metric::QueueConsumers,
            &[queue],
            consumers.into(),
        ));
    }
    let backlog = |part, count| {
        Reading::count(
            Metric::Backlog,
            &[queue, (Attribute::BacklogPart, part)],
            count,
        )
    };
    match depth.queue {
        QueueName::Events | QueueName::Deliveries(_) => {
            readings.push(backlog("ready", depth.waiting));
            readings.push(backlog("unacknowledged", depth.unacknowledged));
        }
        QueueName::Delayed => readings.push(backlog("due_soon", depth.due_soon)),
        QueueName::Parked => {}
    }
    readings
}

fn dependency(name: &'static str, is_up: u64) -> Reading {
    Reading::count(
        Metric::DependencyUp,
        &[(Attribute::Dependency, name)],
        is_up,
    )
}

fn seconds(metric: Metric, duration: Duration) -> Reading {
    Reading::new(metric, &[], duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_queue_is_no_older_than_what_was_taken_before_it_or_its_last_emptiness() {
        let mut head = Head { empty_at_ms: 0 };
        assert_eq!(head.age_ms(true, None, 10_000), 0);
        // Nothing was taken since it was empty: all that waits came after that.
        assert_eq!(head.age_ms(false, None, 25_000), 15_000);
        // The one last taken was due at 20 s, so those behind it were not due before.
        assert_eq!(head.age_ms(false, Some(20_000), 40_000), 20_000);
        // Empty in between: what was taken an hour ago says nothing any more.
        assert_eq!(head.age_ms(true, Some(20_000), 55_000), 0);
        assert_eq!(head.age_ms(false, Some(20_000), 70_000), 15_000);
        // A clock behind the one that dated it.
        assert_eq!(head.age_ms(false, Some(90_000), 85_000), 0);
    }
}
