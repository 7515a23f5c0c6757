//! A private Redis.

use crate::{ServerError, find_program, port::free_port, process::Group};
use rustix::process::Signal;
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const PROGRAM: &str = "redis-server";
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// How a private Redis is set up.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// When a write is safe on disk.
    pub fsync: Fsync,
    /// A configuration file to be set up by, in place of what a private Redis has; the port, the address and the folder are its
    /// own all the same.
    pub config: Option<PathBuf>,
    /// More arguments, such as `["--maxmemory", "32mb"]`.
    pub args: Vec<String>,
}

/// Redis's `appendfsync`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Up to a second's writes are lost with the machine; nothing is lost with the process.
    #[default]
    EverySecond,
    /// Each write before its answer.
    Always,
}

/// A private Redis with an append-only file and no eviction.
pub struct RedisServer {
    port: u16,
    options: RedisOptions,
    // Before the folder: the process ends first.
    group: Option<Group>,
    folder: TempDir,
}

impl RedisServer {
    /// Whether the programs are there.
    pub fn is_installed() -> bool {
        find_program(PROGRAM, []).is_some()
    }

    /// Starts one and waits until it answers.
    pub fn start(options: RedisOptions) -> Result<Self, ServerError> {
        let folder = tempfile::Builder::new()
            .prefix("ringback-redis-")
            .tempdir()
            .map_err(ServerError::io("make a folder for Redis"))?;
        let mut server = Self {
            port: free_port(),
            options,
            group: None,
            folder,
        };
        server.launch()?;
        Ok(server)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process group of the server, while it runs.
    pub fn process_group(&self) -> Option<u32> {
        self.group.as_ref().map(Group::id)
    }

    /// Ends it in order. The data stays for [`Self::restart`].
    pub fn stop(&mut self) {
        if let Some(group) = self.group.take() {
            group.stop(STOPPED_WITHIN);
        }
    }

    /// Kills it without warning. The data stays for [`Self::restart`], as far as it had reached the file.
    pub fn kill9(&mut self) {
        self.group = None;
    }

    /// Stops it if it runs, and starts it again on the same port and data.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop();
        self.launch()
    }

    /// Makes it stand still: connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = &self.group {
            group.signal(signal);
        }
    }

    fn launch(&mut self) -> Result<(), ServerError> {
        let program = find_program(PROGRAM, []).ok_or(ServerError::Missing {
            program: PROGRAM,
            hint: "install Redis 7 or later, on Debian-like systems by `apt-get install redis-server`; its service need not run",
        })?;
        let mut command = Command::new(program);
        match &self.options.config {
            Some(file) => {
                command.arg(file);
            }
            None => {
                command
                    .args(["--save", "", "--appendonly", "yes", "--appendfsync"])
                    .arg(match self.options.fsync {
                        Fsync::EverySecond => "everysec",
                        Fsync::Always => "always",
                    })
                    .args(["--maxmemory-policy", "noeviction"])
                    .args(["--rdbcompression", "no"])
                    .args(["--auto-aof-rewrite-min-size", "512mb"]);
            }
        }
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.options.args);
        let mut group = Group::start("Redis", command, self.folder.path())?;
        group.wait_until_ready(READY_WITHIN, || answers_ping(self.port))?;
        self.group = Some(group);
        Ok(())
    }
}

/// While it loads its file, Redis answers `-LOADING`; `+PONG` means that it serves, and `-NOAUTH` that it serves those it knows.
fn answers_ping(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG" || &answer == b"-NOAU")
}
