//! Messages as bytes in the file. A delivery carries its trace inside; before an event's document stands the producer's.

use super::lanes::LaneName;
use bytes::{BufMut, Bytes, BytesMut};
use ringback_delivery::port::{ParkedContent, ParkedMessage, Unreadable};
use ringback_domain::{Delivery, Event, Timestamp, TraceContext};
use ringback_wire as wire;

/// What a message says, and its trace.
pub(super) type Content<T> = (Result<T, Unreadable>, Option<TraceContext>);

/// Before the moment of an event's acceptance, where that is known. Messages of earlier releases begin with a length.
const ACCEPTED: u32 = u32::MAX;

/// The document, preceded by the moment of its acceptance in milliseconds, if that is known, and by the trace: two texts, each
/// with its length before it, the second empty without a `tracestate`.
pub(super) fn envelope(
    document: &[u8],
    accepted_at: Option<Timestamp>,
    trace: Option<&TraceContext>,
) -> Bytes {
    let parent = trace.map_or("", |trace| &trace.traceparent);
    let state = trace
        .and_then(|trace| trace.tracestate.as_deref())
        .unwrap_or_default();
    let mut message = BytesMut::with_capacity(20 + parent.len() + state.len() + document.len());
    if let Some(moment) = accepted_at {
        message.put_u32_le(ACCEPTED);
        message.put_i64_le(moment.as_millisecond());
    }
    for text in [parent, state] {
        let length = u32::try_from(text.len()).expect("far below 4 GiB, being a header");
        message.put_u32_le(length);
        message.put_slice(text.as_bytes());
    }
    message.put_slice(document);
    message.freeze()
}

/// A message's document, and what preceded it.
#[derive(Debug, PartialEq, Eq)]
struct Opened {
    accepted_at: Option<Timestamp>,
    trace: Option<TraceContext>,
    document: Bytes,
}

fn try_open(message: &Bytes) -> Option<Opened> {
    let mut reader = crate::bytes_of::Reader(message);
    let mut accepted_at = None;
    if message.starts_with(&ACCEPTED.to_le_bytes()) {
        reader.u32()?;
        let millisecond = i64::from_le_bytes(reader.u64()?.to_le_bytes());
        accepted_at = Some(Timestamp::from_millisecond(millisecond).ok()?);
    }
    let (parent, state) = (reader.text()?, reader.text()?);
    let trace = (!parent.is_empty()).then(|| TraceContext {
        traceparent: parent.to_owned(),
        tracestate: (!state.is_empty()).then(|| state.to_owned()),
    });
    Some(Opened {
        accepted_at,
        trace,
        document: message.slice_ref(reader.0),
    })
}

/// The message whole, if what precedes its document cannot be read.
fn open(message: &Bytes) -> Opened {
    try_open(message).unwrap_or_else(|| Opened {
        accepted_at: None,
        trace: None,
        document: message.clone(),
    })
}

pub(super) fn read_event(_: LaneName, message: &Bytes) -> Content<Event> {
    let opened = open(message);
    let event = wire::event::read(&opened.document, None).map(|event| Event {
        accepted_at: opened.accepted_at,
        ..event
    });
    (event, opened.trace)
}

pub(super) fn read_delivery(_: LaneName, message: &Bytes) -> Content<Delivery> {
    (wire::delivery::read_message(message), None)
}

pub(super) fn read_parked(from: LaneName, message: &Bytes) -> Content<ParkedMessage> {
    let content = match from {
        LaneName::Events => {
            let document = open(message).document;
            match wire::event::parse_accepted(&document) {
                Ok(event) => ParkedContent::Event(Box::new(event)),
                Err(_) => ParkedContent::Raw(wire::event::redact(&document)),
            }
        }
        _ => match wire::delivery::decode(message) {
            Ok(delivery) => ParkedContent::Delivery(Box::new(delivery)),
            Err(_) => ParkedContent::Raw(wire::event::redact(message)),
        },
    };
    let from = from.queue();
    (Ok(ParkedMessage { from, content }), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parked_event_that_cannot_be_read_is_handed_on_without_its_secret() {
        let event =
            br#"{"id":"evt_1","callback":{"url":"https://a.example/","secret":"hunter2hunter2"}}"#;
        let (parked, _) = read_parked(LaneName::Events, &envelope(event, None, None));
        let ParkedContent::Raw(bytes) = parked.unwrap().content else {
            panic!("half of its members are missing")
        };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(
            text.contains("evt_1") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn moment_trace_and_any_document_come_apart_again() {
        let with_state = TraceContext {
            traceparent: "00-1-2-01".into(),
            tracestate: Some("a=1".into()),
        };
        let without_state = TraceContext {
            tracestate: None,
            ..with_state.clone()
        };
        let moment = Timestamp::from_millisecond(-1_500).unwrap();
        for trace in [None, Some(with_state), Some(without_state)] {
            for accepted_at in [None, Some(moment)] {
                for text in [&b""[..], b"{}", b"\0\0\0\0\xff", b"\xff\xff\xff\xff"] {
                    let expected = Opened {
                        accepted_at,
                        trace: trace.clone(),
                        document: Bytes::from(text),
                    };
                    let message = envelope(text, accepted_at, trace.as_ref());
                    assert_eq!(open(&message), expected);
                }
            }
        }
    }

    #[test]
    fn a_message_of_an_earlier_release_has_no_moment() {
        let message = Bytes::from_static(b"\x01\0\0\0p\0\0\0\0{}");
        let opened = open(&message);
        assert_eq!(opened.accepted_at, None);
        assert_eq!(opened.trace.unwrap().traceparent, "p");
        assert_eq!(opened.document, "{}");
    }

    #[test]
    fn bytes_of_another_making_are_handed_on_whole() {
        for foreign in [&b"\xff\xff\xff\xff{}"[..], &[0xff; 30]] {
            let foreign = Bytes::from_static(foreign);
            assert_eq!(open(&foreign).document, foreign);
        }
    }
}
