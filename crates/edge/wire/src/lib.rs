//! What outlives a release: queue messages and stored records, versioned.
//!
//! The only crate whose types may be serialised to the queue or to a store. A member, once released, keeps its meaning;
//! members that are not known are ignored, so that an older worker reads what a newer one wrote. Golden files of every
//! version are kept for ever under `tests/golden`.
//!
//! A message with a body is a line of JSON, a line feed, and the body's bytes: the body is found without being copied, and
//! the line can be read in any broker's management page.

pub mod api_key;
mod attempt;
pub mod breaker;
pub mod delivery;
pub mod event;
pub mod export;
pub mod group;
mod parts;
pub mod record;
mod redaction;
pub mod replay_plan;

use bytes::Bytes;

/// The version written. A reader accepts this and every older one.
pub const VERSION: u32 = 1;

/// Something written that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The line is not the JSON that is expected; names line and column, never content.
    #[error("the {what} cannot be read at column {column}: {problem}")]
    Json {
        what: &'static str,
        column: usize,
        problem: String,
    },
    /// A member does not hold what it should.
    #[error("member `{member}` of the {what} {problem}")]
    Member {
        what: &'static str,
        member: &'static str,
        problem: String,
    },
    /// Written by a newer release.
    #[error(
        "the {what} has version {found}; this release reads up to {VERSION} (hint: finish the upgrade of all workers)"
    )]
    Version { what: &'static str, found: u32 },
    /// No line feed between line and body.
    #[error("the {what} has no line feed between its line and its body")]
    NoBody { what: &'static str },
}

fn json_error(what: &'static str, error: &serde_json::Error) -> WireError {
    // The library's text quotes input in some cases; its category does not.
    let problem = match error.classify() {
        serde_json::error::Category::Data => "a member is missing or of another type",
        serde_json::error::Category::Eof => "it ends too early",
        _ => "it is not JSON",
    };
    WireError::Json {
        what,
        column: error.column(),
        problem: problem.to_owned(),
    }
}

/// Splits a message into its line and its body, without copying.
fn split(what: &'static str, message: &Bytes) -> Result<(Bytes, Bytes), WireError> {
    let end = message
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(WireError::NoBody { what })?;
    Ok((message.slice(..end), message.slice(end + 1..)))
}

/// Joins a line and a body into a message.
fn join(line: &impl serde::Serialize, body: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(1024 + body.len());
    serde_json::to_writer(&mut message, line).expect("writing to memory, with text keys only");
    message.push(b'\n');
    message.extend_from_slice(body);
    message.into()
}

fn check_version(what: &'static str, found: u32) -> Result<(), WireError> {
    if found == 0 || found > VERSION {
        Err(WireError::Version { what, found })
    } else {
        Ok(())
    }
}
