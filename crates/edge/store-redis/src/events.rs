//! Marks of events dispatched.

use crate::{
    RedisStore,
    claims::millis,
    connection::Connection,
    error::unreadable,
    gathering::{Call, Gathering, Step},
    script::{EVENT_MOMENT, KEEP_EVENT_KNOWN},
};
use async_trait::async_trait;
use redis::ToRedisArgs;
use ringback_delivery::port::{EventMark, EventStore, StoreError, StoreHealth};
use ringback_domain::{EventId, ProjectName, Timestamp};
use std::{sync::Arc, time::Duration};

#[async_trait]
impl EventStore for RedisStore {
    async fn event_mark(
        &self,
        project: &ProjectName,
        id: &EventId,
    ) -> Result<Option<EventMark>, StoreError> {
        let shard = self.keys.shard_of(id.as_str());
        let step = Step::new([shard.event(project.as_str(), id.as_str())]);
        let stored = self.reading_marks.run(&shard, step).await?;
        let read = |text: String| {
            read_mark(&text)
                .ok_or_else(|| unreadable("event mark", id, "it is no moment and count".into()))
        };
        stored.map(read).transpose()
    }

    async fn mark_event(
        &self,
        project: &ProjectName,
        id: &EventId,
        mark: EventMark,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let shard = self.keys.shard_of(id.as_str());
        let mut step = Step::new([shard.event(project.as_str(), id.as_str())]);
        step.arg(format!("{} {}", mark.dispatched_at, mark.deliveries))
            .arg("PX")
            .arg(self.known_ms(until));
        self.marking.run(&shard, step).await?;
        Ok(())
    }

    async fn keep_event_known(
        &self,
        project: &ProjectName,
        id: &EventId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let shard = self.keys.shard_of(id.as_str());
        let mut script = KEEP_EVENT_KNOWN.prepare_invoke();
        script
            .key(shard.event(project.as_str(), id.as_str()))
            .arg(self.known_ms(until));
        self.connection.run("keep an event known", &script).await
    }

    async fn event_moment(
        &self,
        project: &ProjectName,
        id: &EventId,
        at: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let shard = self.keys.shard_of(id.as_str());
        let mut script = EVENT_MOMENT.prepare_invoke();
        script
            .key(shard.event_moment(project.as_str(), id.as_str()))
            .arg(at.to_string())
            .arg(millis(self.settings.idempotency_window));
        let kept: String = self
            .connection
            .run("keep an event's moment", &script)
            .await?;
        kept.parse()
            .map_err(|_| unreadable("moment of event", id, "it is no moment".into()))
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        self.check_health().await
    }
}

impl RedisStore {
    /// The window from this moment on, in milliseconds from now.
    fn known_ms(&self, until: Timestamp) -> u64 {
        let ahead = until.duration_since(self.clock.now());
        millis(Duration::try_from(ahead).unwrap_or_default() + self.settings.idempotency_window)
    }
}

/// Where questions for marks come together.
pub(crate) fn reading_marks(connection: &Arc<Connection>) -> Gathering<Option<String>> {
    let name = "read an event's mark";
    Gathering::new(name, Call::Command("MGET"), Vec::new(), connection.clone())
}

/// Where marks come together. A mark that is there stands.
pub(crate) fn marking(connection: &Arc<Connection>) -> Gathering<()> {
    let common = "NX".to_redis_args();
    let call = Call::Commands("SET");
    Gathering::new("mark an event", call, common, connection.clone())
}

fn read_mark(text: &str) -> Option<EventMark> {
    let (dispatched_at, deliveries) = text.split_once(' ')?;
    Some(EventMark {
        dispatched_at: dispatched_at.parse::<Timestamp>().ok()?,
        deliveries: deliveries.parse().ok()?,
    })
}
