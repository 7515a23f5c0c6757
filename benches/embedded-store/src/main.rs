//! Which embedded store carries Ringback's work better: redb or `SQLite`?
//!
//! The work is that of a delivery: messages are put, taken in the order they are due and acknowledged; claims are written and
//! overwritten under ids that are hashes. Every commit is on disk before it counts. Run it with `cargo run --release`;
//! `docs/decisions/embedded-store.md` says what came out and what we made of it.

mod kill;
mod stores;

use std::{
    path::Path,
    time::{Duration, Instant},
};
use stores::{RedbStore, SqliteStore, Store};

/// Messages for each cell of the table; fewer where each pays for a commit of its own.
const MESSAGES: u64 = 20_000;
const MESSAGES_ONE_BY_ONE: u64 = 1_000;

fn main() {
    if let Some(child) = kill::Child::from_arguments() {
        child.run();
    }
    println!(
        "messages per second and CPU µs per message; `life` is put + take + ack of each, `claim` is two writes of one record"
    );
    println!(
        "{:>5} {:>5} {:>5}  {:>22}  {:>22}  redb / SQLite",
        "body", "batch", "work", "redb", "SQLite"
    );
    for body_bytes in [500, 4096] {
        for batch in [1, 10, 100, 500] {
            let redb = measure::<RedbStore>(body_bytes, batch);
            let sqlite = measure::<SqliteStore>(body_bytes, batch);
            for (work, redb, sqlite) in [
                ("life", &redb.life, &sqlite.life),
                ("claim", &redb.claims, &sqlite.claims),
            ] {
                println!(
                    "{body_bytes:>5} {batch:>5} {work:>5}  {redb}  {sqlite}  {:.2} × rate, {:.2} × CPU",
                    redb.rate() / sqlite.rate(),
                    redb.cpu_each() / sqlite.cpu_each(),
                );
            }
            println!(
                "{body_bytes:>5} {batch:>5} file   {:>18} KiB  {:>18} KiB",
                redb.file_kib, sqlite.file_kib
            );
        }
    }
    kill::compare();
}

struct Measured {
    life: Cost,
    claims: Cost,
    file_kib: u64,
}

struct Cost {
    messages: u64,
    wall: Duration,
    cpu: Duration,
}

impl Cost {
    fn of(messages: u64, work: impl FnOnce()) -> Self {
        let (began, cpu) = (Instant::now(), cpu_time());
        work();
        Self {
            messages,
            wall: began.elapsed(),
            cpu: cpu_time() - cpu,
        }
    }

    fn rate(&self) -> f64 {
        self.messages as f64 / self.wall.as_secs_f64()
    }

    fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages as f64
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9.0}/s {:>8.1} µs", self.rate(), self.cpu_each())
    }
}

fn measure<S: Store>(body_bytes: usize, batch: u64) -> Measured {
    let dir = tempfile::tempdir_in(".").expect("a folder on the disk we measure");
    let mut store = S::open(dir.path());
    let messages = if batch == 1 {
        MESSAGES_ONE_BY_ONE
    } else {
        MESSAGES
    };
    let body = body(body_bytes);

    let life = Cost::of(messages, || {
        // Producing runs ahead of consuming by ten batches, as it does under load.
        let mut taken = 0;
        for first in (0..messages).step_by(batch as usize) {
            store.put(first..(first + batch).min(messages), &body);
            if first >= batch * 10 {
                taken += take_and_ack(&mut store, batch, body_bytes);
            }
        }
        while taken < messages {
            taken += take_and_ack(&mut store, batch, body_bytes);
        }
    });
    let record = &body[..500];
    let claims = Cost::of(messages, || {
        for first in (0..messages).step_by(batch as usize) {
            let ids: Vec<String> = (first..(first + batch).min(messages))
                .map(hashed_id)
                .collect();
            store.write_records(&ids, record);
            store.write_records(&ids, record);
        }
    });
    drop(store);
    Measured {
        life,
        claims,
        file_kib: bytes_in(dir.path()) / 1024,
    }
}

fn take_and_ack(store: &mut impl Store, batch: u64, body_bytes: usize) -> u64 {
    let taken = store.take(batch as usize);
    assert!(taken.iter().all(|(_, body)| body.len() == body_bytes));
    store.ack(&taken.iter().map(|(key, _)| *key).collect::<Vec<_>>());
    taken.len() as u64
}

/// Text that does not shrink to nothing, should a store compress.
fn body(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b' ' + (state >> 24) as u8 % 90
        })
        .collect()
}

/// Spread as delivery ids are: a multiplication by a large odd number, twice.
fn hashed_id(number: u64) -> String {
    let high = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "dlv_{high:016x}{:016x}",
        high.wrapping_mul(0xbf58_476d_1ce4_e5b9)
    )
}

fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("our own folder");
    files
        .map(|file| {
            file.and_then(|file| file.metadata())
                .expect("our own file")
                .len()
        })
        .sum()
}

/// User and system time of this process, from `/proc`, to a hundredth of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().expect("a name in brackets");
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}
