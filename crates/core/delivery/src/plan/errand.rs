//! What a plan has the store do beside its batches: read further entries, ask after what was sent, note how far it came. One of
//! each kind is under way at most, and no batch waits for any of them.

use super::send::Sending;
use crate::port::{Advance, AdvanceAnswer, FencingToken, StoreError};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, pending},
    stream::FuturesUnordered,
};
use ringback_domain::{
    DeliveryId,
    replay_plan::{DeliveryStanding, EntryMark, PlanChunk, PlanProgress, PlanStatus, Position},
};
use std::{sync::Arc, time::Duration};

/// The marks of some chunks, by their numbers.
pub(super) type Marks = Vec<(u32, Vec<EntryMark>)>;

/// What came of an errand.
pub(super) enum News {
    /// A chunk; nothing, where it is no longer kept.
    Chunk(u32, Option<PlanChunk>),
    /// How far the deliveries of some entries came.
    Standings(Vec<(Position, Option<DeliveryStanding>)>),
    /// What the store says to a step, and the marks that were in it.
    Saved(AdvanceAnswer, Marks),
}

/// A step to be made safe.
pub(super) struct Step {
    pub(super) token: FencingToken,
    pub(super) lease: Duration,
    pub(super) progress: PlanProgress,
    pub(super) marks: Marks,
    /// A change of state that the plan itself wants.
    pub(super) status: Option<PlanStatus>,
}

/// Those under way.
pub(super) struct Errands<'a> {
    sending: Arc<Sending<'a>>,
    under_way: FuturesUnordered<BoxFuture<'a, Result<News, StoreError>>>,
    is_reading: bool,
    is_asking: bool,
    is_saving: bool,
}

impl<'a> Errands<'a> {
    pub(super) fn new(sending: Arc<Sending<'a>>) -> Self {
        Self {
            sending,
            under_way: FuturesUnordered::new(),
            is_reading: false,
            is_asking: false,
            is_saving: false,
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        self.is_reading
    }

    pub(super) fn is_asking(&self) -> bool {
        self.is_asking
    }

    pub(super) fn is_saving(&self) -> bool {
        self.is_saving
    }

    /// Reads a chunk.
    pub(super) fn read(&mut self, number: u32) {
        self.is_reading = true;
        let sending = Arc::clone(&self.sending);
        self.begin(async move { sending.read_chunk(number).await });
    }

    /// Asks how far deliveries came.
    pub(super) fn ask(&mut self, positions: Vec<Position>, ids: Vec<DeliveryId>) {
        self.is_asking = true;
        let sending = Arc::clone(&self.sending);
        self.begin(async move {
            let context = sending.context;
            let read = || context.store.standings(&ids);
            let standings = context.until_done("read standings", read).await?;
            Ok(News::Standings(
                positions.into_iter().zip(standings).collect(),
            ))
        });
    }

    /// Makes a step safe.
    pub(super) fn save(&mut self, step: Step) {
        self.is_saving = true;
        let sending = Arc::clone(&self.sending);
        self.begin(async move { sending.save(step).await });
    }

    fn begin(&self, errand: impl Future<Output = Result<News, StoreError>> + Send + 'a) {
        self.under_way.push(errand.boxed());
    }

    /// What comes of one of them; waits for ever where none is under way.
    pub(super) async fn news(&mut self) -> Result<News, StoreError> {
        let Some(news) = self.under_way.next().await else {
            return pending().await;
        };
        match &news {
            Ok(News::Chunk(..)) => self.is_reading = false,
            Ok(News::Standings(_)) => self.is_asking = false,
            Ok(News::Saved(..)) => self.is_saving = false,
            // The plan ends with it.
            Err(_) => {}
        }
        news
    }
}

impl Sending<'_> {
    pub(super) async fn read_chunk(&self, number: u32) -> Result<News, StoreError> {
        let read = || self.context.store.plan_chunk(&self.terms.id, number);
        let chunk = self.context.until_done("read entries", read).await?;
        Ok(News::Chunk(number, chunk))
    }

    pub(super) async fn save(&self, step: Step) -> Result<News, StoreError> {
        let advance = Advance {
            plan: &self.terms.id,
            token: step.token,
            lease: step.lease,
            progress: &step.progress,
            marks: &step.marks,
            status: step.status.as_ref(),
        };
        let save = || self.context.store.advance_plan(advance);
        let answer = self.context.until_done("advance plan", save).await?;
        Ok(News::Saved(answer, step.marks))
    }
}
