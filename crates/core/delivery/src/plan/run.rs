//! Running a plan, by whichever worker holds its lease.
//!
//! Batches of dead letters are read, published as their next generation and confirmed, and marked as replayed: see [`Pipeline`]. While
//! some are under way, what was sent before is asked after, and all of it is made safe in steps that show the fencing token. What to
//! do is decided by the [`Ledger`]; here it is done.
//!
//! A worker that dies in the middle leaves a lease that runs out. Its successor finds entries that were published and not
//! marked (published again, as the same generation: the claim lets one through), and entries marked and not noted in the plan
//! (recognised by who marked them). Nothing is skipped without a reason, and nothing is sent twice within a generation.

use super::send::{BATCH, Pipeline, Sending, Sent, Taken};
use crate::{
    Context,
    port::{Advance, AdvanceAnswer, FencingToken, Occurrence, PlanLease, QueueError, StoreError},
};
use futures_util::{FutureExt, select_biased};
use ringback_domain::{
    PlanId,
    replay_plan::{Ledger, Pace, PlanState, PlanStatus, PlanStep, PlanTerms},
};
use std::{sync::Arc, time::Duration};

/// The shortest time for which a worker holds a plan after its last sign of life: some heartbeats.
const LEASE_MIN: Duration = Duration::from_secs(3);
/// The longest between two signs of life: in which a worker also learns what people want of the plan.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The shortest between two batches of a plan with a rate: a few entries share their steps.
const PACED_EVERY: Duration = Duration::from_millis(100);
/// Entries asked after at once.
const WATCHED_MAX: usize = 1_000;
/// The shortest between two looks at what was sent, and between two notes of how far the plan came; and the longest while nothing
/// changes.
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
            match run.turn(stops()).await {
                Ok(Turn::Next) => {}
                Ok(Turn::Over) => return Ok(true),
                Err(failure) => {
                    run.end_what_is_under_way().await;
                    return Err(failure);
                }
            }
        }
    }

    async fn take_up(&self, id: &PlanId) -> Result<Option<Run<'_>>, RunError> {
        let context = &*self.context;
        let ask = || context.store.lease_plan(id, &context.worker, self.lease);
        let PlanLease::Granted { token, plan } = context.until_done("lease plan", ask).await?
        else {
            return Ok(None);
        };
        let now = context.clock.monotonic();
        let terms = Arc::new(plan.terms);
        let sending = Arc::new(Sending {
            context,
            mark: format!("{} ({id})", terms.by),
            terms: Arc::clone(&terms),
        });
        let mut book = Book {
            context,
            sending: Arc::clone(&sending),
            token,
            lease: self.lease,
            pace: Pace::new(terms.pacing.rate, now),
            ledger: Ledger::new(PlanTerms::clone(&terms), plan.progress),
            terms,
            status: plan.status,
            more_at: now,
            saved_at: now,
            watched_at: None,
        };
        for number in book.ledger.chunks_to_reopen() {
            book.open_chunk(number).await?;
        }
        Ok(Some(Run {
            book,
            pipeline: Pipeline::new(sending),
        }))
    }
}

/// What comes after a turn.
enum Turn {
    /// Another.
    Next,
    /// Nothing: the lease is given back, or another worker has it.
    Over,
}

/// A plan in the hands of this worker.
struct Run<'a> {
    book: Book<'a>,
    pipeline: Pipeline<'a>,
}

