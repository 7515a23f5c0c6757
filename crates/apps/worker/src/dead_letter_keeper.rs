//! Looks after the dead letters while a process serves: puts those of an earlier release into groups, says when they take
//! more room than they should, and, where there is a directory for that, moves the oldest into files.
//!
//! A dead letter leaves the store only after the file that has it was synced and read back. Whoever dies in between leaves it
//! in both places, and importing what is there already changes nothing.

use crate::archive::{Archive, ArchiveError, Content, line_of};
use ringback_delivery::port::{Clock, DamagedRecord, Store, StoreError};
use ringback_domain::{
    BudgetState, DeadLetter, DeadLetterBudget, DeadLetterId, DeadLetterUsage, WorkerId, limits,
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Dead letters put into groups at one look.
const REGROUPED_MAX: usize = 10_000;
/// How long one worker has the right to make room; it renews it with each file.
const ROOM_LEASE: Duration = Duration::from_mins(2);

/// Keeps the dead letters within their room.
pub(crate) struct DeadLetterKeeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) worker: WorkerId,
    pub(crate) budget: DeadLetterBudget,
    /// Where the oldest go when there are too many; nowhere when absent.
    pub(crate) spill_dir: Option<PathBuf>,
}

/// Why no room could be made.
#[derive(Debug, thiserror::Error)]
enum RoomError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("{0} dead letters cannot go into a file, and none after them is looked at")]
    TooManyStay(usize),
    #[error("could not make directory `{}`", dir.display())]
    Directory {
        dir: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl DeadLetterKeeper {
    /// Looks again and again for as long as it is polled.
    pub(crate) async fn run(self) {
        let mut alarm = Alarm::default();
        let mut left_out = HashSet::new();
        loop {
            self.put_into_groups().await;
            // A store that does not answer is complained of by everybody else.
            if let Ok(usage) = self.store.dead_letter_usage().await {
                alarm.look(usage, self.budget, self.spill_dir.is_some());
            }
            match self.make_room(&mut left_out).await {
                Ok(0) => {}
                Err(RoomError::Store(error)) if error.is_passing() => {}
                Ok(count) => tracing::warn!(
                    count,
                    "moved the oldest dead letters into files (hint: `ringback dead import` brings them back)"
                ),
                Err(error) => tracing::error!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "could not move the oldest dead letters into a file; they stay"
                ),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Dead letters that a release before groups stored. Without them the store answers at once.
    async fn put_into_groups(&self) {
        match self.store.regroup(REGROUPED_MAX).await {
            Ok(0) | Err(_) => {}
            Ok(count) => {
                tracing::info!(count, "put dead letters of an earlier release into groups");
            }
        }
    }

    /// Moves the oldest into files until the rest is within the budget. How many it moved. What cannot go into a file is left out
    /// from then on, so that those after it can.
    async fn make_room(&self, left_out: &mut HashSet<String>) -> Result<u64, RoomError> {
        let Some(dir) = &self.spill_dir else {
            return Ok(0);
        };
        let mut moved = 0;
        loop {
            let surplus = self.budget.surplus(self.store.dead_letter_usage().await?);
            let is_ours = surplus > 0
                && self
                    .store
                    .claim_making_room(&self.worker, ROOM_LEASE)
                    .await?;
            let count = match usize::try_from(surplus) {
                Ok(surplus) if is_ours => self.move_oldest(dir, surplus, left_out).await?,
                _ => 0,
            };
            if count == 0 {
                return Ok(moved);
            }
            moved += count;
        }
    }

    /// One file of them.
    async fn move_oldest(
        &self,
        dir: &Path,
        surplus: usize,
        left_out: &mut HashSet<String>,
    ) -> Result<u64, RoomError> {
        loop {
            let most = limits::PAGE_ENTRIES_MAX;
            // Where some are damaged, there may be many.
            let wanted = match left_out.len() {
                0 => surplus.min(most),
                _ => most,
            };
            let oldest = self.store.oldest_dead_letters(wanted).await?;
            let mut finds_more = false;
            for DamagedRecord { id, why } in oldest.damaged {
                if !left_out.contains(&id) {
                    tracing::error!(
                        ringback.dead_letter.id = id,
                        why,
                        "a dead letter cannot be read; it stays where it is, and those after it move"
                    );
                    finds_more |= left_out.insert(id);
                }
            }
            let mut letters = oldest.letters;
            letters.retain(|letter| !left_out.contains(letter.id.as_str()));
            letters.truncate(surplus);
            if letters.is_empty() {
                match left_out.len() {
                    count if count >= most => return Err(RoomError::TooManyStay(count)),
                    _ if finds_more => continue,
                    _ => return Ok(0),
                }
            }
            let Written { ids, too_long } = self.write_file(dir, letters).await?;
            for id in too_long {
                tracing::error!(
                    ringback.dead_letter.id = %id,
                    "a dead letter is too long for a file; it stays until its retention is over"
                );
                left_out.insert(id.to_string());
            }
            if !ids.is_empty() {
                return Ok(self.store.forget_dead_letters(&ids).await?);
            }
        }
    }

    async fn write_file(&self, dir: &Path, letters: Vec<DeadLetter>) -> Result<Written, RoomError> {
        let now = self.clock.now().strftime("%Y%m%dT%H%M%S%.6fZ");
        let file = dir.join(format!("dead-letters-{now}-{}.ndjson", self.worker));
        let dir = dir.to_owned();
        let write = move || {
            std::fs::create_dir_all(&dir).map_err(|source| RoomError::Directory { dir, source })?;
            let mut archive = Archive::create(&file, Content::DeadLetters)?;
            let mut written = Written::default();
            for dead_letter in letters {
                match line_of(&dead_letter) {
                    Err(ArchiveError::TooLong { .. }) => written.too_long.push(dead_letter.id),
                    line => {
                        archive.add(&line?)?;
                        written.ids.push(dead_letter.id);
                    }
                }
            }
            if !written.ids.is_empty() {
                archive.finish()?;
            }
            Ok(written)
        };
        tokio::task::spawn_blocking(write)
            .await
            .expect("writing a file does not panic")
    }
}

/// What went into a file, and what did not.
#[derive(Default)]
struct Written {
    ids: Vec<DeadLetterId>,
    too_long: Vec<DeadLetterId>,
}

/// Rings once for each time that a line is crossed.
#[derive(Debug)]
struct Alarm {
    state: BudgetState,
}

impl Default for Alarm {
    fn default() -> Self {
        Self {
            state: BudgetState::Roomy,
        }
    }
}

impl Alarm {
    fn look(&mut self, usage: DeadLetterUsage, budget: DeadLetterBudget, spills: bool) {
        let state = budget.judge(usage);
        if state == self.state {
            return;
        }
        self.state = state;
        let DeadLetterUsage { entry_count, bytes } = usage;
        let DeadLetterBudget {
            entries_max,
            bytes_max,
        } = budget;
        match state {
            BudgetState::Roomy => {
                tracing::info!(entry_count, bytes, "there is room for dead letters again");
            }
            BudgetState::Near => tracing::warn!(
                entry_count,
                entries_max,
                bytes,
                bytes_max,
                "dead letters have nearly used up their room (hint: replay or discard them, or raise `dead_letters.entries_max` and `bytes_max`)"
            ),
            BudgetState::Over if spills => tracing::error!(
                entry_count,
                entries_max,
                bytes,
                bytes_max,
                "dead letters take more room than they should; the oldest move into files"
            ),
            BudgetState::Over => tracing::error!(
                entry_count,
                entries_max,
                bytes,
                bytes_max,
                "dead letters take more room than they should; all are kept (hint: replay or discard them, or set `dead_letters.spill_dir`)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        SystemEntropy,
        archive::{ImportFault, ImportRules, Lines},
    };
    use ringback_delivery::port::{BudgetStore, DeadLetterStore, WebhookStore};
    use ringback_domain::{DeadLetterContent, Destination};
    use ringback_signing::KeyRing;
    use ringback_testkit::{
        samples,
        simulation::{SimulatedStore, TokioClock},
    };
    use ringback_wire::export::LINE_BYTES_MAX;

    fn keeper(store: &Arc<SimulatedStore>, dir: &Path, entries_max: u64) -> DeadLetterKeeper {
        DeadLetterKeeper {
            store: store.clone(),
            clock: Arc::new(TokioClock::begin()),
            worker: samples::worker(),
            budget: DeadLetterBudget {
                entries_max,
                bytes_max: u64::MAX,
            },
            spill_dir: Some(dir.join("spilled")),
        }
    }

    fn rules(store: &Arc<SimulatedStore>) -> ImportRules {
        let key = KeyRing::new_key("k1", &[7; 32]);
        ImportRules::new(
            store.clone(),
            Arc::new(KeyRing::try_new(&[key]).unwrap()),
            Arc::new(SystemEntropy),
            Duration::from_hours(24),
            samples::moment(1_000),
            None,
        )
    }

    async fn fill(store: &SimulatedStore, count: i64) {
        for second in 0..count {
            let webhook = samples::webhook();
            store.put_webhook(&webhook).await.unwrap();
            let destination = Destination::Webhook {
                id: webhook.id,
                url: webhook.url,
            };
            let delivery = samples::delivery_of(&samples::event(), destination);
            let dead_letter = samples::dead_letter_of(delivery, samples::moment(second));
            store.put_dead_letter(&dead_letter).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_over_the_budget_moves_into_a_file_and_can_be_brought_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
        fill(&store, 4).await;
        let callback = samples::callback_destination();
        let callback = samples::delivery_of(&samples::event(), callback);
        let oldest = samples::dead_letter_of(callback, samples::moment(-5));
        store.put_dead_letter(&oldest).await.unwrap();
        let before = store.oldest_dead_letters(5).await.unwrap().letters;

        assert_eq!(
            keeper(&store, dir.path(), 5)
                .make_room(&mut HashSet::new())
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            keeper(&store, dir.path(), 3)
                .make_room(&mut HashSet::new())
                .await
                .unwrap(),
            2
        );
        let left = store.oldest_dead_letters(5).await.unwrap().letters;
        assert_eq!(left.len(), 3);
        assert_eq!(left[0].id, before[2].id);

        let files: Vec<_> = std::fs::read_dir(dir.path().join("spilled"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(!text.contains("sealed:v1"), "no secret, sealed or not");
        let mut lines = Lines::open(&files[0]).unwrap();
        let (_, line) = lines.next().unwrap().unwrap();
        let fault = rules(&store).read(&line.unwrap()).await.unwrap_err();
        assert!(matches!(fault, ImportFault::NoSecret), "{fault:?}");
        let (number, line) = lines.next().unwrap().unwrap();
        assert_eq!(number, 2);
        let read = rules(&store).read(&line.unwrap()).await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", before[1]));
        assert!(lines.next().unwrap().is_none());
    }

    #[tokio::test]
    async fn without_a_safe_file_nothing_leaves_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
        fill(&store, 2).await;
        // No directory can be made where a file is.
        std::fs::write(dir.path().join("spilled"), b"").unwrap();
        let refused = keeper(&store, dir.path(), 1)
            .make_room(&mut HashSet::new())
            .await;
        assert!(matches!(refused, Err(RoomError::Directory { .. })));
        assert_eq!(store.dead_letter_count(None).await.unwrap(), 2);
    }

    /// As a release before the limit on such bytes kept them.
    fn too_long(second: i64) -> DeadLetter {
        DeadLetter {
            content: DeadLetterContent::Raw {
                bytes: vec![b'x'; LINE_BYTES_MAX].into(),
                why: "it ends too early".into(),
            },
            died_at: samples::moment(second),
            ..samples::raw_dead_letter()
        }
    }

    #[tokio::test]
    async fn what_is_too_long_for_a_file_stays_and_those_after_it_move() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
        let stay = [too_long(-9), too_long(-8)];
        for letter in &stay {
            store.put_dead_letter(letter).await.unwrap();
        }
        fill(&store, 4).await;
        let before = store.oldest_dead_letters(6).await.unwrap().letters;
        let mut left_out = HashSet::new();
        let keeper = keeper(&store, dir.path(), 5);
        assert_eq!(keeper.make_room(&mut left_out).await.unwrap(), 1);
        assert_eq!(
            left_out,
            stay.each_ref().map(|letter| letter.id.to_string()).into()
        );
        let left = store.oldest_dead_letters(6).await.unwrap().letters;
        let ids = |letters: &[DeadLetter]| -> Vec<_> {
            letters.iter().map(|letter| letter.id.clone()).collect()
        };
        assert_eq!(ids(&left), [ids(&before[..2]), ids(&before[3..])].concat());
        let files = std::fs::read_dir(dir.path().join("spilled")).unwrap();
        assert_eq!(files.count(), 1, "none without a dead letter");
    }

    #[tokio::test]
    async fn what_is_damaged_stays_and_those_after_it_move() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
        fill(&store, 6).await;
        let before = store.oldest_dead_letters(6).await.unwrap().letters;
        let damaged = [&before[0].id, &before[2].id];
        for id in damaged {
            store.damage(id);
        }
        let mut left_out = HashSet::new();
        let keeper = keeper(&store, dir.path(), 3);
        assert_eq!(keeper.make_room(&mut left_out).await.unwrap(), 3);
        assert_eq!(left_out, damaged.map(ToString::to_string).into());
        let left = store.oldest_dead_letters(6).await.unwrap();
        assert_eq!((left.letters.len(), left.damaged.len()), (1, 2));
        assert_eq!(left.letters[0].id, before[5].id, "the newest");
    }

    #[tokio::test]
    async fn more_damaged_ones_than_are_looked_at_are_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
        let most = limits::PAGE_ENTRIES_MAX;
        fill(&store, 501).await;
        for letter in store.oldest_dead_letters(most).await.unwrap().letters {
            store.damage(&letter.id);
        }
        let keeper = keeper(&store, dir.path(), 400);
        let refused = keeper.make_room(&mut HashSet::new()).await.unwrap_err();
        assert!(matches!(refused, RoomError::TooManyStay(500)), "{refused}");
    }

    #[tokio::test]
    async fn of_two_workers_one_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SimulatedStore::new(TokioClock::begin()));
        fill(&store, 2).await;
        let first = keeper(&store, dir.path(), 1);
        first
            .store
            .claim_making_room(&first.worker, ROOM_LEASE)
            .await
            .unwrap();
        assert_eq!(
            keeper(&store, dir.path(), 1)
                .make_room(&mut HashSet::new())
                .await
                .unwrap(),
            0
        );
        assert_eq!(first.make_room(&mut HashSet::new()).await.unwrap(), 1);
    }
}
