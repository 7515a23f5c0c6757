//! A signing scheme: what is signed, with which key, and how the signature is written.

use crate::{
    SECRET_BYTES_ADVISED, Secret, SecretError,
    template::{Part, SignedBytes, TemplateError},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write;
use zeroize::Zeroizing;

/// People paste secrets with and without their padding; both mean the same bytes.
pub(crate) const BASE64_LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes of an HMAC-SHA256.
pub(crate) const DIGEST_BYTES: usize = 32;

/// Everything there is to say about an HMAC-SHA256 scheme, as a profile writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemeParts {
    /// The header that carries the signature, in the spelling to send.
    pub header: String,
    /// What is signed: literals, `{id}`, `{timestamp}`, `{body}`.
    pub signed: SignedBytes,
    /// The header's value, ending in `{signature}`: `sha256={signature}`, `t={timestamp},v1={signature}`.
    pub value: String,
    /// How the digest is written.
    pub digest: DigestEncoding,
    /// How a secret becomes a key.
    pub secret: SecretEncoding,
    /// What stands between signatures, where receivers accept several; otherwise exactly one is sent.
    ///
    /// The value is a list with this separator, and its last member repeats: `t=1,v1=…,v1=…`.
    pub several: Option<String>,
}

/// How a digest is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestEncoding {
    /// 64 digits. Every verifier compares text, so the case matters.
    LowerHex,
    /// 44 characters, padded.
    Base64,
}

/// How a secret's text becomes the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretEncoding {
    /// The bytes of the text, whatever it begins with.
    Utf8,
    /// The base64 decoding of what follows the prefix. A text without the prefix is decoded whole, as the
    /// libraries of Standard Webhooks do.
    Base64After(String),
}

/// An HMAC-SHA256 signing scheme, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureScheme {
    header: String,
    signed: SignedBytes,
    /// What comes once, before the first signature.
    lead: Vec<Part>,
    /// What comes before every signature.
    entry: String,
    digest: DigestEncoding,
    secret: SecretEncoding,
    several: Option<String>,
}

/// Why a scheme cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// Not the name of a header.
    #[error("`{0}` is not a header name")]
    Header(String),
    /// The value's template is not right.
    #[error("the signature's value cannot be used")]
    Value(#[source] TemplateError),
    /// The value ends in something else.
    #[error("`{0}` must end in `{{signature}}`")]
    ValueEnd(String),
    /// What repeats holds the timestamp, which is there once.
    #[error("`{0}` repeats its timestamp with every signature; put the separator between them")]
    RepeatedTimestamp(String),
    /// Not something that can stand between signatures.
    #[error("`{0}` cannot separate signatures; use visible ASCII or one space")]
    Separator(String),
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signable<'a> {
    /// The event's id; the same in every attempt.
    pub id: &'a str,
    /// Unix seconds, fresh for every attempt. Milliseconds would pass some verifiers and leave replays open.
    pub timestamp_seconds: i64,
    /// Exactly the bytes of the request's body.
    pub body: &'a [u8],
}

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There is no secret to sign with.
    #[error("there is no secret to sign with")]
    NoSecret,
    /// A secret does not suit the scheme.
    #[error("a secret does not suit the signing scheme")]
    Secret(#[from] SecretError),
}

impl SignatureScheme {
    /// Checks the parts.
    ///
    /// # Errors
    ///
    /// What would make a header that cannot be sent or that no receiver could read.
    pub fn try_new(parts: SchemeParts) -> Result<Self, SchemeError> {
        let SchemeParts {
            header,
            signed,
            value,
            digest,
            secret,
            several,
        } = parts;
        if !is_token(&header) {
            return Err(SchemeError::Header(header));
        }
        if let Some(separator) = &several
            && separator != " "
            && (separator.is_empty()
                || !separator
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'{'))
        {
            return Err(SchemeError::Separator(separator.clone()));
        }
        let (lead, entry) = split_value(&value, several.as_deref())?;
        Ok(Self {
            header,
            signed,
            lead,
            entry,
            digest,
            secret,
            several,
        })
    }

    /// Signs; returns the header's value.
    ///
    /// With the first secret only, unless the scheme allows several signatures: most receivers compare the whole value.
    ///
    /// # Errors
    ///
    /// There is no secret, or one does not suit the scheme. Nothing is signed with the others then: a signature that
    /// is missing would be found out by the receiver alone.
    pub fn sign(&self, secrets: &[Secret], what: Signable<'_>) -> Result<String, SignError> {
        let count = if self.allows_several() {
            secrets.len()
        } else {
            1
        };
        if secrets.is_empty() {
            return Err(SignError::NoSecret);
        }
        let timestamp = what.timestamp_seconds.to_string();
        let mut value = String::new();
        for part in &self.lead {
            match part {
                Part::Timestamp => value.push_str(&timestamp),
                part => write!(value, "{part}").expect("a String takes all"),
            }
        }
        for (index, secret) in secrets.iter().take(count).enumerate() {
            if index > 0 {
                value.extend(self.several.as_deref());
            }
            value.push_str(&self.entry);
            value.push_str(&self.signature(secret, what.id, &timestamp, what.body)?);
        }
        Ok(value)
    }

    /// One signature, as it is written.
    pub(crate) fn signature(
        &self,
        secret: &Secret,
        id: &str,
        timestamp: &str,
        body: &[u8],
    ) -> Result<String, SecretError> {
        let key = self.secret.key(secret)?;
        let digest = digest(&key, self.signed.parts(), id, timestamp, body);
        Ok(self.digest.encode(&digest))
    }

    /// The header that carries the signature, in the spelling to send.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// What is signed.
    pub fn signed(&self) -> &SignedBytes {
        &self.signed
    }

    /// How the digest is written.
    pub fn digest(&self) -> DigestEncoding {
        self.digest
    }

    /// How a secret becomes a key.
    pub fn secret_encoding(&self) -> &SecretEncoding {
        &self.secret
    }

    /// Whether a replaced secret may sign beside its successor.
    pub fn allows_several(&self) -> bool {
        self.several.is_some()
    }

    pub(crate) fn lead(&self) -> &[Part] {
        &self.lead
    }

    pub(crate) fn entry(&self) -> &str {
        &self.entry
    }

    pub(crate) fn separator(&self) -> Option<&str> {
        self.several.as_deref()
    }

    /// Checks a secret when it is registered, so that no attempt fails for it later. `Ok` may carry advice for people.
    ///
    /// # Errors
    ///
    /// The secret cannot become a key of this scheme.
    pub fn check_secret(&self, secret: &Secret) -> Result<Option<String>, SecretError> {
        let bytes = self.secret.key(secret)?.len();
        Ok((bytes < SECRET_BYTES_ADVISED).then(|| {
            format!("the secret has {bytes} bytes; at least {SECRET_BYTES_ADVISED} random ones are advised")
        }))
    }

    /// A new secret from random bytes, in the form that people paste into a receiver of this scheme.
    pub fn new_secret(&self, random: &[u8; 32]) -> Secret {
        let text = match &self.secret {
            SecretEncoding::Utf8 => lower_hex(random),
            SecretEncoding::Base64After(prefix) => format!("{prefix}{}", STANDARD.encode(random)),
        };
        Secret::known_good(text)
    }
}