impl Run<'_> {
    async fn turn(&mut self, stops: bool) -> Result<Turn, RunError> {
        let now = self.book.context.clock.now();
        let step = self.book.ledger.next_step(&self.book.status, now);
        match if stops { PlanStep::Leave } else { step } {
            PlanStep::Leave if self.pipeline.is_empty() => {
                self.book.save(None, Duration::ZERO).await?;
                Ok(Turn::Over)
            }
            PlanStep::Leave => self.look_after(HEARTBEAT).await,
            PlanStep::Finish => {
                self.book.ledger.close();
                let finished = self.book.move_to(PlanState::Finished);
                self.pipeline.during(finished).await
            }
            PlanStep::StopItself { failed, of } => {
                self.book.ledger.forget_signs();
                let stopped = PlanState::StoppedItself { failed, of };
                // Those that wait for a place in the publisher's window have to go on, or nobody else would get one.
                self.pipeline.during(self.book.move_to(stopped)).await
            }
            PlanStep::GiveUpWatching => {
                self.book.ledger.give_up_watching(now);
                let save = self.book.save(None, self.book.lease);
                self.pipeline.during(save).await
            }
            PlanStep::Send => {
                let wait = self.begin_batches().await?;
                self.look_after(wait).await
            }
            PlanStep::Watch => self.look_after(self.book.watch_interval()).await,
        }
    }

    /// Begins batches of what may go; how long until more may.
    async fn begin_batches(&mut self) -> Result<Duration, RunError> {
        let clock = &self.book.context.clock;
        while self.pipeline.has_room() {
            let now = clock.monotonic();
            let wait = self.book.more_at.saturating_sub(now);
            if !wait.is_zero() {
                return Ok(wait);
            }
            let allowed = self.book.pace.allows(BATCH, now);
            let taken = self.pipeline.during(self.book.take(allowed)).await?;
            self.book.pace.spend(taken.len());
            if taken.len() < allowed {
                // Every destination has its share, or the plan waits for outcomes.
                self.book.more_at = now + WATCH_EVERY;
            } else if allowed < BATCH {
                self.book.more_at = now + self.book.pace.next_in().max(PACED_EVERY);
            }
            if !taken.is_empty() {
                self.pipeline.begin(taken);
            }
        }
        Ok(WATCH_EVERY)
    }

    /// Sees to what was sent and to the lease, then waits for a batch to come on, but no longer than so.
    async fn look_after(&mut self, wait: Duration) -> Result<Turn, RunError> {
        let kept = self.pipeline.during(self.book.keep_up()).await?;
        if let Turn::Next = kept {
            let clock = &self.book.context.clock;
            select_biased! {
                sent = self.pipeline.step().fuse() => if let Some(sent) = sent? {
                    self.book.note(sent)?;
                },
                () = clock.sleep(wait).fuse() => {}
            }
        }
        Ok(kept)
    }

    /// What was begun is ended and noted, and nothing more is begun.
    async fn end_what_is_under_way(&mut self) {
        // The first failure is told, and no later one.
        while !self.pipeline.is_empty() {
            if let Ok(Some(sent)) = self.pipeline.step().await {
                let _later = self.book.note(sent);
            }
        }
        let _later = self.book.save(None, self.book.lease).await;
    }
}

/// How far a plan came, and the right to go on with it.
struct Book<'a> {
    context: &'a Context,
    sending: Arc<Sending<'a>>,
    token: FencingToken,
    lease: Duration,
    terms: Arc<PlanTerms>,
    status: PlanStatus,
    ledger: Ledger,
    pace: Pace,
    /// Before this moment nothing more may go.
    more_at: Duration,
    saved_at: Duration,
    watched_at: Option<Duration>,
}

impl Book<'_> {
    /// Takes entries that may go in hand, from new chunks once the open ones have no more.
    async fn take(&mut self, most: usize) -> Result<Vec<Taken>, StoreError> {
        let mut positions = self.ledger.take(most);
        while positions.len() < most
            && let Some(number) = self.ledger.next_chunk()
        {
            self.open_chunk(number).await?;
            positions.extend(self.ledger.take(most - positions.len()));
        }
        let entry = |position| (position, self.ledger.entry(position).clone());
        Ok(positions.into_iter().map(entry).collect())
    }

    async fn open_chunk(&mut self, number: u32) -> Result<(), StoreError> {
        let store = &self.context.store;
        let read = || store.plan_chunk(&self.terms.id, number);
        match self.context.until_done("read entries", read).await? {
            Some(chunk) => self.ledger.open_chunk(number, chunk),
            None => self.ledger.chunk_is_gone(number),
        }
        Ok(())
    }

    /// Takes note of what became of a batch.
    fn note(&mut self, sent: Sent) -> Result<(), RunError> {
        let now = self.context.clock.now();
        for (position, mark) in sent.marks {
            match mark {
                Some(mark) => self.ledger.mark(position, mark, now),
                None => self.ledger.put_back(position),
            }
        }
        if sent.not_published > 0 {
            self.pace.give_back(sent.not_published);
            let soon = self.context.clock.monotonic() + PACED_EVERY;
            self.more_at = self.more_at.min(soon);
        }
        sent.failed.map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Asks after what was sent, and makes safe what changed or shows that we are alive, where it is time to.
    async fn keep_up(&mut self) -> Result<Turn, RunError> {
        self.watch_if_due().await?;
        let idle = self.context.clock.monotonic().saturating_sub(self.saved_at);
        let has_news = self.ledger.has_unsaved() && idle >= WATCH_EVERY;
        if has_news || idle >= HEARTBEAT {
            return self.save(None, self.lease).await;
        }
        Ok(Turn::Next)
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
            let id = self.sending.id_sent(self.ledger.entry(position))?;
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

    /// Changes the plan's own state, unless a person did meanwhile.
    async fn move_to(&mut self, state: PlanState) -> Result<Turn, RunError> {
        let worker = self.context.worker.as_str();
        let status = self.status.moved(state, self.context.clock.now(), worker);
        self.save(Some(&status), self.lease).await
    }

    async fn save(
        &mut self,
        status: Option<&PlanStatus>,
        lease: Duration,
    ) -> Result<Turn, RunError> {
        if let PlanState::StoppedItself { .. } = self.status.state {
            // What was on its way when it stopped says nothing of what its resuming will meet.
            self.ledger.forget_signs();
        }
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
                Ok(Turn::Next)
            }
        }
    }
}
