//! What a drill came to, for people and machines.

use crate::{
    DrillOptions,
    judge::{Millis, Verdict},
};
use serde::Serialize;

/// The table that a drill ends with.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What the faults were drawn from.
    pub seed: u64,
    /// Broker nodes.
    pub nodes: usize,
    /// Worker processes.
    pub workers: usize,
    /// The version that was drilled.
    pub ringback: &'static str,
    /// The broker's version.
    pub rabbitmq: String,
    /// The store and its version.
    pub store: String,
    /// Seconds from the first server's start to the verdict.
    pub took_s: u64,
    /// Whether nothing was lost and nothing unexpected came.
    pub holds: bool,
    /// Events that a producer tried to publish.
    pub attempted: u64,
    /// Events that it was told are safe.
    pub acknowledged: u64,
    /// Events that each of their destinations accepted.
    pub delivered: u64,
    /// Events that some destination has a dead letter of, and all others accepted.
    pub dead_lettered: u64,
    /// Events taken in and neither.
    pub lost: u64,
    /// Requests and dead letters of nobody's events.
    pub unexpected: u64,
    /// Requests after one that was accepted.
    pub duplicated: u64,
    /// Of those, the ones that no fault explains.
    pub duplicated_unexplained: u64,
    /// Events not acknowledged, and taken in all the same.
    pub recovered: u64,
    /// Requests that arrived.
    pub requests: u64,
    /// Requests with other bytes than were published.
    pub bodies_changed: u64,
    /// Requests whose signature does not hold.
    pub signatures_wrong: u64,
    /// Messages that still waited when nothing moved any more.
    pub left_in_queues: u64,
    /// Workers that ended although nobody asked them to.
    pub workers_deserted: u64,
    /// Why a producer was refused for good, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_refused: Option<String>,
    /// Faults struck.
    pub faults: u64,
    /// By class of fault.
    pub classes: Vec<ClassReport>,
    /// Some events that were lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_examples: Vec<String>,
    /// Some requests and dead letters of nobody's events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unexpected_examples: Vec<String>,
    /// Some requests that no fault explains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unexplained_examples: Vec<String>,
}

/// What one class of faults did.
#[derive(Debug, Clone, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub class: &'static str,
    /// How often it struck.
    pub struck: u64,
    /// Requests that came again because of it.
    pub duplicated: u64,
    /// From its end to the arrival of the last event that had been acknowledged before its end: half of the times at most this.
    pub recovery_median_ms: Millis,
    /// And the longest.
    pub recovery_max_ms: Millis,
}

impl Report {
    pub(crate) fn of(verdict: Verdict, options: &DrillOptions) -> Self {
        let holds = verdict.holds();
        let classes = verdict
            .classes
            .into_iter()
            .map(|(class, of_class)| ClassReport {
                class: class.name(),
                struck: of_class.struck,
                duplicated: of_class.duplicated,
                recovery_median_ms: of_class
                    .recovery_ms
                    .get(of_class.recovery_ms.len() / 2)
                    .copied()
                    .unwrap_or(0),
                recovery_max_ms: of_class.recovery_ms.last().copied().unwrap_or(0),
            });
        let classes: Vec<_> = classes.collect();
        Self {
            seed: options.seed,
            nodes: options.nodes,
            workers: options.workers,
            ringback: env!("CARGO_PKG_VERSION"),
            rabbitmq: String::new(),
            store: String::new(),
            took_s: 0,
            holds,
            attempted: verdict.attempted,
            acknowledged: verdict.acknowledged,
            delivered: verdict.delivered,
            dead_lettered: verdict.dead_lettered,
            lost: verdict.lost,
            unexpected: verdict.unexpected,
            duplicated: verdict.duplicated,
            duplicated_unexplained: verdict.duplicated_unexplained,
            recovered: verdict.recovered,
            requests: verdict.requests,
            bodies_changed: verdict.bodies_changed,
            signatures_wrong: verdict.signatures_wrong,
            left_in_queues: 0,
            workers_deserted: 0,
            publish_refused: None,
            faults: classes.iter().map(|class| class.struck).sum(),
            classes,
            lost_examples: verdict.lost_examples,
            unexpected_examples: verdict.unexpected_examples,
            unexplained_examples: verdict.unexplained_examples,
        }
    }
}
