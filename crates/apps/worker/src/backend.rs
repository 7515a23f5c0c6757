//! The queue and the store that the configuration names, and the keys that open secrets.

use crate::{
    config::{Broker, Config, StoreAt},
    environment::SystemClock,
    queue_on_demand::QueueOnDemand,
};
use ringback_control::{ControlClient, ControlServer};
use ringback_delivery::port::{Clock, Queue, Store, StoreError, StoreHealth};
use ringback_embedded::{DataDir, Embedded, EmbeddedError};
use ringback_queue_rabbitmq::{ConnectError, RabbitQueue, Scope, WatchPace};
use ringback_signing::{KeyRing, KeyRingError};
use ringback_store_redis::{RedisStore, SettingsError};
use secrecy::{ExposeSecret, SecretString};
use std::{io, path::PathBuf, sync::Arc};

/// The queue and the store that the configuration names.
pub struct Backend {
    /// Where messages wait.
    pub queue: Arc<dyn Queue>,
    /// Where claims, webhooks and dead letters are kept.
    pub store: Arc<dyn Store>,
    /// What opens and seals secrets.
    pub keys: Arc<KeyRing>,
    /// The system's time.
    pub clock: Arc<dyn Clock>,
    /// What the store promised when it was opened.
    pub health: StoreHealth,
    /// The socket for commands, while this process holds the directory.
    control: Option<ControlServer>,
    is_alone: bool,
}

/// Who opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// A process that stays: it holds the directory and lets commands in.
    Service,
    /// A command: it holds the directory while nobody else does, else it asks the process that does.
    Command,
}

