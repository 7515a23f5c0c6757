//! Marks of events, and the store's health.

use super::{EmbeddedStore, corrupt};
use crate::{
    bytes_of::{Reader, Writer},
    engine::Place,
    tables::EVENT_MARKS,
};
use async_trait::async_trait;
use redb::{ReadTransaction, ReadableTable};
use ringback_delivery::port::{EventMark, EventStore, StoreError, StoreHealth};
use ringback_domain::{EventId, ProjectName, Timestamp};

/// A mark, and when it was made by our clock, or until when the event is kept known: that is what it ages by.
pub(super) struct Mark {
    pub(super) marked_at: Timestamp,
    mark: EventMark,
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.moment(self.marked_at);
        to.moment(self.mark.dispatched_at);
        to.u32(self.mark.deliveries);
        to.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        Some(Self {
            marked_at: from.moment()?,
            mark: EventMark {
                dispatched_at: from.moment()?,
                deliveries: from.u32()?,
            },
        })
    }
}

/// A moment, and when it was kept by our clock: that is what it ages by.
pub(super) struct Moment {
    pub(super) kept_at: Timestamp,
    moment: Timestamp,
}

impl Moment {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.moment(self.kept_at);
        to.moment(self.moment);
        to.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        Some(Self {
            kept_at: from.moment()?,
            moment: from.moment()?,
        })
    }
}

#[async_trait]
impl EventStore for EmbeddedStore {
    async fn event_mark(
        &self,
        project: &ProjectName,
        id: &EventId,
    ) -> Result<Option<EventMark>, StoreError> {
        let look = |tx: &ReadTransaction| {
            let found = tx
                .open_table(EVENT_MARKS)?
                .get((project.as_str(), id.as_str()))?;
            Ok(found.map(|bytes| Mark::decode(bytes.value())))
        };
        let found = self
            .engine
            .read(look)
            .map_err(|failure| self.error(failure))?;
        let Some(found) = found else {
            return Ok(None);
        };
        let found =
            found.ok_or_else(|| corrupt("event mark", id, "it is cut or of another form"))?;
        let since = self.window_began();
        Ok((found.marked_at > since).then_some(found.mark))
    }

    async fn mark_event(
        &self,
        project: &ProjectName,
        id: &EventId,
        mark: EventMark,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let (project, id, since) = (project.clone(), id.clone(), self.window_began());
        let marked_at = until.max(self.clock.now());
        let bytes = Mark { marked_at, mark }.encode();
        self.engine
            .write(move |tables| {
                let marks = tables.event_marks()?;
                let key = (project.as_str(), id.as_str());
                let known = marks
                    .get(key)?
                    .and_then(|bytes| Mark::decode(bytes.value()));
                if known.is_none_or(|known| known.marked_at <= since) {
                    marks.insert(key, &*bytes)?;
                }
                Ok(())
            })
            .await
            .map_err(|failure| self.error(failure))
    }

    async fn keep_event_known(
        &self,
        project: &ProjectName,
        id: &EventId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let (project, id, since) = (project.clone(), id.clone(), self.window_began());
        self.engine
            .write(move |tables| {
                let marks = tables.event_marks()?;
                let key = (project.as_str(), id.as_str());
                let known = marks
                    .get(key)?
                    .and_then(|bytes| Mark::decode(bytes.value()));
                if let Some(mut known) = known
                    && known.marked_at > since
                    && known.marked_at < until
                {
                    known.marked_at = until;
                    marks.insert(key, &*known.encode())?;
                }
                Ok(())
            })
            .await
            .map_err(|failure| self.error(failure))
    }

    async fn event_moment(
        &self,
        project: &ProjectName,
        id: &EventId,
        at: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let (project, id, since) = (project.clone(), id.clone(), self.window_began());
        let first = Moment {
            kept_at: self.clock.now(),
            moment: at,
        };
        self.engine
            .write(move |tables| {
                let moments = tables.event_moments()?;
                let key = (project.as_str(), id.as_str());
                let kept = moments
                    .get(key)?
                    .and_then(|bytes| Moment::decode(bytes.value()));
                if let Some(kept) = kept.filter(|kept| kept.kept_at > since) {
                    return Ok(kept.moment);
                }
                moments.insert(key, &*first.encode())?;
                Ok(first.moment)
            })
            .await
            .map_err(|failure| self.error(failure))
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        self.engine
            .read(|_| Ok(()))
            .map_err(|failure| self.error(failure))?;
        let mut findings = Vec::new();
        if let Place::Memory = self.engine.place() {
            findings.push(
                "kept in memory only: everything is gone when the process ends (hint: set `data_dir`)"
                    .to_owned(),
            );
        }
        Ok(StoreHealth {
            product: format!("embedded store (redb) in {}", self.engine.place()),
            clock_skew_ms: None,
            findings,
        })
    }
}
