//! Claims and their settlement.

use crate::{
    RedisStore, RedisStoreSettings,
    connection::Connection,
    dead_letters::{letter_args, letter_keys},
    deliveries::LATE,
    error::unreadable,
    gathering::{Call, Gathering, Step},
    key::{SHARDS, Shard, terms},
    script::{CLAIM, SETTLE, SETTLE_DEAD, SHOW_ATTEMPTING, SHOW_WAITING},
    traffic::traffic_line,
};
use async_trait::async_trait;
use redis::ToRedisArgs;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimRequest, ClaimStore, ExpiredClaim, FencingToken, SettleAnswer,
    SettledAs, Settlement, StoreError,
};
use ringback_domain::{DeadLetter, Delivery, DeliveryId, DeliveryState, Timestamp, limits};
use ringback_wire::record;
use std::{sync::Arc, time::Duration};

#[async_trait]
impl ClaimStore for RedisStore {
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<ClaimAnswer, StoreError> {
        let delivery = request.delivery;
        let id = delivery.id.as_str();
        let shard = self.keys.shard_of(id);
        let mut step = Step::new([shard.claim(id)]);
        let generation = delivery.generation.get();
        step.arg(format!("{generation} {}", delivery.attempt))
            .arg(format!("{} {}", request.worker, request.nonce.0))
            .arg(micros(request.lease))
            .arg(first_ms(&self.settings, request.lease));
        let answer: String = self.claiming.run(&shard, step).await?;
        read_answer(delivery, &answer)
            .ok_or_else(|| unreadable("claim", &delivery.id, format!("{answer:?} is no answer")))
    }

    async fn show_attempting(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let id = delivery.id.as_str();
        let shard = self.keys.shard_of(id);
        let keys = [
            shard.claim(id),
            shard.record(id),
            shard.log(),
            shard.never(),
        ];
        let mut script = SHOW_ATTEMPTING.key(keys.as_slice());
        script
            .arg(limit_args(&self.settings))
            .arg(delivery.generation.get())
            .arg(delivery.attempt.get())
            .arg(open_ms(&self.settings))
            .arg(record::encode_record_head(delivery))
            .arg(log_terms(delivery));
        self.connection.run("show an attempt", &script).await
    }

    async fn show_waiting(&self, delivery: &Delivery, until: Timestamp) -> Result<(), StoreError> {
        let id = delivery.id.as_str();
        let shard = self.keys.shard_of(id);
        let mut step = Step::new([shard.claim(id)]);
        step.arg(delivery.generation.get())
            .arg(delivery.attempt.get())
            .arg(record::encode_record_head(delivery))
            .arg(log_terms(delivery))
            .arg(record::encode_state(&DeliveryState::Waiting { until }));
        self.showing_waits.run(&shard, step).await
    }

    async fn settle(&self, settlement: Settlement<'_>) -> Result<SettleAnswer, StoreError> {
        let (claim, delivery) = (settlement.claim, settlement.delivery);
        let id = delivery.id.as_str();
        let shard = self.keys.shard_of(id);
        let (ended_as, state) = ending(settlement.settled_as, settlement.at);
        let (generation, token) = (claim.generation.get(), claim.token.0);
        let mine = format!("{generation} {} {token}", claim.attempt);
        let line = format!("{token}{id} {}\n", log_terms(delivery));
        let settled = format!("{ended_as} {mine} {token}");
        let mut step = Step::new([shard.claim(id)]);
        step.arg(mine)
            .arg(ended_as)
            .arg(line)
            .arg(traffic_line(&settlement))
            .arg(whole_record(&settled, &settlement, &state));
        let answer: String = match settlement.settled_as {
            SettledAs::DeadLettered(dead_letter) => {
                let answer = self.settle_dead(&shard, step, dead_letter).await?;
                self.wait_for_disk(&shard).await?;
                answer
            }
            _ => self.settling.run(&shard, step).await?,
        };
        if let Some(now) = answer.strip_prefix("sort ").and_then(|us| us.parse().ok()) {
            // Boxed: seldom, and large.
            if let Err(error) = Box::pin(self.sort_lines(&shard, now)).await {
                tracing::warn!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not sort the log's new lines, whoever settles the next ones will"
                );
            }
        }
        Ok(match answer.as_str() {
            "stale" => SettleAnswer::Stale,
            _ => SettleAnswer::Settled,
        })
    }
}

/// Where claims come together.
pub(crate) fn claiming(
    settings: &RedisStoreSettings,
    connection: &Arc<Connection>,
) -> Gathering<String> {
    let common = open_ms(settings).to_redis_args();
    let call = Call::Script(&CLAIM);
    Gathering::new("claim", call, common, connection.clone())
}

/// Where settlements come together.
pub(crate) fn settling(
    settings: &RedisStoreSettings,
    connection: &Arc<Connection>,
) -> Gathering<String> {
    Gathering::new(
        SETTLE_STEP,
        Call::WholeScript(&SETTLE),
        settle_args(settings),
        connection.clone(),
    )
}

/// Where deliveries that wait come together, for the log.
pub(crate) fn showing_waits(
    settings: &RedisStoreSettings,
    connection: &Arc<Connection>,
) -> Gathering<()> {
    let mut common = limit_args(settings);
    common.extend(open_ms(settings).to_redis_args());
    let call = Call::WholeScript(&SHOW_WAITING);
    Gathering::new("show a wait", call, common, connection.clone())
}

