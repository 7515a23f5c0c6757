//! The stage: a configuration of its own, receivers on this machine, a worker, and nothing left behind.

use super::cast::{BROKEN, Behaviour, PARTS, Part};
use crate::{
    failure::{Exit, Failure, Outcome},
    receiver::{Answers, Receiver},
    session::Session,
};
use http::StatusCode;
use ringback_delivery::port::Entropy;
use ringback_profile::DestinationKind;
use ringback_queue_rabbitmq::{RabbitConfig, RabbitQueue, Scope};
use ringback_signing::KeyRing;
use ringback_worker::{
    SystemEntropy,
    config::{Broker, Config, Flag},
};
use secrecy::ExposeSecret;
use std::{
    fmt::Write,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

/// A receiver with its part.
pub(super) struct Player {
    pub(super) part: &'static Part,
    pub(super) receiver: Receiver,
    repaired: Arc<AtomicBool>,
}

impl Player {
    async fn enter(part: &'static Part) -> Outcome<Self> {
        let repaired = Arc::new(AtomicBool::new(false));
        let answers = match part.behaviour {
            Behaviour::Accepts(status) => Answers::in_turn(vec![status], Duration::ZERO),
            Behaviour::FailsTwice => Answers::in_turn(vec![500, 503, 200], Duration::ZERO),
            Behaviour::IsBroken => {
                let repaired = repaired.clone();
                Answers::by(move || {
                    if repaired.load(Ordering::Acquire) {
                        StatusCode::OK
                    } else {
                        BROKEN
                    }
                })
            }
        };
        let receiver = Receiver::bind((Ipv4Addr::LOCALHOST, 0).into(), answers).await;
        let receiver = receiver
            .map_err(|failure| Failure::failed("could not start a receiver").because(failure))?;
        Ok(Self {
            part,
            receiver,
            repaired,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/{}", self.receiver.address(), self.part.kind)
    }

    pub(super) fn repair(&self) {
        self.repaired.store(true, Ordering::Release);
    }
}

pub(super) async fn players() -> Outcome<Vec<Player>> {
    let mut players = Vec::new();
    for part in &PARTS {
        players.push(Player::enter(part).await?);
    }
    Ok(players)
}

/// The player of a part that must be there.
pub(super) fn player<'a>(
    players: &'a [Player],
    profile: &str,
    kind: DestinationKind,
) -> &'a Player {
    let found = players
        .iter()
        .find(|player| player.part.profile == profile && player.part.kind == kind);
    found.expect("the cast has the part")
}

/// A directory and a configuration that are gone afterwards; on servers, a prefix of its own.
pub(super) struct Stage {
    pub(super) config: Config,
    /// Deleted when dropped.
    _directory: TempDir,
}

impl Stage {
    pub(super) fn build(
        session: &Session,
        broker: Option<String>,
        store: Option<String>,
    ) -> Outcome<Self> {
        let directory = tempfile::Builder::new().prefix("ringback-demo-").tempdir();
        let directory = directory
            .map_err(|failure| Failure::failed("could not make a directory").because(failure))?;
        let file = directory.path().join("ringback.toml");
        std::fs::write(&file, config_text()).map_err(|failure| {
            Failure::failed(format!("could not write `{}`", file.display())).because(failure)
        })?;
        let flag = |name, member, value| Flag {
            name,
            member,
            value,
        };
        let flags: Vec<_> = [("--broker", "broker", broker), ("--store", "store", store)]
            .into_iter()
            .filter_map(|(name, member, value)| Some(flag(name, member, value?)))
            .collect();
        // Neither the user's file nor variables: the demonstration is the same everywhere.
        let config = Config::load_with_flags(Some(&file), [], &flags)
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        session.log_quietly()?;
        Ok(Self {
            config,
            _directory: directory,
        })
    }

    /// Takes down what was put up on a server.
    pub(super) async fn strike(&self) -> Outcome {
        let Broker::RabbitMq { urls, .. } = &self.config.broker else {
            return Ok(());
        };
        let config = RabbitConfig {
            declare: false,
            ..self.config.rabbit_config()
        };
        let queue = RabbitQueue::connect(urls.clone(), config, Scope::Whole).await;
        let queue = queue.map_err(|error| Failure::of(Exit::Unreachable, &error))?;
        let deleted = queue.delete_topology().await;
        ringback_delivery::port::Queue::close(&queue).await;
        Ok(deleted?)
    }
}

/// Projects named after their platforms, a key and a prefix made up now, and this machine's own receivers allowed.
fn config_text() -> String {
    let mut random = [0; 32];
    SystemEntropy.fill(&mut random);
    let key = KeyRing::new_key("demo", &random);
    let suffix = u32::from_le_bytes([random[0], random[1], random[2], random[3]]);
    let mut text = format!(
        "prefix = \"ringback-demo-{suffix:08x}\"\ndata_dir = \"data\"\n\
         [secrets]\nkeys = [\"{}\"]\n\
         [http]\nallow_networks = [\"127.0.0.1\"]\n\
         [idempotency]\nwindow = \"10m\"\n\
         [dead_letters]\nretention = \"10m\"\n",
        key.expose_secret()
    );
    for name in ringback_profile::builtin_names() {
        let _ = write!(text, "[projects.{name}]\nprofile = \"{name}\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ringback.toml");
        std::fs::write(&file, config_text()).unwrap();
        let config = Config::load(Some(&file), []).unwrap();
        assert_eq!(config.projects.len(), 6);
        assert!(config.prefix.as_str().starts_with("ringback-demo-"));
    }
}
