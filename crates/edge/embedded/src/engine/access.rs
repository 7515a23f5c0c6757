//! The open file, for the writer and all readers, and how it is opened again when writing it failed.

use super::Failure;
use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};
use std::{
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

/// Opens the file. Holds what must outlive the open file, such as the lock on its directory.
pub(crate) type Opener = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// Between two attempts to open the file again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Access {
    // Dropped in this order: the file is closed before the directory is unlocked.
    database: RwLock<State>,
    open: Opener,
}

/// After a failed write redb takes no further one: the state on disk is known only by reading it again.
enum State {
    Open(Database),
    Failed { why: Arc<redb::Error>, at: Instant },
}

impl Access {
    pub(super) fn new(database: Database, open: Opener) -> Self {
        Self {
            database: RwLock::new(State::Open(database)),
            open,
        }
    }

    /// Whoever panicked with it changed nothing here.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Failure> {
        let state = self.state();
        let tx = state.database()?.begin_read().map_err(redb::Error::from)?;
        Ok(look(&tx)?)
    }

    /// One transaction; the writer's alone. It is committed if `change` says so. A file that failed is not opened again by it: the
    /// writer does that before, to know whether one that fails may have left something in the file.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(T, Commit), redb::Error>,
    ) -> Result<T, Failure> {
        let written = self.try_write(change);
        if let Err(Failure::Database(why)) = &written {
            self.fail(why);
        }
        written
    }

    fn try_write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(T, Commit), redb::Error>,
    ) -> Result<T, Failure> {
        let state = self.state();
        let tx = state.database()?.begin_write().map_err(redb::Error::from)?;
        let (changed, commit) = change(&tx)?;
        match commit {
            Commit::Yes => tx.commit().map_err(redb::Error::from)?,
            Commit::No => tx.abort().map_err(redb::Error::from)?,
        }
        Ok(changed)
    }

    fn fail(&self, why: &Arc<redb::Error>) {
        let mut state = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let State::Open(_) = *state {
            *state = State::failed(why.clone());
        }
    }

    /// Whether it is open then.
    pub(super) fn reopen_if_failed(&self) -> bool {
        // A long read must not hold up the writer, so the look that finds nothing wrong excludes nobody.
        if let State::Open(_) = *self.state() {
            return true;
        }
        let mut state = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let State::Failed { at, .. } = *state
            && at.elapsed() >= REOPEN_AFTER
        {
            *state = match (self.open)() {
                Ok(database) => {
                    tracing::info!("the embedded store is open again");
                    State::Open(database)
                }
                Err(why) => State::failed(Arc::new(why)),
            };
        }
        matches!(*state, State::Open(_))
    }
}

impl State {
    fn failed(why: Arc<redb::Error>) -> Self {
        Self::Failed {
            why,
            at: Instant::now(),
        }
    }

    fn database(&self) -> Result<&Database, Failure> {
        match self {
            Self::Open(database) => Ok(database),
            Self::Failed { why, .. } => Err(Failure::Database(why.clone())),
        }
    }
}

/// Whether there is anything to keep of a transaction.
pub(super) enum Commit {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    fn open() -> Result<Database, redb::Error> {
        Ok(redb::Builder::new().create_with_backend(InMemoryBackend::new())?)
    }

    #[test]
    fn a_write_opens_no_file_of_which_the_writer_took_it_that_it_is_not_open() {
        let access = Access::new(open().unwrap(), Box::new(open));
        let why = redb::Error::Corrupted("it failed".to_owned());
        *access.database.write().unwrap() = State::Failed {
            why: Arc::new(why),
            at: Instant::now().checked_sub(REOPEN_AFTER).unwrap(),
        };
        let write = || access.write(|_| Ok(((), Commit::Yes)));

        assert!(write().is_err());
        assert!(access.reopen_if_failed());
        assert!(write().is_ok());
    }
}
