//! The lines of the log, sorted into blocks.
//!
//! Lines are appended as deliveries are settled, nearly in the order of their moments. When there are enough, whoever settled the last one
//! reads them, sorts them here, since the server would do nothing else for milliseconds, and puts the blocks in place of them. Others may
//! append meanwhile, or do the same: of two who read the same lines the first puts its blocks.

use crate::{
    RedisStore,
    claims::{limit_args, lines_per_block, log_entries_max},
    deliveries::LATE,
    key::{MOMENT_DIGITS, Shard},
    script::{MAKE_ROOM, PUT_BLOCKS},
};
use bytes::Bytes;
use redis::Cmd;
use ringback_delivery::port::StoreError;

/// Of each term, in the digest of a block. The same as in `common.lua`.
const DIGEST_CHARS: usize = 5;

/// Calls that make room for a block, at most: each forgets a block, or some of the entries that lie beside the lines, and there may be
/// nothing but those to forget.
const CALLS_PER_BLOCK: usize = 64;

/// What becomes of the lines that were read.
#[derive(Debug, PartialEq, Eq)]
struct Sorted {
    /// Each with its digest.
    blocks: Vec<(Vec<u8>, Vec<u8>)>,
    /// The last of the lines that go into these.
    last: Vec<u8>,
    /// Where that ends.
    end: usize,
    /// Lines before that which stay.
    kept: Vec<u8>,
    /// How many stay in all.
    rest: usize,
    /// Of one of the lines.
    terms: Vec<u8>,
}

impl RedisStore {
    /// Sorts what can be sorted of a shard's new lines, and makes room for others. Nothing is lost where it fails: it is tried again
    /// when there is a block more. `now`: by the server's clock, in microseconds, before this.
    pub(crate) async fn sort_lines(&self, shard: &Shard, now: u64) -> Result<(), StoreError> {
        const STEP: &str = "sort the log";
        let [log, blocks, digests, new] = shard.log_parts();
        let lines: Option<Bytes> = self.connection.send(STEP, &Cmd::get(&new)).await?;
        let entries_max = usize::try_from(log_entries_max(&self.settings)).unwrap_or(usize::MAX);
        let per_block = lines_per_block(&self.settings);
        let Some(sorted) = sort(&lines.unwrap_or_default(), now, entries_max, per_block) else {
            return Ok(());
        };
        let keys = [&new, &blocks, &digests, &shard.never()];
        let mut script = PUT_BLOCKS.key(keys.as_slice());
        script
            .arg(sorted.last.as_slice())
            .arg(sorted.end)
            .arg(sorted.kept.as_slice());
        for (block, digest) in &sorted.blocks {
            script.arg(block.as_slice()).arg(digest.as_slice());
        }
        if !self.connection.run::<bool>(STEP, &script).await? {
            return Ok(());
        }
        // Room for as many as may be new when this is done again.
        let new_max = (2 * sorted.rest + per_block).min(sorted.rest.max(entries_max / 2));
        for _ in 0..CALLS_PER_BLOCK * sorted.blocks.len() {
            let keys = [&log, &blocks, &shard.never()];
            let mut script = MAKE_ROOM.key(keys.as_slice());
            script
                .arg(limit_args(&self.settings))
                .arg(sorted.terms.as_slice())
                .arg(new_max);
            if !self.connection.run::<bool>(STEP, &script).await? {
                break;
            }
        }
        Ok(())
    }
}

/// All lines that none can come before any more, or as many as a small log has to sort, in whole blocks; nothing when they make none.
fn sort(text: &[u8], now: u64, entries_max: usize, per_block: usize) -> Option<Sorted> {
    let mut end = 0;
    let mut lines: Vec<(&[u8], usize)> = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            end += line.len();
            (line, end)
        })
        .collect();
    lines.sort_unstable();
    // What is appended from now on was claimed no longer ago.
    let upto = now.saturating_sub(u64::try_from(LATE.as_micros()).ok()?);
    let upto = format!("{upto:0MOMENT_DIGITS$}");
    let safe = lines.partition_point(|(line, _)| *line < upto.as_bytes());
    let settled = safe.max(lines.len().saturating_sub(entries_max / 2));
    let (settled, rest) = lines.split_at(settled - settled % per_block);
    let (last, end) = settled.iter().max_by_key(|(_, end)| *end)?;
    let kept = rest.iter().filter(|(_, line_end)| line_end <= end);
    Some(Sorted {
        blocks: settled.chunks(per_block).map(block_of).collect(),
        last: last.to_vec(),
        end: *end,
        kept: kept.flat_map(|(line, _)| line.iter().copied()).collect(),
        rest: rest.len(),
        terms: terms_of(settled.first()?.0).to_vec(),
    })
}

