//! Secrets at rest: sealed for one place, opened nowhere else.

use crate::Secret;
use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use ringback_domain::{DestinationId, ProjectName, SealedSecret, WebhookId};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;
use std::fmt;
use url::Url;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a nonce. So many random ones never meet in practice, so no counter has to be kept.
pub const NONCE_BYTES: usize = 24;
/// Bytes of a tag: see [`KeyRing::tag`].
pub const TAG_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES_MAX: usize = 32;

/// The keys that seal secrets. The first seals, all open: a new key is put first, and the old one is dropped once
/// nothing sealed with it is kept any more (queue, retries, dead letters).
pub struct KeyRing(Vec<RingKey>);

struct RingKey {
    id: String,
    key: SecretBox<[u8; KEY_BYTES]>,
}

/// The place a secret is sealed for. Sealed text copied to another project or destination does not open there.
///
/// A webhook's secret is bound to the webhook's id, so that its URL may change. A callback's secret is bound to its
/// whole URL (by [`DestinationId::callback`]): an origin alone would do for a host of one's own, not for one shared by
/// many customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFor<'a> {
    project: &'a ProjectName,
    purpose: &'static str,
    destination: DestinationId,
}

/// Why the keys cannot be used. Keys are named by position until they have an id, and never shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// Nothing to seal with.
    #[error("there is no key (hint: `head -c 32 /dev/urandom | base64` makes one)")]
    Empty,
    /// Not `id:base64`.
    #[error(
        "key {0} does not have the form `id:base64`, the id of 1 to 32 letters, digits, `_` or `-`"
    )]
    Form(usize),
    /// Not 32 bytes in base64.
    #[error("key `{0}` is not 32 bytes in base64")]
    Length(String),
    /// Two keys of one name.
    #[error("two keys are called `{0}`")]
    Duplicate(String),
}

/// Why a sealed secret did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The key it was sealed with is not at hand.
    #[error(
        "the secret was sealed with the key `{0}`, which is not configured (hint: keep old keys until nothing sealed with them is left)"
    )]
    UnknownKey(String),
    /// It is not the sealed text of a secret.
    #[error("the sealed secret is damaged: its text does not have the form")]
    Malformed,
    /// It was changed, or belongs to another project or destination.
    #[error(
        "the sealed secret does not belong here: it was changed, or sealed for another project or destination"
    )]
    WrongPlace,
}

impl<'a> SealedFor<'a> {
    /// A registered webhook's secret.
    pub fn webhook(project: &'a ProjectName, id: &WebhookId) -> Self {
        Self {
            project,
            purpose: "webhook-secret",
            destination: DestinationId::webhook(id),
        }
    }

    /// The value of a header that a webhook adds: as often as not, a key to the receiver's own API.
    pub fn webhook_header(project: &'a ProjectName, id: &WebhookId) -> Self {
        Self {
            purpose: "webhook-header",
            ..Self::webhook(project, id)
        }
    }

    /// A callback's secret.
    pub fn callback(project: &'a ProjectName, url: &Url) -> Self {
        Self {
            project,
            purpose: "callback-secret",
            destination: DestinationId::callback(url.as_str()),
        }
    }

    /// What is authenticated beside the secret; every part preceded by its length, so that none runs into the next.
    fn associated_data(&self, key_id: &str) -> Vec<u8> {
        let parts = [
            SealedSecret::PREFIX,
            key_id,
            self.project.as_str(),
            self.purpose,
            self.destination.as_str(),
        ];
        let bytes = parts.iter().map(|part| size_of::<u64>() + part.len());
        let mut data = Vec::with_capacity(bytes.sum());
        for part in parts {
            data.extend((part.len() as u64).to_be_bytes());
            data.extend(part.as_bytes());
        }
        data
    }
}

