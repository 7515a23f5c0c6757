//! The store's contract, in memory and in a directory.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

mod in_memory {
    use super::common;
    use ringback_embedded::EmbeddedStore;

    ringback_testkit::store_contract!(open);

    async fn open() -> (EmbeddedStore, ()) {
        (common::in_memory().store(), ())
    }
}

mod on_disk {
    use super::common;
    use ringback_embedded::EmbeddedStore;
    use tempfile::TempDir;

    ringback_testkit::store_contract!(open);

    async fn open() -> (EmbeddedStore, TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (common::open(dir.path()).store(), dir)
    }
}
