//! Discarding many dead letters: counted by cause first, then step by step.
//!
//! No list is kept between the steps. A list of dead letters goes from the newest to the older, so that what is given up
//! meanwhile is never part of it; and what was discarded is open no more, so that whoever was interrupted begins again.

use crate::{
    SearchText, TooManyCauses,
    cause_counts::CauseCounts,
    port::{Clock, Cursor, DeadLetterFilter, DisposeAnswer, Store, StoreError},
    search::Selection,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use ringback_domain::{
    DeadLetterId, Disposal, ProjectName, Timestamp,
    limits::{DISCARD_ENTRIES_MAX, DISCARD_STEP_ENTRIES_MAX, NOTE_CHARS_MAX},
    replay_plan::CauseCount,
};
use std::{sync::Arc, time::Duration};

/// A page holds whole bodies: a tenth of what would be allowed is enough.
const PAGE: usize = 100;
/// Stores compare moments by the millisecond.
const UNTIL_AFTER: Duration = Duration::from_millis(1);
/// Disposals on their way at once.
const DISPOSALS_MAX: usize = 64;

/// Discards the dead letters of all projects.
pub struct Discards {
    /// Where they are kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Which open dead letters. Those dealt with before are never among them.
#[derive(Debug, Clone, Default)]
pub struct DiscardSelection {
    /// Of these.
    pub filter: DeadLetterFilter,
    /// Of these, those that a search would list.
    pub text: Option<SearchText>,
    /// Only those whose project could not be told; the filter's absent project means any.
    pub of_no_project: bool,
}

/// How many would be discarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscardPreview {
    /// All of them.
    pub entries: u32,
    /// The most first; of more causes than a preview counts, the others are only part of the sum.
    pub by_cause: Vec<CauseCount>,
    /// Just after the newest of them: what is given up later is none of them. Nothing when there is none.
    pub until: Option<Timestamp>,
}

/// One step of discarding.
#[derive(Debug, Clone)]
pub struct DiscardStep {
    /// Which.
    pub selection: DiscardSelection,
    /// Where the step before ended.
    pub after: Option<Cursor>,
    /// Why, for people. Not empty.
    pub reason: String,
    /// Who asks.
    pub by: String,
    /// At most so many, and at most [`DISCARD_STEP_ENTRIES_MAX`].
    pub entries_max: usize,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// How many are discarded; one that somebody else dealt with at the same time is not counted.
    pub discarded: u64,
    /// Where the next step goes on; none when it was the last.
    pub next: Option<Cursor>,
}

/// Why nothing, or not all, was discarded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscardError {
    /// Nobody says why.
    #[error("say why they are discarded")]
    NoReason,
    /// Too much is said.
    #[error("the reason has {chars} characters; allowed: {NOTE_CHARS_MAX}")]
    ReasonTooLong {
        /// So many.
        chars: usize,
    },
    /// The filter matches too much to be counted.
    #[error(
        "more than {DISCARD_ENTRIES_MAX} dead letters match (hint: narrow it, by time for instance)"
    )]
    TooMany,
    /// The search finds too much.
    #[error(transparent)]
    TooManyCauses(#[from] TooManyCauses),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Discards {
    /// How many would be discarded, and of which causes. `told` hears how many were found so far, page by page.
    ///
    /// # Errors
    ///
    /// When too much matches, or the store fails.
    pub async fn preview(
        &self,
        selection: &DiscardSelection,
        told: &(dyn Fn(u32) + Sync),
    ) -> Result<DiscardPreview, DiscardError> {
        let found = self.find(selection).await?;
        let mut preview = DiscardPreview::default();
        let mut causes = CauseCounts::default();
        let mut after = None;
        loop {
            let page = found
                .page(&*self.store, after.as_ref(), PAGE)
                .await?
                .whole()?;
            for dead_letter in page.entries {
                if !selection.has(dead_letter.project.as_ref()) {
                    continue;
                }
                if preview.entries == DISCARD_ENTRIES_MAX {
                    return Err(DiscardError::TooMany);
                }
                preview.entries += 1;
                let after = dead_letter.died_at.saturating_add(UNTIL_AFTER).ok();
                preview.until = preview.until.max(after);
                causes.count(&dead_letter.cause);
            }
            told(preview.entries);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        preview.by_cause = causes.into_sorted();
        Ok(preview)
    }

    /// Discards what comes next.
    ///
    /// # Errors
    ///
    /// When no reason is given, or the store fails: what was discarded until then stays so, and the step can be taken again.
    pub async fn step(&self, step: &DiscardStep) -> Result<Discarded, DiscardError> {
        if step.reason.trim().is_empty() {
            return Err(DiscardError::NoReason);
        }
        let disposal = self.disposal(&step.reason, &step.by)?;
        let found = self.find(&step.selection).await?;
        let mut room = step.entries_max.clamp(1, DISCARD_STEP_ENTRIES_MAX);
        let mut done = Discarded {
            discarded: 0,
            next: step.after.clone(),
        };
        loop {
            let limit = room.min(PAGE);
            let page = found
                .page(&*self.store, done.next.as_ref(), limit)
                .await?
                .whole()?;
            room = room.saturating_sub(page.entries.len().max(1));
            let wanted = page
                .entries
                .into_iter()
                .filter(|dead_letter| step.selection.has(dead_letter.project.as_ref()))
                .map(|dead_letter| dead_letter.id)
                .collect();
            done.discarded += self.dispose(wanted, &disposal).await?;
            done.next = page.next;
            if done.next.is_none() || room == 0 {
                return Ok(done);
            }
        }
    }

    /// Discards one, unless something was done about it before. Its reason may be empty.
    ///
    /// # Errors
    ///
    /// When the reason is too long, or the store fails.
    pub async fn one(
        &self,
        id: &DeadLetterId,
        reason: &str,
        by: &str,
    ) -> Result<DisposeAnswer, DiscardError> {
        let disposal = self.disposal(reason, by)?;
        Ok(self.store.dispose(id, &disposal, false).await?)
    }

    /// What a discarded dead letter says: why, if anybody does, and who.
    fn disposal(&self, reason: &str, by: &str) -> Result<Disposal, DiscardError> {
        let chars = reason.chars().count();
        if chars > NOTE_CHARS_MAX {
            return Err(DiscardError::ReasonTooLong { chars });
        }
        let note = match reason.trim() {
            "" => by.to_owned(),
            reason => format!("{reason} ({by})"),
        };
        let at = self.clock.now();
        Ok(Disposal::Discarded { at, note })
    }

    async fn dispose(
        &self,
        ids: Vec<DeadLetterId>,
        disposal: &Disposal,
    ) -> Result<u64, StoreError> {
        let answers = stream::iter(ids)
            .map(|id| async move { self.store.dispose(&id, disposal, false).await });
        answers
            .buffer_unordered(DISPOSALS_MAX)
            .try_fold(0, async |done, answer| {
                Ok(done + u64::from(answer == DisposeAnswer::Disposed))
            })
            .await
    }

    async fn find(&self, selection: &DiscardSelection) -> Result<Selection, DiscardError> {
        let filter = DeadLetterFilter {
            include_disposed: false,
            ..selection.filter.clone()
        };
        let found = Selection::find(&*self.store, &filter, selection.text.as_ref()).await?;
        Ok(found.whole()?)
    }
}

impl DiscardSelection {
    fn has(&self, project: Option<&ProjectName>) -> bool {
        !self.of_no_project || project.is_none()
    }
}
