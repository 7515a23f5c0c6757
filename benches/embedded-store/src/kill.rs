//! A child process writes and says what was confirmed; it is killed; the store is opened again.

use crate::stores::{RedbStore, SqliteStore, Store};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

const KILLS: usize = 8;
/// Confirmed batches of 100 before the kill; opening again is slower the more there is to check.
const BATCHES: usize = 200;

pub(crate) struct Child {
    store: String,
    dir: PathBuf,
}

impl Child {
    pub(crate) fn from_arguments() -> Option<Self> {
        let mut arguments = std::env::args().skip(1);
        Some(Self {
            store: arguments.next()?,
            dir: arguments.next()?.into(),
        })
    }

    pub(crate) fn run(self) -> ! {
        if self.store == RedbStore::NAME {
            write_until_killed::<RedbStore>(&self.dir)
        } else {
            write_until_killed::<SqliteStore>(&self.dir)
        }
    }
}

fn write_until_killed<S: Store>(dir: &Path) -> ! {
    let mut store = S::open(dir);
    let body = crate::body(4096);
    let mut next = store.numbers().last().map_or(0, |last| last + 1);
    let mut out = std::io::stdout().lock();
    loop {
        store.put(next..next + 100, &body);
        next += 100;
        writeln!(out, "{next}")
            .and_then(|()| out.flush())
            .expect("somebody listens");
    }
}

pub(crate) fn compare() {
    killed::<RedbStore>();
    killed::<SqliteStore>();
}

fn killed<S: Store>() {
    let dir = tempfile::tempdir_in(".").expect("a folder on the disk we measure");
    let mut slowest = 0;
    for _ in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("we are a file"))
            .arg(S::NAME)
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut confirmed = 0;
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        for line in lines.by_ref().take(BATCHES / KILLS) {
            confirmed = line.expect("reads").parse().expect("a number");
        }
        child.kill().expect("ours");
        for line in lines {
            confirmed = line.expect("reads").parse().expect("a number");
        }
        child.wait().expect("ours");
        let began = Instant::now();
        let numbers = S::open(dir.path()).numbers();
        slowest = slowest.max(began.elapsed().as_millis());
        assert!(
            numbers.len() as u64 >= confirmed,
            "{}: {} of {confirmed} confirmed are left",
            S::NAME,
            numbers.len()
        );
        assert!(
            numbers.iter().copied().eq(0..numbers.len() as u64),
            "{}: a batch came in half",
            S::NAME
        );
    }
    println!(
        "{}: killed {KILLS} times, nothing confirmed lost; slowest opening {slowest} ms with {} KiB",
        S::NAME,
        crate::bytes_in(dir.path()) / 1024
    );
}
