//! What is known of the attempt under way: how far it came, how long each step took, whom it reached.
//!
//! The steps happen deep inside the client, where only the task is the same: so the watch travels as a task-local.
//! A connection attempt that lost against one from the pool goes on in a task of its own; it finds no watch there, and
//! so cannot write its times into an exchange that used another connection.

use ringback_domain::Phases;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: Arc<Watch>;
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Step {
    /// Nothing of its own yet: perhaps it gets a connection from the pool.
    #[default]
    Begun,
    LookingUp,
    Connecting,
    Handshaking,
    Connected,
}

pub(crate) struct Watch {
    /// Of the URL; a resolver is told only the name.
    pub(crate) port: u16,
    started_at: Instant,
    state: Mutex<State>,
}

struct State {
    step: Step,
    step_started_at: Instant,
    phases: Phases,
    address: Option<SocketAddr>,
    status: Option<u16>,
}

impl Watch {
    pub(crate) fn start(port: u16) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            step: Step::Begun,
            step_started_at: now,
            phases: Phases::default(),
            address: None,
            status: None,
        };
        Arc::new(Self {
            port,
            started_at: now,
            state: Mutex::new(state),
        })
    }

    /// Runs a future, and everything it awaits, under this watch.
    pub(crate) fn over<F: Future>(self: &Arc<Self>, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(Arc::clone(self), future)
    }

    /// The watch of the running task.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    pub(crate) fn enter(&self, step: Step) {
        self.with(|state| state.enter(step));
    }

    pub(crate) fn connected_to(&self, address: SocketAddr) {
        self.with(|state| {
            state.enter(Step::Connected);
            state.address = Some(address);
        });
    }

    /// The answer's head is here.
    pub(crate) fn answered(&self, status: u16, address: Option<SocketAddr>) {
        let first_byte = self.started_at.elapsed();
        self.with(|state| {
            if state.step != Step::Connected {
                // It came over a pooled connection; what was begun for a new one is not part of this exchange.
                state.phases = Phases::default();
                state.step = Step::Connected;
            }
            state.phases.first_byte = Some(first_byte);
            state.status = Some(status);
            state.address = address.or(state.address);
        });
    }

    pub(crate) fn step(&self) -> Step {
        self.with(|state| state.step)
    }

    /// That of the answer, once its head is here.
    pub(crate) fn status(&self) -> Option<u16> {
        self.with(|state| state.status)
    }

    /// The times so far, and whom it reached.
    pub(crate) fn reading(&self) -> (Phases, Option<SocketAddr>) {
        let total = self.started_at.elapsed();
        self.with(|state| {
            (
                Phases {
                    total,
                    ..state.phases
                },
                state.address,
            )
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // Nothing under the lock can panic halfway through a change.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn enter(&mut self, step: Step) {
        let now = Instant::now();
        let spent = Some(now.duration_since(self.step_started_at));
        match self.step {
            Step::LookingUp => self.phases.dns = spent,
            // The connector starts by looking up, unless the host is an address.
            Step::Connecting if step != Step::LookingUp => self.phases.connect = spent,
            Step::Handshaking => self.phases.tls = spent,
            Step::Begun | Step::Connecting | Step::Connected => {}
        }
        (self.step, self.step_started_at) = (step, now);
    }
}
