//! A process under test: what it says, how it ends.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

/// How long a test waits for a process to say something, or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running process. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// All it said so far; closed with the end of its standard error stream.
    said: watch::Receiver<String>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (says, said) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                says.send_modify(|said| {
                    said.push_str(&line);
                    said.push('\n');
                });
            }
        });
        Self { child, said }
    }

    /// Waits until it has said this.
    pub(crate) async fn says(&mut self, words: &str) {
        let saying = self.said.wait_for(|said| said.contains(words));
        let has_said = matches!(timeout(PATIENCE, saying).await, Ok(Ok(_)));
        let said = &*self.said.borrow();
        assert!(has_said, "it never said `{words}`, but: {said}");
    }

    /// All it said so far.
    pub(crate) fn said(&self) -> String {
        self.said.borrow().clone()
    }

    /// Where its API listens, as it said when it got ready.
    pub(crate) fn api_port(&self) -> u16 {
        self.port_of("the API at /api/v1")
    }

    /// Where it answers for its health, when it has no API.
    pub(crate) fn health_port(&self) -> u16 {
        self.port_of("health checks are at /healthz")
    }

    fn port_of(&self, words: &str) -> u16 {
        let said = self.said();
        let mut lines = said.lines();
        let line = lines.find(|line| line.contains(words));
        let (_, port) = line
            .and_then(|line| line.split_once("127.0.0.1:"))
            .expect("it says where it listens");
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        port.parse().expect("a port")
    }

    /// Kills it without warning; all it said.
    pub(crate) async fn kill(mut self) -> String {
        self.child.start_kill().unwrap();
        let (_, said) = self.end().await;
        said
    }

    /// Sends SIGTERM.
    pub(crate) fn ask_to_stop(&self) {
        let id = self.child.id().expect("it has not ended");
        let id = i32::try_from(id).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    }

    /// Waits for its end; how it ended, and all it said.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        let ending = async {
            let status = self.child.wait().await.unwrap();
            // What was said last may still be on its way through the pipe.
            while self.said.changed().await.is_ok() {}
            status
        };
        let status = timeout(PATIENCE, ending).await;
        let said = self.said.borrow().clone();
        let Ok(status) = status else {
            panic!("it did not end within {PATIENCE:?}: {said}")
        };
        (status, said)
    }

    /// Asks it to stop and waits until it has, with nothing left behind.
    pub(crate) async fn stop(self) {
        self.ask_to_stop();
        self.stopped().await;
    }

    /// Waits until it has stopped as asked, with nothing left behind.
    pub(crate) async fn stopped(self) {
        let (status, said) = self.end().await;
        assert!(status.success(), "{status}: {said}");
        assert!(said.contains("stopped, nothing left behind"), "{said}");
    }
}
