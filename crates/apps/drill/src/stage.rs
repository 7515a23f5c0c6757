//! The stage: private servers, the network between, worker processes, the receiver. Everything here ends with this process,
//! however it ends, and nothing of it is anybody else's.

use crate::{
    DrillError, DrillOptions,
    load::{DESTINATIONS, secret_of},
    schedule::{Class, Dice, Planned},
};
use ringback_servers::{
    Group, RabbitCluster, RabbitOptions, RedisOptions, RedisServer, ServerError, bare_command,
    free_port,
    proxy::{Fault, FaultProxy},
};
use ringback_signing::KeyRing;
use rustix::process::Signal;
use secrecy::ExposeSecret;
use std::{
    fmt::Write,
    fs, io,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{task::block_in_place, time::sleep};

/// What exchanges, queues and keys begin with.
pub(crate) const PREFIX: &str = "drill";
/// The queue whose leader is killed.
const DELIVERIES: &str = "drill.deliveries";
/// How long a worker or the receiver may take to get ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long a worker may take to stop in order: longer than its own grace.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    // In the order in which they end: clients before servers, and the folder last.
    workers: Vec<Worker>,
    receiver: Receiver,
    broker_links: Vec<FaultProxy>,
    store_link: FaultProxy,
    receiver_link: FaultProxy,
    cluster: RabbitCluster,
    redis: RedisServer,
    program: PathBuf,
    worker_env: Vec<(String, String)>,
    folder: TempDir,
    /// Workers that ended although nobody asked them to.
    pub(crate) deserted: u64,
}

impl Stage {
    /// Starts the servers, the network and the receiver. Workers come later: they need webhooks to be registered.
    pub(crate) async fn build(options: &DrillOptions) -> Result<Self, DrillError> {
        let folder = tempfile::Builder::new()
            .prefix("ringback-drill-")
            .tempdir()
            .map_err(DrillError::io("make a folder"))?;
        let (cluster, redis) = block_in_place(|| start_servers(options.nodes))?;
        let mut broker_links = Vec::new();
        for node in cluster.nodes() {
            broker_links.push(link(node.port()).await?);
        }
        let store_link = link(redis.port()).await?;
        let receiver_port = free_port();
        let receiver_link = link(receiver_port).await?;
        let destinations = DESTINATIONS.iter().enumerate().map(|(index, destination)| {
            format!(
                "{} {} {}\n",
                destination.name,
                destination.manner,
                secret_of(options.seed, index)
            )
        });
        let receiver = Receiver::start(
            &options.program,
            receiver_port,
            folder.path(),
            &destinations.collect::<String>(),
        )?;
        let stage = Self {
            workers: Vec::new(),
            receiver,
            broker_links,
            store_link,
            receiver_link,
            cluster,
            redis,
            program: options.program.clone(),
            worker_env: options.worker_env.clone(),
            folder,
            deserted: 0,
        };
        let write = |name, broker: &str, store: &str| {
            fs::write(
                stage.folder.path().join(name),
                config_text(options.seed, broker, store),
            )
            .map_err(DrillError::io("write a configuration"))
        };
        write("direct.toml", &stage.cluster.url(), &stage.redis.url())?;
        let store = stage.store_link.url(&stage.redis.url(), stage.redis.port());
        write("worker.toml", &stage.broker_urls(), &store)?;
        Ok(stage)
    }

    /// The broker by way of the network that fails.
    pub(crate) fn broker_urls(&self) -> String {
        let nodes = self.cluster.nodes().iter().zip(&self.broker_links);
        let urls: Vec<_> = nodes
            .map(|(node, link)| link.url(&node.url(), node.port()))
            .collect();
        urls.join(",")
    }

    /// The configuration of whoever looks on from outside: by no network that fails.
    pub(crate) fn direct_config(&self) -> PathBuf {
        self.folder.path().join("direct.toml")
    }

