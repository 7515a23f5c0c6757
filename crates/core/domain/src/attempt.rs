//! One HTTP request of a delivery, and what it told us.

use crate::{AttemptNumber, Generation, WorkerId};
use jiff::Timestamp;
use std::{fmt, net::SocketAddr, time::Duration};

/// One HTTP request of a delivery, as it is kept for people to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Which round of attempts it belongs to.
    pub generation: Generation,
    /// The first is 1.
    pub number: AttemptNumber,
    /// Why it was made.
    pub trigger: Trigger,
    /// When it began, by the worker's clock.
    pub started_at: Timestamp,
    /// Who made it.
    pub worker: WorkerId,
    /// How long each part took.
    pub phases: Phases,
    /// The address that was connected to.
    pub address: Option<SocketAddr>,
    /// What it told us.
    pub outcome: AttemptOutcome,
    /// The status of an answer of which the rest did not come; why not is the outcome.
    pub cut_off: Option<u16>,
    /// The beginning of the answer's body.
    pub excerpt: Excerpt,
}

impl Attempt {
    /// The HTTP status, when there was an answer or the beginning of one.
    pub fn status(&self) -> Option<u16> {
        self.outcome.status().or(self.cut_off)
    }
}

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The first attempt, or a retry, as the profile's schedule has it.
    Schedule,
    /// A person or a plan asked for a replay.
    Replay,
    /// The same, to another place than the webhook is at now.
    ReplayElsewhere,
    /// A test of a webhook: never retried, never a dead letter.
    Test,
}

/// How long the parts of an attempt took. A part that did not happen is absent: a connection taken from the pool has
/// neither `dns` nor `connect` nor `tls`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// Name lookup.
    pub dns: Option<Duration>,
    /// TCP connection.
    pub connect: Option<Duration>,
    /// TLS handshake.
    pub tls: Option<Duration>,
    /// From the start of the attempt to the answer's status line.
    pub first_byte: Option<Duration>,
    /// The whole attempt, to the end of the answer's body as far as it was read.
    pub total: Duration,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The destination answered with a status that the profile counts as delivered.
    Accepted {
        /// The status.
        status: u16,
    },
    /// The destination answered with any other status. Redirects are not followed.
    Refused {
        /// The status.
        status: u16,
        /// The wait the destination asked for, counted from the end of the attempt.
        retry_after: Option<Duration>,
    },
    /// No whole answer came.
    Unreachable(UnreachableCause),
    /// We chose not to send. The destination is not blamed.
    NotSent(NotSentReason),
    /// A worker vanished between sending and recording: the request may have arrived.
    Unknown,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnreachableCause {
    /// The name has no address, or the lookup failed.
    NameLookup,
    /// Nothing listens there.
    ConnectionRefused,
    /// No connection within the limit, or no route.
    ConnectTimeout,
    /// The TLS handshake failed, or the certificate is not trusted.
    Tls,
    /// Connected, but no whole answer within the time limit.
    TimeLimit,
    /// The connection ended before the answer did.
    ConnectionLost,
    /// What came back is not HTTP, or breaks its limits.
    NotHttp,
}

/// Why we chose not to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotSentReason {
    /// The address, or one of the name's addresses, is not allowed by the address policy.
    AddressForbidden,
    /// The URL is not allowed: scheme, port, userinfo, special name.
    UrlForbidden,
    /// The secret could not be opened with the keys at hand.
    SecretUnreadable,
    /// The profile the delivery was made for is not configured here.
    ProfileUnknown,
    /// The webhook was deleted or disabled after the event was dispatched.
    DestinationGone,
}

/// Whose fault an outcome is. Only the destination's counts against the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The destination answered, or failed to, in a way its owner can change.
    Destination,
    /// Something between us and the destination.
    Network,
    /// Our configuration, our policy or our worker.
    Ours,
}

/// The answer of a destination, before it is judged by the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header as it came: seconds or an HTTP date.
    pub retry_after: Option<String>,
    /// The beginning of the body.
    pub excerpt: Excerpt,
}

/// The beginning of an answer's body, bytes as they came. Shown only through [`Excerpt::display`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// At most [`crate::limits::EXCERPT_BYTES_MAX`] bytes.
    bytes: Vec<u8>,
    /// Whether more followed.
    cut: bool,
}

