//! The data directory: private, locked, and honest about what it holds.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use ringback_delivery::port::{Lane, Queue, Store, WebhookStore};
use ringback_embedded::{DataDir, Embedded, EmbeddedError, Settings};
use ringback_testkit::samples;
use std::{
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

fn open(dir: &DataDir) -> Result<Embedded, EmbeddedError> {
    Embedded::open(dir, &Settings::default(), Arc::new(common::SystemClock))
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// A directory with a few messages and a webhook in it, closed.
async fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let embedded = common::open(dir.path());
    for _ in 0..50 {
        let publish = embedded.queue();
        publish
            .publish_delivery(&samples::delivery(), Lane::Main, None)
            .await
            .unwrap();
    }
    embedded
        .store()
        .put_webhook(&samples::webhook())
        .await
        .unwrap();
    dir
}

#[tokio::test]
async fn only_the_owner_may_look_inside() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/b");
    let dir = DataDir::lock(&path).unwrap();
    let _embedded = open(&dir).unwrap();
    assert_eq!(
        dir.private_file("keys", || "k1:AAAA".into()).unwrap(),
        "k1:AAAA"
    );
    assert_eq!(mode(&path), 0o700);
    for file in std::fs::read_dir(&path).unwrap() {
        let file = file.unwrap();
        assert_eq!(mode(&file.path()), 0o600, "{file:?}");
    }
}

#[test]
fn a_private_file_is_made_once() {
    let parent = tempfile::tempdir().unwrap();
    let dir = DataDir::lock(parent.path()).unwrap();
    assert_eq!(
        dir.private_file("keys", || "first".into()).unwrap(),
        "first"
    );
    let again = dir.private_file("keys", || panic!("made already")).unwrap();
    assert_eq!(again, "first");
}

#[tokio::test]
async fn a_second_user_is_told_who_has_the_directory() {
    let parent = tempfile::tempdir().unwrap();
    let dir = DataDir::lock(parent.path()).unwrap();
    let refused = DataDir::lock(parent.path()).unwrap_err();
    assert!(matches!(refused, EmbeddedError::InUse { .. }));
    let text = refused.to_string();
    assert!(
        text.contains(&parent.path().display().to_string()),
        "{text}"
    );
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    assert!(text.contains("hint: "), "{text}");

    let embedded = open(&dir).unwrap();
    drop(dir);
    assert!(
        DataDir::lock(parent.path()).is_err(),
        "what is open stays locked"
    );
    drop(embedded);
    DataDir::lock(parent.path()).unwrap();
}

#[tokio::test]
async fn a_queue_or_store_alone_keeps_the_directory() {
    let parent = tempfile::tempdir().unwrap();
    let embedded = common::open(parent.path());
    let (queue, store): (Arc<dyn Queue>, Arc<dyn Store>) =
        (Arc::new(embedded.queue()), Arc::new(embedded.store()));
    drop(embedded);
    queue.close().await;
    drop(queue);
    assert!(DataDir::lock(parent.path()).is_err());
    store.health().await.unwrap();
    drop(store);
    DataDir::lock(parent.path()).unwrap();
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused_and_left_alone() {
    for foreign in [&b"SQLite format 3\0"[..], b"#!/bin/sh\n", &[0; 8_192], b""] {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::lock(parent.path()).unwrap();
        let file = parent.path().join("ringback.redb");
        std::fs::write(&file, foreign).unwrap();
        let refused = open(&dir).err().unwrap();
        assert!(
            matches!(refused, EmbeddedError::NotOurs { .. }),
            "{refused:?}"
        );
        let text = refused.to_string();
        assert!(text.contains("ringback.redb"), "{text}");
        assert!(text.contains("hint: "), "{text}");
        assert_eq!(std::fs::read(&file).unwrap(), foreign);
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let whole = {
        let dir = filled().await;
        std::fs::read(dir.path().join("ringback.redb")).unwrap()
    };
    let in_use = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for (what, damage) in [("cut", None), ("overwritten", Some([0x5a; 4096]))] {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("ringback.redb");
        std::fs::write(&path, &whole).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        match damage {
            None => file.set_len(8192).unwrap(),
            Some(bytes) => {
                for at in (4096..in_use as u64).step_by(4096) {
                    file.write_all_at(&bytes, at).unwrap();
                }
            }
        }
        let dir = DataDir::lock(parent.path()).unwrap();
        let refused = open(&dir).err().unwrap_or_else(|| panic!("{what}: opened"));
        assert!(
            matches!(refused, EmbeddedError::NotOurs { .. }),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("file");
    std::fs::write(&path, "").unwrap();
    let refused = DataDir::lock(path.join("inside")).unwrap_err();
    assert!(
        matches!(refused, EmbeddedError::Unusable { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("inside"), "{refused}");
}
