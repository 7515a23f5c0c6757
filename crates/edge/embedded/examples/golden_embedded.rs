//! Makes the golden store of the embedded ground: `cargo run -p ringback-embedded --example golden_embedded -- <new directory>`.
//!
//! Run once for each version of the wire format, before it is released; a file once made is never made again.

use async_trait::async_trait;
use ringback_delivery::port::{Clock, Queue};
use ringback_domain::Timestamp;
use ringback_embedded::{DataDir, Embedded, Settings};
use ringback_testkit::{golden, samples};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Golden stores are made on a morning in June 2026, whenever that is.
struct StandingClock;

#[async_trait]
impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        samples::moment(0)
    }

    async fn sleep(&self, _: Duration) {
        std::future::pending::<()>().await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("say into which directory")?;
    let dir = DataDir::lock(PathBuf::from(dir))?;
    let settings = Settings {
        dead_letter_retention: golden::KEPT_FOR,
        idempotency_window: golden::KEPT_FOR,
        ..Settings::default()
    };
    let embedded = Embedded::open(&dir, &settings, Arc::new(StandingClock))?;
    golden::fill(&embedded.store()).await;
    embedded.queue().close().await;
    drop(embedded);
    eprintln!("filled {}", dir.path().display());
    Ok(())
}
