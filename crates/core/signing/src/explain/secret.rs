//! What becomes of a secret before it is a key.

use super::Known;
use crate::{Secret, SecretEncoding, scheme::BASE64_LENIENT};
use base64::Engine;
use zeroize::Zeroizing;

/// A key that may have been used.
pub(super) struct Key {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Which of the secrets it comes from; the first is 0.
    pub(super) secret: usize,
    /// Nothing when the secret was read as the scheme says.
    pub(super) mistake: Option<&'static Known>,
}

/// A way in which a secret is misread. Nothing when it does not apply.
struct Misreading {
    known: Known,
    read: fn(&str, &SecretEncoding) -> Option<Vec<u8>>,
}

const DECODE: &str = "decode what follows `whsec_` as base64: those bytes are the key";
const TEXT: &str = "this scheme's key is the secret as it is written, every character of it";
const PASTE: &str = "take the secret exactly as it was shown: an editor, a shell or an environment file added or removed something";

static MISREADINGS: [Misreading; 11] = [
    Misreading {
        known: Known {
            name: "secret-blanks",
            says: "the key is the secret without the blanks or line ends around it",
            advice: PASTE,
        },
        read: |text, encoding| {
            let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            key(trimmed, encoding)
        },
    },
    Misreading {
        known: Known {
            name: "secret-quotes",
            says: "the key is the secret without the quotation marks around it",
            advice: PASTE,
        },
        read: |text, encoding| {
            let inner = ['"', '\''].iter().find_map(|quote| {
                text.strip_prefix(*quote)
                    .and_then(|text| text.strip_suffix(*quote))
            });
            key(inner?, encoding)
        },
    },
    Misreading {
        known: Known {
            name: "secret-line-end",
            says: "the key is the secret with a line end after it",
            advice: PASTE,
        },
        read: |text, _| Some(format!("{text}\n").into_bytes()),
    },
    Misreading {
        known: Known {
            name: "secret-crlf",
            says: "the key is the secret with CR and LF after it",
            advice: PASTE,
        },
        read: |text, _| Some(format!("{text}\r\n").into_bytes()),
    },
    Misreading {
        known: Known {
            name: "secret-as-text",
            says: "the key is the whole secret as text, not decoded",
            advice: DECODE,
        },
        read: |text, encoding| is_base64(encoding).then(|| text.into()),
    },
    Misreading {
        known: Known {
            name: "secret-rest-as-text",
            says: "the key is what follows the secret's prefix as text, not decoded",
            advice: DECODE,
        },
        read: |text, encoding| match encoding {
            SecretEncoding::Base64After(prefix) => Some(text.strip_prefix(prefix.as_str())?.into()),
            SecretEncoding::Utf8 => None,
        },
    },
    Misreading {
        known: Known {
            name: "secret-decoded",
            says: "the key is the base64 decoding of the secret",
            advice: TEXT,
        },
        read: |text, encoding| {
            let decode = || BASE64_LENIENT.decode(text).ok();
            (!is_base64(encoding)).then(decode).flatten()
        },
    },
    Misreading {
        known: Known {
            name: "secret-rest-decoded",
            says: "the key is the base64 decoding of what follows the secret's prefix",
            advice: TEXT,
        },
        read: |text, encoding| {
            let decode = || BASE64_LENIENT.decode(text.rsplit_once('_')?.1).ok();
            (!is_base64(encoding)).then(decode).flatten()
        },
    },
    Misreading {
        known: Known {
            name: "secret-rest",
            says: "the key is what follows the secret's prefix",
            advice: TEXT,
        },
        read: |text, encoding| {
            let rest = || Some(text.rsplit_once('_')?.1.into());
            (!is_base64(encoding)).then(rest).flatten()
        },
    },
    Misreading {
        known: Known {
            name: "secret-hex-decoded",
            says: "the key is the secret read as hex",
            advice: "a secret that looks like hex is text all the same, unless the scheme says base64",
        },
        read: |text, encoding| {
            let digits = match encoding {
                SecretEncoding::Base64After(prefix) => text.strip_prefix(prefix.as_str()),
                SecretEncoding::Utf8 => None,
            };
            hex(digits.unwrap_or(text))
        },
    },
    Misreading {
        known: Known {
            name: "secret-empty",
            says: "the key is empty",
            advice: "the secret was not there when it was used: look at the name of the variable or setting",
        },
        read: |_, _| Some(Vec::new()),
    },
];

/// Every key that may have been made of the secrets, those made rightly first.
pub(super) fn keys(secrets: &[Secret], encoding: &SecretEncoding) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    let mut add = |bytes: Option<Vec<u8>>, secret: usize, mistake: Option<&'static Known>| {
        if let Some(bytes) = bytes.map(Zeroizing::new)
            && !keys.iter().any(|known| known.bytes == bytes)
        {
            keys.push(Key {
                bytes,
                secret,
                mistake,
            });
        }
    };
    for (number, secret) in secrets.iter().enumerate() {
        add(key(secret.expose(), encoding), number, None);
    }
    for misreading in &MISREADINGS {
        for (number, secret) in secrets.iter().enumerate() {
            let bytes = (misreading.read)(secret.expose(), encoding);
            add(bytes, number, Some(&misreading.known));
        }
    }
    keys
}

fn key(text: &str, encoding: &SecretEncoding) -> Option<Vec<u8>> {
    let secret = Secret::try_new(text).ok()?;
    encoding.key(&secret).ok().map(|key| key.to_vec())
}

fn is_base64(encoding: &SecretEncoding) -> bool {
    matches!(encoding, SecretEncoding::Base64After(_))
}

pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    MISREADINGS.iter().map(|misreading| misreading.known.name)
}
