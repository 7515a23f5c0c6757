//! The bench's own look at the broker. Asking for every queue, as the API does, would cost the broker what is being measured.

use crate::{BenchError, stage::Stage};
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{QueueDeclareOptions, QueuePurgeOptions},
    types::FieldTable,
};
use ringback_queue_rabbitmq::Topology;
use ringback_worker::config::Config;

pub(crate) struct Broker {
    connection: Connection,
    channel: Channel,
}

impl Broker {
    pub(crate) async fn connect(stage: &Stage) -> Result<Self, BenchError> {
        let url = stage.urls().map(|urls| urls.broker.as_str());
        let url = url.unwrap_or_default();
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok(Self {
            connection,
            channel,
        })
    }

    /// Messages that a queue has for whoever comes next.
    pub(crate) async fn waiting(&self, queue: &str) -> Result<u64, BenchError> {
        let passively = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::durable()
        };
        let declared = self
            .channel
            .queue_declare(queue.into(), passively, FieldTable::default())
            .await?;
        Ok(declared.message_count().into())
    }

    pub(crate) async fn empty_all(&self, config: &Config) -> Result<(), BenchError> {
        for queue in Topology::of(&config.rabbit_config()).queues {
            let name = queue.name.as_str().into();
            self.channel
                .queue_purge(name, QueuePurgeOptions::default())
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<(), BenchError> {
        Ok(self.connection.close(200, "done".into()).await?)
    }
}
