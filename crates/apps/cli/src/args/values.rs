//! What options take, where it is more than a word: moments, spans, notes.

use crate::failure::{Failure, Outcome};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::Timestamp;
use ringback_domain::{DeadLetterReason, limits};
use std::{num::NonZeroU32, time::Duration};

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SpanArgs {
    /// At or after this moment: `2026-06-01T10:00:00Z`, or an age such as `2h`
    #[arg(long, value_name = "MOMENT", value_parser = moment_past)]
    pub(crate) since: Option<Moment>,
    /// Before this moment
    #[arg(long, value_name = "MOMENT", value_parser = moment_past)]
    pub(crate) until: Option<Moment>,
}

impl SpanArgs {
    /// Both moments. A span that ends before it begins, an age too many for instance, would find nothing, and look as if all were well.
    pub(crate) fn resolve(self, now: Timestamp) -> Outcome<[Option<Timestamp>; 2]> {
        let [since, until] = [self.since, self.until].map(|end| Some(end?.resolve(now)));
        match (since, until) {
            (Some(since), Some(until)) if since >= until => Err(Failure::usage(format!(
                "nothing lies between --since {since:.0} and --until {until:.0}"
            ))
            .hint("--since is the earlier moment: of two ages the greater")),
            _ => Ok([since, until]),
        }
    }
}

/// A moment as it was typed: itself, or its distance from now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    At(Timestamp),
    Before(Duration),
    After(Duration),
}

impl Moment {
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Before(age) => now.checked_sub(age).unwrap_or(Timestamp::MIN),
            Self::After(wait) => now.checked_add(wait).unwrap_or(Timestamp::MAX),
        }
    }
}

pub(super) fn moment_past(text: &str) -> Result<Moment, String> {
    if let Some(age) = ringback_worker::config::parse_duration(text) {
        return Ok(Moment::Before(age));
    }
    let moment = text.parse().map(Moment::At);
    moment.map_err(|_| {
        "write a moment such as `2026-06-01T10:00:00Z`, or an age such as `2h`".to_owned()
    })
}

pub(super) fn moment_ahead(text: &str) -> Result<Moment, String> {
    let wait = text
        .strip_prefix("in ")
        .map(str::trim)
        .and_then(ringback_worker::config::parse_duration);
    if let Some(wait) = wait {
        return Ok(Moment::After(wait));
    }
    let moment = text.parse().map(Moment::At);
    moment.map_err(|_| "write a moment such as `2026-06-01T10:00:00Z`, or `in 2h`".to_owned())
}

pub(super) fn wait(text: &str) -> Result<Duration, String> {
    ringback_worker::config::parse_duration(text)
        .ok_or_else(|| "write a wait such as `500ms`, `30s`, `5m` or `2h`".to_owned())
}

pub(super) fn note(text: &str) -> Result<String, String> {
    let note = text.trim();
    match note.chars().count() {
        1..=limits::NOTE_CHARS_MAX => Ok(note.to_owned()),
        _ => Err(format!(
            "a note has 1 to {} characters",
            limits::NOTE_CHARS_MAX
        )),
    }
}

pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("write a header as `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

pub(super) fn dead_letter_reason() -> impl TypedValueParser<Value = DeadLetterReason> {
    let words = DeadLetterReason::ALL.map(DeadLetterReason::class);
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}

pub(super) fn description(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0..=limits::DESCRIPTION_CHARS_MAX => Ok(text.to_owned()),
        chars => Err(format!(
            "it has {chars} characters; allowed: {}",
            limits::DESCRIPTION_CHARS_MAX
        )),
    }
}

/// Attempts a second.
pub(super) fn rate(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| format!("write a whole number from 1 to {}", u32::MAX))
}
