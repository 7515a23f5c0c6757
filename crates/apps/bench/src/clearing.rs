//! What a scenario leaves behind must not be met by the next one, which would pay for it.

use crate::{BenchError, Desk, Setting, broker::Broker, scenario::Scenario, stage::Stage};

/// Removes destinations, and what waits for those in trouble.
pub(crate) async fn clear_up(
    stage: &Stage,
    scenario: &Scenario,
    setting: &Setting,
) -> Result<(), BenchError> {
    // What is embedded has a folder of its own for each scenario.
    if !scenario.is_on_servers() {
        return Ok(());
    }
    let desk = Desk::open(&setting.config).await?;
    for id in setting.registered.values().flatten() {
        desk.webhooks.remove(id).await?;
    }
    desk.close().await;
    if scenario.in_trouble().next().is_none() {
        return Ok(());
    }
    // A delivery whose webhook is gone when it comes due would be a dead letter, for the store to keep.
    let broker = Broker::connect(stage).await?;
    broker.empty_all(&setting.config).await?;
    broker.close().await
}
