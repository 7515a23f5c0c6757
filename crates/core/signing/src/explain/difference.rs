//! Where two bodies part.

/// Bytes shown before and after the first that differs.
const SHOWN_BEFORE: usize = 24;
const SHOWN_AFTER: usize = 24;

/// The first byte at which two bodies differ, and what stands there in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Bytes that are the same; the next differs.
    pub offset: usize,
    /// Its line in the body at hand; the first is 1.
    pub line: usize,
    /// Its byte in that line; the first is 1.
    pub column: usize,
    /// Bytes of the body that was sent.
    pub original_bytes: usize,
    /// Bytes of the body at hand.
    pub body_bytes: usize,
    /// What both have just before.
    pub before: Vec<u8>,
    /// What follows in the body that was sent.
    pub original: Vec<u8>,
    /// What follows in the body at hand.
    pub body: Vec<u8>,
}

impl Difference {
    /// Of two bodies that differ.
    pub(super) fn between(original: &[u8], body: &[u8]) -> Self {
        let same = original.iter().zip(body).take_while(|(a, b)| a == b);
        let offset = same.count();
        let start_of_line = body[..offset]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = body[..offset].iter().filter(|byte| **byte == b'\n');
        let after = |bytes: &[u8]| bytes[offset..bytes.len().min(offset + SHOWN_AFTER)].to_vec();
        Self {
            offset,
            line: lines.count() + 1,
            column: offset - start_of_line + 1,
            original_bytes: original.len(),
            body_bytes: body.len(),
            before: body[offset.saturating_sub(SHOWN_BEFORE)..offset].to_vec(),
            original: after(original),
            body: after(body),
        }
    }
}
