//! What comes out of queues and stores: what can be read is written again, and read as the same.

use bytes::Bytes;
use ringback_wire::{api_key as keys, delivery as deliveries, record as records};
use std::fmt::Debug;

/// Reading is undone by writing, from the second time on: a record of an older form is written in today's.
fn assert_survives<T: Debug, E: Debug>(
    value: &T,
    encode: impl Fn(&T) -> Bytes,
    decode: impl Fn(&Bytes) -> Result<T, E>,
) {
    let written = encode(value);
    let read = decode(&written).expect("what was written can be read");
    assert_eq!(format!("{read:?}"), format!("{value:?}"));
    assert_eq!(encode(&read), written);
}

pub(crate) fn delivery(bytes: &[u8]) {
    let message = Bytes::copy_from_slice(bytes);
    if let Ok(delivery) = deliveries::decode(&message) {
        assert_survives(&delivery, deliveries::encode, deliveries::decode);
    }
    if let Err(unreadable) = deliveries::read_message(&message) {
        assert!(!unreadable.why.is_empty());
    }
}

pub(crate) fn dead_letter(bytes: &[u8]) {
    if let Ok(dead_letter) = records::decode_dead_letter(&Bytes::copy_from_slice(bytes)) {
        let encode = |dead_letter: &_| {
            records::encode_dead_letter(dead_letter).expect("what was read can be written")
        };
        assert_survives(&dead_letter, encode, records::decode_dead_letter);
    }
}

pub(crate) fn webhook(bytes: &[u8]) {
    if let Ok(webhook) = records::decode_webhook(bytes) {
        let encode = |webhook: &_| records::encode_webhook(webhook).into();
        assert_survives(&webhook, encode, |bytes| records::decode_webhook(bytes));
    }
}

pub(crate) fn api_key(bytes: &[u8]) {
    if let Ok(key) = keys::decode(bytes) {
        let encode = |key: &_| keys::encode(key).into();
        assert_survives(&key, encode, |bytes| keys::decode(bytes));
    }
}

/// The pieces that stores keep one by one.
pub(crate) fn record(bytes: &[u8]) {
    let _ = records::decode_record_head(bytes).map(|head| format!("{head:?}"));
    if let Ok(attempt) = records::decode_attempt(bytes) {
        let encode = |attempt: &_| records::encode_attempt(attempt).into();
        assert_survives(&attempt, encode, |bytes| records::decode_attempt(bytes));
    }
    if let Ok(disposal) = records::decode_disposal(bytes) {
        let encode = |disposal: &_| records::encode_disposal(disposal).into();
        assert_survives(&disposal, encode, |bytes| records::decode_disposal(bytes));
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(state) = records::decode_state(text) {
        let encode = |state: &_| records::encode_state(state).into();
        assert_survives(&state, encode, |bytes| {
            records::decode_state(str::from_utf8(bytes).expect("it was text"))
        });
    }
}
