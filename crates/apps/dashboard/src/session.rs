//! Who a browser belongs to: a cookie that says which key signed in and until when, with a tag that only the key ring makes.
//!
//! Nothing is kept on the server, so any process with the same key ring knows every session, before and after a restart.
//! Neither is anything secret in the cookie: it names the key, and the key itself is looked at with every request, so that
//! one revoked ends all its sessions. A visitor who has not signed in has a session without a key: forms need one.

use ringback_delivery::port::{Clock, Entropy};
use ringback_domain::{ApiKeyId, Timestamp};
use ringback_signing::KeyRing;
use std::{fmt::Write, sync::Arc, time::Duration};

/// How long a session lasts from the moment of signing in.
pub const SESSION_LASTS: Duration = Duration::from_hours(12);
/// Bytes of a session's id.
const ID_BYTES: usize = 16;
/// What the tag of a cookie is made for.
const OF_COOKIE: &str = "dashboard session";
/// What the token of a form is made for.
const OF_FORM: &str = "dashboard form";
/// The form of the cookie's value.
const FORM: &str = "1";
/// What stands for the key of somebody who has none.
const NOBODY: &str = "-";

/// A visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// Random; another one after signing in, so that nobody can hand out a session to be filled.
    id: String,
    /// Which key signed in, if one did.
    pub(crate) key: Option<ApiKeyId>,
    ends_at: Timestamp,
}

/// Begins sessions and knows them again.
pub(crate) struct Sessions {
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Sessions {
    /// A new session, of a key or of nobody.
    pub(crate) fn begin(&self, key: Option<ApiKeyId>) -> Session {
        let mut id = [0; ID_BYTES];
        self.entropy.fill(&mut id);
        let ends_at = self.clock.now().saturating_add(SESSION_LASTS);
        Session {
            id: hex(&id),
            key,
            ends_at: ends_at.unwrap_or(Timestamp::MAX),
        }
    }

    /// The cookie's value.
    pub(crate) fn cookie(&self, session: &Session) -> String {
        let said = session.said();
        let tag = self.ring.tag(OF_COOKIE, said.as_bytes());
        format!("{said}.{}", hex(&tag))
    }

    /// The session of a cookie that we made and whose time is not over.
    pub(crate) fn of_cookie(&self, value: &str) -> Option<Session> {
        let (said, tag) = value.rsplit_once('.')?;
        if !self.ring.made(OF_COOKIE, said.as_bytes(), &of_hex(tag)?) {
            return None;
        }
        let session = Session::of_said(said)?;
        (self.clock.now() < session.ends_at).then_some(session)
    }

    /// What every form of this session carries: no other site can know it.
    pub(crate) fn form_token(&self, session: &Session) -> String {
        hex(&self.ring.tag(OF_FORM, session.id.as_bytes()))
    }

    /// Whether a form came from a page of this session.
    pub(crate) fn is_form_token(&self, session: &Session, token: &str) -> bool {
        of_hex(token).is_some_and(|tag| self.ring.made(OF_FORM, session.id.as_bytes(), &tag))
    }
}

impl Session {
    fn said(&self) -> String {
        let key = self.key.as_ref().map_or(NOBODY, ApiKeyId::as_str);
        format!("{FORM}.{}.{key}.{}", self.id, self.ends_at.as_second())
    }

    fn of_said(said: &str) -> Option<Self> {
        let mut parts = said.split('.');
        let form = parts.next()?;
        let (id, key, ends_at) = (parts.next()?, parts.next()?, parts.next()?);
        if form != FORM || parts.next().is_some() {
            return None;
        }
        Some(Self {
            id: id.to_owned(),
            key: match key {
                NOBODY => None,
                key => Some(key.parse().ok()?),
            },
            ends_at: Timestamp::from_second(ends_at.parse().ok()?).ok()?,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringback_testkit::{samples::moment, simulation::SeededEntropy};
    use std::sync::atomic::{AtomicI64, Ordering};

    /// Stands still until it is moved on; seconds.
    #[derive(Default)]
    struct Hand(AtomicI64);

    #[async_trait::async_trait]
    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            moment(self.0.load(Ordering::Relaxed))
        }

        async fn sleep(&self, _: Duration) {}
    }

    const OLD: &str = "k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
    const NEW: &str = "k2:QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";

    fn process(keys: &[&str], clock: &Arc<Hand>) -> Sessions {
        let keys: Vec<_> = keys.iter().map(|key| (*key).into()).collect();
        Sessions {
            ring: Arc::new(KeyRing::try_new(&keys).unwrap()),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(7)),
        }
    }

    #[test]
    fn every_process_with_the_keys_knows_a_session_until_it_ends() {
        let clock = Arc::new(Hand::default());
        let one = process(&[OLD], &clock);
        let after_a_new_key = process(&[NEW, OLD], &clock);
        let session = one.begin(Some("0a1b".parse().unwrap()));
        let (cookie, token) = (one.cookie(&session), one.form_token(&session));

        assert_eq!(after_a_new_key.of_cookie(&cookie).as_ref(), Some(&session));
        assert!(after_a_new_key.is_form_token(&session, &token));
        assert!(process(&[NEW], &clock).of_cookie(&cookie).is_none());

        clock
            .0
            .store(SESSION_LASTS.as_secs().cast_signed(), Ordering::Relaxed);
        assert!(one.of_cookie(&cookie).is_none());
    }

    #[test]
    fn a_cookie_that_was_changed_is_none_of_ours() {
        let sessions = process(&[OLD], &Arc::new(Hand::default()));
        let cookie = sessions.cookie(&sessions.begin(Some("0a1b".parse().unwrap())));
        assert!(sessions.of_cookie(&cookie).is_some());
        for changed in [
            cookie.replace(".0a1b.", ".0a1c."),
            cookie.replace("1.", "2."),
            format!("{cookie}00"),
            cookie[..cookie.len() - 2].to_owned(),
            cookie.rsplit_once('.').unwrap().0.to_owned(),
            String::new(),
            "é.é".to_owned(),
        ] {
            assert!(sessions.of_cookie(&changed).is_none(), "{changed}");
        }
    }

    #[test]
    fn a_forms_token_belongs_to_one_session_and_is_no_cookies_tag() {
        let sessions = process(&[OLD], &Arc::new(Hand::default()));
        let (mine, other) = (sessions.begin(None), sessions.begin(None));
        let token = sessions.form_token(&mine);
        assert!(sessions.is_form_token(&mine, &token));
        assert!(!sessions.is_form_token(&other, &token));
        assert!(!sessions.is_form_token(&mine, ""));
        let tag = sessions
            .cookie(&mine)
            .rsplit_once('.')
            .unwrap()
            .1
            .to_owned();
        assert!(!sessions.is_form_token(&mine, &tag));
    }
}
