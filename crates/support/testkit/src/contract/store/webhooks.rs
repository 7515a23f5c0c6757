//! Webhooks and their revisions.

use crate::samples;
use ringback_delivery::port::{Store, StoreError, WriteAnswer};
use ringback_domain::{EventFilter, Webhook, WebhookState};

async fn put(store: &dyn Store, webhook: &Webhook) -> WriteAnswer {
    store.put_webhook(webhook).await.unwrap()
}

pub async fn a_webhook_is_written_once_and_read_back_whole(store: &dyn Store) {
    let webhook = samples::webhook();
    assert_eq!(store.webhook(&webhook.id).await.unwrap(), None);
    assert_eq!(put(store, &webhook).await, WriteAnswer::Written);
    assert_eq!(
        store.webhook(&webhook.id).await.unwrap().as_ref(),
        Some(&webhook)
    );
    assert_eq!(
        put(store, &webhook).await,
        WriteAnswer::Conflict,
        "it is there already"
    );
}

pub async fn a_webhook_is_changed_only_from_the_revision_that_was_read(store: &dyn Store) {
    let first = samples::webhook();
    put(store, &first).await;
    let mut second = first.clone();
    second.revision = 2;
    second.events = EventFilter::All;
    second.state = WebhookState::Disabled {
        at: samples::moment(9),
        reason: "answered 410 Gone".into(),
    };
    assert_eq!(put(store, &second).await, WriteAnswer::Written);
    let mut late = first.clone();
    late.revision = 2;
    late.description = Some("changed by somebody slower".into());
    assert_eq!(put(store, &late).await, WriteAnswer::Conflict);
    let mut early = first;
    early.revision = 4;
    assert_eq!(put(store, &early).await, WriteAnswer::Conflict);
    assert_eq!(store.webhook(&second.id).await.unwrap(), Some(second));
}

pub async fn a_removed_webhook_is_gone_and_may_not_be_changed(store: &dyn Store) {
    let mut webhook = samples::webhook();
    put(store, &webhook).await;
    assert!(store.remove_webhook(&webhook.id).await.unwrap());
    assert!(!store.remove_webhook(&webhook.id).await.unwrap());
    assert_eq!(store.webhook(&webhook.id).await.unwrap(), None);
    let left = store.webhooks(&webhook.project).await.unwrap();
    assert!(left.entries.is_empty());
    webhook.revision = 2;
    assert_eq!(put(store, &webhook).await, WriteAnswer::Conflict);
    webhook.revision = 1;
    assert_eq!(put(store, &webhook).await, WriteAnswer::Written);
}

pub async fn webhooks_are_listed_by_project_oldest_first(store: &dyn Store) {
    let project = samples::project();
    let mut expected = samples::webhooks_of(&project, 40);
    for webhook in expected.iter().rev() {
        put(store, webhook).await;
    }
    put(store, &samples::webhook()).await;
    let listed = async |project| store.webhooks(project).await.unwrap().entries;
    assert_eq!(listed(&project).await, expected);
    let removed = expected.remove(7);
    store.remove_webhook(&removed.id).await.unwrap();
    assert_eq!(listed(&project).await, expected);
    assert!(listed(&samples::project()).await.is_empty());
}

/// For stores whose records a test can damage: the one at this place is.
pub async fn a_damaged_webhook_keeps_no_other_from_being_read(
    store: &dyn Store,
    webhooks: &[Webhook],
    damaged: usize,
) {
    let (project, id) = (&webhooks[0].project, &webhooks[damaged].id);
    let mut whole = webhooks.to_vec();
    whole.remove(damaged);
    let list = store.webhooks(project).await.unwrap();
    assert_eq!(list.entries, whole);
    let told: Vec<_> = list.damaged.iter().map(|record| &*record.id).collect();
    assert_eq!(told, [id.as_str()]);
    let read = store.webhook(id).await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");

    // Who has seen enough of it takes it out.
    assert!(store.remove_webhook(id).await.unwrap());
    let list = store.webhooks(project).await.unwrap();
    assert_eq!((list.entries, list.damaged), (whole, Vec::new()));
    assert_eq!(store.webhook(id).await.unwrap(), None);
    assert!(!store.remove_webhook(id).await.unwrap());
}
