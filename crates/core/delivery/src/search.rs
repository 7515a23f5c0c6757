//! Dead letters by a text that a person typed.
//!
//! Nothing walks over all dead letters. The text is an id of one of them, of a delivery, an event or a job; or its words occur
//! in what the dead letters of a cause have in common, and causes are few.

use crate::port::{
    Cursor, DeadLetterFilter, DeadLetterMark, DeadLetterStore, DeliveryStore, GroupFilter,
    GroupStore, Page, StoreError,
};
use ringback_domain::{DeadLetter, DeadLetterId, DeliveryId, Generation, limits};
use std::fmt;

/// Generations of a delivery that are looked for when the log no longer knows how many there were.
const GENERATIONS_LOOKED_FOR: u32 = 4;

/// A text to search for: 1 to [`limits::SEARCH_CHARS_MAX`] characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText(String);

/// A text that cannot be searched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a text to search for has 1 to {max} characters", max = limits::SEARCH_CHARS_MAX)]
pub struct SearchTextError;

impl fmt::Display for SearchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SearchText {
    /// Its words, in lower case.
    pub fn words(&self) -> Vec<String> {
        self.0.split_whitespace().map(str::to_lowercase).collect()
    }
}

impl std::str::FromStr for SearchText {
    type Err = SearchTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let length = text.chars().count();
        if (1..=limits::SEARCH_CHARS_MAX).contains(&length) {
            Ok(Self(text.to_owned()))
        } else {
            Err(SearchTextError)
        }
    }
}

/// Open dead letters that a filter asks for and a text is found in, newest first. With a text that is an id, also disposed
/// ones, where the filter asks for them.
///
/// The text's words are looked for in what groups have in common; of those that have them all, the newest
/// [`limits::SEARCH_GROUPS_MAX`] are listed.
///
/// # Errors
///
/// When the store fails, or the cursor is not from this list.
pub async fn search_dead_letters(
    store: &(impl DeadLetterStore + DeliveryStore + GroupStore + ?Sized),
    filter: &DeadLetterFilter,
    text: &SearchText,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<DeadLetter>, StoreError> {
    let selection = Selection::find(store, filter, Some(text)).await?;
    selection.page(store, after, limit).await
}

/// More causes have the words of a text than one search lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {max} causes have these words, so that not all of their dead letters would be found (hint: say more words, or name the cause)",
    max = limits::SEARCH_GROUPS_MAX
)]
pub struct TooManyCauses;

/// What a filter and a text ask for. The text is looked for once: what is walked over does not change with the groups.
#[derive(Debug)]
pub(crate) struct Selection {
    filter: DeadLetterFilter,
    /// Where the text is the id of one of these.
    ids: Option<Vec<DeadLetterId>>,
    is_cut: bool,
}

impl Selection {
    pub(crate) async fn find(
        store: &(impl DeliveryStore + GroupStore + ?Sized),
        filter: &DeadLetterFilter,
        text: Option<&SearchText>,
    ) -> Result<Self, StoreError> {
        let mut found = Self {
            filter: filter.clone(),
            ids: None,
            is_cut: false,
        };
        let Some(text) = text else {
            return Ok(found);
        };
        if text.0.starts_with("dlt_") {
            found.ids = Some(text.0.parse().into_iter().collect());
        } else if text.0.starts_with("dlv_") {
            found.ids = Some(of_delivery(store, text).await?);
        } else {
            let (marks, is_cut) = marks(store, filter, text).await?;
            found.filter.any_of = Some(marks);
            found.is_cut = is_cut;
        }
        Ok(found)
    }

    /// The same, unless there is more than a search finds: for whoever acts on all that matches.
    pub(crate) fn whole(self) -> Result<Self, TooManyCauses> {
        if self.is_cut {
            return Err(TooManyCauses);
        }
        Ok(self)
    }

    /// A piece of the list, newest first.
    pub(crate) async fn page(
        &self,
        store: &(impl DeadLetterStore + ?Sized),
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let Some(ids) = &self.ids else {
            return store.dead_letters(&self.filter, after, limit).await;
        };
        let mut entries: Vec<DeadLetter> = Vec::new();
        for id in ids {
            let found = store.dead_letter(id).await?;
            entries.extend(found.filter(|dead_letter| self.filter.wants(dead_letter)));
        }
        Ok(Page::new(entries, None))
    }
}

/// The dead letters that a delivery may have become, newest first.
async fn of_delivery(
    store: &(impl DeliveryStore + ?Sized),
    text: &SearchText,
) -> Result<Vec<DeadLetterId>, StoreError> {
    let Ok(delivery) = text.0.parse::<DeliveryId>() else {
        return Ok(Vec::new());
    };
    let record = store.delivery(&delivery).await?;
    let newest = record.map_or(GENERATIONS_LOOKED_FOR, |record| record.generation.get());
    let generations = (Generation::FIRST.get()..=newest).rev();
    Ok(generations
        .map(|generation| DeadLetterId::derive(&delivery, Generation::new(generation)))
        .collect())
}

/// What of a dead letter tells that the text is found in it, and whether more groups have its words.
async fn marks(
    store: &(impl GroupStore + ?Sized),
    filter: &DeadLetterFilter,
    text: &SearchText,
) -> Result<(Vec<DeadLetterMark>, bool), StoreError> {
    let groups = GroupFilter {
        project: filter.project.clone(),
        cause: filter.cause.clone(),
        words: text.words(),
        ..GroupFilter::default()
    };
    let list = store
        .dead_letter_groups(&groups, limits::SEARCH_GROUPS_MAX)
        .await?;
    let causes = list.groups.into_iter();
    let causes = causes.map(|group| DeadLetterMark::Cause(group.head.cause.fingerprint));
    let event = text.0.parse().ok().map(DeadLetterMark::Event);
    let job = text.0.parse().ok().map(DeadLetterMark::Job);
    let marks = causes.chain(event).chain(job).collect();
    Ok((marks, list.next.is_some()))
}
