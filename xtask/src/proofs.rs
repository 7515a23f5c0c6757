//! The long proofs: programs of their own, built for speed.

use crate::root;
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// Runs a package's program with these arguments; its exit code is ours.
pub(crate) fn run(package: &str, args: impl Iterator<Item = String>) -> Result<ExitCode> {
    let status = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--package", package, "--"])
        .args(args)
        .current_dir(root())
        .status()
        .with_context(|| format!("could not run {package}"))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
