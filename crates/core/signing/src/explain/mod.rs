//! Why a signature does not match.
//!
//! A signature tells only whether it matches. But people make the same few mistakes: the body was parsed and written
//! again, the secret was decoded or was not, the timestamp is in milliseconds. So each known mistake is made on purpose,
//! alone and then two at a time, until the digest comes out that was to be explained. What comes out is proof: no other
//! bytes have that digest. When nothing does, the body really is another, or the secret is.
//!
//! What this module does not do: guess from appearances, show a secret, or tell what the right signature would be.

mod body;
mod difference;
mod header;
mod reading;
mod secret;

pub use body::EXPLAINED_BODY_BYTES_MAX;
pub use difference::Difference;

use crate::{
    DigestEncoding, SchemeParts, Secret, SecretEncoding, SignatureScheme,
    scheme::{DIGEST_BYTES, digest},
};
use body::{CHANGES, fixed_point_fault, is_json, same_json};
use header::Target;
use reading::{Reading, Said, readings};
use secret::{Key, keys};

/// Mistakes that are taken together.
const MISTAKES_MAX: usize = 2;
/// Bytes that are hashed before the search gives up: a few seconds. A body of 32 KiB is searched to the end.
const HASHED_BYTES_MAX: usize = 512 * 1024 * 1024;
/// What most verifiers allow a timestamp to be off.
const TOLERANCE_SECONDS: i64 = 300;
/// Larger numbers are milliseconds: as seconds this is the year 5138.
const SECONDS_MAX: i64 = 100_000_000_000;

/// A scheme under the name people know it by, with the headers around it.
#[derive(Debug, Clone)]
pub struct NamedScheme {
    /// Whose it is, in the plural: "webhooks of profile `standard`".
    pub name: String,
    /// What is signed, and how.
    pub scheme: SignatureScheme,
    /// The header that carries the id, where it is signed.
    pub id_header: Option<String>,
    /// The header that carries the timestamp, where it is signed and has one.
    pub timestamp_header: Option<String>,
}

/// What a receiver has in hand.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// All headers as they came, repeated ones each time.
    pub headers: &'a [(String, String)],
    /// The body as the receiver sees it.
    pub body: &'a [u8],
    /// The body as it was sent, where that is known.
    pub original: Option<&'a [u8]>,
    /// A signature that the receiver computed, to be explained in place of the one that came.
    pub computed: Option<&'a str>,
    /// When it came, in Unix seconds; without it, no timestamp is too old.
    pub received_at_seconds: Option<i64>,
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// A stable word for it.
    pub name: &'static str,
    /// What it is.
    pub says: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// What explains a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it is right, or what makes it wrong.
    pub verdict: Verdict,
    /// What else is remarkable about the request.
    pub observations: Vec<String>,
    /// Where the body differs from the one that was sent, where that is known and it does.
    pub difference: Option<Difference>,
    /// The timestamp that came with it, in Unix seconds.
    pub timestamp_seconds: Option<i64>,
    /// Digests computed.
    pub trials: usize,
    /// Whether every mistake was tried; a very long body makes that too much work.
    pub is_complete: bool,
}

/// Whether a signature is right, or what makes it wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right {
        /// Which of the secrets it belongs to; the first is 0.
        secret: usize,
    },
    /// These mistakes, taken together, make it what it is.
    Explained {
        /// In no order.
        mistakes: Vec<Mistake>,
        /// Which of the secrets it belongs to; the first is 0.
        secret: usize,
    },
    /// None of the mistakes we know makes it.
    Unexplained,
    /// There is none: the header that it comes in is not there.
    Unsigned,
}

/// What does not depend on the request.
#[derive(Debug, Clone, Copy)]
struct Known {
    name: &'static str,
    says: &'static str,
    advice: &'static str,
}

impl Known {
    fn mistake(self) -> Mistake {
        let Self { name, says, advice } = self;
        Mistake {
            name,
            says: says.to_owned(),
            advice,
        }
    }
}

impl<'a> Evidence<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The signature to be explained.
    fn claimed(&self, scheme: &SignatureScheme) -> Option<&'a str> {
        self.computed.or_else(|| self.header(scheme.header()))
    }
}

