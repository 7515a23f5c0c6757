//! What nobody tells by itself: how much waits and for how long, dead letters, breakers, clocks.

use super::{observer::Claims, queue::QueueMeters};
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
/// not due before what was last taken from it; and it came after a look, once all that was there then has been done.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    /// What was there at a look, and is not done whole.
    ahead: Option<Ahead>,
    /// Nothing is left of an earlier look, and what came after that was not due before this.
    later_due_ms: Option<i64>,
}

/// What was in the queue, and in this process's hands, at one look.
#[derive(Debug, Clone, Copy)]
struct Ahead {
    seen_at_ms: i64,
    later_due_ms: i64,
    /// Nothing is left of it once so many were done. Others may take of it, too: then sooner than this process knows.
    done_until: u64,
}

/// What one look at a queue shows.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// From before the queue was asked.
    at_ms: i64,
    /// What comes later was not due before this.
    later_due_ms: i64,
    /// In the queue, or buffered for this process.
    waiting: u64,
    /// In the hands of this process.
    in_hand: u64,
    /// Acknowledged by this process, ever.
    done: u64,
    last_due_ms: Option<i64>,
}

impl Head {
    /// At most that old; or, before anything is known of what waits but since when it was seen, at least.
    fn age_ms(&mut self, look: Look, now_ms: i64) -> i64 {
        let is_gone = |ahead: &mut Ahead| look.done >= ahead.done_until;
        if let Some(ahead) = self.ahead.take_if(is_gone) {
            self.later_due_ms = Some(ahead.later_due_ms);
        }
        if look.waiting == 0 {
            self.ahead = None;
            self.later_due_ms = Some(look.later_due_ms);
            return 0;
        }
        let ahead = *self.ahead.get_or_insert(Ahead {
            seen_at_ms: look.at_ms,
            later_due_ms: look.later_due_ms,
            done_until: look.done + look.waiting + look.in_hand,
        });
        let not_before_ms = self.later_due_ms.max(look.last_due_ms);
        (now_ms - not_before_ms.unwrap_or(ahead.seen_at_ms)).max(0)
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
        Rounds {
            heads: [Head::default(); 4],
            number: 0,
        }
    }

