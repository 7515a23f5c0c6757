//! The contract of the store: claims, the log of deliveries, webhooks, dead letters and their groups, counts of traffic,
//! marks of events.
//!
//! ```text
//! ringback_testkit::store_contract!(open);
//!
//! /// A store with nothing in it, and what must outlive it.
//! async fn open() -> (MyStore, TempDir) { … }
//! ```

mod budget;
mod claims;
mod dead_letters;
mod deliveries;
mod events;
mod groups;
mod keys;
mod pace;
mod plans;
mod traffic;
mod webhooks;

pub use budget::*;
pub use claims::*;
pub use dead_letters::*;
pub use deliveries::*;
pub use events::*;
pub use groups::*;
pub use keys::*;
pub use pace::*;
pub use plans::*;
pub use traffic::*;
pub use webhooks::*;

use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimNonce, ClaimRequest, SettleAnswer, SettledAs, Settlement, Store,
};
use ringback_domain::{Attempt, Delivery, Timestamp, WorkerId};
use std::time::Duration;

/// Makes a test of every case. `$open` is an async function that returns an empty store and whatever must outlive it.
#[macro_export]
macro_rules! store_contract {
    ($open:path) => {
        $crate::store_contract!(@tests $open:
            a_delivery_nobody_holds_is_granted
            a_held_attempt_is_granted_to_nobody_else_and_says_how_long
            asking_again_with_the_same_nonce_is_the_same_grant
            asking_again_keeps_the_unknown_outcome_of_the_claim_before
            asking_again_renews_the_lease
            another_handling_by_the_same_worker_is_held
            what_was_settled_is_not_granted_to_its_own_nonce
            what_somebody_else_claimed_meanwhile_is_held_for_the_nonce_before
            a_retry_waits_while_the_earlier_attempt_is_held
            a_replay_waits_while_an_earlier_generation_is_held
            a_lease_that_ran_out_is_granted_and_tells_whose_outcome_is_unknown
            a_retry_after_a_lease_that_ran_out_knows_of_no_unknown_outcome
            a_settled_attempt_is_not_granted_again
            an_earlier_attempt_is_settled_once_a_later_one_is_under_way
            the_attempt_after_a_settled_one_is_granted
            a_later_generation_is_granted_and_ends_the_earlier_one
            a_delivered_delivery_is_never_granted_again
            a_dead_lettered_delivery_is_granted_only_to_a_replay
            tokens_grow_with_every_claim
            settling_twice_with_one_token_is_settling_once
            a_stale_token_changes_nothing
            a_lease_that_ran_out_may_still_be_settled_while_nobody_else_claimed
            a_released_attempt_is_claimed_again_as_if_it_had_never_been
            a_release_keeps_the_unknown_outcome_of_the_claim_before
            a_release_returns_to_what_was_settled_before
            of_many_claims_at_once_exactly_one_is_granted
            a_settlement_of_a_claim_the_store_never_saw_is_kept

            an_attempt_that_is_shown_is_in_the_log_while_it_is_held
            a_delivery_that_waits_before_its_first_attempt_is_in_the_log_once
            what_waits_is_shown_only_where_nobody_was_at_it
            a_replay_that_waits_is_shown_and_what_was_given_up_stays_so
            the_log_has_a_delivery_by_the_moment_it_was_claimed
            a_settlement_writes_state_and_attempts_to_the_record
            the_attempts_of_a_record_are_bounded_and_the_newest_are_kept
            a_record_holds_no_secret_of_a_callback
            deliveries_are_listed_newest_first_page_by_page
            a_list_of_deliveries_goes_on_where_it_was_while_new_ones_arrive
            deliveries_are_filtered_by_every_member
            deliveries_are_filtered_by_the_moment_they_were_first_taken
            what_was_never_stored_is_not_found

            a_dead_letter_is_stored_by_the_settlement_itself
            a_dead_letter_comes_back_byte_for_byte
            storing_a_dead_letter_again_changes_nothing
            dead_letters_are_listed_newest_first_page_by_page
            dead_letters_of_one_moment_are_all_listed
            a_list_of_dead_letters_goes_on_where_it_was_while_new_ones_arrive
            dead_letters_are_filtered_by_every_member
            dead_letters_are_filtered_by_several_members_at_once
            a_disposed_dead_letter_leaves_the_list_and_the_count_but_stays_readable
            a_second_disposal_tells_of_the_first_unless_again_is_asked_for
            a_dead_letter_can_be_opened_again
            a_dead_letter_is_found_by_event_and_job_whatever_is_done_about_it
            what_is_not_there_cannot_be_disposed_of
            a_cursor_of_another_list_is_refused

            open_dead_letters_of_one_cause_are_one_group
            groups_are_listed_piece_by_piece
            a_group_follows_what_is_disposed_of_and_opened_again
            a_dead_letter_stored_by_a_settlement_joins_its_group_once
            a_group_lies_within_one_project
            an_acknowledged_group_says_so_and_when_it_grows_again
            a_group_that_is_not_there_cannot_be_acknowledged
            dead_letters_are_found_by_any_of_several_marks

            a_settlement_is_counted_once_for_its_destination_project_and_everything
            callbacks_are_counted_together
            a_stale_settlement_is_not_counted

            what_dead_letters_take_is_counted_until_they_are_forgotten
            the_oldest_dead_letters_leave_first_and_without_a_trace
            one_worker_at_a_time_makes_room

            a_webhook_is_written_once_and_read_back_whole
            a_webhook_is_changed_only_from_the_revision_that_was_read
            a_removed_webhook_is_gone_and_may_not_be_changed
            webhooks_are_listed_by_project_oldest_first

            a_key_is_written_once_and_read_back_whole
            a_key_is_changed_only_from_the_revision_that_was_read
            a_removed_key_is_gone_and_may_not_be_changed
            keys_are_listed_oldest_first

            of_all_who_would_change_a_breaker_one_does
            a_breaker_that_changed_is_not_removed
            a_removed_webhook_takes_its_breaker_with_it
            turns_are_as_far_apart_as_the_pace_says
            a_turn_too_far_away_is_not_reserved

            a_plan_is_written_once_and_read_back_whole
            a_plan_is_changed_only_from_the_revision_that_was_read
            plans_are_listed_newest_first_page_by_page
            a_chunk_is_written_once_and_read_back_with_its_marks
            a_chunk_of_the_largest_size_fits
            only_a_plan_with_something_to_do_is_leased
            a_paused_plan_is_leased_while_something_is_outstanding
            a_plan_is_run_by_one_worker_at_a_time
            a_plan_whose_lease_ran_out_goes_to_another_and_the_first_changes_nothing
            a_lease_that_is_given_back_is_anybodys
            a_step_changes_the_state_unless_somebody_did_since
            a_claim_tells_how_far_a_replay_came
            the_dead_letters_of_entries_come_in_their_order
            many_dead_letters_are_marked_as_replayed_each_once

            an_event_is_marked_once_per_project
            an_event_that_is_not_marked_cannot_be_kept_known
            an_event_has_the_moment_that_was_kept_first
            a_healthy_store_says_what_it_is
        );
    };
    (@tests $open:path: $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _kept) = $open().await;
                $crate::contract::store::$case(&store).await;
            }
        )*
    };
}

