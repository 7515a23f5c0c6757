//! The store's contract, in memory and in a directory.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

mod in_memory {
    use super::common;
    use ringback_embedded::EmbeddedStore;
    use std::future::{Ready, ready};

    ringback_testkit::store_contract!(open);

    fn open() -> Ready<(EmbeddedStore, ())> {
        ready((common::in_memory().store(), ()))
    }
}

mod on_disk {
    use super::common;
    use ringback_embedded::EmbeddedStore;
    use std::future::{Ready, ready};
    use tempfile::TempDir;

    ringback_testkit::store_contract!(open);

    fn open() -> Ready<(EmbeddedStore, TempDir)> {
        let dir = tempfile::tempdir().unwrap();
        ready((common::open(dir.path()).store(), dir))
    }
}
