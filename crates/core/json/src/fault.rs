//! What is wrong with a text, and where.

use crate::string::RawStr;
use std::fmt::{self, Write};

/// Why a text is refused, and at which member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The member, such as `data.items[3].id`; empty for the text as a whole.
    pub path: String,
    /// The byte at which it was noticed.
    pub offset: usize,
    /// What it is.
    pub kind: FaultKind,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The text is longer than allowed.
    #[error("{bytes} bytes are too many; allowed: up to {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the bytes are not UTF-8")]
    NotUtf8,
    /// The text begins with a byte order mark.
    #[error("the text begins with a byte order mark; leave it out")]
    ByteOrderMark,
    /// The text is not JSON.
    #[error("expected {expected}, found {}", shown(*found))]
    Syntax {
        /// What could stand here.
        expected: &'static str,
        /// What stands here; nothing at the end of the text.
        found: Option<char>,
    },
    /// Arrays and objects are nested deeper than allowed.
    #[error("nested too deep; allowed: up to {depth_max} levels")]
    TooDeep {
        /// The limit.
        depth_max: usize,
    },
    /// An object has two members of this name: which one counts, nobody can tell.
    #[error("the member appears twice in its object")]
    Duplicate,
    /// The text was to be an object.
    #[error("expected an object")]
    NotAnObject,
    /// The text was to be an object or an array.
    #[error("expected an object or an array")]
    Scalar,
    /// A string holds half of a surrogate pair, which is no text.
    #[error("the string holds half of a surrogate pair")]
    LoneSurrogate,
    /// A number that ECMAScript cannot carry.
    #[error("number `{number}` would become `{becomes}` in JavaScript; send it as a string")]
    NumberChanges {
        /// The number as written, shortened.
        number: String,
        /// What `JSON.stringify(JSON.parse(…))` makes of it.
        becomes: String,
    },
}

impl Fault {
    pub(crate) fn at_top(kind: FaultKind) -> Self {
        Self {
            path: String::new(),
            offset: 0,
            kind,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_byte = matches!(self.kind, FaultKind::Syntax { .. } | FaultKind::NotUtf8);
        match (self.path.is_empty(), at_byte) {
            (true, true) => write!(f, "byte {}: ", self.offset)?,
            (false, true) => write!(f, "`{}` (byte {}): ", self.path, self.offset)?,
            (false, false) => write!(f, "`{}`: ", self.path)?,
            (true, false) => {}
        }
        write!(f, "{}", self.kind)
    }
}

impl std::error::Error for Fault {}

fn shown(found: Option<char>) -> String {
    match found {
        None => "the end of the text".into(),
        Some(c) => format!("`{}`", c.escape_debug()),
    }
}

/// The longest name shown in a path, in characters.
const NAME_SHOWN_MAX: usize = 40;

/// Adds a member's name to a path: `.name`, or `["na me"]` where the name needs it.
pub(crate) fn push_name(path: &mut String, name: RawStr<'_>) {
    let text = String::from_utf8_lossy(&name.identity()).into_owned();
    let plain = !text.is_empty()
        && text.len() <= NAME_SHOWN_MAX
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&text);
    } else {
        let mut shown: String = text.chars().take(NAME_SHOWN_MAX).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        let _ = write!(path, "[{shown:?}]");
    }
}

/// Adds an array's index to a path.
pub(crate) fn push_index(path: &mut String, index: usize) {
    let _ = write!(path, "[{index}]");
}

/// The beginning of a number, fit for a message.
pub(crate) fn shorten(number: &str) -> String {
    match number.char_indices().nth(NAME_SHOWN_MAX) {
        Some((cut, _)) => format!("{}…", &number[..cut]),
        None => number.to_owned(),
    }
}
