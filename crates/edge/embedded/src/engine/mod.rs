//! One thread writes the file, and everything asked of it while a commit is under way is the next commit.
//!
//! A sync to disk costs the same for one change as for hundreds, so batches form by themselves when there is much to do. What is
//! asked for is applied in order and answered once its transaction is on disk. Acknowledgements do not wait and are in no hurry:
//! they go along with the next transaction, or into one of their own soon after. Nothing is polled: the thread sleeps until it is
//! given something, or until it is time to forget what is too old.

mod access;
mod inbox;
#[cfg(test)]
mod tests;

pub(crate) use access::Opener;
pub(crate) use inbox::{Note, Notes};

use crate::{
    store::{self, Keeper},
    tables::{MESSAGES, MessageKey, PARKED, Tables},
};
use access::{Access, Commit};
use bytes::Bytes;
use inbox::{Inbox, Woken, Work};
use redb::{Database, ReadTransaction};
use ringback_domain::{Timestamp, WorkerId};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::oneshot;

/// Between two looks for what is too old to be kept.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// The same while there is more of it than one transaction should take.
const SWEEP_AGAIN: Duration = Duration::from_millis(250);
/// After a commit that failed, before acknowledgements are tried again without being asked.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Why something was not written or read. Shared by all that were in one transaction.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Database(Arc<redb::Error>),
    Closed,
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// The file and the thread that writes it.
pub(crate) struct Engine {
    inbox: Arc<Inbox>,
    writer: Option<JoinHandle<()>>,
    access: Arc<Access>,
    numbers: AtomicU64,
    making_room: Mutex<Option<(WorkerId, Timestamp)>>,
    place: Place,
}

/// Where the file is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Memory,
    Directory(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Directory(path) => path,
        })
    }
}

impl Engine {
    /// `open` opens the same file as `database`, should that one fail; `boot` is one more than at every earlier opening.
    pub(crate) fn start(
        database: Database,
        open: Opener,
        place: Place,
        boot: u64,
        keeper: Keeper,
    ) -> Self {
        let access = Arc::new(Access::new(database, open));
        let inbox = Arc::new(Inbox::default());
        let writer = std::thread::Builder::new()
            .name("ringback-embedded".to_owned())
            .spawn({
                let (access, inbox) = (access.clone(), inbox.clone());
                move || write_until_closed(&access, &inbox, keeper)
            })
            .expect("a process that cannot start a thread cannot start");
        Self {
            inbox,
            writer: Some(writer),
            access,
            // Numbers of one opening are below those of the next, without being written down.
            numbers: AtomicU64::new(boot << 40),
            making_room: Mutex::default(),
            place,
        }
    }

    /// A number larger than any given before, by this process or an earlier one on the same file.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Who makes room for dead letters, and until when.
    pub(crate) fn making_room(&self) -> MutexGuard<'_, Option<(WorkerId, Timestamp)>> {
        // Whoever panicked with it left it whole.
        self.making_room
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Where acknowledgements go.
    pub(crate) fn notes(&self) -> Notes {
        Notes::new(self.inbox.clone())
    }

    /// Changes tables; returns once the change is on disk.
    ///
    /// Once accepted it happens, also when the caller no longer waits. A failure fails all that shared the transaction, and nothing
    /// of it is kept.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        self.submit(None, change, |changed| changed).await
    }

    /// Puts a message into the file; `then` runs after the commit, in the order of commits, also when the caller no longer waits.
    ///
    /// One that failed is not there, also when the disk had it after all: whoever publishes it again gives it another number.
    pub(crate) async fn write_message(
        &self,
        key: MessageKey,
        message: Bytes,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<(), Failure> {
        let change = move |tables: &mut Tables<'_>| {
            tables.messages()?.insert(key, &*message)?;
            Ok(())
        };
        self.submit(Some(key), change, |()| then()).await
    }

    async fn submit<T: Send + 'static, U: Send + 'static>(
        &self,
        message: Option<MessageKey>,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send + 'static,
        then: impl FnOnce(T) -> U + Send + 'static,
    ) -> Result<U, Failure> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            message,
            change: Some(change),
            changed: None,
            then,
            answer,
        };
        self.inbox.submit(Box::new(job)).await?;
        answered.await.unwrap_or(Err(Failure::Closed))
    }

    /// Returns once everything noted before is on disk.
    pub(crate) async fn flush(&self) -> Result<(), Failure> {
        self.write(|_| Ok(())).await
    }

    /// Reads a consistent state, here and now: for look-ups by key.
    pub(crate) fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Failure> {
        self.access.read(look)
    }

    /// Reads a consistent state where it may take its time: for lists.
    pub(crate) async fn read_long<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let access = self.access.clone();
        tokio::task::spawn_blocking(move || access.read(look))
            .await
            .unwrap_or(Err(Failure::Closed))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the embedded store's writer panicked");
        }
    }
}

