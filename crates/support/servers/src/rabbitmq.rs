//! A private RabbitMQ: no service manager, no system user, no fixed port; works as root and as anybody.

use crate::{ServerError, find_program, port::free_port, process::Group};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// Names the folder of `rabbitmq-server` and `rabbitmqctl`, to test against a release of one's own.
const PROGRAMS_VARIABLE: &str = "RINGBACK_TEST_RABBITMQ_SBIN";
/// Where packages put the scripts themselves. Debian's `/usr/sbin/rabbitmq-server` is a wrapper that changes user and folder.
const PROGRAM_FOLDERS: [&str; 3] = [
    "/usr/lib/rabbitmq/bin",
    "/opt/rabbitmq/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
];
/// Ten seconds are enough on a machine with nothing else to do.
const READY_WITHIN: Duration = Duration::from_mins(5);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
pub(crate) const COOKIE: &str = "ringback-test";

/// How a private RabbitMQ is set up.
#[derive(Debug, Clone, Default)]
pub struct RabbitOptions {
    /// More lines of `rabbitmq.conf`.
    pub conf: String,
}

/// A private RabbitMQ node.
pub struct RabbitServer {
    port: u16,
    distribution_port: u16,
    // Before the folder: the process ends first.
    group: Option<Group>,
    names: Arc<NameService>,
    folder: TempDir,
}

impl RabbitServer {
    /// Whether the programs are there.
    pub fn is_installed() -> bool {
        find_rabbitmq("rabbitmq-server").is_ok()
    }

    /// Starts a node of its own and waits until it speaks AMQP. Takes 4 to 10 seconds.
    pub fn start(options: &RabbitOptions) -> Result<Self, ServerError> {
        Self::start_beside(Arc::new(NameService::start()?), options)
    }

    /// Starts a node that shares this one's port mapper, and could join it.
    pub(crate) fn start_unjoined(&self, options: &RabbitOptions) -> Result<Self, ServerError> {
        Self::start_beside(Arc::clone(&self.names), options)
    }

    /// Joins the cluster of another node and forgets what it held itself.
    pub(crate) fn join(&self, other: &Self) -> Result<(), ServerError> {
        self.rabbitmqctl(&["stop_app"])?;
        self.rabbitmqctl(&["join_cluster", &other.node_name()])?;
        self.rabbitmqctl(&["start_app"])?;
        Ok(())
    }

    fn start_beside(names: Arc<NameService>, options: &RabbitOptions) -> Result<Self, ServerError> {
        let folder = tempfile::Builder::new()
            .prefix("ringback-rabbitmq-")
            .tempdir()
            .map_err(ServerError::io("make a folder for RabbitMQ"))?;
        let mut server = Self {
            port: free_port(),
            distribution_port: free_port(),
            group: None,
            names,
            folder,
        };
        server
            .configure(options)
            .map_err(ServerError::io("write RabbitMQ's configuration"))?;
        server.launch()?;
        Ok(server)
    }

    /// Where it answers, credentials included.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its name within the cluster.
    pub fn node_name(&self) -> String {
        format!("ringback{}@localhost", self.port)
    }

