//! The store in memory.

mod budget;
mod plans;

use super::TokioClock;
use async_trait::async_trait;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimNonce, ClaimRequest, ClaimStore, Clock, Cursor, DeadLetterFilter,
    DeadLetterStore, DeliveryFilter, DeliveryStore, DisposeAnswer, EventMark, EventStore,
    ExpiredClaim, FencingToken, GroupFilter, GroupList, GroupStore, KeyStore, PaceStore, Page,
    ReservedTurn, SettleAnswer, SettledAs, Settlement, StoreError, StoreHealth, TrafficStore,
    WebhookStore, WriteAnswer,
};
use ringback_domain::{
    Acknowledgement, ApiKey, ApiKeyId, AttemptNumber, Breaker, DeadLetter, DeadLetterGroup,
    DeadLetterId, Delivery, DeliveryId, DeliveryRecord, DeliveryState, Destination, DestinationId,
    Disposal, EventId, Generation, GroupHead, ProjectName, Timestamp, Traffic, TrafficOf,
    TrafficPoint, TrafficStep, Webhook, WebhookId, WorkerId, limits,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    num::NonZeroU32,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// The store in memory.
#[derive(Debug)]
pub struct SimulatedStore {
    clock: TokioClock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    claims: HashMap<DeliveryId, ClaimState>,
    /// With the number of their arrival, by which they are listed.
    records: HashMap<DeliveryId, (u64, DeliveryRecord)>,
    dead_letters: HashMap<DeadLetterId, (u64, DeadLetter)>,
    acknowledgements: HashMap<GroupName, Acknowledgement>,
    traffic: HashMap<(TrafficOf, TrafficStep, u32), Traffic>,
    /// Their records cannot be read.
    damaged: HashSet<String>,
    settles_from: Option<Timestamp>,
    making_room: Option<(WorkerId, Timestamp)>,
    webhooks: BTreeMap<WebhookId, Webhook>,
    keys: BTreeMap<ApiKeyId, ApiKey>,
    breakers: BTreeMap<DestinationId, Breaker>,
    /// The turn after the last one reserved.
    turns: HashMap<DestinationId, Timestamp>,
    plans: plans::Plans,
    events: HashMap<(ProjectName, EventId), EventMark>,
    known_until: HashMap<(ProjectName, EventId), Timestamp>,
    moments: HashMap<(ProjectName, EventId), Timestamp>,
    arrivals: u64,
}

/// A project and a fingerprint.
type GroupName = (Option<ProjectName>, String);

/// Generation and attempt: what a claim is compared by.
type Position = (Generation, AttemptNumber);

#[derive(Debug, Default)]
struct ClaimState {
    token: u64,
    settled: Option<Settled>,
    under_way: Option<UnderWay>,
    /// What the newest claim took over, its lease over: a release returns to it.
    before: Option<UnderWay>,
    /// The token that settled last.
    settled_by: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Settled {
    position: Position,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Delivered,
    DeadLettered,
}

#[derive(Debug, Clone)]
struct UnderWay {
    position: Position,
    worker: WorkerId,
    /// `None` once it was released.
    nonce: Option<ClaimNonce>,
    claimed_at: Timestamp,
    until: Timestamp,
}

impl UnderWay {
    /// What a claim to this position learns of it: that it ran out unsettled, if it was to the same attempt.
    fn expired(&self, position: Position) -> Option<ExpiredClaim> {
        (self.position == position).then(|| ExpiredClaim {
            worker: self.worker.clone(),
            claimed_at: self.claimed_at,
        })
    }
}

impl ClaimState {
    fn claim(&mut self, request: ClaimRequest<'_>, now: Timestamp) -> ClaimAnswer {
        let Delivery {
            generation,
            attempt,
            ..
        } = *request.delivery;
        let position = (generation, attempt);
        if self.is_past(position) {
            return ClaimAnswer::Settled;
        }
        let claim = |token| Claim {
            delivery: request.delivery.id.clone(),
            generation,
            attempt,
            token: FencingToken(token),
        };
        let expired_of = |before: &Option<UnderWay>| {
            let before = before.as_ref();
            before.and_then(|before| before.expired(position))
        };
        if let Some(holder) = &mut self.under_way {
            if holder.position == position
                && holder.worker == *request.worker
                && holder.nonce == Some(request.nonce)
            {
                holder.until = now + request.lease;
                return ClaimAnswer::Granted {
                    claim: claim(self.token),
                    expired: expired_of(&self.before),
                };
            }
            if let Ok(remaining) = Duration::try_from(holder.until.duration_since(now))
                && !remaining.is_zero()
            {
                return ClaimAnswer::Held { remaining };
            }
        }
        self.token += 1;
        let granted = UnderWay {
            position,
            worker: request.worker.clone(),
            nonce: Some(request.nonce),
            claimed_at: now,
            until: now + request.lease,
        };
        self.before = self.under_way.replace(granted);
        ClaimAnswer::Granted {
            claim: claim(self.token),
            expired: expired_of(&self.before),
        }
    }

    /// Whether this or something later was settled, or something later is under way.
    fn is_past(&self, position: Position) -> bool {
        let settled = self.settled.is_some_and(|settled| {
            let same_generation = position.0 == settled.position.0;
            position <= settled.position
                || settled.end == Some(End::Delivered)
                || (settled.end.is_some() && same_generation)
        });
        settled
            || self
                .under_way
                .as_ref()
                .is_some_and(|holder| position < holder.position)
    }

    /// `None` when the token is not the newest; otherwise whether there is something to be written.
    fn settle(&mut self, claim: &Claim, settled_as: &SettledAs) -> Option<bool> {
        let FencingToken(token) = claim.token;
        if token < self.token {
            return None;
        }
        if self.settled_by == Some(token) {
            return Some(false);
        }
        self.token = token;
        self.settled_by = Some(token);
        self.under_way = None;
        let before = self.before.take();
        if matches!(settled_as, SettledAs::Released) {
            self.under_way = before.map(|before| UnderWay {
                nonce: None,
                ..before
            });
        } else {
            let end = match settled_as {
                SettledAs::Delivered => Some(End::Delivered),
                SettledAs::DeadLettered(_) => Some(End::DeadLettered),
                SettledAs::Retrying { .. } | SettledAs::Released => None,
            };
            self.settled = Some(Settled {
                position: (claim.generation, claim.attempt),
                end,
            });
        }
        Some(true)
    }
}

impl State {
    fn arrival(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }

    fn record(&mut self, delivery: &Delivery, now: Timestamp) -> &mut DeliveryRecord {
        let arrival = self.arrivals + 1;
        let (given, record) = self
            .records
            .entry(delivery.id.clone())
            .or_insert_with(|| (arrival, new_record(delivery, now)));
        self.arrivals = self.arrivals.max(*given);
        record.updated_at = now;
        record
    }

    fn put_dead_letter(&mut self, dead_letter: &DeadLetter) {
        let arrival = self.arrival();
        self.dead_letters
            .entry(dead_letter.id.clone())
            .or_insert_with(|| (arrival, dead_letter.clone()));
    }

    fn count_traffic(&mut self, settlement: &Settlement<'_>) {
        let counted = settlement.traffic();
        let Delivery {
            event, destination, ..
        } = settlement.delivery;
        for of in TrafficOf::all_of(&event.project, destination) {
            for step in [TrafficStep::Minute, TrafficStep::Hour] {
                let key = (of.clone(), step, step.number_of(settlement.at));
                *self.traffic.entry(key).or_default() += counted;
            }
        }
    }

    /// All groups there are, found by looking at every dead letter.
    fn groups(&self) -> HashMap<GroupName, DeadLetterGroup> {
        let mut open: Vec<_> = self
            .dead_letters
            .values()
            .filter(|(_, dead)| dead.disposal == Disposal::Open)
            .collect();
        open.sort_by_key(|(arrival, dead)| (dead.died_at, *arrival));
        let mut groups = HashMap::new();
        for (_, dead) in open {
            let name = (dead.project.clone(), dead.cause.fingerprint.clone());
            let known = self.acknowledgements.get(&name).cloned();
            let group = groups.entry(name).or_insert_with(|| DeadLetterGroup {
                head: GroupHead::of(dead),
                open_count: 0,
                first_died_at: dead.died_at,
                last_died_at: dead.died_at,
                sample: dead.id.clone(),
                acknowledgement: known.filter(|known| dead.died_at <= known.seen_until),
            });
            group.open_count += 1;
            group.last_died_at = dead.died_at;
            group.sample = dead.id.clone();
        }
        groups
    }
}

fn new_record(delivery: &Delivery, now: Timestamp) -> DeliveryRecord {
    let destination = match &delivery.destination {
        Destination::Callback { url, .. } => Destination::Callback {
            url: url.clone(),
            secret: None,
        },
        webhook @ Destination::Webhook { .. } => webhook.clone(),
    };
    DeliveryRecord {
        id: delivery.id.clone(),
        event: delivery.event.clone(),
        destination,
        profile: delivery.profile.clone(),
        generation: delivery.generation,
        state: DeliveryState::Attempting,
        attempts: Vec::new(),
        created_at: now,
        updated_at: now,
    }
}

impl SimulatedStore {
    /// A store with nothing in it.
    pub fn new(clock: TokioClock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Whether a dead letter like this is kept.
    pub fn has_dead_letter(&self, is_it: impl Fn(&DeadLetter) -> bool) -> bool {
        let state = self.state();
        state.dead_letters.values().any(|(_, dead)| is_it(dead))
    }

    /// Until when an event was asked to be kept known, if it was.
    pub fn known_until(&self, project: &ProjectName, id: &EventId) -> Option<Timestamp> {
        let key = (project.clone(), id.clone());
        self.state().known_until.get(&key).copied()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

#[async_trait]
impl ClaimStore for SimulatedStore {
    async fn claim(&self, request: ClaimRequest<'_>) -> Result<ClaimAnswer, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let answer = state
            .claims
            .entry(request.delivery.id.clone())
            .or_default()
            .claim(request, now);
        if let ClaimAnswer::Granted { .. } = answer {
            let record = state.record(request.delivery, now);
            record.state = DeliveryState::Attempting;
            record.generation = request.delivery.generation;
        }
        Ok(answer)
    }

    /// The claim did.
    async fn show_attempting(&self, _delivery: &Delivery) -> Result<(), StoreError> {
        Ok(())
    }

    async fn show_waiting(&self, delivery: &Delivery, until: Timestamp) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let position = (delivery.generation, delivery.attempt);
        let is_taken = state
            .claims
            .get(&delivery.id)
            .is_some_and(|claims| claims.under_way.is_some() || claims.is_past(position));
        if !is_taken {
            let record = state.record(delivery, now);
            record.state = DeliveryState::Waiting { until };
            record.generation = delivery.generation;
        }
        Ok(())
    }

    async fn settle(&self, settlement: Settlement<'_>) -> Result<SettleAnswer, StoreError> {
        let Settlement {
            claim,
            delivery,
            attempts,
            settled_as,
            at,
        } = settlement;
        let now = self.clock.now();
        let mut state = self.state();
        state.if_settling(now)?;
        match state
            .claims
            .entry(delivery.id.clone())
            .or_default()
            .settle(claim, settled_as)
        {
            None => return Ok(SettleAnswer::Stale),
            Some(false) => return Ok(SettleAnswer::Settled),
            Some(true) => {}
        }
        let record = state.record(delivery, now);
        record.updated_at = at;
        record.state = match settled_as {
            SettledAs::Delivered => DeliveryState::Delivered { at },
            SettledAs::Retrying { due_at } => DeliveryState::Waiting { until: *due_at },
            SettledAs::DeadLettered(dead_letter) => DeliveryState::DeadLettered {
                id: dead_letter.id.clone(),
            },
            SettledAs::Released => DeliveryState::Waiting { until: at },
        };
        record.generation = delivery.generation;
        record.attempts.extend_from_slice(attempts);
        let forgotten = record.attempts.len().saturating_sub(limits::HISTORY_MAX);
        record.attempts.drain(..forgotten);
        state.count_traffic(&settlement);
        if let SettledAs::DeadLettered(dead_letter) = settled_as {
            state.put_dead_letter(dead_letter);
        }
        Ok(SettleAnswer::Settled)
    }
}

#[async_trait]
impl WebhookStore for SimulatedStore {
    async fn put_webhook(&self, webhook: &Webhook) -> Result<WriteAnswer, StoreError> {
        let mut state = self.state();
        let stored = state
            .webhooks
            .get(&webhook.id)
            .map_or(0, |stored| stored.revision);
        if stored + 1 != webhook.revision {
            return Ok(WriteAnswer::Conflict);
        }
        state.webhooks.insert(webhook.id.clone(), webhook.clone());
        Ok(WriteAnswer::Written)
    }

    async fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        let state = self.state();
        let found = state.webhooks.get(id).cloned();
        if found.is_some() {
            state.if_whole("webhook", id.as_str())?;
        }
        Ok(found)
    }

    async fn webhooks(&self, project: &ProjectName) -> Result<Page<Webhook>, StoreError> {
        let state = self.state();
        let mut webhooks: Vec<_> = state
            .webhooks
            .values()
            .filter(|webhook| webhook.project == *project)
            .cloned()
            .collect();
        webhooks.sort_by_key(|webhook| (webhook.created_at, webhook.id.clone()));
        let mut page = Page::new(Vec::new(), None);
        for webhook in webhooks {
            let whole = state.if_whole("webhook", webhook.id.as_str());
            page.take_in(whole.map(|()| webhook))?;
        }
        Ok(page)
    }

    async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError> {
        let mut state = self.state();
        state.breakers.remove(&DestinationId::webhook(id));
        Ok(state.webhooks.remove(id).is_some())
    }
}

#[async_trait]
impl KeyStore for SimulatedStore {
    async fn put_key(&self, key: &ApiKey) -> Result<WriteAnswer, StoreError> {
        let mut state = self.state();
        let revision = state.keys.get(&key.id).map_or(0, |stored| stored.revision);
        if key.revision != revision + 1 {
            return Ok(WriteAnswer::Conflict);
        }
        state.keys.insert(key.id.clone(), key.clone());
        Ok(WriteAnswer::Written)
    }

    async fn key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.state().keys.get(id).cloned())
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys: Vec<_> = self.state().keys.values().cloned().collect();
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    async fn remove_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        Ok(self.state().keys.remove(id).is_some())
    }
}

#[async_trait]
impl PaceStore for SimulatedStore {
    async fn reserve_turn(
        &self,
        destination: &DestinationId,
        per_second: NonZeroU32,
        ahead_max: Duration,
    ) -> Result<ReservedTurn, StoreError> {
        let now = self.clock.now();
        let mut state = self.state();
        let next = state.turns.entry(destination.clone()).or_insert(now);
        let turn = now.max(*next);
        let wait = Duration::try_from(turn.duration_since(now)).expect("it is not before now");
        if wait > ahead_max {
            return Ok(ReservedTurn::Full);
        }
        *next = turn + Duration::from_secs(1) / per_second.get();
        Ok(ReservedTurn::In(wait))
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        Ok(self.state().breakers.values().cloned().collect())
    }

    async fn put_breaker(&self, breaker: &Breaker) -> Result<WriteAnswer, StoreError> {
        let breakers = &mut self.state().breakers;
        let stored = breakers.get(&breaker.destination);
        let is_one_too_many = stored.is_none() && breakers.len() >= limits::BREAKERS_MAX;
        let revision = stored.map_or(0, |stored| stored.revision);
        if breaker.revision != revision + 1 || is_one_too_many {
            return Ok(WriteAnswer::Conflict);
        }
        breakers.insert(breaker.destination.clone(), breaker.clone());
        Ok(WriteAnswer::Written)
    }

    async fn remove_breaker(&self, breaker: &Breaker) -> Result<bool, StoreError> {
        let breakers = &mut self.state().breakers;
        let is_the_same = breakers
            .get(&breaker.destination)
            .is_some_and(|stored| stored.revision == breaker.revision);
        if is_the_same {
            breakers.remove(&breaker.destination);
        }
        Ok(is_the_same)
    }
}

/// The entries that match, newest arrival first, from the cursor on.
fn page<T: Clone>(
    all: impl Iterator<Item = (u64, T)>,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<T>, StoreError> {
    let before = match after {
        None => u64::MAX,
        Some(Cursor(text)) => text
            .strip_prefix('n')
            .and_then(|number| number.parse().ok())
            .ok_or(StoreError::BadCursor)?,
    };
    let mut found: Vec<_> = all.filter(|(arrival, _)| *arrival < before).collect();
    found.sort_by_key(|(arrival, _)| std::cmp::Reverse(*arrival));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|(arrival, _)| Cursor(format!("n{arrival}")));
    Ok(Page::new(
        found.into_iter().map(|(_, entry)| entry).collect(),
        next,
    ))
}

/// Whether a wish is absent or met.
fn met<T: PartialEq>(wish: Option<&T>, value: Option<&T>) -> bool {
    wish.is_none() || wish == value
}

fn within(moment: Timestamp, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    since.is_none_or(|since| moment >= since) && until.is_none_or(|until| moment < until)
}

#[async_trait]
impl DeliveryStore for SimulatedStore {
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        Ok(self
            .state()
            .records
            .get(id)
            .map(|(_, record)| record.clone()))
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeliveryRecord>, StoreError> {
        let state = self.state();
        let matches = |record: &DeliveryRecord| {
            met(filter.project.as_ref(), Some(&record.event.project))
                && met(filter.event.as_ref(), Some(&record.event.id))
                && met(filter.job.as_ref(), Some(&record.event.job.id))
                && met(filter.destination.as_ref(), Some(&record.destination.id()))
                && met(
                    filter.state.as_ref(),
                    Some(&record.state.class().to_owned()),
                )
                && within(record.created_at, filter.since, filter.until)
        };
        let found = state
            .records
            .values()
            .filter(|(_, record)| matches(record))
            .cloned();
        page(found, after, limit)
    }
}

#[async_trait]
impl DeadLetterStore for SimulatedStore {
    async fn put_dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), StoreError> {
        self.state().put_dead_letter(dead_letter);
        Ok(())
    }

    async fn dead_letter(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
        let state = self.state();
        let kept = state.dead_letters.get(id);
        kept.map(|(_, dead_letter)| state.read(dead_letter.clone()))
            .transpose()
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let state = self.state();
        let mut found: Vec<_> = state
            .dead_letters
            .values()
            .filter(|(_, dead)| filter.wants(dead))
            .cloned()
            .collect();
        // By the moment of death, then by arrival; both go into one number that a cursor can name.
        found.sort_by_key(|(arrival, dead)| (dead.died_at, *arrival));
        let ordered = found
            .into_iter()
            .map(|(arrival, dead)| (rank(&dead, arrival), dead));
        let found = page(ordered, after, limit)?;
        let mut told = Page::new(Vec::new(), found.next);
        for dead in found.entries {
            told.take_in(state.read(dead))?;
        }
        Ok(told)
    }

    async fn dead_letter_count(&self, project: Option<&ProjectName>) -> Result<u64, StoreError> {
        let state = self.state();
        let open = state
            .dead_letters
            .values()
            .filter(|(_, dead)| dead.disposal == Disposal::Open);
        Ok(open
            .filter(|(_, dead)| met(project, dead.project.as_ref()))
            .count() as u64)
    }

    async fn dispose(
        &self,
        id: &DeadLetterId,
        disposal: &Disposal,
        again: bool,
    ) -> Result<DisposeAnswer, StoreError> {
        let mut state = self.state();
        let Some((_, dead_letter)) = state.dead_letters.get_mut(id) else {
            return Ok(DisposeAnswer::NotFound);
        };
        if dead_letter.disposal != Disposal::Open && !again {
            return Ok(DisposeAnswer::Already(dead_letter.disposal.clone()));
        }
        dead_letter.disposal = disposal.clone();
        Ok(DisposeAnswer::Disposed)
    }
}