/// Why there is no queue or no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory of the embedded queue and store.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The process that holds the directory does not let us in.
    #[error("could not ask the process that holds data directory `{}`", dir.display())]
    Control {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// RabbitMQ.
    #[error(transparent)]
    Queue(#[from] ConnectError),
    /// Redis, at the first question.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// How Redis is used.
    #[error(transparent)]
    RedisSettings(#[from] SettingsError),
    /// A file that the configuration names.
    #[error("could not read a file that the configuration names")]
    File(#[source] io::Error),
    /// The keys.
    #[error("the keys of `{place}` cannot be used")]
    Keys {
        /// The file, or `secrets.keys`.
        place: String,
        /// Why.
        #[source]
        source: KeyRingError,
    },
    /// The keys that were generated with the embedded store.
    #[error("data directory `{}` has a store, and not the keys that seal its secrets", dir.display())]
    KeysLost {
        /// The directory.
        dir: PathBuf,
    },
}

/// The generated keys, in the directory of the embedded store.
const KEYS_FILE: &str = "secrets.keys";

/// What of the embedded queue and store is needed, from wherever it can be had.
enum Local {
    Own(DataDir, Embedded),
    Asked(Arc<ControlClient>),
}

impl Backend {
    /// Opens both. A command's broker is connected to once it has something for it.
    ///
    /// # Errors
    ///
    /// Which of them cannot be had, and why.
    pub async fn open(config: &Config, opener: Opener) -> Result<Self, OpenError> {
        #[cfg(debug_assertions)]
        crate::fault_points::arm();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let local = if uses_directory(config) {
            Some(open_local(config, opener, &clock).await?)
        } else {
            None
        };
        let queue = match (&config.broker, opener) {
            (Broker::RabbitMq { urls, .. }, Opener::Command) => {
                Arc::new(QueueOnDemand::new(urls.clone(), config.rabbit_config()))
            }
            _ => open_queue(config, opener, local.as_ref()).await?,
        };
        let store = store_of(config, local.as_ref(), &clock)?;
        let keys = Arc::new(key_ring(config)?);
        let health = store.health().await?;
        let control = match (&local, opener) {
            (Some(Local::Own(dir, _)), Opener::Service) => {
                let control = ControlServer::start(dir.path(), queue.clone(), store.clone());
                Some(control.map_err(|source| OpenError::Control {
                    dir: dir.path().to_owned(),
                    source,
                })?)
            }
            _ => None,
        };
        let is_alone = matches!((&local, opener), (Some(Local::Own(..)), Opener::Command));
        Ok(Self {
            queue,
            store,
            keys,
            clock,
            health,
            control,
            is_alone,
        })
    }

    /// Whether a command holds the data directory itself: no worker is there, and none can begin meanwhile.
    pub fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Lets no more commands in and closes the queue.
    pub async fn close(self) {
        if let Some(control) = self.control {
            control.stop().await;
        }
        self.queue.close().await;
    }
}

/// What of a back end can be had, for whoever looks at each part on its own.
pub struct Parts {
    /// Where messages wait.
    pub queue: Option<Arc<dyn Queue>>,
    /// Where the rest is kept, and what it promises.
    pub store: Option<(Arc<dyn Store>, StoreHealth)>,
    /// What opens secrets.
    pub keys: Option<KeyRing>,
    /// What cannot be had, and why.
    pub faults: Vec<(Part, OpenError)>,
    /// Held while the parts are looked at.
    _local: Option<Local>,
}

/// A part of a back end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The directory of the embedded queue and store.
    Directory,
    /// The queue.
    Broker,
    /// The store.
    Store,
    /// What opens secrets.
    Keys,
}

impl Parts {
    /// Opens each part for a command, whatever becomes of the others.
    pub async fn open(config: &Config) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut faults = Vec::new();
        let mut local = None;
        if uses_directory(config) {
            match open_local(config, Opener::Command, &clock).await {
                Ok(opened) => local = Some(opened),
                Err(error) => faults.push((Part::Directory, error)),
            }
        }
        // What is in a directory that does not open has been told of.
        let is_told = |is_in_directory: bool| is_in_directory && local.is_none();
        let queue = async {
            if is_told(matches!(config.broker, Broker::Embedded)) {
                return Ok(None);
            }
            open_queue(config, Opener::Command, local.as_ref())
                .await
                .map(Some)
        };
        let store = async {
            if is_told(matches!(config.store, StoreAt::Embedded)) {
                return Ok::<_, OpenError>(None);
            }
            let store = store_of(config, local.as_ref(), &clock)?;
            let health = store.health().await?;
            Ok(Some((store, health)))
        };
        // Both may be slow to say that they are not there.
        let (queue, store) = tokio::join!(queue, store);
        let mut part_of = |part, error| faults.push((part, error));
        let queue = queue.unwrap_or_else(|error| {
            part_of(Part::Broker, error);
            None
        });
        let store = store.unwrap_or_else(|error| {
            part_of(Part::Store, error);
            None
        });
        let are_generated = uses_directory(config) && config.secrets.keys.is_empty();
        let keys = if is_told(are_generated) {
            None
        } else {
            let keys = key_ring(config);
            keys.map_err(|error| part_of(Part::Keys, error)).ok()
        };
        Self {
            queue,
            store,
            keys,
            faults,
            _local: local,
        }
    }
}

/// Whether opening makes a data directory that is not there yet.
pub fn makes_directory(config: &Config) -> bool {
    uses_directory(config) && !config.data_dir.exists()
}

fn uses_directory(config: &Config) -> bool {
    matches!(config.broker, Broker::Embedded) || matches!(config.store, StoreAt::Embedded)
}

/// The queue. What is in the directory needs it open.
async fn open_queue(
    config: &Config,
    opener: Opener,
    local: Option<&Local>,
) -> Result<Arc<dyn Queue>, OpenError> {
    Ok(match (&config.broker, local) {
        (Broker::RabbitMq { urls, .. }, _) => {
            let queue =
                RabbitQueue::connect(urls.clone(), config.rabbit_config(), Scope::Whole).await?;
            if opener == Opener::Service {
                queue.watch_delays(WatchPace::default());
            }
            Arc::new(queue)
        }
        (Broker::Embedded, Some(Local::Own(_, embedded))) => Arc::new(embedded.queue()),
        (Broker::Embedded, Some(Local::Asked(client))) => client.clone(),
        (Broker::Embedded, None) => unreachable!("the directory is opened for it"),
    })
}

/// The store, not yet asked anything. What is in the directory needs it open.
fn store_of(
    config: &Config,
    local: Option<&Local>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, OpenError> {
    Ok(match (&config.store, local) {
        (StoreAt::Redis(url), _) => {
            let settings = config
                .redis_settings(url.secret())
                .map_err(OpenError::File)?;
            Arc::new(RedisStore::try_new(settings, clock.clone())?)
        }
        (StoreAt::Embedded, Some(Local::Own(_, embedded))) => Arc::new(embedded.store()),
        (StoreAt::Embedded, Some(Local::Asked(client))) => client.clone(),
        (StoreAt::Embedded, None) => unreachable!("the directory is opened for it"),
    })
}

async fn open_local(
    config: &Config,
    opener: Opener,
    clock: &Arc<dyn Clock>,
) -> Result<Local, OpenError> {
    let dir = match (DataDir::lock(&config.data_dir), opener) {
        (Ok(dir), _) => dir,
        (Err(in_use @ EmbeddedError::InUse { .. }), Opener::Command) => {
            let refused = |source| OpenError::Control {
                dir: config.data_dir.clone(),
                source,
            };
            let client = ControlClient::connect(&config.data_dir)
                .await
                .map_err(refused)?;
            return client
                .map(|client| Local::Asked(Arc::new(client)))
                .ok_or(OpenError::Embedded(in_use));
        }
        (Err(error), _) => return Err(error.into()),
    };
    // Before there is a store: one without its keys has lost them.
    if config.secrets.keys.is_empty() && !dir.has_store() {
        dir.private_file(KEYS_FILE, new_key)?;
    }
    let (settings, clock) = (config.embedded_settings(), clock.clone());
    let opening = tokio::task::spawn_blocking(move || {
        let embedded = Embedded::open(&dir, &settings, clock)?;
        Ok::<_, EmbeddedError>(Local::Own(dir, embedded))
    });
    Ok(opening.await.expect("opening does not panic")?)
}

/// The configured keys, or those generated into the directory of the embedded store.
fn key_ring(config: &Config) -> Result<KeyRing, OpenError> {
    if !config.secrets.keys.is_empty() {
        let place = "secrets.keys".to_owned();
        return KeyRing::try_new(&config.secrets.keys)
            .map_err(|source| OpenError::Keys { place, source });
    }
    let file = config.data_dir.join(KEYS_FILE);
    let text = std::fs::read_to_string(&file).map_err(|failure| {
        if failure.kind() == io::ErrorKind::NotFound {
            OpenError::KeysLost {
                dir: config.data_dir.clone(),
            }
        } else {
            OpenError::File(failure)
        }
    })?;
    let text = SecretString::from(text);
    let keys: Vec<SecretString> = text
        .expose_secret()
        .lines()
        .map(SecretString::from)
        .collect();
    KeyRing::try_new(&keys).map_err(|source| OpenError::Keys {
        place: file.display().to_string(),
        source,
    })
}

fn new_key() -> String {
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("the system has random numbers");
    let mut name = [0; 4];
    getrandom::fill(&mut name).expect("the system has random numbers");
    // A name of its own: what another installation's key has sealed is then said to be just that.
    let name = format!("k{:08x}", u32::from_be_bytes(name));
    KeyRing::new_key(&name, &random).expose_secret().to_owned()
}
