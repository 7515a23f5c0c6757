//! What a worker does when time passes where it should not.

use crate::world::{LEASE_MARGIN, World};
use async_trait::async_trait;
use ringback_delivery::{
    Deliver, Handled,
    port::{
        ClaimAnswer, ClaimRequest, ClaimStore, Clock, Observer, Occurrence, SettledAs, Settlement,
    },
};
use ringback_domain::{Delivery, DeliveryState, Timestamp};
use ringback_testkit::{samples, simulation::TokioClock};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Between the claim and the request, more time passes than the claim has to spare.
struct Stalls {
    clock: TokioClock,
    stalled: Stalled,
    has_claimed: AtomicBool,
}

/// Which clocks see it.
#[derive(Clone, Copy, PartialEq)]
enum Stalled {
    Process,
    /// The clock that nobody sets stands still.
    Machine,
    /// The time of day was set back meanwhile.
    ProcessAndSetBack,
}

impl Stalls {
    fn stall(&self) -> Duration {
        if self.has_claimed.load(Ordering::Relaxed) {
            LEASE_MARGIN + Duration::from_secs(1)
        } else {
            Duration::ZERO
        }
    }
}

#[async_trait]
impl Clock for Stalls {
    fn now(&self) -> Timestamp {
        match self.stalled {
            Stalled::Process | Stalled::Machine => self.clock.now() + self.stall(),
            Stalled::ProcessAndSetBack => self.clock.now() - self.stall(),
        }
    }

    fn monotonic(&self) -> Duration {
        match self.stalled {
            Stalled::Process | Stalled::ProcessAndSetBack => self.clock.monotonic() + self.stall(),
            Stalled::Machine => self.clock.monotonic(),
        }
    }

    async fn sleep(&self, wait: Duration) {
        self.clock.sleep(wait).await;
    }
}

impl Observer for Stalls {
    fn saw(&self, occurrence: &Occurrence<'_>) {
        if let Occurrence::ClaimGranted { .. } = occurrence {
            self.has_claimed.store(true, Ordering::Relaxed);
        }
    }
}

async fn is_not_made_and_not_counted(stalled: Stalled) {
    let world = World::new(Some("standard"), []);
    world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    let dispatch = world.spawn_dispatch().await;
    let delivery = world.peek().await;
    dispatch.abort();
    let mut context = Arc::into_inner(world.context()).expect("nobody else has it");
    let stalls = Arc::new(Stalls {
        clock: world.clock,
        stalled,
        has_claimed: AtomicBool::new(false),
    });
    context.clock = stalls.clone();
    context.observer = stalls;

    let handled = Deliver::new(Arc::new(context), LEASE_MARGIN, None)
        .handle(&delivery)
        .await;

    assert_eq!(handled, Handled::Acknowledge);
    assert_eq!(world.sender.with_requests(<[_]>::len), 0, "nothing is sent");
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 1);
    let record = world.only_record().await;
    assert!(matches!(record.state, DeliveryState::Delivered { .. }));
    assert_eq!(record.attempts.len(), 1, "{:?}", record.attempts);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_too_late_for_its_lease_is_not_made_and_not_counted() {
    is_not_made_and_not_counted(Stalled::Process).await;
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_whose_machine_was_suspended() {
    is_not_made_and_not_counted(Stalled::Machine).await;
}

#[tokio::test(start_paused = true)]
async fn nor_is_one_that_is_late_by_a_clock_that_was_set_back() {
    is_not_made_and_not_counted(Stalled::ProcessAndSetBack).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_comes_before_its_forerunner_is_settled_does_not_wait_for_the_end_of_its_lease()
 {
    let world = World::new(Some("standard"), []);
    world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    let dispatch = world.spawn_dispatch().await;
    let first = world.peek().await;
    dispatch.abort();
    let request = ClaimRequest {
        delivery: &first,
        worker: &samples::worker(),
        nonce: samples::claim_nonce(),
        lease: Duration::from_mins(1),
    };
    let ClaimAnswer::Granted { claim, .. } = world.store.claim(request).await.unwrap() else {
        panic!("nobody else claimed it");
    };
    let retry = Delivery {
        attempt: first.attempt.next(),
        ..first.clone()
    };

    let began = tokio::time::Instant::now();
    assert_eq!(world.deliver().handle(&retry).await, Handled::Acknowledge);
    assert_eq!(
        world.sender.with_requests(<[_]>::len),
        0,
        "the claim is another's"
    );
    let at = world.clock.now();
    let settlement = Settlement {
        claim: &claim,
        delivery: &first,
        attempts: &[],
        settled_as: &SettledAs::Retrying { due_at: at },
        at,
    };
    world.store.settle(settlement).await.unwrap();
    world.run().await;

    assert_eq!(world.sender.with_requests(<[_]>::len), 1);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}
