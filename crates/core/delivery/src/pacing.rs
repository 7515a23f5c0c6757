//! Whose turn it is at a destination: breakers and rate limits, over all workers.
//!
//! Both only ever put an attempt off. Nothing is claimed and no attempt is counted before its turn has come.

use crate::{
    Context,
    crowd::Crowd,
    moment::Moment,
    port::{Occurrence, ReservedTurn, Store, StoreError, WriteAnswer},
    webhook_cache::damaged_in,
};
use ringback_domain::{
    Admission, Attempt, AttemptOutcome, Breaker, BreakerRules, Deferral, Delivery, DeliveryRules,
    Destination, DestinationId, Detour, Timestamp,
};
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// Knows whose turn it is. What it remembers between deliveries are hints: losing them costs a few attempts at a
/// destination that is down.
pub(crate) struct Pacing {
    context: Arc<Context>,
    rules: Option<BreakerRules>,
    breakers: Slot,
    /// Failures in a row, by destination, seen by this worker.
    runs: Mutex<HashMap<DestinationId, u32>>,
    /// When this worker last had an answer, by the host of callbacks.
    answers: Mutex<HashMap<DestinationId, Moment>>,
    /// When a destination was last seen to recover: the breaker that says so is forgotten before the longest attempts end.
    recoveries: Mutex<HashMap<DestinationId, Timestamp>>,
    /// Those who are held, by place.
    crowds: Mutex<HashMap<DestinationId, Crowd>>,
}

/// Locked while it is read, so that those who come meanwhile wait for the one who asks.
type Slot = futures_util::lock::Mutex<Option<Snapshot>>;

/// The breakers there are, as read not long ago.
#[derive(Clone)]
struct Snapshot {
    breakers: Arc<HashMap<DestinationId, Breaker>>,
    read_at: Moment,
}

/// Whether a delivery may be attempted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Now.
    Now,
    /// Now, as the probe of these; without an attempt it is [given back](Pacing::give_back).
    Probe(Vec<Breaker>),
    /// After a moment, which is waited for on the spot.
    Soon(Duration),
    /// Not before a wait is over; any moment up to `spread` later is as good.
    Later {
        wait: Duration,
        spread: Duration,
        deferral: Deferral,
    },
    /// It has been put off for longer than its schedule would have gone on.
    Never,
}

/// What an attempt says of where it went.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    accepted: bool,
    /// There was a head of an answer: whatever it says, the host is there.
    answered: bool,
    began_at: Moment,
    /// The same, as other workers can compare it.
    started_at: Timestamp,
}

impl Seen {
    /// Nothing, where what came of it is not the destination's doing.
    pub(crate) fn of(attempt: &Attempt, began_at: Moment) -> Option<Self> {
        let accepted = matches!(attempt.outcome, AttemptOutcome::Accepted { .. });
        (accepted || attempt.outcome.counts_for_breaker()).then(|| Self {
            accepted,
            answered: attempt.status().is_some(),
            began_at,
            started_at: attempt.started_at,
        })
    }
}

/// What breakers let pass.
enum Admitted {
    Freely,
    Probe(Vec<Breaker>),
    /// So many a second, of all that go to this place.
    Paced(NonZeroU32, DestinationId),
}

/// The line for turns at a destination.
struct Line {
    pace: NonZeroU32,
    ahead_max: Duration,
    /// When who finds no turn comes back: after this …
    again_after: Duration,
    /// … within this.
    again_within: Duration,
}

impl Line {
    /// By the slower of a recovery's pace and a rate limit; none without either.
    fn of(ramp: Option<NonZeroU32>, limit: Option<NonZeroU32>) -> Option<Self> {
        Some(match (ramp, limit) {
            (None, None) => return None,
            (Some(pace), limit) if limit.is_none_or(|limit| pace < limit) => Self {
                pace,
                ahead_max: RAMP_AHEAD_MAX,
                again_after: RAMP_AHEAD_MAX,
                again_within: RAMP_SPREAD,
            },
            (_, Some(pace)) | (Some(pace), None) => Self {
                pace,
                ahead_max: AHEAD_MAX,
                again_after: AHEAD_MAX / 2,
                again_within: AHEAD_MAX / 2,
            },
        })
    }
}

