//! The log of deliveries.

use super::{EmbeddedStore, corrupt, cursor_to, read_cursor, record::Record};
use crate::tables::{DELIVERIES, DELIVERY_NUMBERS};
use async_trait::async_trait;
use redb::ReadTransaction;
use ringback_delivery::port::{Cursor, DeliveryFilter, DeliveryStore, Page, StoreError};
use ringback_domain::{DeliveryId, DeliveryRecord, EventId, ProjectName};

const WHAT: &str = "delivery";
const LIST: &str = "deliveries";

#[async_trait]
impl DeliveryStore for EmbeddedStore {
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        let look = |tx: &ReadTransaction| {
            let number = tx.open_table(DELIVERY_NUMBERS)?.get(id.as_str())?;
            let Some(number) = number else {
                return Ok(None);
            };
            let record = tx.open_table(DELIVERIES)?.get(number.value())?;
            Ok(record.map(|bytes| read(bytes.value(), id)))
        };
        let found = self
            .engine
            .read(look)
            .map_err(|failure| self.error(failure))?;
        found.unwrap_or(Ok(None))
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeliveryRecord>, StoreError> {
        let before = match after {
            None => u64::MAX,
            Some(cursor) => {
                let [number] = read_cursor(LIST, cursor)?;
                u64::try_from(number).map_err(|_| StoreError::BadCursor)?
            }
        };
        let filter = filter.clone();
        self.engine
            .read_long(move |tx| list(tx, &filter, before, limit))
            .await
            .map_err(|failure| self.error(failure))?
    }
}

fn read(bytes: &[u8], id: impl std::fmt::Display) -> Result<Option<DeliveryRecord>, StoreError> {
    let Some(record) = Record::decode(bytes) else {
        return Err(corrupt(WHAT, id, "it is cut or of another form"));
    };
    record.read().map_err(|fault| corrupt(WHAT, id, fault))
}

/// Records are in the order they were first taken, so a list is a walk backwards.
fn list(
    tx: &ReadTransaction,
    filter: &DeliveryFilter,
    before: u64,
    limit: usize,
) -> Result<Result<Page<DeliveryRecord>, StoreError>, redb::Error> {
    let mut page = Page::new(Vec::new(), None);
    let mut last = before;
    let deliveries = tx.open_table(DELIVERIES)?;
    for entry in deliveries.range(..before)?.rev() {
        let (number, bytes) = entry?;
        let number = number.value();
        if !may_match(filter, bytes.value()) {
            continue;
        }
        let read = match read(bytes.value(), number) {
            Ok(Some(record)) if matches(filter, &record) => Ok(record),
            Ok(_) => continue,
            // Whose it is nobody can tell, and no project is told of another's.
            Err(_) if filter.project.is_some() => continue,
            Err(error) => Err(error),
        };
        if page.entries.len() + page.damaged.len() == limit {
            page.next = Some(cursor_to(LIST, &[i128::from(last)]));
            break;
        }
        if let Err(error) = page.take_in(read) {
            return Ok(Err(error));
        }
        last = number;
    }
    Ok(Ok(page))
}

/// Spares the decoding of most records: an id that is not in the bytes is not in the record.
fn may_match(filter: &DeliveryFilter, record: &[u8]) -> bool {
    let wanted = [
        filter.event.as_ref().map(EventId::as_str),
        filter.project.as_ref().map(ProjectName::as_str),
    ];
    wanted
        .into_iter()
        .flatten()
        .all(|text| contains(record, text.as_bytes()))
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first() else {
        return true;
    };
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

fn matches(filter: &DeliveryFilter, record: &DeliveryRecord) -> bool {
    fn is<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == found)
    }
    is(filter.project.as_ref(), &record.event.project)
        && is(filter.event.as_ref(), &record.event.id)
        && is(filter.job.as_ref(), &record.event.job.id)
        && filter
            .destination
            .as_ref()
            .is_none_or(|wanted| *wanted == record.destination.id())
        && filter
            .state
            .as_deref()
            .is_none_or(|wanted| wanted == record.state.class())
        && filter.since.is_none_or(|since| record.created_at >= since)
        && filter.until.is_none_or(|until| record.created_at < until)
}
