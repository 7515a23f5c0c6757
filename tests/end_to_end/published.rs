//! The receivers of `tests/receivers`: two programs, a port for each receiver, and all they say about the requests they got.

use serde::Deserialize;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::sync::watch;

/// Where `cargo xtask test` has put the receivers and their libraries.
const FOLDER_VARIABLE: &str = "RINGBACK_TEST_RECEIVERS";
/// How long a test waits for requests before it gives up.
const PATIENCE: Duration = Duration::from_mins(2);

/// Secrets that the receivers know, by the variable that tells them.
pub(crate) const SECRETS: [(&str, &str); 8] = [
    ("CALLBACK_SECRET", "cb-secret-1"),
    ("WEBHOOK_SECRET", "vp-secret-1"),
    ("MODELHUNTER_SECRET", "mh-secret-1"),
    ("STANDARD_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("STRIPE_SECRET", "whsec_test_secret"),
    ("GITHUB_SECRET", "It's a Secret to Everybody"),
    ("SLACK_SECRET", "8f742231b10e8888abcd99yyyzzz85a5"),
    ("SHOPIFY_SECRET", "shpss_test"),
];

/// The secret of one variable.
pub(crate) fn secret(variable: &str) -> &'static str {
    let found = SECRETS.iter().find(|(name, _)| *name == variable);
    found.expect("a variable of the list").1
}

/// A request, as a receiver saw it, and its verdict.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Seen {
    /// Which receiver.
    pub(crate) receiver: String,
    /// `POST`, if all is well.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Names in the spelling they came in.
    pub(crate) headers: Vec<(String, String)>,
    /// Of the body's bytes.
    pub(crate) sha256: String,
    /// The body as text.
    pub(crate) body: String,
    /// What was answered.
    pub(crate) status: u16,
}

impl Seen {
    /// All values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let named = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        let values = self.headers.iter().filter(named);
        values.map(|(_, value)| value.as_str()).collect()
    }
}

/// The running receivers. They end when this is dropped, and with this process in any case: their standard input closes.
pub(crate) struct Published {
    ports: HashMap<String, u16>,
    seen: watch::Receiver<Vec<Seen>>,
    programs: Vec<Child>,
}

impl Published {
    /// Starts all of them.
    pub(crate) fn start() -> Self {
        let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE).unwrap_or_else(|| {
            panic!("{FOLDER_VARIABLE} is not set: run the tests through cargo xtask test")
        }));
        let node = ("node".into(), "receivers.mjs");
        let python = (folder.join("venv/bin/python"), "receivers.py");
        let (sender, seen) = watch::channel(Vec::new());
        let mut published = Self {
            ports: HashMap::new(),
            seen,
            programs: Vec::new(),
        };
        for (program, script) in [node, python] {
            let mut child = Command::new(&program)
                .arg(script)
                .current_dir(&folder)
                .envs(SECRETS)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("could not start {}: {error}", program.display()));
            let output = child.stdout.take().expect("it was asked for a pipe");
            published.programs.push(child);
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            let ports = lines.next().expect("a receiver program says its ports");
            let ports: HashMap<String, u16> = serde_json::from_str(&ports).expect("ports");
            published.ports.extend(ports);
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in lines {
                    let seen: Seen = serde_json::from_str(&line).expect("a request's record");
                    sender.send_modify(|all| all.push(seen));
                }
            });
        }
        published
    }

    /// The port of a receiver.
    pub(crate) fn port(&self, receiver: &str) -> u16 {
        self.ports[receiver]
    }

    /// The URL of a path at a receiver.
    pub(crate) fn url(&self, receiver: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port(receiver))
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until so many requests have come, and returns all.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Seen> {
        let mut watched = self.seen.clone();
        let enough = watched.wait_for(|all| all.len() >= count);
        let Ok(all) = tokio::time::timeout(PATIENCE, enough).await else {
            panic!(
                "{} of {count} requests came within {PATIENCE:?}",
                self.seen().len()
            )
        };
        all.expect("the receivers run as long as we do").clone()
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}
