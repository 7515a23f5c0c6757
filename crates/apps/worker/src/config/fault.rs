//! What is wrong with a configuration, told all at once.

use std::{fmt, path::PathBuf};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// Where it was written.
    pub place: Place,
    /// Such as `deliver.concurrency`; empty when the text could not be read as TOML.
    pub member: String,
    /// What is wrong and what is allowed; never the value of a secret.
    pub problem: String,
    /// The next move, where it is known.
    pub hint: Option<String>,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file, on this line; the first is 1.
    Line {
        /// The file as it was named.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// The whole of a file.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
    /// On the command line.
    Flag(String),
    /// Nowhere: the built-in default.
    BuiltIn,
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {}", faults_in_words(.faults))]
pub struct ConfigError {
    /// The file that was to be read, if any.
    pub file: Option<PathBuf>,
    /// Never empty, in the order of reading.
    pub faults: Vec<ConfigFault>,
}

fn faults_in_words(faults: &[ConfigFault]) -> String {
    let count = match faults.len() {
        1 => "a fault".to_owned(),
        many => format!("{many} faults"),
    };
    let lines = faults.iter().map(|fault| format!("\n  {fault}"));
    std::iter::once(count).chain(lines).collect()
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.member.is_empty() {
            write!(f, "{}: ", self.member)?;
        }
        f.write_str(&self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
            Self::BuiltIn => f.write_str("built-in default"),
        }
    }
}