impl KeyRing {
    /// Takes keys as `id:base64` of 32 bytes, the sealing one first.
    ///
    /// # Errors
    ///
    /// Which key is wrong, and how.
    pub fn try_new(keys: &[SecretString]) -> Result<Self, KeyRingError> {
        let mut ring: Vec<RingKey> = Vec::with_capacity(keys.len());
        for (index, text) in keys.iter().enumerate() {
            let key = RingKey::parse(text.expose_secret(), index + 1)?;
            if ring.iter().any(|known| known.id == key.id) {
                return Err(KeyRingError::Duplicate(key.id));
            }
            ring.push(key);
        }
        if ring.is_empty() {
            Err(KeyRingError::Empty)
        } else {
            Ok(Self(ring))
        }
    }

    /// The text of a new key, from random bytes.
    pub fn new_key(id: &str, random: &[u8; KEY_BYTES]) -> SecretString {
        format!("{id}:{}", STANDARD.encode(random)).into()
    }

    /// Seals with the first key. The nonce must come from a good source and never be used twice.
    #[expect(
        clippy::missing_panics_doc,
        reason = "cannot: see the two reasons inside"
    )]
    pub fn seal(
        &self,
        secret: &Secret,
        place: &SealedFor<'_>,
        nonce: [u8; NONCE_BYTES],
    ) -> SealedSecret {
        let RingKey { id, key } = &self.0[0];
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: &place.associated_data(id),
        };
        let ciphertext = cipher(key)
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a secret is far below the cipher's limit");
        let text = STANDARD.encode([nonce.as_slice(), &ciphertext].concat());
        SealedSecret::try_new(format!("{}{id}:{text}", SealedSecret::PREFIX))
            .expect("this is the form")
    }

    /// Opens what any of the keys sealed, for this place only.
    ///
    /// # Errors
    ///
    /// The key is unknown, the text damaged, or the place another one.
    pub fn open(&self, sealed: &SealedSecret, place: &SealedFor<'_>) -> Result<Secret, OpenError> {
        let (id, text) = parts_of(sealed)?;
        let RingKey { key, .. } = self
            .0
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| OpenError::UnknownKey(id.to_owned()))?;
        let bytes = STANDARD.decode(text).map_err(|_| OpenError::Malformed)?;
        let (nonce, msg) = bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(OpenError::Malformed)?;
        let payload = Payload {
            msg,
            aad: &place.associated_data(id),
        };
        let opened = cipher(key)
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| OpenError::WrongPlace)?;
        let text = String::from_utf8(opened).map_err(|fault| {
            fault.into_bytes().zeroize();
            OpenError::Malformed
        })?;
        Secret::try_new(text).map_err(|_| OpenError::Malformed)
    }

    /// A tag that only these keys make: for what we hand out and want to know again, such as a session's cookie. The purpose
    /// keeps the tags of one use from being taken for those of another.
    pub fn tag(&self, purpose: &str, message: &[u8]) -> [u8; TAG_BYTES] {
        self.0[0]
            .tagger(purpose, message)
            .finalize()
            .into_bytes()
            .into()
    }

    /// Whether one of the keys made the tag; compared in constant time.
    pub fn made(&self, purpose: &str, message: &[u8], tag: &[u8]) -> bool {
        let mut keys = self.0.iter();
        keys.any(|key| key.tagger(purpose, message).verify_slice(tag).is_ok())
    }

    /// Whether it was sealed with another key than the first, and should be sealed again when it is next written.
    pub fn is_outdated(&self, sealed: &SealedSecret) -> bool {
        parts_of(sealed).is_ok_and(|(id, _)| id != self.0[0].id)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.id))
            .finish()
    }
}

impl RingKey {
    fn parse(text: &str, position: usize) -> Result<Self, KeyRingError> {
        let (id, encoded) = text.split_once(':').ok_or(KeyRingError::Form(position))?;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if id.is_empty() || id.len() > KEY_ID_BYTES_MAX || !id.bytes().all(word) {
            return Err(KeyRingError::Form(position));
        }
        let length = || KeyRingError::Length(id.to_owned());
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| length())?);
        let mut key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| length())?;
        let boxed = SecretBox::new(Box::new(key));
        key.zeroize();
        Ok(Self {
            id: id.to_owned(),
            key: boxed,
        })
    }
}

