//! Where it happens: an installation, its servers with their passwords, and everything that was said.

use super::planted;
use crate::{
    desk::Desk,
    installation::{Ground, Installation},
    process::Process,
};
use ringback_testkit::servers::{RabbitOptions, RabbitServer, RedisOptions, RedisServer};
use std::{
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

const POLL: Duration = Duration::from_millis(100);
/// How often a test looks before it gives up: a minute and more.
const LOOKS_MAX: usize = 600;

pub(super) struct Place {
    installation: Installation,
    variables: Vec<(String, String)>,
    servers: Option<(RabbitServer, RedisServer)>,
    heard: Vec<(String, String)>,
}

impl Place {
    pub(super) async fn new(ground: Ground, installation: Installation) -> Self {
        let mut place = Self {
            installation,
            variables: Vec::new(),
            servers: None,
            heard: Vec::new(),
        };
        if let Ground::Servers = ground {
            place.start_servers().await;
        }
        place
    }

    /// Servers of its own, since their files are searched, and with passwords, since those must not be found.
    async fn start_servers(&mut self) {
        let rabbitmq = RabbitServer::start(&RabbitOptions::default()).unwrap();
        for command in [
            &["add_user", "ringback", planted::SERVER_PASSWORD][..],
            &["set_permissions", "ringback", ".*", ".*", ".*"],
        ] {
            rabbitmq.rabbitmqctl(command).unwrap();
        }
        // Compressed, a secret would be there and not be found.
        let args = ["--rdbcompression", "no"].map(String::from).to_vec();
        let redis = RedisServer::start(RedisOptions {
            args,
            ..RedisOptions::default()
        });
        let redis = redis.unwrap();
        let require = format!("CONFIG SET requirepass {}", planted::SERVER_PASSWORD);
        assert_eq!(tell_redis(&redis, &[&require]).await, "+OK");
        let user = format!("ringback:{}@", planted::SERVER_PASSWORD);
        self.set(
            "RINGBACK_BROKER",
            &rabbitmq.url().replace("guest:guest@", &user),
        );
        let user = format!("redis://:{}@", planted::SERVER_PASSWORD);
        self.set("RINGBACK_STORE", &redis.url().replace("redis://", &user));
        self.servers = Some((rabbitmq, redis));
    }

    /// Writes everything to disk, in every form there is, and ends without warning.
    pub(super) async fn kill_servers(&mut self) {
        let Some((rabbitmq, redis)) = &mut self.servers else {
            return;
        };
        let password = format!("AUTH {}", planted::SERVER_PASSWORD);
        assert_eq!(tell_redis(redis, &[&password, "SAVE"]).await, "+OK");
        redis.kill9();
        rabbitmq.kill9();
    }

    pub(super) fn has_servers(&self) -> bool {
        self.servers.is_some()
    }

    /// Sets a variable of the environment that all processes get.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The folders that outlive the processes: a name, where, and whether it is the broker's.
    pub(super) fn folders(&self) -> Vec<(&'static str, PathBuf, bool)> {
        match &self.servers {
            None => vec![("the data directory", self.installation.data(), false)],
            Some((rabbitmq, redis)) => vec![
                ("RabbitMQ", rabbitmq.folder().to_owned(), true),
                ("Redis", redis.folder().to_owned(), false),
            ],
        }
    }

    /// What was said, and by whom.
    pub(super) fn heard(&self) -> impl Iterator<Item = (&str, &str)> {
        let heard = self.heard.iter();
        heard.map(|(source, text)| (source.as_str(), text.as_str()))
    }

    pub(super) fn hears(&mut self, source: &str, text: String) {
        self.heard.push((source.to_owned(), text));
    }

    /// Runs all roles, once it says that it is ready.
    pub(super) async fn serve(&self, ready: &str) -> Process {
        let mut command = self.installation.command(&["serve"]);
        command.envs(self.variables.iter().cloned());
        let mut process = Process::start(command);
        process.says(ready).await;
        process
    }

    /// Runs a command that succeeds; what it printed.
    pub(super) async fn run(&mut self, arguments: &[&str], input: &str) -> String {
        let output = self.output_of(arguments, input).await;
        let printed = self.hear(arguments, &output);
        assert!(output.status.success(), "{:?}", self.heard.last());
        printed
    }

    /// Runs a command that may well find fault with things.
    pub(super) async fn run_any(&mut self, arguments: &[&str]) {
        let output = self.output_of(arguments, "").await;
        self.hear(arguments, &output);
    }

    /// Runs a command that refuses what it is given.
    pub(super) async fn run_refused(&mut self, arguments: &[&str], input: &str) {
        let output = self.output_of(arguments, input).await;
        let printed = self.hear(arguments, &output);
        assert!(!output.status.success(), "{printed}");
    }

    /// Runs a command that shows a secret once: to whoever called it, and only there.
    pub(super) async fn run_secretly(&mut self, arguments: &[&str], input: &str) -> String {
        let mut output = self.output_of(arguments, input).await;
        let printed = String::from_utf8(std::mem::take(&mut output.stdout)).unwrap();
        self.hear(arguments, &output);
        assert!(output.status.success(), "{:?}", self.heard.last());
        printed
    }

    async fn output_of(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.installation.command(arguments);
        command
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // One that reads nothing may have ended by now.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.unwrap()
    }

    fn hear(&mut self, arguments: &[&str], output: &Output) -> String {
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let talk = String::from_utf8_lossy(&output.stderr);
        let first = arguments.iter().take(2).copied().collect::<Vec<_>>();
        let source = format!("what `{}` prints", first.join(" "));
        self.hears(&source, format!("{printed}{talk}"));
        printed
    }

    /// Calls the API; the answer's first line has this status.
    pub(super) async fn ask(&mut self, port: u16, path: &str, key: &str, status: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.contains(status), "{path}: {answer}");
        self.hears(&format!("what the API says to {path}"), answer);
    }

    /// Straight into the broker, past everything that checks and seals.
    pub(super) async fn publish_as_a_stranger(&self, text: &str) {
        let desk = Desk::open(self.installation.config(self.variables.iter().cloned())).await;
        desk.publish_bytes(text.to_owned().into()).await;
        desk.close().await;
    }

    pub(super) async fn wait_for_dead_letters(&mut self, count: usize) {
        for _ in 0..LOOKS_MAX {
            let listed = self.run(&["dead", "list", "-o", "json"], "").await;
            if listed.matches("\"died_at\"").count() >= count {
                return;
            }
            sleep(POLL).await;
        }
        panic!("no {count} dead letters, but {:?}", self.heard.last());
    }
}

/// Says these lines to Redis; the last answer.
async fn tell_redis(redis: &RedisServer, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port()))
        .await
        .unwrap();
    let mut answers = String::new();
    for line in lines {
        let line = format!("{line}\r\n");
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).await.unwrap();
        answers = String::from_utf8_lossy(&answer[..length]).trim().to_owned();
    }
    answers
}
