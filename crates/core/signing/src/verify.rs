//! The receiver's side: is this signature right, and if not, why not.

use crate::{DigestEncoding, Secret, SignError, SignatureScheme, template::Part};
use subtle::{Choice, ConstantTimeEq};

/// A request as it was received. Headers that did not come are absent.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The value of [`SignatureScheme::header`].
    pub signature: Option<&'a str>,
    /// The id, where the scheme signs it.
    pub id: Option<&'a str>,
    /// The timestamp, where the scheme signs it and does not carry it in the signature's header.
    pub timestamp: Option<&'a str>,
    /// The body's bytes, before any parser touched them.
    pub body: &'a [u8],
}

/// How far a timestamp may be off, both ways.
#[derive(Debug, Clone, Copy)]
pub struct TimeWindow {
    /// The receiver's clock, in Unix seconds.
    pub now_seconds: i64,
    /// Most verifiers allow 300.
    pub tolerance_seconds: u32,
}

/// What a right signature tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// When it was signed, where the scheme says so.
    pub timestamp_seconds: Option<i64>,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum VerifyError {
    #[error("there is no `{header}` header")]
    SignatureMissing { header: String },
    #[error("there is no id, and this scheme signs it")]
    IdMissing,
    #[error("there is no timestamp, and this scheme signs it")]
    TimestampMissing,
    #[error("the timestamp `{0}` is not Unix seconds")]
    TimestampForm(String),
    #[error("the timestamp is {0} s old (hint: milliseconds, a slow clock, or a replay)")]
    TooOld(i64),
    #[error("the timestamp is {0} s in the future (hint: milliseconds, or a fast clock)")]
    TooNew(i64),
    #[error("`{header}` does not have the form `{expected}`")]
    Form { header: String, expected: String },
    #[error("the signature is in upper-case hex, and receivers compare text")]
    UpperCase,
    #[error("there are {0} signatures, and this scheme allows one")]
    Several(usize),
    #[error(
        "the signature does not match (hint: another secret, or the body was changed, for example parsed and written again)"
    )]
    Mismatch,
    #[error("could not compute the signature")]
    Secret(#[from] SignError),
}

impl SignatureScheme {
    /// Checks a received request against every secret that may have signed it, in constant time as far as the digest goes.
    ///
    /// # Errors
    ///
    /// The first reason found, the cheap ones before the digest.
    pub fn verify(
        &self,
        secrets: &[Secret],
        received: Received<'_>,
        window: Option<TimeWindow>,
    ) -> Result<Verified, VerifyError> {
        let value = received
            .signature
            .ok_or_else(|| VerifyError::SignatureMissing {
                header: self.header().to_owned(),
            })?;
        let (carried, list) = self.split_lead(value)?;
        let id = if self.signed().has_id() {
            received.id.ok_or(VerifyError::IdMissing)?
        } else {
            ""
        };
        let signs_timestamp = self.signed().has_timestamp();
        let timestamp = if signs_timestamp {
            carried
                .or(received.timestamp)
                .ok_or(VerifyError::TimestampMissing)?
        } else {
            ""
        };
        let timestamp_seconds = signs_timestamp
            .then(|| check_timestamp(timestamp, window))
            .transpose()?;
        let signatures = self.split_entries(list)?;
        if secrets.is_empty() {
            return Err(SignError::NoSecret.into());
        }
        let mut matched = Choice::from(0);
        for secret in secrets {
            let expected = self
                .signature(secret, id, timestamp, received.body)
                .map_err(SignError::from)?;
            for signature in &signatures {
                matched |= expected.as_bytes().ct_eq(signature.as_bytes());
            }
        }
        if bool::from(matched) {
            Ok(Verified { timestamp_seconds })
        } else if self.digest() == DigestEncoding::LowerHex
            && signatures.iter().any(|text| is_upper_hex(text))
        {
            Err(VerifyError::UpperCase)
        } else {
            Err(VerifyError::Mismatch)
        }
    }

    /// Reads what comes before the first signature; the timestamp, if it is in there, and the rest.
    pub(crate) fn split_lead<'a>(
        &self,
        value: &'a str,
    ) -> Result<(Option<&'a str>, &'a str), VerifyError> {
        let (mut timestamp, mut rest) = (None, value);
        for part in self.lead() {
            if let Part::Literal(text) = part {
                rest = rest
                    .strip_prefix(text.as_str())
                    .ok_or_else(|| self.form_error())?;
            } else {
                let digits =
                    rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let (carried, after) = rest.split_at(digits);
                (timestamp, rest) = (Some(carried), after);
            }
        }
        Ok((timestamp, rest))
    }

    pub(crate) fn split_entries<'a>(&self, list: &'a str) -> Result<Vec<&'a str>, VerifyError> {
        let Some(separator) = self.separator() else {
            let signature = list
                .strip_prefix(self.entry())
                .ok_or_else(|| self.form_error())?;
            return match signature
                .split([',', ' '])
                .filter(|text| !text.is_empty())
                .count()
            {
                0 => Err(self.form_error()),
                1 => Ok(vec![signature]),
                count => Err(VerifyError::Several(count)),
            };
        };
        // Members of another version may stand beside ours.
        let ours: Vec<_> = list
            .split(separator)
            .filter_map(|text| text.strip_prefix(self.entry()))
            .collect();
        if ours.is_empty() {
            Err(self.form_error())
        } else {
            Ok(ours)
        }
    }

    fn form_error(&self) -> VerifyError {
        let lead: String = self.lead().iter().map(ToString::to_string).collect();
        VerifyError::Form {
            header: self.header().to_owned(),
            expected: format!("{lead}{}{{signature}}", self.entry()),
        }
    }
}

fn check_timestamp(text: &str, window: Option<TimeWindow>) -> Result<i64, VerifyError> {
    let form = || VerifyError::TimestampForm(text.chars().take(40).collect());
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(form());
    }
    let seconds: i64 = text.parse().map_err(|_| form())?;
    if let Some(TimeWindow {
        now_seconds,
        tolerance_seconds,
    }) = window
    {
        let age = now_seconds.saturating_sub(seconds);
        let tolerance = i64::from(tolerance_seconds);
        if age > tolerance {
            return Err(VerifyError::TooOld(age));
        }
        if age < -tolerance {
            return Err(VerifyError::TooNew(-age));
        }
    }
    Ok(seconds)
}

fn is_upper_hex(text: &str) -> bool {
    text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_uppercase())
}
