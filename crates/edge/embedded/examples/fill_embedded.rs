//! Measures what `docs/store.md` says of the embedded store: fills a directory with dead letters and asks for pages.
//!
//! `cargo run --release -p ringback-embedded --example fill_embedded -- DIRECTORY 1000000`
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use ringback_embedded::{DataDir, Embedded, Settings};
use ringback_testkit::{MachineClock, load};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("say the directory and how many dead letters".into());
    };
    let count: i64 = count.parse()?;
    let settings = Settings {
        dead_letter_retention: Duration::from_hours(24 * 365 * 100),
        ..Settings::default()
    };
    let dir = DataDir::lock(Path::new(&directory))?;
    let embedded = Embedded::open(&dir, &settings, Arc::new(MachineClock))?;
    let store = embedded.store();
    let began = Instant::now();
    let projects = load::fill(&store, count).await?;
    println!(
        "{count} dead letters stored in {:.1?}, {} MiB on disk",
        began.elapsed(),
        bytes_in(dir.path())? >> 20
    );
    for load::Measured {
        name,
        entries,
        took,
    } in load::measure(&store, &projects).await?
    {
        println!("{name}: {entries} in {took:.1?}");
    }
    Ok(())
}

fn bytes_in(directory: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for file in std::fs::read_dir(directory)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
