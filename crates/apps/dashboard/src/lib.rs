//! The dashboard: what operators and SREs look at, and what they do, as pages that are rendered here.
//!
//! It works without a script: everything is read from pages and done by forms; a small script of ours only keeps what moves
//! up to date. Nothing is loaded from elsewhere. What is seen and changed goes through the same use cases as the API and the
//! commands, bounded by the key that signed in. What strangers sent (answers, URLs, event types) is text and nothing else.
//!
//! A request passes `guard` (is the host ours, does a form come from a page of ours), then the extractors of `visitor`
//! (who is it, may they), then a page.

mod assets;
mod form;
mod guard;
mod page;
mod refusal;
mod session;
mod view;
mod visitor;

pub use guard::Hosts;
pub use session::SESSION_LASTS;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use ringback_api::Services;
use session::Sessions;
use std::sync::Arc;

/// What the pages work with.
pub(crate) struct Desk {
    services: Arc<Services>,
    sessions: Sessions,
    hosts: Hosts,
}

/// All pages, to be merged with the calls of the API; see also [`with_error_pages`].
pub fn router(services: Arc<Services>, hosts: Hosts) -> Router {
    let context = &services.context;
    let sessions = Sessions {
        ring: context.keys.clone(),
        clock: context.clock.clone(),
        entropy: context.entropy.clone(),
    };
    let desk = Arc::new(Desk {
        services,
        sessions,
        hosts,
    });
    page::routes()
        .merge(assets::routes())
        .layer(from_fn_with_state(desk.clone(), guard::guard))
        .with_state(desk)
}

/// Everything a process answers, with a page where a browser asked for what is not there.
pub fn with_error_pages(router: Router) -> Router {
    router.layer(from_fn(guard::error_page))
}
