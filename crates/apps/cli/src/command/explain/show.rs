//! An explanation as it is shown: never a secret, never a signature that would be right.

use crate::{
    terminal::{facts, wrapped},
    view::moment,
};
use jiff::Timestamp;
use owo_colors::OwoColorize;
use ringback_domain::harmless_text;
use ringback_signing::{Difference, Explanation, Mistake, NamedScheme, Verdict};
use ringback_worker::config::show_duration;
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
pub(super) struct ExplanationView {
    /// `right`, `explained`, `unexplained`, `unsigned`.
    verdict: &'static str,
    scheme: SchemeView,
    /// Which of the secrets it belongs to; the first is 1.
    secret_number: Option<usize>,
    secret_count: usize,
    mistakes: Vec<MistakeView>,
    observations: Vec<String>,
    difference: Option<DifferenceView>,
    timestamp: Option<Timestamp>,
    #[serde(skip)]
    age: Option<String>,
    /// Where a computed signature is explained: whether the one that came is `right`.
    came: Option<&'static str>,
    digests_tried: usize,
    tried_everything: bool,
}

#[derive(Serialize)]
struct SchemeView {
    name: String,
    header: String,
    signed: String,
}

#[derive(Serialize)]
struct MistakeView {
    name: &'static str,
    says: String,
    advice: &'static str,
}

#[derive(Serialize)]
struct DifferenceView {
    offset: usize,
    line: usize,
    column: usize,
    sent_bytes: usize,
    seen_bytes: usize,
    before: String,
    sent: String,
    seen: String,
}

impl ExplanationView {
    pub(super) fn of(
        expected: &NamedScheme,
        secret_count: usize,
        explanation: Explanation,
        came: Option<&Verdict>,
        reference: Reference,
    ) -> Self {
        let verdict = word(&explanation.verdict);
        let (secret, mistakes) = match explanation.verdict {
            Verdict::Right { secret } => (Some(secret), Vec::new()),
            Verdict::Explained { mistakes, secret } => (Some(secret), mistakes),
            Verdict::Unexplained | Verdict::Unsigned => (None, Vec::new()),
        };
        let timestamp = explanation
            .timestamp_seconds
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        Self {
            verdict,
            scheme: SchemeView {
                name: expected.name.clone(),
                header: expected.scheme.header().to_owned(),
                signed: expected.scheme.signed().to_string(),
            },
            secret_number: secret.map(|index| index + 1),
            secret_count,
            mistakes: mistakes.into_iter().map(MistakeView::from).collect(),
            observations: explanation.observations,
            difference: explanation.difference.as_ref().map(DifferenceView::from),
            timestamp,
            age: timestamp.map(|at| age(at, reference)),
            came: came.map(word),
            digests_tried: explanation.trials,
            tried_everything: explanation.is_complete,
        }
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Right { .. } => "right",
        Verdict::Explained { .. } => "explained",
        Verdict::Unexplained => "unexplained",
        Verdict::Unsigned => "unsigned",
    }
}

/// What a timestamp is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reference {
    Now(Timestamp),
    /// When the request came.
    Arrival(Timestamp),
}

fn age(at: Timestamp, reference: Reference) -> String {
    let (Reference::Now(moment) | Reference::Arrival(moment)) = reference;
    let seconds = moment.as_second().saturating_sub(at.as_second());
    let distance = show_duration(Duration::from_secs(seconds.unsigned_abs()));
    match (reference, seconds < 0) {
        (Reference::Now(_), false) => format!("{distance} ago"),
        (Reference::Now(_), true) => format!("in {distance}"),
        (Reference::Arrival(_), false) => format!("{distance} before it came"),
        (Reference::Arrival(_), true) => format!("{distance} after it came"),
    }
}

impl From<Mistake> for MistakeView {
    fn from(mistake: Mistake) -> Self {
        Self {
            name: mistake.name,
            says: mistake.says,
            advice: mistake.advice,
        }
    }
}

