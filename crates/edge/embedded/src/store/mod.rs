//! The store. What may take long is encoded before the writer is asked, and decoded after the file was read.

mod budget;
mod claims;
mod dead_letters;
mod deliveries;
mod events;
mod groups;
mod index;
mod keeper;
mod keys;
mod pace;
mod plans;
mod record;
mod terms;
mod traffic;
mod webhooks;

pub(crate) use dead_letters::index_dead_letters;
pub(crate) use keeper::Keeper;
pub(crate) use pace::Turns;
pub(crate) use traffic::write_counted;

use crate::engine::{Engine, Failure};
use ringback_delivery::port::{Clock, Cursor, StoreError};
use ringback_domain::Timestamp;
use std::{fmt, sync::Arc, time::Duration};

const STORE: &str = "embedded store";

/// The store in a directory, or in memory.
pub struct EmbeddedStore {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    idempotency_window: Duration,
    turns: Arc<Turns>,
}

impl EmbeddedStore {
    pub(crate) fn new(
        engine: Arc<Engine>,
        clock: Arc<dyn Clock>,
        idempotency_window: Duration,
        turns: Arc<Turns>,
    ) -> Self {
        Self {
            engine,
            clock,
            idempotency_window,
            turns,
        }
    }

    /// What was marked before is forgotten.
    fn window_began(&self) -> Timestamp {
        keeper::before(self.clock.now(), self.idempotency_window)
    }

    fn error(&self, failure: Failure) -> StoreError {
        let source: Box<dyn std::error::Error + Send + Sync> = match failure {
            Failure::Database(source) => Box::new(source),
            Failure::Closed => "it was closed".into(),
        };
        StoreError::Unreachable {
            store: STORE,
            address: self.engine.place().to_string(),
            source,
        }
    }

    fn refused(step: &'static str, why: impl fmt::Display) -> StoreError {
        StoreError::Refused {
            store: STORE,
            step,
            why: why.to_string(),
        }
    }
}

fn corrupt(what: &'static str, id: impl fmt::Display, why: impl fmt::Display) -> StoreError {
    StoreError::Corrupt {
        what,
        id: id.to_string(),
        why: why.to_string(),
    }
}

/// A cursor names its list, so that one of another list is noticed.
fn cursor_to(list: &str, numbers: &[i128]) -> Cursor {
    let mut text = list.to_owned();
    for number in numbers {
        text.push('.');
        text.push_str(&number.to_string());
    }
    Cursor(text)
}

fn read_cursor<const N: usize>(list: &str, cursor: &Cursor) -> Result<[i128; N], StoreError> {
    let numbers = cursor
        .0
        .strip_prefix(list)
        .and_then(|rest| rest.strip_prefix('.'))
        .map(|rest| {
            rest.splitn(N, '.')
                .map(str::parse)
                .collect::<Result<Vec<i128>, _>>()
        });
    match numbers {
        Some(Ok(numbers)) => numbers.try_into().map_err(|_| StoreError::BadCursor),
        _ => Err(StoreError::BadCursor),
    }
}
