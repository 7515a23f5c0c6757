//! Replay plans: making them, and what people do to them. They are run by [`PlanRunner`].

mod errand;
mod run;
mod send;
mod survey;

pub use run::{PlanRunner, RunError};

use crate::{
    ProfileBook, SearchText, TooManyCauses,
    port::{Clock, DeadLetterFilter, Entropy, Store, StoreError, WriteAnswer},
    search::Selection,
};
use ringback_domain::{
    PlanId, ProjectName, WebhookId,
    limits::{NOTE_CHARS_MAX, PLAN_CHUNK_ENTRIES, PLAN_ENTRIES_MAX},
    replay_plan::{
        Pacing, PlanPreview, PlanTerms, PlanWish, ReplayPlan, ReplayTarget, StopRule, WishRefused,
    },
};
use std::sync::Arc;
use survey::Survey;

/// The replay plans of all projects.
pub struct Plans {
    /// Where plans and dead letters are kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub entropy: Arc<dyn Entropy>,
    /// What tells how long a body is of use.
    pub profiles: Arc<ProfileBook>,
}

/// A plan to be made.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// Which dead letters. Those dealt with before are never part of a plan, whatever it says.
    pub filter: DeadLetterFilter,
    /// Of these, those that a search would list.
    pub text: Option<SearchText>,
    /// Why, for people. Not empty.
    pub reason: String,
    /// Who asks.
    pub by: String,
    /// How fast, and in which order.
    pub pacing: Pacing,
    /// Where to.
    pub target: ReplayTarget,
    /// When it stops itself.
    pub stop_rule: StopRule,
    /// Whether those are sent, too, whose body is too old to be of use.
    pub sends_stale: bool,
}

