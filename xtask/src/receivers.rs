//! Puts the receivers of `tests/receivers` and their libraries into the target folder.

use crate::root;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Tells the tests where the receivers are.
pub(crate) const FOLDER_VARIABLE: &str = "RINGBACK_TEST_RECEIVERS";

/// Copies the receivers and installs their libraries, when they are not there as locked. Returns the folder.
pub(crate) fn install() -> Result<PathBuf> {
    let source = root().join("tests/receivers");
    let folder = target_folder()?.join("receivers");
    copy(&source, &folder).context("could not copy the receivers into the target folder")?;

    unless_done(&folder, "package-lock.json", true, || {
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&folder))
    })?;
    install_python(&folder)?;
    Ok(folder)
}

/// Installs what the folder's `requirements.txt` lists into a `venv` beside it.
pub(crate) fn install_python(folder: &Path) -> Result<()> {
    let venv = folder.join("venv");
    unless_done(folder, "requirements.txt", is_usable(&venv), || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv))?;
        run(Command::new(venv.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(folder.join("requirements.txt")))
    })
}

/// Whether the programs of an environment still run, and run what is in it.
///
/// Each names its interpreter by the whole path, and libraries lie in a folder named after Python's version: both are lost
/// when the target folder is moved or Python is updated. `pip` is such a program, and says where its library is.
fn is_usable(venv: &Path) -> bool {
    let said = Command::new(venv.join("bin/pip"))
        .args(["--version", "--disable-pip-version-check"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    said.is_ok_and(|said| {
        let library = format!(" from {}/", venv.display());
        said.status.success() && String::from_utf8_lossy(&said.stdout).contains(&library)
    })
}

/// Where Cargo put this very program, two folders up.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().context("could not tell where this program is")?;
    let folder = program
        .ancestors()
        .nth(2)
        .context("this program is not in a target folder")?;
    Ok(folder.to_owned())
}

pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if name != "node_modules" && name != "__pycache__" {
                copy(&entry.path(), &to.join(name))?;
            }
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// Does the work once for each content of a list of libraries, and again when what it made cannot be used any more.
fn unless_done(
    folder: &Path,
    list: &str,
    is_usable: bool,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let wanted = fs::read(folder.join(list)).with_context(|| format!("could not read {list}"))?;
    let stamp = folder.join(format!("{list}.installed"));
    if is_usable && fs::read(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    let what = folder.file_name().unwrap_or_default().display();
    eprintln!("installing the libraries of tests/{what}/{list}");
    work()?;
    fs::write(&stamp, wanted).with_context(|| format!("could not write {}", stamp.display()))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("could not run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_that_does_not_run_where_it_is_is_made_anew() {
        let place = target_folder().unwrap().join("tmp/environment");
        let _ = fs::remove_dir_all(&place);
        let (old, new) = (place.join("old"), place.join("new"));
        fs::create_dir_all(&old).unwrap();
        fs::write(old.join("requirements.txt"), "").unwrap();
        install_python(&old).unwrap();
        assert!(is_usable(&old.join("venv")));

        // Left alone while it runs.
        let mark = old.join("venv/mark");
        fs::write(&mark, "").unwrap();
        install_python(&old).unwrap();
        assert!(mark.exists(), "it was made anew without need");

        fs::rename(&old, &new).unwrap();
        let moved = new.join("venv");
        assert!(!is_usable(&moved), "its programs name a place that is gone");
        fs::rename(&new, &old).unwrap();
        assert!(is_usable(&old.join("venv")));

        // As after an update of Python: its libraries are elsewhere.
        fs::rename(old.join("venv/lib"), old.join("venv/old-lib")).unwrap();
        assert!(!is_usable(&old.join("venv")));
        install_python(&old).unwrap();
        assert!(is_usable(&old.join("venv")) && !mark.exists());
        fs::remove_dir_all(&place).unwrap();
    }
}
