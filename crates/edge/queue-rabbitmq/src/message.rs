//! The outside of a message: its properties, and what the broker writes into them.

use crate::topology::Names;
use bytes::Bytes;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use ringback_delivery::port::{Lane, ParkedContent, ParkedMessage, QueueName, Unreadable};
use ringback_domain::{Delivery, Event, Timestamp, TraceContext};
use ringback_wire::{delivery, event};

/// AMQP's own `timestamp` has whole seconds; this is what RabbitMQ's interceptors write beside it.
const ACCEPTED_HEADER: &str = "timestamp_in_ms";
/// AMQP's number for a message that is kept on disk.
const PERSISTENT: u8 = 2;
/// Long enough for every version of the trace context standard; beyond it, a header is somebody's mistake.
const TRACE_BYTES_MAX: usize = 512;

/// A message of ours, before it is published.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    pub(crate) id: String,
    pub(crate) content_type: &'static str,
    pub(crate) trace: Option<TraceContext>,
    /// When what it says was accepted.
    pub(crate) accepted_at: Option<Timestamp>,
    /// Where to say that it was taken.
    pub(crate) reply_to: Option<String>,
    pub(crate) body: Bytes,
}

impl Message {
    /// Made afresh for every publish: a message that carries headers the broker wrote on an earlier trip is dropped silently.
    pub(crate) fn properties(&self) -> BasicProperties {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(self.content_type.into())
            .with_message_id(self.id.as_str().into());
        if let Some(reply_to) = &self.reply_to {
            properties = properties.with_reply_to(reply_to.as_str().into());
        }
        let mut headers = FieldTable::default();
        if let Some(moment) = self.accepted_at {
            headers.insert(
                ACCEPTED_HEADER.into(),
                AMQPValue::LongLongInt(moment.as_millisecond()),
            );
        }
        let trace = self.trace.as_ref();
        if let Some(trace) = trace.filter(|trace| is_header_text(&trace.traceparent)) {
            headers.insert(
                "traceparent".into(),
                AMQPValue::LongString(trace.traceparent.as_str().into()),
            );
            let state = trace.tracestate.as_ref();
            if let Some(state) = state.filter(|state| is_header_text(state)) {
                headers.insert(
                    "tracestate".into(),
                    AMQPValue::LongString(state.as_str().into()),
                );
            }
        }
        if headers.inner().is_empty() {
            return properties;
        }
        properties.with_headers(headers)
    }
}

/// The trace a message carries, if it is one.
pub(crate) fn trace_of(properties: &BasicProperties) -> Option<TraceContext> {
    let headers = properties.headers().as_ref()?;
    let header = |key| {
        text(headers, key)
            .filter(|value| is_header_text(value))
            .map(str::to_owned)
    };
    Some(TraceContext {
        traceparent: header("traceparent")?,
        tracestate: header("tracestate"),
    })
}