/// Why a plan was not made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There is no such plan.
    #[error("there is no replay plan {0}")]
    NotFound(PlanId),
    /// Nobody says why.
    #[error("a replay plan needs a reason")]
    NoReason,
    /// Too much is said.
    #[error("the reason has {chars} characters; allowed: {NOTE_CHARS_MAX}")]
    ReasonTooLong {
        /// So many.
        chars: usize,
    },
    /// The filter matches nothing.
    #[error("no open dead letter matches")]
    NothingFound,
    /// The filter matches too much.
    #[error(
        "more than {PLAN_ENTRIES_MAX} dead letters match, which is the limit of a plan (hint: narrow it, by time for instance)"
    )]
    TooMany,
    /// The search finds too much.
    #[error(transparent)]
    TooManyCauses(#[from] TooManyCauses),
    /// The webhook that is to get them is not there, or disabled.
    #[error("there is no enabled webhook {0} to send to")]
    NoSuchWebhook(WebhookId),
    /// Another tenant would get them.
    #[error("webhook {webhook} belongs to project {owner}, not to project {project}")]
    OtherProject {
        /// The webhook that is to get them.
        webhook: WebhookId,
        /// Whose it is.
        owner: ProjectName,
        /// Whose dead letters were asked for.
        project: ProjectName,
    },
    /// The wish makes no sense where the plan stands.
    #[error(transparent)]
    Refused(#[from] WishRefused),
    /// Somebody was faster.
    #[error(
        "replay plan {0} was changed by somebody else at the same time (hint: look at it and try again)"
    )]
    Conflict(PlanId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Plans {
    /// What a plan would hold, without making it. `told` hears how many were found so far, page by page.
    pub async fn preview(
        &self,
        request: &PlanRequest,
        told: &(dyn Fn(u32) + Sync),
    ) -> Result<PlanPreview, PlanError> {
        let filter = self.checked(request).await?;
        let survey = self
            .survey(&filter, request.text.as_ref(), None, told)
            .await?;
        Ok(survey.into_preview())
    }

    /// Makes a plan: freezes the list of what matches now. It sends nothing until it is started.
    pub async fn plan(
        &self,
        request: &PlanRequest,
        told: &(dyn Fn(u32) + Sync),
    ) -> Result<ReplayPlan, PlanError> {
        let filter = self.checked(request).await?;
        let mut random = [0; 16];
        self.entropy.fill(&mut random);
        let id = PlanId::from_random(random);
        let survey = self
            .survey(&filter, request.text.as_ref(), Some(&id), told)
            .await?;
        let plan = ReplayPlan::new(PlanTerms {
            id: id.clone(),
            project: filter.project.clone(),
            selection: survey::in_words(&filter, request.text.as_ref()),
            reason: request.reason.trim().to_owned(),
            by: request.by.clone(),
            planned_at: self.clock.now(),
            pacing: request.pacing,
            target: request.target.clone(),
            stop_rule: request.stop_rule,
            sends_stale: request.sends_stale,
            preview: survey.into_preview(),
        });
        match self.store.create_plan(&plan).await? {
            WriteAnswer::Written => Ok(plan),
            WriteAnswer::Conflict => Err(PlanError::Conflict(id)),
        }
    }

    /// Starts, pauses, resumes or cancels a plan; the plan as it is then. Workers see it within a few seconds.
    pub async fn change(
        &self,
        id: &PlanId,
        wish: PlanWish,
        by: &str,
    ) -> Result<ReplayPlan, PlanError> {
        let found = self.store.plan(id).await?;
        let plan = found.ok_or_else(|| PlanError::NotFound(id.clone()))?;
        let status = plan.status.wished(wish, self.clock.now(), by)?;
        match self.store.change_plan(id, &status).await? {
            WriteAnswer::Written => Ok(ReplayPlan { status, ..plan }),
            WriteAnswer::Conflict => Err(PlanError::Conflict(id.clone())),
        }
    }

    /// The filter that counts: of open dead letters, and of one project where they go to another webhook.
    async fn checked(&self, request: &PlanRequest) -> Result<DeadLetterFilter, PlanError> {
        let chars = request.reason.chars().count();
        if request.reason.trim().is_empty() {
            return Err(PlanError::NoReason);
        }
        if chars > NOTE_CHARS_MAX {
            return Err(PlanError::ReasonTooLong { chars });
        }
        let mut filter = request.filter.clone();
        filter.include_disposed = false;
        // What is given up from now on is not part of it, however long the list takes.
        let now = self.clock.now();
        filter.until = Some(filter.until.map_or(now, |until| until.min(now)));
        if let ReplayTarget::Webhook(id) = &request.target {
            let webhook = self.store.webhook(id).await?;
            let webhook = webhook
                .filter(ringback_domain::Webhook::is_enabled)
                .ok_or_else(|| PlanError::NoSuchWebhook(id.clone()))?;
            let project = filter.project.get_or_insert(webhook.project.clone());
            if *project != webhook.project {
                return Err(PlanError::OtherProject {
                    webhook: id.clone(),
                    owner: webhook.project,
                    project: project.clone(),
                });
            }
        }
        Ok(filter)
    }

    /// Walks over all that matches; writes it down as the list of a plan where there is one.
    async fn survey(
        &self,
        filter: &DeadLetterFilter,
        text: Option<&SearchText>,
        plan: Option<&PlanId>,
        told: &(dyn Fn(u32) + Sync),
    ) -> Result<Survey, PlanError> {
        /// A page holds whole bodies: a tenth of what would be allowed is enough.
        const PAGE: usize = 100;
        let store = &*self.store;
        let selection = Selection::find(store, filter, text).await?.whole()?;
        let mut survey = Survey::new(self.clock.now());
        let mut chunk = Vec::with_capacity(PLAN_CHUNK_ENTRIES);
        let (mut chunks, mut after) = (0, None);
        loop {
            let page = selection.page(store, after.as_ref(), PAGE).await?.whole()?;
            for dead_letter in &page.entries {
                if survey.entries() == PLAN_ENTRIES_MAX {
                    return Err(PlanError::TooMany);
                }
                survey.count(dead_letter, &self.profiles);
                if plan.is_some() {
                    chunk.push(survey::entry_of(dead_letter));
                }
            }
            told(survey.entries());
            after = page.next;
            let is_last = after.is_none();
            while let Some(plan) = plan
                && (chunk.len() >= PLAN_CHUNK_ENTRIES || (is_last && !chunk.is_empty()))
            {
                let rest = chunk.split_off(PLAN_CHUNK_ENTRIES.min(chunk.len()));
                store.put_plan_chunk(plan, chunks, &chunk).await?;
                chunk = rest;
                chunks += 1;
            }
            if is_last {
                break;
            }
        }
        if survey.entries() == 0 {
            return Err(PlanError::NothingFound);
        }
        Ok(survey)
    }
}
