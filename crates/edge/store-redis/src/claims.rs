//! Claims and their settlement.

use crate::{
    RedisStore,
    dead_letters::letter_args,
    error::unreadable,
    key::term,
    script::{CLAIM, SETTLE, SETTLE_DEAD},
    traffic::traffic_args,
};
use async_trait::async_trait;
use redis::ScriptInvocation;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimRequest, ClaimStore, ExpiredClaim, FencingToken, SettleAnswer,
    SettledAs, Settlement, StoreError,
};
use ringback_domain::{Delivery, DeliveryId, DeliveryState, Timestamp, limits};
use ringback_wire::record;
use std::time::Duration;

#[async_trait]
impl ClaimStore for RedisStore {
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<ClaimAnswer, StoreError> {
        let delivery = request.delivery;
        let id = delivery.id.as_str();
        let shard = self.keys.shard_of(id);
        let mut script = CLAIM.prepare_invoke();
        script
            .key([shard.claim(id), shard.record(id), shard.log()].as_slice())
            .arg(delivery.generation.get())
            .arg(delivery.attempt.get())
            .arg(request.worker.as_str())
            .arg(request.nonce.0)
            .arg(micros(request.lease))
            .arg(self.open_ms());
        self.record_args(&mut script, shard.as_str(), delivery);
        let answer: Vec<String> = self.connection.run("claim", &script).await?;
        read_answer(delivery, &answer)
            .ok_or_else(|| unreadable("claim", &delivery.id, format!("{answer:?} is no answer")))
    }

    async fn settle(&self, settlement: Settlement<'_>) -> Result<SettleAnswer, StoreError> {
        let (claim, delivery) = (settlement.claim, settlement.delivery);
        let id = delivery.id.as_str();
        let shard = self.keys.shard_of(id);
        let (ended_as, state) = ending(settlement.settled_as, settlement.at);
        let script = match settlement.settled_as {
            SettledAs::DeadLettered(_) => &SETTLE_DEAD,
            _ => &SETTLE,
        };
        let mut script = script.prepare_invoke();
        script
            .key(
                [
                    shard.claim(id),
                    shard.record(id),
                    shard.log(),
                    shard.attempts(id),
                ]
                .as_slice(),
            )
            .arg(claim.token.0)
            .arg(claim.generation.get())
            .arg(claim.attempt.get())
            .arg(ended_as)
            .arg(if state.is_final() {
                self.final_ms()
            } else {
                self.open_ms()
            });
        self.record_args(&mut script, shard.as_str(), delivery);
        script
            .arg(record::encode_state(&state))
            .arg(settlement.at.as_nanosecond().to_string())
            .arg(limits::HISTORY_MAX)
            .arg(settlement.attempts.len());
        for attempt in settlement.attempts {
            script.arg(record::encode_attempt(attempt));
        }
        traffic_args(&mut script, &settlement);
        if let SettledAs::DeadLettered(dead_letter) = settlement.settled_as {
            let letter = dead_letter.id.as_str();
            script.key([shard.letter(letter), shard.open(), shard.disposed()].as_slice());
            letter_args(
                &mut script,
                dead_letter,
                self.settings.dead_letter_retention,
            )?;
        }
        let answer: String = self.connection.run("settle", &script).await?;
        if matches!(settlement.settled_as, SettledAs::DeadLettered(_)) {
            self.wait_for_disk(&shard).await?;
        }
        Ok(match answer.as_str() {
            "stale" => SettleAnswer::Stale,
            _ => SettleAnswer::Settled,
        })
    }
}

impl RedisStore {
    /// What `write_record` needs, in its order.
    fn record_args(&self, script: &mut ScriptInvocation<'_>, shard: &str, delivery: &Delivery) {
        script
            .arg(delivery.id.as_str())
            .arg(shard)
            .arg(record::encode_record_head(delivery))
            .arg(log_terms(delivery))
            .arg(
                self.settings
                    .log_entries_max
                    .div_ceil(u64::from(crate::key::SHARDS)),
            )
            .arg(self.final_ms());
    }

    /// How long to keep what is under way: the longest wait, and the window after it.
    fn open_ms(&self) -> u64 {
        millis(limits::DELAY_MAX + self.settings.idempotency_window)
    }

    fn final_ms(&self) -> u64 {
        millis(self.settings.idempotency_window)
    }
}

fn log_terms(delivery: &Delivery) -> String {
    [
        term('p', delivery.event.project.as_str()),
        term('e', delivery.event.id.as_str()),
        term('j', delivery.event.job.id.as_str()),
        term('d', delivery.destination.id().as_str()),
    ]
    .join(" ")
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

fn read_answer(delivery: &Delivery, answer: &[String]) -> Option<ClaimAnswer> {
    let words: Vec<&str> = answer.iter().map(String::as_str).collect();
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
