//! Conventions that compilers do not know. Every finding is reported, with its file and line.

mod layers;
mod links;
mod text;

use crate::root;
use anyhow::{Context, Result, bail};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

pub(crate) fn run() -> Result<ExitCode> {
    let tree = Tree::read(&root())?;
    let findings: Vec<Finding> = [
        layers::check(&tree)?,
        text::check(&tree),
        links::check(&tree),
    ]
    .into_iter()
    .flatten()
    .collect();
    for finding in &findings {
        eprintln!("{finding}");
    }
    eprintln!(
        "tidy: {} files, {} findings",
        tree.files.len(),
        findings.len()
    );
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Something out of order.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: PathBuf,
    line: Option<usize>,
    what: String,
}

impl Finding {
    fn in_file(file: &Path, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            what: what.into(),
        }
    }

    fn at_line(file: &Path, index: usize, what: impl Into<String>) -> Self {
        Self {
            line: Some(index + 1),
            ..Self::in_file(file, what)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

/// The files of the project: what is committed and what would be.
struct Tree {
    root: PathBuf,
    files: Vec<TextFile>,
}

/// A file that can be read as text; path relative to the root.
struct TextFile {
    path: PathBuf,
    text: String,
}

impl TextFile {
    fn has_extension(&self, extension: &str) -> bool {
        self.path
            .extension()
            .is_some_and(|found| found == extension)
    }
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let output = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root)
            .output()
            .context("could not run git")?;
        if !output.status.success() {
            bail!("git ls-files ended with {}", output.status);
        }
        let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let files = names
            .split_terminator('\0')
            .filter_map(|name| {
                // A name without a file was deleted and not yet committed; a file that is not text has no lines to check.
                let text = fs::read_to_string(root.join(name)).ok()?;
                Some(TextFile {
                    path: name.into(),
                    text,
                })
            })
            .collect();
        Ok(Self {
            root: root.to_owned(),
            files,
        })
    }
}
