//! Running a plan, by whichever worker holds its lease.
//!
//! A turn is: read the dead letters that may go, publish them as their next generation and wait for the confirms, mark them as
//! replayed, ask after what was sent before, and make all of it safe in one step that shows the fencing token. What to do is
//! decided by the [`Ledger`]; here it is done.
//!
//! A worker that dies in the middle leaves a lease that runs out. Its successor finds entries that were published and not
//! marked (published again, as the same generation: the claim lets one through), and entries marked and not noted in the plan
//! (recognised by who marked them). Nothing is skipped without a reason, and nothing is sent twice within a generation.

use crate::{
    Context,
    age::stale,
    port::{
        Advance, AdvanceAnswer, FencingToken, Lane, Occurrence, PlanLease, QueueError, StoreError,
    },
    replay::replay_of,
};
use futures_util::{
    FutureExt, StreamExt,
    future::{Fuse, FusedFuture, join_all},
    select_biased,
    stream::FuturesUnordered,
};
use ringback_domain::{
    DeadLetter, DeadLetterContent, Delivery, DeliveryId, Destination, Detour, Disposal, Event,
    Generation, PlanId, Replayed, Timestamp, Webhook,
    replay_plan::{
        DeliveryStanding, EntryMark, Ledger, Pace, PlanEntry, PlanState, PlanStatus, PlanStep,
        PlanTerms, Position, ReplayTarget, SkipReason,
    },
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// The shortest time for which a worker holds a plan after its last sign of life: some heartbeats.
const LEASE_MIN: Duration = Duration::from_secs(3);
/// The longest between two signs of life: in which a worker also learns what people want of the plan.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Entries sent in one turn.
const SENT_MAX: usize = 32_768;
/// Entries read, published and marked together.
const BATCH: usize = 512;
/// Batches under way at once: while the broker makes one safe, the store is busy with others.
const BATCHES_MAX: usize = 16;
/// How long a batch may take before fewer go at once: a turn ends with waiting for those under way, and has to end within its lease.
const BATCH_WITHIN: Duration = Duration::from_secs(1);
/// Bytes of bodies in batches under way, beyond which no further one is read: with a whole one of the largest bodies, 144 MiB.
const HELD_BYTES_MAX: usize = 16 << 20;
/// The shortest between two turns of a plan with a rate: a few entries share their steps.
const PACED_EVERY: Duration = Duration::from_millis(100);
/// Entries asked after at once.
const WATCHED_MAX: usize = 1_000;
/// The shortest between two looks at what was sent, and the longest while nothing changes.
const WATCH_EVERY: Duration = Duration::from_millis(250);
const WATCH_SELDOM: Duration = Duration::from_secs(2);

/// Runs plans.
pub struct PlanRunner {
    context: Arc<Context>,
    lease: Duration,
}

/// Why a plan could not go on. It is taken up again later, by this worker or another.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The queue does not take an entry.
    #[error("could not publish a replay")]
    Queue(#[from] QueueError),
    /// The store failed.
    #[error("could not read or advance the plan")]
    Store(#[from] StoreError),
}

impl PlanRunner {
    /// A plan is held for the margin, but no shorter than some heartbeats.
    pub fn new(context: Arc<Context>, lease_margin: Duration) -> Self {
        let lease = lease_margin.max(LEASE_MIN);
        Self { context, lease }
    }

    /// The plans that a worker should take up.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn active(&self) -> Result<Vec<PlanId>, StoreError> {
        self.context.store.active_plans().await
    }

    /// Runs a plan until there is nothing more to do for it, another worker has it, or `stops` says so. Whether it was ours.
    ///
    /// Dropped in the middle, it leaves a lease that runs out.
    ///
    /// # Errors
    ///
    /// When the plan cannot go on for now.
    pub async fn run(
        &self,
        id: &PlanId,
        stops: &(dyn Fn() -> bool + Send + Sync),
    ) -> Result<bool, RunError> {
        let Some(mut run) = self.take_up(id).await? else {
            return Ok(false);
        };
        loop {
            let turn = if stops() {
                run.leave().await?;
                Turn::Over
            } else {
                run.turn().await?
            };
            match turn {
                Turn::Next(wait) => self.context.clock.sleep(wait).await,
                Turn::Over => return Ok(true),
            }
        }
    }

    async fn take_up(&self, id: &PlanId) -> Result<Option<Run<'_>>, RunError> {
        let context = &self.context;
        let ask = || context.store.lease_plan(id, &context.worker, self.lease);
        let PlanLease::Granted { token, plan } = context.until_done("lease plan", ask).await?
        else {
            return Ok(None);
        };
        let now = context.clock.monotonic();
        let mut run = Run {
            context,
            token,
            lease: self.lease,
            pace: Pace::new(plan.terms.pacing.rate, now),
            ledger: Ledger::new(plan.terms.clone(), plan.progress),
            mark: format!("{} ({id})", plan.terms.by),
            terms: plan.terms,
            status: plan.status,
            batches_at_once: 1,
            saved_at: now,
            watched_at: None,
        };
        for number in run.ledger.chunks_to_reopen() {
            run.open_chunk(number).await?;
        }
        Ok(Some(run))
    }
}

