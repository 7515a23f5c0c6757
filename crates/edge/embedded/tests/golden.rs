//! A store as an older release left it.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use common::StandingClock;
use ringback_embedded::{DataDir, Embedded, Settings};
use ringback_testkit::{golden, samples};
use std::{fs, path::Path, time::Duration};

#[tokio::test]
async fn what_version_1_wrote_is_read() {
    assert_is_read("v1.redb").await;
}

async fn assert_is_read(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    fs::copy(file, dir.path().join("ringback.redb")).unwrap();
    let settings = Settings {
        dead_letter_retention: golden::KEPT_FOR,
        idempotency_window: golden::KEPT_FOR,
        ..Settings::default()
    };
    // An hour after it was filled: the one claim that nobody settled is over.
    let clock = StandingClock::at(samples::moment(0));
    clock.forward(Duration::from_hours(1));
    let data = DataDir::lock(dir.path()).unwrap();
    let embedded = Embedded::open(&data, &settings, clock).unwrap();
    golden::assert_holds(&embedded.store()).await;
}