/// How long breakers that were read are used without asking again.
const FRESH_FOR: Duration = Duration::from_millis(400);
/// Breakers that one look at all of them removes.
const CLEARED_MAX: usize = 16;
/// Destinations whose failures and recoveries, and hosts whose answers are remembered; beyond, all are forgotten.
const SEEN_MAX: usize = 10_000;
/// A turn no further away is waited for on the spot: the queue's waits come in steps of this size.
const WAIT_HERE_MAX: Duration = Duration::from_millis(250);
/// How far ahead turns are reserved. Who finds none asks again later.
const AHEAD_MAX: Duration = Duration::from_hours(1);
/// The same at the pace of a recovery, which is another in a second: turns handed out at its slow beginning would last for long
/// after its end.
const RAMP_AHEAD_MAX: Duration = Duration::from_secs(1);
/// When who finds no turn in a recovery comes back: within this of the end of `RAMP_AHEAD_MAX`, as the recovery is over then.
const RAMP_SPREAD: Duration = Duration::from_secs(16);
/// How late a turn may be taken. Those who all come later, since no worker was there, would come together.
const TURN_KEPT_FOR: Duration = Duration::from_secs(10);
/// How long a delivery is put off whose webhook cannot be read, and how much longer.
const REPAIR_WAIT: Duration = Duration::from_secs(15);
/// A breaker puts a delivery off for this long at least before it is given up, however short its schedule.
const HOLD_LEAST: Duration = Duration::from_mins(10);

impl Pacing {
    /// Without rules there are no breakers.
    pub(crate) fn new(context: Arc<Context>, rules: Option<BreakerRules>) -> Self {
        Self {
            context,
            rules,
            breakers: Slot::default(),
            runs: Mutex::default(),
            answers: Mutex::default(),
            recoveries: Mutex::default(),
            crowds: Mutex::default(),
        }
    }

    /// Reads the breakers, if they are fresh no more. Who cannot is told by the turn that needs them.
    pub(crate) async fn look_ahead(&self) {
        if self.rules.is_some() {
            let _ = self.snapshot().await;
        }
    }

    /// Whether it is this delivery's turn.
    pub(crate) async fn turn(
        &self,
        delivery: &Delivery,
        rules: Option<&DeliveryRules>,
    ) -> Result<Turn, StoreError> {
        // First: a probe that cannot be sent would be used up for nothing.
        let Some(limit) = self.rate_limit(delivery).await? else {
            return Ok(wait_for_repair(delivery, self.context.clock.now()));
        };
        let ramp = match self.breaker_turn(delivery, rules).await? {
            // One, where nothing else goes: no rate limit is exceeded by it, and all others wait for what comes of it.
            Ok(Admitted::Probe(of)) => return Ok(Turn::Probe(of)),
            Ok(Admitted::Freely) => None,
            Ok(Admitted::Paced(pace, at)) => Some((pace, at)),
            Err(put_off) => return Ok(put_off),
        };
        let Some(line) = Line::of(ramp.as_ref().map(|(pace, _)| *pace), limit) else {
            return Ok(Turn::Now);
        };
        let asked_at = self.context.clock.now();
        let missed = match delivery.deferral {
            Some(deferral) if has_its_turn(deferral, asked_at) => return Ok(Turn::Now),
            Some(deferral) => deferral.missed || deferral.turn_at.is_some(),
            None => false,
        };
        let id = match (limit, ramp) {
            (None, Some((_, at))) => at,
            _ => delivery.destination.id(),
        };
        let reserve = || {
            let store = &self.context.store;
            store.reserve_turn(&id, line.pace, line.ahead_max)
        };
        let answer = self.context.until_done("reserve a turn", reserve).await?;
        let now = self.context.clock.now();
        Ok(match answer {
            ReservedTurn::In(wait) if wait.is_zero() => Turn::Now,
            ReservedTurn::In(wait) if wait <= WAIT_HERE_MAX => Turn::Soon(wait),
            ReservedTurn::In(wait) => Turn::Later {
                wait,
                spread: Duration::ZERO,
                deferral: Deferral {
                    since: held_since(delivery, now) + wait,
                    turn_at: Some(now + wait),
                    back_by: Some(now + wait),
                    missed,
                },
            },
            ReservedTurn::Full => Turn::Later {
                wait: line.again_after,
                spread: line.again_within,
                deferral: Deferral {
                    since: held_since(delivery, now) + line.again_after + line.again_within,
                    turn_at: None,
                    back_by: Some(now + line.again_after + line.again_within),
                    missed,
                },
            },
        })
    }