/// Something asked for, its outcome, and who waits for it.
struct Job<C, T, N, U> {
    message: Option<MessageKey>,
    change: Option<C>,
    changed: Option<T>,
    then: N,
    answer: oneshot::Sender<Result<U, Failure>>,
}

impl<C, T, N, U> Work for Job<C, T, N, U>
where
    C: FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send,
    T: Send,
    N: FnOnce(T) -> U + Send,
    U: Send,
{
    fn message(&self) -> Option<MessageKey> {
        self.message
    }

    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        let change = self.change.take().expect("applied once");
        self.changed = Some(change(tables)?);
        Ok(())
    }

    fn conclude(self: Box<Self>, committed: Result<(), Failure>) {
        let Self {
            changed,
            then,
            answer,
            ..
        } = *self;
        let outcome = committed.map(|()| then(changed.expect("applied before it was committed")));
        // Whoever asked may have stopped waiting.
        let _ = answer.send(outcome);
    }
}

fn write_until_closed(access: &Access, inbox: &Inbox, mut keeper: Keeper) {
    // However this ends, nobody must wait for it afterwards.
    let _closes = inbox.closes_on_drop();
    let mut sweep_in = Duration::ZERO;
    let mut doubtful = Doubtful::default();
    loop {
        match inbox.wait(sweep_in) {
            Woken::ForWork(mut works, notes) => {
                let committed = commit(access, &mut works, &notes, &mut doubtful);
                if let Err(failure) = &committed {
                    inbox.put_back(notes, AFTER_FAILURE);
                    tracing::warn!(error = ?failure, "the embedded store could not commit");
                }
                let count = works.len();
                for work in works {
                    work.conclude(committed.clone());
                }
                inbox.make_room(count);
            }
            Woken::ToSweep => sweep_in = sweep(access, &mut keeper),
            Woken::Closed => {
                if !doubtful.0.is_empty() {
                    let _ = commit(access, &mut [], &[], &mut doubtful);
                }
                return;
            }
        }
    }
}

/// Messages of transactions that failed. A disk may have written one and said that it could not.
#[derive(Default)]
struct Doubtful(Vec<MessageKey>);

impl Doubtful {
    /// Looks which are there, once the file is open again: few or none.
    fn look(&mut self, access: &Access) {
        if self.0.is_empty() {
            return;
        }
        let found = access.read(|tx| {
            let messages = tx.open_table(MESSAGES)?;
            let mut found = Vec::new();
            for key in &self.0 {
                if messages.get(*key)?.is_some() {
                    found.push(*key);
                }
            }
            Ok(found)
        });
        if let Ok(found) = found {
            self.0 = found;
        }
    }
}

fn commit(
    access: &Access,
    works: &mut [Box<dyn Work>],
    notes: &[Note],
    doubtful: &mut Doubtful,
) -> Result<(), Failure> {
    let is_open = access.reopen_if_failed();
    doubtful.look(access);
    let committed = access.write(|tx| {
        let mut tables = Tables::of(tx);
        for key in &doubtful.0 {
            tables.messages()?.remove(*key)?;
        }
        for note in notes {
            apply_note(&mut tables, note)?;
        }
        for work in &mut *works {
            work.apply(&mut tables)?;
        }
        store::write_counted(&mut tables)?;
        Ok(((), Commit::Yes))
    });
    match committed {
        Ok(()) => doubtful.0.clear(),
        Err(_) if is_open => doubtful
            .0
            .extend(works.iter().filter_map(|work| work.message())),
        Err(_) => {}
    }
    committed
}

fn apply_note(tables: &mut Tables<'_>, note: &Note) -> Result<(), redb::Error> {
    match *note {
        Note::Done {
            key,
            was_given_back,
        } => {
            tables.messages()?.remove(key)?;
            if was_given_back {
                tables.given_back()?.remove(key.2)?;
            }
        }
        Note::GivenBack { key, count } => {
            tables.given_back()?.insert(key.2, count)?;
        }
        Note::Parked { key } => {
            tables.given_back()?.insert(key.2, PARKED)?;
        }
    }
    Ok(())
}

/// How long until the next.
fn sweep(access: &Access, keeper: &mut Keeper) -> Duration {
    access.reopen_if_failed();
    let swept = access.write(|tx| {
        let swept = keeper.sweep(&mut Tables::of(tx))?;
        let commit = if swept.forgotten > 0 {
            Commit::Yes
        } else {
            Commit::No
        };
        Ok((swept, commit))
    });
    match swept {
        Ok(swept) if swept.more => SWEEP_AGAIN,
        Ok(_) => SWEEP_EVERY,
        Err(failure) => {
            tracing::warn!(error = ?failure, "the embedded store could not forget what is too old");
            SWEEP_EVERY
        }
    }
}
