//! Keys to the HTTP API: making, listing and revoking them, and telling whether one opens anything.
//!
//! A key's text is `rb_<id>_<secret>`. It is shown once; what is kept is the SHA-256 of the secret, which is 32 random bytes.

use ringback_delivery::{
    ProfileBook,
    port::{Clock, Entropy, Store, StoreError, WriteAnswer},
};
use ringback_domain::{
    ApiKey, ApiKeyId, KeyOwner, KeyScope, ProjectName, SecretDigest, Timestamp,
    limits::KEYS_PER_OWNER_MAX,
};
use secrecy::SecretString;
use std::{collections::BTreeSet, fmt::Write, sync::Arc, time::Duration};
use subtle::ConstantTimeEq;

/// What every key begins with, so that one in the wrong place can be recognised.
const PREFIX: &str = "rb_";
/// Random bytes of a secret, each written as two hex digits.
const SECRET_BYTES: usize = 32;
/// How often the last use of a key is written down.
const USE_NOTED_EVERY: Duration = Duration::from_mins(1);
/// How long a key that opens nothing any more can still be looked at.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
/// How often a change is tried again that somebody else's came before.
const TRIES_MAX: usize = 5;

/// The keys of all projects and of the operator.
pub struct Keys {
    /// Where they are kept.
    pub store: Arc<dyn Store>,
    /// Which projects there are.
    pub profiles: Arc<ProfileBook>,
    /// Moments of making, use and expiry.
    pub clock: Arc<dyn Clock>,
    /// New ids and secrets.
    pub entropy: Arc<dyn Entropy>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub owner: KeyOwner,
    pub scopes: BTreeSet<KeyScope>,
    pub description: Option<String>,
    pub expires_at: Option<Timestamp>,
}

/// A key with its text, which is shown this once.
#[derive(Debug)]
pub struct WithText {
    pub key: ApiKey,
    pub text: SecretString,
}

