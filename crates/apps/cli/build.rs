//! Tells the program its version: the release, and for optimised builds the commit.

use std::{env, process::Command};

/// Names the commit where there is no git to ask: in a container's build, in a source archive.
const VARIABLE: &str = "RINGBACK_COMMIT";

fn main() {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let release = env!("CARGO_PKG_VERSION");
    let named = env::var(VARIABLE).ok().filter(|commit| !commit.is_empty());
    let commit = named.or_else(commit_of_git);
    let commit = commit.as_deref().unwrap_or("unknown commit");
    println!("cargo::rustc-env=RINGBACK_VERSION={release} ({commit})");
}

/// Only for optimised builds: a development build would be made again after every commit.
fn commit_of_git() -> Option<String> {
    if env::var("PROFILE").is_ok_and(|profile| profile != "release") {
        return None;
    }
    let log = git(&[
        "rev-parse",
        "--path-format=absolute",
        "--git-path",
        "logs/HEAD",
    ])?;
    println!("cargo::rerun-if-changed={log}");
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_owned())
}
