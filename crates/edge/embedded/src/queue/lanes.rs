//! Where every message of the file is: ready, waiting for its time, or in somebody's hands.
//!
//! Kept in memory alone, and made anew from the keys in the file when it is opened; what was in somebody's hands is ready then.

use crate::{
    Settings,
    engine::{Note, Notes},
    tables::{MessageKey, PARKED},
};
use bytes::Bytes;
use ringback_delivery::port::{Clock, Depth, Lane, QueueName};
use ringback_domain::{Timestamp, Wait};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Bytes of messages kept in memory, so that taking them need not read the file; those beyond are read when taken.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What consumers choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneName {
    Events,
    Main,
    Slow,
    Parked,
}

impl LaneName {
    const ALL: [Self; 4] = [Self::Events, Self::Main, Self::Slow, Self::Parked];

    /// Its part of a message's key. A parked message keeps the key it had.
    pub(super) fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn of_key(key: MessageKey) -> Self {
        match key.0 {
            0 => Self::Events,
            2 => Self::Slow,
            _ => Self::Main,
        }
    }

    pub(super) fn queue(self) -> QueueName {
        match self {
            Self::Events => QueueName::Events,
            Self::Main => QueueName::Deliveries(Lane::Main),
            Self::Slow => QueueName::Deliveries(Lane::Slow),
            Self::Parked => QueueName::Parked,
        }
    }
}

impl From<Lane> for LaneName {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Main => Self::Main,
            Lane::Slow => Self::Slow,
        }
    }
}

/// A message that can be handed out.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) key: MessageKey,
    /// Absent when it must be read from the file.
    pub(super) bytes: Option<Bytes>,
    /// Whether it was, or may have been, handed out before.
    pub(super) redelivered: bool,
    given_back: u32,
}

/// One consumer, as the lanes know it.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) id: u64,
    pub(super) lane: LaneName,
    pub(super) window: u16,
    /// Ends with its queue.
    pub(super) closed: CancellationToken,
    /// Told when there is room in the window again.
    pub(super) room: Notify,
}

/// What a consumer finds.
pub(super) enum Found {
    /// The message, and whether more are ready.
    Ready(Handed, bool),
    /// The window is used up.
    NoRoom,
    /// Nothing is ready; how long until something is due, if anything waits.
    Nothing(Option<Duration>),
}

/// A message just handed out.
pub(super) struct Handed {
    pub(super) key: MessageKey,
    pub(super) bytes: Option<Bytes>,
    pub(super) redelivered: bool,
}

pub(crate) struct Lanes {
    state: Mutex<State>,
    arrivals: [Notify; 4],
    notes: Notes,
    clock: Arc<dyn Clock>,
    delivery_limit: u32,
    events_max: usize,
}

#[derive(Default)]
struct State {
    lanes: [LaneState; 4],
    /// Handed out: message number to holder and message.
    held: HashMap<u64, (Arc<Holder>, Message)>,
    kept_bytes: usize,
    consumers: u64,
}

#[derive(Default)]
struct LaneState {
    ready: VecDeque<Message>,
    /// By due millisecond and number.
    delayed: BTreeMap<(i64, u64), MessageKey>,
    held: HashMap<u64, u16>,
}

