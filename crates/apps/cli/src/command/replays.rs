//! `ringback replays`: plans to send many dead letters again.

use crate::{
    args::{PacingArgs, PageArgs, PlanFilterArgs, ReplayPlanArgs, ReplaysCommand},
    command::operator,
    failure::{Exit, Failure, Outcome},
    session::Session,
    view::{PlanPreviewView, PlanView, RecordListView, plan_facts, plans_table, preview_facts},
};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ringback_delivery::{
    PlanError, PlanRequest, Plans,
    port::{Cursor, DeadLetterFilter, Store},
};
use ringback_domain::{
    PlanId, ProjectName,
    replay_plan::{EntryMark, Pacing, PlanState, PlanWish, ReplayPlan, StopRule},
};
use ringback_worker::{Backend, SystemEntropy};
use std::{sync::Arc, time::Duration};

/// Between two looks at a plan that is watched.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn run(session: &Session, command: ReplaysCommand) -> Outcome {
    let config = session.config()?;
    let desk = session.desk_of(&config).await?;
    let plans = Plans {
        store: desk.store.clone(),
        clock: desk.clock.clone(),
        entropy: Arc::new(SystemEntropy),
        profiles: Arc::new(config.profile_book()),
    };
    session.look_for_project(&config, project_of(&command));
    if let ReplaysCommand::Plan(args) = &command {
        session
            .look_for_destination(&*desk.store, args.filter.destination.as_ref())
            .await;
    }
    let done = obey(session, &desk, &plans, command).await;
    desk.close().await;
    done
}

/// Whose plans or dead letters are asked for.
fn project_of(command: &ReplaysCommand) -> Option<&ProjectName> {
    match command {
        ReplaysCommand::Plan(args) => args.filter.project.as_ref(),
        ReplaysCommand::List { project, .. } => project.as_ref(),
        _ => None,
    }
}

async fn obey(
    session: &Session,
    desk: &Backend,
    plans: &Plans,
    command: ReplaysCommand,
) -> Outcome {
    let store = &*desk.store;
    match command {
        ReplaysCommand::Plan(args) => plan(session, desk, plans, *args).await,
        ReplaysCommand::List { project, page } => {
            list(session, store, project.as_ref(), page).await
        }
        ReplaysCommand::Show { id, watch } => {
            let found = store.plan(&id).await?;
            let plan = found.ok_or(PlanError::NotFound(id))?;
            if plan.status.state == PlanState::Running {
                refuse_to_watch_alone(desk, watch)?;
            }
            show(session, store, plan, watch).await
        }
        ReplaysCommand::Start { id, watch } => {
            refuse_to_watch_alone(desk, watch)?;
            let found = store.plan(&id).await?;
            let plan = found.ok_or_else(|| PlanError::NotFound(id.clone()))?;
            let entries = plan.terms.preview.entries;
            confirm_sending(session, entries, &plan)?;
            let plan = plans.change(&id, PlanWish::Start, &operator()).await?;
            session.note_if_alone(desk);
            show(session, store, plan, watch).await
        }
        ReplaysCommand::Resume { id, watch } => {
            refuse_to_watch_alone(desk, watch)?;
            let plan = plans.change(&id, PlanWish::Resume, &operator()).await?;
            session.note_if_alone(desk);
            show(session, store, plan, watch).await
        }
        ReplaysCommand::Pause { id } => change(session, plans, &id, PlanWish::Pause).await,
        ReplaysCommand::Cancel { id } => {
            let question = format!("Cancel {id}? What was not sent stays a dead letter");
            session.terminal.confirm(&question)?;
            change(session, plans, &id, PlanWish::Cancel).await
        }
    }
}

/// Who watches holds the data directory: it would wait for a worker, and keep it out.
fn refuse_to_watch_alone(desk: &Backend, watch: bool) -> Outcome {
    if !(watch && desk.is_alone()) {
        return Ok(());
    }
    Err(Failure::refused(
        "nothing is sent here, and nothing could be watched: `ringback serve` does not run on this data directory",
    )
    .hint("start `ringback serve`, then watch from another terminal; without `--watch` the plan goes on once it runs"))
}

async fn list(
    session: &Session,
    store: &dyn Store,
    project: Option<&ProjectName>,
    page: PageArgs,
) -> Outcome {
    let after = page.cursor.map(Cursor);
    let page = store
        .plans(project, after.as_ref(), page.limit.into())
        .await?;
    let list = RecordListView::<PlanView>::of(page);
    session.terminal.data(&list, plans_table)?;
    session.terminal.say_more(list.next_cursor.as_deref());
    Failure::if_damaged("replay plan", &list.damaged)
}

async fn plan(session: &Session, desk: &Backend, plans: &Plans, args: ReplayPlanArgs) -> Outcome {
    let ReplayPlanArgs {
        reason,
        dry_run,
        start,
        filter,
        pacing,
    } = args;
    let request = request(desk.clock.now(), reason, filter, pacing)?;
    let counting = counter(session);
    let told = |found: u32| counting.set_position(found.into());
    if dry_run {
        let preview = plans.preview(&request, &told).await;
        counting.finish_and_clear();
        return session
            .terminal
            .data(&PlanPreviewView::from(&preview?), preview_facts);
    }
    let made = plans.plan(&request, &told).await;
    counting.finish_and_clear();
    let mut plan = made?;
    let id = plan.id().clone();
    let starts_later = format!("nothing is sent before `ringback replays start {id}`");
    if start {
        if let Err(refused) = confirm_sending(session, plan.terms.preview.entries, &plan) {
            session.terminal.say(&starts_later);
            return Err(refused);
        }
        plan = plans.change(&id, PlanWish::Start, &operator()).await?;
        session.note_if_alone(desk);
    }
    session.terminal.data(&PlanView::from(&plan), plan_facts)?;
    if !start && !session.terminal.is_json() {
        session.terminal.say(&starts_later);
    }
    Ok(())
}

