//! Signing schemes, secrets, and the sealing of secrets at rest.
//!
//! A scheme is data: what is signed, how the signature is written, how a secret becomes a key. Everything is a pure
//! function of its arguments: moments, identifiers and random bytes come in from outside.
//!
//! What this crate does not do: decide when a secret is current (that is the webhook's business), or keep one.
#![warn(missing_docs)]

mod explain;
mod key_ring;
mod scheme;
mod secret;
mod template;
mod verify;

pub use explain::{
    Difference, EXPLAINED_BODY_BYTES_MAX, Evidence, Explanation, Mistake, NamedScheme, Verdict,
    explain, known_schemes,
};
pub use key_ring::{KeyRing, KeyRingError, NONCE_BYTES, OpenError, SealedFor, TAG_BYTES};
pub use scheme::{
    DigestEncoding, SchemeError, SchemeParts, SecretEncoding, SignError, Signable, SignatureScheme,
};
pub use secret::{SECRET_BYTES_ADVISED, Secret, SecretError};
pub use template::{SignedBytes, TemplateError};
pub use verify::{Received, TimeWindow, Verified, VerifyError};

#[cfg(test)]
mod known_answers;
