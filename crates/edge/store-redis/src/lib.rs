//! The store ports on Redis: claims, webhooks, the log of deliveries, dead letters and their groups, counts of
//! traffic, marks of events.
//!
//! One step is one script or command, and so one round trip and atomic; but a log's lines are read, sorted here, and put back. All keys of a step share a `{tag}`: everything about one
//! delivery lies in one slot of a Redis Cluster. Deliveries are spread over 16 tags; lists merge them.
//! `docs/store.md` names every key, its lifetime and its bound.
//!
//! Nothing is repeated here: a step whose answer got lost is reported as unreachable, and the caller decides.

mod address;
mod api_keys;
mod blocks;
mod budget;
mod claims;
mod connection;
mod dead_letters;
mod deliveries;
mod durable;
mod error;
mod events;
mod gathering;
mod groups;
mod health;
mod key;
mod list;
mod pace;
mod plans;
mod script;
mod settings;
mod traffic;
mod webhooks;

pub use settings::{RedisStoreSettings, SettingsError};

use connection::Connection;
use durable::Barrier;
use gathering::Gathering;
use key::Keys;
use ringback_delivery::port::Clock;
use std::sync::Arc;

/// The store on Redis. Cheap to share behind an `Arc`; all calls go through one connection that replaces itself.
pub struct RedisStore {
    connection: Arc<Connection>,
    reading_marks: Gathering<Option<String>>,
    marking: Gathering<()>,
    claiming: Gathering<String>,
    settling: Gathering<String>,
    showing_waits: Gathering<()>,
    barrier: Option<Barrier>,
    keys: Keys,
    settings: RedisStoreSettings,
    clock: Arc<dyn Clock>,
}

impl RedisStore {
    /// Checks the settings. Connects with the first call, and again whenever it has to.
    pub fn try_new(
        settings: RedisStoreSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingsError> {
        let keys = Keys::try_new(&settings.prefix)?;
        let connect = || Connection::try_new(&settings);
        let connection = Arc::new(connect()?);
        Ok(Self {
            reading_marks: events::reading_marks(&connection),
            marking: events::marking(&connection),
            claiming: claims::claiming(&settings, &connection),
            settling: claims::settling(&settings, &connection),
            showing_waits: claims::showing_waits(&settings, &connection),
            connection,
            barrier: settings
                .wait_aof
                .then(|| Barrier::try_new(connect))
                .transpose()?,
            keys,
            settings,
            clock,
        })
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("address", &self.connection.address())
            .field("prefix", &self.settings.prefix)
            .finish_non_exhaustive()
    }
}
