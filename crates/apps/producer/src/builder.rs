//! What can be chosen about a producer.

use crate::{ConnectError, Inner, KeyRing, Producer};
use ringback_queue_rabbitmq::{BrokerUrls, Exposure, RabbitConfig, RabbitQueue, Scope};
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
    allows_plaintext: bool,
    allows_guest: bool,
}

impl ProducerBuilder {
    pub(crate) fn new(urls: &str) -> Self {
        Self {
            urls: urls.to_owned(),
            prefix: None,
            config: RabbitConfig::default(),
            keys: None,
            is_ecmascript_safe: false,
            allows_plaintext: false,
            allows_guest: false,
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

    /// How many events may be published and not yet confirmed; one more waits its turn, and so does one with which they
    /// would be more than 16 MiB. Default: 4096.
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

    /// Lets `amqp://` URLs lead to another machine: whoever is on the way reads the password and every event. Default: they are
    /// refused before anything is connected to.
    ///
    /// For networks that nobody else is on.
    pub fn allow_plaintext(mut self) -> Self {
        self.allows_plaintext = true;
        self
    }

    /// Lets the producer log in on another machine as `guest`, whose password everybody knows. Default: refused before anything is
    /// connected to.
    pub fn allow_guest(mut self) -> Self {
        self.allows_guest = true;
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
    /// When the URL or the prefix cannot be read, no node answers, or a node on another machine would be reached in plain text or
    /// as `guest`.
    pub async fn connect(mut self) -> Result<Producer, ConnectError> {
        let urls: BrokerUrls = self.urls.parse()?;
        let is_refused = |exposure: &Exposure| match exposure {
            Exposure::Guest { .. } => !self.allows_guest,
            Exposure::PlainText { .. } => !self.allows_plaintext,
        };
        if let Some(exposure) = urls.exposures().into_iter().find(is_refused) {
            return Err(ConnectError::Exposed(exposure));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that is not the loopback one, and where nothing listens.
    const FAR: &str = "0.0.0.0:1";

    #[tokio::test]
    async fn another_machine_is_reached_by_tls_and_as_oneself_unless_told_otherwise() {
        let plain = format!("amqp://app:hunter2@{FAR}");
        let guest = format!("amqps://guest:hunter2@{FAR}");
        for (url, way_out) in [(&plain, "allow_plaintext"), (&guest, "allow_guest")] {
            let urls = format!("amqp://app:hunter2@127.0.0.1:1,{url}");
            let Err(refused @ ConnectError::Exposed(_)) = Producer::connect(&urls).await else {
                panic!("{url} is connected to")
            };
            let said = refused.to_string();
            assert!(said.starts_with(&format!("`{FAR}` ")), "{said}");
            assert!(said.contains(way_out), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        let builders = [
            Producer::builder(&plain).allow_plaintext(),
            Producer::builder(&guest).allow_guest(),
        ];
        for builder in builders {
            let connected = builder.connect().await;
            assert!(
                matches!(connected, Err(ConnectError::Broker(_))),
                "connecting is tried"
            );
        }
    }
}
