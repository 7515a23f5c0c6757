//! The API over real HTTP: the same calls against the embedded queue and store, and against RabbitMQ and Redis.
#![expect(
    clippy::unwrap_used,
    reason = "panicking is how tests fail, also in what they share"
)]

mod breakers;
mod dead_letters;
mod events;
mod health;
mod hostile;
mod installation;
mod keys;
mod manual;
mod metrics;
mod platforms;
mod reference;
mod replays;
mod schemathesis;
mod statuses;
mod traces;
mod webhooks;

/// Each of these functions as a test on both grounds.
macro_rules! on_both_grounds {
    ($($name:ident),* $(,)?) => {
        mod on_embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::installation::Ground::Embedded).await;
                }
            )*
        }
        mod on_servers {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::installation::Ground::Servers).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_grounds;