    /// What the breakers of its places let pass; else what they make of the delivery.
    async fn breaker_turn(
        &self,
        delivery: &Delivery,
        rules: Option<&DeliveryRules>,
    ) -> Result<Result<Admitted, Turn>, StoreError> {
        let Some(breaker_rules) = self.rules else {
            return Ok(Ok(Admitted::Freely));
        };
        let snapshot = self.snapshot().await?;
        // The usual case costs neither an id nor a look-up.
        if snapshot.breakers.is_empty() {
            return Ok(Ok(Admitted::Freely));
        }
        let now = self.context.clock.now();
        let (mut held, mut probes, mut paced) = (None, Vec::new(), None);
        // Its own place first: where another worker is the probe of that, the host's is not used up for nothing.
        for id in [place_of(delivery)].into_iter().chain(host_of(delivery)) {
            let Some(breaker) = snapshot.breakers.get(&id) else {
                continue;
            };
            match breaker.admission(now, &breaker_rules) {
                Admission::Free => {}
                Admission::Paced(pace) => {
                    paced = paced.into_iter().chain([(pace, id)]).min_by_key(pace_of);
                }
                Admission::Held { until, spread } => {
                    let spread = self.crowd(&id, now, spread, breaker.opened_at);
                    held = held.max(Some((until, spread)));
                }
                Admission::Probe(next) => probes.push(next),
            }
        }
        if let Some((until, spread)) = held {
            return Ok(Err(hold(delivery, rules, now, until, spread)));
        }
        for (written, next) in probes.iter().enumerate() {
            if self.write(next).await? == WriteAnswer::Conflict {
                self.give_back(&probes[..written]).await?;
                // Another worker is the probe. When the next may be made will be known by then.
                let spread = breaker_rules.probe_first;
                return Ok(Err(hold(delivery, rules, now, now + spread, spread)));
            }
        }
        Ok(Ok(match paced {
            _ if !probes.is_empty() => Admitted::Probe(probes),
            Some((pace, at)) => Admitted::Paced(pace, at),
            None => Admitted::Freely,
        }))
    }

    /// A probe was not made, as nothing was sent after all: the next who comes makes it.
    pub(crate) async fn give_back(&self, probe: &[Breaker]) -> Result<(), StoreError> {
        for breaker in probe {
            if let Some(next) = breaker.not_probed(self.context.clock.now()) {
                self.write(&next).await?;
            }
        }
        Ok(())
    }

    /// How far to spread those who are held at this place.
    fn crowd(
        &self,
        id: &DestinationId,
        now: Timestamp,
        least: Duration,
        opened_at: Timestamp,
    ) -> Duration {
        let mut crowds = lock(&self.crowds);
        if !crowds.contains_key(id) {
            remember(&mut crowds, id, Crowd::new(now));
        }
        let crowd = crowds.get_mut(id).expect("it was put there");
        crowd.hold(now, least, opened_at)
    }

    /// The rate limit of the delivery's webhook; nothing where that is damaged.
    async fn rate_limit(
        &self,
        delivery: &Delivery,
    ) -> Result<Option<Option<NonZeroU32>>, StoreError> {
        let Destination::Webhook { id, .. } = &delivery.destination else {
            return Ok(Some(None));
        };
        let project = &delivery.event.project;
        let read = || self.context.webhooks.of_project(project);
        let webhooks = self.context.until_done("read webhooks", read).await?;
        if damaged_in(&webhooks, id).is_some() {
            return Ok(None);
        }
        let webhook = webhooks.entries.iter().find(|webhook| webhook.id == *id);
        Ok(Some(webhook.and_then(|webhook| webhook.rate_limit)))
    }