    /// Whether it answers clients now.
    pub fn speaks_amqp(&self) -> bool {
        matches!(speaks_amqp(self.port), Ok(true))
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

    /// Kills it without warning. The data stays for [`Self::restart`].
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

    /// Runs `rabbitmqctl` on this node and returns what it wrote.
    pub fn rabbitmqctl(&self, args: &[&str]) -> Result<String, ServerError> {
        let output = self
            .command("rabbitmqctl")?
            .args(["--quiet", "--node", &self.node_name()])
            .args(args)
            .output()
            .map_err(ServerError::io("run rabbitmqctl"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(ServerError::Tool {
            command: format!("rabbitmqctl {}", args.join(" ")),
            output: [output.stdout, output.stderr]
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .concat(),
        })
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = &self.group {
            group.signal(signal);
        }
    }

    fn configure(&self, options: &RabbitOptions) -> std::io::Result<()> {
        let folder = self.folder.path();
        let conf = format!(
            "listeners.tcp.default = 127.0.0.1:{}\n\
             loopback_users = none\n\
             log.file = false\n\
             log.console = true\n\
             vm_memory_high_watermark.absolute = 1GB\n\
             disk_free_limit.absolute = 50MB\n{}\n",
            self.port, options.conf
        );
        fs::write(folder.join("rabbitmq.conf"), conf)?;
        // By default the dead-letter worker waits three minutes for a confirm that a killed node will never send.
        fs::write(
            folder.join("advanced.config"),
            "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 5000}]}].\n",
        )?;
        fs::write(folder.join("enabled_plugins"), "[].\n")?;
        fs::write(folder.join("environment.conf"), "")?;
        let cookie = folder.join(".erlang.cookie");
        fs::write(&cookie, COOKIE)?;
        fs::set_permissions(cookie, fs::Permissions::from_mode(0o400))
    }

    fn launch(&mut self) -> Result<(), ServerError> {
        let command = self.command("rabbitmq-server")?;
        let mut group = Group::start("RabbitMQ", command, self.folder.path())?;
        group.wait_until_ready(READY_WITHIN, || speaks_amqp(self.port))?;
        self.group = Some(group);
        Ok(())
    }

    /// A RabbitMQ program that sees our node and nothing of the system's own installation.
    fn command(&self, program: &'static str) -> Result<Command, ServerError> {
        let folder = self.folder.path();
        let mut command = Command::new(find_rabbitmq(program)?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RABBITMQ_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(folder)
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.names.port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            // Makes the start script turn into the server, so that signals reach the server and not a shell in front of it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env_remove("NOTIFY_SOCKET")
            .env("RABBITMQ_NODENAME", self.node_name())
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                folder.join("enabled_plugins"),
            )
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("environment.conf"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env(
                "RABBITMQ_ADVANCED_CONFIG_FILE",
                folder.join("advanced.config"),
            )
            // Two schedulers that sleep when idle: tests share a small machine.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -start_epmd false \
                 -kernel inet_dist_use_interface {127,0,0,1}",
            );
        Ok(command)
    }
}

/// The Erlang port mapper of one cluster. Left to itself, a node would start one that outlives it.
struct NameService {
    port: u16,
    _group: Group,
    _folder: TempDir,
}

impl NameService {
    fn start() -> Result<Self, ServerError> {
        let folder = tempfile::tempdir().map_err(ServerError::io("make a folder for epmd"))?;
        let program = find_program("epmd", []).ok_or(ServerError::Missing {
            program: "epmd",
            hint: "it comes with Erlang, which RabbitMQ needs",
        })?;
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
        let mut group = Group::start("epmd", command, folder.path())?;
        group.wait_until_ready(READY_WITHIN, || {
            TcpStream::connect(("127.0.0.1", port)).map(|_| true)
        })?;
        Ok(Self {
            port,
            _group: group,
            _folder: folder,
        })
    }
}

fn find_rabbitmq(program: &'static str) -> Result<PathBuf, ServerError> {
    let chosen = std::env::var_os(PROGRAMS_VARIABLE).map(PathBuf::from);
    let usual = PROGRAM_FOLDERS
        .iter()
        .map(|folder| Path::new(folder).to_owned());
    find_program(program, chosen.into_iter().chain(usual)).ok_or(ServerError::Missing {
        program,
        hint: "install RabbitMQ 3.10 or later, on Debian-like systems by `apt-get install rabbitmq-server`; its service need not run",
    })
}

/// Whether the port answers AMQP's greeting with `connection.start`, a method frame on channel 0.
fn speaks_amqp(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut frame = [0; 11];
    stream.read_exact(&mut frame)?;
    Ok(frame[..3] == [1, 0, 0] && frame[7..] == [0, 10, 0, 10])
}
