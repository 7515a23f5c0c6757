//! What is said to whom: data to the standard output, talk to the standard error stream.

mod layout;

pub(crate) use layout::{Column, behind, cut, facts, hanging, table, whole, wrapped};

use crate::{
    args::{Global, OutputForm, When},
    failure::{Failure, Outcome},
};
use owo_colors::OwoColorize;
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 1024;

/// The streams of this process, and how the user wants them used.
pub(crate) struct Terminal {
    form: OutputForm,
    yes: bool,
}

#[expect(
    clippy::unused_self,
    reason = "whoever prints has a terminal at hand; that its streams are global is its own business"
)]
impl Terminal {
    pub(crate) fn new(global: &Global) -> Self {
        let choice = match global.color {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        Self {
            form: global.output,
            yes: global.yes,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == OutputForm::Json
    }

    /// Whether a progress bar would be seen.
    pub(crate) fn shows_progress(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether lines on the standard error stream may have colours.
    pub(crate) fn talks_in_colour() -> bool {
        anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
    }

    /// Data: the value for machines, or what `show` makes of it for people.
    pub(crate) fn data<T: Serialize>(&self, value: &T, show: impl FnOnce(&T) -> String) -> Outcome {
        match self.form {
            OutputForm::Json => {
                let text = serde_json::to_string_pretty(value).expect("views have text keys only");
                self.line(&text)
            }
            OutputForm::Table => self.line(&show(value)),
        }
    }

    /// A line of data as it is.
    pub(crate) fn line(&self, text: &str) -> Outcome {
        written(writeln!(
            anstream::stdout(),
            "{}",
            text.trim_end_matches('\n')
        ))
    }

    /// A line of talk. When nobody can hear it, it is not worth failing for.
    pub(crate) fn say(&self, text: &str) {
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// The end of a command that did not succeed; its first words stand out.
    pub(crate) fn say_report(&self, report: &str) {
        for line in report.lines() {
            match line.split_once(": ") {
                Some(("error", rest)) => self.say(&format!("{}: {rest}", "error".red().bold())),
                Some(("hint", rest)) => self.say(&format!("{}: {rest}", "hint".cyan())),
                _ => self.say(line),
            }
        }
    }

    /// Where a list goes on, when it does.
    pub(crate) fn say_more(&self, cursor: Option<&str>) {
        if let Some(cursor) = cursor.filter(|_| !self.is_json()) {
            self.say(&format!("there are more: --cursor {cursor}"));
        }
    }

    /// Asks before something that cannot be undone, unless `--yes` was given.
    pub(crate) fn confirm(&self, question: &str) -> Outcome {
        if self.yes {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(
                Failure::usage(format!("nobody can be asked here: {question}")).hint("pass --yes"),
            );
        }
        // A line as the terminal gives it: nothing about it is changed, so that Ctrl-C leaves it as it was.
        let _ = write!(anstream::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        let asked = io::stdin()
            .lock()
            .take(ANSWER_BYTES_MAX)
            .read_line(&mut answer);
        asked.map_err(|failure| Failure::failed("could not ask").because(failure))?;
        if !answer.ends_with('\n') {
            self.say("");
        }
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::failed("nothing was changed")),
        }
    }
}

/// Data that could not be written is a failure, unless the reader simply had enough.
pub(crate) fn written(result: io::Result<()>) -> Outcome {
    match result {
        Err(failure) if failure.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(|failure| {
            Failure::failed("could not write to the standard output").because(failure)
        }),
    }
}