/// Why a key was not made or revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum KeyError {
    #[error("there is no key {0}")]
    NotFound(ApiKeyId),
    #[error("project `{0}` is not configured (hint: add `[projects.{0}]` to the configuration)")]
    ProjectUnknown(ProjectName),
    #[error("a key without a scope opens nothing; scopes are `publish`, `read` and `manage`")]
    NoScope,
    #[error("the moment of expiry, {0}, is over")]
    ExpiryPast(Timestamp),
    #[error("{owner} has {KEYS_PER_OWNER_MAX} keys, which is the limit (hint: revoke some)")]
    TooMany { owner: String },
    #[error("key {0} was changed by others again and again (hint: try again)")]
    Conflict(ApiKeyId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a text opens nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum KeyRefused {
    /// One answer for a text that is no key, an id that is not known, and a secret that is wrong.
    #[error("the key is not known")]
    Unknown,
    #[error("the key expired at {0}")]
    Expired(Timestamp),
    #[error("the key was revoked at {0}")]
    Revoked(Timestamp),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keys {
    /// Makes one. Every rule is checked before anything is stored.
    ///
    /// # Errors
    ///
    /// The rule that forbids it, or the store's failure.
    pub async fn create(&self, new: NewKey) -> Result<WithText, KeyError> {
        let now = self.clock.now();
        if let Some(fault) = self.faults_of(&new).into_iter().next() {
            return Err(fault);
        }
        if self.make_room(&new.owner, now).await? >= KEYS_PER_OWNER_MAX {
            let owner = match &new.owner {
                KeyOwner::Project(project) => format!("project `{project}`"),
                KeyOwner::Operator => "the operator".to_owned(),
            };
            return Err(KeyError::TooMany { owner });
        }
        let id = ApiKeyId::from_random(self.random());
        let secret = hex(&self.random::<SECRET_BYTES>());
        let key = ApiKey {
            id,
            owner: new.owner,
            scopes: new.scopes,
            digest: SecretDigest::of(secret.as_bytes()),
            description: new.description.filter(|text| !text.is_empty()),
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
            revision: 1,
        };
        match self.store.put_key(&key).await? {
            WriteAnswer::Written => {}
            WriteAnswer::Conflict => return Err(KeyError::Conflict(key.id)),
        }
        let text = format!("{PREFIX}{}_{secret}", key.id).into();
        Ok(WithText { key, text })
    }

    /// All that is wrong with a key to be made, as far as it can be told without the store.
    pub fn faults_of(&self, new: &NewKey) -> Vec<KeyError> {
        let mut faults = Vec::new();
        if let KeyOwner::Project(project) = &new.owner
            && self.profiles.of_project(project).is_err()
        {
            faults.push(KeyError::ProjectUnknown(project.clone()));
        }
        if new.scopes.is_empty() {
            faults.push(KeyError::NoScope);
        }
        if let Some(end) = new.expires_at
            && end <= self.clock.now()
        {
            faults.push(KeyError::ExpiryPast(end));
        }
        faults
    }

    /// All keys of an owner, or of everybody, oldest first.
    ///
    /// # Errors
    ///
    /// When the store failed.
    pub async fn list(&self, owner: Option<&KeyOwner>) -> Result<Vec<ApiKey>, KeyError> {
        let mut keys = self.store.keys().await?;
        keys.retain(|key| owner.is_none_or(|owner| key.owner == *owner));
        Ok(keys)
    }

    /// One key.
    ///
    /// # Errors
    ///
    /// When there is none, or the store failed.
    pub async fn get(&self, id: &ApiKeyId) -> Result<ApiKey, KeyError> {
        let found = self.store.key(id).await?;
        found.ok_or_else(|| KeyError::NotFound(id.clone()))
    }

    /// Lets one open nothing any more. Revoking again changes nothing.
    ///
    /// # Errors
    ///
    /// When there is none, or the store failed.
    pub async fn revoke(&self, id: &ApiKeyId) -> Result<ApiKey, KeyError> {
        for _ in 0..TRIES_MAX {
            let mut key = self.get(id).await?;
            if key.revoked_at.is_some() {
                return Ok(key);
            }
            key.revoked_at = Some(self.clock.now());
            key.revision += 1;
            // Somebody using the key changes it, too.
            if self.store.put_key(&key).await? == WriteAnswer::Written {
                return Ok(key);
            }
        }
        Err(KeyError::Conflict(id.clone()))
    }

    /// The key that this text is, if it opens anything now. Its use is written down, at most once a minute.
    ///
    /// An id that is not known takes the same way as a secret that is wrong, so that neither the answer nor the time it
    /// takes tells which ids there are.
    ///
    /// # Errors
    ///
    /// Why it opens nothing, or the store's failure.
    pub async fn verify(&self, text: &str) -> Result<ApiKey, KeyRefused> {
        let (id, secret) = split(text).ok_or(KeyRefused::Unknown)?;
        let found = self.store.key(&id).await?;
        let given = SecretDigest::of(secret.as_bytes());
        let nobodys = SecretDigest::of(&[]);
        let kept = found.as_ref().map_or(&nobodys, |key| &key.digest);
        let is_right = kept.as_bytes().ct_eq(given.as_bytes());
        let key = found.filter(|_| is_right.into());
        let key = key.ok_or(KeyRefused::Unknown)?;
        let now = self.clock.now();
        if let Some(at) = key.revoked_at {
            return Err(KeyRefused::Revoked(at));
        }
        if let Some(end) = key.expires_at.filter(|_| !key.is_usable(now)) {
            return Err(KeyRefused::Expired(end));
        }
        Ok(self.note_use(key, now).await)
    }

    async fn note_use(&self, key: ApiKey, now: Timestamp) -> ApiKey {
        let is_noted = key
            .last_used_at
            .is_some_and(|at| since(at, now) < USE_NOTED_EVERY);
        if is_noted {
            return key;
        }
        let used = ApiKey {
            last_used_at: Some(now),
            revision: key.revision + 1,
            ..key.clone()
        };
        match self.store.put_key(&used).await {
            Ok(WriteAnswer::Written) => used,
            // Somebody else noted it, or revoked the key just now.
            Ok(WriteAnswer::Conflict) => key,
            Err(failure) => {
                tracing::debug!(
                    error = &failure as &dyn std::error::Error,
                    "could not note the use of a key"
                );
                key
            }
        }
    }

    /// Removes an owner's keys that have opened nothing for long; how many are left.
    async fn make_room(&self, owner: &KeyOwner, now: Timestamp) -> Result<usize, StoreError> {
        let mut left = 0;
        for key in self.store.keys().await? {
            if key.owner != *owner {
                continue;
            }
            let ended = [key.revoked_at, key.expires_at].into_iter().flatten().min();
            if ended.is_some_and(|at| since(at, now) > KEPT_FOR) {
                self.store.remove_key(&key.id).await?;
            } else {
                left += 1;
            }
        }
        Ok(left)
    }

    fn random<const BYTES: usize>(&self) -> [u8; BYTES] {
        let mut random = [0; BYTES];
        self.entropy.fill(&mut random);
        random
    }
}

/// How long ago it was; nothing for what is yet to come.
fn since(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

/// Whether a text is written as keys are. Whether it opens anything, [`Keys::verify`] says.
pub fn is_well_formed(text: &str) -> bool {
    split(text).is_some_and(|(_, secret)| {
        secret.len() == 2 * SECRET_BYTES && secret.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn split(text: &str) -> Option<(ApiKeyId, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    Some((id.parse().ok()?, secret))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_text_has_two_parts_behind_its_mark() {
        let (id, secret) = split("rb_0a1b_00ff").unwrap();
        assert_eq!((id.as_str(), secret), ("0a1b", "00ff"));
        for text in ["", "rb_", "rb__", "rb_a", "sk_a_b", "rb_a b_c", "rb_é_c"] {
            assert!(split(text).is_none(), "{text}");
        }
    }
}
