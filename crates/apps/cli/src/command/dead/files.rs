//! `ringback dead export` and `ringback dead import`: dead letters in files.

use super::{filter_of, page_of};
use crate::{
    args::{DeadExportArgs, DeadImportArgs},
    command::webhooks::read_secret,
    failure::{Exit, Failure, Outcome},
    session::Session,
    terminal::written,
    view::DamagedView,
};
use futures_util::{TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ringback_delivery::port::{DeadLetterFilter, Store};
use ringback_domain::{DeadLetter, harmless_text, limits};
use ringback_worker::{
    Backend, SystemEntropy,
    archive::{Archive, ArchiveError, ImportFault, ImportRules, Lines, line_of},
};
use serde::Serialize;
use std::{
    fmt,
    io::{self, BufWriter, Stdout, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::NamedTempFile;

/// The name of a file that is the standard output, or the standard input.
const STANDARD: &str = "-";
/// Dead letters on their way to the store at once.
const IN_FLIGHT_MAX: usize = 64;
/// Faults that are told one by one; the others are counted.
const FAULTS_TOLD_MAX: usize = 100;

#[derive(Serialize)]
struct ExportReport {
    exported: u64,
    file: String,
    /// Ids of those that are too long for a line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    /// Those that cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<DamagedView>,
}

pub(super) async fn export(
    session: &Session,
    store: &dyn Store,
    now: Timestamp,
    args: DeadExportArgs,
) -> Outcome {
    let filter = DeadLetterFilter {
        include_disposed: args.all,
        ..filter_of(&args.filter, now)?
    };
    let mut target = Target::open(&args.file)?;
    let progress = progress(session, "exported");
    let mut after = None;
    let (mut left_out, mut damaged) = (Vec::new(), Vec::new());
    loop {
        let text = args.filter.text.as_ref();
        let page = page_of(
            store,
            &filter,
            text,
            after.as_ref(),
            limits::PAGE_ENTRIES_MAX,
        )
        .await?;
        for dead_letter in &page.entries {
            if target.add(dead_letter)? {
                progress.inc(1);
            } else {
                left_out.push(dead_letter.id.to_string());
            }
        }
        damaged.extend(page.damaged.into_iter().map(DamagedView::from));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    progress.finish_and_clear();
    let exported = target.finish()?;
    let words = super::in_words(exported);
    let whole = whole(&left_out).and_then(|()| super::without_damaged(&damaged));
    if whole.is_err() && !damaged.is_empty() && !left_out.is_empty() {
        session.terminal.say(&format!(
            "{} more cannot be read",
            super::in_words(damaged.len() as u64)
        ));
    }
    if args.file == Path::new(STANDARD) {
        let terminal = &session.terminal;
        terminal.say(&format!("exported {words} to the standard output"));
        return whole;
    }
    let report = ExportReport {
        exported,
        file: args.file.display().to_string(),
        left_out,
        damaged,
    };
    session.terminal.data(&report, |report| {
        format!("exported {words} to {}", report.file)
    })?;
    whole
}

/// An export that lacks something is a good file and no success.
fn whole(left_out: &[String]) -> Outcome {
    let Some(first) = left_out.first() else {
        return Ok(());
    };
    let words = super::in_words(left_out.len() as u64);
    let failure = Failure::failed(format!(
        "{words} too long for a line of a file, left out: the first is {first}"
    ));
    Err(failure.hint("`ringback dead show` tells of what; replay or discard it"))
}

/// Where an export goes.
enum Target {
    File(Archive),
    /// For where nothing can be written: the reader keeps it, and cannot be read back. Each line bears its digest there, too.
    Stdout {
        out: BufWriter<Stdout>,
        lines: u64,
    },
}

impl Target {
    fn open(file: &Path) -> Outcome<Self> {
        if file == Path::new(STANDARD) {
            let out = BufWriter::new(io::stdout());
            return Ok(Self::Stdout { out, lines: 0 });
        }
        Ok(Self::File(Archive::create(file)?))
    }

    /// Whether it fits.
    fn add(&mut self, dead_letter: &DeadLetter) -> Outcome<bool> {
        let line = match line_of(dead_letter) {
            Err(ArchiveError::TooLong { .. }) => return Ok(false),
            line => line?,
        };
        match self {
            Self::File(archive) => archive.add_line(&line)?,
            Self::Stdout { out, lines } => {
                written(out.write_all(&line))?;
                *lines += 1;
            }
        }
        Ok(true)
    }

    fn finish(self) -> Outcome<u64> {
        match self {
            Self::File(archive) => Ok(archive.finish()?),
            Self::Stdout { mut out, lines } => {
                written(out.flush())?;
                Ok(lines)
            }
        }
    }
}

#[derive(Default, Serialize)]
struct ImportReport {
    imported: u64,
    already_there: u64,
    fault_count: u64,
    faults: Vec<FaultView>,
}

#[derive(Serialize)]
struct FaultView {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'static str>,
    problem: String,
}

pub(super) async fn import(
    session: &Session,
    desk: &Backend,
    retention: Duration,
    args: DeadImportArgs,
) -> Outcome {
    let secret = args.callback_secret_file.as_deref();
    if args.file == Path::new(STANDARD) && secret == Some(Path::new(STANDARD)) {
        return Err(Failure::usage(
            "the standard input is either the dead letters or the secret",
        ));
    }
    let rules = ImportRules::new(
        desk.store.clone(),
        desk.keys.clone(),
        Arc::new(SystemEntropy),
        retention,
        desk.clock.now(),
        secret.map(read_secret).transpose()?,
    );
    let source = Source::open(args.file)?;
    let mut report = ImportReport::default();
    check(session, &rules, &source, &mut report).await?;
    if report.fault_count == 0 || args.keep_going {
        store_all(session, &rules, &source, &mut report).await?;
    }
    session.terminal.data(&report, show)?;
    match report.fault_count {
        0 => Ok(()),
        _ if args.keep_going => Err(Failure::failed(format!(
            "{} of the file's lines were not imported",
            report.fault_count
        ))),
        _ => Err(Failure::failed("nothing was imported")
            .hint("mend the file, or pass --keep-going to import the rest")),
    }
}

/// What an import reads, twice.
enum Source {
    File(PathBuf),
    /// What came on the standard input, until the import is over.
    Stdin(NamedTempFile),
}

impl Source {
    fn open(file: PathBuf) -> Outcome<Self> {
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

    fn lines(&self) -> Outcome<Lines> {
        let path = match self {
            Self::File(path) => path,
            Self::Stdin(kept) => kept.path(),
        };
        Lines::open(path)
            .map_err(|failure| Failure::usage(format!("could not open {self}")).because(failure))
    }

    fn could_not_read(&self) -> impl Fn(io::Error) -> Failure {
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

/// Reads every line before the first is stored.
async fn check(
    session: &Session,
    rules: &ImportRules,
    source: &Source,
    report: &mut ImportReport,
) -> Outcome {
    let progress = progress(session, "checked");
    let mut lines = source.lines()?;
    let mut count = 0_u64;
    while let Some((number, line)) = lines.next().map_err(source.could_not_read())? {
        count += 1;
        progress.inc(1);
        let read = match line {
            Ok(line) => rules.read(&line).await.map(drop),
            Err(fault) => Err(fault),
        };
        match read {
            Ok(()) => {}
            Err(ImportFault::Store(error)) => return Err(error.into()),
            Err(fault) => {
                report.fault_count += 1;
                if report.faults.len() < FAULTS_TOLD_MAX {
                    report.faults.push(FaultView {
                        line: number,
                        member: fault.member(),
                        problem: fault.to_string(),
                    });
                }
            }
        }
    }
    progress.finish_and_clear();
    if count == 0 {
        return Err(Failure::usage(format!(
            "there is no dead letter in {source}"
        )));
    }
    Ok(())
}

/// Stores what can be. What is there already stays as it is.
async fn store_all(
    session: &Session,
    rules: &ImportRules,
    source: &Source,
    report: &mut ImportReport,
) -> Outcome {
    let progress = progress(session, "imported");
    let lines = stream::try_unfold(source.lines()?, async |mut lines| {
        let next = lines.next().map_err(source.could_not_read())?;
        Ok::<_, Failure>(next.map(|(_, line)| (line, lines)))
    });
    let put = async |line: Result<Vec<u8>, ImportFault>| {
        let Ok(line) = line else {
            return Ok(None);
        };
        let dead_letter = match rules.read(&line).await {
            Ok(Some(dead_letter)) => dead_letter,
            Ok(None) => return Ok(Some(true)),
            Err(ImportFault::Store(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let known = rules.store.dead_letter(&dead_letter.id).await?.is_some();
        if !known {
            rules.store.put_dead_letter(&dead_letter).await?;
        }
        Ok::<_, Failure>(Some(known))
    };
    let mut answers = std::pin::pin!(lines.map_ok(put).try_buffer_unordered(IN_FLIGHT_MAX));
    while let Some(answer) = answers.try_next().await? {
        progress.inc(1);
        match answer {
            Some(true) => report.already_there += 1,
            Some(false) => report.imported += 1,
            None => {}
        }
    }
    progress.finish_and_clear();
    Ok(())
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
    lines.push(format!(
        "imported {}, already there {}, with faults {}",
        report.imported, report.already_there, report.fault_count
    ));
    lines.join("\n")
}

fn progress(session: &Session, word: &str) -> ProgressBar {
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
