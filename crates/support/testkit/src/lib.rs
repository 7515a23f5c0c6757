//! Private test servers, contract suites, fakes for the ports, receivers
#![expect(
    clippy::missing_panics_doc,
    reason = "panicking is how test helpers fail"
)]

pub mod contract;
pub mod golden;
pub mod load;
mod machine_clock;
pub mod receiver;
pub mod samples;
pub mod simulation;

pub use machine_clock::MachineClock;
pub use ringback_servers as servers;
pub use ringback_servers::proxy;

use ringback_delivery::{Context, WebhookCache, port::Store};
use std::sync::Arc;

/// The same world on another store. Nobody else holds it yet.
pub fn on_store(context: Arc<Context>, store: Arc<dyn Store>) -> Arc<Context> {
    let context = Arc::into_inner(context).expect("nobody else holds it");
    Arc::new(Context {
        store: store.clone(),
        webhooks: WebhookCache::new(store, context.clock.clone()),
        ..context
    })
}