#[async_trait]
impl GroupStore for SimulatedStore {
    async fn dead_letter_groups(
        &self,
        filter: &GroupFilter,
        limit: usize,
    ) -> Result<GroupList, StoreError> {
        let groups = self.state().groups().into_values();
        let wanted = groups.filter(|group| filter.wants(group)).collect();
        GroupList::of(wanted, filter, limit, 0)
    }

    async fn acknowledge_group(
        &self,
        project: Option<&ProjectName>,
        fingerprint: &str,
        acknowledgement: &Acknowledgement,
    ) -> Result<Option<DeadLetterGroup>, StoreError> {
        let mut state = self.state();
        let name = (project.cloned(), fingerprint.to_owned());
        let Some(mut group) = state.groups().remove(&name) else {
            return Ok(None);
        };
        let acknowledgement = Acknowledgement {
            seen_until: group.last_died_at,
            ..acknowledgement.clone()
        };
        group.acknowledgement = Some(acknowledgement.clone());
        state.acknowledgements.insert(name, acknowledgement);
        Ok(Some(group))
    }

    async fn regroup(&self, _limit: usize) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl TrafficStore for SimulatedStore {
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: TrafficStep,
        until: Timestamp,
    ) -> Result<Vec<TrafficPoint>, StoreError> {
        let state = self.state();
        let points = step.kept_until(until).map(|number| TrafficPoint {
            at: step.begin_of(number),
            traffic: state
                .traffic
                .get(&(of.clone(), step, number))
                .copied()
                .unwrap_or_default(),
        });
        Ok(points.collect())
    }
}