const SETTLE_STEP: &str = "settle";

/// What settlements have in common.
fn settle_args(settings: &RedisStoreSettings) -> Vec<Vec<u8>> {
    let mut args = limit_args(settings);
    args.extend((open_ms(settings), limits::HISTORY_MAX).to_redis_args());
    args
}

/// What `limits_of` reads.
pub(crate) fn limit_args(settings: &RedisStoreSettings) -> Vec<Vec<u8>> {
    (
        log_entries_max(settings),
        final_ms(settings),
        lines_per_block(settings),
    )
        .to_redis_args()
}

/// A record in one piece, after the claim: when it was changed, its state, its head, and the newest attempts, a line each.
fn whole_record(claim: &str, settlement: &Settlement<'_>, state: &DeliveryState) -> Vec<u8> {
    let mut record = format!(
        "{claim}\n{}\n{}\n",
        settlement.at.as_nanosecond(),
        record::encode_state(state)
    )
    .into_bytes();
    record.extend(record::encode_record_head(settlement.delivery));
    record.push(b'\n');
    let older = settlement
        .attempts
        .len()
        .saturating_sub(limits::HISTORY_MAX);
    for attempt in &settlement.attempts[older..] {
        record.extend(record::encode_attempt(attempt));
        record.push(b'\n');
    }
    record
}

/// Of one shard.
pub(crate) fn log_entries_max(settings: &RedisStoreSettings) -> u64 {
    settings.log_entries_max.div_ceil(u64::from(SHARDS))
}

/// Of a block, unless the log is small.
const BLOCK_LINES: u64 = 128;
/// Blocks that make a full log, at least.
const BLOCKS_MIN: u64 = 16;

pub(crate) fn lines_per_block(settings: &RedisStoreSettings) -> usize {
    let lines = (log_entries_max(settings) / BLOCKS_MIN).clamp(1, BLOCK_LINES);
    usize::try_from(lines).unwrap_or(usize::MAX)
}

/// How long to keep what is under way: the longest wait, and the window after it.
fn open_ms(settings: &RedisStoreSettings) -> u64 {
    millis(limits::DELAY_MAX + settings.idempotency_window)
}

fn final_ms(settings: &RedisStoreSettings) -> u64 {
    millis(settings.idempotency_window)
}

/// How long to keep a delivery's first claim: if it is delivered at once, the window from then on, for which its time is not set again;
/// but no claim goes before its lease.
fn first_ms(settings: &RedisStoreSettings, lease: Duration) -> u64 {
    millis(settings.idempotency_window.max(lease) + LATE)
}

impl RedisStore {
    /// Alone: such a step is a large one.
    async fn settle_dead(
        &self,
        shard: &Shard,
        step: Step,
        dead_letter: &DeadLetter,
    ) -> Result<String, StoreError> {
        let mut script = SETTLE_DEAD.prepare_invoke();
        script
            .key(step.keys())
            .key(letter_keys(shard, dead_letter).as_slice())
            .arg(settle_args(&self.settings));
        for arg in step.args() {
            script.arg(arg);
        }
        letter_args(
            &mut script,
            dead_letter,
            self.settings.dead_letter_retention,
        )?;
        let (answer,): (String,) = self.connection.run(SETTLE_STEP, &script).await?;
        Ok(answer)
    }
}

/// As a line of the log has them: its capital letters are found faster than small ones, which digests have too.
fn log_terms(delivery: &Delivery) -> String {
    terms([
        ('P', delivery.event.project.as_str()),
        ('E', delivery.event.id.as_str()),
        ('J', delivery.event.job.id.as_str()),
        ('D', delivery.destination.id().as_str()),
    ])
}

fn ending(settled_as: &SettledAs, at: Timestamp) -> (&'static str, DeliveryState) {
    match settled_as {
        SettledAs::Delivered => ("delivered", DeliveryState::Delivered { at }),
        SettledAs::Retrying { due_at } => ("settled", DeliveryState::Waiting { until: *due_at }),
        SettledAs::DeadLettered(dead_letter) => (
            "dead",
            DeliveryState::DeadLettered {
                id: dead_letter.id.clone(),
            },
        ),
        SettledAs::Released => ("released", DeliveryState::Waiting { until: at }),
    }
}

fn read_answer(delivery: &Delivery, answer: &str) -> Option<ClaimAnswer> {
    let words: Vec<&str> = answer.split(' ').collect();
    Some(match words.as_slice() {
        ["settled"] => ClaimAnswer::Settled,
        ["held", remaining] => ClaimAnswer::Held {
            remaining: Duration::from_micros(remaining.parse().ok()?),
        },
        ["granted", token] => granted(delivery, token, None)?,
        ["granted", token, worker, claimed_at] => {
            let expired = ExpiredClaim {
                worker: worker.parse().ok()?,
                claimed_at: Timestamp::from_microsecond(claimed_at.parse().ok()?).ok()?,
            };
            granted(delivery, token, Some(expired))?
        }
        _ => return None,
    })
}

fn granted(delivery: &Delivery, token: &str, expired: Option<ExpiredClaim>) -> Option<ClaimAnswer> {
    let claim = Claim {
        delivery: DeliveryId::clone(&delivery.id),
        generation: delivery.generation,
        attempt: delivery.attempt,
        token: FencingToken(token.parse().ok()?),
    };
    Some(ClaimAnswer::Granted { claim, expired })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
