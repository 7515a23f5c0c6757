//! Runs the tests with everything they need, and leaves nothing behind.
//!
//! The servers end with this process, however it ends: each has a guard that waits for that (see `ringback_testkit::servers`).

use crate::{install, receivers, root, schemathesis};
use anyhow::{Context, Result};
use ringback_testkit::servers::{
    AMQP_URL_VARIABLE, REDIS_URL_VARIABLE, RabbitOptions, RabbitServer, RedisOptions, RedisServer,
};
use std::{
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
};

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    install::missing_programs()?;
    let receivers = receivers::install()?;
    let schemathesis = schemathesis::install()?;
    let servers = Servers::start()?;

    let mut command = Command::new(env!("CARGO"));
    command
        .arg("test")
        .args(scope(args))
        .args(args)
        .current_dir(root())
        .env(AMQP_URL_VARIABLE, &servers.amqp_url)
        .env(REDIS_URL_VARIABLE, &servers.redis_url)
        .env(receivers::FOLDER_VARIABLE, receivers)
        .env(schemathesis::PROGRAM_VARIABLE, schemathesis)
        .stdout(Stdio::piped());
    let mut cargo = command.spawn().context("could not start cargo test")?;
    let output = cargo.stdout.take().expect("it was asked for a pipe");
    let mut total = Tally::default();
    for line in BufReader::new(output).lines() {
        let line = line.context("could not read what cargo test writes")?;
        total.add(&line);
        show(&line);
    }
    let status = cargo.wait().context("could not wait for cargo test")?;
    drop(servers);
    eprintln!(
        "{}: {} passed, {} failed, {} ignored",
        if status.success() { "passed" } else { "FAILED" },
        total.passed,
        total.failed,
        total.ignored
    );
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Everything, to the end, unless packages are named.
fn scope(args: &[String]) -> &'static [&'static str] {
    let names_packages = args
        .iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    if names_packages {
        &["--no-fail-fast"]
    } else {
        &["--workspace", "--no-fail-fast"]
    }
}

#[expect(clippy::print_stdout, reason = "cargo's own lines, passed on")]
fn show(line: &str) {
    println!("{line}");
}

/// The servers all tests share: those named in the environment, else private ones.
struct Servers {
    amqp_url: String,
    redis_url: String,
    _private: (Option<RabbitServer>, Option<RedisServer>),
}

impl Servers {
    fn start() -> Result<Self> {
        let (mut rabbit, mut redis) = (None, None);
        let redis_url = match std::env::var(REDIS_URL_VARIABLE) {
            Ok(url) => url,
            Err(_) => redis
                .insert(RedisServer::start(RedisOptions::default())?)
                .url(),
        };
        let amqp_url = match std::env::var(AMQP_URL_VARIABLE) {
            Ok(url) => url,
            Err(_) => rabbit
                .insert(RabbitServer::start(&RabbitOptions::default())?)
                .url(),
        };
        Ok(Self {
            amqp_url,
            redis_url,
            _private: (rabbit, redis),
        })
    }
}

/// How many tests did what, over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    /// Adds a line such as `test result: ok. 4 passed; 0 failed; 1 ignored; …`; others change nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let Some((number, word)) = count.split_once(' ') else {
                continue;
            };
            let number: u64 = number.parse().unwrap_or(0);
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up_and_others_ignored() {
        let mut total = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test a_test ... ok",
            "test result: FAILED. 1 passed; 2 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ] {
            total.add(line);
        }
        let expected = Tally {
            passed: 4,
            failed: 2,
            ignored: 4,
        };
        assert_eq!(total, expected);
    }

    #[test]
    fn the_whole_workspace_is_tested_unless_packages_are_named() {
        let scope_of =
            |args: &[&str]| scope(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(scope_of(&["--", "-p"]).contains(&"--workspace"));
        assert!(!scope_of(&["-p", "ringback-domain"]).contains(&"--workspace"));
    }
}
