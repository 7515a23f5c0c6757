//! What destinations in trouble leave behind must not be worked off in the next scenario, which would pay for it.

use crate::{BenchError, Desk, Setting, scenario::Scenario, scenario::Servers, stage::Stage};
use lapin::{Connection, ConnectionProperties, options::QueuePurgeOptions};
use ringback_queue_rabbitmq::Topology;

/// Removes destinations in trouble, and what waits for them.
pub(crate) async fn clear_up(
    stage: &Stage,
    scenario: &Scenario,
    setting: &Setting,
) -> Result<(), BenchError> {
    let is_embedded = scenario.servers == Servers::Embedded;
    if is_embedded || scenario.in_trouble().next().is_none() {
        return Ok(());
    }
    let desk = Desk::open(&setting.config).await?;
    for project in scenario.in_trouble() {
        for id in &setting.registered[&project.name] {
            desk.webhooks.remove(id).await?;
        }
    }
    desk.close().await;
    empty_queues(stage, setting).await
}

/// A delivery whose webhook is gone when it comes due would be a dead letter, for the store to keep.
async fn empty_queues(stage: &Stage, setting: &Setting) -> Result<(), BenchError> {
    let Some(urls) = stage.urls() else {
        return Ok(());
    };
    let connection = Connection::connect(&urls.broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    for queue in Topology::of(&setting.config.rabbit_config()).queues {
        let name = queue.name.as_str().into();
        channel
            .queue_purge(name, QueuePurgeOptions::default())
            .await?;
    }
    connection.close(200, "purged".into()).await?;
    Ok(())
}
