//! The attempts of a delivery, as a browser's network panel shows requests.

use super::{
    component::{fault_of, marked, moments, outcome},
    words::{distance, explain, took},
};
use jiff::Timestamp;
use maud::{Markup, html};
use ringback_domain::{Attempt, AttemptOutcome, Phases, Trigger};
use std::time::Duration;

/// A stretch of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    class: &'static str,
    name: &'static str,
    from: Duration,
    length: Duration,
}

/// Classes and names of all stretches, in their order.
const STRETCHES: [(&str, &str); 5] = [
    ("dns", "name lookup"),
    ("connect", "connect"),
    ("tls", "TLS"),
    ("wait", "waiting for the answer"),
    ("read", "reading the answer"),
];

/// What an attempt spent its time on, one after the other.
fn stretches(phases: &Phases) -> Vec<Stretch> {
    let mut from = Duration::ZERO;
    let mut stretches = Vec::new();
    let until_first_byte = phases.first_byte.unwrap_or(phases.total);
    let begun = [phases.dns, phases.connect, phases.tls];
    let sent = begun.iter().flatten().sum::<Duration>();
    let lengths = [
        phases.dns,
        phases.connect,
        phases.tls,
        Some(until_first_byte.saturating_sub(sent)),
        phases
            .first_byte
            .map(|first| phases.total.saturating_sub(first)),
    ];
    for ((class, name), length) in STRETCHES.into_iter().zip(lengths) {
        if let Some(length) = length.filter(|length| !length.is_zero()) {
            stretches.push(Stretch {
                class,
                name,
                from,
                length,
            });
            from += length;
        }
    }
    stretches
}

fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Schedule => "on schedule",
        Trigger::Replay => "by a replay",
        Trigger::ReplayElsewhere => "by a replay to another place",
        Trigger::Test => "as a test",
    }
}

/// What the colours of the bars mean.
pub(crate) fn phase_legend() -> Markup {
    html! {
        ul.legend {
            @for (class, name) in STRETCHES {
                li { span class={ "swatch " (class) } aria-hidden="true" {} (name) }
            }
        }
    }
}

/// All attempts, oldest first, on one scale.
pub(crate) fn timeline(attempts: &[Attempt], now: Timestamp) -> Markup {
    let scale = attempts.iter().map(|attempt| attempt.phases.total).max();
    let scale = scale.unwrap_or_default().max(Duration::from_millis(1));
    let before = std::iter::once(None).chain(attempts.iter().map(Some));
    html! {
        ol.timeline {
            @for (before, attempt) in before.zip(attempts) {
                li {
                    @if before.is_none_or(|before: &Attempt| before.generation != attempt.generation) && attempt.generation.get() > 0 {
                        div.round { "Round " (attempt.generation.round()) ", " (trigger(attempt.trigger)) }
                    }
                    @if let Some(gap) = before.filter(|before| before.generation == attempt.generation).and_then(|before| gap(before, attempt)) {
                        div.pause { "waited " (distance(gap)) }
                    }
                    (row(attempt, scale, now))
                }
            }
        }
    }
}

/// One attempt by itself, such as a test.
pub(crate) fn single_attempt(attempt: &Attempt, now: Timestamp) -> Markup {
    let scale = attempt.phases.total.max(Duration::from_millis(1));
    html! { div.timeline { (row(attempt, scale, now)) } }
}

/// From the end of one attempt to the start of the next.
fn gap(before: &Attempt, attempt: &Attempt) -> Option<Duration> {
    let apart = attempt.started_at.duration_since(before.started_at);
    let gap = Duration::try_from(apart)
        .ok()?
        .checked_sub(before.phases.total)?;
    (gap >= Duration::from_secs(1)).then_some(gap)
}

