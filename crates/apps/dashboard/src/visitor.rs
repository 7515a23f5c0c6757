//! Who looks, and what they may see and change: the same rules as for a call of the API with their key.

use crate::{Desk, form::Fields, refusal::Refusal, session::Session};
use axum::extract::FromRequestParts;
use http::{Method, request::Parts};
use ringback_api::{
    auth::{Caller, Manage, Read},
    problem::Problem,
};
use ringback_domain::{ApiKey, KeyOwner, KeyScope, ProjectName, Timestamp};
use std::sync::Arc;

/// Somebody who has signed in with a key that may look.
pub(crate) struct Visitor {
    caller: Caller<Read>,
    /// What their forms carry.
    pub(crate) token: String,
    /// The moment of the request.
    pub(crate) now: Timestamp,
    /// The project that an operator chose to look at.
    pub(crate) chosen: Option<ProjectName>,
    /// Open dead letters of what they look at, which the menu shows.
    pub(crate) dead_letters: u64,
}

/// Somebody who has signed in with a key that may look and change things.
pub(crate) struct Manager(pub(crate) Visitor);

impl Visitor {
    fn of(desk: &Desk, session: &Session, key: Arc<ApiKey>) -> Result<Self, Refusal> {
        Ok(Self {
            caller: Caller::of(key)?,
            token: desk.sessions.form_token(session),
            now: desk.services.context.clock.now(),
            chosen: None,
            dead_letters: 0,
        })
    }

    /// The key they signed in with.
    pub(crate) fn key(&self) -> &ApiKey {
        &self.caller.key
    }

    pub(crate) fn may_manage(&self) -> bool {
        self.key().scopes.contains(&KeyScope::Manage)
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.key().owner == KeyOwner::Operator
    }

    /// Whose things they see.
    pub(crate) fn owner(&self) -> String {
        match &self.key().owner {
            KeyOwner::Project(project) => project.to_string(),
            KeyOwner::Operator => "Operator".to_owned(),
        }
    }

    /// What keeps the chosen project in an address.
    pub(crate) fn choice(&self) -> String {
        let chosen = self.chosen.as_ref();
        chosen.map_or_else(String::new, |project| format!("?project={project}"))
    }

    /// Who they are, for the record.
    pub(crate) fn name(&self) -> String {
        self.caller.name()
    }

    /// The thing, when it is within reach: what belongs to others is not there.
    pub(crate) fn if_in_reach<T>(
        &self,
        found: Option<T>,
        project: impl FnOnce(&T) -> Option<&ProjectName>,
        what: &str,
    ) -> Result<T, Problem> {
        self.caller.if_in_reach(found, project, what)
    }

    /// Whose things a list shows: those of the project asked for, else all within reach.
    pub(crate) fn project_of_list(
        &self,
        asked: Option<ProjectName>,
    ) -> Result<Option<ProjectName>, Problem> {
        self.caller.project_of_list(asked)
    }
}

/// The project that the address of a list names, so that the menu leads to more of the same.
fn chosen(parts: &Parts) -> Option<ProjectName> {
    let asked = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
    asked.get("project")?.parse().ok()
}

impl FromRequestParts<Arc<Desk>> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        // A form's own address may be no page, and what was written into it is gone.
        let is_page = matches!(parts.method, Method::GET | Method::HEAD);
        let asked = parts.uri.path_and_query().filter(|_| is_page);
        let sign_in = || Refusal::SignIn {
            next: asked.map_or_else(|| "/".to_owned(), ToString::to_string),
        };
        let session = parts.extensions.get::<Session>().ok_or_else(sign_in)?;
        let id = session.key.as_ref().ok_or_else(sign_in)?;
        let key = desk.services.context.store.key(id).await?;
        let now = desk.services.context.clock.now();
        let key = key.filter(|key| key.is_usable(now)).ok_or_else(sign_in)?;
        let mut visitor = Self::of(desk, session, Arc::new(key))?;
        if visitor.is_operator() {
            visitor.chosen = chosen(parts);
        }
        let project = visitor.key().owner.project();
        let project = project.or(visitor.chosen.as_ref());
        let store = &desk.services.context.store;
        visitor.dead_letters = store.dead_letter_count(project).await?;
        Ok(visitor)
    }
}

impl FromRequestParts<Arc<Desk>> for Manager {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let visitor = Visitor::from_request_parts(parts, desk).await?;
        Caller::<Manage>::of(visitor.caller.key.clone())?;
        Ok(Self(visitor))
    }
}
