//! What dead letters are found by, kept beside them, so that a list need not read every body.

use crate::bytes_of::{Reader, Writer};
use ringback_domain::{DeadLetter, DestinationId, EventId, EventType, JobId, ProjectName};
use ringback_wire::record as wire;

/// Texts are empty where the dead letter has nothing of the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms<'a> {
    pub(super) id: &'a str,
    pub(super) project: &'a str,
    pub(super) destination: &'a str,
    pub(super) event_type: &'a str,
    pub(super) job: &'a str,
    pub(super) cause: &'a str,
    pub(super) reason: &'a str,
    /// As the wire has it; empty while open.
    pub(super) disposal: &'a [u8],
    pub(super) event: &'a str,
}

impl<'a> Terms<'a> {
    pub(super) fn is_open(&self) -> bool {
        self.disposal.is_empty()
    }

    /// The group it belongs to while it is open.
    pub(super) fn group(&self) -> (&'a str, &'a str) {
        (self.project, self.cause)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        for text in [
            self.id,
            self.project,
            self.destination,
            self.event_type,
            self.job,
            self.cause,
            self.reason,
        ] {
            to.text(text);
        }
        to.bytes(self.disposal);
        to.text(self.event);
        to.0
    }

    /// `None` when it is not what [`Terms::encode`] wrote.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        Some(Self {
            id: from.text()?,
            project: from.text()?,
            destination: from.text()?,
            event_type: from.text()?,
            job: from.text()?,
            cause: from.text()?,
            reason: from.text()?,
            disposal: from.bytes()?,
            // Files of format 1 end here.
            event: if from.0.is_empty() { "" } else { from.text()? },
        })
    }
}

/// The terms of a dead letter.
pub(super) fn encode_terms_of(dead_letter: &DeadLetter) -> Vec<u8> {
    let destination = dead_letter
        .delivery()
        .map(|delivery| delivery.destination.id());
    let terms = Terms {
        id: dead_letter.id.as_str(),
        project: dead_letter.project.as_ref().map_or("", ProjectName::as_str),
        destination: destination.as_ref().map_or("", DestinationId::as_str),
        event_type: dead_letter.event_type().map_or("", EventType::as_str),
        job: dead_letter.job().map_or("", JobId::as_str),
        cause: &dead_letter.cause.fingerprint,
        reason: dead_letter.reason.class(),
        disposal: &wire::encode_disposal(&dead_letter.disposal),
        event: dead_letter.event().map_or("", EventId::as_str),
    };
    terms.encode()
}
