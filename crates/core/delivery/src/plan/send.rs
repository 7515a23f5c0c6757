//! Sending what a plan took in hand, batch by batch.
//!
//! A batch is read, published as the next generation of its deliveries and confirmed, and marked as replayed. Some are under way at
//! once, in all three steps: while the broker makes one safe, the store is busy with others. Nothing here knows how far the plan came.

use crate::{
    Context,
    age::stale,
    port::{Lane, LetterRead, Occurrence, QueueError, StoreError},
    replay::replay_of,
};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all, pending},
    select_biased,
    stream::FuturesUnordered,
};
use ringback_domain::{
    DeadLetter, DeadLetterContent, Delivery, DeliveryId, Destination, Detour, Disposal, Event,
    Generation, Replayed, Timestamp, Webhook,
    replay_plan::{
        DeliveryStanding, EntryMark, PlanEntry, PlanTerms, Position, ReplayTarget, SkipReason,
    },
};
use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::Arc,
    time::Duration,
};

/// Entries read, published and marked together.
pub(super) const BATCH: usize = 512;
/// Batches under way at once.
const BATCHES_MAX: usize = 16;
/// How long a batch may take before fewer go at once: a plan that is paused ends with those under way.
const BATCH_WITHIN: Duration = Duration::from_secs(1);
/// Batches read at once: what one asks the store for waits behind what others have it mark.
const READ_MAX: usize = 3;
/// Batches marked at once; others wait here. Where all wait at the store, those that are read wait behind them, and the broker
/// waits for those.
const MARKED_MAX: usize = 3;
/// Batches that wait to be marked, beyond which none is read: the store is what all of them wait for.
const UNMARKED_MAX: usize = 2;
/// Bytes of bodies in batches under way, beyond which no further one is read, those being read taken for as large as the largest
/// before. Bodies of the largest size are 144 MiB then, and 400 where they come after small ones.
const HELD_BYTES_MAX: usize = 16 << 20;

/// What sending needs of a plan, the same for every batch.
pub(super) struct Sending<'a> {
    pub(super) context: &'a Context,
    pub(super) terms: Arc<PlanTerms>,
    /// Who marks dead letters: no other plan and no person is called that.
    pub(super) mark: String,
}

/// An entry in hand.
pub(super) type Taken = (Position, PlanEntry);

/// Batches under way.
pub(super) struct Pipeline<'a> {
    sending: Arc<Sending<'a>>,
    reading: FuturesUnordered<BoxFuture<'a, Result<Batch, StoreError>>>,
    publishing: FuturesUnordered<BoxFuture<'a, Published>>,
    /// To be marked.
    published: VecDeque<Published>,
    marking: FuturesUnordered<BoxFuture<'a, Result<Sent, StoreError>>>,
    /// What came while something else was waited for.
    done: VecDeque<Result<Sent, StoreError>>,
    /// As many as broker and store are through with in time.
    at_once: usize,
    held: usize,
    /// What the largest batch held.
    largest: usize,
}

