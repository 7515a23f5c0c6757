//! What dead letters are found by, kept beside them, so that a list need not read every body.

use crate::bytes_of::{Reader, Writer};
use ringback_delivery::port::DeadLetterFilter;
use ringback_domain::{
    DeadLetter, DeadLetterContent, DeadLetterReason, DestinationId, EventType, JobId, ProjectName,
};
use ringback_wire::record as wire;

/// Texts are empty where the dead letter has nothing of the kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms<'a> {
    pub(super) id: &'a str,
    pub(super) project: &'a str,
    destination: &'a str,
    event_type: &'a str,
    job: &'a str,
    cause: &'a str,
    reason: &'a str,
    /// As the wire has it; empty while open.
    pub(super) disposal: &'a [u8],
}

impl<'a> Terms<'a> {
    pub(super) fn is_open(&self) -> bool {
        self.disposal.is_empty()
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
        })
    }

    /// Whether a filter wants it, moments aside: those are part of the key.
    pub(super) fn matches(&self, filter: &DeadLetterFilter) -> bool {
        let is = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
        (filter.include_disposed || self.is_open())
            && is(
                filter.project.as_ref().map(ProjectName::as_str),
                self.project,
            )
            && is(
                filter.destination.as_ref().map(DestinationId::as_str),
                self.destination,
            )
            && is(
                filter.event_type.as_ref().map(EventType::as_str),
                self.event_type,
            )
            && is(filter.job.as_ref().map(JobId::as_str), self.job)
            && is(filter.cause.as_deref(), self.cause)
            && is(filter.reason.map(DeadLetterReason::class), self.reason)
    }
}

/// The terms of a dead letter.
pub(super) fn encode_terms_of(dead_letter: &DeadLetter) -> Vec<u8> {
    let (event_type, job, destination) = match &dead_letter.content {
        DeadLetterContent::Delivery(delivery) => (
            Some(&delivery.event.event_type),
            Some(&delivery.event.job.id),
            Some(delivery.destination.id()),
        ),
        DeadLetterContent::Event { event, .. } => {
            (Some(&event.event_type), Some(&event.job.id), None)
        }
        DeadLetterContent::Raw { .. } => (None, None, None),
    };
    let terms = Terms {
        id: dead_letter.id.as_str(),
        project: dead_letter.project.as_ref().map_or("", ProjectName::as_str),
        destination: destination.as_ref().map_or("", DestinationId::as_str),
        event_type: event_type.map_or("", EventType::as_str),
        job: job.map_or("", JobId::as_str),
        cause: &dead_letter.cause.fingerprint,
        reason: dead_letter.reason.class(),
        disposal: &wire::encode_disposal(&dead_letter.disposal),
    };
    terms.encode()
}