    /// Takes note of what came of an attempt.
    pub(crate) async fn saw(&self, delivery: &Delivery, seen: Seen) -> Result<(), StoreError> {
        let Some(rules) = self.rules else {
            return Ok(());
        };
        if let Some(host) = host_of(delivery)
            && let Some(is_there) = self.host_is_there(&host, seen)
        {
            let seen = Seen {
                accepted: is_there,
                ..seen
            };
            self.note(delivery, host, seen, &rules).await?;
        }
        self.note(delivery, place_of(delivery), seen, &rules).await
    }

    /// Whether a host is there, if an attempt says so. One without an answer says nothing of it where another had one meanwhile: what
    /// hangs then are some of its paths.
    fn host_is_there(&self, host: &DestinationId, seen: Seen) -> Option<bool> {
        let mut answers = lock(&self.answers);
        if !seen.answered {
            let answered_since = |at: &Moment| seen.began_at.is_before(*at);
            return (!answers.get(host).is_some_and(answered_since)).then_some(false);
        }
        remember(&mut answers, host, Moment::now(&*self.context.clock));
        Some(true)
    }

    /// Takes note of how an attempt went, as far as this place is concerned.
    async fn note(
        &self,
        delivery: &Delivery,
        id: DestinationId,
        seen: Seen,
        rules: &BreakerRules,
    ) -> Result<(), StoreError> {
        let went_well = seen.accepted;
        if !went_well && self.recovered_meanwhile(&id, seen.started_at).await? {
            return Ok(());
        }
        let run_is_long = self.count(&id, went_well) >= rules.failures.get();
        if went_well && self.snapshot().await?.breakers.is_empty() || !went_well && !run_is_long {
            return Ok(());
        }
        let now = self.context.clock.now();
        let known = self.snapshot().await?.breakers.get(&id).cloned();
        match known {
            Some(breaker) if went_well && breaker.is_over(now) => {
                let remove = || self.context.store.remove_breaker(&breaker);
                let is_gone = self.context.until_done("forget a breaker", remove).await?;
                self.learn(is_gone, |breakers| {
                    if breakers.get(&breaker.destination) == Some(&breaker) {
                        breakers.remove(&breaker.destination);
                    }
                })
                .await;
            }
            Some(breaker) if went_well => {
                if let Some(next) = breaker.recovering(now)
                    && self.write(&next).await? == WriteAnswer::Written
                {
                    self.tell(&next, delivery);
                }
            }
            // Open already: the probe failed, and the next one is planned.
            Some(breaker) if breaker.is_open() => {}
            None if went_well => {}
            troubled => {
                let next = match troubled {
                    Some(breaker) => breaker.reopened(now, rules),
                    None => Breaker::opened(id, now, rules),
                };
                if self.write(&next).await? == WriteAnswer::Written {
                    self.tell(&next, delivery);
                }
            }
        }
        Ok(())
    }

    /// Whether the destination recovered while an attempt that began then was under way: how it failed is of the trouble before.
    async fn recovered_meanwhile(
        &self,
        id: &DestinationId,
        started_at: Timestamp,
    ) -> Result<bool, StoreError> {
        // Reads what other workers saw.
        self.snapshot().await?;
        let now = self.context.clock.now();
        // One that is still to come is of a clock that was set since, and says nothing.
        let is_meanwhile = |at: &Timestamp| started_at < *at && *at <= now;
        Ok(lock(&self.recoveries).get(id).is_some_and(is_meanwhile))
    }

    /// Failures in a row, with this attempt.
    fn count(&self, id: &DestinationId, went_well: bool) -> u32 {
        let mut runs = lock(&self.runs);
        if went_well {
            runs.remove(id);
            return 0;
        }
        let run = runs.get(id).copied().unwrap_or_default().saturating_add(1);
        remember(&mut runs, id, run);
        run
    }

    fn tell(&self, breaker: &Breaker, delivery: &Delivery) {
        let occurrence = if breaker.is_open() {
            Occurrence::BreakerOpened { breaker, delivery }
        } else {
            Occurrence::BreakerRecovering { breaker, delivery }
        };
        self.context.observer.saw(&occurrence);
    }

