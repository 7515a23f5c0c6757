//! Who does what: every message handled is a handler of its own, and some do not live to the end.

use super::{State, Witness};
use std::{cell::Cell, time::Duration};

/// One handling of one message, or nobody in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandlerId(usize);

pub(super) struct Handler {
    worker: String,
    is_alive: bool,
    is_troubled: bool,
}

thread_local! {
    /// Whose future is being polled. A run stays on its thread.
    static CURRENT: Cell<HandlerId> = const { Cell::new(HandlerId(0)) };
}

impl HandlerId {
    /// Whose future is being polled.
    pub(crate) fn current() -> Self {
        CURRENT.get()
    }

    /// Polls on behalf of this handler.
    pub(crate) fn acting<T>(self, poll: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(self);
        let polled = poll();
        CURRENT.set(before);
        polled
    }
}

impl Handler {
    /// Producers, operators, and workers between two messages.
    pub(super) fn nobody() -> Self {
        Self {
            worker: "people".into(),
            is_alive: true,
            is_troubled: true,
        }
    }
}

impl State {
    pub(super) fn worker(&self, handler: HandlerId) -> &str {
        &self.handlers[handler.0].worker
    }

    pub(super) fn is_alive(&self, handler: HandlerId) -> bool {
        self.handlers[handler.0].is_alive
    }

    /// Something failed or took long while it was at work.
    pub(super) fn is_troubled(&self, handler: HandlerId) -> bool {
        self.handlers[handler.0].is_troubled
    }

    /// Whether there is a reason for somebody else to do its work again.
    pub(super) fn explains_a_duplicate(&self, handler: HandlerId) -> bool {
        !self.is_alive(handler) || self.is_troubled(handler)
    }

    fn handlers_of(&mut self, worker: &str) -> impl Iterator<Item = &mut Handler> {
        let handlers = self.handlers.iter_mut();
        handlers.filter(move |handler| handler.worker == worker)
    }
}

impl Witness {
    pub(crate) fn handler_of(&self, worker: &str) -> HandlerId {
        let mut state = self.state();
        state.handlers.push(Handler {
            worker: worker.to_owned(),
            is_alive: true,
            is_troubled: false,
        });
        HandlerId(state.handlers.len() - 1)
    }

    pub(crate) fn is_alive(&self, handler: HandlerId) -> bool {
        self.state().is_alive(handler)
    }

    /// The worker at work now, for the trace.
    pub(crate) fn worker(&self) -> String {
        self.state().worker(HandlerId::current()).to_owned()
    }

    /// Something failed or took long for whoever is at work.
    pub(crate) fn troubled(&self) {
        let handler = HandlerId::current();
        self.state().handlers[handler.0].is_troubled = true;
    }

    pub(crate) fn crashed(&self, worker: &str) {
        self.note(|| format!("{worker} CRASHES"));
        for handler in self.state().handlers_of(worker) {
            handler.is_alive = false;
        }
    }

    pub(crate) fn stalled(&self, worker: &str, lasts: Duration) {
        self.note(|| format!("{worker} STANDS STILL for {lasts:?}"));
        for handler in self.state().handlers_of(worker) {
            handler.is_troubled = true;
        }
    }
}
