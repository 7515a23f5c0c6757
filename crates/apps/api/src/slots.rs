//! Places for connections, and who makes room when all are taken.
//!
//! A connection is *quiet* while it waits for its client: before a request, and until a request's head is complete. Of these the
//! network that has most gives up the one that has been quiet longest. So one that opens connections for the sake of it closes its
//! own. Behind a proxy all clients have one address; there it is the longest quiet one of all, and proxies open another.
//!
//! Where none is quiet, one makes room whose request's body has been on its way for longer than a while, chosen in the same way:
//! nothing was done for it yet.

use crate::auth::network_of;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    future::pending,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    select,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub(crate) struct Slots {
    free: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    /// The body on its way of a connection that makes room began this long ago.
    body_yields_after: Duration,
    waits_more: Notify,
    next_id: AtomicU64,
}

/// Connections that wait for their clients, by their numbers.
#[derive(Default)]
struct Waiting {
    quiet: HashMap<u64, Wait>,
    for_body: HashMap<u64, Wait>,
}

/// A connection that waits for its client.
struct Wait {
    network: IpAddr,
    since: Instant,
    close: CancellationToken,
}

impl Slots {
    pub(crate) fn new(count: usize, body_yields_after: Duration) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(count)),
            waiting: Mutex::default(),
            body_yields_after,
            waits_more: Notify::new(),
            next_id: AtomicU64::new(0),
        })
    }

    /// A slot for a connection that has just been accepted. Waits while every other one has a request under way that has arrived,
    /// or only begins to.
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
            let yields_at = self.first_yields_at();
            let yields = async {
                match yields_at {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            select! {
                permit = free => return permit,
                () = self.waits_more.notified() => {}
                () = yields => {}
            }
        }
    }

    /// Has a connection closed that waits for its client, if one may be.
    fn close_one(&self) -> bool {
        let mut waiting = self.waiting();
        let Waiting { quiet, for_body } = &mut *waiting;
        let now = Instant::now();
        let yields = |body: &Wait| now.duration_since(body.since) >= self.body_yields_after;
        let closing = makes_room(quiet.iter())
            .and_then(|id| quiet.remove(&id))
            .or_else(|| {
                let slow = for_body.iter().filter(|(_, body)| yields(body));
                makes_room(slow).and_then(|id| for_body.remove(&id))
            });
        let Some(closing) = closing else {
            return false;
        };
        tracing::debug!(network = %closing.network, "closing a connection that waits for its client: all are taken");
        closing.close.cancel();
        true
    }

    /// When the body that began first has been on its way for long.
    fn first_yields_at(&self) -> Option<Instant> {
        let began = self
            .waiting()
            .for_body
            .values()
            .map(|body| body.since)
            .min();
        began.map(|began| began + self.body_yields_after)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the network with most of these connections the one that has waited longest.
fn makes_room<'a>(waiting: impl Iterator<Item = (&'a u64, &'a Wait)>) -> Option<u64> {
    let mut networks: HashMap<IpAddr, (usize, Reverse<(Instant, u64)>)> = HashMap::new();
    for (id, connection) in waiting {
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
        self.slots.waiting().quiet.remove(&self.id);
        Busy(self.clone())
    }

    /// The body of a request that has just begun.
    pub(crate) fn arriving(self: &Arc<Self>, body: Incoming) -> Arriving {
        Arriving {
            body,
            slot: self.clone(),
            is_waited_for: false,
        }
    }

    fn falls_quiet(&self) {
        self.slots.waiting().quiet.insert(self.id, self.since_now());
        self.slots.waits_more.notify_one();
    }

    fn waits_for_body(&self) {
        let waits = self.since_now();
        self.slots.waiting().for_body.insert(self.id, waits);
        self.slots.waits_more.notify_one();
    }

    fn has_body(&self) {
        self.slots.waiting().for_body.remove(&self.id);
    }

    fn since_now(&self) -> Wait {
        Wait {
            network: self.network,
            since: Instant::now(),
            close: self.close.clone(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.waiting().quiet.remove(&self.id);
    }
}

/// The body of a request on its way to us.
pub(crate) struct Arriving {
    body: Incoming,
    slot: Arc<Slot>,
    is_waited_for: bool,
}

impl Body for Arriving {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending() && !self.is_waited_for {
            self.is_waited_for = true;
            self.slot.waits_for_body();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whoever reads a body drops it at its end.
impl Drop for Arriving {
    fn drop(&mut self) {
        if self.is_waited_for {
            self.slot.has_body();
        }
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