fn request(
    now: Timestamp,
    reason: Option<String>,
    filter: PlanFilterArgs,
    pacing: PacingArgs,
) -> Outcome<PlanRequest> {
    let [since, until] = filter.span.resolve(now)?;
    let stop_rule = StopRule::try_new(pacing.stop_above, pacing.stop_window);
    Ok(PlanRequest {
        filter: DeadLetterFilter {
            project: filter.project,
            destination: filter.destination,
            event_type: filter.event_type,
            job: filter.job,
            cause: filter.cause,
            reason: filter.given_up_as,
            since,
            until,
            ..DeadLetterFilter::default()
        },
        text: filter.text,
        reason: reason.unwrap_or_else(|| "a dry run".to_owned()),
        by: operator(),
        pacing: Pacing {
            rate: pacing.rate.0,
            concurrency: pacing.concurrency.0,
            order: pacing.order,
        },
        target: pacing.to,
        stop_rule: stop_rule.map_err(|refused| Failure::usage(refused.to_string()))?,
        sends_stale: filter.include_stale,
    })
}

fn confirm_sending(session: &Session, entries: u32, plan: &ReplayPlan) -> Outcome {
    let stale = plan.terms.preview.stale;
    let stale = match (stale, plan.terms.sends_stale) {
        (0, _) => String::new(),
        (stale, true) => format!(" ({stale} of them stale)"),
        (stale, false) => format!(" ({stale} stale ones are skipped)"),
    };
    let question = format!("Send {entries} dead letters again{stale}?");
    session.terminal.confirm(&question)
}

async fn change(session: &Session, plans: &Plans, id: &PlanId, wish: PlanWish) -> Outcome {
    let plan = plans.change(id, wish, &operator()).await?;
    session.terminal.data(&PlanView::from(&plan), plan_facts)
}

/// Shows a plan now, or once it stands still.
async fn show(session: &Session, store: &dyn Store, plan: ReplayPlan, watch: bool) -> Outcome {
    if !watch {
        return session.terminal.data(&PlanView::from(&plan), plan_facts);
    }
    let plan = until_it_stands_still(session, store, plan).await?;
    session.terminal.data(&PlanView::from(&plan), plan_facts)?;
    let failed = plan.progress.counts.get(EntryMark::FailedAgain);
    match plan.status.state {
        PlanState::StoppedItself { failed, of } => Err(Failure::failed(format!(
            "the plan stopped itself: {failed} of the newest {of} entries failed"
        ))
        .hint("see what fails with `ringback dead list`, then resume or cancel the plan")),
        PlanState::Finished if failed > 0 => Err(Failure::failed(format!(
            "{failed} of the plan's entries are dead letters again"
        ))),
        _ => Ok(()),
    }
}

async fn until_it_stands_still(
    session: &Session,
    store: &dyn Store,
    mut plan: ReplayPlan,
) -> Outcome<ReplayPlan> {
    let bar = if session.terminal.shows_progress() {
        ProgressBar::new(plan.terms.preview.entries.into())
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(bar_style("{bar:20} {pos}/{len}  {wide_msg}"));
    let id = plan.id().clone();
    while plan.status.state == PlanState::Running {
        let counts = &plan.progress.counts;
        bar.set_position(counts.done().into());
        bar.set_message(format!(
            "{}: {} delivered, {} failed again, {} open",
            plan.status.state,
            counts.get(EntryMark::Delivered),
            counts.get(EntryMark::FailedAgain),
            counts.outstanding(),
        ));
        tokio::time::sleep(LOOK_EVERY).await;
        let found = store.plan(&id).await?;
        plan = found.ok_or_else(|| PlanError::NotFound(id.clone()))?;
    }
    bar.finish_and_clear();
    Ok(plan)
}

/// Shows how many were found so far.
pub(crate) fn counter(session: &Session) -> ProgressBar {
    let counter = if session.terminal.shows_progress() {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    };
    counter.set_style(bar_style("{spinner} {pos} dead letters match"));
    counter
}

pub(crate) fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let exit = match &error {
            PlanError::NotFound(_) | PlanError::NothingFound | PlanError::NoSuchWebhook(_) => {
                Exit::NotFound
            }
            PlanError::NoReason | PlanError::ReasonTooLong { .. } => Exit::Usage,
            PlanError::TooMany
            | PlanError::TooManyCauses(_)
            | PlanError::OtherProject { .. }
            | PlanError::Refused(_) => Exit::Refused,
            PlanError::Store(cause) if cause.is_passing() => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use ringback_delivery::port::PlanStore as _;
    use ringback_testkit::{
        samples,
        simulation::{SimulatedStore, TokioClock},
    };

    #[tokio::test]
    async fn a_damaged_plan_is_named_and_keeps_no_other_back() {
        let store = SimulatedStore::new(TokioClock::begin());
        let plans = [1, 2].map(|entries| samples::replay_plan_of(&samples::project(), entries));
        for plan in &plans {
            store.create_plan(plan).await.unwrap();
        }
        let listed = async || {
            let cli = Cli::parse_from(["ringback", "replays", "list"]);
            let Command::Replays(ReplaysCommand::List { project, page }) = cli.command else {
                unreachable!("it was asked for")
            };
            list(&Session::new(cli.global), &store, project.as_ref(), page).await
        };
        listed().await.unwrap();
        store.damage(plans[0].id());
        let failure = listed().await.unwrap_err();
        assert_eq!(
            failure.report(),
            format!(
                "error: replay plan `{}` cannot be read, and is left out: it is cut",
                plans[0].id()
            )
        );
    }
}
