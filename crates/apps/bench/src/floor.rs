//! The floors: what nobody can go below on this machine. A bare HTTP client against the same receiver, and a bare publisher
//! and consumer on the same broker, each as a process of its own.

use crate::{
    BenchError,
    part::{FloorDone, FloorHttp, FloorQueue},
    usage::Usage,
};
use futures_util::{StreamExt, stream};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use std::{fs, path::Path, time::Duration};
use tokio::time::Instant;

/// Publishes without a confirm at once.
const PUBLISHES_AT_ONCE: usize = 1_000;
/// The consumer's window, and every how many messages it acknowledges.
const WINDOW: u16 = 1_000;
const ACKNOWLEDGED_EVERY: u64 = 100;
/// As the sender has it: what it would wait for.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// POSTs of the size and with the headers of a delivery, with the library and the settings that deliveries are sent with.
pub(crate) async fn http(told: FloorHttp) -> Result<(), BenchError> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .http1_only()
        .http1_title_case_headers()
        .tcp_nodelay(true)
        .user_agent("Ringback/bench")
        .build()
        .map_err(BenchError::Http)?;
    let url: reqwest::Url = told.url.parse().map_err(|_| BenchError::Garbled("a URL"))?;
    let body = bytes_of(told.body_bytes);
    measured(&told.out, async {
        let post = |number: u64| {
            let request = client
                .post(url.clone())
                .header("content-type", "application/json")
                .header("webhook-id", format!("floor-{number}"))
                .header("webhook-timestamp", "1780308090")
                .header(
                    "webhook-signature",
                    "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
                )
                .timeout(TIME_LIMIT)
                .body(body.clone());
            async move { request.send().await?.bytes().await }
        };
        let mut answers = stream::iter(0..told.requests)
            .map(post)
            .buffer_unordered(told.at_once);
        while let Some(answer) = answers.next().await {
            answer.map_err(BenchError::Http)?;
        }
        Ok(())
    })
    .await
}

/// Each message published to a quorum queue, confirmed, taken and acknowledged.
pub(crate) async fn queue(told: FloorQueue) -> Result<(), BenchError> {
    let connect = || async {
        let connection = Connection::connect(&told.url, ConnectionProperties::default()).await?;
        connection
            .create_channel()
            .await
            .map(|channel| (connection, channel))
    };
    let (_publishing, publisher) = connect().await?;
    let (_taking, consumer) = connect().await?;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    let name = told.queue.as_str();
    publisher
        .queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)
        .await?;
    publisher
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    consumer
        .basic_qos(WINDOW, BasicQosOptions::default())
        .await?;
    let mut messages = consumer
        .basic_consume(
            name.into(),
            "floor".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let body = bytes_of(told.body_bytes);
    measured(&told.out, async {
        let publish = async |_| {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            };
            let publishing =
                publisher.basic_publish("".into(), name.into(), options, &body, properties);
            publishing.await?.await
        };
        let publishing = async {
            let mut confirms = stream::iter(0..told.messages)
                .map(publish)
                .buffer_unordered(PUBLISHES_AT_ONCE);
            while let Some(confirm) = confirms.next().await {
                confirm?;
            }
            Ok::<_, lapin::Error>(())
        };
        let taking = async {
            for number in 1..=told.messages {
                let Some(message) = messages.next().await else {
                    break;
                };
                let tag = message?.delivery_tag;
                if number % ACKNOWLEDGED_EVERY == 0 || number == told.messages {
                    consumer
                        .basic_ack(tag, BasicAckOptions { multiple: true })
                        .await?;
                }
            }
            Ok::<_, lapin::Error>(())
        };
        futures_util::try_join!(publishing, taking)?;
        Ok(())
    })
    .await?;
    publisher
        .queue_delete(name.into(), QueueDeleteOptions::default())
        .await?;
    Ok(())
}

async fn measured(
    out: &Path,
    work: impl Future<Output = Result<(), BenchError>>,
) -> Result<(), BenchError> {
    let usage = || Usage::of_this_process().map_err(BenchError::io("read own usage"));
    let (before, begun) = (usage()?, Instant::now());
    work.await?;
    let done = FloorDone {
        took_s: begun.elapsed().as_secs_f64(),
        cpu_s: usage()?.cpu_s - before.cpu_s,
    };
    let text = serde_json::to_vec(&done).map_err(BenchError::Told)?;
    fs::write(out, text).map_err(BenchError::io("write a floor down"))
}

fn bytes_of(count: usize) -> Vec<u8> {
    vec![b'x'; count]
}
