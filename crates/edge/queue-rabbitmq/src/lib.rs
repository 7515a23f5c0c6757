//! The queue port on RabbitMQ: topology, delay ladder, confirms, consumers.
//!
//! Stock RabbitMQ 3.10 to 4.x, no plugin. The library under it logs every returned message whole, so switch its target
//! `lapin::returned_messages` off in the log filter.

mod config;
mod consumer;
mod greeting;
mod ladder;
mod ledger;
mod link;
mod message;
mod publisher;
mod queue;
pub mod topology;
mod watch;

pub use config::{BrokerUrlError, BrokerUrls, Exposure, Prefix, PrefixError, RabbitConfig};
pub use greeting::{Greeted, Greeting, greetings};
pub use queue::{ConnectError, RabbitQueue, Scope};
pub use topology::{Drift, Problem, Topology};
pub use watch::WatchPace;
