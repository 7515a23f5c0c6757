//! Running a plan, by whichever worker holds its lease.
//!
//! Batches of dead letters are read, published as their next generation and confirmed, and marked as replayed: see [`Pipeline`]. While
//! some are under way, what was sent before is asked after, and all of it is made safe in steps that show the fencing token. What to
//! do is decided by the [`Ledger`]; here it is done.
//!
//! A worker that dies in the middle leaves a lease that runs out. Its successor finds entries that were published and not
//! marked (published again, as the same generation: the claim lets one through), and entries marked and not noted in the plan
//! (recognised by who marked them). Nothing is skipped without a reason, and nothing is sent twice within a generation.

use super::{
    errand::{Errands, News, Step},
    send::{BATCH, Pipeline, Sending, Sent, Taken},
};
use crate::{
    Context,
    port::{AdvanceAnswer, FencingToken, Occurrence, PlanLease, QueueError, StoreError},
};
use futures_util::{FutureExt, future::try_join_all, select_biased};
use ringback_domain::{
    DeliveryId, PlanId,
    replay_plan::{Ledger, Pace, PlanState, PlanStatus, PlanStep, PlanTerms, Position},
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
        // At once: one after another, they could take as long as the lease.
        let reads = book.ledger.chunks_to_reopen().into_iter();
        let reads = reads.map(|number| sending.read_chunk(number));
        for chunk in try_join_all(reads).await? {
            book.learn(chunk);
        }
        Ok(Some(Run {
            book,
            pipeline: Pipeline::new(Arc::clone(&sending)),
            errands: Errands::new(sending),
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
    errands: Errands<'a>,
}

impl Run<'_> {
    async fn turn(&mut self, stops: bool) -> Result<Turn, RunError> {
        let now = self.book.context.clock.now();
        let step = self.book.ledger.next_step(&self.book.status, now);
        match if stops { PlanStep::Leave } else { step } {
            PlanStep::Send => {
                let wait = self.begin_batches();
                self.look_after(wait).await
            }
            PlanStep::Watch => self.look_after(self.book.watch_interval()).await,
            PlanStep::Leave if !self.pipeline.is_empty() => self.look_after(HEARTBEAT).await,
            // What else is done is decided on what is known once the step before it is safe.
            _ if self.errands.is_saving() => self.until_saved().await,
            PlanStep::Leave => {
                self.save(None, Duration::ZERO).await?;
                Ok(Turn::Over)
            }
            PlanStep::Finish => {
                self.book.ledger.close();
                self.move_to(PlanState::Finished).await
            }
            PlanStep::StopItself { failed, of } => {
                self.book.ledger.forget_signs();
                self.move_to(PlanState::StoppedItself { failed, of }).await
            }
            PlanStep::GiveUpWatching => {
                self.book.ledger.give_up_watching(now);
                self.save(None, self.book.lease).await
            }
        }
    }

    /// Begins batches of what may go; how long until more may.
    fn begin_batches(&mut self) -> Duration {
        while self.pipeline.has_room() {
            let now = self.book.context.clock.monotonic();
            let wait = self.book.more_at.saturating_sub(now);
            if !wait.is_zero() {
                return wait;
            }
            let allowed = self.book.pace.allows(BATCH, now);
            let taken = self.book.take(allowed);
            self.book.pace.spend(taken.len());
            let is_short = taken.len() < allowed;
            // So that the next batch is a whole one.
            if is_short || self.book.ledger.free() < BATCH {
                self.read_on();
            }
            if is_short && !self.errands.is_reading() {
                // Every destination has its share, or the plan waits for outcomes.
                self.book.more_at = now + WATCH_EVERY;
            } else if !is_short && allowed < BATCH {
                self.book.more_at = now + self.book.pace.next_in().max(PACED_EVERY);
            }
            if !taken.is_empty() {
                self.pipeline.begin(taken);
            }
            if is_short {
                break;
            }
        }
        WATCH_EVERY
    }

    /// Reads the next chunk, unless there is none or one is being read.
    fn read_on(&mut self) {
        if !self.errands.is_reading()
            && let Some(number) = self.book.ledger.next_chunk()
        {
            self.errands.read(number);
        }
    }

    /// Sees to what was sent and to the lease, then waits for something to come on, but no longer than so.
    async fn look_after(&mut self, wait: Duration) -> Result<Turn, RunError> {
        self.keep_up();
        let clock = &self.book.context.clock;
        let step_in = if self.errands.is_saving() {
            HEARTBEAT
        } else {
            self.book.step_due_in()
        };
        select_biased! {
            news = self.errands.news().fuse() => return Ok(self.book.learn(news?)),
            sent = self.pipeline.step().fuse() => if let Some(sent) = sent? {
                self.book.note(sent)?;
            },
            () = clock.sleep(wait.min(step_in)).fuse() => {}
        }
        Ok(Turn::Next)
    }

    /// Asks after what was sent, and makes safe what changed or shows that we are alive, where it is time to.
    fn keep_up(&mut self) {
        if !self.errands.is_asking()
            && let Some((positions, ids)) = self.book.next_to_ask_after()
        {
            self.errands.ask(positions, ids);
        }
        if !self.errands.is_saving() && self.book.step_due_in().is_zero() {
            let step = self.book.step(None, self.book.lease);
            self.errands.save(step);
        }
    }

    /// Changes the plan's own state, unless a person did meanwhile.
    async fn move_to(&mut self, state: PlanState) -> Result<Turn, RunError> {
        let worker = self.book.context.worker.as_str();
        let now = self.book.context.clock.now();
        let status = self.book.status.moved(state, now, worker);
        self.save(Some(status), self.book.lease).await
    }

    /// Makes safe how far the plan came; no step may be under way.
    async fn save(
        &mut self,
        status: Option<PlanStatus>,
        lease: Duration,
    ) -> Result<Turn, RunError> {
        self.errands.save(self.book.step(status, lease));
        self.until_saved().await
    }

    /// Batches go on meanwhile: where one waits for a place in the publisher's window, nobody else would get one.
    async fn until_saved(&mut self) -> Result<Turn, RunError> {
        while self.errands.is_saving() {
            let news = self.pipeline.during(self.errands.news()).await?;
            if let Turn::Over = self.book.learn(news) {
                return Ok(Turn::Over);
            }
        }
        Ok(Turn::Next)
    }

    /// What was begun is ended and noted, and nothing more is begun. Until then nobody else takes the plan up: they would publish
    /// what is under way again.
    async fn end_what_is_under_way(&mut self) {
        while !self.pipeline.is_empty() {
            // The first failure is told, and no later one.
            if let Ok(Turn::Over) = self.look_after(HEARTBEAT).await {
                return;
            }
        }
        // Nobody waits for those that are under way, and one that nobody runs may be before us in the line to the store.
        self.errands = Errands::new(self.book.sending.clone());
        let _later = self.save(None, self.book.lease).await;
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
    /// Takes entries that may go in hand.
    fn take(&mut self, most: usize) -> Vec<Taken> {
        let positions = self.ledger.take(most).into_iter();
        let entry = |position| (position, self.ledger.entry(position).clone());
        positions.map(entry).collect()
    }

    /// Takes note of what came of an errand.
    fn learn(&mut self, news: News) -> Turn {
        match news {
            News::Chunk(number, Some(chunk)) => self.ledger.open_chunk(number, chunk),
            News::Chunk(number, None) => self.ledger.chunk_is_gone(number),
            News::Standings(standings) => {
                let (now, asked) = (self.context.clock.now(), standings.len());
                let before = self.ledger.outstanding();
                for (position, standing) in standings {
                    self.ledger.observe(position, standing, now);
                }
                let heard = before.saturating_sub(self.ledger.outstanding());
                if asked == WATCHED_MAX && 2 * heard > asked {
                    // Outcomes come faster than we ask.
                    self.watched_at = None;
                }
            }
            News::Saved(AdvanceAnswer::Stale, _) => return Turn::Over,
            News::Saved(AdvanceAnswer::Advanced(status), marks) => {
                self.ledger.saved(&marks);
                self.forget_signs_where_stopped();
                self.stands_at(status);
            }
        }
        Turn::Next
    }

    /// What was on its way when the plan stopped itself says nothing of what its resuming will meet.
    fn forget_signs_where_stopped(&mut self) {
        if let PlanState::StoppedItself { .. } = self.status.state {
            self.ledger.forget_signs();
        }
    }

    fn stands_at(&mut self, status: PlanStatus) {
        if status.revision != self.status.revision {
            self.context.observer.saw(&Occurrence::PlanMoved {
                plan: &self.terms.id,
                state: status.state,
            });
        }
        self.status = status;
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

    /// What to ask after now.
    fn next_to_ask_after(&mut self) -> Option<(Vec<Position>, Vec<DeliveryId>)> {
        let now = self.context.clock.monotonic();
        let interval = self.watch_interval();
        let last = self.watched_at;
        if last.is_some_and(|last| now.saturating_sub(last) < interval) {
            return None;
        }
        self.watched_at = Some(now);
        let watched = self.ledger.watch(WATCHED_MAX);
        let known = watched.into_iter().filter_map(|position| {
            let id = self.sending.id_sent(self.ledger.entry(position))?;
            Some((position, id))
        });
        let (positions, ids): (Vec<_>, Vec<_>) = known.unzip();
        (!ids.is_empty()).then_some((positions, ids))
    }

    /// How long until something that changed is to be made safe, or a sign of life is due.
    fn step_due_in(&self) -> Duration {
        let idle = self.context.clock.monotonic().saturating_sub(self.saved_at);
        let interval = if self.ledger.has_unsaved() {
            WATCH_EVERY
        } else {
            HEARTBEAT
        };
        interval.saturating_sub(idle)
    }

    /// How far the plan came, to be made safe.
    fn step(&mut self, status: Option<PlanStatus>, lease: Duration) -> Step {
        self.forget_signs_where_stopped();
        self.saved_at = self.context.clock.monotonic();
        Step {
            token: self.token,
            lease,
            progress: self.ledger.progress(),
            marks: self.ledger.unsaved(),
            status,
        }
    }

    /// Schedules last for hours: the longer nothing changed, the less often we look.
    fn watch_interval(&self) -> Duration {
        let now = self.context.clock.now();
        let quiet = now.duration_since(self.ledger.changed_at());
        let quiet = Duration::try_from(quiet).unwrap_or_default();
        (quiet / 8).clamp(WATCH_EVERY, WATCH_SELDOM)
    }
}