    async fn write(&self, breaker: &Breaker) -> Result<WriteAnswer, StoreError> {
        let put = || self.context.store.put_breaker(breaker);
        let answer = self.context.until_done("write a breaker", put).await?;
        let is_written = answer == WriteAnswer::Written;
        if is_written {
            // First: who sees the recovery must know what is of the trouble before.
            self.saw_if_recovered(breaker);
        }
        self.learn(is_written, |breakers| {
            let known = breakers.get(&breaker.destination);
            if known.is_none_or(|known| known.revision < breaker.revision) {
                breakers.insert(breaker.destination.clone(), breaker.clone());
            }
        })
        .await;
        Ok(answer)
    }

    /// What was counted before a recovery is of the trouble before, too.
    fn saw_if_recovered(&self, breaker: &Breaker) {
        let Some(at) = breaker.recovered_at() else {
            return;
        };
        let mut recoveries = lock(&self.recoveries);
        if recoveries.get(&breaker.destination) != Some(&at) {
            remember(&mut recoveries, &breaker.destination, at);
            lock(&self.runs).remove(&breaker.destination);
        }
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let asked_at = Moment::now(&*self.context.clock);
        let mut slot = self.breakers.lock().await;
        let read_at = Moment::now(&*self.context.clock);
        if let Some(snapshot) = &*slot
            && snapshot
                .read_at
                .is_fresh(asked_at, FRESH_FOR, &*self.context.clock)
        {
            return Ok(snapshot.clone());
        }
        let store: &dyn Store = &*self.context.store;
        let read = || store.breakers();
        let found = self.context.until_done("read breakers", read).await?;
        let now = self.context.clock.now();
        let (stale, in_use): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|breaker| breaker.is_stale(now));
        self.clear(&stale).await;
        for breaker in &in_use {
            self.saw_if_recovered(breaker);
        }
        let breakers = in_use
            .into_iter()
            .map(|breaker| (breaker.destination.clone(), breaker))
            .collect();
        let snapshot = Snapshot {
            breakers: Arc::new(breakers),
            read_at,
        };
        *slot = Some(snapshot.clone());
        Ok(snapshot)
    }

    /// Removes some of those that say nothing any more, unless somebody came by after all. What is left goes with a later look; they
    /// count for nobody meanwhile.
    async fn clear(&self, stale: &[Breaker]) {
        for breaker in stale.iter().take(CLEARED_MAX) {
            if let Err(failure) = self.context.store.remove_breaker(breaker).await {
                tracing::debug!(
                    ringback.destination.id = %breaker.destination,
                    error = &failure as &(dyn std::error::Error + 'static),
                    "could not remove a breaker that nobody needs"
                );
                return;
            }
        }
    }

    /// Changes what is known of breakers as they were changed in the store just now: reading all of them again would keep waiting whoever
    /// comes next. Where another worker was sooner, there is nothing else to do.
    async fn learn(
        &self,
        is_done: bool,
        change: impl FnOnce(&mut HashMap<DestinationId, Breaker>),
    ) {
        let mut slot = self.breakers.lock().await;
        match &mut *slot {
            Some(snapshot) if is_done => change(Arc::make_mut(&mut snapshot.breakers)),
            _ => *slot = None,
        }
    }
}

