//! A command that goes on until it is told to stop.

use crate::place::Place;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, Stdio},
};

/// A running `listen` or `serve`. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// What it says; its own end is the end of waiting.
    says: Lines<BufReader<ChildStderr>>,
}

impl Process {
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = place.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, says }
    }

    /// Waits until it says this, and returns the line.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let mut said = Vec::new();
        for line in self.says.by_ref() {
            let line = line.unwrap();
            if line.contains(words) {
                return line;
            }
            said.push(line);
        }
        panic!(
            "it ended without saying `{words}`, but: {}",
            said.join("\n")
        );
    }

    /// Its standard input.
    pub(crate) fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits for its end; the exit code and what it printed.
    pub(crate) fn end(mut self) -> (i32, String) {
        let stdout = std::io::read_to_string(self.child.stdout.take().unwrap()).unwrap();
        let code = self
            .child
            .wait()
            .unwrap()
            .code()
            .expect("it ended by itself");
        (code, stdout)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