/// What comes after a turn.
enum Turn {
    /// Another, after a wait.
    Next(Duration),
    /// Nothing: the lease is given back, or another worker has it.
    Over,
}

/// A plan in the hands of this worker.
struct Run<'a> {
    context: &'a Context,
    token: FencingToken,
    lease: Duration,
    terms: PlanTerms,
    status: PlanStatus,
    ledger: Ledger,
    pace: Pace,
    /// Who marks dead letters: no other plan and no person is called that.
    mark: String,
    /// As many as broker and store are through with in time.
    batches_at_once: usize,
    saved_at: Duration,
    watched_at: Option<Duration>,
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

impl Run<'_> {
    async fn turn(&mut self) -> Result<Turn, RunError> {
        let now = self.context.clock.now();
        match self.ledger.next_step(&self.status, now) {
            PlanStep::Leave => {
                self.leave().await?;
                Ok(Turn::Over)
            }
            PlanStep::Finish => {
                self.ledger.close();
                self.move_to(PlanState::Finished).await
            }
            PlanStep::StopItself { failed, of } => {
                self.ledger.forget_signs();
                self.move_to(PlanState::StoppedItself { failed, of }).await
            }
            PlanStep::GiveUpWatching => {
                self.ledger.give_up_watching(now);
                self.save(None, self.lease).await
            }
            PlanStep::Send => {
                let wait = self.send().await?;
                self.watch_if_due().await?;
                self.save_if_due(wait).await
            }
            PlanStep::Watch => {
                self.watch_if_due().await?;
                self.save_if_due(self.watch_interval()).await
            }
        }
    }

    /// Sends what may go; how long until more may.
    async fn send(&mut self) -> Result<Duration, RunError> {
        let allowed = self.pace.allows(SENT_MAX, self.context.clock.monotonic());
        let picked = self.pick(allowed).await?;
        if picked.is_empty() {
            return Ok(self.pace.next_in().max(WATCH_EVERY));
        }
        let webhook = self.webhook_instead().await?;
        let mut at_once = self.batches_at_once;
        let (sent, mut failed) = self.send_all(&picked, webhook.as_ref(), &mut at_once).await;
        self.batches_at_once = at_once;
        let now = self.context.clock.now();
        for batch in sent {
            self.note(&batch, now);
            failed = failed.or(batch.failed.map(RunError::from));
        }
        if let Some(failure) = failed {
            self.save(None, self.lease).await?;
            return Err(failure);
        }
        Ok(match self.terms.pacing.rate {
            Some(_) => self.pace.next_in().max(PACED_EVERY),
            None => Duration::ZERO,
        })
    }

    /// Sends batch after batch. One is read at a time, and only while there is room for what those under way hold: bodies may be
    /// large. What the turn has no time for waits for the next, since the lease must not run out meanwhile.
    async fn send_all<'b>(
        &self,
        picked: &'b [Position],
        webhook: Option<&Webhook>,
        at_once: &mut usize,
    ) -> (Vec<Sent<'b>>, Option<RunError>) {
        let clock = &self.context.clock;
        let began = clock.monotonic();
        let mut batches = picked.chunks(BATCH);
        let mut reading = Fuse::terminated();
        let mut sending = FuturesUnordered::new();
        let (mut sent, mut failed, mut held) = (Vec::new(), None, 0);
        loop {
            let has_time = clock.monotonic().saturating_sub(began) < HEARTBEAT;
            let has_room = sending.len() < *at_once && held < HELD_BYTES_MAX;
            if reading.is_terminated()
                && failed.is_none()
                && has_time
                && has_room
                && let Some(batch) = batches.next()
            {
                reading = self.read_batch(batch).boxed().fuse();
            }
            select_biased! {
                batch = reading => match batch {
                    Ok(batch) => {
                        held += batch.bytes;
                        sending.push(self.send_batch(batch, webhook));
                    }
                    Err(failure) => failed = Some(failure.into()),
                },
                batch = sending.select_next_some() => match batch {
                    Ok(batch) => {
                        held -= batch.bytes;
                        let took = clock.monotonic().saturating_sub(batch.began);
                        *at_once = adapted(*at_once, took);
                        sent.push(batch);
                    }
                    // Its bytes stay counted: nothing more is begun.
                    Err(failure) => failed = Some(failure),
                },
                complete => return (sent, failed),
            }
        }
    }

    async fn read_batch<'b>(&self, picked: &'b [Position]) -> Result<Batch<'b>, StoreError> {
        let began = self.context.clock.monotonic();
        let entry = |position: &Position| self.ledger.entry(*position).clone();
        let entries: Vec<PlanEntry> = picked.iter().map(entry).collect();
        let read = || self.context.store.letters_of(&entries);
        let letters = self.context.until_done("read dead letters", read).await?;
        let standings = self.standings_of(&letters).await?;
        let bytes = letters.iter().flatten().map(body_bytes).sum();
        Ok(Batch {
            picked,
            began,
            entries,
            letters,
            standings,
            bytes,
        })
    }

    /// How far the deliveries came whose dead letters are open.
    async fn standings_of(
        &self,
        letters: &[Option<DeadLetter>],
    ) -> Result<HashMap<DeliveryId, DeliveryStanding>, StoreError> {
        let open = letters.iter().flatten();
        let open = open.filter(|letter| letter.disposal == Disposal::Open);
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

    /// Entries that may go, from new chunks once the open ones have no more.
    async fn pick(&mut self, most: usize) -> Result<Vec<Position>, RunError> {
        loop {
            let picked = self.ledger.pick(most);
            match self.ledger.next_chunk().filter(|_| picked.len() < most) {
                Some(number) => self.open_chunk(number).await?,
                None => return Ok(picked),
            }
        }
    }

    async fn open_chunk(&mut self, number: u32) -> Result<(), RunError> {
        let store = &self.context.store;
        let read = || store.plan_chunk(&self.terms.id, number);
        match self.context.until_done("read entries", read).await? {
            Some(chunk) => self.ledger.open_chunk(number, chunk),
            None => self.ledger.chunk_is_gone(number),
        }
        Ok(())
    }

    /// The other webhook that gets everything, where the plan names one and it may have it.
    async fn webhook_instead(&self) -> Result<Option<Webhook>, RunError> {
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
    fn id_sent(&self, entry: &PlanEntry) -> Option<DeliveryId> {
        let id = &entry.delivery.as_ref()?.id;
        Some(match self.terms.target {
            ReplayTarget::Current | ReplayTarget::Original => id.clone(),
            ReplayTarget::Webhook(_) => id.diverted(&self.terms.id),
        })
    }

    /// Publishes what is to be published, and marks the dead letters of what went out. What another webhook gets stays open: what
    /// becomes of it there says nothing about this delivery.
    async fn send_batch<'b>(
        &self,
        batch: Batch<'b>,
        webhook: Option<&Webhook>,
    ) -> Result<Sent<'b>, RunError> {
        let Batch {
            picked,
            began,
            entries,
            letters,
            standings,
            bytes,
        } = batch;
        let store = &self.context.store;
        let now = self.context.clock.now();
        let standing = |id: &DeliveryId| standings.get(id).copied();
        let acts = entries.iter().zip(&letters).map(|(entry, letter)| {
            let letter = letter.as_ref();
            letter.map_or(Act::Skip(SkipReason::Gone), |letter| {
                self.act_for(entry, letter, standing, webhook, now)
            })
        });
        let acts: Vec<_> = acts.collect();
        let published = self.publish(&acts).await;
        fault_point!(PlanPublished);
        let went_out = || {
            let done = acts.iter().zip(&published).zip(entries.iter());
            done.filter(|((act, published), _)| act.is_published() && published.is_ok())
                .map(|((act, _), entry)| (act, entry))
        };
        if !matches!(self.terms.target, ReplayTarget::Webhook(_)) {
            let mark = |(act, entry): (&Act, &PlanEntry)| {
                let replayed = Replayed {
                    at: now,
                    by: self.mark.clone(),
                    generation: match act {
                        Act::Publish(delivery) => delivery.generation,
                        _ => Generation::FIRST,
                    },
                };
                (entry.clone(), replayed)
            };
            let marks: Vec<_> = went_out().map(mark).collect();
            // Somebody else's disposal in the meantime changes nothing: it was sent.
            let write = || store.mark_replayed(&marks);
            self.context.until_done("mark replayed", write).await?;
        }
        fault_point!(PlanMarked);
        for (act, _) in went_out() {
            if let Act::Publish(delivery) = act {
                let seen = Occurrence::Replayed { delivery };
                self.context.observer.saw(&seen);
            }
        }
        let marks = acts.iter().zip(&published).zip(&entries);
        Ok(Sent {
            picked,
            began,
            bytes,
            count: acts.iter().filter(|act| act.is_published()).count(),
            marks: marks
                .map(|((act, published), entry)| published.is_ok().then(|| act.mark_of(entry)))
                .collect(),
            failed: published.into_iter().find_map(Result::err),
        })
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

    /// Takes note in the ledger of what was done with a batch.
    fn note(&mut self, sent: &Sent<'_>, now: Timestamp) {
        for (position, mark) in sent.picked.iter().zip(&sent.marks) {
            if let Some(mark) = mark {
                self.ledger.mark(*position, *mark, now);
            }
        }
        self.pace.spend(sent.count);
    }

    async fn watch_if_due(&mut self) -> Result<(), RunError> {
        let now = self.context.clock.monotonic();
        let interval = self.watch_interval();
        let last = self.watched_at;
        if last.is_some_and(|last| now.saturating_sub(last) < interval) {
            return Ok(());
        }
        self.watched_at = Some(now);
        let watched = self.ledger.watch(WATCHED_MAX);
        let known = watched.into_iter().filter_map(|position| {
            let id = self.id_sent(self.ledger.entry(position))?;
            Some((position, id))
        });
        let (positions, ids): (Vec<_>, Vec<_>) = known.unzip();
        let store = &self.context.store;
        let read = || store.standings(&ids);
        let standings = self.context.until_done("read standings", read).await?;
        let now = self.context.clock.now();
        for (position, standing) in positions.into_iter().zip(standings) {
            self.ledger.observe(position, standing, now);
        }
        Ok(())
    }

    /// Schedules last for hours: the longer nothing changed, the less often we look.
    fn watch_interval(&self) -> Duration {
        let now = self.context.clock.now();
        let quiet = now.duration_since(self.ledger.changed_at());
        let quiet = Duration::try_from(quiet).unwrap_or_default();
        (quiet / 8).clamp(WATCH_EVERY, WATCH_SELDOM)
    }

    /// Makes safe what changed, or shows that we are alive; then another turn after the wait.
    async fn save_if_due(&mut self, wait: Duration) -> Result<Turn, RunError> {
        let idle = self.context.clock.monotonic().saturating_sub(self.saved_at);
        if (self.ledger.has_unsaved() || idle >= HEARTBEAT)
            && let Turn::Over = self.save(None, self.lease).await?
        {
            return Ok(Turn::Over);
        }
        Ok(Turn::Next(wait))
    }

    /// Changes the plan's own state, unless a person did meanwhile.
    async fn move_to(&mut self, state: PlanState) -> Result<Turn, RunError> {
        let worker = self.context.worker.as_str();
        let status = self.status.moved(state, self.context.clock.now(), worker);
        self.save(Some(&status), self.lease).await
    }

    /// Gives the lease back.
    async fn leave(&mut self) -> Result<(), RunError> {
        self.save(None, Duration::ZERO).await.map(|_| ())
    }

    async fn save(
        &mut self,
        status: Option<&PlanStatus>,
        lease: Duration,
    ) -> Result<Turn, RunError> {
        let (progress, marks) = (self.ledger.progress(), self.ledger.unsaved());
        let step = Advance {
            plan: &self.terms.id,
            token: self.token,
            lease,
            progress: &progress,
            marks: &marks,
            status,
        };
        let store = &self.context.store;
        let save = || store.advance_plan(step);
        match self.context.until_done("advance plan", save).await? {
            AdvanceAnswer::Stale => Ok(Turn::Over),
            AdvanceAnswer::Advanced(status) => {
                self.ledger.saved();
                self.saved_at = self.context.clock.monotonic();
                if status.revision != self.status.revision {
                    self.context.observer.saw(&Occurrence::PlanMoved {
                        plan: &self.terms.id,
                        state: status.state,
                    });
                }
                self.status = status;
                Ok(Turn::Next(Duration::ZERO))
            }
        }
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
struct Batch<'b> {
    picked: &'b [Position],
    began: Duration,
    entries: Vec<PlanEntry>,
    letters: Vec<Option<DeadLetter>>,
    standings: HashMap<DeliveryId, DeliveryStanding>,
    bytes: usize,
}

/// What is large in it.
fn body_bytes(letter: &DeadLetter) -> usize {
    match &letter.content {
        DeadLetterContent::Delivery(delivery) => delivery.body.len(),
        DeadLetterContent::Event { event, .. } => event.document.len(),
        DeadLetterContent::Raw { bytes, .. } => bytes.len(),
    }
}

/// What became of a batch.
struct Sent<'b> {
    picked: &'b [Position],
    /// When its reading began.
    began: Duration,
    bytes: usize,
    /// Entries published, or tried to.
    count: usize,
    /// Where each entry is now; nothing for one that the queue did not take.
    marks: Vec<Option<EntryMark>>,
    /// Why the queue did not take one.
    failed: Option<QueueError>,
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
