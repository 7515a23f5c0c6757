//! Lookups as destinations share them: a name server that does not answer delays the deliveries to its own names.
//!
//! A lookup holds a thread until the system's resolver gives up, ten seconds or more, however little we wait. So there are
//! places for so many, and three things keep strangers from holding them all: a name is looked up once at a time, for everyone who
//! asks; a lookup that takes longer than a moment moves to a place among the late ones; and names that did not answer
//! in time have few places of their own.

use crate::lookup::Lookup;
use std::{
    collections::HashMap,
    convert::Infallible,
    future::pending,
    io,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    join, select,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};

/// Lookups under way for a moment only.
const PROMPT_MAX: usize = 64;
/// Of these, of names that have not answered lately. The others are kept for those that have.
const UNPROVEN_MAX: usize = 32;
/// How long a lookup counts as prompt. Most names answer sooner.
const PROMPT_FOR: Duration = Duration::from_millis(250);
/// Lookups under way for longer. Where all these places are taken, a lookup keeps the one it has.
const LATE_MAX: usize = 128;
/// Lookups under way of names that did not answer in time.
const SLOW_MAX: usize = 8;
/// How long a lookup waits for a place. The wait is our shortage, and no part of its own time limit.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Names known not to have answered in time.
const SLOW_NAMES_MAX: usize = 1024;
/// Short, so that a name server that recovers is soon as good as any.
const SLOW_FOR: Duration = Duration::from_mins(1);
/// Names known to have answered.
const PROVEN_NAMES_MAX: usize = 4096;
const PROVEN_FOR: Duration = Duration::from_hours(1);

/// Why a name has no addresses for us.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LookupFault {
    /// Nobody was asked: the shortage is ours.
    #[error("no lookup of the name could begin within {PLACE_WAIT_MAX:?}: too many are under way")]
    NoPlace,
    /// Nobody was asked, since nobody had answered shortly before.
    #[error("the name was not answered for shortly before, and too many such are being looked up")]
    Slow,
    /// The lookup goes on without us.
    #[error("no answer to the lookup of the name within {0:?}")]
    TimedOut(Duration),
    /// The resolver's own.
    #[error("the lookup of the name failed")]
    Failed(#[source] Arc<io::Error>),
    /// Whoever asked is gone.
    #[error("the lookup of the name ended without an answer")]
    Abandoned,
}

type Answer = Result<Vec<IpAddr>, LookupFault>;

/// A lookup that is fair to names that answer.
#[derive(Clone)]
pub(crate) struct FairLookup(Arc<Shared>);

struct Shared {
    lookup: Arc<dyn Lookup>,
    time_limit: Duration,
    prompt: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    late: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    known: Mutex<Known>,
}

/// What is known of names.
struct Known {
    /// No more than there are places, and attempts that wait for one.
    under_way: HashMap<Arc<str>, watch::Receiver<Progress>>,
    slow: Names,
    proven: Names,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Proven,
    Unproven,
    Slow,
}

#[derive(Clone)]
enum Progress {
    Waiting,
    Begun,
    Ended(Answer),
}

impl FairLookup {
    pub(crate) fn new(lookup: Arc<dyn Lookup>, time_limit: Duration) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self(Arc::new(Shared {
            lookup,
            time_limit,
            prompt: places(PROMPT_MAX),
            unproven: places(UNPROVEN_MAX),
            late: places(LATE_MAX),
            slow: places(SLOW_MAX),
            known: Mutex::new(Known {
                under_way: HashMap::new(),
                slow: Names::new(SLOW_NAMES_MAX, SLOW_FOR),
                proven: Names::new(PROVEN_NAMES_MAX, PROVEN_FOR),
            }),
        }))
    }

    /// All addresses of a name. The time limit begins with the lookup, and not before.
    pub(crate) async fn addresses(&self, name: &str) -> Answer {
        let mut progress = self.join(name);
        let begun = |progress: &Progress| !matches!(progress, Progress::Waiting);
        progress.wait_for(begun).await.map_err(gone)?;
        let time_limit = self.0.time_limit;
        let ended = |progress: &Progress| matches!(progress, Progress::Ended(_));
        match timeout(time_limit, progress.wait_for(ended)).await {
            Ok(progress) => match &*progress.map_err(gone)? {
                Progress::Ended(answer) => answer.clone(),
                Progress::Waiting | Progress::Begun => Err(LookupFault::Abandoned),
            },
            Err(_) => Err(LookupFault::TimedOut(time_limit)),
        }
    }

    /// The lookup of this name that is under way, or a new one.
    fn join(&self, name: &str) -> watch::Receiver<Progress> {
        let mut known = self.0.known();
        if let Some(progress) = known.under_way.get(name) {
            return progress.clone();
        }
        let name: Arc<str> = name.into();
        let standing = known.standing(&name);
        let (told, progress) = watch::channel(Progress::Waiting);
        known.under_way.insert(name.clone(), progress.clone());
        let flight = Flight {
            shared: self.0.clone(),
            name,
            told,
            answer: Err(LookupFault::Abandoned),
        };
        // Not the task of who asked first: it may leave, and the thread stays.
        tokio::spawn(flight.go(standing));
        progress
    }
}

