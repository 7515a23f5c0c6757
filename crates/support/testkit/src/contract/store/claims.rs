//! Claims: who may make which attempt, and what a settlement does.

use super::{
    LONG, SHORT, claim, claim_as, claim_once_free, dead_lettered, granted, pass, retrying, settle,
};
use crate::samples;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ExpiredClaim, FencingToken, SettleAnswer, SettledAs, Store,
};
use ringback_domain::{AttemptNumber, Delivery, Generation};
use std::time::Duration;

fn is_held(answer: &ClaimAnswer) -> bool {
    matches!(answer, ClaimAnswer::Held { .. })
}

/// Grants a short lease and lets it run out; who held it.
async fn lose(store: &dyn Store, delivery: &Delivery) -> (Claim, ringback_domain::WorkerId) {
    let worker = samples::worker();
    let ClaimAnswer::Granted { claim: lost, .. } = claim(store, delivery, &worker, SHORT).await
    else {
        panic!("not granted");
    };
    tokio::time::sleep(SHORT).await;
    (lost, worker)
}

pub async fn a_delivery_nobody_holds_is_granted(store: &dyn Store) {
    let delivery = samples::delivery();
    let claim = granted(store, &delivery).await;
    assert_eq!(claim.delivery, delivery.id);
    assert_eq!(claim.generation, delivery.generation);
    assert_eq!(claim.attempt, delivery.attempt);
}

pub async fn a_held_attempt_is_granted_to_nobody_else_and_says_how_long(store: &dyn Store) {
    let delivery = samples::delivery();
    granted(store, &delivery).await;
    let ClaimAnswer::Held { remaining } = claim(store, &delivery, &samples::worker(), LONG).await
    else {
        panic!("granted twice");
    };
    assert!(remaining <= LONG, "{remaining:?}");
    assert!(remaining > LONG / 2, "{remaining:?}");
}

/// The answer got lost on the way: whoever asks again must not take their own claim for somebody else's.
pub async fn asking_again_with_the_same_nonce_is_the_same_grant(store: &dyn Store) {
    let delivery = samples::delivery();
    let (worker, nonce) = (samples::worker(), samples::claim_nonce());
    let first = claim_as(store, &delivery, &worker, nonce, LONG).await;
    assert!(
        matches!(first, ClaimAnswer::Granted { expired: None, .. }),
        "{first:?}"
    );
    for _ in 0..2 {
        let again = claim_as(store, &delivery, &worker, nonce, LONG).await;
        assert_eq!(again, first);
    }
    let ClaimAnswer::Granted { claim, .. } = first else {
        unreachable!("checked above");
    };
    let answer = settle(store, &claim, &delivery, &[], &SettledAs::Delivered).await;
    assert_eq!(answer, SettleAnswer::Settled);
}

pub async fn asking_again_keeps_the_unknown_outcome_of_the_claim_before(store: &dyn Store) {
    let delivery = samples::delivery();
    let (_, lost_by) = lose(store, &delivery).await;
    let (worker, nonce) = (samples::worker(), samples::claim_nonce());
    let ask = async || claim_as(store, &delivery, &worker, nonce, LONG).await;
    let mut first = ask().await;
    while let ClaimAnswer::Held { remaining } = first {
        tokio::time::sleep(remaining.max(Duration::from_millis(1))).await;
        first = ask().await;
    }
    let ClaimAnswer::Granted { expired, .. } = &first else {
        panic!("not granted: {first:?}");
    };
    let unknown = expired.as_ref().expect("the same attempt had been claimed");
    assert_eq!(unknown.worker, lost_by);
    assert_eq!(ask().await, first);
}

pub async fn asking_again_renews_the_lease(store: &dyn Store) {
    let delivery = samples::delivery();
    let (worker, nonce) = (samples::worker(), samples::claim_nonce());
    let first = claim_as(store, &delivery, &worker, nonce, SHORT).await;
    tokio::time::sleep(SHORT * 2).await;
    // Even after its end, as long as nobody else claimed; and its own claim is no unknown outcome.
    let again = claim_as(store, &delivery, &worker, nonce, LONG).await;
    assert_eq!(again, first);
    let ClaimAnswer::Held { remaining } = claim(store, &delivery, &samples::worker(), LONG).await
    else {
        panic!("granted twice");
    };
    assert!(remaining > LONG / 2, "{remaining:?}");
}

