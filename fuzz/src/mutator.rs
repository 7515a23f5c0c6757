//! Inputs made of those that were kept, by many small changes.

/// Longer inputs are cut: reading is linear, and time is better spent on other ones.
const INPUT_BYTES_MAX: usize = 4_096;
const CHANGES_MAX: usize = 8;
const REPEATS_MAX: usize = 300;

/// What readers of JSON, TOML, dates and URLs have stumbled over.
const STUMBLING_BLOCKS: [&[u8]; 48] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\u002",
    b"null",
    b"true",
    b"-0",
    b"0",
    b"1e999",
    b"1e-999",
    b"-1",
    b"18446744073709551616",
    b"9007199254740993",
    b"4294967296",
    b"65536",
    b"0.1e1",
    b"+1",
    b"NaN",
    b"{}",
    b"[]",
    b"\"\"",
    b"\"v\":2",
    b"9999-12-31T23:59:59Z",
    b"0000-00-00T00:00:00Z",
    b"@",
    b"%2e",
    b"[::1]",
    b"//",
    b"..",
    b"#",
    b"?",
    b"=",
    b"\xc3\xa4",
];

/// Makes inputs for one target, the same from the same seed.
pub struct Mutator {
    state: u64,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    /// One that changes these inputs; none is the empty one.
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Self {
            state: seed,
            corpus,
        }
    }

    /// Another input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.kept();
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn kept(&mut self) -> Vec<u8> {
        let place = self.below(self.corpus.len());
        self.corpus.get(place).cloned().unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.span(input.len());
        match self.below(7) {
            0 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                let block = STUMBLING_BLOCKS[self.below(STUMBLING_BLOCKS.len())];
                input.splice(from..from, block.iter().copied());
            }
            2 => {
                let block = STUMBLING_BLOCKS[self.below(STUMBLING_BLOCKS.len())];
                input.splice(from..to, block.iter().copied());
            }
            3 => {
                input.drain(from..to);
            }
            4 => {
                let piece = input[from..to].repeat(self.below(REPEATS_MAX) % INPUT_BYTES_MAX);
                input.splice(to..to, piece.into_iter().take(INPUT_BYTES_MAX));
            }
            5 => {
                let other = self.kept();
                let (begin, end) = self.span(other.len());
                input.splice(from..to, other[begin..end].iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(from) {
                    *byte = self.next().to_le_bytes()[0];
                }
            }
        }
    }

    /// A part of something this long; mostly a short one.
    fn span(&mut self, length: usize) -> (usize, usize) {
        let from = self.below(length + 1);
        let longest = if self.below(4) == 0 { length } else { 12 };
        let to = from + self.below(longest + 1);
        (from, to.min(length))
    }

    /// A number below the bound, or 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_makes_the_same_inputs_and_nearly_all_of_them_differ() {
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed, vec![b"{\"id\":\"evt_1\"}".to_vec()]);
            let inputs: Vec<_> = (0..500).map(|_| mutator.next_input()).collect();
            inputs
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        let different: HashSet<_> = inputs(1).into_iter().collect();
        assert!(different.len() > 400, "{}", different.len());
    }
}
