//! Health and metrics of a process without the API, and what is said while broker or store is away.

use crate::{
    installation::{Ground, HASTY, Installation},
    process::Process,
};
use ringback_testkit::{
    receiver::{Answer, Receiver},
    servers::{RabbitOptions, RabbitServer, RedisOptions, RedisServer},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

const POLL: Duration = Duration::from_millis(100);
/// How often a test looks before it gives up: a minute and more.
const LOOKS_MAX: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_the_api_tells_its_health_and_its_metrics_and_nothing_else() {
    let installation = Installation::with(Ground::Servers, "telemetry.listen = \"127.0.0.1:0\"");
    let process = installation.serve_as("dispatch,deliver").await;
    let port = process.health_port();
    assert_eq!(
        get(port, "/healthz").await,
        (200, "{\"status\":\"ok\"}".to_owned())
    );
    let ready = until_ready(port, 200).await;
    assert_eq!(
        ready,
        json!({"ready": true, "queue": true, "store": true, "consumers": true, "retries": true, "stopping": false})
    );
    for path in ["/", "/api/v1/webhooks", "/openapi.json"] {
        assert_eq!(get(port, path).await.0, 404, "{path}");
    }

    let receiver = Receiver::start().await;
    receiver.script("/hook", [Answer::status(500), Answer::status(200)]);
    let desk = installation.desk().await;
    desk.webhook(HASTY, receiver.url("/hook")).await;
    let event = crate::desk::event(HASTY, "evt_1", 1);
    desk.publisher().publish(&event).await.unwrap();
    desk.wait_for_deliveries(HASTY, "delivered", 1).await;
    desk.close().await;
    let lines = [
        "ringback_delivery_attempts_total{ringback_attempt_outcome=\"accepted\"} 1",
        "ringback_delivery_attempts_total{ringback_attempt_outcome=\"refused\"} 1",
        "ringback_delivery_duration_seconds_count{ringback_delivery_final_state=\"delivered\"} 1",
        "ringback_dependency_up{ringback_dependency=\"queue\"} 1",
        "ringback_dependency_up{ringback_dependency=\"store\"} 1",
        "ringback_queue_consumers{messaging_destination_name=\"deliveries\"} 1",
        "# TYPE ringback_delivery_oldest_due_age_seconds gauge",
    ];
    let mut missing = Vec::new();
    // Gauges are read every 15 seconds, at first before there are consumers.
    for _ in 0..LOOKS_MAX {
        let (status, metrics) = get(port, "/metrics").await;
        assert_eq!(status, 200);
        let is_missing = |line: &&str| !metrics.lines().any(|said| said == *line);
        missing = lines.into_iter().filter(is_missing).collect();
        if missing.is_empty() {
            break;
        }
        sleep(POLL).await;
    }
    assert!(missing.is_empty(), "{missing:#?}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_not_ready_while_broker_or_store_is_away_and_ready_again_after() {
    let mut place = Place::start();
    let process = place.serve().await;
    let port = process.health_port();
    until_ready(port, 200).await;
    place.doctor(None).await;

    place.redis.kill9();
    let away = until_ready(port, 503).await;
    assert_eq!(
        (&away["queue"], &away["store"]),
        (&json!(true), &json!(false)),
        "{away}"
    );
    assert_eq!(get(port, "/healthz").await.0, 200, "it lives all the same");
    place
        .doctor(Some(Away {
            broken: "broken  store",
            said: "could not reach the Redis at",
            well: "ok      broker",
        }))
        .await;
    place.redis.restart().unwrap();
    until_ready(port, 200).await;

    place.rabbitmq.kill9();
    let away = until_ready(port, 503).await;
    assert_eq!(
        (&away["queue"], &away["store"]),
        (&json!(false), &json!(true)),
        "{away}"
    );
    place
        .doctor(Some(Away {
            broken: "broken  broker",
            said: "could not reach the broker at",
            well: "ok      dead letters",
        }))
        .await;
    place.rabbitmq.restart().unwrap();
    until_ready(port, 200).await;
    place.doctor(None).await;
    process.stop().await;
}

/// What `doctor` says while one of the two is away.
struct Away {
    broken: &'static str,
    said: &'static str,
    /// The other one is looked at all the same.
    well: &'static str,
}

/// An installation on servers of its own.
struct Place {
    installation: Installation,
    rabbitmq: RabbitServer,
    redis: RedisServer,
}

impl Place {
    fn start() -> Self {
        let redis = RedisServer::start(RedisOptions::default()).unwrap();
        Self {
            installation: Installation::with(
                Ground::Embedded,
                "telemetry.listen = \"127.0.0.1:0\"",
            ),
            rabbitmq: RabbitServer::start(&RabbitOptions::default()).unwrap(),
            redis,
        }
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = self.installation.command(arguments);
        command
            .env("RINGBACK_BROKER", self.rabbitmq.url())
            .env("RINGBACK_STORE", self.redis.url());
        command
    }

    async fn serve(&self) -> Process {
        let command = self.command(&["serve", "--roles", "dispatch,deliver"]);
        let mut process = Process::start(command);
        process.says(": ready ").await;
        process
    }

    /// What `doctor` says, with one of them away or none.
    async fn doctor(&self, away: Option<Away>) {
        let output = self.command(&["doctor"]).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        match away {
            // It finds fault with what the tests open.
            None => {
                assert_eq!(output.status.code(), Some(1), "{said}");
                assert!(!said.contains("broken"), "{said}");
            }
            Some(away) => {
                assert_eq!(output.status.code(), Some(5), "{said}");
                let (_, reason) = said.split_once(away.broken).expect(&said);
                assert!(reason.contains(away.said), "{said}");
                assert!(reason.contains("hint: "), "{said}");
                assert_eq!(said.matches("broken").count(), 1, "{said}");
                assert!(said.contains(away.well), "{said}");
            }
        }
    }
}

/// Asks until the answer has this status; what it says.
async fn until_ready(port: u16, status: u16) -> Value {
    let mut last = (0, String::new());
    for _ in 0..LOOKS_MAX {
        last = get(port, "/readyz").await;
        if last.0 == status {
            return serde_json::from_str(&last.1).unwrap();
        }
        sleep(POLL).await;
    }
    panic!("/readyz never answered {status}, but {last:?}");
}

/// The status and the body of an answer.
async fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}