impl RingKey {
    /// The key seals with another algorithm, so tags are made with one derived from it, for each purpose its own.
    fn tagger(&self, purpose: &str, message: &[u8]) -> Hmac<Sha256> {
        let mut derive = Hmac::<Sha256>::new_from_slice(self.key.expose_secret())
            .expect("a key of any length will do");
        derive.update(b"ringback tag v1: ");
        derive.update(purpose.as_bytes());
        let own = Zeroizing::new(<[u8; KEY_BYTES]>::from(derive.finalize().into_bytes()));
        let mut tagger =
            Hmac::<Sha256>::new_from_slice(own.as_slice()).expect("a key of any length will do");
        tagger.update(message);
        tagger
    }
}

fn cipher(key: &SecretBox<[u8; KEY_BYTES]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key.expose_secret()))
}

/// Key id and payload; a key id that could be no key's is damage, so that nothing strange is quoted in an error.
fn parts_of(sealed: &SealedSecret) -> Result<(&str, &str), OpenError> {
    sealed
        .as_str()
        .strip_prefix(SealedSecret::PREFIX)
        .and_then(|rest| rest.split_once(':'))
        .filter(|(id, _)| {
            id.len() <= KEY_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .ok_or(OpenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(ids: &[&str]) -> KeyRing {
        let key = |id: &&str| KeyRing::new_key(id, &[id.bytes().last().unwrap(); KEY_BYTES]);
        KeyRing::try_new(&ids.iter().map(key).collect::<Vec<_>>()).unwrap()
    }

    fn project(name: &str) -> ProjectName {
        name.parse().unwrap()
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (acme, url) = (
            project("acme"),
            Url::parse("https://a.example/hook?t=1").unwrap(),
        );
        let place = SealedFor::callback(&acme, &url);
        let old = ring(&["k1"]).seal(
            &Secret::try_new("s3cret").unwrap(),
            &place,
            [7; NONCE_BYTES],
        );
        let rotated = ring(&["k2", "k1"]);
        assert_eq!(rotated.open(&old, &place).unwrap().expose(), "s3cret");
        assert!(rotated.is_outdated(&old));
        let new = rotated.seal(
            &Secret::try_new("s3cret").unwrap(),
            &place,
            [8; NONCE_BYTES],
        );
        assert!(new.as_str().starts_with("sealed:v1:k2:"));
        assert!(!rotated.is_outdated(&new));
        assert_eq!(
            ring(&["k1"]).open(&new, &place).unwrap_err(),
            OpenError::UnknownKey("k2".into())
        );
    }

    #[test]
    fn a_sealed_secret_opens_in_its_own_place_only() {
        let (acme, other) = (project("acme"), project("other"));
        let (url, elsewhere) = (
            Url::parse("https://a.example/hook").unwrap(),
            Url::parse("https://a.example/hook2").unwrap(),
        );
        let (whk, whk2) = ("whk_1".parse().unwrap(), "whk_2".parse().unwrap());
        let places = [
            SealedFor::callback(&acme, &url),
            SealedFor::callback(&acme, &elsewhere),
            SealedFor::callback(&other, &url),
            SealedFor::webhook(&acme, &whk),
            SealedFor::webhook(&acme, &whk2),
            SealedFor::webhook(&other, &whk),
            SealedFor::webhook_header(&acme, &whk),
            // The same destination under another purpose.
            SealedFor {
                purpose: "callback-secret",
                ..SealedFor::webhook(&acme, &whk)
            },
        ];
        let ring = ring(&["k1"]);
        for place in &places {
            let sealed = ring.seal(&Secret::try_new("s").unwrap(), place, [1; NONCE_BYTES]);
            for candidate in &places {
                let opened = ring
                    .open(&sealed, candidate)
                    .map(|secret| secret.expose().to_owned());
                let expected = if candidate == place {
                    Ok("s".to_owned())
                } else {
                    Err(OpenError::WrongPlace)
                };
                assert_eq!(
                    opened, expected,
                    "sealed for {place:?}, opened at {candidate:?}"
                );
            }
        }
    }

    #[test]
    fn a_key_under_another_name_does_not_open() {
        let acme = project("acme");
        let place = SealedFor::webhook(&acme, &"whk_1".parse().unwrap());
        let sealed = ring(&["k1"]).seal(&Secret::try_new("s").unwrap(), &place, [1; NONCE_BYTES]);
        let renamed = SealedSecret::try_new(sealed.as_str().replace(":k1:", ":j1:")).unwrap();
        // `ring` derives the key from the last letter, so j1 and k1 are the same key.
        assert_eq!(
            ring(&["j1"]).open(&renamed, &place).unwrap_err(),
            OpenError::WrongPlace
        );
    }

    #[test]
    fn keys_are_refused_with_their_fault_and_never_shown() {
        let good = STANDARD.encode([1; 32]);
        let short = STANDARD.encode([1; 31]);
        for (keys, fault) in [
            (vec![], "there is no key (hint: `head -c 32 /dev/urandom | base64` makes one)".to_owned()),
            (vec![good.clone()], "key 1 does not have the form `id:base64`, the id of 1 to 32 letters, digits, `_` or `-`".to_owned()),
            (vec![format!("k1:{short}")], "key `k1` is not 32 bytes in base64".to_owned()),
            (vec!["k1:not base64".to_owned()], "key `k1` is not 32 bytes in base64".to_owned()),
            (vec![format!("k1:{good}"), format!("k1:{good}")], "two keys are called `k1`".to_owned()),
        ] {
            let keys: Vec<SecretString> = keys.into_iter().map(Into::into).collect();
            assert_eq!(KeyRing::try_new(&keys).unwrap_err().to_string(), fault);
        }
        assert_eq!(format!("{:?}", ring(&["k1", "k2"])), r#"["k1", "k2"]"#);
    }

    #[test]
    fn a_tag_is_known_by_every_ring_that_holds_its_key_and_for_its_purpose_only() {
        let tag = ring(&["k1"]).tag("session", b"0a1b");
        assert!(ring(&["k2", "k1"]).made("session", b"0a1b", &tag));
        assert!(!ring(&["k2"]).made("session", b"0a1b", &tag));
        assert!(!ring(&["k1"]).made("form", b"0a1b", &tag));
        assert!(!ring(&["k1"]).made("session", b"0a1c", &tag));
        assert!(!ring(&["k1"]).made("session", b"0a1b", &tag[..TAG_BYTES - 1]));
        assert!(!ring(&["k1"]).made("session", b"0a1b", &[]));
    }

    #[test]
    fn damage_is_named() {
        let acme = project("acme");
        let place = SealedFor::webhook(&acme, &"whk_1".parse().unwrap());
        for text in ["sealed:v1:k1:!", "sealed:v1:k1:AAAA"] {
            let sealed = SealedSecret::try_new(text).unwrap();
            assert_eq!(
                ring(&["k1"]).open(&sealed, &place).unwrap_err(),
                OpenError::Malformed,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_no_changed_bit_does(text in ".{1,80}", nonce: [u8; NONCE_BYTES], bit in 0usize..4096) {
            let acme = project("acme");
            let place = SealedFor::webhook(&acme, &"whk_1".parse().unwrap());
            let ring = ring(&["k1"]);
            let sealed = ring.seal(&Secret::try_new(text.as_str()).unwrap(), &place, nonce);
            prop_assert!(text.len() < 8 || !sealed.as_str().contains(&text));
            let opened = ring.open(&sealed, &place).unwrap();
            prop_assert_eq!(opened.expose(), text.as_str());

            let (head, payload) = sealed.as_str().rsplit_once(':').unwrap();
            let mut bytes = STANDARD.decode(payload).unwrap();
            let at = bit % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            let changed = SealedSecret::try_new(format!("{head}:{}", STANDARD.encode(bytes))).unwrap();
            prop_assert_eq!(ring.open(&changed, &place).unwrap_err(), OpenError::WrongPlace);
        }
    }
}