/// What is done with one entry.
enum Act {
    /// Not sent.
    Skip(SkipReason),
    /// It went out before: another worker, or this one, did not come to note it.
    WentOut,
    Publish(Box<Delivery>),
    PublishEvent(Box<Event>),
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(sending: Arc<Sending<'a>>) -> Self {
        Self {
            sending,
            reading: FuturesUnordered::new(),
            publishing: FuturesUnordered::new(),
            published: VecDeque::new(),
            marking: FuturesUnordered::new(),
            done: VecDeque::new(),
            at_once: 1,
            held: 0,
            largest: 0,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        let held = self.held + self.reading.len() * self.largest;
        self.under_way() < self.at_once
            && self.reading.len() < READ_MAX
            && self.published.len() < UNMARKED_MAX
            && held < HELD_BYTES_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way() == 0
    }

    fn under_way(&self) -> usize {
        let marked = self.published.len() + self.marking.len();
        self.reading.len() + self.publishing.len() + marked + self.done.len()
    }

    /// Begins a batch.
    pub(super) fn begin(&mut self, taken: Vec<Taken>) {
        let sending = Arc::clone(&self.sending);
        let read = async move { sending.read_batch(taken).await };
        self.reading.push(read.boxed());
    }

    /// Takes one batch one step on, after which there may be room for another; what became of it, where it is through. Waits for ever
    /// where none is under way.
    pub(super) async fn step(&mut self) -> Result<Option<Sent>, StoreError> {
        if self.done.is_empty() {
            self.advance().await;
        }
        self.done.pop_front().transpose()
    }

    /// Goes on with the batches while something else is done.
    pub(super) async fn during<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other.fuse());
        loop {
            select_biased! {
                came = other => return came,
                () = self.advance().fuse() => {}
            }
        }
    }

    async fn advance(&mut self) {
        select_biased! {
            batch = self.reading.select_next_some() => match batch {
                Ok(batch) => {
                    self.held += batch.bytes;
                    self.largest = self.largest.max(batch.bytes);
                    let sending = Arc::clone(&self.sending);
                    let publish = async move { sending.publish_batch(batch).await };
                    self.publishing.push(publish.boxed());
                }
                Err(failure) => self.done.push_back(Err(failure)),
            },
            published = self.publishing.select_next_some() => self.published.push_back(published),
            sent = self.marking.select_next_some() => {
                if let Ok(sent) = &sent {
                    self.held -= sent.bytes;
                    let clock = &self.sending.context.clock;
                    let took = clock.monotonic().saturating_sub(sent.began);
                    self.at_once = adapted(self.at_once, took);
                }
                self.done.push_back(sent);
            },
            complete => pending().await,
        }
        while self.marking.len() < MARKED_MAX
            && let Some(published) = self.published.pop_front()
        {
            let sending = Arc::clone(&self.sending);
            let mark = async move { sending.mark_batch(published).await };
            self.marking.push(mark.boxed());
        }
    }
}

