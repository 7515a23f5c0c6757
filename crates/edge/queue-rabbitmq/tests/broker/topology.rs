//! What is made at the broker, and what is noticed there.

use crate::home::Home;
use lapin::{
    Channel, ExchangeKind,
    options::{
        BasicGetOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::FieldTable,
};
use ringback_delivery::port::{Queue, QueueError};
use ringback_queue_rabbitmq::{ConnectError, Problem, RabbitConfig, RabbitQueue, Scope, Topology};
use ringback_testkit::samples;
use std::num::NonZeroU16;

fn undeclared(home: &Home) -> RabbitConfig {
    RabbitConfig {
        declare: false,
        ..home.config.clone()
    }
}

#[tokio::test]
async fn what_was_applied_is_found_and_applying_again_changes_nothing() {
    let home = Home::shared();
    let queue = home.connect_with(undeclared(&home)).await;
    assert_eq!(queue.apply_topology().await.unwrap(), []);
    assert_eq!(queue.apply_topology().await.unwrap(), []);
    assert_eq!(queue.check_topology().await.unwrap(), []);
}

#[tokio::test]
async fn a_check_reports_everything_that_is_missing_and_makes_nothing() {
    let home = Home::shared();
    let queue = home.connect_with(undeclared(&home)).await;
    let topology = Topology::of(&home.config);
    let all = topology.exchanges.len() + topology.queues.len();
    for _ in 0..2 {
        let drifts = queue.check_topology().await.unwrap();
        assert_eq!(drifts.len(), all);
        assert!(drifts.iter().all(|drift| drift.problem == Problem::Missing));
        assert_eq!(drifts[0].advice(), "run `ringback topology apply`");
    }
    let depths = queue.depths().await;
    assert!(matches!(depths, Err(QueueError::Topology(_))), "{depths:?}");
}

#[tokio::test]
async fn a_queue_made_with_other_arguments_is_reported_by_argument_and_left_alone() {
    let home = Home::shared();
    home.connect().await.close().await;
    let mut other = home.config.clone();
    other.delivery_limit = NonZeroU16::new(9).unwrap();

    let refused = RabbitQueue::connect(home.urls(), other.clone(), Scope::Whole).await;
    let Err(ConnectError::Queue(QueueError::Topology(words))) = refused else {
        panic!("the drift is an error at the start")
    };
    assert!(words.contains("x-delivery-limit"), "{words}");

    other.declare = false;
    let queue = home.connect_with(other).await;
    for drifts in [
        queue.check_topology().await.unwrap(),
        queue.apply_topology().await.unwrap(),
    ] {
        let mut names: Vec<_> = drifts.iter().map(|drift| drift.name.clone()).collect();
        names.sort();
        assert_eq!(
            names,
            ["deliveries", "deliveries.slow", "events"].map(|rest| home.name(rest))
        );
        for drift in &drifts {
            let text = drift.to_string();
            assert!(
                text.contains("x-delivery-limit") && text.contains('9') && text.contains('3'),
                "{text}"
            );
            assert!(
                drift.advice().contains("configuration"),
                "{}",
                drift.advice()
            );
        }
    }
    let unchanged = home.connect_with(undeclared(&home)).await;
    assert_eq!(unchanged.check_topology().await.unwrap(), []);
}

#[tokio::test]
async fn a_queue_that_was_deleted_is_noticed_and_made_again() {
    let home = Home::shared();
    let queue = home.connect().await;
    let rung = home.name("delay.3.5");
    let (_connection, channel) = home.channel().await;
    channel
        .queue_delete(rung.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();

    let drifts = queue.check_topology().await.unwrap();
    let [drift] = &drifts[..] else {
        panic!("{drifts:?}")
    };
    assert_eq!(
        (drift.kind, &drift.name, &drift.problem),
        ("queue", &rung, &Problem::Missing)
    );
    assert_eq!(queue.apply_topology().await.unwrap(), []);
    assert_eq!(queue.check_topology().await.unwrap(), []);
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind) {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(name.into(), kind, options, FieldTable::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_exchange_of_a_release_before_stays_and_leads_to_the_same_queue() {
    let home = Home::shared();
    let (_connection, channel) = home.channel().await;
    declare_exchange(&channel, &home.name("events"), ExchangeKind::Topic).await;
    let queue = home.connect().await;
    assert_eq!(queue.check_topology().await.unwrap(), []);
    let event = samples::event();
    queue.publish_event(&event, None).await.unwrap();
    let mut events = queue.consume_events(1).await.unwrap();
    let taken = events.next().await.unwrap();
    assert_eq!(taken.content.unwrap().id, event.id);
    taken.receipt.acknowledge();
}

#[tokio::test]
async fn an_exchange_of_any_other_kind_is_reported_as_what_it_should_be() {
    let home = Home::shared();
    let (_connection, channel) = home.channel().await;
    declare_exchange(&channel, &home.name("events"), ExchangeKind::Direct).await;
    let queue = home.connect_with(undeclared(&home)).await;
    let drifts = queue.apply_topology().await.unwrap();
    let [drift] = &drifts[..] else {
        panic!("{drifts:?}")
    };
    assert_eq!(drift.name, home.name("events"));
    let Problem::Different(words) = &drift.problem else {
        panic!("{drift}")
    };
    assert!(
        words.contains("fanout") && words.contains("direct"),
        "{words}"
    );
}

#[tokio::test]
async fn whoever_wants_some_events_only_binds_an_exchange_that_reads_their_keys() {
    let home = Home::shared();
    let queue = home.connect().await;
    let (_connection, channel) = home.channel().await;
    let (theirs, all) = (home.name("theirs"), home.name("events"));
    declare_exchange(&channel, &theirs, ExchangeKind::Topic).await;
    channel
        .exchange_bind(
            theirs.as_str().into(),
            all.as_str().into(),
            "".into(),
            ExchangeBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let wanted = samples::event();
    let mut other = samples::event();
    other.event_type = "task.unheard_of".parse().unwrap();
    let tap = channel
        .queue_declare(
            "".into(),
            QueueDeclareOptions {
                exclusive: true,
                ..QueueDeclareOptions::default()
            },
            FieldTable::default(),
        )
        .await
        .unwrap();
    let key = format!("{}.{}", wanted.project, wanted.event_type);
    channel
        .queue_bind(
            tap.name().as_str().into(),
            theirs.as_str().into(),
            key.as_str().into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    for event in [&other, &wanted] {
        queue.publish_event(event, None).await.unwrap();
    }
    let get = channel.basic_get(tap.name().as_str().into(), BasicGetOptions::default());
    let got = get.await.unwrap().expect("one");
    assert_eq!(got.delivery.routing_key.as_str(), key);
    assert_eq!(got.message_count, 0, "and no other");
}
