//! What was done with the messages of one channel, and the fewest frames that tell the broker.
//!
//! Workers settle in any order and must not wait; the broker is told in batches, since each frame is an entry of its own in the
//! queue's log. A run of settled messages from the oldest on is acknowledged by one frame, the rest one by one.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How long what was settled is gathered before the broker is told. Nobody waits for it; a worker that dies meanwhile finds out
/// from the claim that it was done.
const GATHER_FOR: Duration = Duration::from_millis(10);
/// One part in so many of the window: once that much waits to be told, it is told at once, lest the broker run out of places.
const GATHERED_MAX: usize = 4;

/// The number of a message on its channel, from 1.
pub(crate) type Tag = u64;

/// What to tell the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// This message and every older one are done.
    AckUpTo(Tag),
    /// This message is done.
    Ack(Tag),
    /// This message goes back.
    GiveBack(Tag),
}

/// The ledger of one channel. Ends with it: what is settled later is dropped, since the broker hands it out again anyway.
pub(crate) struct Ledger {
    book: Mutex<Option<Book>>,
    /// Told of the first settlement that is gathered, and of the one that is enough.
    gathered: Notify,
    enough: usize,
    /// Messages of all channels of the queue that are not settled.
    held: Arc<AtomicU64>,
}

impl Ledger {
    pub(crate) fn new(window: u16, held: Arc<AtomicU64>) -> Self {
        Self {
            book: Mutex::new(Some(Book::default())),
            gathered: Notify::new(),
            enough: (usize::from(window) / GATHERED_MAX).max(1),
            held,
        }
    }

