//! Puts the program that tries out the HTTP API by its description into the target folder.

use crate::{receivers, root};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Tells the tests where the program is.
pub(crate) const PROGRAM_VARIABLE: &str = "RINGBACK_TEST_SCHEMATHESIS";

/// Installs it, when it is not there as locked. Returns the program.
pub(crate) fn install() -> Result<PathBuf> {
    let folder = receivers::target_folder()?.join("schemathesis");
    receivers::copy(&root().join("tests/schemathesis"), &folder)
        .context("could not copy the list of libraries into the target folder")?;
    receivers::install_python(&folder)?;
    Ok(folder.join("venv/bin/schemathesis"))
}
