//! What happens when the disk does not do what it is told.

use super::*;
use crate::{Settings, tables::MESSAGES};
use async_trait::async_trait;
use redb::StorageBackend;
use ringback_delivery::port::Clock;
use ringback_domain::Timestamp;
use std::{
    io,
    sync::{Mutex, atomic::AtomicBool},
};

/// A disk that is full at times, or cannot say that it has written what it has. Opened again, it holds what it held.
#[derive(Debug, Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_full: Arc<AtomicBool>,
    does_not_sync: Arc<AtomicBool>,
}

impl Disk {
    fn open(&self) -> Result<Database, redb::Error> {
        Ok(redb::Builder::new().create_with_backend(self.clone())?)
    }

    fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.bytes.lock().unwrap()[offset..offset + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.bytes
            .lock()
            .unwrap()
            .resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.does_not_sync.load(Ordering::Relaxed) {
            return Err(io::Error::other("input/output error"));
        }
        self.check()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        let offset = usize::try_from(offset).unwrap();
        self.bytes.lock().unwrap()[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

struct Standing;

#[async_trait]
impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, _: Duration) {}
}

fn engine_on(disk: &Disk) -> Engine {
    let database = disk.open().unwrap();
    let boot = crate::tables::prepare(&database).unwrap().boot;
    let keeper = Keeper::new(Settings::default(), Arc::new(Standing));
    let again = disk.clone();
    Engine::start(
        database,
        Box::new(move || again.open()),
        Place::Memory,
        boot,
        keeper,
    )
}

async fn put(engine: &Engine, number: u64) -> Result<(), Failure> {
    engine
        .write(move |tables| {
            tables
                .messages()?
                .insert((0, 0, number), [0; 100].as_slice())?;
            Ok(())
        })
        .await
}

fn numbers(engine: &Engine) -> Result<Vec<u64>, Failure> {
    engine.read(|tx| {
        let messages = tx.open_table(MESSAGES)?;
        redb::ReadableTable::iter(&messages)?
            .map(|entry| Ok(entry?.0.value().2))
            .collect()
    })
}

#[tokio::test]
async fn what_was_confirmed_before_the_disk_was_full_is_there_and_writing_goes_on_after() {
    let disk = Disk::default();
    let engine = engine_on(&disk);
    put(&engine, 1).await.unwrap();
    disk.fill(true);
    assert!(matches!(put(&engine, 2).await, Err(Failure::Database(_))));
    // An acknowledgement given meanwhile is not forgotten.
    engine.notes().give(Note::Done {
        key: (0, 0, 1),
        was_given_back: false,
    });
    assert!(matches!(put(&engine, 3).await, Err(Failure::Database(_))));
    disk.fill(false);
    let mut refused = 0;
    while put(&engine, 4).await.is_err() {
        refused += 1;
        assert!(refused < 1_000, "it is opened again within seconds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        numbers(&engine).unwrap(),
        [4],
        "2 and 3 failed, 1 was acknowledged"
    );
}

#[tokio::test]
async fn a_failure_fails_all_that_shared_the_transaction_and_keeps_nothing_of_it() {
    let disk = Disk::default();
    let engine = engine_on(&disk);
    disk.fill(true);
    let puts = (1..=50).map(|number| put(&engine, number));
    let mut all = Vec::new();
    for put in puts {
        all.push(put.await);
    }
    assert!(all.iter().all(Result::is_err));
    drop(engine);
    disk.fill(false);
    assert!(numbers(&engine_on(&disk)).unwrap().is_empty());
}

/// Or it would come after the next start, beside the one that was published in its place: long after that was delivered, perhaps.
#[tokio::test]
async fn a_message_that_failed_is_not_there_although_the_disk_had_it() {
    let disk = Disk::default();
    let engine = engine_on(&disk);
    let publish = |number: u64| engine.write_message((0, 0, number), vec![0; 100].into(), || {});
    publish(1).await.unwrap();
    disk.does_not_sync.store(true, Ordering::Relaxed);
    assert!(matches!(publish(2).await, Err(Failure::Database(_))));
    disk.does_not_sync.store(false, Ordering::Relaxed);
    let mut number = 3;
    while publish(number).await.is_err() {
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(numbers(&engine).unwrap(), [1, number]);
}

#[tokio::test]
async fn numbers_grow_from_one_opening_to_the_next() {
    let disk = Disk::default();
    let mut newest = 0;
    for _ in 0..3 {
        let engine = engine_on(&disk);
        for _ in 0..3 {
            let number = engine.number();
            assert!(number > newest);
            newest = number;
        }
    }
}

#[tokio::test]
async fn what_was_asked_for_is_done_although_nobody_waits() {
    let disk = Disk::default();
    let engine = engine_on(&disk);
    {
        let mut forgotten = std::pin::pin!(put(&engine, 1));
        // Polled once: it is accepted, and nobody asks again.
        std::future::poll_fn(|context| {
            let _ = forgotten.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    engine.flush().await.unwrap();
    assert_eq!(numbers(&engine).unwrap(), [1]);
}

#[tokio::test]
async fn notes_are_written_soon_without_being_asked_for_and_when_it_ends() {
    let disk = Disk::default();
    let engine = engine_on(&disk);
    for number in 1..=2 {
        put(&engine, number).await.unwrap();
    }
    engine.notes().give(Note::Done {
        key: (0, 0, 1),
        was_given_back: false,
    });
    for _ in 0..1_000 {
        if numbers(&engine).unwrap() == [2] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(numbers(&engine).unwrap(), [2]);
    let notes = engine.notes();
    notes.give(Note::Done {
        key: (0, 0, 2),
        was_given_back: false,
    });
    drop(engine);
    // Too late, and harmless.
    notes.give(Note::Done {
        key: (0, 0, 3),
        was_given_back: false,
    });
    assert!(numbers(&engine_on(&disk)).unwrap().is_empty());
}