    /// Where the webhook of a destination points to.
    pub(crate) fn url_of(&self, destination: &str) -> String {
        format!(
            "http://127.0.0.1:{}/{destination}",
            self.receiver_link.port()
        )
    }

    pub(crate) fn receiver_log(&self) -> PathBuf {
        self.receiver.log.clone()
    }

    /// What the broker calls its version.
    pub(crate) fn broker_version(&self) -> String {
        let version = block_in_place(|| self.cluster.nodes()[0].rabbitmqctl(&["version"]));
        version.map_or_else(
            |_| "unknown".to_owned(),
            |version| version.trim().to_owned(),
        )
    }

    pub(crate) fn start_workers(&mut self, count: usize) -> Result<(), DrillError> {
        for number in 0..count {
            let worker =
                Worker::start(&self.program, self.folder.path(), number, &self.worker_env)?;
            self.workers.push(worker);
        }
        block_in_place(|| {
            self.workers
                .iter_mut()
                .try_for_each(Worker::wait_until_ready)
        })?;
        Ok(())
    }

    /// Stops all workers in order.
    pub(crate) fn stop_workers(&mut self) {
        block_in_place(|| self.workers.drain(..).for_each(Worker::stop));
    }

    /// Lets a fault happen, and returns when all is in place again.
    pub(crate) async fn strike(&mut self, fault: &Planned) -> Result<(), DrillError> {
        let of = |count: usize| fault.target % count;
        let Planned { class, lasts, .. } = *fault;
        match class {
            Class::WorkerKilled | Class::WorkerPaused | Class::WorkerStopped => {
                let index = of(self.workers.len());
                self.strike_worker(index, class, lasts).await?;
            }
            Class::LeaderKilled => {
                let leader = block_in_place(|| self.cluster.leader_of(DELIVERIES))?;
                self.kill_node(
                    leader.unwrap_or_else(|| of(self.cluster.nodes().len())),
                    lasts,
                )
                .await?;
            }
            Class::NodeKilled => {
                self.kill_node(of(self.cluster.nodes().len()), lasts)
                    .await?;
            }
            Class::NodeRestarted => {
                let index = of(self.cluster.nodes().len());
                block_in_place(|| self.cluster.node_mut(index).stop());
                sleep(lasts).await;
                self.restart_node(index)?;
            }
            Class::NodePaused => {
                let node = &self.cluster.nodes()[of(self.cluster.nodes().len())];
                node.pause();
                sleep(lasts).await;
                node.resume();
            }
            Class::NodeCutOff => {
                let index = of(self.cluster.nodes().len());
                block_in_place(|| self.cluster.cut_off(index))?;
                sleep(lasts).await;
                block_in_place(|| {
                    self.cluster.reconnect(index)?;
                    self.cluster.wait_until_whole()
                })?;
            }
            Class::BrokerCut | Class::BrokerHeld => fail(&self.broker_links, class, lasts).await,
            Class::StoreKilled => {
                block_in_place(|| self.redis.kill9());
                sleep(lasts).await;
                block_in_place(|| self.redis.restart())?;
            }
            Class::StorePaused => {
                self.redis.pause();
                sleep(lasts).await;
                self.redis.resume();
            }
            Class::StoreCut => fail([&self.store_link], class, lasts).await,
            Class::ReceiverKilled => {
                self.receiver.kill();
                sleep(lasts).await;
                self.receiver.restart(&self.program)?;
            }
            Class::ReceiverCut | Class::ReceiverHeld => {
                fail([&self.receiver_link], class, lasts).await;
            }
        }
        self.replace_deserters()
    }

    async fn strike_worker(
        &mut self,
        index: usize,
        class: Class,
        lasts: Duration,
    ) -> Result<(), DrillError> {
        match class {
            Class::WorkerPaused => {
                self.workers[index].process.signal(Signal::STOP);
                sleep(lasts).await;
                self.workers[index].process.signal(Signal::CONT);
                return Ok(());
            }
            Class::WorkerStopped => block_in_place(|| self.workers.remove(index).stop()),
            // Dropped, it gets SIGKILL.
            _ => block_in_place(|| drop(self.workers.remove(index))),
        }
        sleep(lasts).await;
        self.start_workers_again(index)
    }

