//! Who calls, and whether they may: keys, scopes, and a limit on how often a wrong key may be tried.

use crate::{
    Services,
    members::Members,
    problem::{Code, Problem},
    server::Peer,
};
use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};
use ringback_delivery::port::Clock;
use ringback_domain::{ApiKey, KeyOwner, KeyScope, ProjectName, SecretDigest};
use ringback_worker::keys::{KeyRefused, Keys, is_well_formed};
use std::{
    collections::HashMap,
    hash::Hash,
    marker::PhantomData,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long an accepted key is accepted without asking the store: a revoked one opens nothing after so much.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// How long an accepted key is remembered, for an address that others try wrong keys from.
const REMEMBERED_FOR: Duration = Duration::from_mins(10);
/// Accepted keys that are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// Wrong keys that one address may show within [`FAILURES_WINDOW`], unless [`Limits`](crate::Limits) say otherwise.
pub const FAILURES_MAX: u32 = 20;
/// See [`FAILURES_MAX`].
pub const FAILURES_WINDOW: Duration = Duration::from_mins(1);
/// How often a key is checked nevertheless, for an address that showed too many wrong ones.
const CHECKED_ANYWAY_EVERY: Duration = Duration::from_secs(1);
/// Addresses whose failures are counted at once; the oldest count goes first.
const ADDRESSES_MAX: usize = 10_000;

/// Tells which key a text is, and slows down those who guess.
///
/// An address that showed too many wrong keys is answered 429 without the store being asked, save for keys that were
/// accepted a short while ago, and one a second of those that are written as keys are: a stranger behind the same proxy
/// can keep others waiting for their first answer, and nobody who has had one.
pub struct Authenticator {
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    /// By the digest of their text.
    accepted: Mutex<Bounded<[u8; 32], Arc<ApiKey>>>,
    failures: Mutex<Bounded<IpAddr, u32>>,
    /// Addresses with too many failures, and when one of their keys was checked.
    checked_anyway: Mutex<Bounded<IpAddr, ()>>,
    failures_max: u32,
}

impl Authenticator {
    /// With so many wrong keys of one address within [`FAILURES_WINDOW`].
    pub fn new(keys: Arc<Keys>, clock: Arc<dyn Clock>, failures_max: u32) -> Self {
        Self {
            keys,
            clock,
            accepted: Mutex::new(Bounded::new(REMEMBERED_MAX)),
            failures: Mutex::new(Bounded::new(ADDRESSES_MAX)),
            checked_anyway: Mutex::new(Bounded::new(ADDRESSES_MAX)),
            failures_max,
        }
    }

    /// The key that this text is, if it opens anything now.
    ///
    /// # Errors
    ///
    /// The answer to give: 401, or 429 for an address that showed too many wrong keys, or 503.
    pub async fn check(&self, peer: IpAddr, text: &str) -> Result<Arc<ApiKey>, Problem> {
        let now = self.clock.monotonic();
        let digest = *SecretDigest::of(text.as_bytes()).as_bytes();
        let remembered = lock(&self.accepted).get(&digest, now, REMEMBERED_FOR);
        if let Some((key, age)) = &remembered
            && *age < FRESH_FOR
            && key.is_usable(self.clock.now())
        {
            return Ok(key.clone());
        }
        let address = network_of(peer);
        let failed = lock(&self.failures).get(&address, now, FAILURES_WINDOW);
        if let Some((count, age)) = failed
            && count >= self.failures_max
            && remembered.is_none()
            && !(is_well_formed(text) && self.is_checked_anyway(address, now))
        {
            let wait = FAILURES_WINDOW.saturating_sub(age);
            let detail = format!(
                "more than {} keys from this address were refused within {}s",
                self.failures_max,
                FAILURES_WINDOW.as_secs()
            );
            return Err(Problem::new(Code::TooManyFailures)
                .detail(detail)
                .retry_after(wait));
        }
        match self.keys.verify(text).await {
            Ok(key) => {
                let key = Arc::new(key);
                lock(&self.accepted).put(digest, key.clone(), now);
                Ok(key)
            }
            Err(KeyRefused::Store(error)) => Err(error.into()),
            Err(refused) => {
                lock(&self.accepted).remove(&digest);
                let mut failures = lock(&self.failures);
                match failed {
                    Some((count, age)) => {
                        failures.put(address, count.saturating_add(1), now.saturating_sub(age));
                    }
                    None => failures.put(address, 1, now),
                }
                Err(refused.into())
            }
        }
    }

    /// Whether it is time to check one of this address's keys although too many were wrong.
    fn is_checked_anyway(&self, address: IpAddr, now: Duration) -> bool {
        let mut checked = lock(&self.checked_anyway);
        let is_time = checked.get(&address, now, CHECKED_ANYWAY_EVERY).is_none();
        if is_time {
            checked.put(address, (), now);
        }
        is_time
    }

    /// Forgets what was accepted: a revoked key opens nothing in this process any more.
    pub fn forget_accepted(&self) {
        lock(&self.accepted).entries.clear();
    }
}

/// One customer has at least a whole /64 of IPv6.
pub(crate) fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many entries at most; the oldest make room for new ones.
struct Bounded<K, V> {
    entries: HashMap<K, (V, Duration)>,
    entries_max: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Bounded<K, V> {
    fn new(entries_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            entries_max,
        }
    }

    /// An entry and its age, when it is younger than this.
    fn get(&self, key: &K, now: Duration, younger_than: Duration) -> Option<(V, Duration)> {
        let (value, since) = self.entries.get(key)?;
        let age = now.saturating_sub(*since);
        (age < younger_than).then(|| (value.clone(), age))
    }

    fn put(&mut self, key: K, value: V, since: Duration) {
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&key) {
            // A tenth at once, so that a flood of new ones does not look through all for each.
            let mut ages: Vec<_> = self.entries.values().map(|(_, since)| *since).collect();
            let tenth = ages.len() / 10;
            let (_, oldest, _) = ages.select_nth_unstable(tenth);
            let oldest = *oldest;
            self.entries.retain(|_, (_, since)| *since > oldest);
        }
        self.entries.insert(key, (value, since));
    }

    fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

/// What a call needs its key to have.
pub trait Scope: Send + Sync + 'static {
    const SCOPE: KeyScope;
}

