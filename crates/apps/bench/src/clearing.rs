//! What destinations in trouble leave behind must not be worked off in the next scenario, which would pay for it.

use crate::{
    BenchError, Desk, Setting, broker::Broker, scenario::Scenario, scenario::Servers, stage::Stage,
};

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
    // A delivery whose webhook is gone when it comes due would be a dead letter, for the store to keep.
    let broker = Broker::connect(stage).await?;
    broker.empty_all(&setting.config).await?;
    broker.close().await
}
