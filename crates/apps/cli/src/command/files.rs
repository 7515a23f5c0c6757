//! What exports and imports have in common: where a file goes and comes from, and how faults are told.

use crate::{
    failure::{Exit, Failure, Outcome},
    session::Session,
    terminal::written,
    view::DamagedView,
};
use indicatif::{ProgressBar, ProgressStyle};
use ringback_domain::harmless_text;
use ringback_worker::archive::{Archive, ArchiveError, Content, Lines};
use serde::Serialize;
use std::{
    error::Error,
    fmt,
    io::{self, BufWriter, Stdout, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The name of a file that is the standard output, or the standard input.
pub(super) const STANDARD: &str = "-";
/// What is on its way to the store at once.
pub(super) const IN_FLIGHT_MAX: usize = 64;
/// Faults that are told one by one; the others are counted.
const FAULTS_TOLD_MAX: usize = 100;

#[derive(Serialize)]
pub(super) struct ExportReport {
    pub(super) exported: u64,
    pub(super) file: String,
    /// Ids of those that are too long for a line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) left_out: Vec<String>,
    /// Those that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) damaged: Vec<DamagedView>,
}

impl ExportReport {
    /// Tells of it; what went to the standard output has it to itself.
    pub(super) fn tell(&self, session: &Session, words: &str) -> Outcome {
        let terminal = &session.terminal;
        if self.file == STANDARD {
            terminal.say(&format!("exported {words} to the standard output"));
            return Ok(());
        }
        terminal.data(self, |report| {
            format!("exported {words} to {}", report.file)
        })
    }
}

/// Where an export goes.
pub(super) enum Target {
    File(Archive),
    /// For where nothing can be written: the reader keeps it, and cannot be read back. Each line bears its digest there, too.
    Stdout {
        out: BufWriter<Stdout>,
        lines: u64,
    },
}

impl Target {
    pub(super) fn open(file: &Path, content: Content) -> Outcome<Self> {
        if file == Path::new(STANDARD) {
            let out = BufWriter::new(io::stdout());
            return Ok(Self::Stdout { out, lines: 0 });
        }
        Ok(Self::File(Archive::create(file, content)?))
    }

    /// Whether it fits.
    pub(super) fn add(&mut self, line: Result<Vec<u8>, ArchiveError>) -> Outcome<bool> {
        let line = match line {
            Err(ArchiveError::TooLong { .. }) => return Ok(false),
            line => line?,
        };
        match self {
            Self::File(archive) => archive.add(&line)?,
            Self::Stdout { out, lines } => {
                written(out.write_all(&line))?;
                *lines += 1;
            }
        }
        Ok(true)
    }

    pub(super) fn finish(self) -> Outcome<u64> {
        match self {
            Self::File(archive) => Ok(archive.finish()?),
            Self::Stdout { mut out, lines } => {
                written(out.flush())?;
                Ok(lines)
            }
        }
    }
}

/// What an import reads, twice.
pub(super) enum Source {
    File(PathBuf),
    /// What came on the standard input, until the import is over.
    Stdin(NamedTempFile),
}

impl Source {
    pub(super) fn open(file: PathBuf) -> Outcome<Self> {
        if file != Path::new(STANDARD) {
            Failure::if_directory(&file)?;
            return Ok(Self::File(file));
        }
        let kept = NamedTempFile::new().and_then(|mut kept| {
            io::copy(&mut io::stdin(), &mut kept)?;
            Ok(kept)
        });
        let kept = kept.map_err(|failure| {
            Failure::failed("could not keep the standard input until it is imported")
                .because(failure)
        })?;
        Ok(Self::Stdin(kept))
    }

    pub(super) fn lines(&self) -> Outcome<Lines> {
        let path = match self {
            Self::File(path) => path,
            Self::Stdin(kept) => kept.path(),
        };
        Lines::open(path)
            .map_err(|failure| Failure::usage(format!("could not open {self}")).because(failure))
    }

    pub(super) fn could_not_read(&self) -> impl Fn(io::Error) -> Failure {
        let what = format!("could not read {self}");
        move |failure| Failure::failed(what.clone()).because(failure)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Stdin(_) => f.write_str("the standard input"),
        }
    }
}

#[derive(Default, Serialize)]
pub(super) struct ImportReport {
    pub(super) imported: u64,
    /// Where something can be replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replaced: Option<u64>,
    pub(super) already_there: u64,
    pub(super) fault_count: u64,
    pub(super) faults: Vec<FaultView>,
}

#[derive(Serialize)]
pub(super) struct FaultView {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'static str>,
    problem: String,
}

impl ImportReport {
    /// Takes in what is wrong with a line.
    pub(super) fn blame(&mut self, line: u64, member: Option<&'static str>, fault: &dyn Error) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_TOLD_MAX {
            self.faults.push(FaultView {
                line,
                member,
                problem: in_one_line(fault),
            });
        }
    }

    /// Tells of it; whether all was well.
    pub(super) fn conclude(self, session: &Session, keep_going: bool) -> Outcome {
        session.terminal.data(&self, show)?;
        match self.fault_count {
            0 => Ok(()),
            _ if keep_going => Err(Failure::failed(format!(
                "{} of the file's lines were not imported",
                self.fault_count
            ))),
            _ => Err(Failure::failed("nothing was imported")
                .hint("mend the file, or pass --keep-going to import the rest")),
        }
    }
}

/// An error and its causes.
fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

fn show(report: &ImportReport) -> String {
    let mut lines: Vec<_> = report
        .faults
        .iter()
        .map(|fault| {
            let problem = harmless_text(fault.problem.as_bytes());
            format!("line {}: {problem}", fault.line)
        })
        .collect();
    let told = report.faults.len() as u64;
    if report.fault_count > told {
        lines.push(format!("{} more lines", report.fault_count - told));
    }
    let replaced = report.replaced.map(|count| format!("replaced {count}, "));
    lines.push(format!(
        "imported {}, {}already there {}, with faults {}",
        report.imported,
        replaced.unwrap_or_default(),
        report.already_there,
        report.fault_count
    ));
    lines.join("\n")
}

pub(super) fn progress(session: &Session, word: &str) -> ProgressBar {
    if !session.terminal.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(&format!("{{spinner}} {{pos}} {word}, {{per_sec}}"))
        .expect("a template of our own");
    ProgressBar::new_spinner().with_style(style)
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        let exit = match &error {
            ArchiveError::Exists(_) => Exit::Refused,
            ArchiveError::NotBegun { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}