fn gone(_: watch::error::RecvError) -> LookupFault {
    LookupFault::Abandoned
}

/// One lookup. However it ends, those who wait are told, and the next who asks begins another.
struct Flight {
    shared: Arc<Shared>,
    name: Arc<str>,
    told: watch::Sender<Progress>,
    answer: Answer,
}

impl Flight {
    async fn go(mut self, standing: Standing) {
        let shared = self.shared.clone();
        let Ok(place) = timeout(PLACE_WAIT_MAX, shared.place(standing)).await else {
            self.answer = Err(match standing {
                Standing::Slow => LookupFault::Slow,
                Standing::Proven | Standing::Unproven => LookupFault::NoPlace,
            });
            return;
        };
        self.told.send_replace(Progress::Begun);
        let begun_at = Instant::now();
        let asked = pin!(shared.lookup.lookup(&self.name));
        let answer = select! {
            answer = asked => answer,
            (never, _) = async { join!(shared.move_over(place, standing), self.is_slow()) } => match never {},
        };
        if begun_at.elapsed() <= shared.time_limit {
            shared.known().answered(&self.name, answer.is_ok());
        }
        self.answer = answer.map_err(|error| LookupFault::Failed(Arc::new(error)));
    }

    /// Remembers the name when the time limit passes.
    async fn is_slow(&self) -> Infallible {
        sleep(self.shared.time_limit).await;
        self.shared.known().did_not_answer(&self.name);
        pending().await
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // First, so that nobody joins what has ended.
        self.shared.known().under_way.remove(&self.name);
        let answer = std::mem::replace(&mut self.answer, Err(LookupFault::Abandoned));
        self.told.send_replace(Progress::Ended(answer));
    }
}

/// Given back when dropped.
type Place = Vec<OwnedSemaphorePermit>;

impl Shared {
    async fn place(&self, standing: Standing) -> Place {
        match standing {
            Standing::Proven => vec![one_of(&self.prompt).await],
            Standing::Unproven => vec![one_of(&self.unproven).await, one_of(&self.prompt).await],
            Standing::Slow => vec![one_of(&self.slow).await],
        }
    }

    /// Holds the place, and changes it for a late one after a moment.
    async fn move_over(&self, place: Place, standing: Standing) -> Infallible {
        let _place = if standing == Standing::Slow {
            place
        } else {
            sleep(PROMPT_FOR).await;
            let late = one_of(&self.late).await;
            drop(place);
            vec![late]
        };
        pending().await
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn one_of(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = places.clone().acquire_owned().await;
    permit.expect("the semaphore is never closed")
}

impl Known {
    fn standing(&self, name: &str) -> Standing {
        if self.slow.contain(name) {
            Standing::Slow
        } else if self.proven.contain(name) {
            Standing::Proven
        } else {
            Standing::Unproven
        }
    }

    fn answered(&mut self, name: &Arc<str>, has_addresses: bool) {
        self.slow.remove(name);
        if has_addresses {
            self.proven.put(name);
        }
    }

    fn did_not_answer(&mut self, name: &Arc<str>) {
        self.proven.remove(name);
        self.slow.put(name);
    }
}

/// So many names, each for so long; the oldest make room for new ones.
struct Names {
    since: HashMap<Arc<str>, Instant>,
    count_max: usize,
    kept_for: Duration,
}

impl Names {
    fn new(count_max: usize, kept_for: Duration) -> Self {
        Self {
            since: HashMap::new(),
            count_max,
            kept_for,
        }
    }

    fn contain(&self, name: &str) -> bool {
        let since = self.since.get(name);
        since.is_some_and(|since| since.elapsed() < self.kept_for)
    }

    fn put(&mut self, name: &Arc<str>) {
        if self.since.len() >= self.count_max && !self.since.contains_key(name) {
            self.make_room();
        }
        self.since.insert(name.clone(), Instant::now());
    }

    fn make_room(&mut self) {
        self.since
            .retain(|_, since| since.elapsed() < self.kept_for);
        if self.since.len() >= self.count_max {
            let oldest = self.since.iter().min_by_key(|(_, since)| **since);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| self.since.remove(&name));
        }
    }

    fn remove(&mut self, name: &str) {
        self.since.remove(name);
    }
}

#[cfg(test)]
mod tests;
