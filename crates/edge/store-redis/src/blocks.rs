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
use ringback_delivery::port::StoreError;

/// Of each term, in the digest of a block. The same as in `common.lua`.
const DIGEST_CHARS: usize = 5;

/// What becomes of the lines that were read.
#[derive(Debug, PartialEq, Eq)]
struct Sorted {
    /// Each with its digest.
    blocks: Vec<(Vec<u8>, Vec<u8>)>,
    /// Up to here all lines are in blocks, but for those kept.
    cut: usize,
    /// Lines before that which stay.
    kept: Vec<u8>,
    /// How many stay in all.
    rest: usize,
    /// Of one of the lines.
    terms: Vec<u8>,
}

impl RedisStore {
    /// Sorts what can be sorted of a shard's new lines, and makes room for others. Nothing is lost where it fails: it is tried again
    /// when there is a block more.
    pub(crate) async fn sort_lines(&self, shard: &Shard) -> Result<(), StoreError> {
        const STEP: &str = "sort the log";
        let [log, blocks, digests, new] = shard.log_parts();
        let mut read = redis::pipe();
        read.cmd("LINDEX").arg(&digests).arg(-1);
        read.cmd("GET").arg(&new);
        let (newest, lines): (Option<Bytes>, Option<Bytes>) =
            self.connection.send_all(STEP, &read).await?;
        let lines = lines.unwrap_or_default();
        let entries_max = usize::try_from(log_entries_max(&self.settings)).unwrap_or(usize::MAX);
        let per_block = lines_per_block(&self.settings);
        let Some(sorted) = sort(&lines, entries_max, per_block) else {
            return Ok(());
        };
        let keys = [&new, &blocks, &digests, &shard.never()];
        let mut script = PUT_BLOCKS.key(keys.as_slice());
        script
            .arg(newest.as_deref().map(suffix_of).unwrap_or_default())
            .arg(lines.len())
            .arg(sorted.cut)
            .arg(sorted.kept.as_slice());
        for (block, digest) in &sorted.blocks {
            script.arg(block.as_slice()).arg(digest.as_slice());
        }
        if !self.connection.run::<bool>(STEP, &script).await? {
            return Ok(());
        }
        // Room for as many as may be new when this is done again; a little at a time, and more than came, so that the log shrinks.
        let new_max = (2 * sorted.rest + per_block).min(sorted.rest.max(entries_max / 2));
        for _ in 0..=sorted.blocks.len() {
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
fn sort(text: &[u8], entries_max: usize, per_block: usize) -> Option<Sorted> {
    let mut end = 0;
    let mut lines: Vec<(&[u8], usize)> = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            end += line.len();
            (line, end)
        })
        .collect();
    lines.sort_unstable();
    let newest = moment_of(lines.last()?.0)?;
    // What is appended later was claimed no more than this before the newest of these was appended.
    let upto = newest.saturating_sub(u64::try_from(LATE.as_micros()).ok()?);
    let safe = lines.partition_point(|(line, _)| moment_of(line).is_none_or(|at| at < upto));
    let settled = safe.max(lines.len().saturating_sub(entries_max / 2));
    let (settled, rest) = lines.split_at(settled - settled % per_block);
    let cut = settled.iter().map(|(_, end)| *end).max()?;
    let kept = rest.iter().filter(|(_, end)| *end <= cut);
    Some(Sorted {
        blocks: settled.chunks(per_block).map(block_of).collect(),
        cut,
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

fn moment_of(line: &[u8]) -> Option<u64> {
    str::from_utf8(line.get(..MOMENT_DIGITS)?)
        .ok()?
        .parse()
        .ok()
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
        let sorted = sort(&read, 1000, 2).unwrap();
        assert_eq!(
            blocks(&sorted),
            [text(&[1, 2]), text(&[3, 4]), text(&[5, 6])]
        );
        let after = text(&[3, 1, 2, 5, 4, 2 * SECOND, 6]).len();
        assert_eq!((sorted.cut, sorted.rest), (after, 2));
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
        assert_eq!(sort(&[], 1000, 2), None);
        assert_eq!(
            sort(&text(&[1, SECOND + 2]), 1000, 2),
            None,
            "one is too few"
        );
        assert_eq!(
            sort(&text(&[5, SECOND, 9]), 1000, 1),
            None,
            "all are too young"
        );
    }

    #[test]
    fn a_small_log_sorts_what_it_has_no_room_for() {
        let sorted = sort(&text(&[5, 4, 3, 2, 1]), 4, 1).unwrap();
        assert_eq!(blocks(&sorted), [text(&[1]), text(&[2]), text(&[3])]);
        assert_eq!(sorted.kept, text(&[4, 5]));
    }
}
