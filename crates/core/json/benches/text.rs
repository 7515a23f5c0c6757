//! Reading and mapping JSON text, in bytes a second.

use divan::{Bencher, counter::BytesCount};
use ringback_json::{Limits, check, fixed_point, members};

const LIMITS: Limits = Limits {
    bytes_max: 1 << 20,
    depth_max: 64,
};

/// Sizes of an event: a small one, a usual one, the largest accepted.
const SIZES: [usize; 3] = [512, 4 * 1024, 256 * 1024];

fn main() {
    divan::main();
}

/// A job event of about this many bytes, as producers write them.
fn event(bytes: usize) -> Vec<u8> {
    let head = r#"{"id":"evt_1","project":"acme","type":"task.completed","job":{"id":"task_1"},"data":{"items":["#;
    let item = r#"{"url": "https://cdn.example/r.mp4?a=1&b=2", "duration": 87.5, "size_bytes": 12582912, "title": "Caf\u00e9 \"é\"", "ok": true, "n": null}"#;
    let count = (bytes.saturating_sub(head.len()) / (item.len() + 1)).max(1);
    format!("{head}{}]}}}}", vec![item; count].join(",")).into_bytes()
}

#[divan::bench(args = SIZES)]
fn checked(bencher: Bencher<'_, '_>, size: usize) {
    let text = event(size);
    bencher
        .counter(BytesCount::of_slice(&text))
        .bench(|| check(&text, LIMITS));
}

#[divan::bench(args = SIZES)]
fn cut_into_members(bencher: Bencher<'_, '_>, size: usize) {
    let text = event(size);
    bencher
        .counter(BytesCount::of_slice(&text))
        .bench(|| members(&text, LIMITS));
}

#[divan::bench(args = SIZES)]
fn made_a_fixed_point(bencher: Bencher<'_, '_>, size: usize) {
    let text = event(size);
    bencher
        .counter(BytesCount::of_slice(&text))
        .bench(|| fixed_point(&text, LIMITS));
}