/// Long enough that no test outlives it.
const LONG: Duration = Duration::from_mins(10);
/// Short enough to wait for its end.
const SHORT: Duration = Duration::from_millis(40);
/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

async fn claim(
    store: &dyn Store,
    delivery: &Delivery,
    worker: &WorkerId,
    lease: Duration,
) -> ClaimAnswer {
    claim_as(
        store,
        delivery,
        worker,
        crate::samples::claim_nonce(),
        lease,
    )
    .await
}

/// Claims for a handling that may have asked before.
async fn claim_as(
    store: &dyn Store,
    delivery: &Delivery,
    worker: &WorkerId,
    nonce: ClaimNonce,
    lease: Duration,
) -> ClaimAnswer {
    let request = ClaimRequest {
        delivery,
        worker,
        nonce,
        lease,
    };
    store.claim(request).await.expect("the store answers")
}

/// Claims what nobody else should hold.
async fn granted(store: &dyn Store, delivery: &Delivery) -> Claim {
    match claim(store, delivery, &crate::samples::worker(), LONG).await {
        ClaimAnswer::Granted {
            claim,
            expired: None,
        } => claim,
        other => panic!("not granted: {other:?}"),
    }
}

/// Claims again and again until whoever holds the claim has lost it.
async fn claim_once_free(
    store: &dyn Store,
    delivery: &Delivery,
    worker: &WorkerId,
    lease: Duration,
) -> ClaimAnswer {
    let poll = async {
        loop {
            match claim(store, delivery, worker, lease).await {
                ClaimAnswer::Held { remaining } => {
                    tokio::time::sleep(remaining.max(Duration::from_millis(1))).await;
                }
                answer => return answer,
            }
        }
    };
    tokio::time::timeout(PATIENCE, poll)
        .await
        .expect("the lease ends")
}

async fn settle(
    store: &dyn Store,
    claim: &Claim,
    delivery: &Delivery,
    attempts: &[Attempt],
    settled_as: &SettledAs,
) -> SettleAnswer {
    let settlement = Settlement {
        claim,
        delivery,
        attempts,
        settled_as,
        at: settled_at(),
    };
    store.settle(settlement).await.expect("the store answers")
}

fn settled_at() -> Timestamp {
    crate::samples::moment(50)
}

/// Claims and settles in one go.
async fn pass(store: &dyn Store, delivery: &Delivery, settled_as: &SettledAs) {
    let claim = granted(store, delivery).await;
    let attempts = [crate::samples::attempt_of(delivery)];
    let answer = settle(store, &claim, delivery, &attempts, settled_as).await;
    assert_eq!(answer, SettleAnswer::Settled);
}

fn retrying() -> SettledAs {
    SettledAs::Retrying {
        due_at: crate::samples::moment(60),
    }
}

fn dead_lettered(delivery: &Delivery) -> SettledAs {
    let dead_letter = crate::samples::dead_letter_of(delivery.clone(), settled_at());
    SettledAs::DeadLettered(Box::new(dead_letter))
}
