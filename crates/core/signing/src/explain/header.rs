//! The digests that stand in a header's value, and what is wrong with how they are written.

use super::{Known, Mistake, secret::hex};
use crate::{
    DigestEncoding, SignatureScheme,
    scheme::{BASE64_LENIENT, DIGEST_BYTES},
};
use base64::Engine;

/// A digest that stands somewhere, and what the receiver would say to how it is written there.
pub(super) struct Target {
    pub(super) digest: [u8; DIGEST_BYTES],
    pub(super) mistakes: Vec<Mistake>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    LowerHex,
    UpperHex,
    Base64,
    Base64Url,
}

struct Found<'a> {
    text: &'a str,
    /// Where it begins in the value.
    at: usize,
    spelling: Spelling,
    digest: [u8; DIGEST_BYTES],
}

const COMPARE: &str =
    "compare the header's whole value with what you computed, written the same way";

/// Every digest in a value that is meant for this scheme.
pub(super) fn targets(scheme: &SignatureScheme, value: &str) -> Vec<Target> {
    let found = digests(value);
    let several = (found.len() > 1 && !scheme.allows_several()).then(|| {
        Known {
            name: "several-signatures",
            says: "there is more than one signature, and this scheme sends one",
            advice: "the header came twice, or something joined two: send and read it once",
        }
        .mistake()
    });
    let target = |found: &Found<'_>| Target {
        digest: found.digest,
        mistakes: spelling(scheme.digest(), found.spelling)
            .into_iter()
            .chain(frame(scheme, value, found))
            .chain(several.clone())
            .collect(),
    };
    found.iter().map(target).collect()
}

/// Whether there is anything in the value that could be a digest.
pub(super) fn has_digest(value: &str) -> bool {
    !digests(value).is_empty()
}

fn digests(value: &str) -> Vec<Found<'_>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/_-=".contains(c);
    let mut found = Vec::new();
    let mut at = 0;
    for token in value.split(|c| !is_part(c)) {
        let bare = token.trim_end_matches('=');
        let start = bare.rfind('=').map_or(0, |equals| equals + 1);
        found.extend(digest(&bare[start..], &token[bare.len()..], at + start));
        at += token.len() + 1;
    }
    found
}

fn digest<'a>(bare: &'a str, padding: &str, at: usize) -> Option<Found<'a>> {
    let (bytes, spelling) = if bare.len() == DIGEST_BYTES * 2 {
        let spelling = if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Spelling::UpperHex
        } else {
            Spelling::LowerHex
        };
        (hex(bare)?, spelling)
    } else {
        let standard = bare.replace('-', "+").replace('_', "/");
        let spelling = if standard == bare && padding == "=" {
            Spelling::Base64
        } else {
            Spelling::Base64Url
        };
        (BASE64_LENIENT.decode(&standard).ok()?, spelling)
    };
    Some(Found {
        text: bare,
        at,
        spelling,
        digest: bytes.try_into().ok()?,
    })
}

fn spelling(wanted: DigestEncoding, found: Spelling) -> Option<Mistake> {
    let known = match (wanted, found) {
        (DigestEncoding::LowerHex, Spelling::LowerHex)
        | (DigestEncoding::Base64, Spelling::Base64) => return None,
        (DigestEncoding::LowerHex, Spelling::UpperHex) => Known {
            name: "upper-case",
            says: "the signature is in upper-case hex, and receivers compare text",
            advice: "write the digest in lower-case hex",
        },
        (DigestEncoding::LowerHex, _) => Known {
            name: "base64-for-hex",
            says: "the signature is in base64, and this scheme writes hex",
            advice: "write the digest in lower-case hex: `digest('hex')`, `hexdigest()`",
        },
        (DigestEncoding::Base64, Spelling::Base64Url) => Known {
            name: "base64-alphabet",
            says: "the signature is in base64 of another alphabet, or without its padding",
            advice: "write the digest in standard base64, with `+`, `/` and `=`",
        },
        (DigestEncoding::Base64, _) => Known {
            name: "hex-for-base64",
            says: "the signature is in hex, and this scheme writes base64",
            advice: "write the digest in base64: `digest('base64')`, `b64encode(digest())`",
        },
    };
    Some(known.mistake())
}

/// What is wrong with what stands before a digest.
fn frame(scheme: &SignatureScheme, value: &str, found: &Found<'_>) -> Option<Mistake> {
    let entries = |value| {
        let (_, list) = scheme.split_lead(value).ok()?;
        scheme.split_entries(list).ok()
    };
    let holds = |value| {
        entries(value).is_some_and(|entries| {
            entries
                .iter()
                .any(|entry| entry.trim_end_matches('=') == found.text)
        })
    };
    if holds(value) {
        return None;
    }
    let inner = value.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    if inner != value && holds(inner) {
        let known = Known {
            name: "signature-blanks",
            says: "there are blanks or quotation marks around the header's value",
            advice: "take the header's value as it came, without what the log added",
        };
        return Some(known.mistake());
    }
    let prefix = scheme.entry();
    let before = value[..found.at].trim_start();
    // Members of other kinds, such as a timestamp, may stand before it.
    let own = before.rsplit([' ', ';']).next().unwrap_or_default();
    let mistake = |name, says| {
        Some(Mistake {
            name,
            says,
            advice: COMPARE,
        })
    };
    if own == prefix && scheme.lead().is_empty() {
        None
    } else if own.is_empty() {
        let says = format!("the header's value lacks `{prefix}` before the signature");
        mistake("prefix-missing", says)
    } else if !prefix.is_empty() && own == prefix.repeat(2) {
        let says = format!("the header's value has `{prefix}` twice");
        mistake("prefix-doubled", says)
    } else {
        let says = if scheme.lead().is_empty() && prefix.is_empty() {
            format!("the header's value begins with `{own}`, where nothing should stand")
        } else {
            format!("the header's value begins with `{own}`, not with `{prefix}`")
        };
        mistake("prefix-other", says)
    }
}
