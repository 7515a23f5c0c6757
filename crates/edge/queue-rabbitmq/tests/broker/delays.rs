//! The watch over the delay ladder.

use crate::{home::Home, soon, take};
use lapin::{
    options::{
        BasicGetOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::FieldTable,
};
use ringback_delivery::port::{Lane, Punctuality, Queue};
use ringback_domain::Wait;
use ringback_queue_rabbitmq::{RabbitQueue, WatchPace};
use ringback_testkit::samples;
use std::time::Duration;
use tokio::time::sleep;

const PACE: WatchPace = WatchPace {
    look_every: Duration::from_millis(50),
    grace: Duration::from_millis(300),
    sample_every: Duration::ZERO,
};
const RUNG: &str = "delay.0.1";

fn unit() -> Wait {
    Wait::exactly(Duration::from_millis(250))
}

async fn seen(queue: &RabbitQueue, is: impl Fn(&Punctuality) -> bool) -> Punctuality {
    soon(async {
        loop {
            let seen = queue.punctuality().expect("it is watched");
            if is(&seen) {
                return seen;
            }
            sleep(PACE.look_every).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_retry_tells_how_late_it_came_whoever_takes_it() {
    let home = Home::shared();
    let (here, there) = (home.connect().await, home.connect().await);
    assert_eq!(here.punctuality(), None, "nobody watches");
    here.watch_delays(PACE);
    let mut deliveries = there.consume_deliveries(Lane::Main, 5).await.unwrap();
    here.publish_delivery(&samples::delivery(), Lane::Main, Some(unit()))
        .await
        .unwrap();
    take(&mut deliveries).await.receipt.acknowledge();
    seen(&here, |seen| seen.lateness > Duration::ZERO).await;
}

#[tokio::test]
async fn a_rung_that_stands_still_is_named_until_its_messages_come() {
    let home = Home::shared();
    let queue = home.connect().await;
    queue.watch_delays(PACE);
    let (_connection, channel) = home.channel().await;
    let rung = home.name(RUNG);
    // In its place, a queue that keeps what it has.
    channel
        .queue_delete(rung.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    channel
        .queue_declare(
            rung.as_str().into(),
            QueueDeclareOptions::durable(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    channel
        .queue_bind(
            rung.as_str().into(),
            home.name("delay.0").into(),
            "*.*.*.*.*.*.1.#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let delivery = samples::delivery();
    queue
        .publish_delivery(&delivery, Lane::Main, Some(unit()))
        .await
        .unwrap();
    let standing = seen(&queue, |seen| !seen.standing.is_empty()).await;
    assert_eq!(standing.standing, [rung.as_str()]);
    assert!(standing.lateness > PACE.grace);

    // What is due and waits for workers does not stand still.
    let late = channel
        .basic_get(rung.into(), BasicGetOptions::default())
        .await
        .unwrap()
        .expect("it stands there");
    channel
        .basic_publish(
            home.name("due").into(),
            "main".into(),
            BasicPublishOptions::default(),
            &late.delivery.data,
            late.delivery.properties,
        )
        .await
        .unwrap();
    let waiting = seen(&queue, |seen| seen.standing.is_empty()).await;
    assert!(waiting.lateness > PACE.grace, "it is late all the same");
    let mut deliveries = queue.consume_deliveries(Lane::Main, 5).await.unwrap();
    let taken = take(&mut deliveries).await;
    assert_eq!(taken.content.unwrap().id, delivery.id);
    seen(&queue, |seen| seen.standing.is_empty()).await;
}