/// Explains the signature of a request under the scheme that the receiver expects. `others` are the schemes that it may
/// have been signed with instead.
pub fn explain(
    expected: &NamedScheme,
    others: &[NamedScheme],
    secrets: &[Secret],
    evidence: &Evidence<'_>,
) -> Explanation {
    let mut search = Search {
        secrets,
        readings: readings(expected, others, evidence),
        targets: targets(expected, evidence),
        trials: 0,
        hashed: 0,
    };
    let original = evidence
        .original
        .filter(|original| *original != evidence.body);
    let known = original.and_then(|original| {
        let found = search.among(&[Tried::as_it_is(original)])?;
        let relation = relation(original, evidence.body);
        Some((found, relation))
    });
    let found = if let Some((mut found, relation)) = known {
        found.mistakes.extend(relation);
        Some(found)
    } else {
        let singles = singles(evidence.body);
        search
            .among(&singles)
            .or_else(|| search.among_pairs(&singles))
    };
    let said = Said::of(expected, evidence);
    let signs_timestamp = expected.scheme.signed().has_timestamp();
    let timestamp = said.timestamp.filter(|_| signs_timestamp);
    Explanation {
        verdict: match found {
            None if evidence.claimed(&expected.scheme).is_none() => Verdict::Unsigned,
            None => Verdict::Unexplained,
            Some(Found {
                mut mistakes,
                secret,
            }) => {
                mistakes.extend(timestamp_mistake(timestamp.as_deref(), evidence, &mistakes));
                if mistakes.is_empty() {
                    Verdict::Right { secret }
                } else {
                    Verdict::Explained { mistakes, secret }
                }
            }
        },
        observations: observations(expected, evidence),
        difference: original.map(|original| Difference::between(original, evidence.body)),
        timestamp_seconds: timestamp.and_then(|text| text.parse().ok()),
        trials: search.trials,
        is_complete: search.hashed <= HASHED_BYTES_MAX,
    }
}

/// A body, and the changes that made it of the one at hand.
struct Tried {
    bytes: Vec<u8>,
    mistakes: Vec<Known>,
}

impl Tried {
    fn as_it_is(body: &[u8]) -> Self {
        Self {
            bytes: body.to_vec(),
            mistakes: Vec::new(),
        }
    }
}

/// The body as it is, and with each change that makes something new of it.
fn singles(body: &[u8]) -> Vec<Tried> {
    let mut all = vec![Tried::as_it_is(body)];
    if body.len() > EXPLAINED_BODY_BYTES_MAX {
        return all;
    }
    for change in &CHANGES {
        if let Some(bytes) = (change.make)(body)
            && !all.iter().any(|tried| tried.bytes == bytes)
        {
            all.push(Tried {
                bytes,
                mistakes: vec![change.known],
            });
        }
    }
    all
}

/// What two changes, one after the other, make of the body.
fn doubles(singles: &[Tried]) -> impl Iterator<Item = Tried> {
    let changed = singles.iter().filter(|tried| !tried.mistakes.is_empty());
    changed.flat_map(|first| {
        CHANGES.iter().filter_map(|second| {
            let bytes = (second.make)(&first.bytes).filter(|bytes| *bytes != first.bytes)?;
            let mistakes = [first.mistakes.as_slice(), &[second.known]].concat();
            Some(Tried { bytes, mistakes })
        })
    })
}

/// What was done to the body that was sent.
fn relation(original: &[u8], body: &[u8]) -> Vec<Mistake> {
    let singles = singles(body);
    let one = singles.iter().find(|tried| tried.bytes == original);
    let made = one.map(|tried| tried.mistakes.clone()).or_else(|| {
        doubles(&singles)
            .find(|tried| tried.bytes == original)
            .map(|tried| tried.mistakes)
    });
    match made {
        Some(mistakes) => mistakes.into_iter().map(Known::mistake).collect(),
        None => vec![Mistake {
            name: "body-changed",
            says: match same_json(original, body) {
                Some(same) => format!("the body is not the one that was signed; {same}"),
                None => "the body is not the one that was signed".to_owned(),
            },
            advice: "verify over the bytes of the request, before any parser or proxy has them",
        }],
    }
}

struct Found {
    mistakes: Vec<Mistake>,
    secret: usize,
}

/// The search for a digest.
struct Search<'a> {
    secrets: &'a [Secret],
    readings: Vec<Reading<'a>>,
    targets: Vec<Target>,
    trials: usize,
    hashed: usize,
}

