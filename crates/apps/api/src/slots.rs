//! Places for connections, and who makes room when all are taken.
//!
//! A connection is *quiet* while it waits for its client: before a request, and until a request's head is complete. Of these the
//! network that has most gives up the one that has been quiet longest. So one that opens connections for the sake of it closes its
//! own. Behind a proxy all clients have one address; there it is the longest quiet one of all, and proxies open another.

use crate::auth::network_of;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    select,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub(crate) struct Slots {
    free: Arc<Semaphore>,
    quiet: Mutex<HashMap<u64, Quiet>>,
    fell_quiet: Notify,
    next_id: AtomicU64,
}

/// A connection that waits for its client.
struct Quiet {
    network: IpAddr,
    since: Instant,
    close: CancellationToken,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count)),
            quiet: Mutex::default(),
            fell_quiet: Notify::new(),
            next_id: AtomicU64::new(0),
        })
    }

    /// A slot for a connection that has just been accepted. Waits while every other one has a request under way.
    pub(crate) async fn take(self: &Arc<Self>, peer: IpAddr) -> Arc<Slot> {
        let permit = self.permit().await;
        let slot = Arc::new(Slot {
            slots: self.clone(),
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            network: network_of(peer),
            close: CancellationToken::new(),
            _permit: permit,
        });
        slot.falls_quiet();
        slot
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        loop {
            let free = async {
                let permit = self.free.clone().acquire_owned().await;
                permit.expect("the semaphore is never closed")
            };
            if self.free.available_permits() > 0 || self.close_one() {
                return free.await;
            }
            select! {
                permit = free => return permit,
                () = self.fell_quiet.notified() => {}
            }
        }
    }

    /// Has a quiet connection closed, if there is one.
    fn close_one(&self) -> bool {
        let mut quiet = self.quiet();
        let Some(id) = makes_room(&quiet) else {
            return false;
        };
        if let Some(closing) = quiet.remove(&id) {
            tracing::debug!(network = %closing.network, "closing a quiet connection: all are taken");
            closing.close.cancel();
        }
        true
    }

    fn quiet(&self) -> MutexGuard<'_, HashMap<u64, Quiet>> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the network with most quiet connections the one that has been quiet longest.
fn makes_room(quiet: &HashMap<u64, Quiet>) -> Option<u64> {
    let mut networks: HashMap<IpAddr, (usize, Reverse<(Instant, u64)>)> = HashMap::new();
    for (id, connection) in quiet {
        let this = Reverse((connection.since, *id));
        match networks.entry(connection.network) {
            Entry::Vacant(network) => {
                network.insert((1, this));
            }
            Entry::Occupied(mut network) => {
                let (count, longest) = network.get_mut();
                *count += 1;
                *longest = this.max(*longest);
            }
        }
    }
    let (_, Reverse((_, id))) = networks.into_values().max()?;
    Some(id)
}

/// A connection's place, free again once it is dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    id: u64,
    network: IpAddr,
    close: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Comes when the connection has to make room.
    pub(crate) async fn is_wanted(&self) {
        self.close.cancelled().await;
    }

    /// A request is under way for as long as this is kept.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.slots.quiet().remove(&self.id);
        Busy(self.clone())
    }

    fn falls_quiet(&self) {
        let quiet = Quiet {
            network: self.network,
            since: Instant::now(),
            close: self.close.clone(),
        };
        self.slots.quiet().insert(self.id, quiet);
        self.slots.fell_quiet.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.quiet().remove(&self.id);
    }
}

pub(crate) struct Busy(Arc<Slot>);

impl Busy {
    /// Until the answer's body is written.
    pub(crate) fn until_written(self, body: axum::body::Body) -> Writing {
        Writing { body, _busy: self }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.falls_quiet();
    }
}

/// The body of an answer under way.
pub(crate) struct Writing {
    body: axum::body::Body,
    _busy: Busy,
}

impl Body for Writing {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
