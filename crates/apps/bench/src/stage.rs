//! The stage: private servers, or somebody's; the receiver, workers and generators, each a process. All end with this one.

use crate::{
    BenchError, BenchOptions, micros_now,
    part::Part,
    scenario::{Manner, Scenario, Servers},
    usage::Usage,
};
use ringback_servers::{
    Group, RabbitOptions, RabbitServer, RedisOptions, RedisServer, bare_command, free_port,
};
use ringback_signing::KeyRing;
use secrecy::ExposeSecret;
use std::{
    fmt::Write,
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::block_in_place,
    time::sleep,
};

/// What exchanges, queues and keys begin with.
pub(crate) const PREFIX: &str = "bench";
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Longer than the workers' own grace.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Servers of somebody else.
#[derive(Debug, Clone)]
pub struct Urls {
    /// A RabbitMQ.
    pub broker: String,
    /// A Redis.
    pub store: String,
}

pub(crate) struct Stage {
    // In the order in which they end: clients before servers, and the folder last.
    receiver: Group,
    receiver_port: u16,
    rabbit: Option<RabbitServer>,
    redis: Option<RedisServer>,
    urls: Option<Urls>,
    program: PathBuf,
    worker_program: PathBuf,
    folder: TempDir,
    started: usize,
}

/// What one scenario's workers are told.
pub(crate) struct Place {
    pub(crate) config: PathBuf,
    /// What ids of its events begin with, which nobody had before: neither another round, nor another bench on the same servers.
    pub(crate) run: String,
    /// Where its workers keep what is theirs.
    folder: PathBuf,
    pub(crate) api_port: u16,
}

impl Stage {
    /// Starts the receiver, and servers unless somebody's are given or none is needed.
    pub(crate) fn build(options: &BenchOptions, needs_servers: bool) -> Result<Self, BenchError> {
        let folder = tempfile::Builder::new()
            .prefix("ringback-bench-")
            .tempdir()
            .map_err(BenchError::io("make a folder"))?;
        let (mut rabbit, mut redis) = (None, None);
        let urls = match options.urls.clone() {
            None if needs_servers => {
                let store = redis
                    .insert(RedisServer::start(RedisOptions::default())?)
                    .url();
                let broker = rabbit
                    .insert(RabbitServer::start(&RabbitOptions::default())?)
                    .url();
                Some(Urls { broker, store })
            }
            urls => urls,
        };
        let receiver_port = free_port();
        let told = Part::Receive {
            port: receiver_port,
        };
        let mut receiver = start_part(&options.program, folder.path(), "receiver", &told)?;
        receiver.wait_until_ready(READY_WITHIN, || {
            TcpStream::connect(("127.0.0.1", receiver_port)).map(|_| true)
        })?;
        Ok(Self {
            receiver,
            receiver_port,
            rabbit,
            redis,
            urls,
            program: options.program.clone(),
            worker_program: options.worker_program.clone(),
            folder,
            started: 0,
        })
    }

    pub(crate) fn urls(&self) -> Option<&Urls> {
        self.urls.as_ref()
    }

    /// What the broker calls its version, when it is ours.
    pub(crate) fn broker_version(&self) -> Option<String> {
        let version = self.rabbit.as_ref()?.rabbitmqctl(&["version"]).ok()?;
        Some(version.trim().to_owned())
    }

    pub(crate) fn receiver_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.receiver_port)
    }

    /// A file for what a part writes down.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration of a scenario's workers.
    pub(crate) fn place(&self, scenario: &Scenario) -> Result<Place, BenchError> {
        let run = format!("{}-{:x}", scenario.name, micros_now());
        let folder = self.folder.path().join(&run);
        let api_port = free_port();
        let text = config_text(scenario, self.urls.as_ref(), &folder, api_port);
        let config = folder.join("worker.toml");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&config, text))
            .map_err(BenchError::io("write a configuration"))?;
        Ok(Place {
            config,
            run,
            folder,
            api_port,
        })
    }

    /// Starts one with these roles whose API listens on this port: the place's, of the first.
    pub(crate) fn start_worker(
        &mut self,
        place: &Place,
        roles: &str,
        api_port: u16,
    ) -> Result<Worker, BenchError> {
        self.started += 1;
        let folder = place.folder.join(format!("worker-{}", self.started));
        fs::create_dir_all(&folder).map_err(BenchError::io("make a folder"))?;
        let mut command = bare_command(&self.worker_program, &folder);
        command.args(["serve", "--roles", roles, "--config"]);
        command.arg(&place.config);
        command.env("RINGBACK_API__LISTEN", format!("127.0.0.1:{api_port}"));
        // As in `Dockerfile` and `deploy/`.
        command.env("MIMALLOC_PURGE_DELAY", "100");
        let mut process = Group::start("worker", command, &folder)?;
        process.wait_until_says(": ready ", READY_WITHIN)?;
        Ok(Worker {
            process,
            log: folder.join("output.log"),
        })
    }

    pub(crate) fn start_part(
        &mut self,
        name: &'static str,
        part: &Part,
    ) -> Result<Group, BenchError> {
        self.started += 1;
        let folder = self.folder.path().join(format!("{name}-{}", self.started));
        start_part(&self.program, &folder, name, part)
    }

    /// Runs a part to its end.
    pub(crate) async fn run_part(
        &mut self,
        name: &'static str,
        part: &Part,
    ) -> Result<(), BenchError> {
        let mut process = self.start_part(name, part)?;
        until_ended(&mut process, name).await
    }

    pub(crate) fn broker_usage(&self) -> Result<Option<Usage>, BenchError> {
        usage(self.rabbit.as_ref().and_then(RabbitServer::process_group))
    }

    pub(crate) fn store_usage(&self) -> Result<Option<Usage>, BenchError> {
        usage(self.redis.as_ref().and_then(RedisServer::process_group))
    }

    pub(crate) fn receiver_usage(&self) -> Result<Usage, BenchError> {
        usage_of(&self.receiver)
    }

    /// Asks the receiver.
    pub(crate) async fn ask_receiver(&self, path: &str) -> Result<String, BenchError> {
        let ask = async {
            let address = ("127.0.0.1", self.receiver_port);
            let mut connection = tokio::net::TcpStream::connect(address).await?;
            let request = format!("GET /{path} HTTP/1.1\r\n\r\n");
            connection.write_all(request.as_bytes()).await?;
            connection.shutdown().await?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        let answer = ask.await.map_err(BenchError::io("ask the receiver"))?;
        let (_, text) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Ok(text.to_owned())
    }
}

