//! What the broker refuses the users of `deploy/rabbitmq/definitions.json`. What they may do, they do in the tests of whole processes.

use crate::{outages::blocking, soon};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
        QueuePurgeOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::FieldTable,
};
use ringback_delivery::port::Queue;
use ringback_queue_rabbitmq::{RabbitConfig, RabbitQueue, Scope};
use ringback_testkit::servers::{RabbitOptions, RabbitServer};
use std::path::Path;

const PASSWORD: &str = "PasswordOfATest";
const USERS: [&str; 4] = ["topology", "worker", "api", "producer"];

/// Something that a user tries, on a queue or exchange of this name.
#[derive(Debug, Clone, Copy)]
enum Attempt {
    Publish(&'static str),
    Consume(&'static str),
    Purge(&'static str),
    DeclareQueue(&'static str),
    DeleteQueue(&'static str),
    DeclareExchange(&'static str),
    DeleteExchange(&'static str),
    /// Leads what the exchange of events takes in to a queue of this name, too.
    Bind(&'static str),
}
use Attempt::{
    Bind, Consume, DeclareExchange, DeclareQueue, DeleteExchange, DeleteQueue, Publish, Purge,
};

/// What nobody may do who only works here.
const NOBODYS: [Attempt; 16] = [
    Publish(""),
    Publish("amq.topic"),
    Publish("another"),
    Publish("ringback.parked"),
    Publish("ringbackish"),
    Consume("another"),
    Consume("ringback.delay.0.1"),
    Purge("ringback.delay.0.1"),
    DeclareQueue("another"),
    DeclareQueue("ringback.mine"),
    DeclareExchange("ringback.mine"),
    DeleteQueue("ringback.events"),
    DeleteQueue("ringback.delay.0.1"),
    DeleteExchange("ringback.events"),
    DeleteExchange("ringback.watch"),
    Bind("ringback.parked"),
];

impl Attempt {
    async fn make(self, channel: &Channel) -> lapin::Result<()> {
        let none = FieldTable::default;
        match self {
            Publish(exchange) => {
                channel
                    .confirm_select(ConfirmSelectOptions::default())
                    .await?;
                let (options, properties) =
                    (BasicPublishOptions::default(), BasicProperties::default());
                let published =
                    channel.basic_publish(exchange.into(), "key".into(), options, b"", properties);
                published.await?.await.map(drop)
            }
            Consume(queue) => {
                let options = BasicConsumeOptions::default();
                let consumer = channel.basic_consume(queue.into(), "".into(), options, none());
                consumer.await.map(drop)
            }
            Purge(queue) => {
                let purged = channel.queue_purge(queue.into(), QueuePurgeOptions::default());
                purged.await.map(drop)
            }
            DeclareQueue(queue) => {
                let options = QueueDeclareOptions::durable();
                let declared = channel.queue_declare(queue.into(), options, none());
                declared.await.map(drop)
            }
            DeleteQueue(queue) => {
                let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
                deleted.await.map(drop)
            }
            DeclareExchange(exchange) => {
                let options = ExchangeDeclareOptions::default();
                let kind = lapin::ExchangeKind::Topic;
                channel
                    .exchange_declare(exchange.into(), kind, options, none())
                    .await
            }
            DeleteExchange(exchange) => {
                let options = ExchangeDeleteOptions::default();
                channel.exchange_delete(exchange.into(), options).await
            }
            Bind(queue) => {
                let options = QueueBindOptions::default();
                let (source, key) = ("ringback.events".into(), "#".into());
                channel
                    .queue_bind(queue.into(), source, key, options, none())
                    .await
            }
        }
    }
}

fn url(server: &RabbitServer, user: &str, vhost: &str) -> String {
    let port = server.port();
    format!("amqp://ringback-{user}:{PASSWORD}@127.0.0.1:{port}/{vhost}")
}

async fn connect(server: &RabbitServer, user: &str, vhost: &str) -> lapin::Result<Connection> {
    let url = url(server, user, vhost);
    soon(Connection::connect(&url, ConnectionProperties::default())).await
}

/// A broker with our users and all of our queues.
async fn broker() -> RabbitServer {
    let server = blocking(|| {
        let server = RabbitServer::start(&RabbitOptions::default()).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let definitions = root.join("deploy/rabbitmq/definitions.json");
        let import = ["import_definitions", definitions.to_str().unwrap()];
        server.rabbitmqctl(&import).unwrap();
        for user in USERS {
            let user = format!("ringback-{user}");
            let change = ["change_password", &user, PASSWORD];
            server.rabbitmqctl(&change).unwrap();
        }
        server
    })
    .await;
    let urls = url(&server, "topology", "ringback").parse().unwrap();
    let made = RabbitQueue::connect(urls, RabbitConfig::default(), Scope::Whole).await;
    soon(made.unwrap().close()).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_user_is_refused_what_its_role_does_not_need() {
    let server = broker().await;
    let producers = [
        Publish("ringback.lanes"),
        Publish("ringback.delay.0"),
        Publish("ringback.watch"),
        Consume("ringback.events"),
        Consume("ringback.deliveries"),
        Consume("ringback.parked"),
        Purge("ringback.events"),
        DeclareQueue("ringback.watch.00ff"),
    ];
    let apis = [
        Publish("ringback.delay.0"),
        Publish("ringback.watch"),
        Consume("ringback.events"),
        Consume("ringback.deliveries"),
        Consume("ringback.deliveries.slow"),
        Consume("ringback.parked"),
        Purge("ringback.deliveries"),
    ];
    let topologys = [
        Publish(""),
        Publish("another"),
        Consume("another"),
        DeclareQueue("another"),
        DeclareQueue("ringbackish"),
        DeleteQueue("another"),
    ];
    let refused: [(&str, Vec<Attempt>); 4] = [
        ("producer", [&NOBODYS[..], &producers].concat()),
        ("api", [&NOBODYS[..], &apis].concat()),
        ("worker", NOBODYS.into()),
        ("topology", topologys.into()),
    ];
    for (user, attempts) in refused {
        let connection = connect(&server, user, "ringback").await.unwrap();
        for attempt in attempts {
            // The broker closes the channel with its answer.
            let channel = connection.create_channel().await.unwrap();
            let answer = soon(attempt.make(&channel)).await;
            assert!(is_refused(&answer), "{user}: {attempt:?}: {answer:?}");
        }
        soon(connection.close(200, "".into())).await.unwrap();
        let elsewhere = connect(&server, user, "%2f").await;
        assert!(elsewhere.is_err(), "{user} comes into another virtual host");
    }

    // The same attempts succeed where they are allowed.
    for (user, attempt) in [
        ("producer", Publish("ringback.events")),
        ("api", Publish("ringback.lanes")),
        ("worker", Publish("ringback.lanes")),
        ("worker", Publish("ringback.delay.0")),
        ("worker", Consume("ringback.parked")),
        ("topology", Purge("ringback.events")),
        ("topology", Bind("ringback.parked")),
        ("topology", DeclareQueue("ringback.mine")),
        ("topology", DeleteQueue("ringback.mine")),
        ("topology", DeclareExchange("ringback.mine")),
        ("topology", DeleteExchange("ringback.mine")),
    ] {
        let connection = connect(&server, user, "ringback").await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        soon(attempt.make(&channel)).await.unwrap();
    }

    let users = blocking(move || server.rabbitmqctl(&["list_users"]).unwrap()).await;
    for user in USERS {
        // A tag would open the management interface, or all that there is.
        let line = format!("ringback-{user}\t[]");
        assert!(users.lines().any(|listed| listed == line), "{users}");
    }
}

fn is_refused(answer: &lapin::Result<()>) -> bool {
    let Err(error) = answer else { return false };
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)
}
