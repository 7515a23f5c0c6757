//! `ringback webhooks`: registered destinations.

mod files;

use super::receiver_check;
use crate::{
    args::{WebhookAddArgs, WebhookRotateArgs, WebhookUpdateArgs, WebhooksCommand},
    failure::{Exit, Failure, Outcome},
    session::Session,
    view::{
        RecordListView, TestedView, WebhookView, WebhookWithSecretView, attempts_table,
        webhook_facts, webhooks_table,
    },
};
use ringback_delivery::port::{Entropy, Page, Store, StoreError};
use ringback_domain::{AttemptOutcome, ProjectName, WebhookId, WebhookState, WorkerId};
use ringback_sender_http::{HttpSender, UrlFault};
use ringback_signing::Secret;
use ringback_worker::{
    Backend, SystemEntropy,
    config::Config,
    webhooks::{NewWebhook, Rotation, WebhookChange, WebhookError, Webhooks, WithSecret},
};
use std::{io::Read, path::Path, sync::Arc};

pub(crate) async fn run(session: &Session, command: WebhooksCommand) -> Outcome {
    let config = session.config()?;
    if let WebhooksCommand::Check(args) = command {
        // Receivers can be tried before there is any broker or store.
        return receiver_check::run(session, &config, args).await;
    }
    let desk = session.desk_of(&config).await?;
    let webhooks = webhooks_of(&config, &desk);
    let done = match command {
        WebhooksCommand::Add(args) => add(session, &webhooks, args).await,
        WebhooksCommand::List { project } => {
            session.look_for_project(&config, project.as_ref());
            list(session, &*desk.store, &config, project).await
        }
        WebhooksCommand::Show { id } => show(session, &webhooks, &id).await,
        WebhooksCommand::Update(args) => update(session, &webhooks, args).await,
        WebhooksCommand::Enable { id } => {
            set_state(session, &webhooks, &id, WebhookState::Enabled).await
        }
        WebhooksCommand::Disable { id, reason } => {
            disable(session, &webhooks, &desk, &id, reason).await
        }
        WebhooksCommand::RotateSecret(args) => rotate(session, &webhooks, &desk, args).await,
        WebhooksCommand::Test { id } => test(session, &webhooks, &config, &id).await,
        WebhooksCommand::Check(_) => unreachable!("it needs no desk and is done"),
        WebhooksCommand::Export(args) => {
            session.look_for_project(&config, args.project.as_ref());
            files::export(session, &webhooks, &config, args).await
        }
        WebhooksCommand::Import(args) => files::import(session, &webhooks, args).await,
        WebhooksCommand::Remove { id } => remove(session, &webhooks, &id).await,
    };
    desk.close().await;
    done
}

pub(super) fn webhooks_of(config: &Config, desk: &Backend) -> Webhooks {
    Webhooks {
        store: desk.store.clone(),
        keys: desk.keys.clone(),
        profiles: Arc::new(config.profile_book()),
        urls: config.http.url_policy(),
        clock: desk.clock.clone(),
        entropy: Arc::new(SystemEntropy),
    }
}

async fn add(session: &Session, webhooks: &Webhooks, args: WebhookAddArgs) -> Outcome {
    let new = NewWebhook {
        project: args.project,
        url: args.url,
        events: args.events.into_iter().collect(),
        profile: args.profile,
        secret: args.secret_file.as_deref().map(read_secret).transpose()?,
        headers: args.header,
        description: args.description,
        rate_limit: args.rate_limit,
    };
    show_with_secret(session, webhooks.add(new).await?)
}

fn show_with_secret(session: &Session, done: WithSecret) -> Outcome {
    let view = WebhookWithSecretView::from(done);
    session.terminal.data(&view, |view| {
        let facts = webhook_facts(&view.webhook);
        match &view.secret {
            Some(secret) => format!("{facts}\n\nsecret, shown this once: {secret}"),
            None => facts,
        }
    })?;
    if let Some(advice) = view.advice {
        session.terminal.say(&format!("note: {advice}"));
    }
    Ok(())
}

