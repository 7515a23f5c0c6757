//! Messages as bytes in the file. A delivery carries its trace inside; before an event's document stands the producer's.

use super::lanes::LaneName;
use bytes::{BufMut, Bytes, BytesMut};
use ringback_delivery::port::{ParkedContent, ParkedMessage, Unreadable};
use ringback_domain::{Delivery, Event, TraceContext};
use ringback_wire as wire;

/// What a message says, and its trace.
pub(super) type Content<T> = (Result<T, Unreadable>, Option<TraceContext>);

/// The document, preceded by the trace: two texts, each with its length before it, the second empty without a `tracestate`.
pub(super) fn with_trace(document: &[u8], trace: Option<&TraceContext>) -> Bytes {
    let parent = trace.map_or("", |trace| &trace.traceparent);
    let state = trace
        .and_then(|trace| trace.tracestate.as_deref())
        .unwrap_or_default();
    let mut message = BytesMut::with_capacity(8 + parent.len() + state.len() + document.len());
    for text in [parent, state] {
        let length = u32::try_from(text.len()).expect("far below 4 GiB, being a header");
        message.put_u32_le(length);
        message.put_slice(text.as_bytes());
    }
    message.put_slice(document);
    message.freeze()
}

fn split_trace(message: &Bytes) -> Option<(Option<TraceContext>, Bytes)> {
    let mut reader = crate::bytes_of::Reader(message);
    let (parent, state) = (reader.text()?, reader.text()?);
    let trace = (!parent.is_empty()).then(|| TraceContext {
        traceparent: parent.to_owned(),
        tracestate: (!state.is_empty()).then(|| state.to_owned()),
    });
    Some((trace, message.slice_ref(reader.0)))
}

/// Without its trace, if what precedes it is one.
fn document(message: &Bytes) -> (Option<TraceContext>, Bytes) {
    split_trace(message).unwrap_or_else(|| (None, message.clone()))
}

pub(super) fn read_event(_: LaneName, message: &Bytes) -> Content<Event> {
    let (trace, document) = document(message);
    (wire::event::read(&document, None), trace)
}

pub(super) fn read_delivery(_: LaneName, message: &Bytes) -> Content<Delivery> {
    (wire::delivery::read_message(message), None)
}

pub(super) fn read_parked(from: LaneName, message: &Bytes) -> Content<ParkedMessage> {
    let content = match from {
        LaneName::Events => {
            let document = document(message).1;
            match wire::event::parse(&document) {
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
        let (parked, _) = read_parked(LaneName::Events, &with_trace(event, None));
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
    fn a_trace_and_any_document_come_apart_again() {
        let with_state = TraceContext {
            traceparent: "00-1-2-01".into(),
            tracestate: Some("a=1".into()),
        };
        let without_state = TraceContext {
            tracestate: None,
            ..with_state.clone()
        };
        for trace in [None, Some(with_state), Some(without_state)] {
            for text in [&b""[..], b"{}", b"\0\0\0\0\xff"] {
                let message = with_trace(text, trace.as_ref());
                assert_eq!(document(&message), (trace.clone(), Bytes::from(text)));
            }
        }
    }

    #[test]
    fn bytes_of_another_making_are_handed_on_whole() {
        let foreign = Bytes::from_static(b"\xff\xff\xff\xff{}");
        assert_eq!(document(&foreign), (None, foreign.clone()));
    }
}