impl Sending<'_> {
    async fn read_batch(&self, taken: Vec<Taken>) -> Result<Batch, StoreError> {
        let began = self.context.clock.monotonic();
        let (positions, entries): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        let read = || self.context.store.letters_of(&entries);
        let letters = self.context.until_done("read dead letters", read).await?;
        let standings = self.standings_of(&letters).await?;
        let webhook = self.webhook_instead().await?;
        let bytes = found_of(&letters).map(body_bytes).sum();
        Ok(Batch {
            positions,
            began,
            entries,
            letters,
            standings,
            webhook,
            bytes,
        })
    }

    /// How far the deliveries came whose dead letters are open.
    async fn standings_of(
        &self,
        letters: &[LetterRead],
    ) -> Result<HashMap<DeliveryId, DeliveryStanding>, StoreError> {
        let open = found_of(letters).filter(|letter| letter.disposal == Disposal::Open);
        let ids = open.filter_map(|letter| Some(letter.delivery()?.id.clone()));
        let ids: Vec<_> = ids.collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let read = || self.context.store.standings(&ids);
        let found = self.context.until_done("read standings", read).await?;
        let known = ids.into_iter().zip(found);
        Ok(known
            .filter_map(|(id, standing)| Some((id, standing?)))
            .collect())
    }

    /// The other webhook that gets everything, where the plan names one and it may have it.
    async fn webhook_instead(&self) -> Result<Option<Webhook>, StoreError> {
        let ReplayTarget::Webhook(id) = &self.terms.target else {
            return Ok(None);
        };
        let store = &self.context.store;
        let read = || store.webhook(id);
        let webhook = self.context.until_done("read webhook", read).await?;
        Ok(webhook.filter(Webhook::is_enabled))
    }

    fn act_for(
        &self,
        entry: &PlanEntry,
        letter: &DeadLetter,
        standing: impl Fn(&DeliveryId) -> Option<DeliveryStanding>,
        webhook: Option<&Webhook>,
        now: Timestamp,
    ) -> Act {
        match &letter.disposal {
            Disposal::Open => {}
            Disposal::Replayed(replayed) if replayed.by == self.mark => return Act::WentOut,
            Disposal::Replayed(_) => return Act::Skip(SkipReason::Replayed),
            Disposal::Discarded { .. } => return Act::Skip(SkipReason::Discarded),
        }
        let delivery = match &letter.content {
            DeadLetterContent::Delivery(delivery) => delivery,
            // It has no body yet, and goes to whoever wants it.
            DeadLetterContent::Event { .. }
                if matches!(self.terms.target, ReplayTarget::Webhook(_)) =>
            {
                return Act::Skip(SkipReason::NoSuchWebhook);
            }
            DeadLetterContent::Event { event, .. } => return Act::PublishEvent(event.clone()),
            DeadLetterContent::Raw { .. } => return Act::Skip(SkipReason::NotAnEvent),
        };
        let standing = standing(&delivery.id);
        if standing.is_some_and(|standing| standing.has_newer(delivery.generation)) {
            return Act::Skip(SkipReason::Newer);
        }
        if !self.terms.sends_stale && stale(letter, &self.context.profiles, now).is_some() {
            return Act::Skip(SkipReason::Stale);
        }
        let replay = replay_of(delivery, delivery.generation.next());
        match (&self.terms.target, webhook) {
            (ReplayTarget::Current, _) => Act::Publish(Box::new(replay)),
            (ReplayTarget::Original, _) => Act::Publish(Box::new(Delivery {
                detour: Some(Detour::OriginalUrl),
                ..replay
            })),
            (ReplayTarget::Webhook(_), Some(webhook))
                if webhook.project == delivery.event.project
                    && self.context.profiles.name_for(webhook) == Some(&delivery.profile) =>
            {
                Act::Publish(Box::new(Delivery {
                    id: self.id_sent(entry).unwrap_or_else(|| replay.id.clone()),
                    detour: Some(Detour::InsteadOf(delivery.id.clone())),
                    destination: Destination::Webhook {
                        id: webhook.id.clone(),
                        url: webhook.url.clone(),
                    },
                    ..replay
                }))
            }
            (ReplayTarget::Webhook(_), _) => Act::Skip(SkipReason::NoSuchWebhook),
        }
    }

    /// Under which id an entry is on its way.
    pub(super) fn id_sent(&self, entry: &PlanEntry) -> Option<DeliveryId> {
        let id = &entry.delivery.as_ref()?.id;
        Some(match self.terms.target {
            ReplayTarget::Current | ReplayTarget::Original => id.clone(),
            ReplayTarget::Webhook(_) => id.diverted(&self.terms.id),
        })
    }

    /// What is done with each entry of a batch.
    fn decide(&self, batch: &Batch) -> Vec<Act> {
        let now = self.context.clock.now();
        let standing = |id: &DeliveryId| batch.standings.get(id).copied();
        let acts = batch.entries.iter().zip(&batch.letters);
        let acts = acts.map(|(entry, letter)| match letter {
            Ok(Some(letter)) => self.act_for(entry, letter, standing, batch.webhook.as_ref(), now),
            Ok(None) => Act::Skip(SkipReason::Gone),
            Err(_) => Act::Skip(SkipReason::Damaged),
        });
        acts.collect()
    }

    /// Publishes what is to be published.
    async fn publish_batch(&self, batch: Batch) -> Published {
        let acts = self.decide(&batch);
        let results = self.publish(&acts).await;
        fault_point!(PlanPublished);
        Published {
            batch,
            acts,
            results,
        }
    }

    /// Marks the dead letters of what went out.
    async fn mark_batch(&self, published: Published) -> Result<Sent, StoreError> {
        let Published {
            batch,
            acts,
            results,
        } = published;
        let done = acts.iter().zip(&results).zip(&batch.entries);
        let went_out: Vec<_> = done
            .clone()
            .filter(|((act, result), _)| act.is_published() && result.is_ok())
            .map(|((act, _), entry)| (act, entry))
            .collect();
        self.mark_replayed(&went_out).await?;
        fault_point!(PlanMarked);
        for (act, _) in &went_out {
            if let Act::Publish(delivery) = act {
                let seen = Occurrence::Replayed { delivery };
                self.context.observer.saw(&seen);
            }
        }
        for (entry, letter) in batch.entries.iter().zip(&batch.letters) {
            if let Err(damaged) = letter {
                self.context.observer.saw(&Occurrence::PlanMetDamaged {
                    plan: &self.terms.id,
                    dead_letter: &entry.dead_letter,
                    why: &damaged.why,
                });
            }
        }
        let marks = done.map(|((act, result), entry)| result.is_ok().then(|| act.mark_of(entry)));
        Ok(Sent {
            began: batch.began,
            bytes: batch.bytes,
            not_published: acts.iter().filter(|act| !act.is_published()).count(),
            marks: batch.positions.into_iter().zip(marks).collect(),
            failed: results.into_iter().find_map(Result::err),
        })
    }

    /// What another webhook gets stays open: what becomes of it there says nothing about this delivery.
    async fn mark_replayed(&self, went_out: &[(&Act, &PlanEntry)]) -> Result<(), StoreError> {
        if matches!(self.terms.target, ReplayTarget::Webhook(_)) {
            return Ok(());
        }
        let at = self.context.clock.now();
        let mark = |(act, entry): &(&Act, &PlanEntry)| {
            let replayed = Replayed {
                at,
                by: self.mark.clone(),
                generation: match act {
                    Act::Publish(delivery) => delivery.generation,
                    _ => Generation::FIRST,
                },
            };
            (PlanEntry::clone(entry), replayed)
        };
        let marks: Vec<_> = went_out.iter().map(mark).collect();
        // Somebody else's disposal in the meantime changes nothing: it was sent.
        let write = || self.context.store.mark_replayed(&marks);
        self.context.until_done("mark replayed", write).await?;
        Ok(())
    }

    /// Publishes what is to be published and waits for all confirms; what came of each.
    async fn publish(&self, acts: &[Act]) -> Vec<Result<(), QueueError>> {
        let publishes = acts.iter().map(|act| async move {
            let queue = &self.context.queue;
            match act {
                Act::Skip(_) | Act::WentOut => Ok(()),
                Act::Publish(delivery) => {
                    let publish = || queue.publish_delivery(delivery, Lane::Main, None);
                    self.context.until_done("publish replay", publish).await
                }
                Act::PublishEvent(event) => {
                    let publish = || queue.publish_event(event, None);
                    self.context.until_done("publish replay", publish).await
                }
            }
        });
        join_all(publishes).await
    }
}