impl From<&Difference> for DifferenceView {
    fn from(difference: &Difference) -> Self {
        let text = |bytes: &[u8]| one_line(bytes);
        Self {
            offset: difference.offset,
            line: difference.line,
            column: difference.column,
            sent_bytes: difference.original_bytes,
            seen_bytes: difference.body_bytes,
            before: text(&difference.before),
            sent: text(&difference.original),
            seen: text(&difference.body),
        }
    }
}

/// Bytes on one line, with what would not be seen spelled out.
fn one_line(bytes: &[u8]) -> String {
    harmless_text(bytes)
        .replace('\n', "\\n")
        .replace('\t', "\\t")
}

pub(super) fn paragraphs(view: &ExplanationView) -> String {
    let verdict = match view.verdict {
        "right" => "the signature is right".green().to_string(),
        "explained" => "the signature is not what the receiver expects, and this explains it"
            .yellow()
            .to_string(),
        "unsigned" => format!(
            "there is no signature: no `{}` header came",
            view.scheme.header
        )
        .red()
        .to_string(),
        _ => "the signature does not match, and no known mistake explains it"
            .red()
            .to_string(),
    };
    let mut parts = vec![verdict, basis(view)];
    parts.extend(view.mistakes.iter().map(|mistake| {
        let says = wrapped(&mistake.says, "  ");
        let advice = wrapped(&format!("to do: {}", mistake.advice), "  ");
        format!("{}\n{says}\n{advice}", mistake.name.bold())
    }));
    parts.extend(view.difference.as_ref().map(difference));
    if !view.observations.is_empty() {
        let lines = view.observations.iter().map(|line| wrapped(line, "  "));
        let lines: Vec<_> = lines.collect();
        parts.push(format!("also noticed\n{}", lines.join("\n")));
    }
    match view.verdict {
        "unexplained" => parts.push(unexplained(view)),
        "unsigned" => parts.push(wrapped(UNSIGNED, "")),
        _ => {}
    }
    parts.join("\n\n")
}

const UNSIGNED: &str = "A callback is signed when the job names a secret for it, a webhook when its profile signs. If it was signed, \
     something in front of the receiver drops the header.";

fn basis(view: &ExplanationView) -> String {
    let scheme = &view.scheme;
    let mut lines = vec![
        ("scheme", scheme.name.clone()),
        ("header", scheme.header.clone()),
        ("signed", scheme.signed.clone()),
    ];
    if let Some(number) = view.secret_number.filter(|_| view.secret_count > 1) {
        lines.push((
            "secret",
            format!("number {number} of {}", view.secret_count),
        ));
    }
    if let (Some(at), Some(age)) = (view.timestamp, &view.age) {
        lines.push(("timestamp", format!("{} UTC, {age}", moment(at))));
    }
    lines.extend(view.came.map(|came| {
        let says = match came {
            "right" => "right, so the request is in order",
            "explained" => "not right either; leave --computed out to see why",
            "unsigned" => "unsigned: there was no signature",
            _ => "not explained: another secret, or the body was changed",
        };
        ("came with it", says.to_owned())
    }));
    facts(lines)
}

fn difference(difference: &DifferenceView) -> String {
    let DifferenceView {
        offset,
        line,
        column,
        before,
        ..
    } = difference;
    let place =
        format!("the bodies are the same up to byte {offset} (line {line}, byte {column} of it)");
    let lines = facts([
        (
            "  sent",
            format!(
                "{before}{}  ({} bytes)",
                difference.sent, difference.sent_bytes
            ),
        ),
        (
            "  seen",
            format!(
                "{before}{}  ({} bytes)",
                difference.seen, difference.seen_bytes
            ),
        ),
        ("", format!("{}^", " ".repeat(before.chars().count()))),
    ]);
    format!("{place}\n{lines}")
}

fn unexplained(view: &ExplanationView) -> String {
    if view.digests_tried == 0 {
        return wrapped("There is no digest in it: nothing was compared.", "");
    }
    let tried = format!(
        "{} digests were tried: every known mistake, alone and by twos.",
        view.digests_tried
    );
    let tried = if view.tried_everything {
        tried
    } else {
        format!("{tried} The body is long, so not all were.")
    };
    let left = "What is left: the secret is not the one it was signed with, or the body's content was changed.";
    format!("{}\n{}", wrapped(&tried, ""), wrapped(left, ""))
}
