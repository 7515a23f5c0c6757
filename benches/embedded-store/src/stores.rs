//! The two candidates, each used as its manual advises, behind one small trait.

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use rusqlite::Connection;
use std::{ops::Range, path::Path};

/// (due millisecond, sequence).
pub(crate) type Key = (u64, u64);

/// Every call is one durable transaction.
pub(crate) trait Store: Sized {
    const NAME: &'static str;
    fn open(dir: &Path) -> Self;
    fn put(&mut self, numbers: Range<u64>, body: &[u8]);
    fn take(&mut self, at_most: usize) -> Vec<(Key, Vec<u8>)>;
    fn ack(&mut self, keys: &[Key]);
    fn write_records(&mut self, ids: &[String], record: &[u8]);
    fn numbers(&self) -> Vec<u64>;
}

pub(crate) struct RedbStore(Database);

const READY: TableDefinition<Key, &[u8]> = TableDefinition::new("ready");
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");

impl Store for RedbStore {
    const NAME: &'static str = "redb";

    fn open(dir: &Path) -> Self {
        let db = Database::create(dir.join("store.redb")).expect("opens");
        let tx = db.begin_write().expect("begins");
        tx.open_table(READY).expect("opens");
        tx.open_table(RECORDS).expect("opens");
        tx.commit().expect("commits");
        Self(db)
    }

    fn put(&mut self, numbers: Range<u64>, body: &[u8]) {
        self.write(|tx| {
            let mut ready = tx.open_table(READY).expect("opens");
            for number in numbers {
                ready.insert((number, number), body).expect("inserts");
            }
        });
    }

    fn take(&mut self, at_most: usize) -> Vec<(Key, Vec<u8>)> {
        let tx = self.0.begin_read().expect("begins");
        let ready = tx.open_table(READY).expect("opens");
        let due = ready
            .range(..=(u64::MAX, u64::MAX))
            .expect("reads")
            .take(at_most);
        due.map(|entry| {
            let (key, body) = entry.expect("reads");
            (key.value(), body.value().to_vec())
        })
        .collect()
    }

    fn ack(&mut self, keys: &[Key]) {
        self.write(|tx| {
            let mut ready = tx.open_table(READY).expect("opens");
            for key in keys {
                ready.remove(key).expect("removes");
            }
        });
    }

    fn write_records(&mut self, ids: &[String], record: &[u8]) {
        self.write(|tx| {
            let mut records = tx.open_table(RECORDS).expect("opens");
            for id in ids {
                records.insert(id.as_str(), record).expect("inserts");
            }
        });
    }

    fn numbers(&self) -> Vec<u64> {
        let tx = self.0.begin_read().expect("begins");
        let ready = tx.open_table(READY).expect("opens");
        ready
            .iter()
            .expect("reads")
            .map(|entry| entry.expect("reads").0.value().1)
            .collect()
    }
}

impl RedbStore {
    fn write(&self, work: impl FnOnce(&redb::WriteTransaction)) {
        let mut tx = self.0.begin_write().expect("begins");
        tx.set_durability(Durability::Immediate)
            .expect("no savepoints");
        work(&tx);
        tx.commit().expect("commits");
    }
}

pub(crate) struct SqliteStore(Connection);

impl Store for SqliteStore {
    const NAME: &'static str = "SQLite";

    fn open(dir: &Path) -> Self {
        let db = Connection::open(dir.join("store.sqlite")).expect("opens");
        db.set_prepared_statement_cache_capacity(16);
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;
             CREATE TABLE IF NOT EXISTS ready (due INTEGER, seq INTEGER, body BLOB, PRIMARY KEY (due, seq)) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, record BLOB) WITHOUT ROWID;",
        )
        .expect("sets up");
        Self(db)
    }

    fn put(&mut self, numbers: Range<u64>, body: &[u8]) {
        self.write(|tx| {
            let mut insert = tx
                .prepare_cached("INSERT INTO ready VALUES (?1, ?1, ?2)")
                .expect("prepares");
            for number in numbers {
                insert.execute((number as i64, body)).expect("inserts");
            }
        });
    }

    fn take(&mut self, at_most: usize) -> Vec<(Key, Vec<u8>)> {
        let mut select = self
            .0
            .prepare_cached(
                "SELECT due, seq, body FROM ready WHERE due <= ?1 ORDER BY due, seq LIMIT ?2",
            )
            .expect("prepares");
        let rows = select
            .query_map((i64::MAX, at_most as i64), |row| {
                Ok((
                    (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64),
                    row.get(2)?,
                ))
            })
            .expect("reads");
        rows.map(|row| row.expect("reads")).collect()
    }

    fn ack(&mut self, keys: &[Key]) {
        self.write(|tx| {
            let mut delete = tx
                .prepare_cached("DELETE FROM ready WHERE due = ?1 AND seq = ?2")
                .expect("prepares");
            for (due, seq) in keys {
                delete.execute((*due as i64, *seq as i64)).expect("deletes");
            }
        });
    }

    fn write_records(&mut self, ids: &[String], record: &[u8]) {
        self.write(|tx| {
            let mut replace = tx
                .prepare_cached("INSERT OR REPLACE INTO records VALUES (?1, ?2)")
                .expect("prepares");
            for id in ids {
                replace.execute((id, record)).expect("replaces");
            }
        });
    }

    fn numbers(&self) -> Vec<u64> {
        let mut select = self
            .0
            .prepare("SELECT seq FROM ready ORDER BY due, seq")
            .expect("prepares");
        let rows = select
            .query_map([], |row| row.get::<_, i64>(0))
            .expect("reads");
        rows.map(|row| row.expect("reads") as u64).collect()
    }
}

impl SqliteStore {
    fn write(&mut self, work: impl FnOnce(&rusqlite::Transaction<'_>)) {
        let tx = self.0.transaction().expect("begins");
        work(&tx);
        tx.commit().expect("commits");
    }
}
