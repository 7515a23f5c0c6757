//! `ringback keys`: keys to the HTTP API.

use crate::{
    args::{KeyCreateArgs, KeysCommand},
    failure::{Exit, Failure, Outcome},
    session::Session,
    view::{KeyView, KeyWithTextView, ListView, key_facts, keys_table},
};
use ringback_domain::{ApiKeyId, KeyOwner, KeyScope, ProjectName, Timestamp};
use ringback_worker::{
    SystemEntropy,
    keys::{KeyError, Keys, NewKey},
};
use std::sync::Arc;

pub(crate) async fn run(session: &Session, command: KeysCommand) -> Outcome {
    let config = session.config()?;
    let desk = session.desk_of(&config).await?;
    let keys = Keys {
        store: desk.store.clone(),
        profiles: Arc::new(config.profile_book()),
        clock: desk.clock.clone(),
        entropy: Arc::new(SystemEntropy),
    };
    let done = match command {
        KeysCommand::Create(args) => create(session, &keys, desk.clock.now(), args).await,
        KeysCommand::List { project } => {
            session.look_for_project(&config, project.as_ref());
            list(session, &keys, project).await
        }
        KeysCommand::Revoke { id } => revoke(session, &keys, &id).await,
    };
    desk.close().await;
    done
}

async fn create(session: &Session, keys: &Keys, now: Timestamp, args: KeyCreateArgs) -> Outcome {
    let new = NewKey {
        owner: args.project.map_or(KeyOwner::Operator, KeyOwner::Project),
        scopes: if args.scopes.is_empty() {
            KeyScope::ALL.into()
        } else {
            args.scopes.into_iter().collect()
        },
        description: args.description,
        expires_at: args.expires_at.map(|moment| moment.resolve(now)),
    };
    let made = keys.create(new).await?;
    session
        .terminal
        .data(&KeyWithTextView::from(&made), |view| {
            let facts = key_facts(&view.key);
            format!("{facts}\n\nkey, shown this once: {}", view.text)
        })
}

async fn list(session: &Session, keys: &Keys, project: Option<ProjectName>) -> Outcome {
    let owner = project.map(KeyOwner::Project);
    let found = keys.list(owner.as_ref()).await?;
    let list = ListView::whole(found.iter().map(KeyView::from).collect());
    session.terminal.data(&list, keys_table)
}

async fn revoke(session: &Session, keys: &Keys, id: &ApiKeyId) -> Outcome {
    let key = keys.get(id).await?;
    let what = key
        .description
        .map_or_else(String::new, |text| format!(" ({text})"));
    session.terminal.confirm(&format!(
        "Revoke key {id}{what}? Whoever uses it is refused from then on."
    ))?;
    let revoked = keys.revoke(id).await?;
    session.terminal.data(&KeyView::from(&revoked), key_facts)
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let exit = match error {
            KeyError::Store(error) => return Self::from(error),
            KeyError::NotFound(_) | KeyError::ProjectUnknown(_) => Exit::NotFound,
            KeyError::Conflict(_) => Exit::Failed,
            _ => Exit::Refused,
        };
        Self::of(exit, &error)
    }
}
