//! A report as it is shown.

use super::judge::{Finding, Verdict};
use crate::terminal::hanging;
use owo_colors::OwoColorize;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct ReportView {
    pub(super) receiver: String,
    pub(super) profile: String,
    pub(super) findings: Vec<Finding>,
}

pub(super) fn lines(report: &ReportView) -> String {
    let ReportView {
        receiver,
        profile,
        findings,
    } = report;
    let mut lines = vec![format!("{receiver} as a receiver of `{profile}`\n")];
    lines.extend(findings.iter().map(line));
    lines.join("\n")
}

fn line(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Ok => "ok       ".green().to_string(),
        Verdict::Warning => "warning  ".yellow().to_string(),
        Verdict::Problem => "problem  ".red().to_string(),
        Verdict::NotTried => "not tried".dimmed().to_string(),
    };
    let mut text = finding.says.clone();
    if let Some(to_do) = &finding.to_do {
        text.push_str("\nto do: ");
        text.push_str(to_do);
    }
    let head = format!("{mark}  {:<13}  ", finding.name);
    format!("{head}{}", hanging(&text, "not tried".len() + 2 + 13 + 2))
}