/// The secret in a file, or on the standard input: never on the command line, where others can see it.
pub(super) fn read_secret(file: &Path) -> Outcome<Secret> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.map_err(|failure| {
        Failure::usage(format!(
            "could not read the secret from `{}`",
            file.display()
        ))
        .because(failure)
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    let lines = text.lines().count();
    if lines > 1 {
        let problem = format!(
            "`{}` has {lines} lines, and a secret is one",
            file.display()
        );
        return Err(Failure::usage(problem));
    }
    Secret::try_new(text).map_err(|refused| Failure::of(Exit::Usage, &refused))
}

async fn list(
    session: &Session,
    store: &dyn Store,
    config: &Config,
    project: Option<ProjectName>,
) -> Outcome {
    let mut found = Page::new(Vec::new(), None);
    for project in projects_of(config, project) {
        let of_project = store.webhooks(&project).await?;
        found.entries.extend(of_project.entries);
        found.damaged.extend(of_project.damaged);
    }
    let list = RecordListView::<WebhookView>::of(found);
    session.terminal.data(&list, webhooks_table)?;
    Failure::if_damaged("webhook", &list.damaged)
}

/// The project asked for, or all that are configured.
fn projects_of(config: &Config, asked: Option<ProjectName>) -> Vec<ProjectName> {
    asked.map_or_else(
        || config.projects.keys().cloned().collect(),
        |project| vec![project],
    )
}

async fn show(session: &Session, webhooks: &Webhooks, id: &WebhookId) -> Outcome {
    let webhook = webhooks.get(id).await?;
    session
        .terminal
        .data(&WebhookView::from(&webhook), webhook_facts)
}

async fn update(session: &Session, webhooks: &Webhooks, args: WebhookUpdateArgs) -> Outcome {
    let events = args.events.into_iter().collect();
    let change = WebhookChange {
        url: args.url,
        events: (args.all_events || !is_empty(&events)).then_some(events),
        headers: (args.no_headers || !args.header.is_empty()).then_some(args.header),
        description: args.description,
        rate_limit: (args.no_rate_limit || args.rate_limit.is_some()).then_some(args.rate_limit),
        state: None,
        revision: None,
    };
    if change == WebhookChange::default() {
        return Err(
            Failure::usage("say what to change").hint("see `ringback webhooks update --help`")
        );
    }
    let webhook = webhooks.change(&args.id, change).await?;
    session
        .terminal
        .data(&WebhookView::from(&webhook), webhook_facts)
}

fn is_empty<T>(set: &std::collections::BTreeSet<T>) -> bool {
    set.is_empty()
}

async fn set_state(
    session: &Session,
    webhooks: &Webhooks,
    id: &WebhookId,
    state: WebhookState,
) -> Outcome {
    let change = WebhookChange {
        state: Some(state),
        ..WebhookChange::default()
    };
    let webhook = webhooks.change(id, change).await?;
    session
        .terminal
        .data(&WebhookView::from(&webhook), webhook_facts)
}

async fn disable(
    session: &Session,
    webhooks: &Webhooks,
    desk: &Backend,
    id: &WebhookId,
    reason: String,
) -> Outcome {
    session.terminal.confirm(&format!(
        "Disable webhook {id}? What is under way to it becomes dead letters."
    ))?;
    let state = WebhookState::Disabled {
        at: desk.clock.now(),
        reason,
    };
    set_state(session, webhooks, id, state).await
}

async fn rotate(
    session: &Session,
    webhooks: &Webhooks,
    desk: &Backend,
    args: WebhookRotateArgs,
) -> Outcome {
    if args.activate_at.is_none() && args.overlap.is_none() {
        let question = format!(
            "Change the secret of webhook {} now? Its receiver refuses what the old one signed.",
            args.id
        );
        session.terminal.confirm(&question)?;
    }
    let rotation = Rotation {
        secret: args.secret_file.as_deref().map(read_secret).transpose()?,
        activate_at: args
            .activate_at
            .map(|moment| moment.resolve(desk.clock.now())),
        overlap: args.overlap,
    };
    show_with_secret(session, webhooks.rotate_secret(&args.id, rotation).await?)
}

async fn remove(session: &Session, webhooks: &Webhooks, id: &WebhookId) -> Outcome {
    let to = match webhooks.get(id).await {
        Ok(webhook) => format!(" to {}", webhook.display_url()),
        Err(WebhookError::Store(StoreError::Corrupt { why, .. })) => {
            format!(", which cannot be read ({why})")
        }
        Err(error) => return Err(error.into()),
    };
    session.terminal.confirm(&format!(
        "Remove webhook {id}{to}? What is under way to it becomes dead letters."
    ))?;
    webhooks.remove(id).await?;
    session.terminal.say(&format!("webhook {id} is removed"));
    Ok(())
}

async fn test(session: &Session, webhooks: &Webhooks, config: &Config, id: &WebhookId) -> Outcome {
    let http = config
        .http_config()
        .map_err(|failure| Failure::usage("could not read `http.ca_file`").because(failure))?;
    let sender = HttpSender::try_new(&http).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let mut random = [0; 8];
    SystemEntropy.fill(&mut random);
    let tested = webhooks
        .test(id, &sender, WorkerId::from_random(random))
        .await?;
    let outcome = &tested.attempt.outcome;
    session.terminal.data(&TestedView::from(&tested), |view| {
        format!(
            "sent: {}\n\n{}",
            view.body,
            attempts_table(std::slice::from_ref(&view.attempt))
        )
    })?;
    match outcome {
        AttemptOutcome::Accepted { .. } => Ok(()),
        AttemptOutcome::NotSent(_) => Err(Failure::refused(format!(
            "the test event was not sent: {outcome}"
        ))),
        _ => Err(Failure::failed(format!(
            "the destination did not accept the test event: {outcome}"
        ))),
    }
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        let exit = match error {
            WebhookError::Store(error) => return Self::from(error),
            WebhookError::NotFound(_)
            | WebhookError::ProjectUnknown(_)
            | WebhookError::ProfileUnknown(_) => Exit::NotFound,
            WebhookError::Conflict(_) => Exit::Failed,
            // Not a URL at all, in place of one that a rule forbids.
            WebhookError::Url(UrlFault::Character | UrlFault::Form) => Exit::Usage,
            _ => Exit::Refused,
        };
        Self::of(exit, &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;
    use ringback_delivery::port::WebhookStore as _;
    use ringback_testkit::{
        samples,
        simulation::{SimulatedStore, TokioClock},
    };

    #[tokio::test]
    async fn a_damaged_webhook_is_named_and_keeps_no_other_back() {
        let store = SimulatedStore::new(TokioClock::begin());
        let webhooks = samples::webhooks_of(&"default".parse().unwrap(), 2);
        for webhook in &webhooks {
            store.put_webhook(webhook).await.unwrap();
        }
        let cli = Cli::parse_from(["ringback", "webhooks", "list"]);
        let (session, config) = (Session::new(cli.global), Config::load(None, []).unwrap());
        let listed = async || list(&session, &store, &config, None).await;
        listed().await.unwrap();
        store.damage(&webhooks[0].id);
        let failure = listed().await.unwrap_err();
        assert_eq!(
            failure.report(),
            format!(
                "error: webhook `{}` cannot be read, and is left out: it is cut",
                webhooks[0].id
            )
        );
    }
}