    /// A message came.
    pub(crate) fn took(&self) {
        if let Some(book) = self.book().as_mut() {
            book.held += 1;
            self.held.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn acknowledge(&self, tag: Tag) {
        self.write(|book| book.done.insert(tag));
    }

    pub(crate) fn give_back(&self, tag: Tag) {
        self.write(|book| book.returned.insert(tag));
    }

    /// Whether the channel still is; if not, its messages come again.
    pub(crate) fn is_open(&self) -> bool {
        self.book().is_some()
    }

    pub(crate) fn close(&self) {
        if let Some(book) = self.book().take() {
            self.held.fetch_sub(book.held, Ordering::Relaxed);
        }
    }

    /// Waits until the broker is to be told.
    pub(crate) async fn due(&self) {
        loop {
            let gathering = self.book().as_ref().and_then(|book| book.gathering);
            match gathering {
                None => self.gathered.notified().await,
                Some((_, count)) if count >= self.enough => return,
                Some((since, _)) => tokio::select! {
                    () = sleep_until(since + GATHER_FOR) => return,
                    () = self.gathered.notified() => {}
                },
            }
        }
    }

    pub(crate) fn take_frames(&self) -> Vec<Frame> {
        self.book()
            .as_mut()
            .map(Book::take_frames)
            .unwrap_or_default()
    }

    fn write(&self, entry: impl FnOnce(&mut Book) -> bool) {
        let mut book = self.book();
        let Some(open) = book.as_mut() else {
            return;
        };
        if entry(open) {
            if open.held > 0 {
                open.held -= 1;
                self.held.fetch_sub(1, Ordering::Relaxed);
            }
            let (_, count) = open.gathering.get_or_insert_with(|| (Instant::now(), 0));
            *count += 1;
            let is_news = *count == 1 || *count == self.enough;
            drop(book);
            if is_news {
                self.gathered.notify_one();
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Option<Book>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Book {
    /// Messages that came and are not settled.
    held: u64,
    /// Since when, and how much.
    gathering: Option<(Instant, usize)>,
    /// Every tag up to here has been told.
    told_up_to: Tag,
    /// Told out of order, all above `told_up_to`.
    told: BTreeSet<Tag>,
    done: BTreeSet<Tag>,
    returned: BTreeSet<Tag>,
}

impl Book {
    fn take_frames(&mut self) -> Vec<Frame> {
        self.gathering = None;
        // First, since an acknowledgement of a run takes with it whatever older message the broker still counts.
        let mut frames: Vec<_> = self.returned.iter().copied().map(Frame::GiveBack).collect();
        self.told.append(&mut self.returned);

        let mut newest_done = None;
        while let Some(next) = self.told_up_to.checked_add(1) {
            if self.done.remove(&next) {
                newest_done = Some(next);
            } else if !self.told.remove(&next) {
                break;
            }
            self.told_up_to = next;
        }
        // The broker refuses a tag that it was told before, so the run's last new one stands for it.
        frames.extend(newest_done.map(Frame::AckUpTo));
        frames.extend(self.done.iter().copied().map(Frame::Ack));
        self.told.append(&mut self.done);
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: u16 = 40;

    #[test]
    fn a_run_is_one_frame_and_stragglers_are_single() {
        let ledger = Ledger::new(WINDOW, Arc::default());
        for tag in [1, 2, 3, 7, 9] {
            ledger.acknowledge(tag);
        }
        ledger.give_back(8);
        assert_eq!(
            ledger.take_frames(),
            [
                Frame::GiveBack(8),
                Frame::AckUpTo(3),
                Frame::Ack(7),
                Frame::Ack(9)
            ]
        );
        ledger.acknowledge(4);
        assert_eq!(ledger.take_frames(), [Frame::AckUpTo(4)]);
        ledger.acknowledge(6);
        ledger.acknowledge(5);
        assert_eq!(
            ledger.take_frames(),
            [Frame::AckUpTo(6)],
            "7 to 9 were told before"
        );
        ledger.acknowledge(10);
        assert_eq!(ledger.take_frames(), [Frame::AckUpTo(10)]);
        assert_eq!(ledger.take_frames(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_settled_is_gathered_for_a_moment_or_until_it_is_enough() {
        let ledger = Ledger::new(WINDOW, Arc::default());
        let began = Instant::now();
        ledger.acknowledge(1);
        ledger.acknowledge(2);
        ledger.due().await;
        assert_eq!(began.elapsed(), GATHER_FOR);
        assert_eq!(ledger.take_frames(), [Frame::AckUpTo(2)]);

        let began = Instant::now();
        (3..13).for_each(|tag| ledger.acknowledge(tag));
        ledger.due().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "a quarter of the window");
        assert_eq!(ledger.take_frames(), [Frame::AckUpTo(12)]);
    }

    #[test]
    fn what_is_settled_after_the_channel_is_dropped() {
        let ledger = Ledger::new(WINDOW, Arc::default());
        ledger.acknowledge(1);
        ledger.close();
        ledger.acknowledge(2);
        assert!(!ledger.is_open());
        assert_eq!(ledger.take_frames(), []);
    }

    /// A broker that believes every frame, and checks it as RabbitMQ does.
    #[derive(Default)]
    struct Broker {
        unsettled: BTreeSet<Tag>,
        acknowledged: BTreeSet<Tag>,
        returned: BTreeSet<Tag>,
    }

    impl Broker {
        fn hear(&mut self, frame: Frame) {
            let (Frame::AckUpTo(tag) | Frame::Ack(tag) | Frame::GiveBack(tag)) = frame;
            assert!(self.unsettled.contains(&tag), "unknown delivery tag {tag}");
            match frame {
                Frame::AckUpTo(tag) => {
                    let rest = self.unsettled.split_off(&(tag + 1));
                    self.acknowledged
                        .extend(std::mem::replace(&mut self.unsettled, rest));
                }
                Frame::Ack(tag) => {
                    self.unsettled.remove(&tag);
                    self.acknowledged.insert(tag);
                }
                Frame::GiveBack(tag) => {
                    self.unsettled.remove(&tag);
                    self.returned.insert(tag);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn in_any_order_every_message_ends_as_it_was_settled(
            order in Just((1..=40u64).collect::<Vec<_>>()).prop_shuffle(),
            verdicts in prop::collection::vec(0u8..3, 40),
            flushes in prop::collection::vec(any::<bool>(), 40),
        ) {
            let ledger = Ledger::new(WINDOW, Arc::default());
            let mut broker = Broker { unsettled: (1..=40).collect(), ..Broker::default() };
            let (mut done, mut returned) = (BTreeSet::new(), BTreeSet::new());
            for ((tag, verdict), flush) in order.into_iter().zip(verdicts).zip(flushes) {
                match verdict {
                    0 => { ledger.give_back(tag); returned.insert(tag); }
                    1 => { ledger.acknowledge(tag); done.insert(tag); }
                    _ => {}
                }
                if flush {
                    ledger.take_frames().into_iter().for_each(|frame| broker.hear(frame));
                }
            }
            ledger.take_frames().into_iter().for_each(|frame| broker.hear(frame));
            prop_assert_eq!(broker.acknowledged, done);
            prop_assert_eq!(broker.returned, returned);
        }
    }
}
