//! A server's processes: one group, ended together, whatever becomes of us.

use crate::ServerError;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

pub(crate) const POLL: Duration = Duration::from_millis(10);
const LOG_BYTES_SHOWN: u64 = 2_000;

/// A program to be run in this folder with nothing of the environment but the way to others: what the user configured is not
/// for it.
pub fn bare_command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A running process group, led by the server itself. Killed when dropped, and when this process ends in whatever way.
pub struct Group {
    server: &'static str,
    leader: Child,
    guard: Child,
    log: PathBuf,
    /// What others before it had written to the same file.
    log_bytes_before: u64,
}

impl Group {
    /// Starts the command as the leader of a group; its output goes to `output.log` in `folder`, which is cleared away with this
    /// process.
    pub fn start(
        server: &'static str,
        mut command: Command,
        folder: &Path,
    ) -> Result<Self, ServerError> {
        let log = folder.join("output.log");
        let log_bytes_before = log.metadata().map_or(0, |file| file.len());
        let mut start = || -> std::io::Result<(Child, Child)> {
            let output = File::options().create(true).append(true).open(&log)?;
            let leader = command
                .stdin(Stdio::null())
                .stdout(output.try_clone()?)
                .stderr(output)
                .process_group(0)
                .spawn()?;
            let guard = guard(leader.id(), folder)?;
            Ok((leader, guard))
        };
        let (leader, guard) = start().map_err(ServerError::io(format!("start {server}")))?;
        Ok(Self {
            server,
            leader,
            guard,
            log,
            log_bytes_before,
        })
    }

    /// Waits until `is_ready` says so. No server tells when it is ready; asking it again and again is the only way.
    pub fn wait_until_ready(
        &mut self,
        limit: Duration,
        mut is_ready: impl FnMut() -> std::io::Result<bool>,
    ) -> Result<(), ServerError> {
        let deadline = Instant::now() + limit;
        loop {
            if matches!(is_ready(), Ok(true)) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.leader.try_wait() {
                return Err(self.not_ready(format!("it ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.not_ready(format!("no answer within {limit:?}")));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until it has written this since it was started.
    pub fn wait_until_says(&mut self, words: &str, limit: Duration) -> Result<(), ServerError> {
        let (log, before) = (self.log.clone(), self.log_bytes_before);
        self.wait_until_ready(limit, || Ok(written_since(&log, before)?.contains(words)))
    }

    /// Asks the server to end in order, and waits; kills it when it does not within `limit`, and then has no status to tell.
    pub fn stop(mut self, limit: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(POLL);
        }
        None
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.leader.try_wait().ok().flatten()
    }

    /// The number of the process group, which is that of its leader.
    pub fn id(&self) -> u32 {
        self.leader.id()
    }

    /// Sends a signal to all of the group.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.leader.id()).ok().and_then(Pid::from_raw) {
            // An error means that the group is gone, which is what most callers want.
            let _ = kill_process_group(group, signal);
        }
    }

    fn not_ready(&self, why: String) -> ServerError {
        ServerError::NotReady {
            server: self.server,
            why,
            log: end_of(&self.log).unwrap_or_else(|error| error.to_string()),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.leader.wait();
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// A shell that waits for its standard input to close, which happens when this process ends in any way, kill -9 included;
/// then it kills the group and clears its folder away. In a group of its own, so that Ctrl-C does not end it first.
fn guard(group: u32, folder: &Path) -> std::io::Result<Child> {
    Command::new("sh")
        .args([
            "-c",
            r#"read -r _; kill -s KILL -- "-$0"; rm -rf -- "$1""#,
            &group.to_string(),
        ])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

fn end_of(log: &Path) -> std::io::Result<String> {
    let length = log.metadata()?.len();
    written_since(log, length.saturating_sub(LOG_BYTES_SHOWN))
}

fn written_since(log: &Path, before: u64) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(before))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
