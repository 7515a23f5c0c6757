//! `ringback dead`: deliveries given up, and what to do about them.

mod files;
mod groups;

use crate::{
    args::{DeadCommand, DeadDiscardArgs, DeadFilterArgs, DeadListArgs},
    command::{
        operator,
        replays::{bar_style, counter},
    },
    failure::{Exit, Failure, Outcome},
    session::Session,
    view::{
        DamagedView, DeadLetterView, ListView, RecordListView, dead_letter_facts,
        dead_letters_table,
    },
};
use indicatif::ProgressBar;
use jiff::Timestamp;
use ringback_delivery::{
    DiscardError, DiscardSelection, DiscardStep, Discards, ProfileBook, Replay, ReplayError,
    ReplayRequest, SearchText,
    port::{Cursor, DeadLetterFilter, DisposeAnswer, Page, Store, StoreError},
    search_dead_letters,
};
use ringback_domain::{DeadLetter, DeadLetterId, Disposal, replay_plan::CauseCount};
use ringback_worker::{Backend, config::Config, observe::LogObserver};
use serde::Serialize;
use std::{collections::HashSet, sync::Arc};

/// Dead letters that are discarded between two looks at the progress.
const DISCARDED_AT_ONCE: usize = 500;

pub(crate) async fn run(session: &Session, command: DeadCommand) -> Outcome {
    let config = session.config()?;
    let desk = session.desk_of(&config).await?;
    let now = desk.clock.now();
    let done = match command {
        DeadCommand::List(args) => {
            session.look_for_project(&config, args.filter.project.as_ref());
            session
                .look_for_destination(&*desk.store, args.filter.destination.as_ref())
                .await;
            list(session, &*desk.store, &config.profile_book(), now, args).await
        }
        DeadCommand::Show { id } => {
            show(session, &*desk.store, &config.profile_book(), now, &id).await
        }
        DeadCommand::Replay {
            ids,
            again,
            include_stale,
        } => {
            let use_case = replay_of(&config, &desk);
            let requests = once(ids).into_iter().map(|id| ReplayRequest {
                id,
                by: operator(),
                again,
                sends_stale: include_stale,
            });
            replay(session, &desk, &use_case, requests.collect()).await
        }
        DeadCommand::Groups(args) => {
            session.look_for_project(&config, args.project.as_ref());
            session
                .look_for_destination(&*desk.store, args.destination.as_ref())
                .await;
            groups::list(session, &*desk.store, now, args).await
        }
        DeadCommand::Acknowledge(args) => {
            groups::acknowledge(session, &*desk.store, now, args).await
        }
        DeadCommand::Export(args) => {
            session.look_for_project(&config, args.filter.project.as_ref());
            session
                .look_for_destination(&*desk.store, args.filter.destination.as_ref())
                .await;
            files::export(session, &*desk.store, now, args).await
        }
        DeadCommand::Import(args) => {
            files::import(session, &desk, config.dead_letters.retention, args).await
        }
        DeadCommand::Discard(args) => {
            session.look_for_project(&config, args.filter.project.as_ref());
            session
                .look_for_destination(&*desk.store, args.filter.destination.as_ref())
                .await;
            let discards = Discards {
                store: desk.store.clone(),
                clock: desk.clock.clone(),
            };
            match (args.ids.is_empty(), args.filter.is_empty()) {
                (false, true) => discard(session, &discards, args).await,
                (true, false) => discard_matching(session, &discards, now, args).await,
                (true, true) => Err(Failure::usage(
                    "say which dead letters, by ids or by filters",
                )),
                (false, false) => Err(Failure::usage(
                    "say which dead letters either by ids or by filters, not by both",
                )),
            }
        }
    };
    desk.close().await;
    done
}

/// Those that are open.
fn filter_of(args: &DeadFilterArgs, now: Timestamp) -> Outcome<DeadLetterFilter> {
    let [since, until] = args.span.resolve(now)?;
    Ok(DeadLetterFilter {
        project: args.project.clone(),
        destination: args.destination.clone(),
        event_type: args.event_type.clone(),
        job: args.job.clone(),
        cause: args.cause.clone(),
        reason: args.reason,
        since,
        until,
        include_disposed: false,
        any_of: None,
    })
}

