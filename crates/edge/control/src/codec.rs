//! Calls and answers as parts: a line of JSON, then the records it speaks of, as `ringback-wire` writes them.

use bytes::Bytes;
use ringback_delivery::port::{
    Cursor, DeadLetterFilter, DeadLetterMark, DeliveryFilter, EventMark, GroupFilter, GroupOrder,
    Lane, QueueName, StoreHealth,
};
use ringback_domain::{
    DeadLetterGroup, DeliveryRecord, Generation, Timestamp, TraceContext, TrafficOf, Wait,
};
use ringback_wire::{WireError, group, record};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{str::FromStr, time::Duration};

/// What is asked. Records follow as parts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub(crate) enum Call {
    PublishEvent {
        accepted_at: Option<Timestamp>,
        trace: Option<TraceLine>,
    },
    PublishRawEvent,
    PublishDelivery {
        slow: bool,
        wait: Option<WaitLine>,
    },
    Depths,
    Ping,
    PutWebhook,
    Webhook {
        id: String,
    },
    Webhooks {
        project: String,
    },
    RemoveWebhook {
        id: String,
    },
    PutKey,
    Key {
        id: String,
    },
    Keys,
    RemoveKey {
        id: String,
    },
    Breakers,
    Delivery {
        id: String,
    },
    Deliveries {
        filter: DeliveryFilterLine,
        after: Option<String>,
        limit: usize,
    },
    PutDeadLetter,
    DeadLetter {
        id: String,
    },
    DeadLetters {
        filter: DeadLetterFilterLine,
        after: Option<String>,
        limit: usize,
    },
    DeadLetterCount {
        project: Option<String>,
    },
    Dispose {
        id: String,
        again: bool,
    },
    Groups {
        filter: GroupFilterLine,
        limit: usize,
    },
    /// The record is the acknowledgement.
    AcknowledgeGroup {
        project: Option<String>,
        fingerprint: String,
    },
    Regroup {
        limit: usize,
    },
    Usage,
    Traffic {
        of: TrafficOfLine,
        hours: bool,
        until: Timestamp,
    },
    PutPlanChunk {
        plan: String,
        number: u32,
    },
    PlanChunk {
        plan: String,
        number: u32,
    },
    CreatePlan,
    ChangePlan {
        id: String,
    },
    Plan {
        id: String,
    },
    Plans {
        project: Option<String>,
        after: Option<String>,
        limit: usize,
    },
    EventMark {
        project: String,
        id: String,
    },
    MarkEvent {
        project: String,
        id: String,
        mark: MarkLine,
        until: Timestamp,
    },
    EventMoment {
        project: String,
        id: String,
        at: Timestamp,
    },
    KeepEventKnown {
        project: String,
        id: String,
        until: Timestamp,
    },
    Health,
}

/// What is answered. Records follow as parts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    Done,
    Yes,
    No,
    /// The parts, what of the list cannot be read (id and why), and where it goes on.
    Page {
        next: Option<String>,
        #[serde(default)]
        damaged: Vec<(String, String)>,
    },
    Count {
        count: u64,
    },
    /// The parts are groups, of so many.
    Groups {
        group_count: u64,
        ungrouped_count: u64,
        #[serde(default)]
        next: Option<String>,
    },
    Usage {
        entry_count: u64,
        bytes: u64,
    },
    /// Delivered, failed attempts and given up of each step, oldest first.
    Traffic {
        counts: Vec<(u64, u64, u64)>,
    },
    /// The part is the earlier disposal.
    Already,
    Mark {
        mark: Option<MarkLine>,
    },
    Moment {
        at: Timestamp,
    },
    Depths {
        depths: Vec<DepthLine>,
    },
    Health {
        health: HealthLine,
    },
    Failed {
        failure: Failure,
        why: String,
        /// The record that cannot be read (id and why), where it is about one.
        #[serde(default)]
        damaged: Option<(String, String)>,
    },
}