    fn start_workers_again(&mut self, index: usize) -> Result<(), DrillError> {
        let mut worker = Worker::start(&self.program, self.folder.path(), index, &self.worker_env)?;
        block_in_place(|| worker.wait_until_ready())?;
        self.workers.insert(index, worker);
        Ok(())
    }

    async fn kill_node(&mut self, index: usize, lasts: Duration) -> Result<(), DrillError> {
        block_in_place(|| self.cluster.node_mut(index).kill9());
        sleep(lasts).await;
        self.restart_node(index)
    }

    fn restart_node(&mut self, index: usize) -> Result<(), DrillError> {
        block_in_place(|| self.cluster.node_mut(index).restart())?;
        // Alone, a node that answers is whole.
        if self.cluster.nodes().len() > 1 {
            block_in_place(|| self.cluster.wait_until_whole())?;
        }
        Ok(())
    }

    /// Counts workers that ended by themselves, and starts others.
    fn replace_deserters(&mut self) -> Result<(), DrillError> {
        for index in 0..self.workers.len() {
            if self.workers[index].process.ended().is_some() {
                self.deserted += 1;
                self.workers.remove(index);
                self.start_workers_again(index)?;
            }
        }
        Ok(())
    }
}

fn start_servers(nodes: usize) -> Result<(RabbitCluster, RedisServer), ServerError> {
    // First what is there in no time: a program that is missing is told at once.
    let redis = RedisServer::start(RedisOptions::default())?;
    let cluster = RabbitCluster::start(nodes, &RabbitOptions::default())?;
    Ok((cluster, redis))
}

async fn link(port: u16) -> Result<FaultProxy, DrillError> {
    FaultProxy::start(port)
        .await
        .map_err(DrillError::io("start a proxy"))
}

/// The network's faults.
async fn fail(links: impl IntoIterator<Item = &FaultProxy> + Clone, class: Class, lasts: Duration) {
    let fault = match class {
        Class::BrokerHeld | Class::ReceiverHeld => Fault::Hold,
        _ => Fault::Cut,
    };
    for link in links.clone() {
        link.set(fault);
    }
    sleep(lasts).await;
    for link in links {
        link.set(Fault::None);
    }
}

/// A process of `ringback serve`.
struct Worker {
    process: Group,
}

impl Worker {
    fn start(
        program: &Path,
        folder: &Path,
        number: usize,
        env: &[(String, String)],
    ) -> Result<Self, DrillError> {
        let own = folder.join(format!("worker-{number}"));
        fs::create_dir_all(&own).map_err(DrillError::io("make a folder"))?;
        let mut command = bare_command(program, &own);
        command
            .args(["serve", "--config"])
            .arg(folder.join("worker.toml"))
            .envs(env.iter().map(|(name, value)| (name, value)));
        Ok(Self {
            process: Group::start("worker", command, &own)?,
        })
    }

    fn wait_until_ready(&mut self) -> Result<(), ServerError> {
        self.process.wait_until_says(": ready ", READY_WITHIN)
    }

    fn stop(self) {
        self.process.stop(STOPPED_WITHIN);
    }
}

/// The process that takes the webhooks.
struct Receiver {
    process: Option<Group>,
    port: u16,
    folder: PathBuf,
    log: PathBuf,
}

impl Receiver {
    fn start(
        program: &Path,
        port: u16,
        folder: &Path,
        destinations: &str,
    ) -> Result<Self, DrillError> {
        let own = folder.join("receiver");
        let write = || {
            fs::create_dir_all(&own)?;
            fs::write(own.join("destinations"), destinations)
        };
        write().map_err(DrillError::io("write the receiver's destinations"))?;
        let mut receiver = Self {
            process: None,
            port,
            log: own.join("received.log"),
            folder: own,
        };
        receiver.restart(program)?;
        Ok(receiver)
    }

