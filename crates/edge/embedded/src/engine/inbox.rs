//! What the writer is given to do.

use super::Failure;
use crate::tables::{MessageKey, Tables};
use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Changes waiting for the writer, or being written, at most; who asks for more waits.
const WORKS_MAX: usize = 1024;

/// How long notes may wait for company.
const NOTES_DELAY: Duration = Duration::from_millis(20);

/// A change that somebody waits for.
pub(super) trait Work: Send {
    /// The message that it puts into the file, if it does.
    fn message(&self) -> Option<MessageKey>;
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error>;
    fn conclude(self: Box<Self>, committed: Result<(), Failure>);
}

/// What became of a message. Nobody waits for it; there are never more than messages handed out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Note {
    Done {
        key: MessageKey,
        was_given_back: bool,
    },
    GivenBack {
        key: MessageKey,
        count: u32,
    },
    Parked {
        key: MessageKey,
    },
}

/// Where notes go. They are written in the order they are given, none later than a change asked for afterwards.
#[derive(Clone)]
pub(crate) struct Notes(Arc<Inbox>);

impl Notes {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self(inbox)
    }

    /// Does not wait. After the engine ended it does nothing: the message is still in the file.
    pub(crate) fn give(&self, note: Note) {
        let mut state = self.0.lock();
        if state.is_closed {
            return;
        }
        state.notes.push(note);
        if state.notes_due.is_none() {
            state.notes_due = Some(Instant::now() + NOTES_DELAY);
            self.0.changed.notify_one();
        }
    }
}

/// Why the writer woke up.
pub(super) enum Woken {
    ForWork(Vec<Box<dyn Work>>, Vec<Note>),
    ToSweep,
    Closed,
}

pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
    room: Semaphore,
}

#[derive(Default)]
struct State {
    works: Vec<Box<dyn Work>>,
    notes: Vec<Note>,
    notes_due: Option<Instant>,
    last_sweep: Option<Instant>,
    is_closed: bool,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            room: Semaphore::new(WORKS_MAX),
        }
    }
}

impl Inbox {
    /// Nothing that panics is done while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn submit(&self, work: Box<dyn Work>) -> Result<(), Failure> {
        let room = self.room.acquire().await.map_err(|_| Failure::Closed)?;
        let mut state = self.lock();
        if state.is_closed {
            return Err(Failure::Closed);
        }
        room.forget();
        state.works.push(work);
        self.changed.notify_one();
        Ok(())
    }

    pub(super) fn make_room(&self, works: usize) {
        self.room.add_permits(works);
    }

    /// Waits for something to do, at most until `sweep_in` after the last sweep.
    pub(super) fn wait(&self, sweep_in: Duration) -> Woken {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let sweep_due = state.last_sweep.map_or(now, |last| last + sweep_in);
            // First, or a busy system would never forget anything.
            if sweep_due <= now && !state.is_closed {
                state.last_sweep = Some(now);
                return Woken::ToSweep;
            }
            let notes_are_due = state.is_closed || state.notes_due.is_some_and(|due| due <= now);
            if !state.works.is_empty() || notes_are_due && !state.notes.is_empty() {
                state.notes_due = None;
                return Woken::ForWork(mem::take(&mut state.works), mem::take(&mut state.notes));
            }
            if state.is_closed {
                return Woken::Closed;
            }
            let wake_at = state.notes_due.map_or(sweep_due, |due| due.min(sweep_due));
            state = self
                .changed
                .wait_timeout(state, wake_at - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Takes notes back that could not be written.
    pub(super) fn put_back(&self, mut notes: Vec<Note>, try_again_in: Duration) {
        let mut state = self.lock();
        if state.is_closed || notes.is_empty() {
            return;
        }
        notes.append(&mut state.notes);
        state.notes = notes;
        state.notes_due = Some(Instant::now() + try_again_in);
    }

    /// What was given before is still written.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.room.close();
        self.changed.notify_all();
    }

    pub(super) fn closes_on_drop(&self) -> impl Drop + '_ {
        struct Closes<'a>(&'a Inbox);
        impl Drop for Closes<'_> {
            fn drop(&mut self) {
                self.0.close();
                // Dropped without an answer: whoever waits learns that it is closed.
                let left = mem::take(&mut self.0.lock().works);
                drop(left);
            }
        }
        Closes(self)
    }
}
