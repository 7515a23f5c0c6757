//! A received request on the terminal: nothing in it can act on the terminal, whoever sent it.

use super::{Received, verdict::Verdict};
use crate::{failure::Outcome, session::Session};
use http::StatusCode;
use jiff::Timestamp;
use owo_colors::OwoColorize;
use ringback_domain::harmless_text;
use serde::Serialize;

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
    answered: u16,
}

impl ReceivedView {
    pub(crate) fn of(
        number: u64,
        at: Timestamp,
        received: Received,
        verdict: Option<&Verdict>,
        status: StatusCode,
    ) -> Self {
        let Received {
            head, body, cut, ..
        } = received;
        let (verdict, why) = match verdict {
            None => (None, None),
            Some(Verdict::Verified) => (Some("verified"), None),
            Some(Verdict::Unsigned) => (Some("unsigned"), None),
            Some(Verdict::Refused(why)) => (Some("refused"), Some(why.clone())),
        };
        let headers = head.headers.iter();
        Self {
            number,
            at,
            method: head.method.to_string(),
            path: head.uri.to_string(),
            headers: headers
                .map(|(name, value)| (name.to_string(), harmless_text(value.as_bytes())))
                .collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
            body_bytes: body.len(),
            body_too_long: cut,
            verdict,
            why,
            answered: status.as_u16(),
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
    lines.join("\n")
}

/// JSON with its members on lines of their own, anything else as it came.
fn body(received: &ReceivedView) -> String {
    if received.body_too_long {
        return "(too long to show)".to_owned();
    }
    let parsed = serde_json::from_str::<serde_json::Value>(&received.body);
    let text = parsed
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| received.body.clone());
    harmless_text(text.as_bytes())
}
