//! A directory of its own for one test, and the binary run in it.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A working directory, and the variables commands run with in it.
pub(crate) struct Place {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a command left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// A variable for every command run here.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary, with nothing of the environment but the way to programs.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("USER", "tester")
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        self.run_with([], arguments)
    }

    /// The same, with more variables for this run.
    pub(crate) fn run_with<'a, S: AsRef<OsStr>>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Ran {
        self.end_of(self.command(arguments).envs(variables))
    }

    /// The same, with a file of this place on the standard input.
    pub(crate) fn run_reading<S: AsRef<OsStr>>(
        &self,
        file: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Ran {
        let input = std::fs::File::open(self.path(file)).unwrap();
        self.end_of(self.command(arguments).stdin(input))
    }

    fn end_of(&self, command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().expect("it ended by itself"),
            stdout: self.tidy(&output.stdout),
            stderr: self.tidy(&output.stderr),
        }
    }

    /// The data of a command that must succeed, as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let ran = self.run(arguments.iter().copied().chain(["--output", "json"]));
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Text without the directory, which differs from run to run.
    fn tidy(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.replace(&self.directory.path().display().to_string(), "DIR")
    }
}
