//! What a worker does that has no room for a request.

use crate::world::World;
use ringback_delivery::port::{DeliveryFilter, DeliveryStore, SendFailure};
use ringback_domain::{AttemptNumber, DeliveryState};
use ringback_testkit::simulation::accepts;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_request_there_was_no_room_for_is_no_attempt_and_is_made_again_soon() {
    let no_room = (Duration::from_secs(2), Err(SendFailure::NoRoom));
    let world = World::new(Some("standard"), [no_room.clone(), no_room, accepts()]);
    world.webhook(|_| {}).await;
    world.publish(&world.event()).await;
    world.run().await;
    assert_eq!(world.sender.with_requests(<[_]>::len), 3);
    let page = world
        .store
        .deliveries(&DeliveryFilter::default(), None, 10)
        .await
        .unwrap();
    let delivery = &page.entries[0];
    assert!(matches!(delivery.state, DeliveryState::Delivered { .. }));
    assert_eq!(delivery.attempts.len(), 1, "{delivery:?}");
    assert_eq!(delivery.attempts[0].number, AttemptNumber::FIRST);
}