impl Search<'_> {
    /// The fewest mistakes that make one of the digests, with one of these bodies.
    fn among(&mut self, bodies: &[Tried]) -> Option<Found> {
        for count in 0..=MISTAKES_MAX {
            for index in 0..self.readings.len() {
                let weight = self.readings[index].weight;
                if weight > count {
                    continue;
                }
                for key in keys(self.secrets, self.readings[index].encoding) {
                    let weight = weight + usize::from(key.mistake.is_some());
                    for body in bodies {
                        if weight + body.mistakes.len() == count
                            && let Some(found) = self.attempt(index, &key, body)
                        {
                            return Some(found);
                        }
                    }
                }
            }
        }
        None
    }

    /// Two changes of the body, everything else being right.
    fn among_pairs(&mut self, singles: &[Tried]) -> Option<Found> {
        let right = self
            .readings
            .first()
            .filter(|reading| reading.weight == 0)?;
        let keys = keys(self.secrets, right.encoding);
        for body in doubles(singles) {
            for key in keys.iter().filter(|key| key.mistake.is_none()) {
                if let Some(found) = self.attempt(0, key, &body) {
                    return Some(found);
                }
            }
        }
        None
    }

    fn attempt(&mut self, reading: usize, key: &Key, body: &Tried) -> Option<Found> {
        let reading = &self.readings[reading];
        let targets = reading.targets.as_ref().unwrap_or(&self.targets);
        if targets.is_empty() || self.hashed > HASHED_BYTES_MAX {
            return None;
        }
        self.trials += 1;
        self.hashed += body.bytes.len() + DIGEST_BYTES;
        let made = digest(
            &key.bytes,
            &reading.template,
            &reading.id,
            &reading.timestamp,
            &body.bytes,
        );
        // Both digests are in the hands of whoever asks: there is nobody to time this.
        let target = targets.iter().find(|target| target.digest == made)?;
        let known = key.mistake.into_iter().chain(&body.mistakes);
        let mut mistakes = reading.mistakes.clone();
        mistakes.extend(known.map(|known| known.mistake()));
        mistakes.extend(target.mistakes.iter().cloned());
        Some(Found {
            mistakes,
            secret: key.secret,
        })
    }
}

/// The digests to be explained.
fn targets(expected: &NamedScheme, evidence: &Evidence<'_>) -> Vec<Target> {
    let scheme = &expected.scheme;
    if let Some(computed) = evidence.computed {
        return header::targets(scheme, computed);
    }
    let values: Vec<_> = evidence.all(scheme.header()).collect();
    if values.is_empty() {
        let looks_alike = evidence
            .headers
            .iter()
            .filter(|(_, value)| header::has_digest(value));
        return looks_alike
            .flat_map(|(name, value)| {
                let other = Mistake {
                    name: "other-header",
                    says: format!("the signature is in `{name}`, not in `{}`", scheme.header()),
                    advice: "read the header that the platform sends",
                };
                with(header::targets(scheme, value), Some(&other))
            })
            .collect();
    }
    let repeated = (values.len() > 1).then(|| Mistake {
        name: "header-repeated",
        says: format!("`{}` is there {} times", scheme.header(), values.len()),
        advice: "something on the way added it again: many servers then join both, and no receiver accepts that",
    });
    values
        .into_iter()
        .flat_map(|value| with(header::targets(scheme, value), repeated.as_ref()))
        .collect()
}

fn with(targets: Vec<Target>, mistake: Option<&Mistake>) -> Vec<Target> {
    let add = |mut target: Target| {
        target.mistakes.extend(mistake.cloned());
        target
    };
    targets.into_iter().map(add).collect()
}

/// What receivers hold against a timestamp, though it was signed rightly.
fn timestamp_mistake(
    timestamp: Option<&str>,
    evidence: &Evidence<'_>,
    known: &[Mistake],
) -> Option<Mistake> {
    let text = timestamp.filter(|_| evidence.computed.is_none())?;
    let Ok(seconds) = text.parse::<i64>() else {
        return Some(Mistake {
            name: "timestamp-form",
            says: "the timestamp is not Unix seconds".to_owned(),
            advice: "send and sign Unix seconds: digits and nothing else",
        });
    };
    if seconds > SECONDS_MAX {
        let is_told = known.iter().any(|mistake| mistake.name == "milliseconds");
        return (!is_told).then(|| Mistake {
            name: "milliseconds",
            says: "the timestamp is in milliseconds, and receivers take it for seconds".to_owned(),
            advice: "send and sign one timestamp, in Unix seconds",
        });
    }
    let age = evidence.received_at_seconds?.saturating_sub(seconds);
    let mistake = |name, says| {
        Some(Mistake {
            name,
            says,
            advice: "set both clocks by NTP, and sign when sending: receivers allow 300 s",
        })
    };
    if age > TOLERANCE_SECONDS {
        mistake("stale", format!("it was signed {age} s before it came"))
    } else if age < -TOLERANCE_SECONDS {
        mistake("early", format!("it was signed {} s after it came", -age))
    } else {
        None
    }
}

