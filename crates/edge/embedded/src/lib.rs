//! Queue and store in one process and one directory, for no servers at all.
//!
//! Both live in one [redb](https://www.redb.org) file. A single thread writes it: what is asked for while one commit is on its way
//! to the disk goes into the next together, so that a sync costs a busy system little (see `engine`). Which message is ready, due
//! later or in somebody's hands is kept in memory and read back when the file is opened; a message leaves the file only by being
//! acknowledged, so that a process that dies, however it dies, finds all its unfinished messages again.
//!
//! One directory belongs to one process. Many workers want RabbitMQ and Redis; nothing else changes.

mod bytes_of;
mod directory;
mod engine;
mod queue;
mod store;
mod tables;

pub use directory::DataDir;
pub use queue::EmbeddedQueue;
pub use store::EmbeddedStore;

use engine::{Engine, Opener, Place};
use queue::Lanes;
use ringback_delivery::port::Clock;
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use store::Turns;

/// How much is kept, and for how long.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often a message can be given back before it is parked.
    pub delivery_limit: u32,
    /// Events that may wait; further ones are refused. Retries and fan-out are never refused.
    pub events_max: usize,
    /// How long an event's mark is kept, and how long a delivered delivery is remembered at least.
    pub idempotency_window: Duration,
    /// Deliveries kept in the log, the oldest final ones forgotten first.
    pub deliveries_max: u64,
    /// How long a dead letter is kept. None is ever forgotten to make room.
    pub dead_letter_retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delivery_limit: 20,
            events_max: 1_000_000,
            idempotency_window: Duration::from_hours(24),
            deliveries_max: 100_000,
            dead_letter_retention: Duration::from_hours(30 * 24),
        }
    }
}

/// The queue and the store of one directory, or of no directory at all.
///
/// The file is closed, and everything acknowledged is on disk, once this and all queues, stores and consumers made of it are dropped.
pub struct Embedded {
    engine: Arc<Engine>,
    lanes: Arc<Lanes>,
    settings: Settings,
    turns: Arc<Turns>,
}

impl Embedded {
    /// Opens what the directory holds, or begins empty. After a process was killed this reads the whole file once; call it where
    /// blocking is allowed.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::NotOurs`] when the file is not a store of this release, or is damaged; [`EmbeddedError::Unusable`] when
    /// the system refuses to read or write it, as a full disk does.
    pub fn open(
        dir: &DataDir,
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EmbeddedError> {
        let database = dir.open_database()?;
        let place = Place::Directory(dir.path().display().to_string());
        let again = dir.clone();
        let open: Opener = Box::new(move || again.database().map_err(redb::Error::from));
        Self::start(database, open, place, settings, clock)
            .map_err(|error| EmbeddedError::of_database(dir, error))
    }

    /// A queue and a store that are gone with the process: for tests and demonstrations.
    #[expect(clippy::missing_panics_doc, reason = "it cannot")]
    pub fn in_memory(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let open = || {
            let backend = redb::backends::InMemoryBackend::new();
            Ok(redb::Builder::new().create_with_backend(backend)?)
        };
        open()
            .and_then(|database| {
                Self::start(database, Box::new(open), Place::Memory, settings, clock)
            })
            .expect("an empty store in memory has nothing that could be wrong")
    }

    fn start(
        database: redb::Database,
        open: Opener,
        place: Place,
        settings: &Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, redb::Error> {
        let waiting = tables::prepare(&database)?;
        let keeper = store::Keeper::new(settings.clone(), clock.clone());
        let engine = Engine::start(database, open, place, waiting.boot, keeper);
        let lanes = Lanes::new(waiting.messages, settings, engine.notes(), clock);
        Ok(Self {
            engine: Arc::new(engine),
            lanes: Arc::new(lanes),
            turns: Arc::default(),
            settings: settings.clone(),
        })
    }

    /// A queue of its own that can be closed by itself; all made of one [`Embedded`] share the messages.
    pub fn queue(&self) -> EmbeddedQueue {
        EmbeddedQueue::new(self.engine.clone(), self.lanes.clone())
    }

    /// The store.
    pub fn store(&self) -> EmbeddedStore {
        EmbeddedStore::new(
            self.engine.clone(),
            self.lanes.clock(),
            self.settings.idempotency_window,
            self.turns.clone(),
        )
    }
}

/// Why a directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Another process has it.
    #[error(
        "data directory `{}` is in use by {holder} (hint: stop it first, or choose another `data_dir`)", dir.display()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// `process 4711`, or `another process`.
        holder: String,
    },
    /// The directory, or a file in it, cannot be made, read or written.
    #[error("could not open data directory `{}`{}", dir.display(), hint(source))]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is something else, or damaged.
    #[error(
        "`{}` is no store of this release, or is damaged (hint: restore a copy, or move it away to begin empty)", file.display()
    )]
    NotOurs {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EmbeddedError {
    /// What the system refuses says nothing against the file; an end that comes too early, without a word of the system, does.
    fn of_database(dir: &DataDir, error: redb::Error) -> Self {
        match error {
            redb::Error::Io(source) if source.raw_os_error().is_some() => Self::Unusable {
                dir: dir.path().to_owned(),
                source,
            },
            other => Self::NotOurs {
                file: dir.database_path(),
                source: Box::new(other),
            },
        }
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (hint: make room on its disk)"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            " (hint: let the user that runs this write there, or choose another `data_dir`)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_nothing_against_the_file() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::lock(parent.path()).unwrap();
        let of = |error| EmbeddedError::of_database(&dir, redb::Error::Io(error));
        let (no_space, cut) = (28, io::ErrorKind::UnexpectedEof.into());

        let full = of(io::Error::from_raw_os_error(no_space));
        assert!(matches!(full, EmbeddedError::Unusable { .. }), "{full:?}");
        assert!(full.to_string().contains("make room"), "{full}");
        let damaged = of(cut);
        assert!(
            matches!(damaged, EmbeddedError::NotOurs { .. }),
            "{damaged:?}"
        );
    }
}
