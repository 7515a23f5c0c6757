//! Open dead letters of one cause, as one thing to look at and to decide about.

use crate::{
    Cause, DeadLetter, DeadLetterContent, DeadLetterId, DeadLetterReason, Destination,
    DestinationId, ProjectName,
};
use jiff::Timestamp;

/// Open dead letters with one fingerprint, within one project. It is there as long as one of them is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterGroup {
    /// What they have in common.
    pub head: GroupHead,
    /// How many are open.
    pub open_count: u64,
    /// When the oldest open one was given up.
    pub first_died_at: Timestamp,
    /// When the newest open one was given up.
    pub last_died_at: Timestamp,
    /// The newest open one, to look at.
    pub sample: DeadLetterId,
    /// That a person knows of it; see [`DeadLetterGroup::acknowledged`].
    pub acknowledgement: Option<Acknowledgement>,
}

/// What the dead letters of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupHead {
    /// Whose they are, when that could be told.
    pub project: Option<ProjectName>,
    /// The webhook they were for. Absent for callbacks, of which each job may have its own, and for what is no delivery.
    pub destination: Option<DestinationId>,
    /// The host they were for.
    pub host: Option<String>,
    /// The cause.
    pub cause: Cause,
    /// Why the first of them was given up.
    pub reason: DeadLetterReason,
    /// The beginning of what the destination answered to the first of them, or of what is wrong with it; on one line.
    pub excerpt: String,
}

/// A person knows of a group and says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What they have to say.
    pub note: String,
    /// When the newest dead letter was given up that was there to be seen; a store fills it in.
    pub seen_until: Timestamp,
}

/// Characters of an answer that a group shows.
const EXCERPT_CHARS_MAX: usize = 160;

impl DeadLetterGroup {
    /// The group with this acknowledgement, as long as one of the dead letters that were seen then is open: a group of
    /// others is news.
    #[must_use]
    pub fn acknowledged(mut self, acknowledgement: Option<Acknowledgement>) -> Self {
        self.acknowledgement =
            acknowledgement.filter(|known| self.first_died_at <= known.seen_until);
        self
    }

    /// Whether a dead letter joined after a person acknowledged the group.
    pub fn is_again(&self) -> bool {
        self.acknowledgement
            .as_ref()
            .is_some_and(|known| self.last_died_at > known.seen_until)
    }
}

impl GroupHead {
    /// The head of the group this dead letter belongs to.
    pub fn of(dead_letter: &DeadLetter) -> Self {
        let destination = dead_letter.delivery().map(|delivery| &delivery.destination);
        let said = match &dead_letter.content {
            DeadLetterContent::Delivery(delivery) => delivery
                .history
                .last()
                .map_or_else(String::new, |attempt| attempt.excerpt.display()),
            DeadLetterContent::Event { why, .. } | DeadLetterContent::Raw { why, .. } => {
                why.clone()
            }
        };
        Self {
            project: dead_letter.project.clone(),
            destination: destination
                .filter(|destination| matches!(destination, Destination::Webhook { .. }))
                .map(Destination::id),
            host: destination
                .and_then(|destination| destination.url().host_str())
                .map(ToOwned::to_owned),
            cause: dead_letter.cause.clone(),
            reason: dead_letter.reason,
            excerpt: one_line(&said),
        }
    }

    /// Whether each of the words, in lower case, occurs in what a person would search for.
    pub fn contains(&self, words: &[String]) -> bool {
        let texts = [
            Some(self.cause.summary.as_str()),
            Some(self.cause.fingerprint.as_str()),
            Some(self.excerpt.as_str()),
            self.host.as_deref(),
            self.destination.as_ref().map(DestinationId::as_str),
        ];
        let texts: Vec<_> = texts.into_iter().flatten().map(str::to_lowercase).collect();
        words
            .iter()
            .all(|word| texts.iter().any(|text| text.contains(word.as_str())))
    }
}

fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}