    fn kill(&mut self) {
        block_in_place(|| self.process = None);
    }

    fn restart(&mut self, program: &Path) -> Result<(), DrillError> {
        let mut command = bare_command(program, &self.folder);
        command
            .args(["drill-receiver", "--port", &self.port.to_string()])
            .arg("--log")
            .arg(&self.log)
            .arg("--destinations")
            .arg(self.folder.join("destinations"));
        let mut process = Group::start("receiver", command, &self.folder)?;
        let port = self.port;
        block_in_place(|| {
            process.wait_until_ready(READY_WITHIN, || {
                TcpStream::connect(("127.0.0.1", port)).map(|_| true)
            })
        })?;
        self.process = Some(process);
        Ok(())
    }
}

/// The profiles: the signature of Standard Webhooks, the event's data as the body, and schedules that pass within a minute. A
/// breaker is probed often, so that what it puts off is not taken for lost.
///
/// A claim lasts for time limit and margin, four seconds.
fn config_text(seed: u64, broker: &str, store: &str) -> String {
    let mut random = [0; 32];
    let mut dice = Dice(seed);
    random
        .chunks_mut(8)
        .for_each(|chunk| chunk.copy_from_slice(&dice.next().to_le_bytes()));
    let key = KeyRing::new_key("drill", &random);
    let mut text = format!(
        r#"broker = "{broker}"
store = "{store}"
prefix = "{PREFIX}"
api.listen = "127.0.0.1:0"
http.connect_timeout = "1s"
http.allow_networks = ["127.0.0.1"]
deliver.lease_margin = "1s"
deliver.breaker_probe_first = "1s"
deliver.breaker_probe_max = "4s"
deliver.shutdown_grace = "15s"
secrets.keys = ["{}"]
log.level = "warn,ringback::command=info"
"#,
        key.expose_secret()
    );
    for (profile, delays) in [
        (
            "patient",
            r#""250ms", "500ms", "1s", "2s", "4s", "8s", "8s", "8s", "8s", "8s""#,
        ),
        ("hasty", r#""250ms", "500ms""#),
    ] {
        let _ = write!(
            text,
            r#"
[profiles.{profile}]
body = ".data"
success = ["200"]
time_limit = "3s"
headers = {{ webhook-id = "{{event.id}}", webhook-timestamp = "{{timestamp}}" }}
retry = {{ delays = [{delays}], jitter = 0.2 }}

[profiles.{profile}.signature]
header = "webhook-signature"
signed = "{{id}}.{{timestamp}}.{{body}}"
value = "v1,{{signature}}"
digest = "base64"
secret = "base64"
secret_prefix = "whsec_"
separator = " "
"#
        );
    }
    for (project, profile) in [
        ("steady", "patient"),
        ("flaky", "patient"),
        ("pair", "patient"),
        ("doomed", "hasty"),
    ] {
        let _ = write!(text, "\n[projects.{project}]\nprofile = \"{profile}\"\n");
    }
    text
}

impl DrillError {
    pub(crate) fn io(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { step, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_worker::config::Config;

    #[test]
    fn the_configuration_is_accepted_and_knows_every_project() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.toml");
        let brokers = "amqp://guest:guest@127.0.0.1:1/%2f,amqp://guest:guest@127.0.0.1:2/%2f";
        fs::write(&file, config_text(1, brokers, "redis://127.0.0.1:3/")).unwrap();
        let config = Config::load(Some(&file), []).unwrap();
        assert_eq!(config.prefix.as_str(), PREFIX);
        for destination in &DESTINATIONS {
            assert!(
                config
                    .projects
                    .contains_key(&destination.project.parse().unwrap()),
                "{}",
                destination.name
            );
        }
    }
}
