//! `ringback webhooks export` and `ringback webhooks import`: webhooks in files.

use super::projects_of;
use crate::{
    args::{WebhookExportArgs, WebhookImportArgs},
    command::files::{ExportReport, IN_FLIGHT_MAX, ImportReport, Source, Target, progress},
    failure::{Failure, Outcome},
    session::Session,
    view::DamagedView,
};
use futures_util::{TryStreamExt, stream};
use ringback_worker::{
    archive::{Content, line_of_webhook},
    config::Config,
    webhooks::{ImportedWebhook, WebhookImport, WebhookImportFault, Webhooks},
};

pub(super) async fn export(
    session: &Session,
    webhooks: &Webhooks,
    config: &Config,
    args: WebhookExportArgs,
) -> Outcome {
    let mut target = Target::open(&args.file, Content::Webhooks)?;
    let progress = progress(session, "exported");
    let (mut left_out, mut damaged) = (Vec::new(), Vec::new());
    for project in projects_of(config, args.project) {
        let found = webhooks.store.webhooks(&project).await?;
        damaged.extend(found.damaged.into_iter().map(DamagedView::from));
        for webhook in found.entries {
            let id = webhook.id.to_string();
            let webhook = webhooks.sealed_whole(webhook);
            if target.add(line_of_webhook(&webhook))? {
                progress.inc(1);
            } else {
                left_out.push(id);
            }
        }
    }
    progress.finish_and_clear();
    let exported = target.finish()?;
    let report = ExportReport {
        exported,
        file: args.file.display().to_string(),
        left_out,
        damaged,
    };
    report.tell(session, &in_words(exported))?;
    Failure::if_damaged("webhook", &report.damaged)?;
    let Some(first) = report.left_out.first() else {
        return Ok(());
    };
    Err(Failure::failed(format!(
        "{} too long for a line of a file, left out: the first is {first}",
        in_words(report.left_out.len() as u64)
    )))
}

pub(super) async fn import(
    session: &Session,
    webhooks: &Webhooks,
    args: WebhookImportArgs,
) -> Outcome {
    let source = Source::open(args.file)?;
    let mut report = ImportReport {
        replaced: args.replace.then_some(0),
        ..ImportReport::default()
    };
    let rules = || WebhookImport::new(webhooks, args.replace);
    let to_replace = check(session, rules(), &source, &mut report).await?;
    if report.fault_count == 0 || args.keep_going {
        if to_replace > 0 {
            session.terminal.confirm(&format!(
                "Replace {} with what the file has? A receiver must know the secret that is there.",
                in_words(to_replace)
            ))?;
        }
        store_all(session, webhooks, rules(), &source, &mut report).await?;
    }
    report.conclude(session, args.keep_going)
}

/// Reads every line before the first is stored; how many would take another's place.
async fn check(
    session: &Session,
    mut rules: WebhookImport<'_>,
    source: &Source,
    report: &mut ImportReport,
) -> Outcome<u64> {
    let progress = progress(session, "checked");
    let mut lines = source.lines()?;
    let (mut count, mut to_replace) = (0_u64, 0);
    while let Some((number, line)) = lines.next().map_err(source.could_not_read())? {
        count += 1;
        progress.inc(1);
        let read = match line {
            Ok(line) => rules.read(number, &line).await,
            Err(fault) => Err(fault.into()),
        };
        match read {
            Ok(ImportedWebhook::Replaces(_)) => to_replace += 1,
            Ok(_) => {}
            Err(WebhookImportFault::Store(error)) => return Err(error.into()),
            Err(fault) => report.blame(number, fault.member(), &fault),
        }
    }
    progress.finish_and_clear();
    if count == 0 {
        return Err(Failure::usage(format!("there is no webhook in {source}")));
    }
    Ok(to_replace)
}

/// Stores what can be. What is there already, and the same, stays as it is.
async fn store_all(
    session: &Session,
    webhooks: &Webhooks,
    rules: WebhookImport<'_>,
    source: &Source,
    report: &mut ImportReport,
) -> Outcome {
    let progress = progress(session, "imported");
    let reading = (source.lines()?, rules);
    let read = stream::try_unfold(reading, async |(mut lines, mut rules)| {
        let Some((number, line)) = lines.next().map_err(source.could_not_read())? else {
            return Ok::<_, Failure>(None);
        };
        let read = match line {
            Ok(line) => match rules.read(number, &line).await {
                Err(WebhookImportFault::Store(error)) => return Err(error.into()),
                read => read.ok(),
            },
            Err(_) => None,
        };
        Ok(Some((read, (lines, rules))))
    });
    let put = async |read: Option<ImportedWebhook>| {
        if let Some(ImportedWebhook::New(webhook) | ImportedWebhook::Replaces(webhook)) = &read {
            webhooks.put_back(webhook).await?;
        }
        Ok::<_, Failure>(read)
    };
    let mut done = std::pin::pin!(read.map_ok(put).try_buffer_unordered(IN_FLIGHT_MAX));
    while let Some(done) = done.try_next().await? {
        progress.inc(1);
        match done {
            Some(ImportedWebhook::New(_)) => report.imported += 1,
            Some(ImportedWebhook::Replaces(_)) => {
                report.replaced = report.replaced.map(|count| count + 1);
            }
            Some(ImportedWebhook::AlreadyThere) => report.already_there += 1,
            None => {}
        }
    }
    progress.finish_and_clear();
    Ok(())
}

fn in_words(count: u64) -> String {
    match count {
        1 => "1 webhook".to_owned(),
        many => format!("{many} webhooks"),
    }
}
