//! What every command starts from: the options given everywhere, the configuration, the terminal.

use crate::{
    args::Global,
    failure::{BROKER_AWAY, Exit, Failure, Outcome},
    terminal::Terminal,
};
use ringback_delivery::port::{
    DamagedRecord, DeadLetterFilter, DeliveryFilter, QueueError, Store, StoreError,
};
use ringback_domain::{DestinationId, ProjectName};
use ringback_queue_rabbitmq::ConnectError;
use ringback_telemetry::LogSettings;
use ringback_worker::{
    Backend, OpenError, Opener,
    config::{Config, ConfigError, Flag},
    makes_directory,
};
use std::path::PathBuf;

pub(crate) struct Session {
    config_file: Option<PathBuf>,
    verbose: u8,
    pub(crate) terminal: Terminal,
}

impl Session {
    pub(crate) fn new(global: Global) -> Self {
        Self {
            terminal: Terminal::new(&global),
            config_file: global.config,
            verbose: global.verbose,
        }
    }

    /// The configuration, as every command that needs one reads it.
    pub(crate) fn config(&self) -> Outcome<Config> {
        self.config_with(&[])
    }

    /// The same, with members given on the command line above the rest.
    pub(crate) fn config_with(&self, flags: &[Flag]) -> Outcome<Config> {
        self.try_config(flags)
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))
    }

    pub(crate) fn try_config(&self, flags: &[Flag]) -> Result<Config, ConfigError> {
        Config::load_with_flags(self.config_file.as_deref(), variables(), flags)
    }

    /// Looks whether a project that is asked for is one: mistyped, it would look as if all were well. One that was removed from the
    /// configuration may still have something to show.
    pub(crate) fn look_for_project(&self, config: &Config, asked: Option<&ProjectName>) {
        if let Some(project) = asked.filter(|project| !config.projects.contains_key(project)) {
            self.terminal
                .say(&format!("note: project `{project}` is not configured"));
        }
    }

    /// Looks whether anything is known of a destination that is asked for, for the same reason. A webhook that was removed still has
    /// something to show, and a callback has nothing but that.
    pub(crate) async fn look_for_destination(
        &self,
        store: &dyn Store,
        asked: Option<&DestinationId>,
    ) {
        let Some(id) = asked else { return };
        // What keeps it from looking, the command itself meets and tells.
        if let Ok(false) = is_known(store, id).await {
            self.terminal.say(&format!(
                "note: destination `{id}` is no webhook, and nothing is kept of it"
            ));
        }
    }

    /// Queue and store of this configuration, opened for a command.
    pub(crate) async fn desk_of(&self, config: &Config) -> Outcome<Backend> {
        self.log_quietly()?;
        let is_new = makes_directory(config);
        let desk = Backend::open(config, Opener::Command).await?;
        if is_new {
            // Asked in the wrong place, an empty list would look as if all were well.
            let directory = config.data_dir.display();
            self.terminal.say(&format!(
                "note: there was no data directory `{directory}`, and an empty one was made"
            ));
        }
        Ok(desk)
    }

    /// Says of what was handed over that there is nobody who takes it.
    pub(crate) fn note_if_alone(&self, desk: &Backend) {
        if desk.is_alone() {
            self.terminal
                .say("note: nothing is sent until `ringback serve` runs on this data directory");
        }
    }

    /// Log lines of a command: quiet, for what it has to say it says itself.
    pub(crate) fn log_quietly(&self) -> Outcome {
        let level = match self.verbose {
            0 => "error",
            1 => "warn,ringback=info",
            2 => "info,ringback=debug",
            _ => "debug,ringback=trace",
        };
        set_up_log(&LogSettings {
            format: ringback_telemetry::LogFormat::Human,
            level: level.to_owned(),
            colours: Terminal::talks_in_colour(),
        })
    }

    /// Log lines of a long-running process, as configured.
    pub(crate) fn log_as_configured(&self, config: &Config) -> Outcome {
        let level = match self.verbose {
            0 => config.log.level.clone(),
            1 => "info,ringback=debug".to_owned(),
            _ => "debug,ringback=trace".to_owned(),
        };
        set_up_log(&LogSettings {
            format: config.log.format,
            level,
            colours: Terminal::talks_in_colour(),
        })
    }
}

/// Whether it is a webhook, or a delivery or dead letter of it is kept.
async fn is_known(store: &dyn Store, id: &DestinationId) -> Result<bool, StoreError> {
    if let Ok(webhook) = id.as_str().parse() {
        // One that is damaged is one.
        let found = DamagedRecord::apart(store.webhook(&webhook).await)?;
        if !matches!(found, Ok(None)) {
            return Ok(true);
        }
    }
    let letters = DeadLetterFilter {
        destination: Some(id.clone()),
        include_disposed: true,
        ..DeadLetterFilter::default()
    };
    let found = store.dead_letters(&letters, None, 1).await?;
    if !(found.entries.is_empty() && found.damaged.is_empty()) {
        return Ok(true);
    }
    let deliveries = DeliveryFilter {
        destination: Some(id.clone()),
        ..DeliveryFilter::default()
    };
    let found = store.deliveries(&deliveries, None, 1).await?;
    Ok(!(found.entries.is_empty() && found.damaged.is_empty()))
}

fn set_up_log(settings: &LogSettings) -> Outcome {
    ringback_telemetry::set_up_log(settings)
        .map_err(|failure| Failure::failed("could not set up logging").because(failure))
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit = match &error {
            OpenError::Embedded(_)
            | OpenError::Control { .. }
            | OpenError::Queue(_)
            | OpenError::Store(_) => Exit::Unreachable,
            OpenError::RedisSettings(_)
            | OpenError::File(_)
            | OpenError::Keys { .. }
            | OpenError::KeysLost { .. } => Exit::Usage,
        };
        let failure = Self::of(exit, &error);
        match &error {
            OpenError::Queue(ConnectError::Queue(QueueError::Unreachable { .. })) => {
                failure.hint(BROKER_AWAY)
            }
            OpenError::Store(StoreError::Unreachable { .. }) => {
                failure.hint("is the store running there, and is `store` right?")
            }
            OpenError::KeysLost { .. } => failure.hint(
                "put its `secrets.keys` back; where nothing in it has a secret, `ringback config new-key` makes another",
            ),
            _ => failure,
        }
    }
}

/// The environment's variables that are text; no member is anything else.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
