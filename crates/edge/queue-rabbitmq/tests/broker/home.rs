//! A place at a broker for one test.

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use ringback_queue_rabbitmq::{BrokerUrls, RabbitConfig, RabbitQueue, Scope, Topology};
use ringback_testkit::{samples::unique, servers};
use std::{num::NonZeroU16, time::Duration};

/// A prefix of its own at a broker; what was made under it is deleted at the end.
pub(crate) struct Home {
    pub(crate) url: String,
    pub(crate) config: RabbitConfig,
    delete: bool,
}

impl Home {
    /// At the broker that all tests share.
    pub(crate) fn shared() -> Self {
        let mut home = Self::at(servers::shared_amqp_url());
        home.delete = true;
        home
    }

    /// At a broker of the test's own, which takes everything with it.
    pub(crate) fn at(url: String) -> Self {
        let config = RabbitConfig {
            prefix: unique("test.").parse().unwrap(),
            delivery_limit: NonZeroU16::new(3).unwrap(),
            reconnect_wait_max: Duration::from_millis(500),
            ..RabbitConfig::default()
        };
        Self {
            url,
            config,
            delete: false,
        }
    }

    pub(crate) async fn connect(&self) -> RabbitQueue {
        self.connect_with(self.config.clone()).await
    }

    pub(crate) async fn connect_with(&self, config: RabbitConfig) -> RabbitQueue {
        RabbitQueue::connect(self.urls(), config, Scope::Whole)
            .await
            .unwrap()
    }

    pub(crate) fn urls(&self) -> BrokerUrls {
        self.url.parse().unwrap()
    }

    /// Past our own code, to the broker itself.
    pub(crate) async fn channel(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default())
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}.{rest}", self.config.prefix.as_str())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.delete {
            return;
        }
        let topology = Topology::of(&self.config);
        let url = self.url.clone();
        let work = async move {
            let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            for queue in topology.queues {
                channel
                    .queue_delete(queue.name.into(), QueueDeleteOptions::default())
                    .await?;
            }
            for exchange in topology.exchanges {
                channel
                    .exchange_delete(exchange.name.into(), ExchangeDeleteOptions::default())
                    .await?;
            }
            connection.close(200, "done".into()).await
        };
        // A thread of its own: a runtime does not wait within itself.
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(work)
        });
        if let Ok(Err(problem)) = cleaner.join() {
            eprintln!("the test's queues were not deleted: {problem}");
        }
    }
}
