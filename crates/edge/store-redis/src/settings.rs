//! What an operator chooses.

use secrecy::SecretString;
use std::time::Duration;

/// How the store uses Redis.
#[derive(Clone)]
pub struct RedisStoreSettings {
    /// `redis://[user:password@]host[:port][/db]`, `redis+sentinel://…@host,host/master[/db]` or
    /// `redis+cluster://…@host,host`; with `rediss` in place of `redis`, over TLS, which needs
    /// the process to have chosen its provider of cryptography.
    pub url: SecretString,
    /// Certificates in PEM that are trusted instead of the system's.
    pub root_certificates: Option<Vec<u8>>,
    /// What every key begins with: 1 to 32 letters, digits, `_` or `-`. Default: `ringback`.
    pub prefix: String,
    /// How long what is final is remembered: events dispatched, deliveries settled. Default: 24 hours.
    pub idempotency_window: Duration,
    /// How long dead letters are kept. Default: 30 days.
    pub dead_letter_retention: Duration,
    /// Records in the log of deliveries; beyond, the oldest final ones are forgotten. Default: 200,000.
    pub log_entries_max: u64,
    /// Whether a dead letter counts as stored only once Redis has it on disk; needs Redis 7.2. Default: no.
    pub wait_aof: bool,
}

impl RedisStoreSettings {
    /// The defaults, at this URL.
    pub fn at(url: SecretString) -> Self {
        Self {
            url,
            root_certificates: None,
            prefix: "ringback".into(),
            idempotency_window: Duration::from_hours(24),
            dead_letter_retention: Duration::from_hours(30 * 24),
            log_entries_max: 200_000,
            wait_aof: false,
        }
    }
}

impl std::fmt::Debug for RedisStoreSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStoreSettings")
            .field("prefix", &self.prefix)
            .field("idempotency_window", &self.idempotency_window)
            .field("dead_letter_retention", &self.dead_letter_retention)
            .field("log_entries_max", &self.log_entries_max)
            .field("wait_aof", &self.wait_aof)
            .finish_non_exhaustive()
    }
}

/// Settings that cannot be used. Names what is wrong, never the password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The URL's scheme is none of ours.
    #[error(
        "the store's URL begins with none of `redis://`, `rediss://`, `redis+sentinel://`, `rediss+sentinel://`, `redis+cluster://`, `rediss+cluster://`"
    )]
    Scheme,
    /// A part of the URL cannot be read.
    #[error("the store's URL {0}")]
    Url(&'static str),
    /// The prefix would not make good keys.
    #[error("key prefix `{0}` is not accepted: 1 to 32 letters, digits, `_` or `-`")]
    Prefix(String),
    /// The client refused the settings.
    #[error("the store's settings cannot be used")]
    Client(#[source] redis::RedisError),
}
