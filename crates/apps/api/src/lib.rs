//! The HTTP API: the calls of producers and operators, over the same use cases as the commands.
//!
//! A call is answered in this order: who calls ([`auth`]), what is asked (`members`), the use case (`ringback-worker`,
//! `ringback-delivery`), what is shown of the result ([`view`]) or why there is none ([`problem`]). Every query is bounded
//! by the key's project, never by what the request says.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use ringback_api::{Limits, Server, Services, router};
//! # async fn run(context: Arc<ringback_delivery::Context>, urls: ringback_sender_http::UrlPolicy) -> std::io::Result<()> {
//! let services = Services::new(context, urls, [], Limits::default());
//! // Another router, such as the dashboard's, is merged here.
//! let router = router(services.clone(), axum::Router::new());
//! let listen = ([127, 0, 0, 1], 8080).into();
//! let server = Server::start(listen, router, services.limits, services.stop.clone())?;
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

pub mod auth;
mod body;
mod failure;
mod measure;
mod members;
mod openapi;
pub mod problem;
mod reference;
mod route;
mod server;
mod services;
mod slots;
mod taken;
pub mod view;

pub use body::BATCH_BYTES_MAX;
pub use measure::measured;
pub use openapi::document as openapi_document;
pub use server::{Limits, Peer, Server};
pub use services::Services;

use axum::Router;
use std::sync::Arc;

/// Health checks alone, for a process that answers nothing else.
pub fn health_router(services: Arc<Services>) -> Router {
    let calls: Router<Arc<Services>> = route::health_calls().into();
    let router = calls
        .with_state(services)
        .fallback(route::no_such_route)
        .method_not_allowed_fallback(route::method_not_allowed);
    route::with_common_headers(router)
}

/// All calls, and the pages of another router beside them. That one sets no fallback: what nobody knows is a problem here.
pub fn router(services: Arc<Services>, pages: Router) -> Router {
    let calls: Router<Arc<Services>> = route::calls().into();
    let router = calls
        .merge(route::docs::pages())
        .with_state(services)
        .merge(pages)
        .fallback(route::no_such_route)
        .method_not_allowed_fallback(route::method_not_allowed);
    route::with_common_headers(router)
}
