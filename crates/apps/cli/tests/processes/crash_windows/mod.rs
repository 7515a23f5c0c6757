//! Every row of the crash table in docs/protocol.md: a real process kills itself at the fault point of the row, another goes on.

mod deliver;
mod dispatch;
mod replay;
mod scene;

/// Makes a test of every row, on each ground.
macro_rules! on_each_ground {
    ($begins:expr; $($row:ident)*) => {
        mod on_the_embedded_default {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $row() {
                super::super::$row(crate::installation::Ground::Embedded, $begins).await;
            })*
        }

        mod on_rabbitmq_and_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $row() {
                super::super::$row(crate::installation::Ground::Servers, $begins).await;
            })*
        }
    };
    ($($row:ident)*) => {
        mod on_the_embedded_default {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $row() {
                super::$row(crate::installation::Ground::Embedded).await;
            })*
        }

        mod on_rabbitmq_and_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $row() {
                super::$row(crate::installation::Ground::Servers).await;
            })*
        }
    };
}
use on_each_ground;