/// Milliseconds of the moment of death above, arrival below.
fn rank(dead: &DeadLetter, arrival: u64) -> u64 {
    let millis = u64::try_from(dead.died_at.as_millisecond()).unwrap_or(0);
    (millis << 20) | (arrival & 0xf_ffff)
}

#[async_trait]
impl EventStore for SimulatedStore {
    async fn event_mark(
        &self,
        project: &ProjectName,
        id: &EventId,
    ) -> Result<Option<EventMark>, StoreError> {
        Ok(self
            .state()
            .events
            .get(&(project.clone(), id.clone()))
            .copied())
    }

    async fn mark_event(
        &self,
        project: &ProjectName,
        id: &EventId,
        mark: EventMark,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let key = (project.clone(), id.clone());
        let mut state = self.state();
        state.events.entry(key.clone()).or_insert(mark);
        state.known_until.entry(key).or_insert(until);
        Ok(())
    }

    /// Marks are kept for ever here; what is not marked stays so.
    async fn keep_event_known(
        &self,
        project: &ProjectName,
        id: &EventId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let key = (project.clone(), id.clone());
        let mut state = self.state();
        if state.events.contains_key(&key) {
            let known_until = state.known_until.entry(key).or_insert(until);
            *known_until = until.max(*known_until);
        }
        Ok(())
    }

    async fn event_moment(
        &self,
        project: &ProjectName,
        id: &EventId,
        at: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let key = (project.clone(), id.clone());
        Ok(*self.state().moments.entry(key).or_insert(at))
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        Ok(StoreHealth {
            product: "simulated store".into(),
            clock_skew_ms: None,
            findings: Vec::new(),
        })
    }
}
