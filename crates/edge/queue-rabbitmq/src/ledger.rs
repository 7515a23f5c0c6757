//! What was done with the messages of one channel, and the fewest frames that tell the broker.
//!
//! Workers settle in any order and must not wait; the broker is told in batches, since each frame is an entry of its own in the
//! queue's log. A run of settled messages from the oldest on is acknowledged by one frame. What is settled beyond it waits a little
//! for its turn in a run, and is then acknowledged one by one.

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
/// How long what was settled out of turn is kept for the older ones to follow.
const OUT_OF_TURN_FOR: Duration = Duration::from_millis(100);
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
            let (count, due_at) = match self.book().as_ref() {
                Some(book) => (book.gathering.map_or(0, |(_, count)| count), book.due_at()),
                None => (0, None),
            };
            match due_at {
                _ if count >= self.enough => return,
                None => self.gathered.notified().await,
                Some(due_at) => tokio::select! {
                    () = sleep_until(due_at) => return,
                    () = self.gathered.notified() => {}
                },
            }
        }
    }

    /// What to tell the broker now.
    pub(crate) fn take_frames(&self) -> Vec<Frame> {
        let (now, enough) = (Instant::now(), self.enough);
        self.take(|book| {
            let is_late = |since| now >= since + OUT_OF_TURN_FOR;
            book.out_of_turn_since.is_some_and(is_late) || book.done.len() >= enough
        })
    }

    /// All there is to tell, at the end.
    pub(crate) fn take_last_frames(&self) -> Vec<Frame> {
        self.take(|_| true)
    }

    fn take(&self, out_of_turn_too: impl FnOnce(&Book) -> bool) -> Vec<Frame> {
        let mut book = self.book();
        let Some(book) = book.as_mut() else {
            return Vec::new();
        };
        let mut frames = book.take_run();
        if out_of_turn_too(book) {
            frames.extend(book.take_out_of_turn());
        }
        frames
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
    /// Since when some of these are out of turn.
    out_of_turn_since: Option<Instant>,
    returned: BTreeSet<Tag>,
}

impl Book {
    /// When the broker is to be told, if there is something to tell.
    fn due_at(&self) -> Option<Instant> {
        let gathered = self.gathering.map(|(since, _)| since + GATHER_FOR);
        let out_of_turn = self.out_of_turn_since.map(|since| since + OUT_OF_TURN_FOR);
        gathered.into_iter().chain(out_of_turn).min()
    }

    /// What goes back, and the run from the oldest on.
    fn take_run(&mut self) -> Vec<Frame> {
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
        if self.done.is_empty() {
            self.out_of_turn_since = None;
        } else {
            self.out_of_turn_since.get_or_insert_with(Instant::now);
        }
        frames
    }

    fn take_out_of_turn(&mut self) -> Vec<Frame> {
        self.out_of_turn_since = None;
        let frames = self.done.iter().copied().map(Frame::Ack).collect();
        self.told.append(&mut self.done);
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: u16 = 40;

    #[tokio::test(start_paused = true)]
    async fn a_run_is_one_frame_and_what_is_out_of_turn_waits_for_its_own() {
        let ledger = Ledger::new(WINDOW, Arc::default());
        for tag in [1, 2, 3, 7, 9] {
            ledger.acknowledge(tag);
        }
        ledger.give_back(8);
        ledger.due().await;
        assert_eq!(
            ledger.take_frames(),
            [Frame::GiveBack(8), Frame::AckUpTo(3)]
        );
        ledger.acknowledge(4);
        assert_eq!(ledger.take_frames(), [Frame::AckUpTo(4)]);
        ledger.acknowledge(6);
        ledger.acknowledge(5);
        assert_eq!(ledger.take_frames(), [Frame::AckUpTo(9)]);
        assert_eq!(ledger.take_last_frames(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_out_of_turn_for_long_or_is_much_is_told_one_by_one() {
        let ledger = Ledger::new(WINDOW, Arc::default());
        let began = Instant::now();
        ledger.acknowledge(2);
        ledger.due().await;
        assert_eq!(ledger.take_frames(), []);
        ledger.due().await;
        assert_eq!(began.elapsed(), GATHER_FOR + OUT_OF_TURN_FOR);
        assert_eq!(ledger.take_frames(), [Frame::Ack(2)]);

        (4..14).for_each(|tag| ledger.acknowledge(tag));
        let told: Vec<_> = (4..14).map(Frame::Ack).collect();
        assert_eq!(ledger.take_frames(), told, "a quarter of the window");
        ledger.acknowledge(15);
        assert_eq!(ledger.take_last_frames(), [Frame::Ack(15)], "the end");
        ledger.acknowledge(1);
        ledger.acknowledge(3);
        assert_eq!(
            ledger.take_frames(),
            [Frame::AckUpTo(3)],
            "4 to 13 were told before"
        );
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
            flushes in prop::collection::vec(0u8..4, 40),
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
                match flush {
                    0 => ledger.take_frames().into_iter().for_each(|frame| broker.hear(frame)),
                    1 => ledger.take_last_frames().into_iter().for_each(|frame| broker.hear(frame)),
                    _ => {}
                }
            }
            ledger.take_last_frames().into_iter().for_each(|frame| broker.hear(frame));
            prop_assert_eq!(broker.acknowledged, done);
            prop_assert_eq!(broker.returned, returned);
        }
    }
}
