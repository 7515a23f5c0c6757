//! The model's claim table answers as a store does. The contract holds the real stores to the same answers.

use proptest::prelude::*;
use ringback_delivery::port::SettledAs as Settled;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimNonce, ClaimRequest, ClaimStore, SettleAnswer, Settlement,
};
use ringback_domain::{AttemptNumber, DeadLetter, DeadLetterReason, Delivery, WorkerId};
use ringback_model::{Claims, End, Position, SettledAs, Told};
use ringback_testkit::{
    samples,
    simulation::{SimulatedStore, TokioClock},
};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(10);

/// Handlings of messages, each of one position.
const HANDLINGS: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    Claim(usize),
    Settle(usize, SettledAs),
    RunOut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let settled_as = prop_oneof![
        3 => Just(SettledAs::Ended(End::Retrying)),
        1 => Just(SettledAs::Ended(End::Delivered)),
        2 => Just(SettledAs::Ended(End::DeadLettered)),
        3 => Just(SettledAs::Released),
    ];
    let step = prop_oneof![
        4 => (0..HANDLINGS).prop_map(Step::Claim),
        3 => (0..HANDLINGS, settled_as).prop_map(|(who, end)| Step::Settle(who, end)),
        2 => Just(Step::RunOut),
    ];
    proptest::collection::vec(step, 1..24)
}

fn position() -> impl Strategy<Value = Position> {
    (0..2_u8, 1..3_u8).prop_map(|(generation, attempt)| Position {
        generation,
        attempt,
    })
}

/// One handling, as the store and as the model know it.
struct Handling {
    delivery: Delivery,
    at: Position,
    worker: WorkerId,
    nonce: ClaimNonce,
    granted: Option<(Claim, u8)>,
}

impl Handling {
    fn new(first: &Delivery, at: Position) -> Self {
        let mut delivery = first.clone();
        for _ in 0..at.generation {
            delivery.generation = delivery.generation.next();
        }
        delivery.attempt = AttemptNumber::try_new(at.attempt.into()).expect("not zero");
        Self {
            delivery,
            at,
            worker: samples::worker(),
            nonce: samples::claim_nonce(),
            granted: None,
        }
    }

    fn settled_as(&self, settled_as: SettledAs) -> Settled {
        let at = samples::moment(1);
        match settled_as {
            SettledAs::Released => Settled::Released,
            SettledAs::Ended(End::Delivered) => Settled::Delivered,
            SettledAs::Ended(End::Retrying) => Settled::Retrying { due_at: at },
            SettledAs::Ended(End::DeadLettered) => {
                let reason = DeadLetterReason::AttemptsExhausted;
                let dead = DeadLetter::of_delivery(self.delivery.clone(), reason, at);
                Settled::DeadLettered(Box::new(dead))
            }
        }
    }
}

fn told(answer: &ClaimAnswer) -> Told {
    match answer {
        ClaimAnswer::Granted { expired, .. } => Told::Granted {
            is_expired: expired.is_some(),
        },
        ClaimAnswer::Held { .. } => Told::Held,
        ClaimAnswer::Settled => Told::Settled,
    }
}

async fn compare(positions: Vec<Position>, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let store = SimulatedStore::new(TokioClock::begin());
    let mut claims = Claims::default();
    let first = samples::delivery();
    let mut handlings: Vec<_> = positions
        .into_iter()
        .map(|at| Handling::new(&first, at))
        .collect();
    let mut next_token = 1;
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Claim(who) => {
                let handling = &mut handlings[who];
                let request = ClaimRequest {
                    delivery: &handling.delivery,
                    worker: &handling.worker,
                    nonce: handling.nonce,
                    lease: LEASE,
                };
                let answer = store.claim(request).await.expect("it is in memory");
                let held = handling.granted.as_ref().map_or(0, |(_, token)| *token);
                let expected = claims.claim(handling.at, held, next_token);
                prop_assert_eq!(told(&answer), expected, "step {}", number);
                if let ClaimAnswer::Granted { claim, .. } = answer {
                    let is_renewal = handling
                        .granted
                        .as_ref()
                        .is_some_and(|(before, _)| before.token == claim.token);
                    if !is_renewal {
                        handling.granted = Some((claim, next_token));
                        next_token += 1;
                    }
                }
            }
            Step::Settle(who, settled_as) => {
                let handling = &handlings[who];
                let Some((claim, token)) = &handling.granted else {
                    continue;
                };
                let settlement = Settlement {
                    claim,
                    delivery: &handling.delivery,
                    attempts: &[],
                    settled_as: &handling.settled_as(settled_as),
                    at: samples::moment(1),
                };
                let answer = store.settle(settlement).await.expect("it is in memory");
                let is_settled = claims.settle(*token, handling.at, settled_as);
                prop_assert_eq!(
                    answer == SettleAnswer::Settled,
                    is_settled,
                    "step {}",
                    number
                );
            }
            Step::RunOut => {
                tokio::time::advance(LEASE).await;
                claims.run_out();
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_model_s_claim_table_answers_as_the_store_does(
        positions in proptest::collection::vec(position(), HANDLINGS),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system");
        runtime.block_on(compare(positions, steps))?;
    }
}