/// The same message twice with one worker: two handlings, of which one may send.
pub async fn another_handling_by_the_same_worker_is_held(store: &dyn Store) {
    let delivery = samples::delivery();
    let (worker, nonce) = (samples::worker(), samples::claim_nonce());
    claim_as(store, &delivery, &worker, nonce, LONG).await;
    assert!(is_held(&claim(store, &delivery, &worker, LONG).await));
    let stranger = claim_as(store, &delivery, &samples::worker(), nonce, LONG).await;
    assert!(is_held(&stranger), "a nonce is one worker's: {stranger:?}");
    let retry = samples::retry_of(&delivery);
    let retry = claim_as(store, &retry, &worker, nonce, LONG).await;
    assert!(is_held(&retry), "a nonce is one attempt's: {retry:?}");
}

pub async fn what_was_settled_is_not_granted_to_its_own_nonce(store: &dyn Store) {
    let delivery = samples::delivery();
    let (worker, nonce) = (samples::worker(), samples::claim_nonce());
    let ask = async || claim_as(store, &delivery, &worker, nonce, LONG).await;
    let ClaimAnswer::Granted { claim: first, .. } = ask().await else {
        panic!("not granted");
    };
    settle(store, &first, &delivery, &[], &SettledAs::Released).await;
    let ClaimAnswer::Granted { claim: second, .. } = ask().await else {
        panic!("a released attempt is granted to anybody");
    };
    assert!(
        second.token > first.token,
        "not the claim that was released"
    );
    settle(store, &second, &delivery, &[], &retrying()).await;
    assert_eq!(ask().await, ClaimAnswer::Settled);
}

pub async fn what_somebody_else_claimed_meanwhile_is_held_for_the_nonce_before(store: &dyn Store) {
    let delivery = samples::delivery();
    let (worker, nonce) = (samples::worker(), samples::claim_nonce());
    claim_as(store, &delivery, &worker, nonce, SHORT).await;
    tokio::time::sleep(SHORT).await;
    let newer = claim_once_free(store, &delivery, &samples::worker(), LONG).await;
    let ClaimAnswer::Granted { claim: newer, .. } = newer else {
        panic!("not granted: {newer:?}");
    };
    let late = claim_as(store, &delivery, &worker, nonce, LONG).await;
    assert!(is_held(&late), "{late:?}");
    // Released, the claim before is back, but it is no longer the newest: what is given now is a new one.
    settle(store, &newer, &delivery, &[], &SettledAs::Released).await;
    let late = claim_as(store, &delivery, &worker, nonce, LONG).await;
    let ClaimAnswer::Granted { claim, .. } = late else {
        panic!("not granted: {late:?}");
    };
    assert!(claim.token > newer.token);
}

pub async fn a_retry_waits_while_the_earlier_attempt_is_held(store: &dyn Store) {
    let delivery = samples::delivery();
    granted(store, &delivery).await;
    let retry = samples::retry_of(&delivery);
    assert!(is_held(
        &claim(store, &retry, &samples::worker(), LONG).await
    ));
}

pub async fn a_replay_waits_while_an_earlier_generation_is_held(store: &dyn Store) {
    let delivery = samples::delivery();
    granted(store, &delivery).await;
    let replay = samples::replay_of(&delivery);
    assert!(is_held(
        &claim(store, &replay, &samples::worker(), LONG).await
    ));
}

pub async fn a_lease_that_ran_out_is_granted_and_tells_whose_outcome_is_unknown(store: &dyn Store) {
    let delivery = samples::delivery();
    let (lost, lost_by) = lose(store, &delivery).await;
    let ClaimAnswer::Granted { claim, expired } =
        claim_once_free(store, &delivery, &samples::worker(), LONG).await
    else {
        panic!("not granted");
    };
    let ExpiredClaim { worker, .. } = expired.expect("the same attempt had been claimed");
    assert_eq!(worker, lost_by);
    assert!(claim.token > lost.token);
}

pub async fn a_retry_after_a_lease_that_ran_out_knows_of_no_unknown_outcome(store: &dyn Store) {
    let delivery = samples::delivery();
    lose(store, &delivery).await;
    let retry = samples::retry_of(&delivery);
    let answer = claim_once_free(store, &retry, &samples::worker(), LONG).await;
    assert!(
        matches!(answer, ClaimAnswer::Granted { expired: None, .. }),
        "{answer:?}"
    );
}

pub async fn a_settled_attempt_is_not_granted_again(store: &dyn Store) {
    let delivery = samples::delivery();
    pass(store, &delivery, &retrying()).await;
    let answer = claim(store, &delivery, &samples::worker(), LONG).await;
    assert_eq!(answer, ClaimAnswer::Settled);
}