/// Each id once, where it stands first: what is named twice is one dead letter all the same.
fn once(mut ids: Vec<DeadLetterId>) -> Vec<DeadLetterId> {
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    ids
}

async fn page_of(
    store: &dyn Store,
    filter: &DeadLetterFilter,
    text: Option<&SearchText>,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<DeadLetter>, StoreError> {
    match text {
        Some(text) => search_dead_letters(store, filter, text, after, limit).await,
        None => store.dead_letters(filter, after, limit).await,
    }
}

async fn list(
    session: &Session,
    store: &dyn Store,
    profiles: &ProfileBook,
    now: Timestamp,
    args: DeadListArgs,
) -> Outcome {
    let filter = DeadLetterFilter {
        include_disposed: args.all,
        ..filter_of(&args.filter, now)?
    };
    let cursor = args.page.cursor.map(Cursor);
    let text = args.filter.text.as_ref();
    let limit = args.page.limit.into();
    let page = page_of(store, &filter, text, cursor.as_ref(), limit).await?;
    let list = RecordListView::shown(page, |dead| DeadLetterView::of(dead, profiles, now));
    session.terminal.data(&list, dead_letters_table)?;
    session.terminal.say_more(list.next_cursor.as_deref());
    without_damaged(&list.damaged)
}

/// A list that lacks something is shown, and is no success.
fn without_damaged(damaged: &[DamagedView]) -> Outcome {
    Failure::if_damaged("dead letter", damaged)
        .map_err(|failure| failure.hint("`ringback dead discard ID` takes one out of the list"))
}

async fn show(
    session: &Session,
    store: &dyn Store,
    profiles: &ProfileBook,
    now: Timestamp,
    id: &DeadLetterId,
) -> Outcome {
    let dead_letter = store.dead_letter(id).await?.ok_or_else(|| no_such(id))?;
    let view = DeadLetterView::of(&dead_letter, profiles, now);
    session.terminal.data(&view, dead_letter_facts)
}

/// What became of each dead letter that was named.
#[derive(Serialize)]
struct Done {
    id: String,
    succeeded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn replay_of(config: &Config, desk: &Backend) -> Replay {
    Replay {
        queue: desk.queue.clone(),
        store: desk.store.clone(),
        profiles: Arc::new(config.profile_book()),
        clock: desk.clock.clone(),
        observer: Arc::new(LogObserver),
    }
}

async fn replay(
    session: &Session,
    desk: &Backend,
    replay: &Replay,
    requests: Vec<ReplayRequest>,
) -> Outcome {
    let many = in_words(requests.len() as u64);
    session.terminal.confirm(&format!("Send {many} again?"))?;
    let mut done = Vec::new();
    let mut failures = Vec::new();
    for request in requests {
        let id = &request.id;
        match replay.replay(&request).await {
            Ok(generation) => done.push(Done {
                id: id.to_string(),
                succeeded: true,
                generation: Some(generation.get()),
                problem: None,
            }),
            Err(error) => {
                done.push(Done {
                    id: id.to_string(),
                    succeeded: false,
                    generation: None,
                    problem: Some(error.to_string()),
                });
                failures.push(Failure::from(error));
            }
        }
    }
    if done.iter().any(|done| done.succeeded) {
        session.note_if_alone(desk);
    }
    finish(session, done, failures, ["replayed", "not replayed"])
}

async fn discard(session: &Session, discards: &Discards, args: DeadDiscardArgs) -> Outcome {
    let ids = once(args.ids);
    let words = if args.dry_run {
        ["would be discarded", "would not be discarded"]
    } else {
        let many = in_words(ids.len() as u64);
        session.terminal.confirm(&format!("Discard {many}?"))?;
        ["discarded", "not discarded"]
    };
    let mut done = Vec::new();
    let mut failures = Vec::new();
    for id in ids {
        let answer = if args.dry_run {
            would_dispose(&*discards.store, &id).await?
        } else {
            discards.one(&id, &args.note, &operator()).await?
        };
        let failure = match answer {
            DisposeAnswer::Disposed => None,
            DisposeAnswer::NotFound => Some(no_such(&id)),
            DisposeAnswer::Already(_) => Some(
                Failure::refused(format!("dead letter {id} was dealt with before"))
                    .hint(format!("see `ringback dead show {id}`")),
            ),
        };
        done.push(Done {
            id: id.to_string(),
            succeeded: failure.is_none(),
            generation: None,
            problem: failure.as_ref().map(ToString::to_string),
        });
        failures.extend(failure);
    }
    finish(session, done, failures, words)
}

/// What the store would answer to a disposal now.
async fn would_dispose(store: &dyn Store, id: &DeadLetterId) -> Result<DisposeAnswer, StoreError> {
    let found = store.dead_letter(id).await?;
    Ok(match found.map(|dead_letter| dead_letter.disposal) {
        None => DisposeAnswer::NotFound,
        Some(Disposal::Open) => DisposeAnswer::Disposed,
        Some(other) => DisposeAnswer::Already(other),
    })
}

/// What a filter would discard, or did.
#[derive(Serialize)]
struct DiscardReport {
    matched: u64,
    discarded: u64,
    causes: Vec<CauseCountView>,
}

#[derive(Serialize)]
struct CauseCountView {
    fingerprint: String,
    summary: String,
    count: u32,
}

async fn discard_matching(
    session: &Session,
    discards: &Discards,
    now: Timestamp,
    args: DeadDiscardArgs,
) -> Outcome {
    let mut selection = DiscardSelection {
        filter: filter_of(&args.filter, now)?,
        text: args.filter.text,
        of_no_project: false,
    };
    let counting = counter(session);
    let told = |found: u32| counting.set_position(found.into());
    let preview = discards.preview(&selection, &told).await;
    counting.finish_and_clear();
    let preview = preview?;
    // What is given up from now on is none of them, however long somebody thinks.
    let until = [preview.until, selection.filter.until];
    selection.filter.until = until.into_iter().flatten().min();
    let count = |cause: CauseCount| CauseCountView {
        fingerprint: cause.fingerprint,
        summary: cause.summary,
        count: cause.entries,
    };
    let mut report = DiscardReport {
        matched: preview.entries.into(),
        discarded: 0,
        causes: preview.by_cause.into_iter().map(count).collect(),
    };
    if args.dry_run || report.matched == 0 {
        return session.terminal.data(&report, show_discarded);
    }
    session.terminal.say(&show_discarded(&report));
    let question = format!("Discard {}?", in_words(report.matched));
    session.terminal.confirm(&question)?;
    report.discarded = discard_all(session, discards, selection, args.note, report.matched).await?;
    session.terminal.data(&report, |report| {
        format!("discarded {}", in_words(report.discarded))
    })
}

/// Step by step; how many were discarded.
async fn discard_all(
    session: &Session,
    discards: &Discards,
    selection: DiscardSelection,
    note: String,
    matched: u64,
) -> Outcome<u64> {
    let bar = if session.terminal.shows_progress() {
        ProgressBar::new(matched)
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(bar_style("{bar:30} {pos}/{len} discarded"));
    let mut step = DiscardStep {
        selection,
        after: None,
        reason: note,
        by: operator(),
        entries_max: DISCARDED_AT_ONCE,
    };
    let mut discarded = 0;
    loop {
        let done = match discards.step(&step).await {
            Ok(done) => done,
            Err(error) => {
                bar.finish_and_clear();
                let so_far = in_words(discarded);
                let hint =
                    format!("before that, {so_far} were discarded; the same command goes on");
                return Err(Failure::from(error).hint(hint));
            }
        };
        discarded += done.discarded;
        bar.set_position(discarded);
        step.after = done.next;
        if step.after.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(discarded)
}

fn show_discarded(report: &DiscardReport) -> String {
    if report.causes.is_empty() {
        return "no dead letter matches".to_owned();
    }
    let rows = report.causes.iter().map(|cause| {
        [
            cause.fingerprint.clone(),
            cause.count.to_string(),
            cause.summary.clone(),
        ]
    });
    crate::terminal::table(["CAUSE", "COUNT", "WHAT"], rows)
}

/// Prints what became of each, in the words for what succeeded and what did not; the first failure decides the exit code.
fn finish(
    session: &Session,
    done: Vec<Done>,
    failures: Vec<Failure>,
    [did, did_not]: [&str; 2],
) -> Outcome {
    session.terminal.data(&ListView::whole(done), |list| {
        let line = |one: &Done| match &one.problem {
            None => format!("{} {did}", one.id),
            Some(problem) => format!("{} {did_not}: {problem}", one.id),
        };
        list.data.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    failures.into_iter().next().map_or(Ok(()), Err)
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        let exit = match &error {
            ReplayError::NotFound(_) => Exit::NotFound,
            ReplayError::Already { .. } => {
                return Self::of(Exit::Refused, &error).hint("pass --again to replay it once more");
            }
            ReplayError::Stale { .. } => {
                let hint = "pass --include-stale to replay it all the same";
                return Self::of(Exit::Refused, &error).hint(hint);
            }
            ReplayError::Newer { .. } => {
                let hint = "replay that one, and discard this one";
                return Self::of(Exit::Refused, &error).hint(hint);
            }
            ReplayError::Delivered { .. } | ReplayError::NotAnEvent { .. } => Exit::Refused,
            ReplayError::Queue(cause) if cause.is_passing() => Exit::Unreachable,
            ReplayError::Store(cause) if cause.is_passing() => Exit::Unreachable,
            ReplayError::Queue(_) | ReplayError::Store(_) => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

impl From<DiscardError> for Failure {
    fn from(error: DiscardError) -> Self {
        let exit = match &error {
            DiscardError::NoReason | DiscardError::ReasonTooLong { .. } => Exit::Usage,
            DiscardError::TooMany | DiscardError::TooManyCauses(_) => Exit::Refused,
            DiscardError::Store(cause) if cause.is_passing() => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

fn no_such(id: &DeadLetterId) -> Failure {
    Failure::not_found(format!("there is no dead letter {id}")).hint(
        "dead letters are kept for `dead_letters.retention`; `ringback dead list --all` shows all",
    )
}

fn in_words(count: u64) -> String {
    match count {
        1 => "1 dead letter".to_owned(),
        many => format!("{many} dead letters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use ringback_delivery::port::DeadLetterStore as _;
    use ringback_testkit::{
        samples,
        simulation::{SimulatedStore, TokioClock},
    };

    /// What a command over this store comes to.
    async fn end_of(store: &SimulatedStore, arguments: &[&str]) -> Outcome {
        let cli = Cli::parse_from(["ringback", "dead"].iter().chain(arguments));
        let Command::Dead(command) = cli.command else {
            unreachable!("it was asked for")
        };
        let (session, now) = (Session::new(cli.global), samples::moment(0));
        match command {
            DeadCommand::List(args) => {
                list(&session, store, &ProfileBook::default(), now, args).await
            }
            DeadCommand::Export(args) => files::export(&session, store, now, args).await,
            _ => unreachable!("only these are asked for"),
        }
    }

    #[tokio::test]
    async fn a_damaged_dead_letter_is_named_and_keeps_no_other_back() {
        let store = SimulatedStore::new(TokioClock::begin());
        let letters = [samples::dead_letter(), samples::dead_letter()];
        for letter in &letters {
            store.put_dead_letter(letter).await.unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("all.ndjson");
        let export = ["export", file.to_str().unwrap()];
        end_of(&store, &["list"]).await.unwrap();
        store.damage(&letters[0].id);

        for arguments in [&["list"][..], &export] {
            let failure = end_of(&store, arguments).await.unwrap_err();
            assert_eq!(
                failure.report(),
                format!(
                    "error: dead letter `{}` cannot be read, and is left out: it is cut\n\
                     hint: `ringback dead discard ID` takes one out of the list",
                    letters[0].id
                )
            );
        }
        let exported = std::fs::read_to_string(file).unwrap();
        assert_eq!(exported.lines().count(), 1);
        assert!(exported.contains(letters[1].id.as_str()), "{exported}");
    }
}
