//! What a command asks of a running process is what that process's queue and store answer.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use ringback_control::{ControlClient, ControlServer, SOCKET_NAME};
use ringback_delivery::port::{
    ClaimRequest, ClaimStore, DeadLetterFilter, DeadLetterStore, DeliveryFilter, DeliveryStore,
    Lane, Queue, QueueError, QueueName, StoreError, WebhookStore,
};
use ringback_domain::Wait;
use ringback_testkit::{
    contract::store as contract,
    samples,
    simulation::{SimulatedQueue, SimulatedStore, TokioClock},
};
use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};
use tempfile::TempDir;

struct Process {
    directory: TempDir,
    queue: SimulatedQueue,
    store: Arc<SimulatedStore>,
    server: ControlServer,
    client: ControlClient,
}

async fn process() -> Process {
    let directory = tempfile::tempdir().unwrap();
    let queue = SimulatedQueue::default();
    let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
    let server =
        ControlServer::start(directory.path(), Arc::new(queue.clone()), store.clone()).unwrap();
    let client = ControlClient::connect(directory.path())
        .await
        .unwrap()
        .expect("a process serves it");
    Process {
        directory,
        queue,
        store,
        server,
        client,
    }
}

/// Runs cases of the store's contract through the socket.
macro_rules! through_the_socket {
    ($($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                contract::$case(&process().await.client).await;
            }
        )*
    };
}

through_the_socket!(
    storing_a_dead_letter_again_changes_nothing
    dead_letters_are_listed_newest_first_page_by_page
    dead_letters_of_one_moment_are_all_listed
    dead_letters_are_filtered_by_every_member
    a_disposed_dead_letter_leaves_the_list_and_the_count_but_stays_readable
    a_second_disposal_tells_of_the_first_unless_again_is_asked_for
    what_is_not_there_cannot_be_disposed_of
    a_cursor_of_another_list_is_refused
    open_dead_letters_of_one_cause_are_one_group
    groups_are_listed_piece_by_piece
    a_group_lies_within_one_project
    an_acknowledged_group_says_so_and_when_it_grows_again
    a_group_that_is_not_there_cannot_be_acknowledged
    dead_letters_are_found_by_any_of_several_marks
    a_webhook_is_written_once_and_read_back_whole
    a_webhook_is_changed_only_from_the_revision_that_was_read
    a_removed_webhook_is_gone_and_may_not_be_changed
    webhooks_are_listed_by_project_oldest_first
    a_key_is_written_once_and_read_back_whole
    a_key_is_changed_only_from_the_revision_that_was_read
    a_removed_key_is_gone_and_may_not_be_changed
    keys_are_listed_oldest_first
    what_was_never_stored_is_not_found
    an_event_is_marked_once_per_project
    a_healthy_store_says_what_it_is
);

#[tokio::test]
async fn what_is_published_through_the_socket_is_in_the_queue() {
    let process = process().await;
    let (event, delivery) = (samples::event(), samples::delivery());
    process.client.publish_event(&event, None).await.unwrap();
    process
        .client
        .publish_delivery(&delivery, Lane::Slow, None)
        .await
        .unwrap();
    let later = Some(Wait::exactly(Duration::from_mins(10)));
    process
        .client
        .publish_delivery(&delivery, Lane::Main, later)
        .await
        .unwrap();
    process.client.ping().await.unwrap();
    assert_eq!(
        process.client.depths().await.unwrap(),
        process.queue.depths().await.unwrap()
    );
    let taken = process
        .queue
        .consume_events(1)
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .content
        .unwrap();
    assert_eq!(taken.document, event.document);
    let depths = process.client.depths().await.unwrap();
    assert_eq!(
        depths
            .iter()
            .find(|depth| depth.queue == QueueName::Delayed)
            .unwrap()
            .waiting,
        1
    );
}

#[tokio::test]
async fn records_of_deliveries_come_back_whole() {
    let process = process().await;
    let delivery = samples::delivery();
    let worker = samples::worker();
    let request = ClaimRequest {
        delivery: &delivery,
        worker: &worker,
        nonce: samples::claim_nonce(),
        lease: Duration::from_mins(1),
    };
    process.store.claim(request).await.unwrap();
    let expected = process.store.delivery(&delivery.id).await.unwrap();
    assert!(expected.is_some());
    assert_eq!(
        process.client.delivery(&delivery.id).await.unwrap(),
        expected
    );
    let page = process
        .client
        .deliveries(&DeliveryFilter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(page.entries, Vec::from_iter(expected));
    assert!(matches!(
        process.client.claim(request).await,
        Err(StoreError::Refused { .. })
    ));
    assert!(matches!(
        process.client.consume_events(1).await,
        Err(QueueError::Refused { .. })
    ));
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_gone_after_the_end() {
    let Process {
        directory,
        server,
        client,
        ..
    } = process().await;
    let socket = directory.path().join(SOCKET_NAME);
    assert_eq!(
        std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );
    server.stop().await;
    assert!(!socket.exists());
    assert!(
        ControlClient::connect(directory.path())
            .await
            .unwrap()
            .is_none()
    );
    let left_alone = client
        .dead_letters(&DeadLetterFilter::default(), None, 10)
        .await;
    assert!(matches!(left_alone, Err(StoreError::Unreachable { .. })));
}

#[tokio::test]
async fn a_socket_left_behind_by_a_killed_process_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(directory.path().join(SOCKET_NAME)).unwrap());
    assert!(
        ControlClient::connect(directory.path())
            .await
            .unwrap()
            .is_none(),
        "nobody listens"
    );
    let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
    let _server =
        ControlServer::start(directory.path(), Arc::new(SimulatedQueue::default()), store).unwrap();
    assert!(
        ControlClient::connect(directory.path())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_hides_no_other() {
    let process = process().await;
    let letters = [samples::dead_letter(), samples::dead_letter()];
    for letter in &letters {
        process.store.put_dead_letter(letter).await.unwrap();
    }
    process.store.damage(&letters[0].id);
    let of_all = DeadLetterFilter::default();
    let list = process.client.dead_letters(&of_all, None, 10).await;
    let list = list.unwrap();
    assert_eq!(list.entries.len(), 1);
    assert_eq!(list.entries[0].id, letters[1].id);
    assert_eq!(list.damaged.len(), 1);
    assert_eq!(list.damaged[0].id, letters[0].id.as_str());
    assert_eq!(list.damaged[0].why, "it is cut");

    let webhooks = samples::webhooks_of(&samples::project(), 2);
    for webhook in &webhooks {
        process.store.put_webhook(webhook).await.unwrap();
    }
    process.store.damage(&webhooks[0].id);
    let tell = contract::a_damaged_webhook_keeps_no_other_from_being_read;
    tell(&process.client, &webhooks, 0).await;
}
