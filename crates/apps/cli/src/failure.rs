//! How a command ends: an exit code that scripts can rely on, and words for people.

use ringback_api::view::DamagedView;
use ringback_delivery::port::{QueueError, StoreError};
use std::{error::Error, fmt, path::Path, process::ExitCode};

/// Why the process ends. These numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked was done, but not all of it went well.
    Failed = 1,
    /// The command line, or the configuration, cannot be used.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// A rule forbids it.
    Refused = 4,
    /// Broker or store did not answer.
    Unreachable = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a command that did not succeed has to say.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    hint: Option<String>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            hint: None,
            cause: None,
        }
    }

    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::new(Exit::Failed, what)
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// A directory opens like a file, and only then cannot be read.
    pub(crate) fn if_directory(path: &Path) -> Outcome {
        if path.is_dir() {
            let what = format!("`{}` is a directory, not a file", path.display());
            return Err(Self::usage(what));
        }
        Ok(())
    }

    /// What a list could not show.
    pub(crate) fn if_damaged(what: &str, damaged: &[DamagedView]) -> Outcome {
        let Some(DamagedView { id, why }) = damaged.first() else {
            return Ok(());
        };
        let others = match damaged.len() - 1 {
            0 => String::new(),
            1 => "; one more cannot be read either".to_owned(),
            more => format!("; {more} more cannot be read either"),
        };
        Err(Self::failed(format!(
            "{what} `{id}` cannot be read, and is left out: {why}{others}"
        )))
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, what)
    }

    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::new(Exit::Refused, what)
    }

    /// An error's own message, and its causes.
    pub(crate) fn of(exit: Exit, error: &dyn Error) -> Self {
        Self {
            cause: error.source().map(|source| Told::of(source).into()),
            ..Self::new(exit, error.to_string())
        }
    }

    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// `error: …`, a `caused by: …` for each cause, and a `hint: …` where the next move is known.
    pub(crate) fn report(&self) -> String {
        let mut hints: Vec<String> = self.hint.iter().cloned().collect();
        let mut lines = vec![format!("error: {}", without_hint(&self.what, &mut hints))];
        let mut cause = self
            .cause
            .as_deref()
            .map(|cause| cause as &(dyn Error + 'static));
        while let Some(error) = cause {
            let words = without_hint(&error.to_string(), &mut hints);
            // Libraries often repeat their cause; once is enough.
            if !lines.last().is_some_and(|line| line.ends_with(&words)) {
                lines.push(format!("caused by: {words}"));
            }
            cause = error.source();
        }
        lines.extend(hints.into_iter().map(|hint| format!("hint: {hint}")));
        lines.join("\n")
    }
}

/// Takes ` (hint: …)` off the end of a message: libraries write it there, we give it a line of its own.
fn without_hint(message: &str, hints: &mut Vec<String>) -> String {
    let split = message
        .strip_suffix(')')
        .filter(|_| !message.contains('\n'))
        .and_then(|message| message.rsplit_once(" (hint: "));
    match split {
        Some((message, hint)) => {
            hints.push(hint.to_owned());
            message.to_owned()
        }
        None => message.to_owned(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause
            .as_deref()
            .map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::Unreachable { .. } => Exit::Unreachable,
            StoreError::BadCursor => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

/// What to look at first.
pub(crate) const BROKER_AWAY: &str = "is the broker running there, and is `broker` right?";

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let exit = match &error {
            QueueError::Unreachable { .. } | QueueError::Unconfirmed { .. } => Exit::Unreachable,
            _ => Exit::Failed,
        };
        let failure = Self::of(exit, &error);
        match error {
            QueueError::Unreachable { .. } => failure.hint(BROKER_AWAY),
            _ => failure,
        }
    }
}

/// The words of a chain of causes, kept when the errors themselves cannot be.
#[derive(Debug)]
struct Told {
    what: String,
    cause: Option<Box<Told>>,
}

impl Told {
    fn of(error: &dyn Error) -> Self {
        Self {
            what: error.to_string(),
            cause: error.source().map(|cause| Box::new(Self::of(cause))),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause
            .as_deref()
            .map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[test]
    fn a_report_is_the_chain_and_then_the_hints() {
        let error = StoreError::Unreachable {
            store: "Redis",
            address: "redis:6379".to_owned(),
            source: "connection refused (hint: is it running?)".into(),
        };
        let failure = Failure::from(error).hint("see `store` in the configuration");
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert_snapshot!(failure.report(), @"
        error: could not reach the Redis at `redis:6379`
        caused by: connection refused
        hint: see `store` in the configuration
        hint: is it running?
        ");
    }

    #[test]
    fn the_hint_of_a_library_gets_a_line_of_its_own() {
        let failure = Failure::from(QueueError::Unroutable {
            id: "evt_1".to_owned(),
        });
        assert_eq!(failure.exit(), Exit::Failed);
        assert_snapshot!(failure.report(), @"
        error: no queue takes message `evt_1`
        hint: run `ringback topology apply`
        ");
    }
}