pub async fn an_earlier_attempt_is_settled_once_a_later_one_is_under_way(store: &dyn Store) {
    let delivery = samples::delivery();
    pass(store, &delivery, &retrying()).await;
    granted(store, &samples::retry_of(&delivery)).await;
    let answer = claim(store, &delivery, &samples::worker(), LONG).await;
    assert_eq!(answer, ClaimAnswer::Settled);
}

pub async fn the_attempt_after_a_settled_one_is_granted(store: &dyn Store) {
    let mut delivery = samples::delivery();
    for _ in 0..3 {
        pass(store, &delivery, &retrying()).await;
        delivery = samples::retry_of(&delivery);
    }
    granted(store, &delivery).await;
}

pub async fn a_later_generation_is_granted_and_ends_the_earlier_one(store: &dyn Store) {
    let delivery = samples::delivery();
    pass(store, &delivery, &dead_lettered(&delivery)).await;
    let replay = samples::replay_of(&delivery);
    let claimed = granted(store, &replay).await;
    for past in [delivery.clone(), samples::retry_of(&delivery)] {
        let answer = claim(store, &past, &samples::worker(), LONG).await;
        assert_eq!(answer, ClaimAnswer::Settled);
    }
    let answer = settle(store, &claimed, &replay, &[], &retrying()).await;
    assert_eq!(answer, SettleAnswer::Settled);
    granted(store, &samples::retry_of(&replay)).await;
}

pub async fn a_delivered_delivery_is_never_granted_again(store: &dyn Store) {
    let delivery = samples::delivery();
    pass(store, &delivery, &SettledAs::Delivered).await;
    let (retry, replay) = (samples::retry_of(&delivery), samples::replay_of(&delivery));
    for again in [delivery, retry, replay] {
        let answer = claim(store, &again, &samples::worker(), LONG).await;
        assert_eq!(answer, ClaimAnswer::Settled);
    }
}

pub async fn a_dead_lettered_delivery_is_granted_only_to_a_replay(store: &dyn Store) {
    let delivery = samples::delivery();
    pass(store, &delivery, &dead_lettered(&delivery)).await;
    for again in [delivery.clone(), samples::retry_of(&delivery)] {
        let answer = claim(store, &again, &samples::worker(), LONG).await;
        assert_eq!(answer, ClaimAnswer::Settled);
    }
    granted(store, &samples::replay_of(&delivery)).await;
}

pub async fn tokens_grow_with_every_claim(store: &dyn Store) {
    let mut delivery = samples::delivery();
    let mut newest = FencingToken(0);
    for _ in 0..5 {
        let claim = granted(store, &delivery).await;
        assert!(claim.token > newest);
        newest = claim.token;
        settle(store, &claim, &delivery, &[], &retrying()).await;
        delivery = samples::retry_of(&delivery);
    }
}

pub async fn settling_twice_with_one_token_is_settling_once(store: &dyn Store) {
    let delivery = samples::delivery();
    let claim = granted(store, &delivery).await;
    let attempts = [samples::attempt_of(&delivery)];
    for _ in 0..2 {
        let answer = settle(store, &claim, &delivery, &attempts, &retrying()).await;
        assert_eq!(answer, SettleAnswer::Settled);
    }
    let record = store.delivery(&delivery.id).await.unwrap().unwrap();
    assert_eq!(record.attempts, attempts, "appended once");
}

pub async fn a_stale_token_changes_nothing(store: &dyn Store) {
    let delivery = samples::delivery();
    let (late, _) = lose(store, &delivery).await;
    let newer = samples::worker();
    let answer = claim_once_free(store, &delivery, &newer, LONG).await;
    let ClaimAnswer::Granted { claim: holder, .. } = answer else {
        panic!("not granted");
    };
    let before = store.delivery(&delivery.id).await.unwrap();
    let attempts = [samples::attempt_of(&delivery)];
    for settled_as in [
        SettledAs::Delivered,
        retrying(),
        dead_lettered(&delivery),
        SettledAs::Released,
    ] {
        let answer = settle(store, &late, &delivery, &attempts, &settled_as).await;
        assert_eq!(answer, SettleAnswer::Stale, "{settled_as:?}");
    }
    assert_eq!(store.delivery(&delivery.id).await.unwrap(), before);
    assert_eq!(
        store
            .dead_letter_count(Some(&delivery.event.project))
            .await
            .unwrap(),
        0
    );
    assert!(is_held(
        &claim(store, &delivery, &samples::worker(), LONG).await
    ));
    let answer = settle(store, &holder, &delivery, &attempts, &SettledAs::Delivered).await;
    assert_eq!(answer, SettleAnswer::Settled);
}