/// A process of `ringback serve`.
pub(crate) struct Worker {
    process: Group,
    log: PathBuf,
}

impl Worker {
    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        usage_of(&self.process)
    }

    /// Stops it in order; what it wrote.
    pub(crate) fn stop(self) -> Result<String, BenchError> {
        block_in_place(|| self.process.stop(STOPPED_WITHIN));
        fs::read_to_string(&self.log).map_err(BenchError::io("read a worker's log"))
    }
}

/// Waits until a part has done what it was told.
pub(crate) async fn until_ended(process: &mut Group, name: &'static str) -> Result<(), BenchError> {
    loop {
        match process.ended() {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(BenchError::Part { name, status }),
            None => sleep(LOOK_EVERY).await,
        }
    }
}

fn usage(group: Option<u32>) -> Result<Option<Usage>, BenchError> {
    let read = |group| Usage::of_group(group).map_err(BenchError::io("read a process's usage"));
    group.map(read).transpose()
}

fn usage_of(process: &Group) -> Result<Usage, BenchError> {
    Usage::of_group(process.id()).map_err(BenchError::io("read a process's usage"))
}

fn start_part(
    program: &Path,
    folder: &Path,
    name: &'static str,
    part: &Part,
) -> Result<Group, BenchError> {
    fs::create_dir_all(folder).map_err(BenchError::io("make a folder"))?;
    let told = serde_json::to_string(part).map_err(BenchError::Told)?;
    let mut command = bare_command(program, folder);
    command.arg("bench-part").arg(told);
    Ok(Group::start(name, command, folder)?)
}

/// The defaults, but for what has to be said. The profile that retries is the default one with short waits.
fn config_text(scenario: &Scenario, urls: Option<&Urls>, folder: &Path, api_port: u16) -> String {
    let mut text = match (scenario.servers, urls) {
        (Servers::RabbitAndRedis, Some(Urls { broker, store })) => {
            let key = KeyRing::new_key("bench", &[7; 32]);
            format!(
                "broker = \"{broker}\"\nstore = \"{store}\"\nsecrets.keys = [\"{}\"]\n",
                key.expose_secret()
            )
        }
        _ => format!("data_dir = \"{}\"\n", folder.join("data").display()),
    };
    let level = if scenario.tells_settled {
        "warn,ringback::command=info,ringback_worker::observe=debug"
    } else {
        "warn,ringback::command=info"
    };
    let waits = scenario.retry_waits_s().into_iter();
    let waits: Vec<_> = waits.map(|seconds| format!("\"{seconds}s\"")).collect();
    let _ = write!(
        text,
        r#"prefix = "{PREFIX}"
api.listen = "127.0.0.1:{api_port}"
http.allow_networks = ["127.0.0.1"]
deliver.shutdown_grace = "5s"
log.level = "{level}"

[profiles.impatient]
body = "{{type, timestamp: .occurred_at | to_milliseconds, job, data}}"
success = ["2xx"]
time_limit = "20s"
headers = {{ webhook-id = "{{event.id}}", webhook-timestamp = "{{timestamp}}" }}
retry = {{ delays = [{}], jitter = 0.0 }}

[profiles.impatient.signature]
header = "webhook-signature"
signed = "{{id}}.{{timestamp}}.{{body}}"
value = "v1,{{signature}}"
digest = "base64"
secret = "base64"
secret_prefix = "whsec_"
separator = " "
"#,
        waits.join(", ")
    );
    // Whoever refuses everything once looks like one that is down, and would be spared.
    let manners = scenario.all_projects().map(|project| project.manner);
    if manners
        .into_iter()
        .any(|manner| manner == Manner::RefusesOnce)
    {
        text.insert_str(0, "deliver.breaker_failures = 0\n");
    }
    let mut names: Vec<_> = scenario.all_projects().collect();
    names.sort_by(|one, other| one.name.cmp(&other.name));
    names.dedup_by(|one, other| one.name == other.name);
    for project in names {
        let profile = match project.manner {
            Manner::RefusesOnce => "impatient",
            _ => "standard",
        };
        let _ = write!(
            text,
            "\n[projects.{}]\nprofile = \"{profile}\"\n",
            project.name
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::scenarios;
    use ringback_worker::config::Config;

    #[test]
    fn the_configuration_of_every_scenario_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let urls = Urls {
            broker: "amqp://guest:guest@127.0.0.1:1/%2f".into(),
            store: "redis://127.0.0.1:2/".into(),
        };
        for scenario in scenarios(100) {
            let file = folder.path().join(scenario.name);
            fs::write(&file, config_text(&scenario, Some(&urls), folder.path(), 1)).unwrap();
            let config = Config::load(Some(&file), []).unwrap();
            for project in scenario.all_projects() {
                assert!(config.projects.contains_key(&project.name.parse().unwrap()));
            }
        }
    }
}