/// How many batches go at once after one took so long.
fn adapted(at_once: usize, took: Duration) -> usize {
    if took < BATCH_WITHIN {
        (at_once + 1).min(BATCHES_MAX)
    } else {
        (at_once - 1).max(1)
    }
}

/// Entries and their dead letters.
struct Batch {
    positions: Vec<Position>,
    began: Duration,
    entries: Vec<PlanEntry>,
    letters: Vec<LetterRead>,
    standings: HashMap<DeliveryId, DeliveryStanding>,
    /// The other webhook that gets everything, where the plan names one and it may have it.
    webhook: Option<Webhook>,
    bytes: usize,
}

/// Those that are kept and can be read.
fn found_of(letters: &[LetterRead]) -> impl Iterator<Item = &DeadLetter> {
    letters.iter().flatten().flatten()
}

/// What is large in it.
fn body_bytes(letter: &DeadLetter) -> usize {
    match &letter.content {
        DeadLetterContent::Delivery(delivery) => delivery.body.len(),
        DeadLetterContent::Event { event, .. } => event.document.len(),
        DeadLetterContent::Raw { bytes, .. } => bytes.len(),
    }
}

/// What was done with the entries of a batch, and what came of publishing each.
struct Published {
    batch: Batch,
    acts: Vec<Act>,
    results: Vec<Result<(), QueueError>>,
}

/// What became of a batch.
pub(super) struct Sent {
    /// When its reading began.
    began: Duration,
    bytes: usize,
    /// Entries that nothing was to be published of.
    pub(super) not_published: usize,
    /// Where each entry is now; nothing for one that the queue did not take.
    pub(super) marks: Vec<(Position, Option<EntryMark>)>,
    /// Why the queue did not take one.
    pub(super) failed: Option<QueueError>,
}

impl Act {
    /// Where its entry is once it is done.
    fn mark_of(&self, entry: &PlanEntry) -> EntryMark {
        match self {
            Self::Skip(reason) => EntryMark::Skipped(*reason),
            Self::PublishEvent(_) => EntryMark::Republished,
            Self::WentOut if entry.delivery.is_none() => EntryMark::Republished,
            Self::WentOut | Self::Publish(_) => EntryMark::Sent,
        }
    }

    fn is_published(&self) -> bool {
        matches!(self, Self::Publish(_) | Self::PublishEvent(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_batches_go_at_once_as_are_through_in_time() {
        let quick = |at_once, _| adapted(at_once, BATCH_WITHIN / 2);
        let slow = |at_once, _| adapted(at_once, BATCH_WITHIN);
        assert_eq!((0..5).fold(1, quick), 6);
        assert_eq!((0..100).fold(1, quick), BATCHES_MAX);
        assert_eq!((0..3).fold(5, slow), 2);
        assert_eq!((0..100).fold(5, slow), 1);
    }
}
