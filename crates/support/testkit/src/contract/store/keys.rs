//! Keys to the HTTP API and their revisions.

use crate::samples;
use ringback_delivery::port::{Store, WriteAnswer};
use ringback_domain::{ApiKey, KeyOwner};

fn key() -> ApiKey {
    samples::api_key_of(KeyOwner::Project(samples::project()))
}

async fn put(store: &dyn Store, key: &ApiKey) -> WriteAnswer {
    store.put_key(key).await.unwrap()
}

pub async fn a_key_is_written_once_and_read_back_whole(store: &dyn Store) {
    for key in [key(), samples::api_key_of(KeyOwner::Operator)] {
        assert_eq!(store.key(&key.id).await.unwrap(), None);
        assert_eq!(put(store, &key).await, WriteAnswer::Written);
        assert_eq!(store.key(&key.id).await.unwrap().as_ref(), Some(&key));
        assert_eq!(
            put(store, &key).await,
            WriteAnswer::Conflict,
            "it is there already"
        );
    }
}

/// A use noted late must not undo a revocation.
pub async fn a_key_is_changed_only_from_the_revision_that_was_read(store: &dyn Store) {
    let first = ApiKey {
        revoked_at: None,
        ..key()
    };
    put(store, &first).await;
    let revoked = ApiKey {
        revoked_at: Some(samples::moment(9)),
        revision: 2,
        ..first.clone()
    };
    assert_eq!(put(store, &revoked).await, WriteAnswer::Written);
    let late = ApiKey {
        last_used_at: Some(samples::moment(10)),
        revision: 2,
        ..first.clone()
    };
    assert_eq!(put(store, &late).await, WriteAnswer::Conflict);
    let early = ApiKey {
        revision: 4,
        ..first
    };
    assert_eq!(put(store, &early).await, WriteAnswer::Conflict);
    assert_eq!(store.key(&revoked.id).await.unwrap(), Some(revoked));
}

pub async fn a_removed_key_is_gone_and_may_not_be_changed(store: &dyn Store) {
    let mut key = key();
    put(store, &key).await;
    assert!(store.remove_key(&key.id).await.unwrap());
    assert!(!store.remove_key(&key.id).await.unwrap());
    assert_eq!(store.key(&key.id).await.unwrap(), None);
    assert!(!store.keys().await.unwrap().contains(&key));
    key.revision = 2;
    assert_eq!(put(store, &key).await, WriteAnswer::Conflict);
}

pub async fn keys_are_listed_oldest_first(store: &dyn Store) {
    assert!(store.keys().await.unwrap().is_empty());
    let owner = KeyOwner::Project(samples::project());
    let mut expected: Vec<_> = (0..20)
        .map(|number| ApiKey {
            created_at: samples::moment(number),
            ..samples::api_key_of(owner.clone())
        })
        .collect();
    expected[3].owner = KeyOwner::Operator;
    for key in expected.iter().rev() {
        put(store, key).await;
    }
    assert_eq!(store.keys().await.unwrap(), expected);
    let removed = expected.remove(7);
    store.remove_key(&removed.id).await.unwrap();
    assert_eq!(store.keys().await.unwrap(), expected);
}