pub async fn a_lease_that_ran_out_may_still_be_settled_while_nobody_else_claimed(
    store: &dyn Store,
) {
    let delivery = samples::delivery();
    let (late, _) = lose(store, &delivery).await;
    let answer = settle(store, &late, &delivery, &[], &SettledAs::Delivered).await;
    assert_eq!(answer, SettleAnswer::Settled);
    let answer = claim(store, &delivery, &samples::worker(), LONG).await;
    assert_eq!(answer, ClaimAnswer::Settled);
}

pub async fn a_released_attempt_is_claimed_again_as_if_it_had_never_been(store: &dyn Store) {
    let delivery = samples::delivery();
    let claim = granted(store, &delivery).await;
    for _ in 0..2 {
        let answer = settle(store, &claim, &delivery, &[], &SettledAs::Released).await;
        assert_eq!(answer, SettleAnswer::Settled);
    }
    let record = store.delivery(&delivery.id).await.unwrap().unwrap();
    assert_eq!(record.state.class(), "waiting");
    assert!(record.attempts.is_empty(), "no attempt is counted");
    let again = granted(store, &delivery).await;
    assert!(again.token > claim.token);
    let answer = settle(store, &claim, &delivery, &[], &SettledAs::Released).await;
    assert_eq!(answer, SettleAnswer::Stale);
}

pub async fn a_release_keeps_the_unknown_outcome_of_the_claim_before(store: &dyn Store) {
    let delivery = samples::delivery();
    let (_, lost_by) = lose(store, &delivery).await;
    for _ in 0..2 {
        let answer = claim_once_free(store, &delivery, &samples::worker(), LONG).await;
        let ClaimAnswer::Granted { claim, expired } = answer else {
            panic!("not granted");
        };
        assert_eq!(expired.expect("still unknown").worker, lost_by);
        settle(store, &claim, &delivery, &[], &SettledAs::Released).await;
    }
}

pub async fn a_release_returns_to_what_was_settled_before(store: &dyn Store) {
    let delivery = samples::delivery();
    pass(store, &delivery, &retrying()).await;
    let retry = samples::retry_of(&delivery);
    let claimed = granted(store, &retry).await;
    settle(store, &claimed, &retry, &[], &SettledAs::Released).await;
    let answer = claim(store, &delivery, &samples::worker(), LONG).await;
    assert_eq!(answer, ClaimAnswer::Settled);
    granted(store, &retry).await;
}

pub async fn of_many_claims_at_once_exactly_one_is_granted(store: &dyn Store) {
    const WORKERS: usize = 16;
    let delivery = samples::delivery();
    let runtime = tokio::runtime::Handle::current();
    let claim_each = || {
        std::thread::scope(|scope| {
            let claims: Vec<_> = (0..WORKERS)
                .map(|_| {
                    let worker = samples::worker();
                    let (runtime, delivery) = (&runtime, &delivery);
                    scope.spawn(move || runtime.block_on(claim(store, delivery, &worker, LONG)))
                })
                .collect();
            let answers = claims
                .into_iter()
                .map(|claim| claim.join().expect("no panic"));
            answers.collect::<Vec<_>>()
        })
    };
    let answers = tokio::task::block_in_place(claim_each);
    let held = answers.iter().filter(|answer| is_held(answer)).count();
    assert_eq!(held, WORKERS - 1, "{answers:?}");
    assert!(is_held(
        &claim(store, &delivery, &samples::worker(), LONG).await
    ));
}

/// The store was emptied, or forgot, between claim and settlement: the worker's word is all there is, and must not be lost.
pub async fn a_settlement_of_a_claim_the_store_never_saw_is_kept(store: &dyn Store) {
    let delivery = samples::delivery();
    let forgotten = Claim {
        delivery: delivery.id.clone(),
        generation: Generation::FIRST,
        attempt: AttemptNumber::FIRST,
        token: FencingToken(7),
    };
    let settled_as = dead_lettered(&delivery);
    let attempts = [samples::attempt_of(&delivery)];
    let answer = settle(store, &forgotten, &delivery, &attempts, &settled_as).await;
    assert_eq!(answer, SettleAnswer::Settled);
    let record = store.delivery(&delivery.id).await.unwrap().unwrap();
    assert_eq!(record.state.class(), "dead_lettered");
    assert_eq!(record.attempts, attempts);
    assert_eq!(
        store
            .dead_letter_count(Some(&delivery.event.project))
            .await
            .unwrap(),
        1
    );
    let again = claim(store, &delivery, &samples::worker(), Duration::from_secs(1)).await;
    assert_eq!(again, ClaimAnswer::Settled);
}