fn row(attempt: &Attempt, scale: Duration, now: Timestamp) -> Markup {
    const WIDTH: f64 = 1_000.0;
    let on_scale = |length: Duration| length.as_secs_f64() / scale.as_secs_f64() * WIDTH;
    let stretches = stretches(&attempt.phases);
    let spoken: Vec<_> = stretches
        .iter()
        .map(|stretch| format!("{} {}", stretch.name, took(stretch.length)))
        .collect();
    let is_accepted = matches!(attempt.outcome, AttemptOutcome::Accepted { .. });
    html! {
        article.attempt aria-label={ "Attempt " (attempt.number) } {
            div.row {
                div { strong { "#" (attempt.number) } " " span.soft.small { (moments(attempt.started_at, now)) } }
                div { (outcome(&attempt.outcome)) }
                svg.fall viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label={ "It took " (took(attempt.phases.total)) ": " (spoken.join(", ")) } {
                    @for stretch in &stretches {
                        rect class=(stretch.class) x=(format!("{:.1}", on_scale(stretch.from))) y="3" height="10"
                            width=(format!("{:.1}", on_scale(stretch.length).max(3.0))) {
                            title { (stretch.name) ": " (took(stretch.length)) }
                        }
                    }
                }
                div.number { (took(attempt.phases.total)) }
            }
            div.said {
                @if !is_accepted {
                    p { (marked(explain(&attempt.outcome))) @if let Some(fault) = attempt.outcome.fault() { span.soft { " · " (fault_of(fault)) } } }
                }
                @if let Some(status) = attempt.cut_off {
                    p { "It answered " (status) "; the body was cut off." }
                }
                @if let AttemptOutcome::Refused { retry_after: Some(wait), .. } = &attempt.outcome {
                    p.soft { "It asked for a wait of " (distance(*wait)) "." }
                }
                @if !attempt.excerpt.is_empty() {
                    div.answer aria-label="The beginning of the answer" { (attempt.excerpt.display()) }
                }
                ul.parts {
                    @for stretch in &stretches { li { (stretch.name) " " (took(stretch.length)) } }
                    @if let Some(address) = attempt.address { li { "to " code { (address) } } }
                    li { "by " code { (attempt.worker) } }
                    @if attempt.trigger == Trigger::Test { li { (trigger(attempt.trigger)) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_domain::UnreachableCause;
    use ringback_testkit::samples;

    #[expect(clippy::unnecessary_wraps, reason = "phases may be absent")]
    fn ms(number: u64) -> Option<Duration> {
        Some(Duration::from_millis(number))
    }

    fn drawn(phases: &Phases) -> Vec<(&'static str, u128, u128)> {
        let stretches = stretches(phases);
        let drawn = stretches
            .iter()
            .map(|part| (part.class, part.from.as_millis(), part.length.as_millis()));
        drawn.collect()
    }

    #[test]
    fn stretches_follow_each_other_and_fill_the_whole() {
        let phases = Phases {
            dns: ms(2),
            connect: ms(3),
            tls: ms(5),
            first_byte: ms(50),
            total: Duration::from_millis(60),
        };
        let expected = [
            ("dns", 0, 2),
            ("connect", 2, 3),
            ("tls", 5, 5),
            ("wait", 10, 40),
            ("read", 50, 10),
        ];
        assert_eq!(drawn(&phases), expected);
    }

    #[test]
    fn without_an_answer_the_rest_was_spent_waiting() {
        let phases = Phases {
            connect: ms(3),
            total: Duration::from_millis(30_003),
            ..Phases::default()
        };
        assert_eq!(drawn(&phases), [("connect", 0, 3), ("wait", 3, 30_000)]);
        assert!(drawn(&Phases::default()).is_empty());
    }

    #[test]
    fn an_answer_that_was_cut_off_shows_its_status() {
        let shown = |cut_off| {
            let attempt = Attempt {
                outcome: AttemptOutcome::Unreachable(UnreachableCause::TimeLimit),
                cut_off,
                ..samples::attempt()
            };
            row(&attempt, Duration::from_secs(1), samples::moment(60)).into_string()
        };
        assert!(shown(Some(202)).contains("It answered 202; the body was cut off."));
        assert!(!shown(None).contains("cut off"));
    }
}
