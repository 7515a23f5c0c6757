//! Small parts that many pages share.

use super::words::{ago, explain, next_probe};
use jiff::Timestamp;
use maud::{Markup, PreEscaped, html};
use ringback_domain::{
    AttemptOutcome, Breaker, BreakerState, DeliveryState, Fault, Webhook, WebhookState,
};

/// What a thing means for the one who looks at it; never told by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warn,
    Bad,
    Accent,
    Quiet,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Accent => "accent",
            Self::Quiet => "quiet",
        }
    }
}

pub(crate) fn badge(tone: Tone, sign: &str, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { span aria-hidden="true" { (sign) } (text) } }
}

/// Where a delivery stands.
pub(crate) fn delivery_state(state: &DeliveryState) -> Markup {
    match state {
        DeliveryState::Attempting => badge(Tone::Accent, "→", "attempting"),
        DeliveryState::Waiting { .. } => badge(Tone::Warn, "↻", "waiting"),
        DeliveryState::Delivered { .. } => badge(Tone::Good, "✓", "delivered"),
        DeliveryState::DeadLettered { .. } => badge(Tone::Bad, "✕", "dead letter"),
    }
}

pub(crate) fn webhook_state(webhook: &Webhook) -> Markup {
    match &webhook.state {
        WebhookState::Enabled => badge(Tone::Good, "●", "enabled"),
        WebhookState::Disabled { .. } => badge(Tone::Quiet, "○", "disabled"),
    }
}

/// That a destination is spared, or returned to step by step.
pub(crate) fn breaker_badge(breaker: &Breaker) -> Markup {
    match breaker.state {
        BreakerState::Open { .. } => badge(Tone::Bad, "‖", "breaker open"),
        BreakerState::Recovering { .. } => badge(Tone::Warn, "↗", "recovering"),
    }
}

/// What a breaker means for what is to be sent there.
pub(crate) fn breaker_note(breaker: &Breaker, now: Timestamp) -> Markup {
    let words = match breaker.state {
        BreakerState::Open { next_probe_at, .. } => html! {
            strong { "Its breaker is open" }
            ": it kept failing, so that nothing but probes goes there since " (moments(breaker.opened_at, now))
            "; " (next_probe(next_probe_at, now))
            ". What is for it waits, no attempt is counted, and it goes on by itself once a probe is accepted."
        },
        BreakerState::Recovering { since } => html! {
            strong { "It recovers" }
            ": a probe was accepted " (moments(since, now)) ", and deliveries return step by step."
        },
    };
    note(Tone::Warn, "note", &html! { p { (words) } })
}

/// What came of an attempt, with what it means under the pointer.
pub(crate) fn outcome(outcome: &AttemptOutcome) -> Markup {
    let (tone, sign) = match outcome {
        AttemptOutcome::Accepted { .. } => (Tone::Good, "✓"),
        AttemptOutcome::Refused { .. } | AttemptOutcome::Unreachable(_) => (Tone::Bad, "✕"),
        AttemptOutcome::NotSent(_) => (Tone::Warn, "⊘"),
        AttemptOutcome::Unknown => (Tone::Warn, "?"),
    };
    html! { span title=(explain(outcome)) { (badge(tone, sign, &outcome.to_string())) } }
}

/// Whose fault it was.
pub(crate) fn fault_of(fault: Fault) -> &'static str {
    match fault {
        Fault::Destination => "the destination's fault",
        Fault::Network => "the network's fault",
        Fault::Ours => "our fault",
    }
}

/// A moment to the second, in UTC.
pub(crate) fn moment(at: Timestamp) -> Markup {
    html! {
        time.nowrap datetime=(at) { (at.strftime("%Y-%m-%d %H:%M:%S")) span.soft { " UTC" } }
    }
}

/// A moment as its distance from now, and exactly under the pointer.
pub(crate) fn moments(at: Timestamp, now: Timestamp) -> Markup {
    html! {
        time.nowrap datetime=(at) title=(at.strftime("%Y-%m-%d %H:%M:%S UTC")) { (ago(at, now)) }
    }
}

/// The beginning of an id, which is enough to tell a few apart.
pub(crate) fn short_id(id: &str) -> Markup {
    const CHARS: usize = 12;
    match id.char_indices().nth(CHARS) {
        Some((end, _)) if id.len() > end + 2 => {
            html! { code title=(id) { (&id[..end]) "…" } }
        }
        _ => html! { code { (id) } },
    }
}

/// A button that copies what stands before it; where the browser lets no script do so, there is none.
pub(crate) fn copy(what: &str) -> Markup {
    html! { button.copy type="button" data-copy aria-live="polite" { "Copy" span.unseen { " " (what) } } }
}

/// Our own words, in which what is between backticks is to be typed.
pub(crate) fn marked(words: &str) -> Markup {
    html! {
        @for (index, part) in words.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

pub(crate) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts {
                @if !value.0.is_empty() { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// A number that is looked at first.
pub(crate) fn tile(name: &str, value: &Markup, under: &Markup) -> Markup {
    html! {
        div.tile {
            dt { (name) }
            dd { (value) @if !under.0.is_empty() { small { (under) } } }
        }
    }
}

/// A part of a page with a heading.
pub(crate) fn card(title: &str, aside: &Markup, content: &Markup) -> Markup {
    html! {
        section.card aria-label=(title) {
            header { h2 { (title) } @if !aside.0.is_empty() { p { (aside) } } }
            (content)
        }
    }
}

/// Nothing there yet, and what to do next.
pub(crate) fn empty(title: &str, advice: &Markup) -> Markup {
    html! { div.empty { strong { (title) } p { (advice) } } }
}

pub(crate) fn note(tone: Tone, role: &str, content: &Markup) -> Markup {
    html! { div class={ "note " (tone.class()) } role=(role) { (content) } }
}

/// A URL where there is little room: `https` goes without saying, a line breaks behind a slash rather than in a word,
/// and a very long one is cut.
pub(crate) fn short_url(url: &str) -> Markup {
    let shown = url.strip_prefix("https://").unwrap_or(url);
    html! { span.url title=(url) { @for part in shown.split_inclusive('/') { (part) wbr; } } }
}

/// A column of a table.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    class: &'static str,
}

impl Column {
    /// As wide as there is room.
    pub(crate) const fn wide(name: &'static str) -> Self {
        Self { name, class: "" }
    }

    /// As narrow as its content.
    pub(crate) const fn tight(name: &'static str) -> Self {
        Self {
            name,
            class: "tight",
        }
    }

    /// Numbers, to the right.
    pub(crate) const fn number(name: &'static str) -> Self {
        Self {
            name,
            class: "number",
        }
    }
}

/// A table, which folds into one card for each row where there is little room.
pub(crate) struct Table<'a> {
    pub(crate) caption: &'a str,
    pub(crate) columns: &'a [Column],
    pub(crate) rows: Vec<Vec<Markup>>,
}

impl maud::Render for Table<'_> {
    fn render(&self) -> Markup {
        html! {
            div.scroll {
                table.fold {
                    caption.unseen { (self.caption) }
                    thead { tr { @for column in self.columns { th scope="col" class=(column.class) { (column.name) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (column, cell) in self.columns.iter().zip(row) {
                                    td class=(column.class) data-label=(column.name) { (PreEscaped(&cell.0)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