fn is_header_text(value: &str) -> bool {
    (1..=TRACE_BYTES_MAX).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

/// How the content of a queue is read.
pub(crate) type Read<T> = fn(&Names, &BasicProperties, &Bytes) -> Result<T, Unreadable>;

pub(crate) fn read_event(
    _: &Names,
    properties: &BasicProperties,
    bytes: &Bytes,
) -> Result<Event, Unreadable> {
    let sent_at = sent_at(properties);
    let event = event::read(bytes, sent_at)?;
    Ok(Event {
        accepted_at: accepted_at(properties).or(sent_at),
        ..event
    })
}

pub(crate) fn read_delivery(
    _: &Names,
    _: &BasicProperties,
    bytes: &Bytes,
) -> Result<Delivery, Unreadable> {
    delivery::read_message(bytes)
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every `Read`")]
pub(crate) fn read_parked(
    names: &Names,
    properties: &BasicProperties,
    bytes: &Bytes,
) -> Result<ParkedMessage, Unreadable> {
    let content = match (
        delivery::decode(bytes),
        read_event(names, properties, bytes),
    ) {
        (Ok(delivery), _) => ParkedContent::Delivery(Box::new(delivery)),
        (Err(_), Ok(event)) => ParkedContent::Event(Box::new(event)),
        (Err(_), Err(unreadable)) => ParkedContent::Raw(unreadable.bytes),
    };
    // Someone may have moved it here by hand; then its content has to tell.
    let from = parked_from(names, properties).unwrap_or(match &content {
        ParkedContent::Delivery(_) => QueueName::Deliveries(Lane::Main),
        ParkedContent::Event(_) | ParkedContent::Raw(_) => QueueName::Events,
    });
    Ok(ParkedMessage { from, content })
}

/// When a message was sent, by its `timestamp` property: whole seconds, as AMQP has it. A number that is no such moment, such
/// as one of milliseconds, says nothing.
fn sent_at(properties: &BasicProperties) -> Option<Timestamp> {
    let seconds = i64::try_from((*properties.timestamp())?).ok()?;
    Timestamp::from_second(seconds).ok()
}

/// When a message was accepted, to the millisecond, where it says so.
fn accepted_at(properties: &BasicProperties) -> Option<Timestamp> {
    let headers = properties.headers().as_ref()?;
    match headers.inner().get(ACCEPTED_HEADER)? {
        AMQPValue::LongLongInt(millisecond) => Timestamp::from_millisecond(*millisecond).ok(),
        _ => None,
    }
}

/// The queue that gave it up. A retried delivery has the rungs of the delay ladder among its deaths, and the first death is one
/// of those; so the last counts, which new brokers name outright and older ones list first.
fn parked_from(names: &Names, properties: &BasicProperties) -> Option<QueueName> {
    let headers = properties.headers().as_ref()?;
    let deaths = match headers.inner().get("x-death") {
        Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice(),
        _ => &[],
    };
    let deaths = deaths.iter().filter_map(|death| match death {
        AMQPValue::FieldTable(death) => text(death, "queue"),
        _ => None,
    });
    text(headers, "x-last-death-queue")
        .into_iter()
        .chain(deaths)
        .chain(text(headers, "x-first-death-queue"))
        .filter_map(|queue| names.read(queue))
        .find(|queue| !matches!(queue, QueueName::Delayed | QueueName::Parked))
}

fn text<'a>(table: &'a FieldTable, key: &str) -> Option<&'a str> {
    match table.inner().get(key)? {
        AMQPValue::LongString(value) => std::str::from_utf8(value.as_bytes()).ok(),
        AMQPValue::ShortString(value) => Some(value.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(&ringback_prefix())
    }

    fn ringback_prefix() -> crate::Prefix {
        crate::Prefix::default()
    }

    fn headers(entries: Vec<(&str, AMQPValue)>) -> BasicProperties {
        let mut table = FieldTable::default();
        for (key, value) in entries {
            table.insert(key.into(), value);
        }
        BasicProperties::default().with_headers(table)
    }

    fn long(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn deaths(queues: &[&str]) -> AMQPValue {
        let deaths: Vec<_> = queues
            .iter()
            .map(|queue| {
                let mut death = FieldTable::default();
                death.insert("queue".into(), long(queue));
                AMQPValue::FieldTable(death)
            })
            .collect();
        AMQPValue::FieldArray(deaths.into())
    }

    #[test]
    fn what_cannot_be_handled_is_handed_on_without_its_secrets() {
        let event = Bytes::from_static(
            br#"{"id":"evt_1","callback":{"url":"https://a.example/","secret":"hunter2hunter2"}}"#,
        );
        let none = BasicProperties::default();
        let unreadable = read_event(&names(), &none, &event).unwrap_err();
        let delivery = read_delivery(&names(), &none, &event).unwrap_err();
        let parked = read_parked(&names(), &none, &event).unwrap();
        let ParkedContent::Raw(parked) = parked.content else {
            panic!("half of its members are missing")
        };
        for bytes in [unreadable.bytes, delivery.bytes, parked] {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.contains("evt_1"), "{text}");
        }
    }

    #[test]
    fn an_event_without_a_moment_happened_when_its_message_was_sent() {
        let event = Bytes::from_static(
            br#"{"id":"evt_1","project":"acme","type":"t","job":{"id":"j"},"occurred_at":null}"#,
        );
        let read = |properties| read_event(&names(), &properties, &event).unwrap();
        let sent = || BasicProperties::default().with_timestamp(1_780_308_090);
        let (first, again) = (read(sent()), read(sent()));
        assert_eq!(
            first.document,
            r#"{"id":"evt_1","project":"acme","type":"t","job":{"id":"j"},"occurred_at":"2026-06-01T10:01:30.000Z"}"#
        );
        assert_eq!(again.document, first.document);
        for silent in [
            BasicProperties::default(),
            BasicProperties::default().with_timestamp(1_780_308_090_250),
            BasicProperties::default().with_timestamp(u64::MAX),
        ] {
            assert_eq!(read(silent).occurred_at, None);
        }
    }

    #[test]
    fn an_event_was_accepted_when_its_message_says_to_the_second_or_better() {
        let event = Bytes::from_static(
            br#"{"id":"evt_1","project":"acme","type":"t","job":{"id":"j"},"occurred_at":"2026-06-01T10:00:00Z"}"#,
        );
        let moment = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let in_ms = |value| headers(vec![("timestamp_in_ms", value)]);
        for (properties, expected) in [
            (BasicProperties::default(), None),
            (
                BasicProperties::default().with_timestamp(1_780_308_090),
                moment("2026-06-01T10:01:30Z"),
            ),
            (
                in_ms(AMQPValue::LongLongInt(1_780_308_090_250)).with_timestamp(1_780_308_090),
                moment("2026-06-01T10:01:30.250Z"),
            ),
            (in_ms(AMQPValue::LongLongInt(i64::MAX)), None),
            (in_ms(long("1780308090250")), None),
        ] {
            let read = read_event(&names(), &properties, &event).unwrap();
            assert_eq!(read.accepted_at, expected, "{properties:?}");
            assert_eq!(read.occurred_at, moment("2026-06-01T10:00:00Z"));
        }
    }

    #[test]
    fn the_last_queue_that_is_no_rung_is_where_a_parked_message_came_from() {
        let retried = [
            "ringback.deliveries.slow",
            "ringback.delay.0.1",
            "ringback.delay.2.1",
        ];
        for (properties, expected) in [
            (BasicProperties::default(), None),
            (
                headers(vec![("x-first-death-queue", long("ringback.events"))]),
                Some(QueueName::Events),
            ),
            (
                headers(vec![
                    ("x-first-death-queue", long("ringback.delay.2.1")),
                    ("x-death", deaths(&retried)),
                ]),
                Some(QueueName::Deliveries(Lane::Slow)),
            ),
            (
                headers(vec![
                    ("x-last-death-queue", long("ringback.deliveries")),
                    ("x-death", deaths(&["ringback.events"])),
                ]),
                Some(QueueName::Deliveries(Lane::Main)),
            ),
            (headers(vec![("x-death", AMQPValue::LongInt(5))]), None),
            (headers(vec![("x-death", deaths(&["other.events"]))]), None),
        ] {
            assert_eq!(
                parked_from(&names(), &properties),
                expected,
                "{properties:?}"
            );
        }
    }

    #[test]
    fn a_trace_is_carried_over_and_a_hostile_one_is_left_out() {
        let message = |traceparent: &str, tracestate: Option<&str>| Message {
            exchange: String::new(),
            routing_key: String::new(),
            id: "evt_1".to_owned(),
            content_type: "application/json",
            trace: Some(TraceContext {
                traceparent: traceparent.to_owned(),
                tracestate: tracestate.map(str::to_owned),
            }),
            accepted_at: None,
            reply_to: None,
            body: Bytes::new(),
        };
        let good = message(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            Some("a=b"),
        );
        assert_eq!(trace_of(&good.properties()), good.trace);
        let half = message("00-0af7", Some("a\r\nb"));
        assert_eq!(trace_of(&half.properties()).unwrap().tracestate, None);
        for hostile in ["", "a\nb", "é", &"x".repeat(513)] {
            assert!(
                message(hostile, None).properties().headers().is_none(),
                "{hostile:?}"
            );
        }
        assert_eq!(
            trace_of(&headers(vec![("traceparent", AMQPValue::Boolean(true))])),
            None
        );
    }

    #[test]
    fn properties_are_persistent_and_name_the_message() {
        let message = Message {
            exchange: "e".to_owned(),
            routing_key: "k".to_owned(),
            id: "evt_1".to_owned(),
            content_type: "application/json",
            trace: None,
            accepted_at: None,
            reply_to: None,
            body: Bytes::new(),
        };
        let properties = message.properties();
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "evt_1");
        assert!(properties.headers().is_none());
    }
}