/// Whether the log is to be shown that a delivery waits until this moment. One that is put off again and again is shown once a minute: it
/// comes back sooner only while the trouble is young, and then there are many.
pub(crate) fn is_news(delivery: &Delivery, until: Timestamp) -> bool {
    let dispatched_at = delivery.event.dispatched_at;
    let minute = |at: Timestamp| at.duration_since(dispatched_at).as_secs().div_euclid(60);
    match (delivery.deferral, delivery.due_at) {
        (Some(_), Some(shown)) => minute(shown) < minute(until),
        _ => true,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it holds the lock")
}

fn remember<T>(seen: &mut HashMap<DestinationId, T>, id: &DestinationId, what: T) {
    if seen.len() >= SEEN_MAX && !seen.contains_key(id) {
        seen.clear();
    }
    seen.insert(id.clone(), what);
}

/// The host of a callback, which many URLs may have in common: what gets no answer there gets none whatever its path is.
fn host_of(delivery: &Delivery) -> Option<DestinationId> {
    delivery.destination.host_id(&delivery.event.project)
}

fn pace_of((pace, _): &(NonZeroU32, DestinationId)) -> NonZeroU32 {
    *pace
}

/// What a breaker is about. A replay to the URL that was the webhook's says nothing of where the webhook is now: that URL is a
/// place of its own.
fn place_of(delivery: &Delivery) -> DestinationId {
    match &delivery.detour {
        Some(Detour::OriginalUrl) => DestinationId::callback(delivery.destination.url().as_str()),
        // The other webhook is its destination.
        Some(Detour::InsteadOf(_)) | None => delivery.destination.id(),
    }
}

/// Whether the turn reserved for it has come. Who is late takes another, once: where everyone is, each would else be late for that one, too.
fn has_its_turn(deferral: Deferral, now: Timestamp) -> bool {
    deferral.turn_at.is_some_and(|turn_at| {
        let late = Duration::try_from(now.duration_since(turn_at)).unwrap_or_default();
        deferral.missed || late <= TURN_KEPT_FOR
    })
}

/// Since when it would have been put off, had nothing but an open breaker done so. A wait for a turn moves that on, and so does
/// coming back too late, since no worker was there.
fn held_since(delivery: &Delivery, now: Timestamp) -> Timestamp {
    let Some(deferral) = delivery.deferral else {
        return now;
    };
    // Messages of a release before say no more than when their turn was.
    let back_by = deferral.back_by.or(deferral.turn_at);
    let late = back_by.map_or(Duration::ZERO, |back_by| {
        Duration::try_from(now.duration_since(back_by)).unwrap_or_default()
    });
    (deferral.since + late).min(now)
}

/// Put off for as long as its webhook cannot be read, be it damaged or of a later release: by which rules it went on nobody can tell.
/// Like a wait for a turn, that does not count.
fn wait_for_repair(delivery: &Delivery, now: Timestamp) -> Turn {
    let missed = delivery
        .deferral
        .is_some_and(|deferral| deferral.missed || deferral.turn_at.is_some());
    Turn::Later {
        wait: REPAIR_WAIT,
        spread: REPAIR_WAIT,
        deferral: Deferral {
            since: held_since(delivery, now) + REPAIR_WAIT + REPAIR_WAIT,
            turn_at: None,
            back_by: Some(now + REPAIR_WAIT + REPAIR_WAIT),
            missed,
        },
    }
}

/// Put off until a probe may have been accepted, unless the schedule would be over by now.
fn hold(
    delivery: &Delivery,
    rules: Option<&DeliveryRules>,
    now: Timestamp,
    until: Timestamp,
    spread: Duration,
) -> Turn {
    let since = held_since(delivery, now);
    let held = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    let schedule: Duration =
        rules.map_or(Duration::ZERO, |rules| rules.retry.delays().iter().sum());
    if held >= schedule.max(HOLD_LEAST) {
        return Turn::Never;
    }
    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    Turn::Later {
        wait,
        spread,
        deferral: Deferral {
            since,
            turn_at: None,
            back_by: Some(now + wait + spread),
            missed: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_testkit::samples;

    #[test]
    fn the_log_is_told_of_who_is_put_off_again_and_again_once_a_minute() {
        let fresh = samples::delivery();
        let until = |seconds: u32| fresh.event.dispatched_at + Duration::from_secs(seconds.into());
        assert!(is_news(&fresh, until(5)), "nothing shows it yet");
        let mut put_off = Delivery {
            due_at: Some(until(5)),
            deferral: Some(Deferral {
                since: until(0),
                turn_at: None,
                back_by: None,
                missed: false,
            }),
            ..fresh.clone()
        };
        let mut told = Vec::new();
        for seconds in (10..200).step_by(5) {
            if is_news(&put_off, until(seconds)) {
                told.push(seconds);
            }
            put_off.due_at = Some(until(seconds));
        }
        assert_eq!(told, [60, 120, 180]);
        assert!(is_news(&put_off, until(4_000)));
    }
}
