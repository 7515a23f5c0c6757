//! Secrets in the process: never shown, wiped when dropped.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Bytes of key below which a secret is weaker than the digest deserves; shorter ones work, with advice against them.
pub const SECRET_BYTES_ADVISED: usize = 24;

/// A secret shared with a receiver, as text, the way people configure it.
#[derive(Clone)]
pub struct Secret(SecretString);

/// Why a text cannot serve as a secret. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A signature with an empty key proves nothing.
    #[error("a secret must not be empty")]
    Empty,
    /// The scheme reads the secret as base64 and it is not.
    #[error("the secret is not base64 (hint: this scheme expects `{prefix}` and then base64)")]
    NotBase64 {
        /// What such secrets begin with.
        prefix: String,
    },
}

impl Secret {
    /// Takes any text but an empty one.
    ///
    /// # Errors
    ///
    /// [`SecretError::Empty`].
    pub fn try_new(text: impl Into<SecretString>) -> Result<Self, SecretError> {
        let text = text.into();
        if text.expose_secret().is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(Self(text))
    }

    /// Takes a text that we made ourselves.
    pub(crate) fn known_good(text: String) -> Self {
        debug_assert!(!text.is_empty(), "an empty key proves nothing");
        Self(text.into())
    }

    /// The text itself, for the one answer that shows a new secret and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_and_is_never_empty() {
        let secret = Secret::try_new("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(Secret::try_new("").unwrap_err(), SecretError::Empty);
    }
}
