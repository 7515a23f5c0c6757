//! A received request on the terminal: nothing in it can act on the terminal, whoever sent it.

use crate::{
    failure::Outcome,
    forward::Forwarded,
    receiver::Received,
    session::Session,
    verifier::Verdict,
    view::{one_line, took},
};
use jiff::Timestamp;
use owo_colors::OwoColorize;
use ringback_domain::{harmless_text, limits::EXCERPT_BYTES_MAX};
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
pub(crate) struct ReceivedView {
    number: u64,
    at: Timestamp,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    body_bytes: usize,
    body_too_long: bool,
    /// `verified`, `unsigned`, `refused`, or absent when nothing was asked.
    verdict: Option<&'static str>,
    why: Option<String>,
    forwarded: Option<ForwardedView>,
    answered: u16,
}

#[derive(Serialize)]
struct ForwardedView {
    to: String,
    took_ms: f64,
    /// Absent when there was no answer.
    status: Option<u16>,
    /// The beginning of the answer.
    answer: Option<String>,
    why: Option<String>,
    hint: Option<&'static str>,
}

impl From<&Forwarded> for ForwardedView {
    fn from(forwarded: &Forwarded) -> Self {
        let answered = forwarded.answer.as_ref().ok();
        let unanswered = forwarded.answer.as_ref().err();
        let beginning = |body: &[u8]| harmless_text(&body[..body.len().min(EXCERPT_BYTES_MAX)]);
        Self {
            to: forwarded.to.clone(),
            took_ms: (forwarded.took.as_secs_f64() * 1e6).round() / 1000.0,
            status: answered.map(|answered| answered.status.as_u16()),
            answer: answered.map(|answered| beginning(&answered.body)),
            why: unanswered.map(ToString::to_string),
            hint: unanswered.map(crate::forward::Unanswered::hint),
        }
    }
}

impl ReceivedView {
    pub(crate) fn of(
        number: u64,
        at: Timestamp,
        received: &Received,
        verdict: Option<&Verdict>,
    ) -> Self {
        let (verdict, why) = match verdict {
            None => (None, None),
            Some(Verdict::Verified) => (Some("verified"), None),
            Some(Verdict::Unsigned) => (Some("unsigned"), None),
            Some(Verdict::Refused(why)) => (Some("refused"), Some(why.clone())),
        };
        let headers = received.headers.iter();
        Self {
            number,
            at,
            method: received.method.to_string(),
            path: received.uri.to_string(),
            headers: headers
                .map(|(name, value)| (name.to_string(), harmless_text(value.as_bytes())))
                .collect(),
            body: String::from_utf8_lossy(&received.body).into_owned(),
            body_bytes: received.body.len(),
            body_too_long: received.too_long,
            verdict,
            why,
            forwarded: received.forwarded.as_ref().map(ForwardedView::from),
            answered: received.answer.as_u16(),
        }
    }
}

pub(crate) fn show(session: &Session, received: &ReceivedView) -> Outcome {
    if session.terminal.is_json() {
        let line = serde_json::to_string(received).expect("a view has text keys only");
        return session.terminal.line(&line);
    }
    session.terminal.line(&paragraph(received))
}

fn paragraph(received: &ReceivedView) -> String {
    let ReceivedView {
        number,
        at,
        method,
        path,
        answered,
        ..
    } = received;
    let mut lines = vec![format!(
        "{} {} {} {}",
        format_args!("#{number}").bold(),
        at.strftime("%H:%M:%S").dimmed(),
        harmless_text(method.as_bytes()),
        harmless_text(path.as_bytes()).cyan(),
    )];
    lines.extend(
        received
            .headers
            .iter()
            .map(|(name, value)| format!("  {}: {value}", name.dimmed())),
    );
    lines.push(String::new());
    lines.extend(body(received).lines().map(|line| format!("  {line}")));
    lines.push(String::new());
    let verdict = match (received.verdict, &received.why) {
        (Some("verified"), _) => format!("{} ", "signature verified".green()),
        (Some("unsigned"), _) => format!("{} ", "unsigned, as promised".green()),
        (Some(_), Some(why)) => format!("{}: {} ", "refused".red(), harmless_text(why.as_bytes())),
        _ => String::new(),
    };
    let arrow = format!("→ {answered}");
    let answer = if (200..300).contains(answered) {
        arrow.green().to_string()
    } else {
        arrow.yellow().to_string()
    };
    lines.push(format!("  {verdict}{answer}\n"));
    if let Some(forwarded) = &received.forwarded {
        let at = lines.len() - 1;
        lines.splice(at..at, handed_on(forwarded));
    }
    lines.join("\n")
}

/// What came of handing it on, in a line or two.
fn handed_on(forwarded: &ForwardedView) -> Vec<String> {
    let to = harmless_text(forwarded.to.as_bytes());
    let spent = took(Duration::from_secs_f64(forwarded.took_ms / 1000.0));
    let mut lines = match (forwarded.status, &forwarded.why) {
        (Some(status), _) => vec![format!("  handed on to {to}: {status} in {spent}")],
        (None, why) => vec![format!(
            "  {}: {}",
            "not handed on".red(),
            harmless_text(why.as_deref().unwrap_or_default().as_bytes())
        )],
    };
    let answer = forwarded.answer.as_deref().map(one_line);
    let answer = answer.filter(|answer| !answer.is_empty());
    lines.extend(answer.map(|answer| format!("  it answered: {answer}")));
    lines.extend(
        forwarded
            .hint
            .map(|hint| format!("  {}: {hint}", "hint".cyan())),
    );
    lines
}

/// JSON with its members on lines of their own, anything else as it came.
fn body(received: &ReceivedView) -> String {
    if received.body_too_long {
        return "(too long to show)".to_owned();
    }
    let text = &received.body;
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let shown = if is_json { indent(text) } else { text.clone() };
    harmless_text(shown.as_bytes())
}

/// JSON spread over lines. Numbers and texts stay as they were written: what is shown is what was signed.
fn indent(json: &str) -> String {
    let mut shown = String::with_capacity(json.len() * 2);
    let (mut depth, mut just_opened) = (0_usize, false);
    let (mut in_text, mut escaped) = (false, false);
    for c in json.chars() {
        if in_text {
            shown.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        depth -= usize::from(closes);
        if just_opened != closes {
            line(&mut shown, depth);
        }
        just_opened = matches!(c, '{' | '[');
        depth += usize::from(just_opened);
        in_text = c == '"';
        shown.push(c);
        match c {
            ',' => line(&mut shown, depth),
            ':' => shown.push(' '),
            _ => {}
        }
    }
    shown
}

fn line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_spread_over_lines_and_nothing_in_it_changes() {
        let json = r#"{"a":1.50,"b":[],"c":{},"d":[1,[2e3],"x, {\"y\": \\"],"e":null}"#;
        insta::assert_snapshot!(indent(json), @r#"
        {
          "a": 1.50,
          "b": [],
          "c": {},
          "d": [
            1,
            [
              2e3
            ],
            "x, {\"y\": \\"
          ],
          "e": null
        }
        "#);
        assert_eq!(indent("[{\"a\" : 1 }]"), "[\n  {\n    \"a\": 1\n  }\n]");
    }
}