/// A block, and its digest: its first suffix, and the first digits of each term in it.
fn block_of(lines: &[(&[u8], usize)]) -> (Vec<u8>, Vec<u8>) {
    let block = lines.iter().flat_map(|(line, _)| line.iter().copied());
    let mut digest = lines
        .first()
        .map_or(&[][..], |(line, _)| suffix_of(line))
        .to_vec();
    digest.push(b' ');
    for (line, _) in lines {
        for term in terms_of(line).split(|byte| *byte == b' ') {
            digest.extend(term.iter().take(DIGEST_CHARS));
        }
    }
    (block.collect(), digest)
}

/// What a line or digest begins with.
fn suffix_of(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b' ').next().unwrap_or_default()
}

fn terms_of(line: &[u8]) -> &[u8] {
    let terms = line.get(suffix_of(line).len() + 1..).unwrap_or_default();
    terms.strip_suffix(b"\n").unwrap_or(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn line(moment: u64) -> String {
        format!(
            "{moment:016}dlv_{moment} P0123456789ab E{moment:012} J00000000000f D00000000000d\n"
        )
    }

    fn text(moments: &[u64]) -> Vec<u8> {
        moments
            .iter()
            .map(|moment| line(*moment))
            .collect::<String>()
            .into_bytes()
    }

    fn blocks(sorted: &Sorted) -> Vec<Vec<u8>> {
        sorted
            .blocks
            .iter()
            .map(|(block, _)| block.clone())
            .collect()
    }

    #[test]
    fn whole_blocks_are_made_of_what_none_can_come_before() {
        let read = text(&[3, 1, 2, 5, 4, 2 * SECOND, 6, SECOND + 5]);
        let sorted = sort(&read, SECOND + 7, 1000, 2).unwrap();
        assert_eq!(
            blocks(&sorted),
            [text(&[1, 2]), text(&[3, 4]), text(&[5, 6])]
        );
        let end = text(&[3, 1, 2, 5, 4, 2 * SECOND, 6]).len();
        assert_eq!((sorted.end, sorted.rest), (end, 2));
        assert_eq!(sorted.last, text(&[6]));
        assert_eq!(
            sorted.kept,
            text(&[2 * SECOND]),
            "it lies before the last that went"
        );
        assert_eq!(
            sorted.blocks[0].1,
            b"0000000000000001dlv_1 P0123E0000J0000D0000P0123E0000J0000D0000"
        );
        assert_eq!(
            sorted.terms,
            b"P0123456789ab E000000000001 J00000000000f D00000000000d"
        );
    }

    #[test]
    fn what_makes_no_block_stays() {
        assert_eq!(sort(&[], SECOND, 1000, 2), None);
        assert_eq!(
            sort(&text(&[1, 3]), SECOND + 2, 1000, 2),
            None,
            "one is too few"
        );
        assert_eq!(
            sort(&text(&[5, 6]), SECOND + 5, 1000, 1),
            None,
            "all are too young"
        );
    }

    #[test]
    fn a_small_log_sorts_what_it_has_no_room_for() {
        let sorted = sort(&text(&[5, 4, 3, 2, 1]), 9, 4, 1).unwrap();
        assert_eq!(blocks(&sorted), [text(&[1]), text(&[2]), text(&[3])]);
        assert_eq!(sorted.kept, text(&[4, 5]));
    }

    #[test]
    fn what_is_no_line_stays_and_holds_up_nobody() {
        let read = [text(&[2]), b"what is this\n".to_vec(), text(&[1])].concat();
        let sorted = sort(&read, 2 * SECOND, 1000, 1).unwrap();
        assert_eq!(blocks(&sorted), [text(&[1]), text(&[2])]);
        assert_eq!(sorted.kept, b"what is this\n");
    }
}
