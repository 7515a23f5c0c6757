//! Messages of the queue, written and read, in bytes a second.

use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use ringback_domain::Delivery;
use ringback_testkit::samples;
use ringback_wire::{delivery, event};

/// Sizes of a body: a small one, a usual one, the largest accepted.
const SIZES: [usize; 3] = [512, 4 * 1024, 256 * 1024];

fn main() {
    divan::main();
}

fn delivery_of(body_bytes: usize) -> Delivery {
    Delivery {
        body: vec![b'x'; body_bytes].into(),
        ..samples::delivery()
    }
}

#[divan::bench(args = SIZES)]
fn delivery_written(bencher: Bencher<'_, '_>, size: usize) {
    let written = delivery_of(size);
    bencher
        .counter(BytesCount::of_slice(&delivery::encode(&written)))
        .bench(|| delivery::encode(&written));
}

#[divan::bench(args = SIZES)]
fn delivery_read(bencher: Bencher<'_, '_>, size: usize) {
    let message = delivery::encode(&delivery_of(size));
    bencher
        .counter(BytesCount::of_slice(&message))
        .bench(|| delivery::decode(&message));
}

/// As a producer sends it, of about this many bytes.
fn event_of(bytes: usize) -> Bytes {
    let document = samples::event().document;
    let open = document.strip_suffix(b"}}").expect("data come last");
    let text = "x".repeat(bytes - document.len() - 16);
    let message: Bytes = [open, format!(r#","more":"{text}"}}}}"#).as_bytes()]
        .concat()
        .into();
    assert!(event::read(&message, None).is_ok());
    message
}

#[divan::bench(args = SIZES)]
fn event_read(bencher: Bencher<'_, '_>, size: usize) {
    let message = event_of(size);
    bencher
        .counter(BytesCount::of_slice(&message))
        .bench(|| event::read(&message, None));
}