impl Lanes {
    pub(crate) fn new(
        messages: Vec<(MessageKey, u32)>,
        settings: &Settings,
        notes: Notes,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = millisecond(clock.now());
        let mut state = State::default();
        for (key, given_back) in messages {
            let is_parked = given_back == PARKED;
            let name = if is_parked {
                LaneName::Parked
            } else {
                LaneName::of_key(key)
            };
            let lane = &mut state.lanes[name as usize];
            if key.1 > now && !is_parked {
                lane.delayed.insert((key.1, key.2), key);
            } else {
                lane.ready.push_back(Message {
                    key,
                    bytes: None,
                    redelivered: true,
                    given_back: if is_parked {
                        settings.delivery_limit
                    } else {
                        given_back
                    },
                });
            }
        }
        Self {
            state: Mutex::new(state),
            arrivals: Default::default(),
            notes,
            clock,
            delivery_limit: settings.delivery_limit,
            events_max: settings.events_max,
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// Nothing that panics is done while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The millisecond at which what is published now is due; rounded up, for nothing may be early. 0 is at once, whatever the
    /// clock does.
    pub(super) fn due(&self, wait: Option<Wait>) -> i64 {
        let Some(wait) = wait else {
            return 0;
        };
        let now = self.clock.now();
        let wait_ns = i128::try_from(wait.at_least.as_nanos()).unwrap_or(i128::MAX / 2);
        let due_ns = now.as_nanosecond() + wait_ns + 999_999;
        i64::try_from(due_ns.div_euclid(1_000_000)).unwrap_or(i64::MAX)
    }

    pub(super) fn is_full(&self) -> bool {
        self.lock().lanes[LaneName::Events as usize].ready.len() >= self.events_max
    }

    /// A message is in the file.
    pub(super) fn arrived(&self, key: MessageKey, bytes: Bytes) {
        let name = LaneName::of_key(key);
        let now = millisecond(self.clock.now());
        let mut state = self.lock();
        let state = &mut *state;
        let lane = &mut state.lanes[name as usize];
        if key.1 > now {
            let is_first = lane
                .delayed
                .first_key_value()
                .is_none_or(|(first, _)| (key.1, key.2) < *first);
            lane.delayed.insert((key.1, key.2), key);
            if is_first {
                // All who wait, wait for a later one.
                self.arrivals[name as usize].notify_waiters();
            }
            return;
        }
        let is_kept = state.kept_bytes + bytes.len() <= KEPT_BYTES_MAX;
        if is_kept {
            state.kept_bytes += bytes.len();
        }
        lane.ready.push_back(Message {
            key,
            bytes: is_kept.then_some(bytes),
            redelivered: false,
            given_back: 0,
        });
        self.arrivals[name as usize].notify_one();
    }

    pub(super) fn holder(&self, lane: LaneName, window: u16, closed: CancellationToken) -> Holder {
        let mut state = self.lock();
        state.consumers += 1;
        let id = state.consumers;
        state.lanes[lane as usize].held.insert(id, 0);
        Holder {
            id,
            lane,
            window,
            closed,
            room: Notify::new(),
        }
    }

    pub(super) fn arrivals(&self, lane: LaneName) -> &Notify {
        &self.arrivals[lane as usize]
    }

    pub(super) fn take(&self, holder: &Arc<Holder>) -> Found {
        let now = self.clock.now();
        let mut state = self.lock();
        let state = &mut *state;
        let lane = &mut state.lanes[holder.lane as usize];
        let Some(held) = lane
            .held
            .get_mut(&holder.id)
            .filter(|held| **held < holder.window)
        else {
            return Found::NoRoom;
        };
        promote(&mut lane.ready, &mut lane.delayed, millisecond(now));
        let Some(mut message) = lane.ready.pop_front() else {
            let first_due = lane.delayed.first_key_value().map(|((due, _), _)| *due);
            return Found::Nothing(first_due.map(|due| wait_until(now, due)));
        };
        *held += 1;
        let more = !lane.ready.is_empty();
        if let Some(bytes) = &message.bytes {
            state.kept_bytes -= bytes.len();
        }
        let handed = Handed {
            key: message.key,
            bytes: message.bytes.clone(),
            redelivered: message.redelivered,
        };
        message.redelivered = true;
        // What is in somebody's hands is there; another copy of it would only be memory.
        message.bytes = None;
        state.held.insert(message.key.2, (holder.clone(), message));
        Found::Ready(handed, more)
    }

    /// A message just taken could not be read: ready again, as if it had not been taken.
    pub(super) fn untake(&self, number: u64, holder: &Holder) {
        let mut state = self.lock();
        if let Some(message) = state.release(number, holder) {
            state.lanes[holder.lane as usize].ready.push_front(message);
        }
    }

    /// The message is done with, if it is still this holder's.
    pub(super) fn acknowledge(&self, number: u64, holder: &Holder) {
        let mut state = self.lock();
        if let Some(message) = state.release(number, holder) {
            self.notes.give(Note::Done {
                key: message.key,
                was_given_back: message.given_back > 0,
            });
        }
        drop(state);
        holder.room.notify_one();
    }

    /// The message goes back, or is parked.
    pub(super) fn give_back(&self, number: u64, holder: &Holder) {
        let mut state = self.lock();
        if let Some(mut message) = state.release(number, holder) {
            message.given_back = message.given_back.saturating_add(1);
            let (key, count) = (message.key, message.given_back);
            let name = if count >= self.delivery_limit {
                LaneName::Parked
            } else {
                holder.lane
            };
            match (holder.lane, name) {
                (LaneName::Parked, _) => {}
                (_, LaneName::Parked) => {
                    message.redelivered = false;
                    self.notes.give(Note::Parked { key });
                }
                _ => self.notes.give(Note::GivenBack { key, count }),
            }
            state.lanes[name as usize].ready.push_back(message);
            self.arrivals[name as usize].notify_one();
        }
        drop(state);
        holder.room.notify_one();
    }

    /// The consumer ended: what it held is ready again, uncounted, in its old order.
    pub(super) fn end(&self, holder: &Holder) {
        let mut state = self.lock();
        self.return_held(&mut state, |of| of.id == holder.id);
        state.lanes[holder.lane as usize].held.remove(&holder.id);
    }

    /// The same for all consumers whose queue was closed.
    pub(super) fn return_from_closed(&self) {
        let mut state = self.lock();
        self.return_held(&mut state, |of| of.closed.is_cancelled());
    }

    fn return_held(&self, state: &mut State, is_over: impl Fn(&Holder) -> bool) {
        let mut returned: Vec<_> = state
            .held
            .extract_if(|_, (holder, _)| is_over(holder))
            .map(|(_, held)| held)
            .collect();
        returned.sort_unstable_by_key(|(_, message)| message.key.2);
        for (holder, message) in returned.into_iter().rev() {
            let lane = &mut state.lanes[holder.lane as usize];
            lane.ready.push_front(message);
            self.arrivals[holder.lane as usize].notify_one();
        }
    }

    /// What waits, and who takes it, by queue.
    pub(super) fn depths(&self) -> Vec<Depth> {
        let now = millisecond(self.clock.now());
        let soon = now.saturating_add(i64::try_from(Depth::SOON.as_millis()).unwrap_or(i64::MAX));
        let mut state = self.lock();
        let (mut delayed, mut due_soon) = (0, 0);
        let mut depths: Vec<_> = LaneName::ALL
            .into_iter()
            .map(|name| {
                let lane = &mut state.lanes[name as usize];
                promote(&mut lane.ready, &mut lane.delayed, now);
                delayed += lane.delayed.len() as u64;
                due_soon += lane.delayed.range(..=(soon, u64::MAX)).count() as u64;
                Depth {
                    queue: name.queue(),
                    waiting: lane.ready.len() as u64,
                    consumers: Some(u32::try_from(lane.held.len()).unwrap_or(u32::MAX)),
                    unacknowledged: lane.held.values().map(|held| u64::from(*held)).sum(),
                    due_soon: 0,
                }
            })
            .collect();
        depths.push(Depth {
            queue: QueueName::Delayed,
            waiting: delayed,
            consumers: None,
            unacknowledged: 0,
            due_soon,
        });
        depths
    }
}

impl State {
    /// Takes a message out of this holder's hands; `None` when it is no longer in them.
    fn release(&mut self, number: u64, holder: &Holder) -> Option<Message> {
        let (held_by, _) = self.held.get(&number)?;
        if held_by.id != holder.id {
            return None;
        }
        let (_, message) = self.held.remove(&number)?;
        if let Some(held) = self.lanes[holder.lane as usize].held.get_mut(&holder.id) {
            *held -= 1;
        }
        Some(message)
    }
}

/// Makes ready what is due.
fn promote(
    ready: &mut VecDeque<Message>,
    delayed: &mut BTreeMap<(i64, u64), MessageKey>,
    now: i64,
) {
    while let Some(first) = delayed.first_entry()
        && first.key().0 <= now
    {
        ready.push_back(Message {
            key: first.remove(),
            bytes: None,
            redelivered: false,
            given_back: 0,
        });
    }
}

/// The whole millisecond a moment lies in.
fn millisecond(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

fn wait_until(now: Timestamp, due: i64) -> Duration {
    let wait_ns = i128::from(due) * 1_000_000 - now.as_nanosecond();
    Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(0))
}
