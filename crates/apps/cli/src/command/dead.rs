//! `ringback dead`: deliveries given up, and what to do about them.

use crate::{
    args::{DeadCommand, DeadListArgs},
    command::operator,
    failure::{Exit, Failure, Outcome},
    session::Session,
    view::{DeadLetterView, ListView, dead_letter_facts, dead_letters_table},
};
use jiff::Timestamp;
use ringback_delivery::{
    Replay, ReplayError, ReplayRequest,
    port::{Cursor, DeadLetterFilter, DisposeAnswer, Store},
};
use ringback_domain::{DeadLetterId, DeadLetterReason, Disposal};
use ringback_worker::observe::LogObserver;
use serde::Serialize;
use std::sync::Arc;

pub(crate) async fn run(session: &Session, command: DeadCommand) -> Outcome {
    let desk = session.desk().await?;
    let now = desk.clock.now();
    let done = match command {
        DeadCommand::List(args) => list(session, &*desk.store, now, args).await,
        DeadCommand::Show { id } => show(session, &*desk.store, &id).await,
        DeadCommand::Replay { ids, again } => {
            let use_case = Replay {
                queue: desk.queue.clone(),
                store: desk.store.clone(),
                clock: desk.clock.clone(),
                observer: Arc::new(LogObserver),
            };
            replay(session, &use_case, ids, again).await
        }
        DeadCommand::Discard { ids, note } => discard(session, &*desk.store, now, ids, &note).await,
    };
    desk.close().await;
    done
}

async fn list(session: &Session, store: &dyn Store, now: Timestamp, args: DeadListArgs) -> Outcome {
    let reason = args.reason.as_deref();
    let filter = DeadLetterFilter {
        project: args.project,
        destination: args.destination,
        event_type: args.event_type,
        job: args.job,
        cause: args.cause,
        reason: reason.and_then(|word| {
            DeadLetterReason::ALL
                .into_iter()
                .find(|reason| reason.class() == word)
        }),
        since: args.span.since.map(|moment| moment.resolve(now)),
        until: args.span.until.map(|moment| moment.resolve(now)),
        include_disposed: args.all,
        any_of: None,
    };
    let cursor = args.page.cursor.map(Cursor);
    let page = store
        .dead_letters(&filter, cursor.as_ref(), args.page.limit.into())
        .await?;
    let list = ListView::<DeadLetterView>::of(page);
    session.terminal.data(&list, dead_letters_table)?;
    session.terminal.say_more(list.next_cursor.as_deref());
    Ok(())
}

async fn show(session: &Session, store: &dyn Store, id: &DeadLetterId) -> Outcome {
    let dead_letter = store.dead_letter(id).await?.ok_or_else(|| no_such(id))?;
    session
        .terminal
        .data(&DeadLetterView::from(&dead_letter), dead_letter_facts)
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

async fn replay(
    session: &Session,
    replay: &Replay,
    ids: Vec<DeadLetterId>,
    again: bool,
) -> Outcome {
    session
        .terminal
        .confirm(&format!("Send {} again?", in_words(ids.len())))?;
    let mut done = Vec::new();
    let mut failures = Vec::new();
    for id in ids {
        let request = ReplayRequest {
            id: id.clone(),
            by: operator(),
            again,
        };
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
    finish(session, done, failures, "replayed")
}

async fn discard(
    session: &Session,
    store: &dyn Store,
    now: Timestamp,
    ids: Vec<DeadLetterId>,
    note: &str,
) -> Outcome {
    session
        .terminal
        .confirm(&format!("Discard {}?", in_words(ids.len())))?;
    let mut done = Vec::new();
    let mut failures = Vec::new();
    for id in ids {
        let disposal = Disposal::Discarded {
            at: now,
            note: format!("{note} ({})", operator()),
        };
        let failure = match store.dispose(&id, &disposal, false).await? {
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
    finish(session, done, failures, "discarded")
}

/// Prints what became of each; the first failure decides the exit code.
fn finish(session: &Session, done: Vec<Done>, failures: Vec<Failure>, word: &str) -> Outcome {
    session.terminal.data(&ListView::whole(done), |list| {
        let line = |one: &Done| match &one.problem {
            None => format!("{} {word}", one.id),
            Some(problem) => format!("{} not {word}: {problem}", one.id),
        };
        list.data.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    failures.into_iter().next().map_or(Ok(()), Err)
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        let exit = match &error {
            ReplayError::NotFound(_) => Exit::NotFound,
            ReplayError::Already { .. } | ReplayError::NotAnEvent { .. } => Exit::Refused,
            ReplayError::Queue(cause) if cause.is_passing() => Exit::Unreachable,
            ReplayError::Store(cause) if cause.is_passing() => Exit::Unreachable,
            ReplayError::Queue(_) | ReplayError::Store(_) => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

fn no_such(id: &DeadLetterId) -> Failure {
    Failure::not_found(format!("there is no dead letter {id}")).hint(
        "dead letters are kept for `dead_letters.retention`; `ringback dead list --all` shows all",
    )
}

fn in_words(count: usize) -> String {
    match count {
        1 => "1 dead letter".to_owned(),
        many => format!("{many} dead letters"),
    }
}
