//! A key to the HTTP API.

use crate::{ApiKeyId, ProjectName, id::hex};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// A key to the HTTP API: what is kept of it. The secret part was shown once and is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What stands in the key's text between `rb_` and the secret.
    pub id: ApiKeyId,
    /// Whose things it opens.
    pub owner: KeyOwner,
    /// What it may do. Never empty.
    pub scopes: BTreeSet<KeyScope>,
    /// What the secret is recognised by.
    pub digest: SecretDigest,
    /// For people.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when it opens nothing any more.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Raised by one with every change; a change made against an older revision is refused.
    pub revision: u64,
}

/// Whose things a key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOwner {
    /// Those of this project.
    Project(ProjectName),
    /// Those of every project.
    Operator,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyScope {
    /// Publish events.
    Publish,
    /// Look at everything there is to see.
    Read,
    /// Change webhooks, deal with dead letters, make and revoke keys.
    Manage,
}

impl KeyScope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Publish, Self::Read, Self::Manage];

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Manage => "manage",
        }
    }
}

impl FromStr for KeyScope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or(UnknownScope)
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is `publish`, `read` or `manage`")]
pub struct UnknownScope;

/// The SHA-256 of a key's secret. The secret is 32 random bytes, so nothing slower is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of this secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The bytes, to compare in constant time.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hex digits.
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[digest]")
    }
}

impl ApiKey {
    /// Whether it opens anything now.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether things of this project are within its reach.
    pub fn reaches(&self, project: &ProjectName) -> bool {
        match &self.owner {
            KeyOwner::Project(own) => own == project,
            KeyOwner::Operator => true,
        }
    }
}

impl KeyOwner {
    /// The project, unless it is the operator.
    pub fn project(&self) -> Option<&ProjectName> {
        match self {
            Self::Project(project) => Some(project),
            Self::Operator => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_hex_form_and_is_not_shown() {
        let digest = SecretDigest::of(b"secret");
        assert_eq!(SecretDigest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(SecretDigest::from_hex("2b"), None);
        assert_eq!(SecretDigest::from_hex(&"+f".repeat(32)).map(|_| ()), None);
        assert_eq!(format!("{digest:?}"), "[digest]");
    }
}