impl Excerpt {
    /// Keeps what the limit allows.
    pub fn new(body: &[u8], more_followed: bool) -> Self {
        let kept = body.len().min(crate::limits::EXCERPT_BYTES_MAX);
        Self {
            bytes: body[..kept].to_vec(),
            cut: more_followed || kept < body.len(),
        }
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether more followed.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether there was no body.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Text that is safe on a terminal and in a page, see [`harmless_text`].
    pub fn display(&self) -> String {
        let mut text = harmless_text(&self.bytes);
        if self.cut {
            text.push('…');
        }
        text
    }
}

/// Text that is safe on a terminal and in a page: control characters, bidirectional controls and bytes that are not
/// UTF-8 are spelled out, so that nothing a stranger sends can move a cursor or reorder a line.
pub fn harmless_text(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_harmless(c) {
                text.push(c);
            } else {
                let _ = write!(text, "{}", c.escape_unicode());
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Whether a character can be shown as it is.
fn is_harmless(c: char) -> bool {
    let invisible = matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' | '\u{00ad}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c == '\n' || c == '\t' || !(c.is_control() || invisible)
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Excerpt({} bytes)", self.bytes.len())
    }
}

impl AttemptOutcome {
    /// Whose fault it is; `None` when nothing went wrong.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Accepted { .. } => None,
            Self::Unreachable(cause) => Some(cause.fault()),
            Self::Refused { .. }
            | Self::NotSent(
                NotSentReason::UrlForbidden
                | NotSentReason::AddressForbidden
                | NotSentReason::DestinationGone,
            ) => Some(Fault::Destination),
            Self::NotSent(_) | Self::Unknown => Some(Fault::Ours),
        }
    }

    /// The HTTP status, when there was a whole answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Accepted { status } | Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// A stable word for metrics, lists and fingerprints.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Refused { .. } => "refused",
            Self::Unreachable(cause) => cause.class(),
            Self::NotSent(reason) => reason.class(),
            Self::Unknown => "outcome_unknown",
        }
    }
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { status } | Self::Refused { status, .. } => write!(f, "{status}"),
            other => f.write_str(&other.class().replace('_', " ")),
        }
    }
}

impl UnreachableCause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NameLookup,
        Self::ConnectionRefused,
        Self::ConnectTimeout,
        Self::Tls,
        Self::TimeLimit,
        Self::ConnectionLost,
        Self::NotHttp,
    ];

    /// A stable word for metrics, lists and fingerprints.
    pub fn class(self) -> &'static str {
        match self {
            Self::NameLookup => "name_lookup",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::TimeLimit => "time_limit",
            Self::ConnectionLost => "connection_lost",
            Self::NotHttp => "not_http",
        }
    }

    fn fault(self) -> Fault {
        match self {
            Self::NameLookup | Self::ConnectTimeout | Self::ConnectionLost => Fault::Network,
            Self::ConnectionRefused | Self::Tls | Self::TimeLimit | Self::NotHttp => {
                Fault::Destination
            }
        }
    }
}

impl NotSentReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AddressForbidden,
        Self::UrlForbidden,
        Self::SecretUnreadable,
        Self::ProfileUnknown,
        Self::DestinationGone,
    ];

    /// A stable word for metrics, lists and fingerprints.
    pub fn class(self) -> &'static str {
        match self {
            Self::AddressForbidden => "address_forbidden",
            Self::UrlForbidden => "url_forbidden",
            Self::SecretUnreadable => "secret_unreadable",
            Self::ProfileUnknown => "profile_unknown",
            Self::DestinationGone => "destination_gone",
        }
    }
}

impl Fault {
    /// A stable word.
    pub fn class(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Network => "network",
            Self::Ours => "ours",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_nothing_that_acts() {
        let shown = Excerpt::new("a\u{1b}[31m\u{202e}b\r\n\u{9b}é".as_bytes(), false).display();
        assert_eq!(shown, "a\\u{1b}[31m\\u{202e}b\\u{d}\n\\u{9b}é");
        assert_eq!(Excerpt::new(b"ok\xff\xfe", false).display(), "ok\\xff\\xfe");
    }

    #[test]
    fn an_excerpt_keeps_what_the_limit_allows() {
        let excerpt = Excerpt::new(&[b'x'; 5000], false);
        assert_eq!(excerpt.bytes().len(), crate::limits::EXCERPT_BYTES_MAX);
        assert!(excerpt.is_cut());
        assert!(Excerpt::new(b"x", true).display().ends_with('…'));
    }
}
