//! Marks of events dispatched.

use crate::{RedisStore, claims::millis, error::unreadable};
use async_trait::async_trait;
use ringback_delivery::port::{EventMark, EventStore, StoreError, StoreHealth};
use ringback_domain::{EventId, ProjectName, Timestamp};

#[async_trait]
impl EventStore for RedisStore {
    async fn event_mark(
        &self,
        project: &ProjectName,
        id: &EventId,
    ) -> Result<Option<EventMark>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.mark_key(project, id));
        let stored: Option<String> = self
            .connection
            .send("read an event's mark", &command)
            .await?;
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
    ) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command
            .arg(self.mark_key(project, id))
            .arg(format!("{} {}", mark.dispatched_at, mark.deliveries))
            .arg("NX")
            .arg("PX")
            .arg(millis(self.settings.idempotency_window));
        self.connection.send("mark an event", &command).await
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        self.check_health().await
    }
}

impl RedisStore {
    fn mark_key(&self, project: &ProjectName, id: &EventId) -> String {
        let (project, id) = (project.as_str(), id.as_str());
        self.keys.shard_of(id).event(project, id)
    }
}

fn read_mark(text: &str) -> Option<EventMark> {
    let (dispatched_at, deliveries) = text.split_once(' ')?;
    Some(EventMark {
        dispatched_at: dispatched_at.parse::<Timestamp>().ok()?,
        deliveries: deliveries.parse().ok()?,
    })
}
