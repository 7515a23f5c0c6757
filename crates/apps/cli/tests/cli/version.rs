//! What `ringback --version` tells, and how the build comes to know it.

use crate::place::Place;
use std::{path::Path, process::Command};

/// The build's script, and a folder that it is run in.
struct Build {
    place: Place,
}

impl Build {
    fn new() -> Self {
        let place = Place::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
        let mut compiler = Command::new("rustc");
        compiler
            .args(["--edition", "2024", "-o", "build-script"])
            .arg(source)
            .env("CARGO_PKG_VERSION", "7.8.9")
            .current_dir(place.path(""));
        assert!(compiler.status().unwrap().success());
        Self { place }
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = self.command("git").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The version that a build here gives the program.
    fn version(&self, variables: &[(&str, &str)]) -> String {
        let script = self.place.path("build-script");
        let mut command = self.command(script.to_str().unwrap());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let lines = told.lines();
        let mut versions = lines.filter_map(|line| line.split_once("RINGBACK_VERSION="));
        versions.next().expect("it tells one").1.to_owned()
    }

    /// Knows no repository but one in this folder.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env(
                "GIT_CEILING_DIRECTORIES",
                self.place.path("..").canonicalize().unwrap(),
            )
            .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "tester")))
            .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "t@example.com")))
            .current_dir(self.place.path(""));
        command
    }
}

#[test]
fn the_program_tells_its_release_and_a_commit() {
    let told = Place::new().run(["--version"]);
    let expected = format!("ringback {} (", env!("CARGO_PKG_VERSION"));
    let commit = told.stdout.strip_prefix(&expected);
    let commit = commit.and_then(|rest| rest.strip_suffix(")\n"));
    assert!(
        commit.is_some_and(|commit| !commit.is_empty()),
        "{}",
        told.stdout
    );
}

#[test]
fn the_commit_is_the_checkouts_or_the_one_named_or_unknown() {
    let build = Build::new();
    let released = ("PROFILE", "release");
    assert_eq!(build.version(&[released]), "7.8.9 (unknown commit)");
    let named = ("RINGBACK_COMMIT", "0123456789ab");
    assert_eq!(build.version(&[released, named]), "7.8.9 (0123456789ab)");

    build.git(&["init", "--quiet"]);
    build.git(&["commit", "--quiet", "--allow-empty", "--message", "first"]);
    let commit = build.git(&["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(build.version(&[released]), format!("7.8.9 ({commit})"));
    let nothing_named = ("RINGBACK_COMMIT", "");
    assert_eq!(
        build.version(&[released, nothing_named]),
        format!("7.8.9 ({commit})")
    );
    assert_eq!(build.version(&[released, named]), "7.8.9 (0123456789ab)");
    // It would be built again after every commit.
    let developed = build.version(&[("PROFILE", "debug")]);
    assert_eq!(developed, "7.8.9 (unknown commit)");
}