/// See [`KeyScope::Publish`].
pub struct Publish;
/// See [`KeyScope::Read`].
pub struct Read;
/// See [`KeyScope::Manage`].
pub struct Manage;

impl Scope for Publish {
    const SCOPE: KeyScope = KeyScope::Publish;
}
impl Scope for Read {
    const SCOPE: KeyScope = KeyScope::Read;
}
impl Scope for Manage {
    const SCOPE: KeyScope = KeyScope::Manage;
}

/// One who calls with a key that has the scope.
pub struct Caller<S> {
    pub key: Arc<ApiKey>,
    scope: PhantomData<S>,
}

impl<S: Scope> FromRequestParts<Arc<Services>> for Caller<S> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>();
        let peer = peer.expect("the server says who calls").0;
        let text = key_text(&parts.headers)?;
        let key = services.authenticator.check(peer, text).await?;
        Self::of(key)
    }
}

impl<S: Scope> Caller<S> {
    /// The caller with this key.
    ///
    /// # Errors
    ///
    /// When the key lacks the scope.
    pub fn of(key: Arc<ApiKey>) -> Result<Self, Problem> {
        if !key.scopes.contains(&S::SCOPE) {
            let detail = format!("this call needs a key with scope `{}`", S::SCOPE);
            return Err(Problem::new(Code::ScopeMissing).detail(detail));
        }
        Ok(Self {
            key,
            scope: PhantomData,
        })
    }

    /// The thing, when it is within reach: what belongs to others is not there.
    ///
    /// # Errors
    ///
    /// That there is no such thing.
    pub fn if_in_reach<T>(
        &self,
        found: Option<T>,
        project: impl FnOnce(&T) -> Option<&ProjectName>,
        what: &str,
    ) -> Result<T, Problem> {
        found
            .filter(|found| match project(found) {
                Some(project) => self.key.reaches(project),
                // What belongs to nobody is the operator's.
                None => self.key.owner == KeyOwner::Operator,
            })
            .ok_or_else(|| Problem::not_found(format!("there is no {what}")))
    }