/// What strikes the eye, whatever the digest says.
fn observations(expected: &NamedScheme, evidence: &Evidence<'_>) -> Vec<String> {
    let mut seen = Vec::new();
    let scheme = &expected.scheme;
    if let Some(claimed) = evidence.claimed(scheme)
        && header::targets(scheme, claimed).is_empty()
    {
        seen.push(format!(
            "there is no HMAC-SHA256 in `{}`: 64 hex digits, or 44 characters of base64",
            scheme.header()
        ));
    }
    let said = Said::of(expected, evidence);
    let wanted = [
        (scheme.signed().has_id(), &said.id, &expected.id_header),
        (
            scheme.signed().has_timestamp(),
            &said.timestamp,
            &expected.timestamp_header,
        ),
    ];
    for (is_signed, value, name) in wanted {
        if let (true, None, Some(name)) = (is_signed, value, name) {
            seen.push(format!(
                "there is no `{name}` header, and its value is signed"
            ));
        }
    }
    let body = evidence.body;
    let announced = evidence.header("content-length");
    if let Some(length) = announced.and_then(|text| text.parse::<usize>().ok())
        && length != body.len()
    {
        seen.push(format!(
            "`Content-Length` says {length} bytes, and the body has {}",
            body.len()
        ));
    }
    if let Some(encoding) = evidence.header("content-encoding") {
        seen.push(format!(
            "the body is packed: `Content-Encoding: {encoding}`"
        ));
    }
    if body.is_empty() {
        seen.push("the body is empty".to_owned());
    } else if std::str::from_utf8(body).is_err() {
        seen.push("the body is not UTF-8".to_owned());
    } else if body.starts_with(b"\xef\xbb\xbf") {
        seen.push("the body begins with a byte order mark".to_owned());
    } else if !is_json(body) {
        seen.push("the body is not JSON, or has a member twice".to_owned());
    } else if let Some(what) = fixed_point_fault(body) {
        seen.push(format!(
            "a receiver that parses this body and writes it again with `JSON.stringify` gets other bytes: {what}"
        ));
    }
    seen
}

/// Schemes that many platforms use, besides those of profiles.
///
/// # Panics
///
/// Never: the tests make them all.
pub fn known_schemes() -> Vec<NamedScheme> {
    let named = |name: &str, headers: [Option<&str>; 2], parts: SchemeParts| NamedScheme {
        name: name.to_owned(),
        scheme: SignatureScheme::try_new(parts).expect("a scheme of ours"),
        id_header: headers[0].map(str::to_owned),
        timestamp_header: headers[1].map(str::to_owned),
    };
    let parts = |header: &str, signed: &str, value: &str, digest| SchemeParts {
        header: header.to_owned(),
        signed: signed.parse().expect("a template of ours"),
        value: value.to_owned(),
        digest,
        secret: SecretEncoding::Utf8,
        several: None,
    };
    vec![
        named(
            "webhooks of Stripe",
            [None, None],
            SchemeParts {
                several: Some(",".to_owned()),
                ..parts(
                    "Stripe-Signature",
                    "{timestamp}.{body}",
                    "t={timestamp},v1={signature}",
                    DigestEncoding::LowerHex,
                )
            },
        ),
        named(
            "webhooks of Slack",
            [None, Some("X-Slack-Request-Timestamp")],
            parts(
                "X-Slack-Signature",
                "v0:{timestamp}:{body}",
                "v0={signature}",
                DigestEncoding::LowerHex,
            ),
        ),
        named(
            "webhooks of Shopify",
            [None, None],
            parts(
                "X-Shopify-Hmac-SHA256",
                "{body}",
                "{signature}",
                DigestEncoding::Base64,
            ),
        ),
        named(
            "webhooks of Svix",
            [Some("svix-id"), Some("svix-timestamp")],
            SchemeParts {
                secret: SecretEncoding::Base64After("whsec_".to_owned()),
                several: Some(" ".to_owned()),
                ..parts(
                    "svix-signature",
                    "{id}.{timestamp}.{body}",
                    "v1,{signature}",
                    DigestEncoding::Base64,
                )
            },
        ),
    ]
}

#[cfg(test)]
mod tests;
