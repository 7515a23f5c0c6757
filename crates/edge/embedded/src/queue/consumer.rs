//! Taking messages.

use super::{
    lanes::{Found, Handed, Holder, LaneName, Lanes},
    message::Content,
};
use crate::{
    engine::Engine,
    tables::{MESSAGES, MessageKey},
};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{Consumer, Receipt, Taken};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Reads a message of this lane.
pub(super) type Read<T> = fn(LaneName, &Bytes) -> Content<T>;

/// Before the file is asked again for a message it could not read out.
const READ_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct EmbeddedConsumer<T> {
    engine: Arc<Engine>,
    lanes: Arc<Lanes>,
    holder: Arc<Holder>,
    is_stopped: bool,
    read: Read<T>,
}

impl<T> EmbeddedConsumer<T> {
    pub(super) fn new(
        engine: Arc<Engine>,
        lanes: Arc<Lanes>,
        closed: CancellationToken,
        lane: LaneName,
        window: u16,
        read: Read<T>,
    ) -> Self {
        let holder = Arc::new(lanes.holder(lane, window, closed));
        Self {
            engine,
            lanes,
            holder,
            is_stopped: false,
            read,
        }
    }

    fn taken(&self, handed: &Handed, bytes: &Bytes) -> Taken<T> {
        let (content, trace) = (self.read)(LaneName::of_key(handed.key), bytes);
        Taken {
            content,
            trace,
            redelivered: handed.redelivered,
            receipt: Box::new(EmbeddedReceipt {
                number: handed.key.2,
                lanes: self.lanes.clone(),
                holder: self.holder.clone(),
            }),
        }
    }

    /// The message's bytes: from memory, or else from the file.
    fn bytes_of(&self, handed: &Handed) -> Option<Bytes> {
        if let Some(bytes) = &handed.bytes {
            return Some(bytes.clone());
        }
        match self.engine.read(|tx| read_message(tx, handed.key)) {
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) => {
                tracing::error!(number = handed.key.2, "a message is not in the file");
                self.lanes.acknowledge(handed.key.2, &self.holder);
                None
            }
            Err(failure) => {
                tracing::warn!(error = ?failure, "a message could not be read");
                self.lanes.untake(handed.key.2, &self.holder);
                None
            }
        }
    }
}

fn read_message(tx: &redb::ReadTransaction, key: MessageKey) -> Result<Option<Bytes>, redb::Error> {
    let messages = tx.open_table(MESSAGES)?;
    let message = messages.get(key)?;
    Ok(message.map(|bytes| Bytes::copy_from_slice(bytes.value())))
}

#[async_trait]
impl<T: Send + 'static> Consumer<T> for EmbeddedConsumer<T> {
    async fn next(&mut self) -> Option<Taken<T>> {
        loop {
            if self.is_stopped || self.holder.closed.is_cancelled() {
                return None;
            }
            // Registered before looking, so that nothing slips in between.
            let mut arrival = pin!(self.lanes.arrivals(self.holder.lane).notified());
            arrival.as_mut().enable();
            match self.lanes.take(&self.holder) {
                Found::Ready(handed, more) => {
                    if more {
                        self.lanes.arrivals(self.holder.lane).notify_one();
                    }
                    if let Some(bytes) = self.bytes_of(&handed) {
                        return Some(self.taken(&handed, &bytes));
                    }
                    tokio::time::sleep(READ_AGAIN).await;
                }
                Found::NoRoom => {
                    tokio::select! {
                        () = self.holder.room.notified() => {}
                        () = self.holder.closed.cancelled() => {}
                    }
                }
                Found::Nothing(due_in) => {
                    let clock = self.lanes.clock();
                    let due = async {
                        match due_in {
                            Some(wait) => clock.sleep(wait).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = arrival => {}
                        () = due => {}
                        () = self.holder.closed.cancelled() => {}
                    }
                }
            }
        }
    }

    async fn stop(&mut self) {
        self.is_stopped = true;
    }
}

impl<T> Drop for EmbeddedConsumer<T> {
    fn drop(&mut self) {
        self.lanes.end(&self.holder);
    }
}

struct EmbeddedReceipt {
    number: u64,
    lanes: Arc<Lanes>,
    holder: Arc<Holder>,
}

impl Receipt for EmbeddedReceipt {
    fn acknowledge(self: Box<Self>) {
        self.lanes.acknowledge(self.number, &self.holder);
    }

    fn give_back(self: Box<Self>) {
        self.lanes.give_back(self.number, &self.holder);
    }
}
