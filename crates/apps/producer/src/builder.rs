//! What can be chosen about a producer.

use crate::{ConnectError, Inner, KeyRing, Producer};
use ringback_queue_rabbitmq::{BrokerUrls, RabbitConfig, RabbitQueue, Scope};
use std::{fmt, num::NonZeroU16, path::PathBuf, sync::Arc, time::Duration};

/// A producer to be.
///
/// ```no_run
/// use ringback_producer::{KeyRing, Producer};
/// use std::time::Duration;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = KeyRing::try_new(&[std::env::var("RINGBACK_KEY")?.into()])?;
/// let producer = Producer::builder("amqps://app:password@one:5671,amqps://app:password@two:5671")
///     .seal_with(keys)
///     .confirm_timeout(Duration::from_secs(10))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `connect`"]
pub struct ProducerBuilder {
    urls: String,
    prefix: Option<String>,
    config: RabbitConfig,
    keys: Option<KeyRing>,
    is_ecmascript_safe: bool,
}

impl ProducerBuilder {
    pub(crate) fn new(urls: &str) -> Self {
        Self {
            urls: urls.to_owned(),
            prefix: None,
            config: RabbitConfig::default(),
            keys: None,
            is_ecmascript_safe: false,
        }
    }

    /// What the installation's exchanges and queues begin with. Default: `ringback`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// The keys that callbacks' secrets are sealed with, the same that the workers have. Default: none, and such secrets are
    /// refused.
    pub fn seal_with(mut self, keys: KeyRing) -> Self {
        self.keys = Some(keys);
        self
    }

    /// How long a publish may take, reconnecting and publishing again included. Default: 30 seconds.
    pub fn confirm_timeout(mut self, timeout: Duration) -> Self {
        self.config.confirm_timeout = timeout;
        self
    }

    /// How many events may be published and not yet confirmed; one more waits its turn. Default: 1024.
    pub fn in_flight_max(mut self, count: NonZeroU16) -> Self {
        self.config.publish_window = count;
        self
    }

    /// Refuses events with numbers that JavaScript's `JSON.parse` cannot hold, naming the member. Default: off.
    ///
    /// For platforms whose receivers verify a signature over a body they have parsed: there, such an event becomes a dead
    /// letter later.
    pub fn ecmascript_safe(mut self) -> Self {
        self.is_ecmascript_safe = true;
        self
    }

    /// A file of PEM certificates trusted beside the system's own, for `amqps` URLs. Default: none.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.ca_file = Some(path.into());
        self
    }

    /// How often a message is handed out before it is parked, which must be what the workers are configured with. Default: 20.
    pub fn delivery_limit(mut self, limit: NonZeroU16) -> Self {
        self.config.delivery_limit = limit;
        self
    }

    /// Makes no exchange or queue at the broker. By default, the exchange and queue of events are made where they are missing, so
    /// that events are kept although no worker has run yet.
    pub fn never_declare(mut self) -> Self {
        self.config.declare = false;
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// When the URL or the prefix cannot be read, or no node answers.
    pub async fn connect(mut self) -> Result<Producer, ConnectError> {
        let urls: BrokerUrls = self.urls.parse()?;
        if let Some(prefix) = self.prefix {
            self.config.prefix = prefix.parse()?;
        }
        let queue = RabbitQueue::connect(urls, self.config, Scope::Events).await?;
        Ok(Producer(Arc::new(Inner {
            queue,
            keys: self.keys,
            is_ecmascript_safe: self.is_ecmascript_safe,
        })))
    }
}

/// Without the URL, which holds credentials, and without the keys.
impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder")
            .field("prefix", &self.prefix)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
