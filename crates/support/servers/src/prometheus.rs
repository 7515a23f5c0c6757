//! A private Prometheus, which reads what a process measures.

use crate::{ServerError, find_program, port::free_port, process::Group};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const PROGRAM: &str = "prometheus";
const TOOL: &str = "promtool";
const HINT: &str = "`cargo xtask test` installs it on Debian-like systems; elsewhere install Prometheus 2 or later";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A private Prometheus.
pub struct PrometheusServer {
    port: u16,
    // Before the folder: the process ends first.
    _group: Group,
    _folder: TempDir,
}

impl PrometheusServer {
    /// Whether the programs are there.
    pub fn is_installed() -> bool {
        [PROGRAM, TOOL]
            .iter()
            .all(|program| find_program(program, []).is_some())
    }

    /// Starts one with this configuration, in its own YAML, and waits until it answers.
    pub fn start(config: &str) -> Result<Self, ServerError> {
        let program = find_program(PROGRAM, []).ok_or(ServerError::Missing {
            program: PROGRAM,
            hint: HINT,
        })?;
        let folder = tempfile::Builder::new()
            .prefix("ringback-prometheus-")
            .tempdir()
            .map_err(ServerError::io("make a folder for Prometheus"))?;
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).map_err(ServerError::io("write Prometheus's configuration"))?;
        let port = free_port();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ));
        let mut group = Group::start("Prometheus", command, folder.path())?;
        group.wait_until_ready(READY_WITHIN, || is_ready(port))?;
        Ok(Self {
            port,
            _group: group,
            _folder: folder,
        })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Runs Prometheus's own checker and returns what it wrote.
pub fn promtool(args: &[&str]) -> Result<String, ServerError> {
    let program = find_program(TOOL, []).ok_or(ServerError::Missing {
        program: TOOL,
        hint: HINT,
    })?;
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(ServerError::io("run promtool"))?;
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    if output.status.success() {
        return Ok(text);
    }
    Err(ServerError::Tool {
        command: format!("promtool {}", args.join(" ")),
        output: text,
    })
}

fn is_ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"HTTP/1.1 200")
}