    /// One round.
    pub async fn collect(&self, rounds: &mut Rounds) {
        let asked_at_ms = self.clock.now().as_millisecond();
        let (depths, store) = tokio::join!(
            timeout(ANSWER_WITHIN, self.queue.depths()),
            timeout(ANSWER_WITHIN, self.read_store())
        );
        let depths = depths.ok().and_then(Result::ok);
        self.meters.read(
            "queue",
            self.of_queue(depths.as_deref(), rounds, asked_at_ms),
        );
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

    fn of_queue(
        &self,
        depths: Option<&[Depth]>,
        rounds: &mut Rounds,
        asked_at_ms: i64,
    ) -> Vec<Reading> {
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
        if let Some(age) = self.oldest_due_age(depths, rounds, asked_at_ms) {
            readings.push(seconds(Metric::OldestDueAge, age));
        }
        readings
    }

    /// Only a process that takes deliveries can tell.
    fn oldest_due_age(
        &self,
        depths: &[Depth],
        rounds: &mut Rounds,
        asked_at_ms: i64,
    ) -> Option<Duration> {
        let now_ms = self.clock.now().as_millisecond();
        // Deliveries come to the main lane when they are due, and to the slow lane from the main lane's head.
        let mut later_due_ms = asked_at_ms;
        let mut oldest_ms = None;
        for (meters, head) in self.queue_meters.taken.iter().zip(&mut rounds.heads) {
            let depth = depths.iter().find(|depth| depth.queue == meters.queue);
            let (QueueName::Deliveries(_), true, Some(depth)) =
                (meters.queue, meters.takes(), depth)
            else {
                continue;
            };
            let in_hand = meters.in_hand();
            let look = Look {
                at_ms: asked_at_ms,
                later_due_ms,
                waiting: depth.waiting + depth.unacknowledged.saturating_sub(in_hand),
                in_hand,
                // Last: what is done meanwhile is counted twice rather than not at all.
                done: meters.done(),
                last_due_ms: meters.last_due_ms(),
            };
            let age_ms = head.age_ms(look, now_ms);
            later_due_ms = asked_at_ms.min(now_ms - age_ms);
            oldest_ms = oldest_ms.max(Some(age_ms));
        }
        let oldest_ms = u64::try_from(oldest_ms?).unwrap_or(0);
        Some(Duration::from_millis(oldest_ms))
    }

    async fn read_store(&self) -> Result<Vec<Reading>, StoreError> {
        let health = self.store.health().await?;
        let mut breakers = self.store.breakers().await?;
        let now = self.clock.now();
        breakers.retain(|breaker| !breaker.is_stale(now));
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

    const HOUR_MS: i64 = 3_600_000;

    fn look(at_ms: i64, waiting: u64, done: u64, last_due_ms: Option<i64>) -> Look {
        Look {
            at_ms,
            later_due_ms: at_ms,
            waiting,
            in_hand: 0,
            done,
            last_due_ms,
        }
    }

    fn ages<const N: usize>(looks: [Look; N]) -> [i64; N] {
        let mut head = Head::default();
        looks.map(|look| head.age_ms(look, look.at_ms))
    }

    #[test]
    fn the_head_of_a_queue_is_no_older_than_what_was_taken_before_it_or_its_last_emptiness() {
        let ages = ages([
            look(10_000, 0, 0, None),
            // Nothing was taken since it was empty: all that waits came after that.
            look(25_000, 5, 0, None),
            // The one last taken was due at 20 s, so those behind it were not due before.
            look(40_000, 5, 1, Some(20_000)),
            // Empty in between: what was taken an hour ago says nothing any more.
            look(55_000, 0, 6, Some(20_000)),
            look(70_000, 1, 6, Some(20_000)),
            // A clock behind the one that dated it.
            look(85_000, 1, 7, Some(90_000)),
        ]);
        assert_eq!(ages, [0, 15_000, 20_000, 0, 15_000, 0]);
    }

    #[test]
    fn what_waited_before_a_process_began_is_as_old_as_the_first_taken_of_it() {
        let ages = ages([
            // Two hours of backlog, of which nothing is known but that it is there.
            look(2 * HOUR_MS, 900, 0, None),
            // The last one taken was due after a minute: those behind it have waited for two hours at most.
            look(2 * HOUR_MS + 15_000, 880, 20, Some(60_000)),
            look(2 * HOUR_MS + 30_000, 500, 400, Some(HOUR_MS)),
        ]);
        assert_eq!(ages, [0, 2 * HOUR_MS - 45_000, HOUR_MS + 30_000]);
    }

    #[test]
    fn what_nobody_takes_has_waited_at_least_since_it_was_first_seen() {
        let ages = ages([
            look(1_000, 3, 0, None),
            look(16_000, 3, 0, None),
            look(31_000, 9, 0, None),
        ]);
        assert_eq!(ages, [0, 15_000, 30_000]);
    }

    #[test]
    fn what_came_after_all_that_was_seen_was_done_is_no_older_than_that_look() {
        let ages = ages([
            // An hour old, and another one in hand that is as old.
            Look {
                in_hand: 1,
                ..look(HOUR_MS, 1, 7, Some(0))
            },
            // One of them is done. The other may be what waits.
            look(HOUR_MS + 15_000, 1, 8, Some(0)),
            // Both are: what waits now came after the first look.
            look(HOUR_MS + 30_000, 4, 9, Some(0)),
            // And so on from the look before.
            look(HOUR_MS + 45_000, 4, 13, Some(0)),
        ]);
        assert_eq!(ages, [HOUR_MS, HOUR_MS + 15_000, 30_000, 15_000]);
    }

    #[test]
    fn what_comes_from_another_lane_may_have_waited_there() {
        let ages = ages([
            // Empty, while the head of the main lane is an hour old.
            Look {
                later_due_ms: 0,
                ..look(HOUR_MS, 0, 0, None)
            },
            look(HOUR_MS + 15_000, 2, 0, None),
        ]);
        assert_eq!(ages, [0, HOUR_MS + 15_000]);
    }
}