/// Splits `t={timestamp},v1={signature}` into what comes once and what repeats.
fn split_value(value: &str, separator: Option<&str>) -> Result<(Vec<Part>, String), SchemeError> {
    if let Some(c) = value.chars().find(|c| !(c.is_ascii_graphic() || *c == ' ')) {
        return Err(SchemeError::Value(TemplateError::NotVisible(
            c.escape_debug().to_string(),
        )));
    }
    let placeholders = [
        ("timestamp", Part::Timestamp),
        ("signature", Part::Signature),
    ];
    let mut parts = Part::parse_all(value, &placeholders, "`{timestamp}`, `{signature}`")
        .map_err(SchemeError::Value)?;
    if parts
        .iter()
        .filter(|part| **part == Part::Signature)
        .count()
        != 1
    {
        let fault = TemplateError::ExactlyOnce {
            template: value.to_owned(),
            name: "signature",
        };
        return Err(SchemeError::Value(fault));
    }
    if parts.pop() != Some(Part::Signature) {
        return Err(SchemeError::ValueEnd(value.to_owned()));
    }
    let last = match parts.pop_if(|part| matches!(part, Part::Literal(_))) {
        Some(Part::Literal(text)) => text,
        _ => String::new(),
    };
    // The last member of the list repeats; without a list all of it is one member.
    let member_start =
        separator.and_then(|separator| last.rfind(separator).map(|at| at + separator.len()));
    let (before, entry) = match member_start {
        Some(at) => last.split_at(at),
        None if parts.is_empty() => ("", last.as_str()),
        None if separator.is_some() => {
            return Err(SchemeError::RepeatedTimestamp(value.to_owned()));
        }
        None => (last.as_str(), ""),
    };
    if !before.is_empty() {
        parts.push(Part::Literal(before.to_owned()));
    }
    Ok((parts, entry.to_owned()))
}

impl DigestEncoding {
    fn encode(self, digest: &[u8]) -> String {
        match self {
            Self::LowerHex => lower_hex(digest),
            Self::Base64 => STANDARD.encode(digest),
        }
    }
}

/// The digest of what a template makes of its placeholders.
pub(crate) fn digest(
    key: &[u8],
    signed: &[Part],
    id: &str,
    timestamp: &str,
    body: &[u8],
) -> [u8; DIGEST_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in signed {
        mac.update(match part {
            Part::Literal(text) => text.as_bytes(),
            Part::Id => id.as_bytes(),
            Part::Timestamp => timestamp.as_bytes(),
            Part::Body => body,
            Part::Signature => unreachable!(
                "a signature does not sign itself: `SignedBytes` does not know the placeholder"
            ),
        });
    }
    mac.finalize().into_bytes().into()
}

impl SecretEncoding {
    pub(crate) fn key(&self, secret: &Secret) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let text = secret.expose();
        match self {
            Self::Utf8 => Ok(Zeroizing::new(text.as_bytes().to_vec())),
            Self::Base64After(prefix) => {
                let refused = || SecretError::NotBase64 {
                    prefix: prefix.clone(),
                };
                let encoded = text.strip_prefix(prefix.as_str()).unwrap_or(text);
                let key = BASE64_LENIENT
                    .decode(encoded)
                    .map(Zeroizing::new)
                    .map_err(|_| refused())?;
                if key.is_empty() {
                    Err(refused())
                } else {
                    Ok(key)
                }
            }
        }
    }
}

pub(crate) fn lower_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes all");
            text
        })
}

/// A token of RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
