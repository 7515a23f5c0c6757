//! The queue against a real RabbitMQ.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod contract;
mod delays;
mod home;
mod manual;
mod messages;
mod outages;
mod rights;
mod tls;
mod topology;

use ringback_delivery::port::{Consumer, Taken};
use std::time::Duration;
use tokio::time::timeout;

/// How long something that should come may take, on a busy machine.
const SOON: Duration = Duration::from_mins(1);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(SOON, work)
        .await
        .expect("it takes no longer than a minute")
}

async fn take<T>(consumer: &mut Box<dyn Consumer<T>>) -> Taken<T> {
    soon(consumer.next()).await.expect("the queue is open")
}