    /// Whose things a list shows: those of the project asked for, else all within reach.
    ///
    /// # Errors
    ///
    /// When another project is asked for than the key's.
    pub fn project_of_list(
        &self,
        asked: Option<ProjectName>,
    ) -> Result<Option<ProjectName>, Problem> {
        match (&self.key.owner, asked) {
            (KeyOwner::Operator, asked) => Ok(asked),
            (KeyOwner::Project(own), None) => Ok(Some(own.clone())),
            (KeyOwner::Project(own), Some(asked)) if *own == asked => Ok(Some(asked)),
            (KeyOwner::Project(_), Some(asked)) => {
                Err(Problem::not_found(format!("there is no project `{asked}`")))
            }
        }
    }

    /// Whose a new thing is: the key's project, or the one that the operator names.
    ///
    /// # Errors
    ///
    /// When another project is named than the key's.
    pub(crate) fn owner_of_new(
        &self,
        named: Option<ProjectName>,
        members: &mut Members<'_>,
    ) -> Result<Option<ProjectName>, Problem> {
        match (&self.key.owner, named) {
            (KeyOwner::Project(own), None) => Ok(Some(own.clone())),
            (_, Some(named)) => self.reaching(named).map(Some),
            (KeyOwner::Operator, None) => {
                members.missing("project");
                Ok(None)
            }
        }
    }

    /// The project, when it is within reach.
    ///
    /// # Errors
    ///
    /// That it is not.
    pub(crate) fn reaching(&self, project: ProjectName) -> Result<ProjectName, Problem> {
        if self.key.reaches(&project) {
            return Ok(project);
        }
        let detail = format!("this key does not reach project `{project}`");
        Err(Problem::new(Code::ProjectForbidden).detail(detail))
    }

    /// Who asks, for the record.
    pub fn name(&self) -> String {
        match &self.key.description {
            Some(description) => format!("key {} ({description})", self.key.id),
            None => format!("key {}", self.key.id),
        }
    }
}

fn key_text(headers: &HeaderMap) -> Result<&str, Problem> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(key.trim_matches(' '))
    });
    let own = || headers.get("x-api-key")?.to_str().ok();
    bearer
        .or_else(own)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| {
            Problem::new(Code::KeyMissing)
                .detail("send `Authorization: Bearer <key>` or `X-API-Key: <key>`")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let mut bounded = Bounded::new(100);
        for number in 0..1000_u32 {
            bounded.put(number, (), Duration::from_secs(number.into()));
            assert!(bounded.entries.len() <= 100);
        }
        let now = Duration::from_secs(1000);
        assert!(bounded.get(&999, now, now).is_some());
        assert!(bounded.get(&0, now, now).is_none());
    }

    #[test]
    fn entries_of_one_age_do_not_fill_it_for_ever() {
        let mut bounded = Bounded::new(10);
        for number in 0..100_u32 {
            bounded.put(number, (), Duration::ZERO);
        }
        assert!(bounded.entries.len() <= 10);
    }

    #[test]
    fn an_ipv6_customer_is_one_network() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn a_key_comes_in_one_of_two_headers() {
        let text = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            key_text(&headers).map(str::to_owned).ok()
        };
        assert_eq!(
            text("authorization", "Bearer rb_1_2").as_deref(),
            Some("rb_1_2")
        );
        assert_eq!(
            text("authorization", "bearer  rb_1_2").as_deref(),
            Some("rb_1_2")
        );
        assert_eq!(text("x-api-key", "rb_1_2").as_deref(), Some("rb_1_2"));
        assert_eq!(text("authorization", "Basic rb_1_2"), None);
        assert_eq!(text("authorization", "rb_1_2"), None);
        assert_eq!(text("x-api-key", ""), None);
    }
}
