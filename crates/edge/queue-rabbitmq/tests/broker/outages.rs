//! Brokers that go away, stand still, or take nothing. Each test has a broker of its own.

use crate::{home::Home, soon, take};
use futures_util::future::join_all;
use lapin::options::QueueDeleteOptions;
use ringback_delivery::port::{Lane, Queue, QueueError, QueueName};
use ringback_queue_rabbitmq::{BrokerUrls, ConnectError, RabbitConfig, RabbitQueue, Scope};
use ringback_testkit::{
    samples,
    servers::{RabbitOptions, RabbitServer},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt, net::TcpListener};

/// Servers are started and stopped by calls that block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn start() -> RabbitServer {
    blocking(|| RabbitServer::start(&RabbitOptions::default()).unwrap()).await
}

/// Publishes one delivery after another until each is confirmed, as a worker would; returns their ids.
async fn publish_stubbornly(queue: Arc<RabbitQueue>, count: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for _ in 0..count {
        let delivery = samples::delivery();
        while let Err(error) = queue.publish_delivery(&delivery, Lane::Main, None).await {
            assert!(error.is_passing(), "{error}");
        }
        ids.insert(delivery.id.to_string());
    }
    ids
}

/// Takes and acknowledges until all of these came; more may come, and twice.
async fn take_all(queue: &RabbitQueue, mut ids: BTreeSet<String>) {
    let mut deliveries = queue.consume_deliveries(Lane::Main, 50).await.unwrap();
    while !ids.is_empty() {
        let taken = take(&mut deliveries).await;
        ids.remove(taken.content.unwrap().id.as_str());
        taken.receipt.acknowledge();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_restarted_or_killed_loses_nothing_confirmed_and_all_resume_by_themselves()
{
    let mut server = start().await;
    let mut home = Home::at(server.url());
    // The consumer below is cut off twice while it holds messages, and RabbitMQ 3 counts that against them.
    home.config.delivery_limit = 50.try_into().unwrap();
    let queue = Arc::new(home.connect().await);
    let mut idle = queue.consume_deliveries(Lane::Slow, 1).await.unwrap();

    for kill in [false, true] {
        let before = publish_stubbornly(Arc::clone(&queue), 20).await;
        let during = tokio::spawn(publish_stubbornly(Arc::clone(&queue), 200));
        server = blocking(move || {
            if kill {
                server.kill9();
            }
            server.restart().unwrap();
            server
        })
        .await;
        let during = soon(during).await.unwrap();
        take_all(&queue, before.into_iter().chain(during).collect()).await;
    }

    // A consumer that had nothing to do in all this time has its queue back as well.
    let delivery = samples::delivery();
    queue
        .publish_delivery(&delivery, Lane::Slow, None)
        .await
        .unwrap();
    let taken = take(&mut idle).await;
    assert_eq!(taken.content.unwrap().id, delivery.id);
    soon(queue.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stands_still_or_cuts_connections_is_noticed_and_left() {
    let server = start().await;
    let mut home = Home::at(server.url());
    home.config.heartbeat = Duration::from_secs(1);
    home.config.connect_timeout = Duration::from_secs(2);
    home.config.confirm_timeout = Duration::from_secs(4);
    let queue = home.connect().await;
    let mut deliveries = queue.consume_deliveries(Lane::Main, 5).await.unwrap();

    server.pause();
    // The first may be with the broker; by the second, the silence was noticed, and nothing is handed over.
    let first = queue
        .publish_delivery(&samples::delivery(), Lane::Main, None)
        .await
        .unwrap_err();
    assert!(matches!(first, QueueError::Unconfirmed { .. }), "{first:?}");
    let second = queue
        .publish_delivery(&samples::delivery(), Lane::Main, None)
        .await
        .unwrap_err();
    assert!(
        matches!(second, QueueError::Unreachable { .. }),
        "{second:?}"
    );
    assert!(soon(queue.ping()).await.is_err());
    server.resume();
    let delivery = samples::delivery();
    while let Err(error) = queue.publish_delivery(&delivery, Lane::Main, None).await {
        assert!(error.is_passing(), "{error}");
    }
    loop {
        let taken = take(&mut deliveries).await;
        let id = taken.content.unwrap().id;
        taken.receipt.acknowledge();
        if id == delivery.id {
            break;
        }
    }

    let held = {
        let delivery = samples::delivery();
        queue
            .publish_delivery(&delivery, Lane::Main, None)
            .await
            .unwrap();
        take(&mut deliveries).await
    };
    let server = blocking(move || {
        server
            .rabbitmqctl(&["close_all_connections", "test"])
            .unwrap();
        server
    })
    .await;
    // It was not acknowledged, so it comes again, and the old receipt is void.
    let again = take(&mut deliveries).await;
    held.receipt.acknowledge();
    assert!(again.redelivered);
    again.receipt.acknowledge();
    let deliveries: Vec<_> = (0..50).map(|_| samples::delivery()).collect();
    let published =
        soon(join_all(deliveries.iter().map(|delivery| {
            queue.publish_delivery(delivery, Lane::Main, None)
        })))
        .await;
    assert!(published.into_iter().all(|published| published.is_ok()));
    soon(queue.close()).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_or_rights_says_so() {
    let server = start().await;
    let mut home = Home::at(server.url());
    home.config.confirm_timeout = Duration::from_secs(2);
    let queue = Arc::new(home.connect().await);
    let server = blocking(move || {
        server
            .rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1MB"])
            .unwrap();
        server
    })
    .await;
    // The broker says that it is short only to those who publish; then nothing more is handed over.
    let refused = soon(async {
        loop {
            match queue
                .publish_delivery(&samples::delivery(), Lane::Main, None)
                .await
            {
                Err(QueueError::Refused { why, .. }) => break why,
                Err(error) => assert!(error.is_passing(), "{error}"),
                Ok(()) => {}
            }
        }
    })
    .await;
    assert!(refused.contains("takes no messages"), "{refused}");
    // As often as the steps of a worker repeat it.
    let repeated = samples::delivery();
    for _ in 0..3 {
        let publishing = queue.publish_delivery(&repeated, Lane::Main, None);
        let refused = publishing.await.unwrap_err();
        assert!(matches!(refused, QueueError::Refused { .. }), "{refused}");
    }
    let prefix = home.config.prefix.as_str().replace('.', r"\.");
    let (ours, events) = (format!(r"^{prefix}\."), format!(r"^{prefix}\.events$"));
    let server = blocking(move || {
        for command in [
            &["set_vm_memory_high_watermark", "absolute", "1GB"][..],
            &["add_user", "worker", "secret"],
            &["set_permissions", "worker", &ours, &ours, &ours],
            &["add_user", "app", "secret"],
            &["set_permissions", "app", "", &events, ""],
        ] {
            server.rabbitmqctl(command).unwrap();
        }
        server
    })
    .await;
    while let Err(error) = queue.publish_delivery(&repeated, Lane::Main, None).await {
        assert!(error.is_passing(), "{error}");
    }
    let last = publish_stubbornly(Arc::clone(&queue), 1).await;
    let mut deliveries = queue.consume_deliveries(Lane::Main, 50).await.unwrap();
    let mut came = Vec::new();
    while !came.last().is_some_and(|id| last.contains(id)) {
        let taken = take(&mut deliveries).await;
        came.push(taken.content.unwrap().id.to_string());
        taken.receipt.acknowledge();
    }
    let times = came.iter().filter(|id| **id == repeated.id.as_str());
    assert_eq!(times.count(), 1, "what was refused did not go");
    drop(deliveries);
    let connect_as = async |user: &str, scope| {
        let urls: BrokerUrls = format!("amqp://{user}:secret@127.0.0.1:{}", server.port())
            .parse()
            .unwrap();
        RabbitQueue::connect(urls, home.config.clone(), scope).await
    };

    // Who only publishes cannot make anything, and gets along with what a worker made.
    let app = connect_as("app", Scope::Events).await.unwrap();
    app.publish_event(&samples::event(), None).await.unwrap();
    // A worker makes everything, with rights on names of ours alone.
    let topology = queue.topology().clone();
    let (_connection, channel) = home.channel().await;
    for queue in topology.queues {
        channel
            .queue_delete(queue.name.into(), QueueDeleteOptions::default())
            .await
            .unwrap();
    }
    let worker = connect_as("worker", Scope::Whole).await.unwrap();
    assert_eq!(worker.check_topology().await.unwrap(), []);
    worker.publish_event(&samples::event(), None).await.unwrap();
    let mut events = worker.consume_events(1).await.unwrap();
    take(&mut events).await.receipt.acknowledge();
}

/// As in a worker whose store is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_loses_patience_parks_nothing_and_gives_more_once_something_is_settled() {
    let server = start().await;
    let server = blocking(move || {
        for (name, ms) in [
            ("consumer_timeout", 2_000),
            ("channel_tick_interval", 1_000),
        ] {
            let set = format!("application:set_env(rabbit, {name}, {ms}).");
            server.rabbitmqctl(&["eval", &set]).unwrap();
        }
        server
    })
    .await;
    let home = Home::at(server.url());
    let queue = home.connect().await;
    let delivery = samples::delivery();
    queue
        .publish_delivery(&delivery, Lane::Main, None)
        .await
        .unwrap();
    let mut deliveries = queue.consume_deliveries(Lane::Main, 2).await.unwrap();
    let held = take(&mut deliveries).await;

    // Far longer than the rounds that its delivery limit allows would take.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let waiting = async |name| {
        let depths = queue.depths().await.unwrap();
        let depth = depths.iter().find(|depth| depth.queue == name);
        depth.unwrap().waiting
    };
    assert_eq!(waiting(QueueName::Parked).await, 0);
    assert_eq!(
        waiting(QueueName::Deliveries(Lane::Main)).await,
        1,
        "it was taken back"
    );

    held.receipt.acknowledge();
    let again = take(&mut deliveries).await;
    assert_eq!(again.content.unwrap().id, delivery.id);
    again.receipt.acknowledge();
    drop(server);
}

#[tokio::test]
async fn nodes_are_tried_in_turn_and_none_is_an_error_without_credentials() {
    let home = Home::shared();
    let dead = "amqp://guest:hunter2@127.0.0.1:1";
    let config = RabbitConfig {
        declare: false,
        ..home.config.clone()
    };
    let both = format!("{dead},{}", home.url).parse().unwrap();
    RabbitQueue::connect(both, config.clone(), Scope::Whole)
        .await
        .unwrap()
        .ping()
        .await
        .unwrap();

    let refused = RabbitQueue::connect(dead.parse().unwrap(), config, Scope::Whole).await;
    let Err(ConnectError::Queue(error @ QueueError::Unreachable { .. })) = refused else {
        panic!("nobody is there")
    };
    assert_eq!(
        error.to_string(),
        "could not reach the broker at `127.0.0.1:1`"
    );
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_is_given_up_with_nothing_left_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let config = RabbitConfig {
        connect_timeout: Duration::from_millis(300),
        ..RabbitConfig::default()
    };
    let connecting = RabbitQueue::connect(url.parse().unwrap(), config, Scope::Whole);
    let peer = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        // Ends only when the other side has let go of the socket, and of the thread that served it.
        socket.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let (refused, heard) = tokio::join!(soon(connecting), soon(peer));
    assert!(matches!(
        refused,
        Err(ConnectError::Queue(QueueError::Unreachable { .. }))
    ));
    assert_eq!(heard, b"AMQP\x00\x00\x09\x01");
}
