//! `ringback dead export` and `ringback dead import`: dead letters in files.

use super::{filter_of, page_of};
use crate::{
    args::{DeadExportArgs, DeadImportArgs},
    command::{
        files::{ExportReport, IN_FLIGHT_MAX, ImportReport, STANDARD, Source, Target, progress},
        webhooks::read_secret,
    },
    failure::{Failure, Outcome},
    session::Session,
    view::DamagedView,
};
use futures_util::{TryStreamExt, stream};
use jiff::Timestamp;
use ringback_delivery::port::{DeadLetterFilter, Store};
use ringback_domain::limits;
use ringback_worker::{
    Backend, SystemEntropy,
    archive::{Content, ImportFault, ImportRules, LineTooLong, line_of},
};
use std::{path::Path, sync::Arc, time::Duration};

pub(super) async fn export(
    session: &Session,
    store: &dyn Store,
    now: Timestamp,
    args: DeadExportArgs,
) -> Outcome {
    let filter = DeadLetterFilter {
        include_disposed: args.all,
        ..filter_of(&args.filter, now)?
    };
    let mut target = Target::open(&args.file, Content::DeadLetters)?;
    let progress = progress(session, "exported");
    let mut after = None;
    let (mut left_out, mut damaged) = (Vec::new(), Vec::new());
    loop {
        let text = args.filter.text.as_ref();
        let page = page_of(
            store,
            &filter,
            text,
            after.as_ref(),
            limits::PAGE_ENTRIES_MAX,
        )
        .await?;
        for dead_letter in &page.entries {
            if target.add(line_of(dead_letter))? {
                progress.inc(1);
            } else {
                left_out.push(dead_letter.id.to_string());
            }
        }
        damaged.extend(page.damaged.into_iter().map(DamagedView::from));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    progress.finish_and_clear();
    let exported = target.finish()?;
    let words = super::in_words(exported);
    let whole = whole(&left_out).and_then(|()| super::without_damaged(&damaged));
    if whole.is_err() && !damaged.is_empty() && !left_out.is_empty() {
        session.terminal.say(&format!(
            "{} more cannot be read",
            super::in_words(damaged.len() as u64)
        ));
    }
    let report = ExportReport {
        exported,
        file: args.file.display().to_string(),
        left_out,
        damaged,
    };
    report.tell(session, &words)?;
    whole
}

/// An export that lacks something is a good file and no success.
fn whole(left_out: &[String]) -> Outcome {
    let Some(first) = left_out.first() else {
        return Ok(());
    };
    let words = super::in_words(left_out.len() as u64);
    let failure = Failure::failed(format!(
        "{words} too long for a line of a file, left out: the first is {first}"
    ));
    Err(failure.hint("`ringback dead show` tells of what; replay or discard it"))
}

pub(super) async fn import(
    session: &Session,
    desk: &Backend,
    retention: Duration,
    args: DeadImportArgs,
) -> Outcome {
    let secret = args.callback_secret_file.as_deref();
    if args.file == Path::new(STANDARD) && secret == Some(Path::new(STANDARD)) {
        return Err(Failure::usage(
            "the standard input is either the dead letters or the secret",
        ));
    }
    let rules = ImportRules::new(
        desk.store.clone(),
        desk.keys.clone(),
        Arc::new(SystemEntropy),
        retention,
        desk.clock.now(),
        secret.map(read_secret).transpose()?,
    );
    let source = Source::open(args.file)?;
    let mut report = ImportReport::default();
    check(session, &rules, &source, &mut report).await?;
    if report.fault_count == 0 || args.keep_going {
        store_all(session, &rules, &source, &mut report).await?;
    }
    report.conclude(session, args.keep_going)
}

/// Reads every line before the first is stored.
async fn check(
    session: &Session,
    rules: &ImportRules,
    source: &Source,
    report: &mut ImportReport,
) -> Outcome {
    let progress = progress(session, "checked");
    let mut lines = source.lines()?;
    let mut count = 0_u64;
    while let Some((number, line)) = lines.next().map_err(source.could_not_read())? {
        count += 1;
        progress.inc(1);
        let read = match line {
            Ok(line) => rules.read(&line).await.map(drop),
            Err(fault) => Err(fault.into()),
        };
        match read {
            Ok(()) => {}
            Err(ImportFault::Store(error)) => return Err(error.into()),
            Err(fault) => report.blame(number, fault.member(), &fault),
        }
    }
    progress.finish_and_clear();
    if count == 0 {
        return Err(Failure::usage(format!(
            "there is no dead letter in {source}"
        )));
    }
    Ok(())
}

/// Stores what can be. What is there already stays as it is.
async fn store_all(
    session: &Session,
    rules: &ImportRules,
    source: &Source,
    report: &mut ImportReport,
) -> Outcome {
    let progress = progress(session, "imported");
    let lines = stream::try_unfold(source.lines()?, async |mut lines| {
        let next = lines.next().map_err(source.could_not_read())?;
        Ok::<_, Failure>(next.map(|(_, line)| (line, lines)))
    });
    let put = async |line: Result<Vec<u8>, LineTooLong>| {
        let Ok(line) = line else {
            return Ok(None);
        };
        let dead_letter = match rules.read(&line).await {
            Ok(Some(dead_letter)) => dead_letter,
            Ok(None) => return Ok(Some(true)),
            Err(ImportFault::Store(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let known = rules.store.dead_letter(&dead_letter.id).await?.is_some();
        if !known {
            rules.store.put_dead_letter(&dead_letter).await?;
        }
        Ok::<_, Failure>(Some(known))
    };
    let mut answers = std::pin::pin!(lines.map_ok(put).try_buffer_unordered(IN_FLIGHT_MAX));
    while let Some(answer) = answers.try_next().await? {
        progress.inc(1);
        match answer {
            Some(true) => report.already_there += 1,
            Some(false) => report.imported += 1,
            None => {}
        }
    }
    progress.finish_and_clear();
    Ok(())
}
