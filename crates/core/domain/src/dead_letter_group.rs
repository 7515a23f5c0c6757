//! Open dead letters of one cause, as one thing to look at and to decide about.

use crate::{
    Cause, DeadLetter, DeadLetterContent, DeadLetterId, DeadLetterReason, Destination,
    DestinationId, ProjectName, Traffic, TrafficOf, TrafficPoint, TrafficStep,
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

impl DeadLetterGroup {
    /// What its destination's traffic is counted under; nothing for what is no delivery.
    pub fn traffic_of(&self) -> Option<TrafficOf> {
        match (&self.head.destination, &self.head.host, &self.head.project) {
            (Some(destination), _, _) => Some(TrafficOf::Destination(destination.clone())),
            (None, Some(_), Some(project)) => Some(TrafficOf::Callbacks(project.clone())),
            _ => None,
        }
    }

    /// The finest steps in which its destination's traffic is still kept since the first of it was given up.
    pub fn step_of_traffic(&self, now: Timestamp) -> TrafficStep {
        let step = TrafficStep::Minute;
        let first_kept = step.kept_until(now).next();
        if first_kept.is_some_and(|first| step.number_of(self.first_died_at) >= first) {
            step
        } else {
            TrafficStep::Hour
        }
    }

    /// What its destination's traffic in these steps was since the one in which the first of it was given up. What is older
    /// than they are counts as if it were of their time.
    pub fn traffic_since(&self, step: TrafficStep, traffic: &[TrafficPoint]) -> Traffic {
        let since = step.begin_of(step.number_of(self.first_died_at));
        let points = traffic.iter().filter(|point| point.at >= since);
        points.fold(Traffic::default(), |mut sum, point| {
            sum += point.traffic;
            sum
        })
    }

    /// The open ones as a share, 0 to 1, of themselves and what was delivered to their destination since: 1 as long as nothing
    /// gets through. Rounds that failed before count nothing: what was replayed, or discarded, stands for nothing that could
    /// have got through. Absent when no delivery came to an end there since.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of two counts far below 2^52"
    )]
    pub fn share_of(&self, since: Traffic) -> Option<f64> {
        let both = self.open_count + since.delivered;
        (since.ended() > 0 && both > 0).then(|| self.open_count as f64 / both as f64)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn point(text: &str, delivered: u64, dead_lettered: u64) -> TrafficPoint {
        TrafficPoint {
            at: at(text),
            traffic: Traffic {
                delivered,
                dead_lettered,
                ..Traffic::default()
            },
        }
    }

    fn group() -> DeadLetterGroup {
        DeadLetterGroup {
            head: GroupHead {
                project: Some("acme".parse().unwrap()),
                destination: None,
                host: Some("jobs.example.com".into()),
                cause: Cause {
                    fingerprint: "f".into(),
                    summary: "refused 503".into(),
                },
                reason: DeadLetterReason::AttemptsExhausted,
                excerpt: String::new(),
            },
            open_count: 3,
            first_died_at: at("2026-06-01T10:30:10Z"),
            last_died_at: at("2026-06-01T11:30:00Z"),
            sample: "dlt_1".parse().unwrap(),
            acknowledgement: None,
        }
    }

    #[test]
    fn a_groups_share_is_of_itself_and_what_was_delivered_since_it_began() {
        let group = group();
        let share = |step, traffic: &[_]| group.share_of(group.traffic_since(step, traffic));
        let hours = [
            point("2026-06-01T09:00:00Z", 100, 0),
            point("2026-06-01T10:00:00Z", 4, 2),
            point("2026-06-01T11:00:00Z", 5, 1),
        ];
        assert_eq!(share(TrafficStep::Hour, &hours), Some(0.25));
        assert_eq!(share(TrafficStep::Hour, &hours[..1]), None);
        let minutes = [
            point("2026-06-01T10:29:00Z", 100, 0),
            point("2026-06-01T10:30:00Z", 1, 3),
        ];
        assert_eq!(share(TrafficStep::Minute, &minutes), Some(0.75));
        let project = "acme".parse().unwrap();
        assert_eq!(group.traffic_of(), Some(TrafficOf::Callbacks(project)));
    }

    #[test]
    fn what_failed_in_rounds_before_does_not_look_as_if_it_got_through() {
        let group = group();
        let refused = [point("2026-06-01T10:30:00Z", 0, 300)];
        let since = group.traffic_since(TrafficStep::Minute, &refused);
        assert_eq!(group.share_of(since), Some(1.0));
    }

    #[test]
    fn traffic_is_taken_by_the_minute_while_that_is_kept() {
        let group = group();
        let step = |now| group.step_of_traffic(at(now));
        assert_eq!(step("2026-06-01T10:30:11Z"), TrafficStep::Minute);
        assert_eq!(step("2026-06-01T12:29:59Z"), TrafficStep::Minute);
        assert_eq!(step("2026-06-01T12:30:00Z"), TrafficStep::Hour);
    }
}