/// Which kind of failure, as far as a caller may choose by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Failure {
    Refused,
    Unreachable,
    Corrupt,
    BadCursor,
    Unroutable,
    Closed,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TraceLine {
    traceparent: String,
    tracestate: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WaitLine {
    at_least_ms: u64,
    at_most_ms: u64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct MarkLine {
    dispatched_at: Timestamp,
    deliveries: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DepthLine {
    queue: String,
    waiting: u64,
    consumers: Option<u32>,
    #[serde(default)]
    unacknowledged: u64,
    #[serde(default)]
    due_soon: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HealthLine {
    product: String,
    clock_skew_ms: Option<i64>,
    findings: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeliveryFilterLine {
    project: Option<String>,
    event: Option<String>,
    job: Option<String>,
    destination: Option<String>,
    state: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeadLetterFilterLine {
    project: Option<String>,
    destination: Option<String>,
    event_type: Option<String>,
    job: Option<String>,
    cause: Option<String>,
    reason: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    include_disposed: bool,
    #[serde(default)]
    any_of: Option<Vec<MarkedByLine>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MarkedByLine {
    Cause(String),
    Event(String),
    Job(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GroupFilterLine {
    project: Option<String>,
    destination: Option<String>,
    cause: Option<String>,
    #[serde(default)]
    words: Vec<String>,
    by_count: bool,
    #[serde(default)]
    after: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrafficOfLine {
    Everything,
    Project(String),
    Destination(String),
    Callbacks(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct GroupLine {
    head: Box<RawValue>,
    open_count: u64,
    first_died_at: Timestamp,
    last_died_at: Timestamp,
    sample: String,
    acknowledgement: Option<Box<RawValue>>,
}

/// What the other side wrote cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a call or answer cannot be read: {0}")]
pub(crate) struct Garbled(pub(crate) String);

pub(crate) fn to_part(line: &impl Serialize) -> Bytes {
    serde_json::to_vec(line)
        .expect("writing to memory, with text keys only")
        .into()
}

pub(crate) fn of_part<T: DeserializeOwned>(part: Option<&Bytes>) -> Result<T, Garbled> {
    let part = part.ok_or_else(|| Garbled("a part is missing".into()))?;
    serde_json::from_slice(part).map_err(|error| Garbled(error.to_string()))
}

pub(crate) fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Garbled> {
    text.parse()
        .map_err(|error: T::Err| Garbled(error.to_string()))
}

fn parse_some<T: FromStr<Err: std::fmt::Display>>(
    text: Option<&String>,
) -> Result<Option<T>, Garbled> {
    text.map(|text| parse(text)).transpose()
}

impl From<WireError> for Garbled {
    fn from(error: WireError) -> Self {
        Self(error.to_string())
    }
}

impl TraceLine {
    pub(crate) fn of(trace: &TraceContext) -> Self {
        Self {
            traceparent: trace.traceparent.clone(),
            tracestate: trace.tracestate.clone(),
        }
    }

    pub(crate) fn read(self) -> TraceContext {
        TraceContext {
            traceparent: self.traceparent,
            tracestate: self.tracestate,
        }
    }
}

impl WaitLine {
    pub(crate) fn of(wait: Wait) -> Self {
        // Rounded up: a wait is never cut short on its way.
        let millis =
            |wait: Duration| u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        Self {
            at_least_ms: millis(wait.at_least),
            at_most_ms: millis(wait.at_most),
        }
    }

    pub(crate) fn read(self) -> Wait {
        Wait {
            at_least: Duration::from_millis(self.at_least_ms),
            at_most: Duration::from_millis(self.at_most_ms),
        }
    }
}

impl MarkLine {
    pub(crate) fn of(mark: EventMark) -> Self {
        Self {
            dispatched_at: mark.dispatched_at,
            deliveries: mark.deliveries,
        }
    }

    pub(crate) fn read(self) -> EventMark {
        EventMark {
            dispatched_at: self.dispatched_at,
            deliveries: self.deliveries,
        }
    }
}

impl DepthLine {
    pub(crate) fn of(depth: ringback_delivery::port::Depth) -> Self {
        Self {
            queue: depth.queue.as_str().to_owned(),
            waiting: depth.waiting,
            consumers: depth.consumers,
            unacknowledged: depth.unacknowledged,
            due_soon: depth.due_soon,
        }
    }

    pub(crate) fn read(self) -> Result<ringback_delivery::port::Depth, Garbled> {
        const ALL: [QueueName; 5] = [
            QueueName::Events,
            QueueName::Deliveries(Lane::Main),
            QueueName::Deliveries(Lane::Slow),
            QueueName::Delayed,
            QueueName::Parked,
        ];
        let queue = ALL.into_iter().find(|name| name.as_str() == self.queue);
        let queue = queue.ok_or_else(|| Garbled(format!("no queue `{}`", self.queue)))?;
        Ok(ringback_delivery::port::Depth {
            queue,
            waiting: self.waiting,
            consumers: self.consumers,
            unacknowledged: self.unacknowledged,
            due_soon: self.due_soon,
        })
    }
}

impl HealthLine {
    pub(crate) fn of(health: StoreHealth) -> Self {
        let StoreHealth {
            product,
            clock_skew_ms,
            findings,
        } = health;
        Self {
            product,
            clock_skew_ms,
            findings,
        }
    }

    pub(crate) fn read(self) -> StoreHealth {
        let Self {
            product,
            clock_skew_ms,
            findings,
        } = self;
        StoreHealth {
            product,
            clock_skew_ms,
            findings,
        }
    }
}

impl DeliveryFilterLine {
    pub(crate) fn of(filter: &DeliveryFilter) -> Self {
        Self {
            project: filter.project.as_ref().map(ToString::to_string),
            event: filter.event.as_ref().map(ToString::to_string),
            job: filter.job.as_ref().map(ToString::to_string),
            destination: filter.destination.as_ref().map(ToString::to_string),
            state: filter.state.clone(),
            since: filter.since,
            until: filter.until,
        }
    }

    pub(crate) fn read(self) -> Result<DeliveryFilter, Garbled> {
        Ok(DeliveryFilter {
            project: parse_some(self.project.as_ref())?,
            event: parse_some(self.event.as_ref())?,
            job: parse_some(self.job.as_ref())?,
            destination: parse_some(self.destination.as_ref())?,
            state: self.state,
            since: self.since,
            until: self.until,
        })
    }
}

impl DeadLetterFilterLine {
    pub(crate) fn of(filter: &DeadLetterFilter) -> Self {
        Self {
            project: filter.project.as_ref().map(ToString::to_string),
            destination: filter.destination.as_ref().map(ToString::to_string),
            event_type: filter.event_type.as_ref().map(ToString::to_string),
            job: filter.job.as_ref().map(ToString::to_string),
            cause: filter.cause.clone(),
            reason: filter.reason.map(|reason| reason.class().to_owned()),
            since: filter.since,
            until: filter.until,
            include_disposed: filter.include_disposed,
            any_of: filter
                .any_of
                .as_ref()
                .map(|marks| marks.iter().map(MarkedByLine::of).collect()),
        }
    }

    pub(crate) fn read(self) -> Result<DeadLetterFilter, Garbled> {
        Ok(DeadLetterFilter {
            project: parse_some(self.project.as_ref())?,
            destination: parse_some(self.destination.as_ref())?,
            event_type: parse_some(self.event_type.as_ref())?,
            job: parse_some(self.job.as_ref())?,
            cause: self.cause,
            reason: parse_some(self.reason.as_ref())?,
            since: self.since,
            until: self.until,
            include_disposed: self.include_disposed,
            any_of: self
                .any_of
                .map(|marks| marks.into_iter().map(MarkedByLine::read).collect())
                .transpose()?,
        })
    }
}

impl MarkedByLine {
    fn of(mark: &DeadLetterMark) -> Self {
        match mark {
            DeadLetterMark::Cause(cause) => Self::Cause(cause.clone()),
            DeadLetterMark::Event(event) => Self::Event(event.to_string()),
            DeadLetterMark::Job(job) => Self::Job(job.to_string()),
        }
    }

    fn read(self) -> Result<DeadLetterMark, Garbled> {
        Ok(match self {
            Self::Cause(cause) => DeadLetterMark::Cause(cause),
            Self::Event(event) => DeadLetterMark::Event(parse(&event)?),
            Self::Job(job) => DeadLetterMark::Job(parse(&job)?),
        })
    }
}

impl GroupFilterLine {
    pub(crate) fn of(filter: &GroupFilter) -> Self {
        Self {
            project: filter.project.as_ref().map(ToString::to_string),
            destination: filter.destination.as_ref().map(ToString::to_string),
            cause: filter.cause.clone(),
            words: filter.words.clone(),
            by_count: filter.order == GroupOrder::Count,
            after: filter.after.clone().map(|Cursor(text)| text),
        }
    }

    pub(crate) fn read(self) -> Result<GroupFilter, Garbled> {
        Ok(GroupFilter {
            project: parse_some(self.project.as_ref())?,
            destination: parse_some(self.destination.as_ref())?,
            cause: self.cause,
            words: self.words,
            order: if self.by_count {
                GroupOrder::Count
            } else {
                GroupOrder::LastDied
            },
            after: self.after.map(Cursor),
        })
    }
}

impl TrafficOfLine {
    pub(crate) fn of(of: &TrafficOf) -> Self {
        match of {
            TrafficOf::Everything => Self::Everything,
            TrafficOf::Project(project) => Self::Project(project.to_string()),
            TrafficOf::Destination(destination) => Self::Destination(destination.to_string()),
            TrafficOf::Callbacks(project) => Self::Callbacks(project.to_string()),
        }
    }

    pub(crate) fn read(self) -> Result<TrafficOf, Garbled> {
        Ok(match self {
            Self::Everything => TrafficOf::Everything,
            Self::Project(project) => TrafficOf::Project(parse(&project)?),
            Self::Destination(destination) => TrafficOf::Destination(parse(&destination)?),
            Self::Callbacks(project) => TrafficOf::Callbacks(parse(&project)?),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct RecordLine {
    head: Box<RawValue>,
    generation: u32,
    state: String,
    attempts: Vec<Box<RawValue>>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

fn raw(json: Vec<u8>) -> Box<RawValue> {
    let text = String::from_utf8(json).expect("JSON is text");
    RawValue::from_string(text).expect("it was written as JSON")
}

/// A group as one part.
pub(crate) fn group_part(found: &DeadLetterGroup) -> Bytes {
    let acknowledgement = found.acknowledgement.as_ref();
    to_part(&GroupLine {
        head: raw(group::encode_head(&found.head)),
        open_count: found.open_count,
        first_died_at: found.first_died_at,
        last_died_at: found.last_died_at,
        sample: found.sample.to_string(),
        acknowledgement: acknowledgement.map(|known| raw(group::encode_acknowledgement(known))),
    })
}

/// Reads a group.
pub(crate) fn group_of(part: &Bytes) -> Result<DeadLetterGroup, Garbled> {
    let line: GroupLine = of_part(Some(part))?;
    let acknowledgement = line
        .acknowledgement
        .map(|record| group::decode_acknowledgement(record.get().as_bytes()));
    Ok(DeadLetterGroup {
        head: group::decode_head(line.head.get().as_bytes())?,
        open_count: line.open_count,
        first_died_at: line.first_died_at,
        last_died_at: line.last_died_at,
        sample: parse(&line.sample)?,
        acknowledgement: acknowledgement.transpose()?,
    })
}

/// A delivery's record as one part.
pub(crate) fn record_part(found: &DeliveryRecord) -> Bytes {
    to_part(&RecordLine {
        head: raw(record::encode_head_of_record(found)),
        generation: found.generation.get(),
        state: record::encode_state(&found.state),
        attempts: found
            .attempts
            .iter()
            .map(|attempt| raw(record::encode_attempt(attempt)))
            .collect(),
        created_at: found.created_at,
        updated_at: found.updated_at,
    })
}

/// Reads a delivery's record.
pub(crate) fn record_of(part: &Bytes) -> Result<DeliveryRecord, Garbled> {
    let line: RecordLine = of_part(Some(part))?;
    let head = record::decode_record_head(line.head.get().as_bytes())?;
    let attempts = line
        .attempts
        .iter()
        .map(|attempt| record::decode_attempt(attempt.get().as_bytes()));
    Ok(DeliveryRecord {
        id: head.id,
        event: head.event,
        destination: head.destination,
        profile: head.profile,
        generation: Generation::new(line.generation),
        state: record::decode_state(&line.state)?,
        attempts: attempts.collect::<Result<_, _>>()?,
        created_at: line.created_at,
        updated_at: line.updated_at,
    })
}
